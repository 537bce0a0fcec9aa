"""Live tags in short blocks of rows: what checks that compare tags look at.

At most a thousand blocks, and at most 64 rows of each, so that the cost of comparing
tags does not grow with the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tundish.data.grade.character import Character
from tundish.data.grade.sheet import Bools, Floats, Ints, Sheet

MOST_BLOCKS = 1000
LEAST_ROWS = 8
SAMPLE = 64
FEWEST_BLOCKS = 60
MOST_TAGS = 400


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """Block medians and block noise of the live tags of one sheet.

    Attributes:
        sheet: Where they come from.
        tags: The live tags (k of them).
        size: Rows per block.
        first: Place, in the sheet's order, at which each block begins, shape [m].
        level: Median of each block, shape [m, k]; NaN if three quarters are empty.
        noise: Mean absolute second difference from row to row, shape [m, k].
    """

    sheet: Sheet
    tags: tuple[Character, ...]
    size: int
    first: Ints
    level: Floats
    noise: Floats

    def row(self, place: int) -> int:
        """Return the row of the file at a place in the sheet's order."""
        return int(self.sheet.order[min(max(place, 0), self.sheet.rows - 1)])


def blocks(sheet: Sheet, tags: Sequence[Character]) -> Blocks | None:
    """Cut the live tags of a sheet into blocks; ``None`` if it is too short or too narrow.

    Args:
        sheet: A table whose rows follow each other in time.
        tags: What the scan said of its tags.
    """
    live = tuple(tag for tag in tags if tag.role == "measure")[:MOST_TAGS]
    size = max(LEAST_ROWS, -(-sheet.rows // MOST_BLOCKS))
    count = sheet.rows // size
    if sheet.us is None or count < FEWEST_BLOCKS or not live:
        return None
    first = np.arange(count) * size
    cells = first[:, None] + np.arange(min(size, SAMPLE))
    both = [_block(tag.ordered[cells]) for tag in live]
    return Blocks(
        sheet=sheet,
        tags=live,
        size=size,
        first=first,
        level=np.column_stack([level for level, _ in both]),
        noise=np.column_stack([noise for _, noise in both]),
    )


def _block(cells: Floats) -> tuple[Floats, Floats]:
    """Return median and noise of each row of ``cells``."""
    filled = np.isfinite(cells).sum(axis=1)
    ranked = np.sort(cells, axis=1)
    level = ranked[np.arange(len(cells)), np.maximum(filled - 1, 0) // 2]
    level[filled < cells.shape[1] / 4] = np.nan
    rough = np.abs(np.diff(cells, n=2, axis=1))
    known = np.isfinite(rough)
    sums = np.where(known, rough, 0.0).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        noise = sums / known.sum(axis=1)
    return level, noise


def usual(values: Floats) -> tuple[float, float, float]:
    """Return the 5 % quantile, the median and the 95 % quantile of the filled values."""
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan"), float("nan")
    low, middle, high = np.quantile(known, (0.05, 0.5, 0.95))
    return float(low), float(middle), float(high)


def same_state(level: Floats, at: int, reach: int) -> Bools:
    """Tell which tags keep their level over a moment (to within their usual changes).

    Args:
        level: Block medians, shape [m, k].
        at: The first block after the moment.
        reach: Blocks to look at on either side.
    """
    before = _medians(level[max(0, at - reach) : at])
    after = _medians(level[at : at + reach])
    moves = np.abs(level[reach:] - level[:-reach])
    habit = np.array([usual(moves[:, i])[2] for i in range(level.shape[1])])
    with np.errstate(invalid="ignore"):
        return np.asarray(~(np.abs(after - before) > 2 * habit))


def _medians(level: Floats) -> Floats:
    return np.array([usual(level[:, i])[1] for i in range(level.shape[1])])
