"""A table out of a rectangle of texts, as a sheet of a workbook gives it.

A sheet has no ragged lines to tell a title from a record, so rows are judged by how
many of their cells are filled.
"""

from __future__ import annotations

import polars as pl

from tundish.data.header import Header, header_of
from tundish.data.readers.size import limit_cells
from tundish.data.readers.values import valued, without_empty
from tundish.data.records import is_number
from tundish.data.table import Assumption, Table

_LOOK = 60
_RECORDS_BELOW = 200
_FILLED = 0.5
_TITLE_ROWS = 40
_COMMA = r"^[+-]?\d*,\d+([eE][+-]?\d+)?$"
_THOUSANDS = r"^[+-]?\d{1,3},\d{3}$"


def read_grid(name: str, part: str, grid: pl.DataFrame) -> Table | None:
    """Read a rectangle of texts as a table.

    Args:
        name: Of the file.
        part: Of the sheet.
        grid: ``String`` columns, null where a cell is empty. Untrusted.

    Returns:
        The table, or ``None`` if no row with values is there.

    Raises:
        TableTooLargeError: if it has too many cells.
    """
    limit_cells(name, grid.height, grid.width)
    grid, top_row = _trimmed(grid)
    if grid.height < 2:
        return None
    skipped = _title_rows(grid)
    names, above = _names_above(grid, skipped)
    body = grid.slice(skipped)
    top = _texts(body.head(_LOOK))
    if names:
        top[0] = names
    header = header_of(top, body.width)
    if body.height <= header.rows:
        return None
    frame = body.slice(header.rows)
    frame.columns = list(header.names)
    filled = frame.filter(~pl.all_horizontal(pl.all().is_null()))
    filled, empty = without_empty(filled)
    filled, comma = _with_points(filled)
    table = valued(name, filled, comma=False)
    said = (*_form(skipped, comma, above=above), *_as_rows(header), *empty)
    return Table(
        name=name,
        part=part,
        frame=table.frame,
        units={n: u for n, u in header.units.items() if n in table.frame.columns},
        states=table.states,
        missing_words=table.missing_words,
        first_line=top_row + skipped + header.rows + 1,
        lines=table.frame.height,
        assumptions=said,
        places=table.places,
    )


def _trimmed(grid: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Cut empty rows off both ends and empty columns off the right and left."""
    clean = grid.with_columns(pl.all().str.strip_chars().replace("", None))
    filled = clean.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    rows = filled.arg_true()
    if clean.width == 0 or len(rows) == 0:
        return clean.clear(), 0
    first, last = int(rows[0]), int(rows[-1])
    clean = clean.slice(first, last - first + 1)
    used = [i for i, s in enumerate(clean.get_columns()) if s.null_count() < s.len()]
    return clean[:, used[0] : used[-1] + 1], first


def _title_rows(grid: pl.DataFrame) -> int:
    """Count the rows above the header: fewer cells filled than half of what is usual."""
    counts = (
        grid.head(_RECORDS_BELOW)
        .select(pl.sum_horizontal(pl.all().is_not_null()))
        .to_series()
        .to_list()
    )
    below = sorted(counts[len(counts) // 2 :])
    usual = below[len(below) // 2]
    for i, count in enumerate(counts[:_TITLE_ROWS]):
        if count > _FILLED * usual:
            return i
    return 0


def _names_above(grid: pl.DataFrame, skipped: int) -> tuple[list[str], bool]:
    """Put the titles of groups of columns before their names, if names repeat.

    A cell that was merged over several columns stands in the first of them.
    """
    if not skipped:
        return [], False
    groups, names = _texts(grid.slice(skipped - 1, 2))
    given = [name for name in names if name]
    repeated = len(set(given)) < len(given)
    if not repeated or sum(map(bool, groups)) < 2 or any(map(is_number, given)):
        return [], False
    made, group = [], ""
    for title, name in zip(groups, names, strict=True):
        group = title or group
        made.append(f"{group} {name}".strip() if name else "")
    return made, True


def _with_points(frame: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Write texts such as 1,5 with a point, column by column.

    Numbers of the workbook have points in any case. A column in which three figures
    follow each comma is left alone, since they may be thousands; unless another column
    of the sheet shows that commas are decimal here.
    """
    made, changed = [], []
    certain = any(
        (series.str.contains(_COMMA) & ~series.str.contains(_THOUSANDS)).any()
        for series in frame.get_columns()
    )
    for series in frame.get_columns():
        commas = series.str.contains(_COMMA).fill_null(value=False)
        thousands = series.str.contains(_THOUSANDS).fill_null(value=False)
        if not certain and commas.any() and not (commas & ~thousands).any():
            commas = pl.repeat(value=False, n=len(series), eager=True)
        if commas.any():
            changed.append(series.name)
            points = series.str.replace(",", ".", literal=True)
            made.append(points.zip_with(commas, series))
        else:
            made.append(series)
    return pl.DataFrame(made), tuple(changed)


def _texts(rows: pl.DataFrame) -> list[list[str]]:
    return [[cell or "" for cell in row] for row in rows.rows()]


def _form(
    skipped: int, commas: tuple[str, ...], *, above: bool
) -> tuple[Assumption, ...]:
    said = []
    if skipped:
        groups = "; the last of them names groups of columns" if above else ""
        said.append(
            Assumption(
                what=f"rows above the header are titles ({skipped}){groups}",
                why="few of their cells are filled",
                otherwise="remove them, and put one row of names at the top of the sheet",
            )
        )
    if commas:
        said.append(
            Assumption(
                what=f"texts such as 1,5 in {', '.join(commas[:3])} are numbers with a "
                "decimal comma",
                why="figures stand on both sides of the comma",
                otherwise="store them as numbers in the workbook",
            )
        )
    return tuple(said)


def _as_rows(header: Header) -> tuple[Assumption, ...]:
    return tuple(
        Assumption(
            what=said.what.replace("line", "row"),
            why=said.why.replace("line", "row"),
            otherwise=said.otherwise.replace("line", "row"),
        )
        for said in header.assumptions
    )
