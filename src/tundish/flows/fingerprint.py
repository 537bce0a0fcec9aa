"""Verbs on fingerprints: make one, hold a suspect against it, show it, ask by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from tundish.catalog.tasks import Task
from tundish.flows import fingerprint_file as files
from tundish.flows import runs
from tundish.flows.errors import AnswersFileError
from tundish.flows.fingerprint_file import FingerprintFile, Stranger
from tundish.flows.fingerprint_proof import COMMITTED, Proof, prove, require_in_time
from tundish.flows.fingerprint_siblings import Siblings, no_siblings, of_halves
from tundish.flows.judge import material_of
from tundish.flows.ledger import list_ledger
from tundish.flows.outputs import write_out
from tundish.flows.workspace import Workspace
from tundish.kernel import clock, paths
from tundish.kernel import digest as digests
from tundish.kernel.digest import Digest
from tundish.kernel.records import Record
from tundish.learn import fingerprinting
from tundish.learn.fingerprint import QUESTIONS, Agreement, agreement, values_of
from tundish.learn.fingerprinting import Owner
from tundish.learn.independents import Kind, Values
from tundish.learn.material import Floats, Windows
from tundish.learn.recipe import outputs_of
from tundish.model.golden import MAX_ELEMENTS, Tensor
from tundish.model.session import run_foreign

GRAPH = ".onnx"
NO_ARRAYS = (OSError, EOFError, BadZipFile, KeyError, TypeError, ValueError)
_KINDS: dict[Task, Kind] = {
    "regress": "estimate",
    "rul": "estimate",
    "forecast": "estimate",
    "diagnose": "label",
    "anomaly": "score",
    "inspect": "score",
}
Tell = Callable[[str], None]


class FingerprintReport(Record):
    """A fingerprint, without its answers.

    Attributes:
        chance, chance_most: Agreement of independent models: mean, and the largest.
        sibling: Largest agreement of a model of the same recipe on half of the data.
    """

    file: str
    commitment: str
    product: str
    graph: str
    output: str
    form: str
    questions: int
    windows: int
    shape: tuple[int, ...]
    chance: float
    chance_most: float
    strangers: int
    sibling: float | None
    made_at: str


class CompareReport(Record):
    """How far a suspect agrees, and the proof of what it was held against."""

    product: str
    graph: str
    suspect: str
    suspect_digest: str
    said: str
    agreement: Agreement
    proof: Proof


class QuestionsReport(Record):
    """Windows that were written for a suspect that can only be asked."""

    file: str
    windows: int
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A graph that no run made, and what it was trained on.

    Attributes:
        graph: The ONNX file, one input [N, T, C].
        material: An ``.npz`` with ``x`` [N, T, C] and, unless it is a detector, ``y``
            [N]: whole numbers for classes.
        output: The output that is compared; None: the first.
    """

    graph: Path
    material: Path
    output: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Subject:
    product: str
    run: Digest | None
    graph: bytes
    output: str
    kind: Kind
    x: Windows
    y: Floats | None
    siblings: Siblings = no_siblings


def make(
    workspace: Workspace,
    of: str | Foreign = "",
    tell: Tell = lambda _text: None,
) -> FingerprintReport:
    """Make the fingerprint of a model, encrypt it to its owner, commit to it.

    Args:
        workspace: The owner's.
        of: A run (its name, the beginning of it, or "" for the newest), or a foreign
            graph.
        tell: Told what is being done.

    Raises:
        FingerprintLateError: if a package of the run or graph was sealed already.
        MaterialUnfitError: if independent models do not contradict it often enough.
        AnswersFileError: if the material of a foreign graph has another form.
    """
    subject = _foreign(of) if isinstance(of, Foreign) else _of_run(workspace, of)
    entries = list_ledger(workspace)
    with workspace.refusals_kept(COMMITTED, [subject.run] if subject.run else []):
        graph = digests.of_bytes(subject.graph)
        require_in_time(entries, subject.run, len(entries), graph)
    made = _file(workspace, subject, tell)
    path = files.write(workspace, made)
    workspace.record(
        COMMITTED,
        inputs=[*([subject.run] if subject.run else []), made.graph],
        outputs=[made.commitment],
        names={made.commitment: path.name},
        detail={"graph": made.graph, "questions": len(made.places)},
    )
    return _report(made, path)


def show(workspace: Workspace, fingerprint: Path) -> FingerprintReport:
    """Return what a fingerprint is of; its answers stay in it.

    Raises:
        FingerprintUnreadableError: if it is another owner's, or was changed.
    """
    return _report(files.read(workspace, fingerprint), fingerprint)


def questions(workspace: Workspace, fingerprint: Path, to: Path) -> QuestionsReport:
    """Write the windows without the answers, for a suspect that can only be asked.

    A name that ends in ``.npy`` gets float32 [M, T, C]; any other gets a CSV with the
    number of the window in the first column and one row for each of its rows.

    Raises:
        FingerprintUnreadableError: if it is another owner's, or was changed.
    """
    made = files.read(workspace, fingerprint)
    windows = made.windows.array()
    if to.suffix == ".npy":
        held = BytesIO()
        np.save(held, windows, allow_pickle=False)
        write_out(to, held.getvalue())
    else:
        write_out(to, _csv(windows).encode())
    return QuestionsReport(file=str(to), windows=len(windows), shape=windows.shape)


def compare(
    workspace: Workspace,
    fingerprint: Path,
    suspect: Path,
    *,
    output: str | None = None,
    witnessed: Sequence[Path] = (),
) -> CompareReport:
    """Hold a suspect against a fingerprint, and prove that it is the committed one.

    Args:
        workspace: The owner's.
        fingerprint: The encrypted file.
        suspect: An ONNX graph, or a CSV with the answers to ``questions``, one line
            for each window in their order. Untrusted.
        output: The suspect's output; None: the owner's name for it if the suspect has
            it, else its first.
        witnessed: Files with checkpoints of the ledger that were kept elsewhere.

    Raises:
        FingerprintUnreadableError, FingerprintUncommittedError, FingerprintLateError,
        LedgerTamperedError: if the fingerprint proves nothing.
        AnswersFileError: if the answers do not fit the questions.
        Exception: what ``model.session.run_foreign`` refuses.
    """
    made = files.read(workspace, fingerprint)
    with workspace.refusals_kept("fingerprint-compared", [made.commitment]):
        proof = prove(workspace, made.commitment, made.run, made.graph, witnessed)
    data = paths.read_file(suspect, most=paths.GRAPH_BYTES)
    asked = made.questions
    values = (
        _by_graph(data, made, output)
        if suspect.suffix.lower() == GRAPH
        else _by_answers(suspect, data, made)
    )
    found = agreement(
        asked.hits(values),
        [item.share for item in made.strangers],
        [item.share for item in made.siblings],
    )
    held = digests.of_bytes(data)
    workspace.record(
        "fingerprint-compared",
        inputs=[made.commitment, held],
        detail={"questions": found.questions, "same": found.same},
    )
    return CompareReport(
        product=made.product,
        graph=made.graph,
        suspect=suspect.name,
        suspect_digest=held,
        said=_said(found, same_file=held == made.graph),
        agreement=found,
        proof=proof,
    )


def _said(found: Agreement, *, same_file: bool) -> str:
    if same_file:
        return "It is the owner's file, byte for byte."
    words = {
        "copy": "It answers as a copy of the owner's model does.",
        "kin": "It agrees further than independent models do: made from the owner's "
        "answers, from the same data, or by the same recipe on the same process.",
        "nothing": "It agrees no further than an independent model may: nothing is shown.",
    }
    return words[found.found]


def _of_run(workspace: Workspace, name: str) -> _Subject:
    found = runs.find(workspace, name)
    material = material_of(found)
    kind = _KINDS[found.scenario.task]
    truth = material.y if material.y.ndim == 1 else material.y[:, 0]
    usable = material.part != "judge"
    usable &= material.event < 0 if kind == "score" else np.isfinite(truth)
    return _Subject(
        product=found.scenario.key,
        run=found.digest,
        graph=found.graph,
        output=next(iter(outputs_of(found.scenario))),
        kind=kind,
        x=material.x[usable],
        y=None if kind == "score" else truth[usable],
        siblings=of_halves(found, material),
    )


def _foreign(of: Foreign) -> _Subject:
    graph = paths.read_file(of.graph, most=paths.GRAPH_BYTES)
    try:
        with (
            paths.existing_file(of.material).open("rb") as stream,
            np.load(stream, allow_pickle=False) as held,
        ):
            x, y = held["x"], held["y"] if "y" in held.files else None
    except NO_ARRAYS as error:
        msg = f"{of.material} holds no array x, or is no .npz file: {type(error).__name__}."
        raise AnswersFileError(msg) from error
    if x.ndim != 3 or (y is not None and y.shape != (len(x),)):
        msg = f"{of.material} holds x of shape {list(x.shape)}; [N, T, C] and y of shape [N] are expected."
        raise AnswersFileError(msg)
    windows = np.asarray(x, np.float32)
    outputs = run_foreign(graph, windows[:1])
    kind: Kind = (
        "score" if y is None else "label" if y.dtype.kind in "iu" else "estimate"
    )
    return _Subject(
        product=of.graph.stem,
        run=None,
        graph=graph,
        output=of.output or next(iter(outputs)),
        kind=kind,
        x=windows,
        y=None if y is None else np.asarray(y, np.float64),
    )


def _file(workspace: Workspace, subject: _Subject, tell: Tell) -> FingerprintFile:
    label = subject.kind == "label"

    def answer(windows: Windows) -> Values:
        outputs = run_foreign(subject.graph, windows)
        return values_of(outputs, subject.output, label=label)

    owner = Owner(kind=subject.kind, x=subject.x, y=subject.y, answer=answer)
    most = max(1, MAX_ELEMENTS // (2 * subject.x[0].size))
    seed = int.from_bytes(bytes.fromhex(files.new_salt())[:8])
    made = fingerprinting.make(
        owner, np.random.default_rng(seed), tell, count=min(QUESTIONS, most)
    )
    asked = made.questions
    tell("training the recipe on halves of the data")
    siblings = subject.siblings(
        lambda outputs: float(
            asked.hits(values_of(outputs, subject.output, label=label)).mean()
        ),
        asked.windows,
    )
    return FingerprintFile(
        salt=files.new_salt(),
        product=subject.product,
        run=subject.run,
        graph=digests.of_bytes(subject.graph),
        output=subject.output,
        kind=subject.kind,
        form=asked.form,
        windows=Tensor.of(asked.windows),
        places=tuple(tuple(int(at) for at in place) for place in asked.places),
        answers=tuple(int(item) for item in asked.answers),
        strangers=tuple(
            Stranger(name=name, share=share) for name, share in made.chance
        ),
        siblings=tuple(Stranger(name=name, share=share) for name, share in siblings),
        made_at=clock.to_text(workspace.clock.now()),
    )


def _by_graph(data: bytes, made: FingerprintFile, output: str | None) -> Values:
    outputs = run_foreign(data, made.windows.array())
    known = made.output if made.output in outputs else None
    if output is not None and output not in outputs:
        have = ", ".join(outputs)
        msg = f"The suspect has no output {output!r}; it has: {have}."
        raise AnswersFileError(msg)
    return values_of(outputs, output or known, label=made.form == "label")


def _by_answers(path: Path, data: bytes, made: FingerprintFile) -> Values:
    lines = data.decode("utf-8", "replace").splitlines()
    rows = [_numbers(line) for line in lines if line.strip()]
    if rows and rows[0] is None:
        rows = rows[1:]
    count = made.windows.shape[0]
    whole = [row for row in rows if row is not None]
    if len(whole) != len(rows) or len(whole) != count or len({*map(len, whole)}) != 1:
        msg = f"{path} has {len(whole)} lines of numbers; one for each of the {count} windows is expected, all of one width."
        raise AnswersFileError(msg)
    table = np.asarray(whole, np.float64)
    return values_of({"answers": table}, label=made.form == "label")


def _numbers(line: str) -> list[float] | None:
    try:
        return [float(cell) for cell in line.split(",")]
    except ValueError:
        return None


def _csv(windows: Windows) -> str:
    channels = windows.shape[2]
    lines = ["window," + ",".join(f"c{at}" for at in range(channels))]
    for number, window in enumerate(windows):
        lines += [
            f"{number}," + ",".join(repr(float(value)) for value in row)
            for row in window
        ]
    return "\n".join(lines) + "\n"


def _report(made: FingerprintFile, path: Path) -> FingerprintReport:
    shares = [item.share for item in made.strangers]
    return FingerprintReport(
        file=str(path),
        commitment=made.commitment,
        product=made.product,
        graph=made.graph,
        output=made.output,
        form=made.form,
        questions=len(made.places),
        windows=made.windows.shape[0],
        shape=made.windows.shape[1:],
        chance=float(np.mean(shares)),
        chance_most=max(shares),
        strangers=len(shares),
        sibling=max((item.share for item in made.siblings), default=None),
        made_at=made.made_at,
    )
