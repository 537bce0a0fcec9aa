"""Q20: has the distribution of a tag moved between the earlier and the later rows?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tundish.data.grade.folds import remembered
from tundish.data.grade.sheet import Floats, Ints, Series, Sheet
from tundish.data.grade.shift import LARGE, psi
from tundish.data.grade.tally import Notes, Tally
from tundish.data.times import NO_TIME

BINS = 10
SURE = 0.01
MOST_ROWS = 20_000
MIN_MEMORIES = 20
MOVED = 3.0
_FINDINGS = 3


@dataclass(frozen=True, kw_only=True)
class Moved:
    """How one tag moved: median before and after, in usual spreads, and the index."""

    series: Series
    before: float
    after: float
    spreads: float
    index: float


def shifted(sheet: Sheet) -> Tally:
    """Hold the later half of the rows in time against the earlier half, tag by tag.

    A tag has moved if its population stability index is above 0.25 *and* a
    Kolmogorov-Smirnov test says so, with as many free rows as the signal's memory
    leaves and corrected for the number of tags (Bonferroni). A tag that remembers too
    long to tell is not counted. Findings are kept for medians that moved by three times
    the usual spread within a half.
    """
    if sheet.us is None or sheet.elapsed:
        return Tally(id="Q20", bad=0, of=0, detail="no time, so no earlier and later")
    rows = _in_time(sheet, sheet.us)
    half = len(rows) // 2
    judged, moved = 0, []
    for series in sheet.series:
        found = _compared(series, rows, half, len(sheet.series))
        judged += found is not None
        if found is not None and found.index > LARGE:
            moved.append(found)
    if not judged:
        return Tally(
            id="Q20", bad=0, of=0, detail="every tag remembers too long to tell a shift"
        )
    moved.sort(key=lambda one: (-abs(one.spreads), one.series.tag))
    notes = Notes(sheet, "Q20")
    far = [one for one in moved if abs(one.spreads) >= MOVED]
    for one in far[:_FINDINGS]:
        _note(notes, one, rows[half:])
    detail = f"before and after {sheet.where(int(rows[half]))}; {len(moved)} tags moved"
    return Tally(
        id="Q20",
        bad=len(moved),
        of=judged,
        detail=detail,
        findings=tuple(notes.found),
    )


def _note(notes: Notes, moved: Moved, later: Ints) -> None:
    unit = f" {moved.series.unit}" if moved.series.unit else ""
    notes.add(
        "shift",
        notes.over(moved.series.tag, later),
        f"The median moved from {moved.before:.4g} to {moved.after:.4g}{unit} in the later "
        f"half: {abs(moved.spreads):.1f} times its usual spread (PSI {moved.index:.2f}).",
        "Ask what changed (product, season, sensor); fit on the newest rows as well.",
    )


def _in_time(sheet: Sheet, us: Ints) -> Ints:
    usable = us != NO_TIME
    if sheet.running is not None:
        usable = usable & sheet.running
    rows = np.flatnonzero(usable)
    rows = rows[np.argsort(us[rows], kind="stable")]
    if len(rows) <= MOST_ROWS:
        return rows
    return rows[np.linspace(0, len(rows) - 1, MOST_ROWS).astype(np.int64)]


def _compared(series: Series, rows: Ints, half: int, tags: int) -> Moved | None:
    from scipy import stats  # noqa: PLC0415  (heavy)

    values = series.values[rows]
    early, late = values[:half], values[half:]
    early, late = early[np.isfinite(early)], late[np.isfinite(late)]
    if min(len(early), len(late)) < BINS or series.circular:
        return None
    together = np.concatenate([early, late])
    if np.ptp(together) == 0:
        return None
    memory = max(remembered(early), remembered(late))
    free = min(len(early), len(late)) / memory
    if free < MIN_MEMORIES:
        return None
    distance = float(stats.ks_2samp(early, late, method="asymp").statistic)
    p = float(stats.kstwobign.sf(distance * np.sqrt(free / 2)))
    spread = (_spread(early) + _spread(late)) / 2 or float(together.std())
    before, after = float(np.median(early)), float(np.median(late))
    sure = p * tags < SURE
    return Moved(
        series=series,
        before=before,
        after=after,
        spreads=(after - before) / spread,
        index=(psi(early, late) or 0.0) if sure else 0.0,
    )


def _spread(values: Floats) -> float:
    low, high = np.quantile(values, (0.25, 0.75))
    return float(high - low) / 1.349
