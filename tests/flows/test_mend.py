"""``tundish grade --mend``: a new version beside its lineage, never in place."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tundish
from tundish.cli import main
from tundish.data.readers import read_table
from tundish.data.version import version_of
from tundish.flows import workspace as workspaces
from tundish.flows.errors import OutExistsError
from tundish.flows.ledger import list_ledger, reach
from tundish.kernel import canonical
from tundish.kernel.errors import PathMissingError


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A table in which three rows are copies and one tag holds a code four times."""
    values = np.random.default_rng(1).normal(size=(300, 3)).round(4)
    values[[5, 50, 150, 250], 1] = -9999
    rows = [",".join(map(str, row)) for row in values]
    path = tmp_path / "in" / "export.csv"
    path.parent.mkdir()
    path.write_text(
        "\n".join(["Flow [l/s],Level [m],Power [kW]", *rows, *rows[10:13]]) + "\n",
        encoding="utf-8",
    )
    return path


def test_a_new_version_stands_beside_its_lineage_and_the_old_one_is_as_it_was(
    tmp_path: Path, broken: Path
) -> None:
    before = broken.read_bytes()
    report = tundish.mend(str(broken), tmp_path / "new")
    assert broken.read_bytes() == before
    told = canonical.loads_canonical((tmp_path / "new/lineage.json").read_bytes())
    assert told == report.lineage.to_json()
    assert report.lineage.parent.digest == version_of(broken).digest
    assert report.lineage.version.digest == version_of(tmp_path / "new").digest
    found = {step.kind: (step.rows, step.cells) for step in report.lineage.steps}
    assert found == {"code-value": (4, 4), "duplicate-row": (3, 0)}
    assert (
        report.after.findings
        == tundish.grade(str(tmp_path / "new/export.csv")).findings
    )
    assert not {"code-value", "duplicate-row"} & {f.kind for f in report.after.findings}
    assert {item.kind for item in report.lineage.unmended} == {
        finding.kind for finding in report.after.findings
    }
    assert all(item.why for item in report.lineage.unmended)


@pytest.mark.parametrize("name", ["new.csv", "new.parquet"])
def test_a_file_may_be_named_and_its_ending_chooses_the_form(
    tmp_path: Path, broken: Path, name: str
) -> None:
    report = tundish.mend(str(broken), tmp_path / name)
    assert report.lineage.version.digest == version_of(tmp_path / name).digest
    assert (tmp_path / f"{name}.lineage.json").is_file()
    assert read_table(tmp_path / name).frame.height == 300


@pytest.mark.parametrize("taken", ["new", "new.csv", "in/new"])
def test_nothing_is_written_over(tmp_path: Path, broken: Path, taken: str) -> None:
    (tmp_path / taken).mkdir()
    with pytest.raises(OutExistsError):
        tundish.mend(str(broken), tmp_path / taken)
    assert list((tmp_path / taken).iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_said(broken: Path) -> None:
    with pytest.raises(PathMissingError, match="Nothing can be written"):
        tundish.mend(str(broken), broken / "new")


def test_a_dry_run_writes_nothing_and_says_the_same(
    tmp_path: Path, broken: Path
) -> None:
    dry = tundish.mend(str(broken), tmp_path / "new", dry_run=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]
    assert dry.written == ""
    real = tundish.mend(str(broken), tmp_path / "new")
    assert dry.lineage.steps == real.lineage.steps
    assert dry.after == real.after


def test_the_ledger_leads_from_the_old_version_to_the_new(
    tmp_path: Path, broken: Path
) -> None:
    plant = workspaces.create(tmp_path / "plant")
    report = tundish.mend(str(broken), tmp_path / "new", workspace=plant)
    entry = list_ledger(plant)[-1][1]
    assert entry.act == "mended"
    assert entry.detail["cells"] == 4
    found = reach(plant, report.lineage.parent.digest)
    assert report.lineage.version.digest in {item.digest for item in found.relatives}
    again = tundish.mend(
        str(tmp_path / "new/export.csv"), tmp_path / "again", workspace=plant
    )
    assert again.clean
    assert again.lineage.version.digest == again.lineage.parent.digest


def test_the_command_says_what_was_done_and_what_was_not(
    tmp_path: Path,
    broken: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["grade", str(broken), "--mend", "new"]
    assert main.status([*command, "--dry-run"]) == 0
    assert "Nothing was written" in capsys.readouterr().out
    assert main.status(command) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "codes for 'no value' turned into empty cells (Level [m]): 4 rows" in said
    assert "Grade" in said
    assert main.status(command) == 2
    assert "[out-exists]" in capsys.readouterr().err
    assert main.status([*command[:-1], "two", "--json", "--at-least", "a"]) == 1
    assert json.loads(capsys.readouterr().out)["lineage"]["steps"]
    assert main.status(["grade", str(broken), "--dry-run"]) == 2


def test_a_set_of_a_site_is_mended_file_by_file(
    tmp_path: Path, water_flow: Path
) -> None:
    report = tundish.mend("water-flow", tmp_path / "new")
    names = {path.name for path in water_flow.iterdir()} - {"fetched.json"}
    assert names < {path.name for path in (tmp_path / "new").iterdir()}
    assert report.before.tables.keys() == report.after.tables.keys()
    assert tundish.mend("water-flow", tmp_path / "dry", dry_run=True).lineage.steps == (
        report.lineage.steps
    )
