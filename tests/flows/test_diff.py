"""``tundish data diff``: what a new version does to the data and to its grade."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tundish
from tundish.cli import main
from tundish.flows import workspace as workspaces
from tundish.flows.ledger import list_ledger


def _write(path: Path, values: np.ndarray, head: str = "Flow [l/s],Level [m]") -> Path:
    start = np.datetime64("2026-03-01T00:00:00")
    rows = [
        f"{start + np.timedelta64(60 * i, 's')}Z," + ",".join(map(str, row))
        for i, row in enumerate(values)
    ]
    path.write_text("\n".join([f"Time,{head}", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def sound() -> np.ndarray:
    steps = np.random.default_rng(3).normal(size=(3000, 2))
    return (20 + np.cumsum(steps, axis=0) * 0.1 + steps).round(4)


@pytest.fixture
def old(tmp_path: Path, sound: np.ndarray) -> Path:
    return _write(tmp_path / "old.csv", sound)


def _worse(path: Path, sound: np.ndarray) -> Path:
    worse = sound.copy()
    worse[::7, 0] = -9999
    return _write(path, worse)


def test_the_same_bytes_are_the_same_under_any_name(
    tmp_path: Path, old: Path, sound: np.ndarray
) -> None:
    found = tundish.diff(str(old), str(_write(tmp_path / "new.csv", sound)))
    assert found.identical
    assert found.tables[0].moved == ()
    assert not found.grade.fell
    assert found.grade.gone == found.grade.new == ()


def test_a_worse_version_is_said_with_its_findings(
    tmp_path: Path, old: Path, sound: np.ndarray
) -> None:
    new = _worse(tmp_path / "new.csv", sound)
    found = tundish.diff(str(old), str(new))
    assert found.grade.fell
    assert "code-value" in {finding.kind for finding in found.grade.new}
    assert {"Q04"} <= {item.id for item in found.grade.indicators}
    assert found.tables[0].rows.changed == 429
    back = tundish.diff(str(new), str(old))
    assert not back.grade.fell
    assert {f.kind for f in back.grade.gone} == {f.kind for f in found.grade.new}


def test_mending_is_seen_as_what_it_is(tmp_path: Path, sound: np.ndarray) -> None:
    worse = _worse(tmp_path / "worse.csv", sound)
    tundish.mend(str(worse), tmp_path / "mended")
    found = tundish.diff(str(worse), str(tmp_path / "mended/worse.csv"))
    assert found.tables[0].rows.changed == 429
    assert "code-value" in {finding.kind for finding in found.grade.gone}


def test_the_command_ends_with_1_if_the_letter_fell(
    tmp_path: Path,
    old: Path,
    sound: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plant = workspaces.create(tmp_path / "plant")
    monkeypatch.chdir(plant.root)
    new = _worse(tmp_path / "new.csv", sound)
    assert main.status(["data", "diff", str(old), str(new)]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "3,000 in both, 429 of them changed" in said
    assert "Flow [l/s]" in said
    assert "new: code-value" in said
    assert list_ledger(plant)[-1][1].act == "compared"
    assert main.status(["data", "diff", str(new), str(old), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["tables"][0]["columns"][1]["changed"] == 429
    assert main.status(["data", "diff", str(tmp_path), str(old)]) == 2
    assert "--site" in capsys.readouterr().err


def test_a_set_of_a_site_is_compared_in_its_tables(water_flow: Path) -> None:
    found = tundish.diff("water-flow", "water-flow")
    assert found.identical
    assert found.tables
    assert all(table.moved == () for table in found.tables)
