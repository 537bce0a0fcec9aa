"""How long the graph of each recipe takes for 1,000 windows of real sets.

    python -m bench.scoring [--only WORD ...] [--keep FOLDER] [--against FOLDER] [--page FILE]

Each recipe is trained on a development set (TUNDISH_DATA) and its graph timed on one thread,
once in calls of 50 windows (they stay in the cache) and once in one call of 1,000; the
smallest of several turns counts, in milliseconds of this process, since others may share
the machine. Searches are cut short where they do not change the size of the graph.

To see what a change of the graphs brings: ``--keep`` writes the graphs of one version down,
``--against`` times them beside those of this version, turn by turn in the same process,
and says by how much their answers differ at most (relative to 1 or the value).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import process_time

import numpy as np
from bench.results import anomaly, anomaly_injected, anomaly_sets, diagnose, forecast
from bench.results import regress_sets as regress
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tundish.catalog import library
from tundish.catalog.scenario import Scenario
from tundish.data.readers import read_table
from tundish.flows.fetch import locate
from tundish.flows.material import prepare
from tundish.kernel import digest, settings
from tundish.learn import recipe as recipes
from tundish.learn.material import Material, Windows
from tundish.learn.recipe import Options
from tundish.learn.train import train
from tundish.model.session import Session, make_golden

AIM_MS = 50.0
CALLS = (50, 1000)
TURNS = 15
HEAD = f"""# How fast graphs score

Written by `make bench-scoring`. Milliseconds of processor time for 1,000 windows on one thread, the best of {TURNS} turns: in calls of
50 windows, and in one call of 1,000. The aim is under {AIM_MS:.0f} ms. A machine that is shared with other work makes every
figure larger.

| set, recipe | calls of 50, ms | one call, ms | graph, MB | under {AIM_MS:.0f} ms |
| --- | --- | --- | --- | --- |"""
TRIED = """
What made graphs slow, found operator by operator, and what holds now:

- Gathering channels one number at a time cost 20 ms for 42 rows of 52 channels, more than the models. Neighbouring channels are sliced, and
  all channels are left alone.
- Derivatives of spectra were products with a square matrix of all channels: 70 to 180 ms for 1,047 channels. They are taken into the
  weights that follow.
- The network of `reconstruct` runs in float32, as it was trained; what it cannot give back is found in double.
- Means of products are reductions, and the equal pieces of a course are a product with one piece's weights.
- How far a window reaches is asked of each channel's largest and smallest row only.

Tried and left: trees cut into several operators that fit the cache (no quicker: the sums of all shares are written more often), and
trees in float32 (up to a quarter quicker, but leaves then add up in float32, and a target far from zero loses more than the parity tolerance).
Not tried: the products of the quadratic detectors in float32, since a small floor of the scatter makes differences of large numbers.
"""


Make = Callable[[], tuple[bytes, Windows]]


def cases(root: Path) -> Iterator[tuple[str, Make]]:
    """Yield the name of every case and what trains it."""
    yield from _anomaly(root)
    yield from _diagnose()
    yield from _life(root)
    yield from _forecast()
    yield from _regress(root)
    yield from _fermentation()


def _anomaly(root: Path) -> Iterator[tuple[str, Make]]:
    def stretches(name: str) -> tuple[list[anomaly_sets.Stretch], int]:
        if name == "tep-braatz":
            files = (("fit", "d00.dat"), ("calibrate", "d00_te.dat"))
            rows = [(part, anomaly_sets.tep_file(root, file)) for part, file in files]
            length = anomaly.TEP_ROWS
        elif name == "skab":
            file = anomaly_sets.skab_files(root)[0].rows
            cut, end = anomaly.SKAB_FIT, anomaly.SKAB_TRAIN
            rows = [("fit", file[:cut]), ("calibrate", file[cut:end])]
            length = anomaly.SKAB_ROWS
        else:
            frame = read_table(root / name / dict(anomaly_injected.SETS)[name]).frame
            long = frame.columns == anomaly_injected.LONG
            whole = anomaly_injected.moving_rows(
                anomaly_injected.wide(frame) if long else frame
            )[:8000]
            cut = int(0.7 * len(whole))
            rows = [("fit", whole[:cut]), ("calibrate", whole[cut:])]
            length = anomaly_injected.ROWS
        return [
            anomaly_sets.Stretch(rows=part_rows, part=part, source=part)
            for part, part_rows in rows
        ], length

    def make(name: str, recipe: str, options: Options, rows: int | None) -> Make:
        def made() -> tuple[bytes, Windows]:
            parts, length = stretches(name)
            length = rows or length
            seen = np.concatenate([part.rows for part in parts])
            scenario = anomaly_sets.scenario_of(seen, recipe, options, length, 0.01)
            material = anomaly_sets.material_of(parts, length)
            return _trained(material, scenario)

        return made

    injected = tuple(name for name, _ in anomaly_injected.SETS)
    for name in ("tep-braatz", "skab", *injected):
        for recipe, options, short in anomaly.CONTENDERS:
            if recipe != "pca" or name not in injected:  # it refuses still tags
                rows = 3 if short else None
                yield f"{name} {recipe}", make(name, recipe, options, rows)


def _diagnose() -> Iterator[tuple[str, Make]]:
    def make(recipe: str, options: Options) -> Make:
        def made() -> tuple[bytes, Windows]:
            bench = diagnose.read()
            part = diagnose.parts(bench, diagnose.folds(bench, "blocks") == 0, "blocks")
            material = bench.material
            known = material.take(part != "judge")
            object.__setattr__(known, "part", part[part != "judge"])
            return _fitted(recipe, "diagnose", known, bench.scenario, options)

        return made

    plain: Options = {"spectra": False}
    yield "hydraulic-zema linear_classes", make("linear_classes", plain)
    yield "hydraulic-zema boost_classes", make("boost_classes", plain)


def _life(root: Path) -> Iterator[tuple[str, Make]]:
    def make(name: str) -> Make:
        def made() -> tuple[bytes, Windows]:
            scenario = library.scenario("C37.28.turbofan-life")
            site = library.site(f"cmapss-{name}")
            material = prepare(site, scenario, root / "cmapss").material
            return _trained(material, scenario)

        return made

    for name in ("fd001", "fd003"):
        yield f"cmapss-{name} boost_life", make(name)


def _forecast() -> Iterator[tuple[str, Make]]:
    def make(place: int, candidate: str) -> Make:
        def made() -> tuple[bytes, Windows]:
            _, scenario, material = list(forecast.sets())[place]
            return _trained(material, scenario, candidate)

        return made

    for place, name in enumerate(("la-haute-borne", "steam")):
        for candidate, recipe in (("plain", "seasonal"), ("boosted", "boost_forecast")):
            yield f"{name} {recipe}", make(place, candidate)


def _regress(root: Path) -> Iterator[tuple[str, Make]]:
    boost: Options = {"leaves": (8,), "bases": (1.0,), "splits": 2}
    spectra: Options = {"derivatives": (1,)}
    wanted: tuple[tuple[Callable[[], regress.Bench], str, Options], ...] = (
        (lambda: regress.debutanizer(root, 64), "linear", {}),
        (lambda: regress.debutanizer(root, 64), "boost", {**boost, "plans": ("fading",)}),
        (lambda: regress.debutanizer(root, 64), "gp", {"plans": ("fading",), "splits": 2}),
        (lambda: regress.concrete(root), "boost", boost),
        (lambda: regress.concrete(root), "gp", {"scores": (0,), "splits": 2}),
        (lambda: regress.kamyr(root, 8), "boost", boost),
        (lambda: regress.kamyr(root, 8), "gp", {"splits": 2}),
        (lambda: regress.gasoline(root), "pls", {**spectra, "components": (4,)}),
        (lambda: regress.gasoline(root), "linear", spectra),
        (lambda: regress.gasoline(root), "gp", {**spectra, "scores": (5,)}),
    )  # fmt: skip
    names = (*["debutanizer"] * 3, *["concrete"] * 2, *["kamyr"] * 2, *["gasoline"] * 3)

    def make(read: Callable[[], regress.Bench], recipe: str, options: Options) -> Make:
        def made() -> tuple[bytes, Windows]:
            bench = read()
            count = len(bench.y)
            part = np.where(np.arange(count) % 5 == 4, "calibrate", "fit")
            material = bench.material(part)
            return _fitted(recipe, "regress", material, bench.scenario(), options)

        return made

    for name, (read, recipe, options) in zip(names, wanted, strict=True):
        yield f"{name} {recipe}", make(read, recipe, options)


def _fermentation() -> Iterator[tuple[str, Make]]:
    points: Options = {"derivatives": (1,), "smoothing_points": 21}

    def make(recipe: str, options: Options | None) -> Make:
        def made() -> tuple[bytes, Windows]:
            scenario = library.scenario("C25.21.fermentation-glucose")
            site = library.site("fermentation")
            material = prepare(site, scenario, locate("fermentation").root).material
            declared = scenario.candidates[scenario.recipe].options
            return _fitted(recipe, "regress", material, scenario, options or declared)

        return made

    yield "fermentation pls", make("pls", None)
    yield "fermentation linear", make("linear", points)
    yield "fermentation gp", make("gp", {**points, "scores": (3,)})


def _trained(
    material: Material, scenario: Scenario, candidate: str | None = None
) -> tuple[bytes, Windows]:
    made = train(
        material, scenario, data=digest.of_bytes(b"bench"), candidate=candidate
    )
    return made.fitted.graph, _thousand(material.x)


def _fitted(
    recipe: str, task: str, material: Material, scenario: Scenario, options: Options
) -> tuple[bytes, Windows]:
    made = recipes.load(recipe, task).fit(
        material, scenario, options, np.random.default_rng(0)
    )
    return made.graph, _thousand(material.x)


def _thousand(x: Windows) -> Windows:
    return np.resize(x[:: max(1, len(x) // 1000)], (1000, *x.shape[1:]))


def milliseconds(
    sessions: Sequence[Session], windows: Windows, call: int
) -> list[float]:
    """Return the milliseconds for 1,000 windows of each, the best of turns taken by turns."""
    best = [float("inf")] * len(sessions)
    for _ in range(TURNS):
        for place, session in enumerate(sessions):
            began = process_time()
            for first in range(0, len(windows), call):
                session.run(windows[first : first + call])
            best[place] = min(best[place], 1000.0 * (process_time() - began))
    return best


def main() -> None:
    """Print one line a case, and write the page if one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--page", type=Path)
    asked = parser.parse_args()
    root = settings.data_dir() or diagnose.BESIDE
    table = []
    for name, make in cases(root):
        if asked.only and not any(word in name for word in asked.only):
            continue
        with threadpool_limits(limits=1):
            graph, windows = make()
        if asked.keep:
            asked.keep.mkdir(parents=True, exist_ok=True)
            (asked.keep / f"{name}.onnx").write_bytes(graph)
            np.save(asked.keep / f"{name}.npy", windows)
        found = report(name, graph, windows, asked.against)
        table.append((name, len(graph) / 1e6, found))
    if asked.page:
        asked.page.write_text(page(table), encoding="utf-8")


def report(
    name: str, graph: bytes, windows: Windows, against: Path | None
) -> list[list[float]]:
    """Time a graph, beside its kept forerunner if there is one, and print the line.

    Returns:
        For each of ``CALLS`` the milliseconds: of the forerunner if any, and of the graph.
    """
    sessions = [_session(graph, windows)]
    kept = against / f"{name}.onnx" if against else None
    said = ""
    if kept is not None and kept.exists():
        windows = np.load(kept.with_suffix(".npy"))
        sessions.insert(0, _session(kept.read_bytes(), windows))
        said = _difference(*(session.run(windows) for session in sessions))
    found = [milliseconds(sessions, windows, call) for call in CALLS]
    told = " | ".join(" -> ".join(f"{ms:6.1f}" for ms in each) for each in found)
    sys.stdout.write(f"{name:40} {told}  {len(graph) / 1e6:.2f} MB {said}\n")
    sys.stdout.flush()
    return found


def _difference(
    old: dict[str, NDArray[np.float32]], new: dict[str, NDArray[np.float32]]
) -> str:
    worst = {
        key: np.max(np.abs(old[key] - new[key]) / np.maximum(1.0, np.abs(old[key])))
        for key in old
    }
    return ", ".join(f"{key} {value:.1e}" for key, value in worst.items())


def page(table: Sequence[tuple[str, float, list[list[float]]]]) -> str:
    """Return the page of the measured graphs."""
    rows = [
        f"| {name} | {small[-1]:.1f} | {large[-1]:.1f} | {size:.2f} | "
        f"{_met(small[-1], large[-1])} |"
        for name, size, (small, large) in table
    ]
    return "\n".join([HEAD, *rows, TRIED])


def _met(small: float, large: float) -> str:
    if small >= AIM_MS:
        return "no"
    return "yes" if large < AIM_MS else "in calls of 50 only"


def _session(graph: bytes, windows: Windows) -> Session:
    return Session(graph, make_golden(graph, windows[:2]))


if __name__ == "__main__":
    main()
