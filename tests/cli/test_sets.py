"""``tundish data load`` and ``grade-all``, as a person uses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from tundish.cli import main, show

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNDISH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")


def _json(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main.status(["data", *words, "--json"]) == 0
    return cast("dict[str, Any]", json.loads(capsys.readouterr().out))


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells of tables are not folded."""
    monkeypatch.setattr(show.out, "width", 240)


def test_what_is_in_a_set_is_printed_and_written(
    real_sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tables"
    words = ["load", "tclab-heater", "--mirror", str(real_sets), "--out", str(out)]
    assert main.status(["data", *words]) == 0
    said = capsys.readouterr().out
    for word in ("14,400", "841", "degC", "setting Q1, Q2", "2 tables written"):
        assert word in said
    assert sorted(path.name for path in out.iterdir()) == [
        "test.parquet",
        "train.parquet",
    ]
    report = _json(capsys, "load", "tclab-heater", "--mirror", str(real_sets))
    assert {part["name"]: part["rows"] for part in report["parts"]} == {
        "train": 14400,
        "test": 841,
    }


def test_a_set_that_is_not_whole_is_refused_and_says_how_to_go_on(
    real_sets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "load", "cmapss", "--mirror", str(real_sets)]
    assert main.status(words) == 2
    assert "--partial" in capsys.readouterr().err
    assert main.status([*words, "--partial"]) == 0
    assert "Not there: " in capsys.readouterr().out


def test_closed_terms_are_accepted_before_a_mirror_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stick" / "elpv-subset").mkdir(parents=True)
    words = ["data", "load", "elpv-subset", "--mirror", str(tmp_path / "stick")]
    assert main.status(words) != 0
    assert "[licence-not-accepted]" in capsys.readouterr().err


def test_the_grades_of_all_sets_are_one_table_and_a_page(
    real_sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "grades.md"
    words = ["grade-all", "--mirror", str(real_sets), "--quick", "--out", str(page)]
    words += ["--only", "openmv-rubber-colour", "--only", "tclab-heater"]
    assert main.status(["data", *words]) == 0
    said = capsys.readouterr().out
    assert "It has the same value (0)" in said
    assert "| `tclab-heater` | B |" in page.read_text()
    grades = _json(capsys, *words)["graded"]
    assert [one["key"] for one in grades] == ["openmv-rubber-colour", "tclab-heater"]
