"""Batches that no column names: rows in which some columns have the same values."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tundish.catalog.site import Blocks
from tundish.data.errors import ColumnMissingError
from tundish.data.table import Table


def names(said: Blocks, table: Table) -> NDArray[np.str_]:
    """Return the name of the block of each row, such as ``block-0012``, [n].

    Args:
        said: Which columns make a block.
        table: Holds them.

    Raises:
        ColumnMissingError: if it lacks one.
    """
    frame = table.frame
    for column in said.columns:
        if column not in frame.columns:
            have = ", ".join(frame.columns[:8])
            msg = f"{table.name} has no column {column!r} (blocks); it has {have}."
            raise ColumnMissingError(msg)
    if said.anywhere:
        return _settings(said, frame)
    begins = frame.select(
        pl.any_horizontal(
            pl.col(column).ne_missing(pl.col(column).shift()) for column in said.columns
        )
    ).to_series()
    number = np.cumsum(begins.to_numpy().astype(np.int64))
    first = int(number[0]) if len(number) else 0
    return np.asarray([f"block-{place - first + 1:04d}" for place in number])


def _settings(said: Blocks, frame: pl.DataFrame) -> NDArray[np.str_]:
    """Return a name for each combination of values, in the order of its first row."""
    number = frame.select(
        pl.struct(said.columns).rank("dense").cast(pl.Int64)
    ).to_series()
    first: dict[int, int] = {}
    place = [first.setdefault(value, len(first) + 1) for value in number.to_list()]
    return np.asarray([f"block-{one:04d}" for one in place])
