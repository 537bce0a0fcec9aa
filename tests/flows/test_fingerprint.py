"""Laws of a fingerprint's file and its proof: committed first, opened by its owner only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tundish.cli import main
from tundish.flows import fingerprint as verbs
from tundish.flows import fingerprint_file as files
from tundish.flows import runs
from tundish.flows import workspace as workspaces
from tundish.flows.copying import copying
from tundish.flows.errors import (
    AnswersFileError,
    FingerprintLateError,
    FingerprintUncommittedError,
    FingerprintUnreadableError,
)
from tundish.flows.fingerprint import FingerprintReport, Foreign
from tundish.flows.fingerprint_proof import require_in_time
from tundish.flows.grant import GrantOrder, grant
from tundish.flows.judge import judge
from tundish.flows.ledger import list_ledger
from tundish.flows.report.run_page import write_page
from tundish.flows.seal import SealOrder, seal
from tundish.flows.train import Order, train
from tundish.flows.workspace import Workspace
from tundish.kernel import digest
from tundish.kernel.errors import RefusedError
from tundish.learn.graph import GraphWriter
from tundish.ledger import merkle, note
from tundish.ledger.errors import LedgerTamperedError
from tundish.model.session import run_foreign

CHANNELS = 4
DAY_S = 86_400.0


def wavy(shift: float = 0.0) -> bytes:
    """Return a graph that adds a wave of its own to a plain sum."""
    writer = GraphWriter(1, CHANNELS)
    flat = writer.flat(writer.window())
    weights = writer.constant(np.array([[1.0], [0.5], [-0.7], [0.2]]), "weights")
    fast = writer.constant(np.array([[3.0], [2.0], [0.0], [1.0]]), "fast")
    wave = writer.add("Sin", writer.add("MatMul", flat, fast))
    total = writer.add("Add", writer.add("MatMul", flat, weights), wave)
    moved = writer.add("Add", total, writer.constant(np.array([shift]), "shift"))
    return writer.write({"estimate": moved}, {"estimate": 1})


@dataclass(frozen=True, kw_only=True)
class Bench:
    plant: Workspace
    graph: Path
    made: FingerprintReport

    @property
    def file(self) -> Path:
        return Path(self.made.file)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    root = tmp_path_factory.mktemp("fingerprint")
    plant = workspaces.create(root / "plant")
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 1, CHANNELS)).astype(np.float32)
    y = x[:, 0, :].astype(np.float64) @ np.array([1.0, 0.5, -0.7, 0.2])
    graph, material = root / "own.onnx", root / "own.npz"
    graph.write_bytes(wavy())
    np.savez(material, x=x, y=y + rng.normal(0.0, 0.1, 300))
    made = verbs.make(plant, Foreign(graph=graph, material=material))
    return Bench(plant=plant, graph=graph, made=made)


def test_the_file_itself_and_a_renamed_one_are_found(
    bench: Bench, tmp_path: Path
) -> None:
    found = verbs.compare(bench.plant, bench.file, bench.graph)
    assert found.agreement.share == 1.0
    assert "byte for byte" in found.said
    model = onnx.load_from_string(wavy(shift=40.0))
    model.graph.input[0].name = "features"
    for node in model.graph.node:
        node.input[:] = [
            "features" if name == "window" else name for name in node.input
        ]
        node.output[:] = ["y" if name == "estimate" else name for name in node.output]
    model.graph.output[0].name = "y"
    other = tmp_path / "other.onnx"
    other.write_bytes(model.SerializeToString())
    found = verbs.compare(bench.plant, bench.file, other)
    assert found.agreement.share == 1.0
    assert found.agreement.found == "copy"


def test_a_suspect_that_can_only_be_asked_is_compared_by_its_answers(
    bench: Bench, tmp_path: Path
) -> None:
    windows, answers = tmp_path / "windows.npy", tmp_path / "answers.csv"
    report = verbs.questions(bench.plant, bench.file, windows)
    asked = np.load(windows)
    assert asked.shape == (report.windows, 1, CHANNELS)
    said = run_foreign(bench.graph.read_bytes(), asked)["estimate"][:, 0]
    answers.write_text("answer\n" + "\n".join(str(item) for item in said) + "\n")
    assert verbs.compare(bench.plant, bench.file, answers).agreement.share == 1.0
    plain = asked[:, 0, :] @ np.array([1.0, 0.5, -0.7, 0.2])
    answers.write_text("\n".join(str(item) for item in plain))
    found = verbs.compare(bench.plant, bench.file, answers)
    assert found.agreement.found == "nothing"
    csv = tmp_path / "windows.csv"
    verbs.questions(bench.plant, bench.file, csv)
    table = np.loadtxt(csv, delimiter=",", skiprows=1, dtype=np.float64)
    assert np.array_equal(table[:, 1:].astype(np.float32), asked[:, 0, :])
    assert np.array_equal(table[:, 0], np.arange(len(asked)))


@pytest.mark.parametrize("text", ["", "1\n2\n", "x\ny\nz\n"])
def test_answers_that_do_not_fit_the_questions_are_refused(
    bench: Bench, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "answers.csv"
    file.write_text(text)
    with pytest.raises(AnswersFileError, match="one for each of the"):
        verbs.compare(bench.plant, bench.file, file)


def test_a_hostile_suspect_is_refused_like_any_graph(
    bench: Bench, tmp_path: Path
) -> None:
    model = onnx.load_from_string(wavy())
    model.graph.node[1].domain = "evil.example"
    model.opset_import.append(onnx.helper.make_opsetid("evil.example", 1))
    file = tmp_path / "suspect.onnx"
    file.write_bytes(model.SerializeToString())
    with pytest.raises(RefusedError) as refused:
        verbs.compare(bench.plant, bench.file, file)
    assert refused.value.code == "graph-operator"


def test_nobody_but_the_owner_opens_it_and_no_changed_byte_passes(
    bench: Bench, tmp_path: Path
) -> None:
    data = bench.file.read_bytes()
    assert data.startswith(b"age-encryption.org/v1")
    stranger = workspaces.create(tmp_path / "stranger")
    with pytest.raises(FingerprintUnreadableError):
        verbs.show(stranger, bench.file)
    changed = tmp_path / "changed.age"
    for place in (0, 60, len(data) // 2, len(data) - 1):
        wrong = bytearray(data)
        wrong[place] ^= 1
        changed.write_bytes(wrong)
        with pytest.raises(FingerprintUnreadableError):
            verbs.show(bench.plant, changed)
    assert verbs.show(bench.plant, bench.file).commitment == bench.made.commitment


def test_a_fingerprint_that_nobody_committed_proves_nothing(bench: Bench) -> None:
    """One changed answer, or another salt, is another commitment."""
    made = files.read(bench.plant, bench.file)
    answers = (-made.answers[0], *made.answers[1:])
    for changed in ({"answers": answers}, {"salt": files.new_salt()}):
        other = made.model_copy(update=changed)
        assert other.commitment != made.commitment
        path = files.write(bench.plant, other)
        with pytest.raises(FingerprintUncommittedError):
            verbs.compare(bench.plant, path, bench.graph)
        path.unlink()


def test_the_proof_can_be_checked_again_by_anybody(bench: Bench) -> None:
    proof = verbs.compare(bench.plant, bench.file, bench.graph).proof
    text = note.verify_note(proof.checkpoint, bench.plant.verifiers()).text
    claim = note.read_checkpoint(text)
    assert (claim.size, claim.root.hex()) == (proof.size, proof.root)
    merkle.verify_inclusion(
        merkle.leaf_hash(proof.body.encode()),
        index=proof.entry,
        size=claim.size,
        proof=[bytes.fromhex(item) for item in proof.hashes],
        root=claim.root,
    )
    assert bench.made.commitment in proof.body


def test_a_checkpoint_of_another_history_is_refused(
    bench: Bench, tmp_path: Path
) -> None:
    other = workspaces.create(tmp_path / "other", name=bench.plant.name)
    with other.ledger() as ledger:
        checkpoint = ledger.checkpoints()[-1]
    witness = tmp_path / "witness.txt"
    witness.write_text(checkpoint)
    with pytest.raises(LedgerTamperedError):
        verbs.compare(bench.plant, bench.file, bench.graph, witnessed=[witness])


def test_a_seal_before_the_commitment_is_late(bench: Bench) -> None:
    run, package = digest.of_bytes(b"run"), digest.of_bytes(b"package")
    sample = list_ledger(bench.plant)[0][1]
    sealed = sample.model_copy(
        update={"act": "package-sealed", "inputs": (run,), "outputs": (package,)}
    )
    entries = [(0, sample), (1, sealed), (2, sample)]
    require_in_time(entries, run, before=1)
    require_in_time(entries, digest.of_bytes(b"another run"), before=3)
    with pytest.raises(FingerprintLateError, match="entry 1"):
        require_in_time(entries, run, before=2)


def test_a_graph_that_was_sealed_is_late_though_it_is_given_as_a_file(
    bench: Bench,
) -> None:
    """Else its run's own graph would get questions that were made afterwards."""
    run, package = digest.of_bytes(b"run"), digest.of_bytes(b"package")
    graph, sample = digest.of_bytes(b"graph"), list_ledger(bench.plant)[0][1]
    trained = sample.model_copy(update={"act": "trained", "outputs": (run, graph)})
    said = {"act": "package-sealed", "outputs": (package,)}
    of_run = sample.model_copy(update={**said, "inputs": (run,)})
    of_folder = sample.model_copy(update={**said, "detail": {"graph": graph}})
    other = digest.of_bytes(b"another graph")
    for entries in ([(0, trained), (1, of_run)], [(0, sample), (1, of_folder)]):
        require_in_time(entries, None, before=1, graph=graph)
        require_in_time(entries, None, before=2, graph=other)
        with pytest.raises(FingerprintLateError, match="entry 1"):
            require_in_time(entries, None, before=2, graph=graph)


def test_material_of_another_form_is_refused(bench: Bench, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.npz"
    for arrays in ({"z": np.zeros(3)}, {"x": np.zeros((3, 4))}):
        np.savez(wrong, **arrays)
        with pytest.raises(AnswersFileError):
            verbs.make(bench.plant, Foreign(graph=bench.graph, material=wrong))
    np.savez(wrong, x=np.array([{}], dtype=object))
    with pytest.raises(AnswersFileError):
        verbs.make(bench.plant, Foreign(graph=bench.graph, material=wrong))


def test_the_command_ends_with_one_if_nothing_is_shown(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--workspace", str(bench.plant.root)]
    words = ["fingerprint", "compare", str(bench.file)]
    assert main.status([*words, str(bench.graph), *place]) == 0
    assert "independent models" in capsys.readouterr().out
    answers = tmp_path / "answers.csv"
    answers.write_text("0\n" * bench.made.windows)
    assert main.status([*words, str(answers), *place]) == 1
    assert main.status(["fingerprint", "show", str(bench.file), *place]) == 0
    assert "commitment" in capsys.readouterr().out


@pytest.mark.e2e
def test_a_run_is_fingerprinted_sealed_and_its_copies_are_measured(
    water_flow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole way on the real water main: commit, seal, compare; and what a day gives."""
    assert water_flow.is_dir()
    plant = workspaces.create(tmp_path / "plant")
    made = train(
        plant,
        Order(data="water-flow", scenario="D46.27.pipeline-flow", site="water-flow"),
    )
    folder = plant.runs / made.run
    verdict = judge(plant)
    accepted = verdict.model_copy(update={"accepted": True})  # only the seal needs it
    runs.write(folder, {runs.VERDICT: accepted})
    report = copying(plant)
    assert report.graph == made.graph
    assert len(report.trials) == 13
    assert runs.find(plant, "").copying == report
    page = tmp_path / "run.html"
    write_page(plant, "", page)
    text = page.read_text(encoding="utf-8")
    assert "How far a copy agrees" in text
    assert f"{report.day.agrees:.0%}" in text
    sealed = seal(plant, "", SealOrder(valid_s=DAY_S, fingerprint=True))
    assert sealed.fingerprint is not None
    (file,) = (plant.inner / files.FOLDER).glob("*")
    found = verbs.compare(plant, file, folder / runs.GRAPH)
    assert found.agreement.share == 1.0
    assert found.proof.packages == (sealed.digest,)
    assert verbs.show(plant, file).sibling is not None
    assert file.read_bytes()[:200] not in Path(sealed.file).read_bytes()
    box = workspaces.create(tmp_path / "box")
    order = GrantOrder(
        device=box.device_text, purpose="p", valid_s=DAY_S, answers_per_day=24
    )
    said: Any = grant(plant, Path(sealed.file), order, tmp_path / "a.grant")
    assert said.gives_away == report.said(24)
    with pytest.raises(FingerprintLateError):
        verbs.make(plant)
    assert list_ledger(plant)[-1][1].code == "fingerprint-late"
    broken = replace(runs.find(plant, ""), name="x")
    assert broken.copying is not None
    runs.write(folder, {runs.COPYING: report.model_copy(update={"graph": "other"})})
    with pytest.raises(RefusedError, match="another graph"):
        runs.find(plant, "")
    capsys.readouterr()
