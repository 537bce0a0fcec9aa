"""Cells that a spreadsheet would run are counted and named; numbers are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tundish.data.card.markdown import _cell
from tundish.data.formulas import formulas
from tundish.data.readers import read_table
from tundish.flows.mend import mend


def written(folder: Path, cells: list[str], name: str = "note") -> Path:
    lines = [f"{i},{i * 0.5 - 3},{cell}" for i, cell in enumerate(cells)]
    path = folder / "t.csv"
    path.write_text(f"n,value,{name}\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


COMMANDS = ["=cmd|'/c calc'!A0", "@SUM(1+1)", "+cmd|x", "-cmd|x", " =HYPERLINK(1)"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_cell_that_a_spreadsheet_would_run_is_named(
    command: str, tmp_path: Path
) -> None:
    path = written(tmp_path, ["fine", command, "plain", "fine", command] * 4)
    (said,) = formulas(read_table(path))
    assert (said.count, said.tags) == (8, ("note",))


def test_numbers_and_lone_signs_are_no_formulas(tmp_path: Path) -> None:
    cells = ["-", "fine", "+", "x-1", "a=b"] * 4
    assert formulas(read_table(written(tmp_path, cells))) == ()


def test_a_mended_file_keeps_its_cells_and_the_lineage_tells(tmp_path: Path) -> None:
    path = written(tmp_path, ["fine", COMMANDS[0], "plain", "other"] * 30, "=note")
    report = mend(str(path), tmp_path / "better")
    assert COMMANDS[0] in (tmp_path / "better" / "t.csv").read_text("utf-8")
    (said,) = [item for item in report.lineage.unmended if item.kind == "formula"]
    assert said.count == 31
    assert "as text" in said.why


def test_a_name_makes_neither_html_nor_a_link_in_a_card() -> None:
    hostile = "<img src=x>[click](javascript:alert(1))![x](http://a/b)|[a]: http://a"
    shown = _cell(hostile)
    assert "<" not in shown
    assert "](" not in shown
    assert "]:" not in shown
    assert "\\|" in shown
