"""Q07 and Q23: do the times step evenly, and can they be true?

A change to or from summer time leaves a known pattern: an hour that stands twice or is
missing around the very moment at which the zone's clocks change. It is named as such.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from tundish.data.grade.report import Finding
from tundish.data.grade.sheet import Bools, Floats, Ints, Sheet, duration
from tundish.data.grade.tally import MOST_STRETCHES, Notes, Spot, Tally
from tundish.data.times import NO_TIME, SECOND

GAP = 1.5
TOLERANCE = 0.1
REGULAR_FROM = 0.6
STORED_OFTEN = 0.05
POLLED = 0.98
DEAD_BAND = 0.25
MIN_MOVES = 50
HOUR = 3600 * SECOND
DAY = 24 * HOUR
FIRST_US = 631_152_000 * SECOND  # 1990-01-01
_MAX_YEARS = 60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK_KINDS = frozenset({"clock-change", "clock-change-gap"})
_LIKELY_ZONES = ("Europe/Berlin", "America/New_York", "Australia/Sydney")
_NEVER_SET = 2 * DAY
_YEAR = 365 * DAY
_REST_OFTEN = 0.7
_REST_WEEKS = 3
_SATURDAY = 5


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of the clocks: its moment (UTC) and by how much they move.

    ``at`` is on the axis of the data: UTC, or the wall clock for times that were
    written without an offset and read as UTC.
    """

    at: int
    shift: int
    zone: str
    wall: bool


def regular(sheet: Sheet) -> list[Tally]:
    """Look at the steps between rows: gaps, steps of zero, steps back, uneven steps.

    Returns:
        Q07, and the cells of rows that are missing in gaps for Q02.
    """
    if sheet.us is None or sheet.made_clock or sheet.rows < 3:
        why = "times are computed, not read" if sheet.made_clock else "no time column"
        return [Tally(id="Q07", bad=0, of=0, detail=why)]
    notes = Notes(sheet, "Q07")
    period = _period(sheet)
    if period is None:
        return [Tally(id="Q07", bad=0, of=0, detail="fewer than three different times")]
    even = _even_share(sheet, period)
    steps_known = even >= REGULAR_FROM
    if not steps_known:
        why = "times come as events do, not at a fixed rate"
        return [Tally(id="Q07", bad=0, of=0, detail=why)]
    on_change = _on_change(sheet, period, even)
    if on_change:
        return [Tally(id="Q07", bad=0, of=0, detail=on_change)]
    changes = _changes(sheet)
    bad = of = 0
    for _, rows in sheet.units:
        stamps = sheet.us[rows]
        rows, stamps = rows[stamps != NO_TIME], stamps[stamps != NO_TIME]  # noqa: PLW2901
        if len(rows) < 2:
            continue
        uneven, looked_at = _look(notes, rows, (period, changes))
        bad += uneven
        of += looked_at
    detail = f"a row every {period / SECOND:g} s" + _running_only(sheet)
    tally = Tally(
        id="Q07",
        bad=bad,
        of=of,
        detail=detail,
        findings=tuple(notes.found),
        mends=tuple(notes.mends),
    )
    return [tally, _missing_cells(sheet, notes)]


def _on_change(sheet: Sheet, period: int, even: float) -> str:
    """Say why long steps are no gaps, or nothing: values stored only when they change.

    Shown by a dead band (values next to each other almost never differ by little), or by
    a tag of a historian that was stored at moments of its own and not at a strict rate.
    """
    steps = _steps(sheet)
    long = steps > GAP * period
    if sheet.spectra or not sheet.series:
        return ""
    own = sheet.alone and (long.mean() >= 1 - POLLED or even < POLLED)
    if not own:
        if long.mean() < STORED_OFTEN:
            return ""
        bands = [_dead_band(series.values[sheet.order]) for series in sheet.series]
        banded = sum(band > 0 for band in bands) > len(bands) / 2
        if not banded:
            return ""
    span = int(steps[steps > 0].sum())
    return (
        f"values are stored when they change, {len(steps) * HOUR / max(1, span):.3g} an "
        "hour: a long step is no gap"
    )


def _dead_band(values: Floats) -> float:
    """Return the least change that is stored, 0 if small changes are stored too."""
    known = values[np.isfinite(values)]
    moves = np.abs(np.diff(known))
    if len(moves) < MIN_MOVES:
        return 0.0
    least, usual = np.quantile(moves, (0.02, 0.5))
    return float(least) if least > DEAD_BAND * usual else 0.0


def merged(tallies: list[Tally]) -> list[Tally]:
    """Say a change of the clocks once, though many tables of one file show it."""
    found = [(f, t) for t in tallies for f in t.findings if f.kind in _CLOCK_KINDS]
    alike: dict[tuple[str, str], list[Finding]] = {}
    for finding, _ in found:
        alike.setdefault((finding.kind, finding.first[:10]), []).append(finding)
    dropped: set[int] = set()
    said: dict[int, Finding] = {}
    for same in alike.values():
        best = max(same, key=lambda f: f.rows)
        others = len({f.table for f in same}) - 1
        if others:
            what = f"{best.what} The same in {others:,} other tables of the file."
            said[id(best)] = best.model_copy(update={"what": what})
            dropped |= {id(f) for f in same if f is not best}
    return [
        replace(
            t,
            findings=tuple(
                said.get(id(f), f) for f in t.findings if id(f) not in dropped
            ),
        )
        for t in tallies
    ]


def _missing_cells(sheet: Sheet, notes: Notes) -> Tally:
    columns = len(sheet.series) + sum(len(s.axis) for s in sheet.spectra)
    rows = sum(f.rows for f in notes.found if f.kind == "gap")
    detail = f"{rows:,} rows missing in gaps" if rows else ""
    return Tally(id="Q02", bad=rows * columns, of=rows * columns, detail=detail)


def plausible(sheet: Sheet, now_us: int) -> Tally:
    """Count times in the future, and times of a clock that was never set.

    Old times are none of these by themselves: a record may go back a century. A clock
    was not set where it starts in the first two days of 1970, or where fewer than half
    of the rows lie before 1990 and more than a year before all others.

    Args:
        sheet: The table.
        now_us: The present, from the caller's clock.
    """
    if sheet.us is None or sheet.elapsed or sheet.made_clock:
        return Tally(id="Q23", bad=0, of=0, detail="no calendar time")
    notes = Notes(sheet, "Q23")
    known = sheet.us != NO_TIME
    future = known & (sheet.us > now_us + DAY)
    unset = known & _never_set(sheet.us, known & ~future)
    wrong = future | unset
    count = int(wrong.sum())
    for some, what in (
        (future, "dated in the future"),
        (unset, "dated by a clock that was not set (1970, or years before the rest)"),
    ):
        rows = np.flatnonzero(some)
        if len(rows):
            notes.add(
                "impossible-time",
                notes.spot("", int(rows[0]), int(rows[-1]), len(rows), rows),
                f"{len(rows):,} row{'s are' if len(rows) > 1 else ' is'} {what}.",
                "Set the logger's clock, and correct or drop these rows.",
            )
    right = sheet.us[known & ~wrong]
    span = ""
    if len(right):
        span = f"{sheet.moment(int(right.min()))} to {sheet.moment(int(right.max()))}"
    return Tally(
        id="Q23",
        bad=count,
        of=int(known.sum()),
        detail=span,
        findings=tuple(notes.found),
    )


def _never_set(us: Ints, known: Bools) -> Bools:
    """Mark the times of a clock that was not set; see ``plausible``."""
    epoch = known & (us >= 0) & (us < _NEVER_SET)
    old = known & (us < FIRST_US)
    others = us[known & ~old]
    few = 0 < int(old.sum()) < 0.5 * int(known.sum())
    if few and int(others.min()) - int(us[old].max()) > _YEAR:
        return np.asarray(epoch | old)
    return np.asarray(epoch)


def _period(sheet: Sheet) -> int | None:
    """Return the commonest positive step in microseconds (the contract's if it has one)."""
    if sheet.period_s is not None:
        return round(sheet.period_s * SECOND)
    steps = _steps(sheet)
    steps = steps[steps > 0]
    if len(steps) < 2:
        return None
    values, counts = np.unique(steps, return_counts=True)
    if counts.max() >= 0.2 * len(steps):
        return int(values[counts.argmax()])
    return int(np.median(steps))


def _steps(sheet: Sheet) -> Ints:
    stamps = sheet.us[sheet.order] if sheet.us is not None else np.zeros(0, dtype=int)
    inner = ~sheet.starts[1:] & (stamps[1:] != NO_TIME) & (stamps[:-1] != NO_TIME)
    return np.asarray(np.diff(stamps)[inner])


def _even_share(sheet: Sheet, period: int) -> float:
    steps = _steps(sheet)
    steps = steps[steps > 0]
    if not len(steps):
        return 0.0
    return float(np.mean(np.abs(steps - period) <= TOLERANCE * period))


def _running_only(sheet: Sheet) -> str:
    if sheet.stopped is None:
        return ""
    return f", {int(sheet.stopped.sum()):,} rows of stops left out"


def _look(
    notes: Notes, rows: Ints, terms: tuple[int, tuple[Change, ...]]
) -> tuple[int, int]:
    """Look at one unit; return the steps that are not even, and those looked at.

    Steps from a row of a stop to another are not looked at.
    """
    period, changes = terms
    sheet = notes.sheet
    if sheet.us is None:
        return 0, 0
    backward = np.flatnonzero(np.diff(sheet.us[rows]) < 0)
    ordered = rows[np.argsort(sheet.us[rows], kind="stable")]
    stamps = sheet.us[ordered]
    steps = np.diff(stamps)
    twice = steps == 0
    at_rest = np.zeros(len(steps), dtype=bool)
    if sheet.stopped is not None:
        at_rest = sheet.stopped[ordered[1:]] & sheet.stopped[ordered[:-1]]
    gaps = (steps > GAP * period) & ~at_rest
    uneven = (np.abs(steps - period) > TOLERANCE * period) & ~gaps & ~twice
    uneven &= ~at_rest
    rest = _weekends(stamps, gaps, period)
    gaps &= ~rest
    uneven &= ~rest
    changes, named = _explained(changes, stamps, twice, gaps, period)
    _note_changes(notes, ordered, named & twice, named & gaps, changes)
    _note_twice(notes, ordered, twice & ~named)
    _note_gaps(notes, ordered, gaps & ~named, period)
    told = bool((named & twice).any())
    turned = None if told else _turned_back(sheet, rows, backward, terms)
    if turned is not None:
        _note_turned_back(notes, rows, int(backward[0]), turned)
    _note_backward(notes, rows, backward, named=told or turned is not None)
    looked_at = int((~at_rest).sum())
    return min(looked_at, int(twice.sum() + gaps.sum() + uneven.sum())), looked_at


def _explained(
    changes: tuple[Change, ...], stamps: Ints, twice: Bools, gaps: Bools, period: int
) -> tuple[tuple[Change, ...], Bools]:
    """Return the changes of the zone that explains most steps, and those steps."""
    best: tuple[Change, ...] = ()
    marked = np.zeros(len(stamps) - 1, dtype=bool)
    for zone in dict.fromkeys(change.zone for change in changes):
        mine = tuple(change for change in changes if change.zone == zone)
        named = np.zeros(len(stamps) - 1, dtype=bool)
        for change in mine:
            named |= _near(change, stamps, twice, gaps, period)
        if named.sum() > marked.sum() or not best:
            best, marked = mine, named
    return best, marked


def _weekends(stamps: Ints, gaps: Bools, period: int) -> Bools:
    """Mark gaps over Saturday and Sunday, if the table rests on most weekends.

    A plant that works five days a week, or a market, leaves no gap at its weekends.
    """
    first, last = stamps[:-1], stamps[1:]
    weeks = (int(stamps[-1]) - int(stamps[0])) / (7 * DAY)
    rest = np.zeros(len(gaps), dtype=bool)
    if weeks < _REST_WEEKS or period > DAY:
        return rest
    days = (stamps // DAY + 3) % 7  # 1970-01-01 was a Thursday; 0 is Monday
    worked = days < _SATURDAY
    if worked.mean() < 0.9:  # somebody works at weekends
        return rest
    saturday = first // DAY + (_SATURDAY - (first // DAY + 3) % 7)
    over = (last // DAY >= saturday + 1) & (last - first <= 4 * DAY)
    rest = gaps & over
    return rest if rest.sum() >= _REST_OFTEN * weeks else np.zeros_like(rest)


def _near(
    change: Change, stamps: Ints, twice: Bools, gaps: Bools, period: int
) -> Bools:
    """Mark the steps that a change of the clocks explains.

    Steps of zero count if they lie within the hour on either side of the change; a gap
    counts if it is longer than the period by just the shift and touches that stretch.
    """
    shift = abs(change.shift)
    first, last = stamps[:-1], stamps[1:]
    within = (last >= change.at - shift) & (first <= change.at + shift)
    lost = np.abs(last - first - period - shift) <= TOLERANCE * max(period, 1)
    few = int((twice & within).sum()) * max(period, 1) <= 1.5 * shift
    return np.asarray((twice & within & few) | (gaps & within & lost))


def _changes(sheet: Sheet) -> tuple[Change, ...]:
    """Return the clock changes that the data spans, in its own zone or a likely one."""
    if sheet.us is None or sheet.elapsed:
        return ()
    known = sheet.us[sheet.us != NO_TIME]
    if not len(known):
        return ()
    first, last = int(known.min()), int(known.max())
    found = (
        () if sheet.zone == "UTC" else zone_changes(sheet.zone, first, last, wall=False)
    )
    if found or sheet.zone_known or not sheet.local:
        return found
    every: list[Change] = []
    for zone in _LIKELY_ZONES:
        every += zone_changes(zone, first, last, wall=True)
    return tuple(every)


def zone_changes(zone: str, first: int, last: int, *, wall: bool) -> tuple[Change, ...]:
    """Return the changes of a zone's clocks between two moments.

    Args:
        zone: IANA name.
        first: Microseconds since 1970.
        last: The same.
        wall: Give moments on the wall clock (as if it were UTC) instead of in UTC.
    """
    if last - first > _MAX_YEARS * 366 * DAY or first < -(2**60) or last > 2**60:
        return ()
    info = ZoneInfo(zone)
    found = []
    day = first - DAY
    while day <= last + DAY:
        before, after = _offset(info, day), _offset(info, day + DAY)
        if before != after:
            at = _bisect(info, day, day + DAY)
            moved = at + (min(before, after) if wall else 0)
            found.append(Change(at=moved, shift=after - before, zone=zone, wall=wall))
        day += DAY
    return tuple(found)


def _offset(info: ZoneInfo, us: int) -> int:
    moment = (_EPOCH + timedelta(microseconds=us)).astimezone(info)
    offset = moment.utcoffset() or timedelta()
    return round(offset.total_seconds()) * SECOND


def _bisect(info: ZoneInfo, low: int, high: int) -> int:
    start = _offset(info, low)
    while high - low > SECOND:
        middle = (low + high) // 2
        if _offset(info, middle) == start:
            low = middle
        else:
            high = middle
    return high - high % SECOND


def _note_changes(
    notes: Notes,
    rows: Ints,
    twice: Bools,
    gaps: Bools,
    changes: tuple[Change, ...],
) -> None:
    zone = changes[0].zone if changes else notes.sheet.zone
    wall = bool(changes) and changes[0].wall
    guess = ", which the times seem to follow" if wall else ""
    mend = _clock_mend(zone, wall=wall, both=bool(twice.any() and gaps.any()))
    if twice.any():
        at = np.flatnonzero(twice)
        stretches = _stretches_said(notes, rows, at)
        spot = notes.spot(
            "", int(rows[at[0]]), int(rows[at[-1] + 1]), 2 * len(at), rows[at]
        )
        notes.add(
            "clock-change",
            spot,
            f"{2 * len(at)} rows share their time with another at the change of the clocks of "
            f"{zone}{guess}: {stretches}.",
            mend,
        )
    if gaps.any():
        at = np.flatnonzero(gaps)
        stretches = ", ".join(
            f"after {notes.sheet.where(int(rows[i]))}" for i in at[:4]
        )
        spot = notes.spot(
            "", int(rows[at[0]]), int(rows[at[-1] + 1]), len(at), rows[at]
        )
        notes.add(
            "clock-change-gap",
            spot,
            f"An hour is missing at the change of the clocks of {zone}{guess}: {stretches}.",
            mend,
        )


def _clock_mend(zone: str, *, wall: bool, both: bool) -> str:
    """Return what to do: in UTC an hour that stands twice in spring cannot be.

    With a zone's offset written, both patterns together show a logger that kept winter
    time: its summer times are an hour early.
    """
    if wall:
        return f"Give --time-zone {zone} if that is where the clock hung, or export in UTC."
    if both:
        return (
            "Export in UTC. Both patterns together say that the logger kept winter time all "
            "year: then the times in between are an hour early."
        )
    return "Export in UTC; the logger's clock and the zone's were not changed together."


def _stretches_said(notes: Notes, rows: Ints, at: Ints) -> str:
    runs = np.split(at, np.flatnonzero(np.diff(at) > 2) + 1)
    said = [
        f"{notes.sheet.where(int(rows[run[0]]))} to {notes.sheet.where(int(rows[run[-1] + 1]))}"
        for run in runs[:4]
    ]
    more = f" and {len(runs) - 4} more" if len(runs) > 4 else ""
    return ", ".join(said) + more


def _note_twice(notes: Notes, rows: Ints, twice: Bools) -> None:
    if not twice.any():
        return
    at = np.flatnonzero(twice)
    spot = notes.spot("", int(rows[at[0]]), int(rows[at[-1] + 1]), len(at), rows[at])
    notes.add(
        "duplicate-time",
        spot,
        f"{len(at):,} rows have the same time as the row before.",
        "If several machines share the table, name their column (--unit); else keep one row per time.",
    )
    notes.mendable("duplicate-time", (), rows[at + 1])


def _note_gaps(notes: Notes, rows: Ints, gaps: Bools, period: int) -> None:
    if not gaps.any() or notes.sheet.us is None:
        return
    at = np.flatnonzero(gaps)
    sizes = np.diff(notes.sheet.us[rows])[at]
    missing = np.rint(sizes / period).astype(np.int64) - 1
    longest = int(at[sizes.argmax()])
    first, last = int(rows[longest]), int(rows[longest + 1])
    total = len(rows) + int(missing.sum())
    spot = Spot(
        tag="",
        unit=notes.sheet.unit_of(first),
        first=notes.sheet.where(first),
        last=notes.sheet.where(last),
        rows=int(missing.sum()),
        total=total,
        counted="expected rows",
        stretches=tuple((int(rows[i]), int(rows[i + 1])) for i in at[:MOST_STRETCHES]),
    )
    notes.add(
        "gap",
        spot,
        f"{len(at):,} gap{'s' * (len(at) > 1)}, {int(missing.sum()):,} rows missing in all; "
        f"the longest lasts {duration(int(sizes.max()))}.",
        "Ask the historian for these stretches; windows are never cut across them.",
    )


def _turned_back(
    sheet: Sheet, rows: Ints, backward: Ints, terms: tuple[int, tuple[Change, ...]]
) -> Change | None:
    """Return the change of the clocks that explains the only step back, or ``None``.

    The rows of the doubled hour share no time if the hour is no multiple of the period.
    """
    period, changes = terms
    if len(backward) != 1 or sheet.us is None:
        return None
    before, after = (int(sheet.us[rows[backward[0] + i]]) for i in (0, 1))
    for change in changes:
        shift = abs(change.shift)
        whole = abs(before - after + period - shift) <= max(period, shift // 60)
        if whole and abs(after - change.at) <= shift + period:
            return change
    return None


def _note_turned_back(notes: Notes, rows: Ints, at: int, change: Change) -> None:
    sheet = notes.sheet
    if sheet.us is None:
        return
    first, last = int(sheet.us[rows[at + 1]]), int(sheet.us[rows[at]])
    doubled = rows[(sheet.us[rows] >= first) & (sheet.us[rows] <= last)]
    notes.add(
        "clock-change",
        notes.over("", doubled),
        f"Time goes back an hour at the change of the clocks of {change.zone}: the "
        f"{len(doubled):,} rows of two hours bear the times of one.",
        _clock_mend(change.zone, wall=change.wall, both=False),
    )


def _note_backward(notes: Notes, rows: Ints, backward: Ints, *, named: bool) -> None:
    if not len(backward) or named:
        return
    spot = notes.spot(
        "", int(rows[backward[0]]), int(rows[backward[-1] + 1]), len(backward)
    )
    notes.add(
        "backward-time",
        spot,
        f"Time steps back {len(backward):,} times from one row to the next.",
        "Sort by time; if it happens in autumn only, the times are local: export in UTC.",
    )
    notes.mendable("backward-time", (), rows)
