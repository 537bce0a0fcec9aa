"""The public check of a reader: a plug-in author's test is one call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from tundish.data.errors import ReaderBrokenError
from tundish.data.readers.reader import HEAD_BYTES, Reader
from tundish.data.table import Table
from tundish.kernel.errors import TundishError

_CUTS = 8


def check_reader(reader: Reader, sample: Path, folder: Path) -> list[Table]:
    """Hold a reader to what every reader promises, on a file that it can read.

    It must claim the sample by its name and head; read tables with records, columns of
    known types and no NaN; name them as told, each with a ``part`` of its own; read the
    same again; and refuse every truncated copy with an error of Tundish, or read it.

    Args:
        reader: The reader.
        sample: A whole file of its kind.
        folder: An empty folder for damaged copies.

    Returns:
        The tables that it read.

    Raises:
        ReaderBrokenError: names the promise that is broken.
    """
    data = sample.read_bytes()
    if not reader.claims(sample.name, data[:HEAD_BYTES]):
        raise _broken(reader, f"does not claim {sample.name}")
    tables = list(reader.read(sample, "shown"))
    _check_tables(reader, tables)
    again = list(reader.read(sample, "shown"))
    same = [a.frame.equals(b.frame) for a, b in zip(tables, again, strict=False)]
    if len(again) != len(tables) or not all(same):
        raise _broken(reader, "reads other tables when it reads the same file again")
    for i in range(_CUTS):
        damaged = folder / f"{i}-{sample.name}"
        damaged.write_bytes(data[: len(data) * i // _CUTS])
        _check_damaged(reader, damaged)
    return tables


def _check_damaged(reader: Reader, damaged: Path) -> None:
    try:
        reader.read(damaged, damaged.name)
    except TundishError:
        return
    except Exception as error:
        what = f"ends with {type(error).__name__} on a truncated file"
        raise _broken(reader, what) from error


def _check_tables(reader: Reader, tables: Sequence[Table]) -> None:
    if not tables:
        raise _broken(reader, "gives no table")
    if len({table.part for table in tables}) != len(tables):
        raise _broken(reader, "gives several tables of the same part")
    for table in tables:
        if table.name != "shown":
            raise _broken(reader, f"names the table {table.name!r}, not as it was told")
        if not table.frame.height or not table.frame.width:
            raise _broken(reader, "gives a table without a record")
        if table.lines < table.frame.height:
            raise _broken(reader, "counts fewer lines than records")
        for series in table.frame.get_columns():
            _check_column(reader, series)


def _check_column(reader: Reader, series: pl.Series) -> None:
    known = series.dtype in {pl.Float64, pl.String} or series.dtype.is_temporal()
    if not known:
        what = f"gives the column {series.name!r} as {series.dtype}; Float64, String or a time was expected"
        raise _broken(reader, what)
    if series.dtype == pl.Float64 and not math.isfinite(float(series.abs().sum())):
        raise _broken(reader, f"leaves NaN or infinities in {series.name!r}")


def _broken(reader: Reader, what: str) -> ReaderBrokenError:
    msg = f"The reader {reader.name!r} {what}."
    return ReaderBrokenError(msg)
