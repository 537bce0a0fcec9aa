"""``tundish data version``, ``diff`` and ``tundish certificate``, as a user sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tundish.cli import main


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_version_of_a_set_is_printed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "set").mkdir()
    (here / "set/a.csv").write_text("x\n1\n", encoding="utf-8")
    assert main.status(["data", "version", "set", "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert main.status(["data", "version", "set/a.csv"]) == 0
    out = capsys.readouterr().out
    assert whole["digest"] in out
    assert "a.csv" in out
