"""Give rows to the parts of the work (fit, select, calibrate, judge), by time.

The rule of ``catalog.site.Use``: stretches of a table follow each other in time; a
share is counted over all labelled rows of the table, and taken from those that no
earlier stretch has taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.site import Part, Use
from tundish.data.times import NO_TIME, to_us
from tundish.kernel import digest

DEFAULT_SHARES: tuple[tuple[Part, float | None], ...] = (
    ("fit", 0.5),
    ("calibrate", 0.2),
    ("judge", None),
)
_PART_TYPE = "<U9"


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """What decides about parts.

    Attributes:
        us: Times in microseconds UTC, shape [n], or ``None``: then rows are in order.
        group: Unit or batch of each row, shape [n], or ``None``.
        counted: Rows that count for shares (labelled ones), shape [n].
        batches: True if a group is a batch that must not be cut.
        mixed: True if batches are taken in an order that their names fix, not in time;
            shares then count batches, so that one long one does not weigh more.
    """

    us: NDArray[np.int64] | None
    group: NDArray[np.str_] | None
    counted: NDArray[np.bool_]
    batches: bool
    mixed: bool = False


def assign_parts(table: str, rows: Labelled, uses: Sequence[Use]) -> NDArray[np.str_]:
    """Return the part of each row, shape [n]; empty where it is used for nothing.

    Args:
        table: Name of the table, as ``uses`` names it.
        rows: Times, groups and labels.
        uses: The site's stretches. If there are none for any table, the default split
            in time order is taken: 50 % fit, 20 % calibrate, the rest judge.
    """
    order_key = _order_key(rows)
    taken = np.full(len(rows.counted), "", dtype=_PART_TYPE)
    mine = [use for use in uses if use.table == table]
    if not uses:
        mine = [Use(part=p, table=table, share=s) for p, s in DEFAULT_SHARES]
    for use in mine:
        free = (taken == "") & _inside(rows, use)
        taken[free & _within_share(rows, order_key, free, use.share)] = use.part
    return taken


def _order_key(rows: Labelled) -> NDArray[np.int64]:
    """Return numbers that rise in time; rows of one batch have the same number."""
    count = len(rows.counted)
    if rows.batches and rows.group is not None:
        names, first, inverse = np.unique(
            rows.group, return_index=True, return_inverse=True
        )
        if rows.mixed:
            drawn = [digest.of_bytes(str(name).encode()) for name in names]
            return np.argsort(np.argsort(drawn))[inverse]
        start = first if rows.us is None else _first_time(rows.us, inverse)
        return np.asarray(start)[inverse]
    return np.arange(count) if rows.us is None else rows.us


def _first_time(us: NDArray[np.int64], inverse: NDArray[np.intp]) -> NDArray[np.int64]:
    first = np.full(int(inverse.max()) + 1, np.iinfo(np.int64).max)
    known = us != NO_TIME
    np.minimum.at(first, inverse[known], us[known])
    return first


def _inside(rows: Labelled, use: Use) -> NDArray[np.bool_]:
    inside = np.ones(len(rows.counted), dtype=bool)
    if rows.us is None:
        return inside
    inside &= rows.us != NO_TIME
    if use.start is not None:
        inside &= rows.us >= to_us(use.start)
    if use.end is not None:
        inside &= rows.us < to_us(use.end)
    return inside


def _within_share(
    rows: Labelled,
    order_key: NDArray[np.int64],
    free: NDArray[np.bool_],
    share: float | None,
) -> NDArray[np.bool_]:
    """Return the rows before the moment at which the share of counted rows is full.

    Rows of the same moment (several machines) and of one batch stay together.
    """
    if share is None:
        return np.ones(len(free), dtype=bool)
    every, keys = order_key[rows.counted], np.sort(order_key[free & rows.counted])
    if rows.mixed:
        every, keys = np.unique(every), np.unique(keys)
    wanted = int(share * len(every) + 1e-9)
    if wanted >= len(keys):
        return np.ones(len(free), dtype=bool)
    return np.asarray(order_key < keys[wanted])
