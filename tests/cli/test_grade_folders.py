"""``tundish grade FOLDER`` and ``--sheet``, as a user gives them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import xlsxwriter

from tundish.cli import main


def _said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main.status(arguments) == 0
    return capsys.readouterr().out


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_of_batches_is_one_report(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        rows = "\n".join(f"{i},{(i * 7 + number) % 5}.5,{i % 3}.1" for i in range(20))
        (here / f"b{number}.csv").write_text(f"minute,temp,flow\n{rows}\n", "utf-8")
    (here / "LICENSE").write_text("Free.", "utf-8")
    report = json.loads(_said(["grade", ".", "--json"], capsys))
    assert list(report["tables"].values()) == [60]
    assumed = " ".join(item["what"] for item in report["assumptions"])
    assert "each file is a unit" in assumed
    assert "LICENSE" in assumed


def test_a_sheet_of_a_workbook_is_chosen(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with xlsxwriter.Workbook(str(here / "plant.xlsx")) as book:
        for name, rows in (("Trend", 40), ("Lab", 9)):
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, ["Time", f"{name} value"])
            for i in range(rows):
                sheet.write_row(1 + i, 0, [f"2026-01-01 00:{i:02d}:00", i * 1.5 % 7])
    largest = json.loads(_said(["grade", "plant.xlsx", "--json"], capsys))
    assert list(largest["tables"].values()) == [40]
    assert "Lab (9 x 2)" in largest["assumptions"][0]["why"]
    lab = _said(["grade", "plant.xlsx", "--sheet", "lab", "--json"], capsys)
    assert list(json.loads(lab)["tables"].values()) == [9]
    assert main.status(["grade", "plant.xlsx", "--sheet", "Shift"]) == 2
    assert "[sheet-missing]" in capsys.readouterr().err
