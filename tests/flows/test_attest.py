"""A plant signs what its own model did on its own line, and nothing else can be signed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from tests.data.test_simulated import BASE
from typer.testing import CliRunner

from tundish.catalog import library
from tundish.catalog.evidence import standing
from tundish.cli.main import app
from tundish.flows import workspace as workspaces
from tundish.flows.attest import as_evidence, attest, read_evidence, signed_evidence
from tundish.flows.errors import EvidenceThinError
from tundish.flows.plan import measure
from tundish.flows.run_all import RunAllOrder, run_all
from tundish.flows.seal import SealOrder
from tundish.flows.simulate import simulate
from tundish.flows.train import Order
from tundish.flows.verify import read
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical
from tundish.kernel.digest import Digest
from tundish.kernel.errors import PathMissingError, RefusedError
from tundish.line.estimates import Estimate
from tundish.line.linefile import read_line_file
from tundish.line.plugins import open_buffer
from tundish.line.samples import to_us
from tundish.model.card import GENERATED
from tundish.seal import plantevidence
from tundish.seal.errors import EvidenceInvalidError, TermsInvalidError

BEGUN = to_us(datetime(2026, 5, 1, tzinfo=UTC))


class Plant:
    """A plant that trained on files of its own and runs a line on the package."""

    def __init__(self, root: Path, *, generated: bool = False) -> None:
        root.mkdir()
        self.root = root
        self.scenario = root / "dryer.yaml"
        text = yaml.safe_dump(BASE, allow_unicode=True)
        self.scenario.write_text(text, encoding="utf-8")
        simulate(str(self.scenario), root / "set")
        data = root / "set" if generated else self._own(root)
        self.workspace: Workspace = workspaces.create(root / "ws", "plant")
        order = Order(
            data=str(data), scenario=str(self.scenario), site=str(data / "site.yaml")
        )
        sealed = run_all(
            self.workspace,
            RunAllOrder(train=order, seal=SealOrder(valid_s=1e7, encrypt=False)),
        ).sealed
        assert sealed is not None
        self.package, self.digest = Path(sealed.file), Digest(sealed.digest)
        self.line = root / "dryer.line.yaml"
        said: dict[str, Any] = {
            "format": "tundish.line", "version": 1, "name": "dryer",
            "package": str(self.package), "buffer": {"path": "buffer"},
            "sources": [{"kind": "opcua", "endpoint": "opc.tcp://127.0.0.1:4840", "nodes": {"steam": "i=1", "speed": "i=2"}}],
        }  # fmt: skip
        self.line.write_bytes(canonical.dumps(said))

    @staticmethod
    def _own(root: Path) -> Path:
        """Stand for files of the plant: text, without mark or card."""
        own = root / "own"
        own.mkdir()
        for path in (root / "set").glob("*.parquet"):
            pl.read_parquet(path).write_csv(own / f"{path.stem}.csv")
        site = (root / "set" / "site.yaml").read_text("utf-8")
        (own / "site.yaml").write_text(site.replace(".parquet", ".csv"), "utf-8")
        return own

    def answer(self, hours: float, model: str | None = None) -> None:
        line = read_line_file(self.line)
        name = Digest(model) if model else self.digest
        rows = [
            Estimate(at_us=BEGUN + int(n * 3.6e9), quality="good" if n % 5 else "bad", value=None if n % 5 == 0 else 4.0, model=name, input=name)
            for n in range(int(hours) + 1)
        ]  # fmt: skip
        scenario = library.scenario(str(self.scenario))
        with open_buffer(line, scenario, self.root) as buffer:
            buffer.settle(rows, None)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    made = Plant(tmp_path_factory.mktemp("attest") / "plant")
    made.answer(40)
    return made


def test_a_plant_s_word_makes_its_scenario_proven(plant: Plant, tmp_path: Path) -> None:
    out = tmp_path / "dryer.evidence"
    body = attest(plant.workspace, plant.line, "mill 2", out)
    seen = body.seen
    assert (seen.answers, seen.withheld) == (41, 9)
    assert (seen.first, seen.last) == ("2026-05-01T00:00:00Z", "2026-05-02T16:00:00Z")
    assert seen.judged > 0
    scenario = library.scenario(str(plant.scenario))
    found = signed_evidence(plant.workspace, [tmp_path])
    assert standing(scenario, found, {}).level == "proven"
    other = scenario.model_copy(update={"stale_after_s": 61.0})
    assert standing(other, found, {}).level == "described"


def test_another_workspace_believes_it_only_if_it_trusts_the_plant(
    plant: Plant, tmp_path: Path
) -> None:
    out = tmp_path / "dryer.evidence"
    attest(plant.workspace, plant.line, "mill 2", out)
    office = workspaces.create(tmp_path / "office", "office")
    with pytest.raises(RefusedError) as refused:
        read_evidence(office, out)
    assert refused.value.code == "signer-untrusted"
    key = tmp_path / "plant.pub"
    key.write_bytes(plant.workspace.public_pem)
    office.trust(key)
    assert as_evidence(read_evidence(office, out)).data == "mill 2"


def test_a_plant_has_a_name_that_can_be_read(plant: Plant, tmp_path: Path) -> None:
    for name in ("", " ", "x" * 201, "mill\x1b[2J"):
        with pytest.raises(TermsInvalidError):
            attest(plant.workspace, plant.line, name, tmp_path / "dryer.evidence")
    assert not (tmp_path / "dryer.evidence").exists()


def test_a_signed_name_that_is_no_scenario_proves_nothing(
    plant: Plant, tmp_path: Path
) -> None:
    out = tmp_path / "dryer.evidence"
    seen = attest(plant.workspace, plant.line, "mill 2", out).seen
    now = plant.workspace.clock.now()
    signed = plantevidence.sign(
        seen.model_copy(update={"scenario": "pumps"}),
        now=now, not_after=now + timedelta(days=1), key=plant.workspace.key,
    )  # fmt: skip
    out.write_bytes(signed)
    with pytest.raises(EvidenceInvalidError, match=r"dryer\.evidence: .*'pumps'"):
        signed_evidence(plant.workspace, [tmp_path])
    with pytest.raises(PathMissingError):
        signed_evidence(plant.workspace, [tmp_path / "nowhere"])


def test_what_answered_for_less_than_a_day_is_too_thin(tmp_path: Path) -> None:
    plant = Plant(tmp_path / "plant")
    with pytest.raises(EvidenceThinError, match=r"0\.0 hours"):
        attest(plant.workspace, plant.line, "mill 2", tmp_path / "e")
    plant.answer(20)
    with pytest.raises(EvidenceThinError, match=r"20\.0 hours"):
        attest(plant.workspace, plant.line, "mill 2", tmp_path / "e")
    plant.answer(60, model="sha256:" + "0" * 64)  # another package's answers
    with pytest.raises(EvidenceThinError, match=r"20\.0 hours"):
        attest(plant.workspace, plant.line, "mill 2", tmp_path / "e")
    assert not (tmp_path / "e").exists()


def test_a_model_of_a_generated_set_proves_nothing(tmp_path: Path) -> None:
    plant = Plant(tmp_path / "plant", generated=True)
    plant.answer(40)
    card = read(plant.workspace, plant.package).card
    assert card.training.options[GENERATED] is True
    assert "generated data" in card.not_for[0]
    with pytest.raises(EvidenceThinError, match="generated or public"):
        attest(plant.workspace, plant.line, "mill 2", tmp_path / "e")
    targets = {t.key: t for t in measure(plant.workspace).targets}
    assert not any("dryer" in one for one in targets["sectors"].evidence)


def test_a_package_of_somebody_else_proves_nothing(
    plant: Plant, tmp_path: Path
) -> None:
    other = workspaces.create(tmp_path / "other", "other")
    key = tmp_path / "plant.pub"
    key.write_bytes(plant.workspace.public_pem)
    other.trust(key)
    with pytest.raises(EvidenceThinError, match="not sealed in this workspace"):
        attest(other, plant.line, "mill 2", tmp_path / "e")


def test_the_command_signs_and_the_coverage_counts_it(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(plant.root / "ws")
    out = tmp_path / "dryer.evidence"
    words = ["scenario", "attest", str(plant.line), str(out), "--plant", "mill 2"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "41 answers" in done.output
    done = CliRunner().invoke(
        app, ["catalog", "coverage", "--evidence", str(tmp_path), "--json"]
    )
    assert done.exit_code == 0, done.output
