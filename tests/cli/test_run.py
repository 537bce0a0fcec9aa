"""One command goes from data to a sealed package, and stops where it should."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tundish.cli import main
from tundish.cli.exits import NOT_GOOD_ENOUGH
from tundish.flows.ledger import list_ledger
from tundish.flows.workspace import find

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
RUN = [
    "run", "fermentation", "--scenario", "C25.21.fermentation-glucose",
    "--site", "fermentation",
]  # fmt: skip


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fermentation: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    assert main.status(["init", "plant"]) == 0
    monkeypatch.chdir(tmp_path / "plant")
    return tmp_path / "plant"


def acts(folder: Path) -> list[str]:
    return [entry.act for _, entry in list_ledger(find(folder))]


def test_an_accepted_model_is_sealed(
    plant: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main.status([*RUN, "--days", "30", "--fingerprint", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"]["accepted"]
    assert Path(report["sealed"]["file"]).is_file()
    assert report["sealed"]["fingerprint"]
    assert [act for act in acts(plant) if act != "copying-measured"][-5:] == [
        "graded", "trained", "judged", "fingerprint-committed", "package-sealed",
    ]  # fmt: skip
    assert main.status(["verify", report["sealed"]["file"]]) == 0


def test_a_refused_model_is_shown_and_not_sealed(
    plant: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = main.status([*RUN, "--candidate", "plain"])
    said = capsys.readouterr().out
    assert ended == NOT_GOOD_ENOUGH
    assert "REFUSED" in said
    assert "Nothing is sealed" in said
    assert acts(plant)[-3:] == ["graded", "trained", "judged"]
    assert not list(plant.rglob("*.tar"))
