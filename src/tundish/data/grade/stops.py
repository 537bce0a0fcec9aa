"""Stops of the plant: cut out and counted before anything is called stuck or missing.

A stopped machine repeats, reads zero and is not watched: none of that is a fault of the
data. When the machine runs is said by the user (``--running``) or the site profile; it is
never guessed silently, but stops that show by themselves are pointed out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tundish.catalog.errors import ConditionInvalidError
from tundish.catalog.expression import Condition, compile_condition, quoted
from tundish.data.grade.character import Character, characters
from tundish.data.grade.report import percent
from tundish.data.grade.scan import quantiles
from tundish.data.grade.sheet import Bools, Floats, Ints, Sheet, duration
from tundish.data.grade.tally import Notes, Tally
from tundish.data.table import Assumption
from tundish.data.times import NO_TIME

LIVES_ON = 0.7
MIN_STEPS = 20
REST = 0.01
AWAY = 0.2
MIN_RESTING = 5
REST_SHARE = 0.3
TOGETHER = 0.8
MOST_STOPPED = 0.6
LEAST_STOPPED = 0.005
MIN_STRETCH = 5


@dataclass(frozen=True, kw_only=True)
class Stops:
    """How often and how long a table's machine stood.

    Attributes:
        count: Stretches of rows in which it did not run.
        rows: Rows in them.
        us: Their time in microseconds, 0 if the table has no time.
    """

    count: int
    rows: int
    us: int


def with_running(sheets: Sequence[Sheet], text: str) -> list[Sheet]:
    """Return the sheets with the rows marked in which a condition holds.

    The tags may stand in different sheets; a tag with a clock of its own counts with its
    last value. A row in which a tag is empty is in the state of the row before.

    Raises:
        ConditionInvalidError: if the condition is none, or names an unknown tag.
    """
    condition = compile_condition(text)
    home = next((s for s in sheets if _has(s, condition)), sheets[0])
    columns = {s.tag: s.values for sheet in sheets for s in sheet.series}
    absent = sorted(condition.tags - set(columns))
    if absent:
        have = ", ".join(list(columns)[:8])
        msg = f"The condition {text!r} names {absent[0]!r}; the data has {have}."
        raise ConditionInvalidError(msg)
    held = {}
    for sheet in sheets:
        for series in sheet.series:
            if series.tag in condition.tags:
                held[series.tag] = _as_of(_carried(series.values, sheet), sheet, home)
    runs = condition.on(held)
    made = []
    for sheet in sheets:
        if sheet is home:
            made.append(through_silence(replace(sheet, running=runs)))
        else:
            state = _as_of(runs.astype(np.float64), home, sheet)
            made.append(replace(sheet, running=np.asarray(state > 0)))
    return made


def through_silence(sheet: Sheet) -> Sheet:
    """Return the sheet with the state known in rows in which all tags are empty.

    Such rows are a stop if the rows before and after are; otherwise data is missing.
    """
    if sheet.running is None or not sheet.series:
        return sheet
    silent = np.logical_and.reduce([np.isnan(s.values) for s in sheet.series])
    for spectrum in sheet.spectra:
        silent &= np.isnan(spectrum.values).all(axis=1)
    if not silent.any():
        return sheet
    running = sheet.running.copy()
    for run in _runs(sheet, np.flatnonzero(silent)):
        before, after = _beside(sheet, int(run[0]), -1), _beside(sheet, int(run[-1]), 1)
        stopped = [not running[row] for row in (before, after) if row is not None]
        running[run] = not (stopped and all(stopped))
    return replace(sheet, running=running)


def _beside(sheet: Sheet, row: int, step: int) -> int | None:
    """Return the row before or after one in its unit, or nothing."""
    rank = int(sheet.rank[row]) + step
    edge = rank + 1 if step < 0 else rank
    if not 0 <= rank < sheet.rows or sheet.starts[edge]:
        return None
    return int(sheet.order[rank])


def counted(sheet: Sheet) -> Stops:
    """Return the stops of a sheet whose running state is known."""
    if sheet.running is None:
        return Stops(count=0, rows=0, us=0)
    rows = np.flatnonzero(~sheet.running)
    if not len(rows):
        return Stops(count=0, rows=0, us=0)
    runs = _runs(sheet, rows)
    length = sum(sheet.lasting(int(run[0]), int(run[-1])) for run in runs)
    return Stops(count=len(runs), rows=len(rows), us=length)


def said(sheet: Sheet, text: str, source: str) -> Assumption:
    """Say what was cut out."""
    stops = counted(sheet)
    hours = f", {duration(stops.us)} in all" if stops.us else ""
    what = (
        f"rows of {sheet.name} in which not ({text}) are stops: {stops.count:,} stops, "
        f"{stops.rows:,} of {sheet.rows:,} rows ({percent(stops.rows / sheet.rows)})"
        f"{hours}; they are cut out before anything is called missing, stuck or an outlier"
    )
    return Assumption(
        what=what,
        why=f"{source} says when the machine runs",
        otherwise="correct the condition, or leave it out",
    )


def cut(sheet: Sheet) -> Sheet:
    """Return the sheet with nothing in the rows of stops, and these rows marked."""
    if sheet.running is None or sheet.running.all():
        return sheet
    stopped = ~sheet.running
    series = tuple(
        replace(one, values=np.where(stopped, np.nan, one.values))
        for one in sheet.series
    )
    return replace(sheet, series=series, stopped=stopped)


def for_standing(
    sheet: Sheet, tags: list[Character], running: list[Character]
) -> list[Character]:
    """Return tags for the search for stuck sensors: whole where a tag lives on in stops.

    An outdoor thermometer goes on when the machine stops, and may be stuck then too.

    Args:
        sheet: The table.
        tags: Its tags, with the rows of stops.
        running: The same without.
    """
    if sheet.running is None:
        return tags
    still = ~sheet.running[sheet.order]
    pair = still[1:] & still[:-1] & ~sheet.starts[1:]
    places = np.flatnonzero(pair)
    each = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
    chosen = []
    for whole, part in zip(tags, running, strict=True):
        moves = np.diff(whole.ordered)
        chosen.append(whole if _lives(moves, each) else part)
    return chosen


def _lives(moves: Floats, stops_: list[Ints]) -> bool:
    """Tell whether a tag goes on changing in the usual stop."""
    shares = []
    for places in stops_:
        steps = moves[places]
        steps = steps[np.isfinite(steps)]
        if len(steps) >= MIN_STEPS:
            shares.append(float(np.mean(steps != 0)))
    return bool(shares) and float(np.median(shares)) >= LIVES_ON


def cut_characters(
    sheet: Sheet, tags: list[Character]
) -> tuple[Sheet, list[Character]]:
    """Return the sheet without its stops and its tags, scanned; the same if it has none."""
    live = cut(sheet)
    return (sheet, tags) if live is sheet else (live, characters(live))


def suggested(sheet: Sheet, tags: list[Character]) -> Tally:
    """Point out stops that show by themselves; they are not cut out unasked.

    A tag that usually is away from zero rests near it; at least three such tags, and
    three in ten of all live ones, do so in the same rows.
    """
    nothing = Tally(id="Q08", bad=0, of=0)
    if sheet.running is not None or sheet.us is None or sheet.elapsed:
        return nothing
    live = [tag for tag in tags if tag.role in {"measure", "stepwise"}]
    resting = [(tag, rest) for tag in live if (rest := _resting(tag)) is not None]
    if len(resting) < max(3, REST_SHARE * len(live)):
        return nothing
    share = np.mean([rest for _, rest in resting], axis=0)
    runs = [
        run
        for run in _runs(sheet, sheet.order[share >= TOGETHER])
        if len(run) >= MIN_STRETCH
    ]
    rows = np.concatenate(runs) if runs else np.zeros(0, dtype=np.int64)
    if not LEAST_STOPPED * sheet.rows <= len(rows) <= MOST_STOPPED * sheet.rows:
        return nothing
    notes = Notes(sheet, "Q08")
    _note_stops(notes, [tag for tag, _ in resting], (runs, rows), len(live))
    return replace(nothing, findings=tuple(notes.found))


def expression(tag: Character) -> str:
    """Return a condition that tells running from rest for a tag: half its usual low."""
    awake = np.abs(tag.ordered[np.isfinite(tag.ordered)])
    reach = float(awake.max(initial=0.0))
    low = float(np.quantile(awake[awake > REST * reach], 0.05)) if reach > 0 else 0.0
    return f"{quoted(tag.series.tag)} > {0.5 * low:.2g}"


def _note_stops(
    notes: Notes, resting: list[Character], found: tuple[list[Ints], Ints], live: int
) -> None:
    runs, rows = found
    sheet = notes.sheet
    names = [tag.series.tag for tag in resting]
    length = sum(sheet.lasting(int(run[0]), int(run[-1])) for run in runs)
    best = min(resting, key=lambda tag: tag.repeat)
    notes.add(
        "stops",
        notes.over("", rows),
        f"{len(resting)} of {live} live tags ({', '.join(names[:4])}{' ...' * (len(names) > 4)}) "
        f"rest near zero together in {len(runs):,} stretches, {duration(length)} in all: "
        "the plant, or this part of it, seems to stand.",
        f'If so, say when it runs: --running "{expression(best)}".',
    )


def _resting(tag: Character) -> Bools | None:
    """Return where a tag rests near zero, in the sheet's order; ``None`` if it never does."""
    q = tag.quantiles or quantiles(tag.ordered, tag.scan.low, tag.scan.high)
    if q is None:
        return None
    reach = max(abs(q.q05), abs(q.q95))
    if reach <= 0 or abs(q.q50) < AWAY * reach:
        return None
    if tag.scan.low > REST * reach or tag.scan.high < -REST * reach:
        return None
    with np.errstate(invalid="ignore"):
        rest = np.asarray(np.abs(tag.ordered) <= REST * reach)
    return rest if rest.sum() >= MIN_RESTING else None


def _has(sheet: Sheet, condition: Condition) -> bool:
    return bool(condition.tags & {series.tag for series in sheet.series})


def _carried(values: Floats, sheet: Sheet) -> Floats:
    """Return values with empty cells filled from the row before in time."""
    ordered = values[sheet.order]
    last = np.maximum.accumulate(
        np.where(np.isfinite(ordered) | sheet.starts, np.arange(len(ordered)), 0)
    )
    carried = np.empty_like(values)
    carried[sheet.order] = ordered[last]
    return carried


def _as_of(values: Floats, source: Sheet, goal: Sheet) -> Floats:
    """Return for each row of ``goal`` the last value of ``source`` up to its time."""
    if source is goal or source.us is None or goal.us is None:
        return values if source is goal else np.full(goal.rows, np.nan)
    order = np.argsort(source.us, kind="stable")
    order = order[source.us[order] != NO_TIME]
    at = np.searchsorted(source.us[order], goal.us, side="right") - 1
    found = np.full(goal.rows, np.nan)
    found[at >= 0] = values[order[at[at >= 0]]]
    return found


def _runs(sheet: Sheet, rows: Ints) -> list[Ints]:
    """Return stretches of rows that follow each other within their unit."""
    place = sheet.place[rows]
    ordered = rows[np.argsort(place, kind="stable")]
    cuts = np.flatnonzero(np.diff(np.sort(place)) > 1) + 1
    return list(np.split(ordered, cuts))
