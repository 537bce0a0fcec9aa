"""Workbooks: Excel (.xlsx, .xlsm, .xlsb, .xls) and OpenDocument (.ods)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import polars as pl

from tundish.data import archive
from tundish.data.errors import (
    TableTooLargeError,
    TableUnreadableError,
)
from tundish.data.readers.biff import is_bare_sheet, read_bare_sheet
from tundish.data.readers.grid import read_grid
from tundish.data.readers.size import MAX_TEXT_BYTES
from tundish.data.table import Assumption, Table

MAX_SHEETS = 200

_OLE = b"\xd0\xcf\x11\xe0"
_ZIPPED = {".xlsx", ".xlsm", ".xlsb", ".ods", ".xltx", ".xltm"}
_DAYS_NAME = re.compile(r"date|time|datum|zeit|stamp|时间|日期", re.IGNORECASE)
_DAY_ZERO = -25_569  # 1970-01-01 is day 25,569 of Excel's calendar
_DAYS = (25_569.0, 73_051.0)  # 1970 to 2100
_NOON = "1899-12-3"  # a time of day without a date is stored on day 0 or 1


class ExcelReader:
    """Excel and OpenDocument workbooks."""

    name = "a workbook"
    alone_above = 0

    def claims(self, name: str, head: bytes) -> bool:
        """Claim workbooks by their mark and, where the mark is a zip's, their ending."""
        if head.startswith(_OLE) or is_bare_sheet(head):
            return True
        ending = PurePosixPath(name.lower()).suffix
        return head.startswith(b"PK") and ending in _ZIPPED

    def read(self, path: Path, name: str) -> Sequence[Table]:
        """Read every sheet that holds a table; formulas give their stored results."""
        with path.open("rb") as stream:
            head = stream.read(16)
        if is_bare_sheet(head):
            grids = [("Sheet1", read_bare_sheet(path.read_bytes(), name))]
        else:
            if head.startswith(b"PK"):
                limits = archive.ArchiveLimits(member_bytes=MAX_TEXT_BYTES)
                archive.refuse_bomb(path, name, limits)
            grids = _sheets(path, name)
        found = []
        for sheet, grid in grids:
            table = read_grid(name, sheet, grid)
            if table is not None:
                found.append(_with_days(table))
        if not found:
            msg = f"{name} has {len(grids)} sheets, and none holds a table."
            raise TableUnreadableError(msg)
        return found


def _sheets(path: Path, name: str) -> list[tuple[str, pl.DataFrame]]:
    import fastexcel  # noqa: PLC0415  (heavy: loaded in the child process only)

    try:
        book = fastexcel.read_excel(path)
    except fastexcel.FastExcelError as error:
        raise _damaged(name, error) from error
    if len(book.sheet_names) > MAX_SHEETS:
        msg = (
            f"{name} has {len(book.sheet_names)} sheets; at most {MAX_SHEETS} are read."
        )
        raise TableTooLargeError(msg)
    found, refused = [], None
    for sheet in book.sheet_names:
        try:
            loaded = book.load_sheet(sheet, header_row=None, dtypes="string")
            found.append((sheet, _dated(loaded.to_polars())))
        except fastexcel.FastExcelError as error:
            refused = error
    if not found and refused is not None:
        raise _damaged(name, refused) from refused
    return found


def _damaged(name: str, error: Exception) -> TableUnreadableError:
    reason = str(error).split("\n", maxsplit=1)[0][:160]
    if "assword" in reason or "ncrypt" in reason:
        msg = f"{name} is protected with a password."
        return TableUnreadableError(msg, advice="Save it without a password.")
    msg = f"{name} is no whole workbook ({reason})."
    return TableUnreadableError(msg, advice="Save it again, as .xlsx or as CSV.")


def _dated(grid: pl.DataFrame) -> pl.DataFrame:
    """Leave the day out of times of day, and midnight out of bare dates."""
    made = []
    for series in grid.get_columns():
        texts = series.cast(pl.String)
        times = texts.str.starts_with(_NOON)
        if times.any():
            texts = texts.str.replace(rf"^{_NOON}\d ", "")
        made.append(texts)
    return pl.DataFrame(made)


def _with_days(table: Table) -> Table:
    """Turn columns named as times that hold Excel's day numbers into times."""
    changed, names = [], []
    for series in table.frame.get_columns():
        if series.dtype == pl.Float64 and _are_days(series):
            ms = ((series + _DAY_ZERO) * 86_400_000).round().cast(pl.Int64)
            changed.append(ms.cast(pl.Datetime("ms")).cast(pl.Datetime("us")))
            names.append(series.name)
        else:
            changed.append(series)
    if not names:
        return table
    said = Assumption(
        what=f"{', '.join(names[:3])} holds times as days since 1900",
        why="its name says time, and its numbers are days of the years 1970 to 2100",
        otherwise="format the column as date and time in the workbook",
    )
    return replace(
        table, frame=pl.DataFrame(changed), assumptions=(*table.assumptions, said)
    )


def _are_days(series: pl.Series) -> bool:
    low, high = series.min(), series.max()
    if not isinstance(low, float) or not isinstance(high, float):
        return False
    named = _DAYS_NAME.search(series.name) is not None
    return named and low >= _DAYS[0] and high <= _DAYS[1] and low < high
