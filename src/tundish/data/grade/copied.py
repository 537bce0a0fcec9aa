"""Q06: a stretch of rows that stands again under other times.

Live signals do not repeat value by value. A stretch is claimed only if several of the
liveliest tags repeat at the same distance, row by row, while they move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.data.grade.character import Character
from tundish.data.grade.sheet import Bools, Floats, Sheet
from tundish.data.grade.tally import Notes

WITNESSES = 3
LEAST = 10
MIXED = 0.3
LEVELS = 50
MOST_STRETCHES = 20
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, kw_only=True)
class Copied:
    """Places (in the sheet's order): the rows from ``first`` repeat those ``back`` before."""

    first: int
    last: int
    back: int

    @property
    def rows(self) -> int:
        """Rows that were copied."""
        return self.last - self.first + 1


def stretches(sheet: Sheet, tags: Sequence[Character]) -> list[Copied]:
    """Find stretches whose live tags repeat earlier rows; only in tables with time."""
    live = [
        tag
        for tag in tags
        if tag.role == "measure" and tag.levels >= LEVELS and tag.repeat < MIXED
    ]
    if sheet.us is None or len(live) < 2 or sheet.rows < 4 * LEAST:
        return []
    live.sort(key=lambda tag: (-tag.levels, tag.repeat))
    pairs = _pairs(live[0].ordered)
    found = [run for run in _runs(*pairs) if run.rows >= LEAST]
    true = [run for run in found if _confirmed(run, live[: WITNESSES + 1])]
    true = [run for run in true if not _same_times(sheet, run)]
    true.sort(key=lambda run: -run.rows)
    return true[:MOST_STRETCHES]


def _pairs(values: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return places at which three values in a row stood before, and where that was last."""
    bits = (values + 0.0).view(np.uint64)
    words = (
        bits[2:] * _MIX
        ^ (bits[1:-1] * _MIX >> np.uint64(7))
        ^ bits[:-2] >> np.uint64(3)
    )
    words *= _MIX
    at = again(words)
    order = at[np.argsort(words[at], kind="stable")]
    same = words[order][1:] == words[order][:-1]
    later, earlier = order[1:][same], order[:-1][same]
    sound = np.isfinite(values[later]) & (values[later] != values[later + 1])
    return later[sound], earlier[sound]


def again(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the places of words that stand more than once, in their order."""
    ordered = np.sort(words)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice):
        return np.zeros(0, dtype=np.int64)
    nearest = np.minimum(np.searchsorted(twice, words), len(twice) - 1)
    return np.flatnonzero(twice[nearest] == words)


def _runs(later: NDArray[np.int64], earlier: NDArray[np.int64]) -> list[Copied]:
    """Join pairs at one distance that follow each other (small holes allowed)."""
    back = later - earlier
    order = np.lexsort((later, back))
    later, back = later[order], back[order]
    if not len(later):
        return []
    cuts = np.flatnonzero((np.diff(back) != 0) | (np.diff(later) > LEAST)) + 1
    ends = np.r_[cuts, len(later)]
    begins = np.r_[0, cuts]
    long = ends - begins >= LEAST // 2
    return [
        Copied(first=int(later[a]), last=int(later[b - 1]) + 2, back=int(back[a]))
        for a, b in zip(begins[long], ends[long], strict=True)
    ]


def _confirmed(run: Copied, tags: Sequence[Character]) -> bool:
    """Tell whether at least two live tags repeat in the stretch while they move."""
    if run.back < run.rows:
        return False  # a cycle, or a signal that returns
    alike = 0
    for tag in tags:
        here = tag.ordered[run.first : run.last + 1]
        there = tag.ordered[run.first - run.back : run.last + 1 - run.back]
        same: Bools = (here == there) | (np.isnan(here) & np.isnan(there))
        moving = float(np.mean(np.diff(here) != 0))
        alike += bool(same.mean() > 0.98 and moving > 0.5)
    return alike >= min(2, len(tags))


def _same_times(sheet: Sheet, run: Copied) -> bool:
    """Tell whether the copy bears the times of its original (then it is a doubled row)."""
    if sheet.us is None:
        return False
    rows = sheet.order
    here = sheet.us[rows[run.first]]
    return bool(here == sheet.us[rows[run.first - run.back]])


def note(notes: Notes, run: Copied) -> None:
    """Note one copied stretch."""
    rows = notes.sheet.order
    first, last = int(rows[run.first]), int(rows[run.last])
    original = int(rows[run.first - run.back])
    unit = notes.sheet.unit_of(original)
    whose = f" of {unit}" if unit else ""
    notes.add(
        "copied-stretch",
        notes.spot("", first, last, run.rows),
        f"{run.rows:,} rows repeat, value by value, the rows from "
        f"{notes.sheet.where(original)}{whose} on under other times.",
        "Live signals do not repeat: find out which of the two stretches is real, and remove the other.",
    )
