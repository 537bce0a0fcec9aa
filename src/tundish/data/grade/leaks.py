"""Columns that give the target away: they will not be there when an estimate is needed.

Four ways are known: the column is the target in another form (a line, a rising curve); its
levels cut the target's values at limits (a grade, a release code); it is filled in only
beyond a limit (a rework order); or it became available after the target did.

A cut counts only if it goes through a dense stretch of the target's values: a product code
that parts two recipes whose values lie far apart is known beforehand, and no leak.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tundish.data.grade.report import Finding, percent
from tundish.data.grade.sheet import Floats, Ints, Labels, Sheet, duration
from tundish.data.grade.tally import Notes
from tundish.data.times import NO_TIME

MIN_PAIRS = 10
FIRM_PAIRS = 30
SAME = 1 - 1e-9
ALMOST = 0.999
ROUNDED = 0.99999
STEPS_TOO = 0.99
MOST_LEVELS = 20
MIN_LEVEL = 5
NEAR = 0.15
THIN = 0.4
LATE_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class Given:
    """How a column gives the target away: in words, and the rows that show it.

    ``near``: it follows the target closely and no more, and may be known beforehand (the
    volume of a part whose weight is asked for).
    """

    tag: str
    what: str
    rows: Ints
    near: bool = False


def given_away(sheet: Sheet) -> list[Finding]:
    """Find columns that give the target away, one finding each."""
    labels = sheet.labels
    if labels is None or len(labels.values) != sheet.rows or labels.us is not None:
        return []
    notes = Notes(sheet, "Q17")
    done: set[str] = set()
    for given in (*_late(sheet, labels), *_by_values(sheet, labels)):
        if given.tag in done:
            continue
        done.add(given.tag)
        notes.add(
            "near-target" if given.near else "leak",
            notes.spot(
                given.tag, int(given.rows[0]), int(given.rows[-1]), len(given.rows)
            ),
            given.what,
            f"Leave {given.tag} out, unless an instrument of its own gives it in time."
            if given.near
            else f"Leave {given.tag} out: it will not be there when an estimate is needed.",
        )
    return notes.found


def _late(sheet: Sheet, labels: Labels) -> Iterator[Given]:
    """Return columns whose values became available after the target's."""
    result = sheet.available.get("")
    if result is None:
        return
    for tag, us in sheet.available.items():
        if not tag:
            continue
        both = (us != NO_TIME) & (result != NO_TIME)
        later = both & (us > result)
        if both.sum() < MIN_LEVEL or later.sum() <= LATE_SHARE * both.sum():
            continue
        after = int(np.median((us - result)[later]))
        what = (
            f"{tag} becomes available after {labels.name}: in {int(later.sum()):,} of "
            f"{int(both.sum()):,} rows, usually {duration(after)} later."
        )
        yield Given(tag=tag, what=what, rows=np.flatnonzero(later))


def _by_values(sheet: Sheet, labels: Labels) -> Iterator[Given]:
    y = labels.values
    if labels.classes or len(np.unique(y[np.isfinite(y)])) < MIN_PAIRS:
        return
    timed = sheet.us is not None
    for series in sheet.series:
        x = series.values
        both = np.isfinite(x) & np.isfinite(y)
        rows = np.flatnonzero(both)
        what = _same(x[both], y[both], timed=timed, names=(series.tag, labels.name))
        what = what or _cut_numbers(series.tag, x, y, labels)
        if what:
            shown = rows if len(rows) else np.flatnonzero(np.isfinite(y))
            near = "closely" in what
            yield Given(tag=series.tag, what=what, rows=shown, near=near)
    for tag, words in sheet.words.items():
        known = np.isfinite(y)
        what = _cut(tag, words[known], y[known], labels)
        if what:
            yield Given(tag=tag, what=what, rows=np.flatnonzero(known))


def _same(x: Floats, y: Floats, *, timed: bool, names: tuple[str, str]) -> str:
    """Tell whether x is y on a line, or rises with y throughout."""
    if len(x) < MIN_PAIRS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return ""
    tag, target = names
    straight = abs(float(np.corrcoef(x, y)[0, 1]))
    if straight >= SAME and len(np.unique(y)) >= MIN_PAIRS:
        return f"{tag} is {target} itself, up to a factor and an offset."
    if len(x) < FIRM_PAIRS or len(np.unique(x)) < FIRM_PAIRS:
        return ""
    if straight >= ALMOST and _moves_alike(x, y, timed=timed):
        how = "almost exactly" if straight >= ROUNDED else "closely"
        return f"{tag} follows {target} {how} (correlation {straight:.5f})."
    ranks = [np.argsort(np.argsort(v, kind="stable"), kind="stable") for v in (x, y)]
    rising = abs(float(np.corrcoef(ranks[0], ranks[1])[0, 1]))
    if rising >= ALMOST + 0.0009 and _moves_alike(*ranks, timed=timed):
        return f"{tag} rises and falls with {target} throughout: a function of it."
    return ""


def _moves_alike(x: Floats | Ints, y: Floats | Ints, *, timed: bool) -> bool:
    """Tell whether the steps agree too: slow signals agree in level by chance."""
    if not timed:
        return True
    steps, others = np.diff(x), np.diff(y)
    if np.ptp(steps) == 0 or np.ptp(others) == 0:
        return False
    return abs(float(np.corrcoef(steps, others)[0, 1])) >= STEPS_TOO


def _cut_numbers(tag: str, x: Floats, y: Floats, labels: Labels) -> str:
    """Look at a column of few levels, and at one that is empty or zero in many rows."""
    known = np.isfinite(y)
    x, y = x[known], y[known]
    blank = ~np.isfinite(x) | (x == 0)
    levels = np.unique(x[np.isfinite(x)])
    if 1 < len(levels) <= MOST_LEVELS and not np.isnan(x).any():
        named = np.asarray([f"{v:g}" for v in x])
        return _cut(tag, named, y, labels)
    if min(blank.sum(), (~blank).sum()) < MIN_LEVEL:
        return ""
    marks = np.where(blank, "", "filled in")
    return _cut(tag, marks, y, labels)


def _cut(tag: str, words: NDArray[np.str_], y: Floats, labels: Labels) -> str:
    """Say where the levels of a column cut the target's values, or nothing."""
    names, codes = np.unique(words, return_inverse=True)
    if not 1 < len(names) <= MOST_LEVELS or len(y) < FIRM_PAIRS:
        return ""
    counts = np.bincount(codes)
    low = np.asarray([y[codes == i].min() for i in range(len(names))])
    high = np.asarray([y[codes == i].max() for i in range(len(names))])
    order = np.argsort(low, kind="stable")
    apart = low[order][1:] > high[order][:-1]
    if not apart.all() or np.sort(counts)[-2] < MIN_LEVEL:
        return ""
    edges = [
        (float(high[a]), float(low[b]))
        for a, b in pairwise(order)
        if min(counts[a], counts[b]) >= MIN_LEVEL
    ]
    if not edges or not all(_dense(y, edge) for edge in edges):
        return ""
    unit = f" {labels.unit}" if labels.unit else ""
    limits = ", ".join(f"{(a + b) / 2:.4g}" for a, b in edges[:4])
    if "" in names and len(names) == 2:
        side = "above" if names[order[-1]] else "below"
        share = percent(counts[np.flatnonzero(names != "")[0]] / len(y))
        return (
            f"{tag} is filled in only where {labels.name} lies {side} {limits}{unit} "
            f"({share} of the rows): it is written when the result is known."
        )
    return (
        f"{tag} is decided by {labels.name}: its {len(names)} values part it at "
        f"{limits}{unit} without an exception."
    )


def _dense(y: Floats, edge: tuple[float, float]) -> bool:
    """Tell whether a cut goes through a dense stretch: as many values near it as beside.

    Two kinds of product may lie side by side without touching; between them the values
    thin out.
    """
    cut, reach = (edge[0] + edge[1]) / 2, NEAR * float(y.std())
    off = np.abs(y - cut)
    near = int((off < reach).sum())
    beside = int(((off >= reach) & (off < 3 * reach)).sum()) / 2
    return near >= MIN_LEVEL and near >= THIN * beside
