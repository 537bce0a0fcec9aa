"""Q06, Q07 and Q23 of a streamed table: copies, steps and the span of its times."""

from __future__ import annotations

import numpy as np

from tundish.data.grade.sheet import Sheet, duration
from tundish.data.grade.tally import Notes, Spot, Tally
from tundish.data.grade.timepart import TimePart
from tundish.data.grade.timing import (
    DAY,
    FIRST_US,
    GAP,
    REGULAR_FROM,
    TOLERANCE,
)
from tundish.data.times import SECOND


def timed(part: TimePart | None, sheet: Sheet, now_us: int) -> tuple[list[Tally], int]:
    """Return the tallies of times, and how many rows are missing in gaps.

    Args:
        part: What is known of the times, closed; ``None`` if there are none.
        sheet: The table's name and rows, and the zone its times are shown in.
        now_us: The present, microseconds since 1970 UTC.
    """
    if part is None or part.known < 3:
        why = "no time column that a stream can follow"
        return [Tally(id=i, bad=0, of=0, detail=why) for i in ("Q06", "Q07", "Q23")], 0
    steps, missing = _regular(part, sheet)
    return [_copies(part, sheet), steps, _plausible(part, sheet, now_us)], missing


def _copies(part: TimePart, sheet: Sheet) -> Tally:
    if part.back[0]:
        why = (
            "the times step back, so copies need not lie together; a stream cannot tell"
        )
        return Tally(id="Q06", bad=0, of=0, detail=why)
    notes = Notes(sheet, "Q06")
    if part.copies:
        notes.add(
            "duplicate-row",
            _between(sheet, part.twice[1:], part.copies),
            f"{part.copies:,} rows repeat an earlier row in time, unit and all values.",
            "Remove the copies before splitting; find out which export wrote them.",
        )
    return Tally(id="Q06", bad=part.copies, of=sheet.rows, findings=tuple(notes.found))


def _between(sheet: Sheet, times: tuple[int, int], rows: int) -> Spot:
    return Spot(
        tag="",
        unit="",
        first=sheet.moment(times[0]),
        last=sheet.moment(times[1]),
        rows=rows,
        total=sheet.rows,
    )


def _regular(part: TimePart, sheet: Sheet) -> tuple[Tally, int]:
    total = int(part.counts.sum())
    if part.cut or not total:
        why = "the times have too many different steps, or none"
        return Tally(id="Q07", bad=0, of=0, detail=why), 0
    most = int(part.counts.argmax())
    period = int(part.steps[most])
    if part.counts[most] < 0.2 * total:
        period = int(part.steps[np.searchsorted(np.cumsum(part.counts), total / 2)])
    off = np.abs(part.steps - period) > TOLERANCE * period
    if 1 - part.counts[off].sum() / total < REGULAR_FROM:
        why = "times come as events do, not at a fixed rate"
        return Tally(id="Q07", bad=0, of=0, detail=why), 0
    wide = part.steps > GAP * period
    notes = Notes(sheet, "Q07")
    missing = _note_gaps(notes, part, wide, period)
    if part.twice[0]:
        notes.add(
            "duplicate-time",
            _between(sheet, part.twice[1:], part.twice[0]),
            f"{part.twice[0]:,} rows have the same time as the row before.",
            "If several machines share the table, name their column (--unit); else keep one row per time.",
        )
    if part.back[0]:
        notes.add(
            "backward-time",
            _between(sheet, part.back[1:], part.back[0]),
            f"Time steps back {part.back[0]:,} times from one row to the next.",
            "Sort by time; if it happens in autumn only, the times are local: export in UTC.",
        )
    bad = int(part.counts[off].sum()) + part.twice[0] + part.back[0]
    tally = Tally(
        id="Q07",
        bad=bad,
        of=part.known - 1,
        detail=f"a row every {period / SECOND:g} s",
        findings=tuple(notes.found),
    )
    return tally, missing


def _note_gaps(
    notes: Notes,
    part: TimePart,
    wide: np.ndarray[tuple[int], np.dtype[np.bool_]],
    period: int,
) -> int:
    count = int(part.counts[wide].sum())
    if not count:
        return 0
    rows = np.rint(part.steps[wide] / period).astype(np.int64) - 1
    missing = int((rows * part.counts[wide]).sum())
    size, before = part.gaps[0].tolist()
    notes.add(
        "gap",
        Spot(
            tag="",
            unit="",
            first=notes.sheet.moment(before),
            last=notes.sheet.moment(before + size),
            rows=missing,
            total=part.known + missing,
            counted="expected rows",
        ),
        f"{count:,} gap{'s' * (count > 1)}, {missing:,} rows missing in all; the longest "
        f"lasts {duration(size)}.",
        "Ask the historian for these stretches; windows are never cut across them.",
    )
    return missing


def _plausible(part: TimePart, sheet: Sheet, now_us: int) -> Tally:
    notes = Notes(sheet, "Q23")
    wrong = part.low < FIRST_US or part.high > now_us + DAY
    if wrong:
        notes.add(
            "impossible-time",
            _between(sheet, (part.low, part.high), 1),
            "At least one row is dated before 1990 or in the future.",
            "Set the logger's clock, and correct or drop these rows.",
        )
    span = f"{sheet.moment(part.low)} to {sheet.moment(part.high)}"
    return Tally(
        id="Q23",
        bad=int(wrong),
        of=part.known,
        detail=span,
        findings=tuple(notes.found),
    )
