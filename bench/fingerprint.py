"""Does a fingerprint find copies, and only copies? Measured on real sets.

Each owner's model is trained on one half of its set and gets a fingerprint from that half
alone. Then the same questions go to copies (changed on the way), to models extracted from
its answers, to models trained again, and to models that owe it nothing: other algorithms
on the other half, and the owner's own recipe on the other half. ``--page`` writes
docs/reference/fingerprint.md. Needs TUNDISH_DATA, and the fermentation set of the catalogue.
"""

from __future__ import annotations

import argparse
import gzip
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import onnx
from onnx import numpy_helper, version_converter
from sklearn.neural_network import MLPClassifier, MLPRegressor
from threadpoolctl import threadpool_limits

from tundish.catalog import library
from tundish.catalog.scenario import Scenario
from tundish.flows.fetch import locate
from tundish.flows.material import prepare
from tundish.learn import fingerprint as fingerprints
from tundish.learn import independents, recipe, surrogates
from tundish.learn.fingerprint import Agreement, agreement
from tundish.learn.fingerprinting import Owner, make
from tundish.learn.graph import GraphWriter
from tundish.learn.independents import Kind, Values
from tundish.learn.material import Material, Windows
from tundish.learn.questions import between
from tundish.model.session import run_foreign

DATA = Path(os.environ.get("TUNDISH_DATA", ""))
ANSWERS = (500, 2000, 10_000)
Graphs = Callable[[Windows, Values, int], bytes]


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A real set, cut in two, and how its owner makes a model of it.

    Attributes:
        mine, other: Windows and truths of either half.
        fit: Windows, truths, seed -> graph.
        tuned: The owner's model, trained on for a while on the other half.
    """

    name: str
    model: str
    kind: Kind
    output: str
    mine: tuple[Windows, Values]
    other: tuple[Windows, Values]
    fit: Graphs
    tuned: Callable[[], bytes]


def network(kind: Kind) -> tuple[Graphs, Callable[..., bytes]]:
    """Return how a small network is trained, and how it is trained on for 20 rounds."""

    def start(x: Windows, y: Values, seed: int) -> MLPRegressor | MLPClassifier:
        made = MLPClassifier if kind == "label" else MLPRegressor
        model = made(
            hidden_layer_sizes=(24, 24), alpha=1e-3, max_iter=400, random_state=seed
        )
        rows = x.reshape(len(x), -1).astype(np.float64)
        spread = rows.std(axis=0)
        model.scale_ = (rows.mean(axis=0), np.where(spread > 0, spread, 1.0))
        shift = (0.0, 1.0) if kind == "label" else (float(y.mean()), float(y.std()))
        model.target_ = shift
        truth = y.astype(np.int64) if kind == "label" else (y - shift[0]) / shift[1]
        model.fit((rows - model.scale_[0]) / model.scale_[1], truth)
        return model

    def fit(x: Windows, y: Values, seed: int) -> bytes:
        return network_graph(start(x, y, seed), x.shape[1:], label=kind == "label")

    def on(x: Windows, y: Values, more: tuple[Windows, Values]) -> bytes:
        model = start(x, y, 0)
        rows = more[0].reshape(len(more[0]), -1).astype(np.float64)
        rows = (rows - model.scale_[0]) / model.scale_[1]
        truth = (
            more[1].astype(np.int64)
            if kind == "label"
            else (more[1] - model.target_[0]) / model.target_[1]
        )
        for _ in range(20):
            model.partial_fit(rows, truth)
        return network_graph(model, x.shape[1:], label=kind == "label")

    return fit, on


def network_graph(
    model: MLPRegressor | MLPClassifier, shape: tuple[int, ...], *, label: bool
) -> bytes:
    """Return the graph of a network: standardise, two hidden layers, an answer."""
    writer = GraphWriter(shape[0], shape[1])
    value = writer.flat(writer.window())
    mean, spread = model.scale_
    value = writer.add("Sub", value, writer.constant(mean, "mean"))
    value = writer.add("Div", value, writer.constant(spread, "spread"))
    for number, (weights, bias) in enumerate(
        zip(model.coefs_, model.intercepts_, strict=True)
    ):
        value = writer.add("MatMul", value, writer.constant(weights, f"w{number}"))
        value = writer.add("Add", value, writer.constant(bias, f"b{number}"))
        if number < len(model.coefs_) - 1:
            value = writer.add("Relu", value)
    middle, width = (np.array([part]) for part in model.target_)
    value = writer.add("Mul", value, writer.constant(width, "width"))
    value = writer.add("Add", value, writer.constant(middle, "middle"))
    name = "classes" if label else "estimate"
    return writer.write({name: value}, {name: len(model.intercepts_[-1])})


def halves(
    x: Windows, y: Values, rng: np.random.Generator
) -> Iterator[tuple[Windows, Values]]:
    """Yield two halves by chance."""
    for rows in np.array_split(rng.permutation(len(x)), 2):
        yield x[rows], y[rows]


def of_network(name: str, kind: Kind, x: Windows, y: Values) -> Subject:
    """Return a set whose owner trains a network."""
    mine, other = halves(x, y, np.random.default_rng(4))
    fit, on = network(kind)
    return Subject(
        name=name, model="network", kind=kind,
        output="classes" if kind == "label" else "estimate",
        mine=mine, other=other, fit=fit, tuned=lambda: on(*mine, other),
    )  # fmt: skip


def concrete() -> Subject:
    """Strength of concrete from its mix; UCI."""
    rows = np.loadtxt(
        DATA / "concrete-strength/cement_strength.txt", delimiter=",", skiprows=1
    )
    return of_network(
        "concrete-strength", "estimate", windows(rows[:, :-1]), rows[:, -1]
    )


def debutanizer() -> Subject:
    """Butane in a column's bottom from seven signals over four rows."""
    text = (DATA / "debutanizer-column/debutanizer_data.txt").read_text().splitlines()
    rows = np.array([line.split() for line in text[5:] if line.strip()], np.float64)
    cut = np.stack([rows[at - 3 : at + 1, :-1] for at in range(3, len(rows))])
    return of_network(
        "debutanizer-column", "estimate", cut.astype(np.float32), rows[3:, -1]
    )


def hydraulic() -> Subject:
    """State of a valve (four classes) from means and spreads of ten signals."""
    folder = DATA / "hydraulic-zema"
    columns = []
    for path in sorted(folder.glob("*.txt.gz")):
        with gzip.open(path) as stream:
            rows = np.loadtxt(stream)
        columns += [rows.mean(axis=1), rows.std(axis=1)]
    state = np.loadtxt(folder / "profile.txt")[:, 1]
    classes = np.searchsorted(np.unique(state), state).astype(np.float64)
    return of_network(
        "hydraulic-zema", "label", windows(np.stack(columns, axis=1)), classes
    )


def windows(rows: Values) -> Windows:
    """Return rows as windows of one row."""
    return rows.astype(np.float32)[:, None, :]


def of_detector(name: str, rows: Values, length: int) -> Subject:
    """Return a set of normal rows whose owner trains the project's own detector."""
    x = np.stack(
        [rows[at - length + 1 : at + 1] for at in range(length - 1, len(rows))]
    )
    x = x.astype(np.float32)
    contract = _detector_scenario(rows, length)
    mine, other = halves(x, np.zeros(len(x)), np.random.default_rng(4))

    def fit(x: Windows, _y: Values, seed: int) -> bytes:
        return _by_recipe("pca", contract, _material(x, np.full(len(x), np.nan)), seed)

    return Subject(
        name=name, model="recipe pca", kind="score", output="score",
        mine=mine, other=other, fit=fit,
        tuned=lambda: moved(fit(*mine, 0), 0.02),
    )  # fmt: skip


def _detector_scenario(rows: Values, length: int) -> Scenario:
    base = library.scenario("D46.27.pipeline-flow").model_dump()
    base |= {"simulation": None, "failure_modes": ()}
    low, high = rows.min(axis=0), rows.max(axis=0)
    signals = [
        {"name": f"s{at}", "description": "signal", "unit": "1", "period_s": 60.0,
         "range": (float(low[at]) - 1, float(high[at]) + 1)}
        for at in range(rows.shape[1])
    ]  # fmt: skip
    changes = {"signals": signals, "window": {"rows": length, "stride": 1}}
    return Scenario.model_validate(base | changes, strict=False)


def skab() -> Subject:
    """A pump's eight signals, free of anomalies."""
    text = (DATA / "skab/anomaly-free/anomaly-free.csv").read_text().splitlines()[1:]
    rows = np.array([line.split(";")[1:9] for line in text], np.float64)
    return of_detector("skab", rows[::2], 3)


def tep() -> Subject:
    """The Tennessee Eastman process without faults: 52 signals."""
    rows = np.concatenate([
        np.loadtxt(DATA / "tep-braatz/d00.dat").T, np.loadtxt(DATA / "tep-braatz/d00_te.dat"),
    ])  # fmt: skip
    return of_detector("tep-braatz", rows, 1)


def _material(x: Windows, y: Values) -> Material:
    """Return windows of which three quarters fit and one quarter calibrates."""
    count = len(x)
    part = np.array(["fit", "fit", "fit", "calibrate"] * (count // 4 + 1))[:count]
    return Material(
        x=x, y=y, part=part, source=np.full(count, "all"), event=np.full(count, -1),
        group=np.arange(count),
    )  # fmt: skip


def _by_recipe(name: str, scenario: Scenario, material: Material, seed: int) -> bytes:
    maker = recipe.load(name, scenario.task)
    options = dict(scenario.candidates[scenario.recipe].options)
    if name == "pls":  # half of the samples, halved again, supports no more
        options["components"] = (2, 3)
    return maker.fit(material, scenario, options, np.random.default_rng(seed)).graph


def fermentation() -> Subject:
    """The catalogue's spectra; the other half is the rest of the run, and its samples.

    The spectra that fit are cut in two as well: the owner's recipe needs them.
    """
    scenario = library.scenario("C25.21.fermentation-glucose")
    whole = prepare(
        library.site("fermentation"), scenario, locate("fermentation").root
    ).material
    whole = whole.take(np.isfinite(whole.y))
    turn = np.zeros(len(whole), np.int64)
    for part in np.unique(whole.part):
        rows = np.flatnonzero(whole.part == part)
        order = np.unique(whole.group[rows], return_inverse=True)[1]
        turn[rows] = order % 2
    pieces = [whole.take(turn == half) for half in (0, 1)]
    known = {id(piece.x): piece for piece in pieces}

    def fit(x: Windows, y: Values, seed: int) -> bytes:
        piece = known.get(id(x))
        if piece is None:  # a part of the owner's half: find its rows again
            mine = pieces[0]
            places = [
                int(np.flatnonzero((mine.x == row).all(axis=(1, 2)))[0]) for row in x
            ]
            piece = mine.take(np.array(places))
        usable = replace(
            piece, part=np.where(piece.part == "judge", "select", piece.part)
        )
        return _by_recipe("pls", scenario, usable, seed)

    mine, other = ((piece.x, piece.y) for piece in pieces)
    return Subject(
        name="fermentation", model="recipe pls", kind="estimate", output="estimate",
        mine=mine, other=other, fit=fit, tuned=lambda: moved(fit(*mine, 0), 0.02),
    )  # fmt: skip


SUBJECTS = {
    "fermentation": fermentation, "debutanizer-column": debutanizer,
    "concrete-strength": concrete, "hydraulic-zema": hydraulic,
    "skab": skab, "tep-braatz": tep,
}  # fmt: skip


def changed(graph: bytes, change: Callable[[Values], Values]) -> bytes:
    """Return a graph whose floating-point constants were changed."""
    model = onnx.load_from_string(graph)
    for held in model.graph.initializer:
        value = numpy_helper.to_array(held)
        if value.dtype.kind == "f":
            made = change(value.astype(np.float64)).astype(value.dtype)
            held.CopyFrom(numpy_helper.from_array(made, held.name))
    return bytes(model.SerializeToString())


def as_half(graph: bytes) -> bytes:
    """Return a graph with weights of float16."""
    return changed(graph, lambda value: value.astype(np.float16).astype(np.float64))


def as_bytes(graph: bytes) -> bytes:
    """Return a graph with matrices of eight bits, one scale for each column."""

    def change(value: Values) -> Values:
        if value.ndim < 2:
            return value
        step = np.abs(value).max(axis=0, keepdims=True) / 127
        step = np.where(step > 0, step, 1.0)
        return np.round(value / step) * step

    return changed(graph, change)


def moved(graph: bytes, share: float) -> bytes:
    """Return a graph whose weights were all moved a little, by chance."""
    rng = np.random.default_rng(8)
    return changed(graph, lambda value: value * rng.normal(1.0, share, value.shape))


def exported(graph: bytes, output: str) -> bytes:
    """Return a graph written anew: other names, another operator set, another unit."""
    model = version_converter.convert_version(onnx.load_from_string(graph), 18)
    model.producer_name = "somebody"
    for node in model.graph.node:
        node.name = f"x{node.name}"
    made = onnx.helper
    names = [item.name for item in model.graph.output]
    place = names.index(output)
    scale = numpy_helper.from_array(np.array([1.8], np.float32), "other_scale")
    shift = numpy_helper.from_array(np.array([32.0], np.float32), "other_shift")
    model.graph.initializer.extend([scale, shift])
    model.graph.node.extend([
        made.make_node("Mul", [output, "other_scale"], ["other_scaled"]),
        made.make_node("Add", ["other_scaled", "other_shift"], ["y"]),
    ])  # fmt: skip
    model.graph.output[place].name = "y"
    kept = model.graph.output[place]
    del model.graph.output[:]
    model.graph.output.extend([kept])
    return bytes(model.SerializeToString())


def values(graph: bytes, kind: Kind, output: str | None, x: Windows) -> Values:
    """Return the numbers or classes that a graph answers, [N]."""
    return fingerprints.values_of(run_foreign(graph, x), output, label=kind == "label")


def suspects(
    subject: Subject, graph: bytes, asked: Windows
) -> Iterator[tuple[str, str, Values]]:
    """Yield the kind, the name and the answers of each suspect."""
    kind, output = subject.kind, subject.output
    for name, made in (
        ("the file", graph), ("float16 weights", as_half(graph)),
        ("8-bit weights", as_bytes(graph)), ("exported anew, other unit", exported(graph, output)),
    ):  # fmt: skip
        named = None if name.startswith("exported") else output
        yield "copy", name, values(made, kind, named, asked)
    yield (
        "tuned",
        "tuned on the other half"
        if subject.model == "network"
        else "weights moved by 2 %",
        values(subject.tuned(), kind, output, asked),
    )
    rng = np.random.default_rng(77)
    for count in ANSWERS:
        questions = between(subject.mine[0], count, rng)
        said = values(graph, kind, output, questions)
        made = surrogates.fit_all(questions, said, label=kind == "label", seed=3)
        for name, answer in made.items():
            yield f"extracted {count}", name, answer(asked)
    x, y = subject.mine
    keep = np.sort(np.random.default_rng(6).permutation(len(x))[: int(0.8 * len(x))])
    yield (
        "retrained",
        "same data, another seed",
        values(subject.fit(x, y, 1), kind, output, asked),
    )
    yield (
        "retrained",
        "80 % of the data",
        values(subject.fit(x[keep], y[keep], 0), kind, output, asked),
    )
    yield (
        "same recipe",
        "the other half",
        values(subject.fit(*subject.other, 0), kind, output, asked),
    )
    truth = None if kind == "score" else subject.other[1]
    for team in (independents.rivals, independents.strangers):
        for model in team(kind, subject.other[0], truth, np.random.default_rng(91)):
            yield "independent", model.name, model.answer(asked)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One suspect: its kind, its name, and how far it agrees."""

    kind: str
    name: str
    found: Agreement


@dataclass(frozen=True, kw_only=True)
class Result:
    """All suspects of one set."""

    subject: str
    model: str
    questions: int
    windows: int
    seconds: float
    rows: tuple[Row, ...]

    def best(self, kind: str, name: str | None = None) -> Row:
        """Return the suspect of a kind (and name) that agrees most."""
        found = [r for r in self.rows if r.kind == kind and name in {None, r.name}]
        return max(found, key=lambda row: row.found.share)

    def shares(self, kind: str) -> list[float]:
        """Return the shares of all suspects of a kind."""
        return [row.found.share for row in self.rows if row.kind == kind]


def measure(subject: Subject) -> Result:
    """Make a fingerprint and hold it against every suspect."""
    graph = subject.fit(*subject.mine, 0)
    x, y = subject.mine
    begun = perf_counter()
    owner = Owner(
        kind=subject.kind,
        x=x,
        y=None if subject.kind == "score" else y,
        answer=lambda asked: values(graph, subject.kind, subject.output, asked),
    )
    made = make(owner, np.random.default_rng(0))
    seconds = perf_counter() - begun
    asked = made.questions
    chance = [share for _, share in made.chance]
    siblings = []
    for half in (0, 1):
        held = subject.fit(x[half::2], y[half::2], 0)
        answers = values(held, subject.kind, subject.output, asked.windows)
        siblings.append(float(asked.hits(answers).mean()))
    rows = [
        Row(
            kind=kind, name=name, found=agreement(asked.hits(answers), chance, siblings)
        )
        for kind, name, answers in suspects(subject, graph, asked.windows)
    ]
    return Result(
        subject=subject.name, model=subject.model, questions=len(asked),
        windows=len(asked.windows), seconds=seconds, rows=tuple(rows),
    )  # fmt: skip


COPIES = ("the file", "exported anew, other unit", "float16 weights", "8-bit weights")


def table(results: list[Result]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| suspect | trial | " + " | ".join(r.subject for r in results) + " |"
    yield "|---|---|" + "---|" * len(results)
    yield line("the model", "", [r.model for r in results])
    yield line(
        "questions (windows)", "200", [f"{r.questions} ({r.windows})" for r in results]
    )
    for name in COPIES:
        trial = "1.00" if name == "the file" else ""
        yield line(
            f"copy: {name}", trial, [cell(r.best("copy", name)) for r in results]
        )
    yield line("copy: tuned on other data (network), weights moved by 2 % (recipe)", "",
               [cell(r.best("tuned")) for r in results])  # fmt: skip
    for count in ANSWERS:
        trial = "0.49 to 0.50" if count == ANSWERS[-1] else ""
        yield line(f"extracted by {count:,} answers, best of three", trial,
                   [cell(r.best(f"extracted {count}")) for r in results])  # fmt: skip
    yield line(
        "trained again, another seed",
        "",
        [cell(r.best("retrained", "same data, another seed")) for r in results],
    )
    yield line(
        "trained again on 80 % of the data",
        "0.44",
        [cell(r.best("retrained", "80 % of the data")) for r in results],
    )
    yield line(
        "the same recipe on the other half of the set",
        "",
        [cell(r.best("same recipe")) for r in results],
    )
    yield line("other algorithms on the other half: mean", "0.09 to 0.14",
               [f"{np.mean(r.shares('independent')):.2f}" for r in results])  # fmt: skip
    yield line(
        "... the nearest of 22", "", [cell(r.best("independent")) for r in results]
    )
    yield line("chance level in the file: mean, nearest of 12", "",
               [f"{r.rows[0].found.chance:.2f}, {r.rows[0].found.chance_most:.2f}" for r in results])  # fmt: skip
    yield line("sibling in the file: same recipe, half of the owner's data", "",
               [f"{r.rows[0].found.sibling:.2f}" for r in results])  # fmt: skip
    yield line(
        "seconds to choose the questions", "", [f"{r.seconds:.0f}" for r in results]
    )


def line(name: str, trial: str, cells: list[str]) -> str:
    """Return one line of the table."""
    return f"| {name} | {trial} | " + " | ".join(cells) + " |"


def cell(row: Row) -> str:
    """Return a share and what was found."""
    return f"{row.found.share:.2f} {row.found.found}"


HEAD = """# Fingerprints of models, measured

Written by `make bench-fingerprint` on real sets. Each owner's model is trained on one half of its set and gets its fingerprint from that half alone;
the same questions then go to every suspect. The share is that of the owner's answers that the suspect gives. The word is what
`tundish fingerprint compare` says: *copy* (p below 0.001, nine in ten alike, nearer than a sibling), *kin* (p below 0.001), *nothing*.
The trial's figures are those of the first trial on one classifier (a gradient boosting), for comparison.

"""

TAIL = """
How it works, with sources: `src/tundish/learn/fingerprint.py`. A class is compared as it is. For a number a question is a pair of windows, and the answer is which
of the two has the larger number; another unit or offset moves nothing. Questions lie between windows of the training data and are those on which ten independent models
(five algorithms on two halves) contradict the owner most; twelve others (six algorithms on two halves) measure the chance level. The p-value is that of a
beta-binomial with their mean, raised by two standard errors, and their spread. *Nearest* is the largest share. Halves are drawn by chance, so the halves of a
series know nearly the same moments: that favours the independent models. "Best of three" is the extracted model that agrees most on the questions. The recipes have no chance
in them: another seed gives the same model. The fermentation owner has 2 or 3 components, not the scenario's 2 to 8: half of 21 spectra support no more, so this is not the
shipped candidate. One seed and one split a set; the method was settled while earlier runs on these very sets were in view, so these are development figures.

How to read it, frankly:

"""


def findings(results: list[Result]) -> Iterator[str]:
    """Yield what holds and what does not, counted from the rows."""
    plain = [r.best("copy", name).found for r in results for name in COPIES[:2]]
    yield f"- A file that was copied or exported anew gives every answer: {min(f.share for f in plain):.2f} at least."
    false = [
        (r.subject, row.name)
        for r in results
        for row in r.rows
        if row.kind == "independent" and row.found.found != "nothing"
    ]
    count = sum(len(r.shares("independent")) for r in results)
    named = "; ".join(f"{name} on {subject}" for subject, name in false) or "none"
    yield f"- Of {count} models of other algorithms on the other half, {len(false)} were called more than chance: {named}."
    same = [(r.subject, r.best("same recipe").found) for r in results]
    kin = [
        f"{subject} ({found.share:.2f}, {found.found})"
        for subject, found in same
        if found.found != "nothing"
    ]
    yield f'- **A model of the same recipe on other data of the same process** is called more than chance on: {", ".join(kin) or "no set"}. A finding of *kin* says "same answers, same data, or same recipe on the same process", not "stolen".'
    close = [r.subject for r in results if (r.rows[0].found.sibling or 0) >= 0.9]
    yield f"- Where a sibling agrees to 0.90 or more ({', '.join(close) or 'nowhere here'}) a fingerprint hardly tells a copy from an honest model of that recipe; only the digest of the file, or what else is known, does."
    lost = [
        f"{name} on {r.subject} ({r.best('copy', name).found.share:.2f})"
        for r in results
        for name in COPIES[2:]
        if r.best("copy", name).found.found == "nothing"
    ]
    yield f"- Copies with coarser weights that were missed: {'; '.join(lost) or 'none'}."
    missed = [
        f"{r.subject} at {count:,}"
        for r in results
        for count in ANSWERS
        if r.best(f"extracted {count}").found.found == "nothing"
    ]
    yield f"- Extracted models that were missed: {', '.join(missed) or 'none'}."


def main() -> int:
    """Measure, print, write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", default=list(SUBJECTS))
    parser.add_argument("--page", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    results = []
    for name in given.only:
        with threadpool_limits(limits=1):
            result = measure(SUBJECTS[name]())
        results.append(result)
        for row in result.rows:
            found = row.found
            print(
                f"{name:20} {row.kind:16} {row.name:28} {found.share:.3f} p={found.p_value:.1e} {found.found}",
                flush=True,
            )
    if given.page:
        lines = "\n".join(table(results)) + "\n"
        given.page.write_text(
            HEAD + lines + TAIL + "\n".join(findings(results)) + "\n", encoding="utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
