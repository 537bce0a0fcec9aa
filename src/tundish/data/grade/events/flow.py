"""Q05, Q07, Q09, Q11: cases that are whole, in order, and can have happened."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tundish.data.events.log import DAY, Bools, Ints, Log
from tundish.data.grade.events.checks import examples, places, remarks_of
from tundish.data.grade.report import percent
from tundish.data.grade.tally import Remarks, Tally
from tundish.data.times import NO_TIME, SECOND

MIN_CASES = 20
USUAL = 0.6
RARE = 0.02
MIDNIGHT = 0.02
IN_ORDER = 0.95
TOO_MANY = 5
SINGLE = 0.5
MINUTE = 60 * SECOND
_EDGES = {"start", "end", "begin", "finish", "stop"}


def ordered(log: Log) -> Tally:
    """Count events whose place among those of their case is known."""
    remarks = remarks_of(log, "Q07")
    total = int(log.whole.sum())
    daily = _midnight(log, remarks, total)
    tied = np.zeros(log.rows, dtype=bool)
    if not log.roles.endless:
        tied = _tied(log) & ~daily
        rows = np.flatnonzero(tied)
        if len(rows):
            remarks.add(
                "order-unknown",
                f"{len(rows):,} events happen at the same instant as another activity of "
                f"their case: {examples(log, rows)}.",
                "Export seconds, or a running number that keeps the order of booking.",
                names=places(log, rows),
                bad=len(rows),
                of=total,
                tag=log.roles.start,
            )
    back = _backward(log, remarks, total)
    bad = int((daily | tied | back).sum())
    return remarks.tally(bad, total)


def _midnight(log: Log, remarks: Remarks, total: int) -> Bools:
    """Mark events that carry a date and no time of day.

    Midnight is a time like others; it is claimed to be none if far more events than one
    in 1,440 (and one in fifty) stand at it.
    """
    at = np.asarray(log.whole & (log.start % DAY == 0), dtype=bool)
    if log.end is not None:  # one that ends at another hour has a time of day
        at &= (log.end % DAY == 0) & (log.end != NO_TIME) & ~_continued(log)
    count = int(at.sum())
    if count < max(3, MIDNIGHT * total):
        return np.zeros(log.rows, dtype=bool)
    rows = np.flatnonzero(at)
    most = count > SINGLE * total
    what = (
        "their time of day was not kept."
        if most
        else "either their time of day was not kept, or what lasts over midnight was cut there."
    )
    remarks.add(
        "no-time-of-day",
        f"{count:,} of {total:,} events stand at midnight sharp ({percent(count / total)}): "
        f"{what}",
        "Export the full time, and events that last over midnight as one.",
        names=places(log, rows),
        bad=count,
        of=total,
        tag=log.roles.start,
    )
    return at


def _tied(log: Log) -> Bools:
    """Mark events at the instant of another activity of their case."""
    tied = np.zeros(log.rows, dtype=bool)
    edge = np.isin(np.char.lower(log.activity), sorted(_EDGES))
    for rows in log.runs.values():
        inner = rows[~edge[rows]]
        again = (np.diff(log.start[inner]) == 0) & (
            log.activity[inner][1:] != log.activity[inner][:-1]
        )
        tied[inner[1:][again]] = True
        tied[inner[:-1][again]] = True
    return tied


def _backward(log: Log, remarks: Remarks, total: int) -> Bools:
    """Mark events that go back in time where the file is otherwise in order."""
    back = np.zeros(log.rows, dtype=bool)
    steps = 0
    for rows in log.runs.values():
        filed = np.sort(rows)
        falls = np.diff(log.start[filed]) < 0
        steps += len(falls)
        back[filed[1:][falls]] = True
    count = int(back.sum())
    if log.roles.endless or not count or count > (1 - IN_ORDER) * steps:
        return np.zeros(log.rows, dtype=bool)
    rows = np.flatnonzero(back)
    remarks.add(
        "backward-time",
        f"{count:,} events are filed after one of their case that happened later: "
        f"{examples(log, rows)}.",
        "Ask whether they were booked afterwards; sort by time if the times are true.",
        names=places(log, rows),
        bad=count,
        of=total,
        tag=log.roles.start,
    )
    return back


def whole_cases(log: Log) -> Tally:
    """Count cases that begin and end as cases do.

    Only if three in five begin (end) with one and the same activity; a case that begins
    with one that begins fewer than one in fifty was cut off.
    """
    remarks = remarks_of(log, "Q09", "cases")
    runs = log.runs
    if log.roles.endless:
        return remarks.tally(0, 0, "a list of events per machine has no whole cases")
    if len(runs) < MIN_CASES:
        return remarks.tally(0, 0, f"fewer than {MIN_CASES} cases")
    cut: set[str] = set()
    told = []
    for edge, what, verb in ((0, "first", "begin"), (-1, "last", "end")):
        ends = _edges(log, edge)
        counts = Counter(ends.values())
        usual, count = counts.most_common(1)[0]
        if count < USUAL * len(runs):
            told.append(f"no usual {what} activity")
            continue
        told.append(f"{verb} with {usual} in {percent(count / len(runs))} of the cases")
        odd = [c for c, name in ends.items() if counts[name] <= RARE * len(runs)]
        if odd:
            names = ", ".join(sorted({ends[case] for case in odd})[:4])
            remarks.add(
                "case-cut",
                f"{len(odd):,} cases {verb} with {names}, where others {verb} with {usual}: "
                f"{', '.join(sorted(odd)[:3])}.",
                "Export by cases and not by dates, or leave these cases out.",
                names=sorted(odd),
                of=len(runs),
                tag=what,
            )
        cut |= set(odd)
    return remarks.tally(len(cut), len(runs), "; ".join(told))


def _edges(log: Log, edge: int) -> dict[str, str]:
    """Return case -> its first (0) or last (-1) activity.

    Of several at that instant, the one that is first (last) in most cases.
    """
    usual = Counter(str(log.activity[rows[edge]]) for rows in log.runs.values())
    found = {}
    for case, rows in log.runs.items():
        tied = rows[log.start[rows] == log.start[rows[edge]]]
        names = {str(name) for name in log.activity[tied]}
        found[case] = max(names, key=lambda name: (usual[name], name))
    return found


def variants(log: Log) -> Tally:
    """Count cases that run a way that another case runs too."""
    remarks = remarks_of(log, "Q05", "cases")
    if log.roles.endless:
        return remarks.tally(0, 0, "a list of events per machine has no ways to run")
    if len(log.runs) < MIN_CASES:
        return remarks.tally(0, 0, f"fewer than {MIN_CASES} cases")
    ways = Counter(tuple(log.activity[rows]) for rows in log.runs.values())
    single = sum(n for n in ways.values() if n == 1)
    if single > SINGLE * len(log.runs):
        remarks.add(
            "variants",
            f"{single:,} of {len(log.runs):,} cases run a way of their own ({len(ways):,} "
            "ways in all).",
            "Join activities that mean one step, and check the case number; a model of next "
            "steps has little to learn here.",
            bad=single,
            of=len(log.runs),
        )
    return remarks.tally(
        single, len(log.runs), f"{len(ways):,} ways in {len(log.runs):,} cases"
    )


def feasible(log: Log) -> Tally:
    """Count events that end after they start, in pairs, on a machine that was free."""
    remarks = remarks_of(log, "Q11")
    bad = np.zeros(log.rows, dtype=bool)
    if log.end is not None:
        bad |= _reversed(log, log.end, remarks) | _crowded(log, log.end, remarks)
        bad |= _cut_at_midnight(log, remarks)
    unpaired = _unpaired(log, remarks)
    if log.end is None and log.lifecycle is None:
        return remarks.tally(0, 0, "events have a start only")
    return remarks.tally(min(log.rows, int(bad.sum()) + unpaired), log.rows)


def _reversed(log: Log, end: Ints, remarks: Remarks) -> Bools:
    both = log.whole & (end != NO_TIME)
    wrong = np.asarray(both & (end < log.start), dtype=bool)
    rows = np.flatnonzero(wrong)
    if len(rows):
        remarks.add(
            "end-before-start",
            f"{len(rows):,} events end before they start: {examples(log, rows)}.",
            "Check the clocks of the terminals, and whether the columns were exchanged.",
            names=places(log, rows),
            bad=len(rows),
            of=log.rows,
            tag=log.roles.end,
        )
    return wrong


def _cut_at_midnight(log: Log, remarks: Remarks) -> Bools:
    """Note events that only go on with one that was cut off at midnight."""
    cut = _continued(log)
    found = np.flatnonzero(cut)
    if len(found):
        remarks.add(
            "cut-event",
            f"{len(found):,} events only go on with one that was cut at midnight: "
            f"{examples(log, found)}. Each day counts as an event of its own.",
            "Join them before counting events or durations.",
            names=places(log, found),
            bad=len(found),
            of=log.rows,
            tag=log.roles.start,
        )
    return cut


def _continued(log: Log) -> Bools:
    """Mark events that begin at midnight where one of their kind has just ended."""
    cut = np.zeros(log.rows, dtype=bool)
    if log.end is None:
        return cut
    lasting = log.whole & (log.end > log.start)
    ended: dict[tuple[str, str], Ints] = {}
    for row in np.flatnonzero(lasting & (log.start % DAY == 0)):
        key = (str(log.case[row]), str(log.activity[row]))
        if key not in ended:
            mine = (log.case == key[0]) & (log.activity == key[1])
            ended[key] = np.sort(log.end[mine & lasting])
        at = int(np.searchsorted(ended[key], log.start[row], side="right")) - 1
        cut[row] = at >= 0 and int(log.start[row] - ended[key][at]) <= MINUTE
    few = int(cut.sum()) < max(3, MIDNIGHT * log.rows)
    return np.zeros(log.rows, dtype=bool) if few else cut


def _crowded(log: Log, end: Ints, remarks: Remarks) -> Bools:
    """Mark events of a resource that does many things at once while others do one."""
    crowded = np.zeros(log.rows, dtype=bool)
    if log.resource is None:
        return crowded
    peaks: dict[str, int] = {}
    held: dict[str, Ints] = {}
    for name in sorted({str(one) for one in log.resource if one}):
        rows = np.flatnonzero((log.resource == name) & log.whole & (end > log.start))
        if len(rows) >= TOO_MANY:
            at_once = _at_once(log.start[rows], end[rows])
            peaks[name], held[name] = int(at_once.max()), rows[at_once >= TOO_MANY]
    if not peaks or float(np.median(list(peaks.values()))) > 2:
        return crowded
    over = [name for name, peak in peaks.items() if peak >= TOO_MANY]
    for name in over:
        crowded[held[name]] = True
        remarks.add(
            "overload",
            f"{name} does up to {peaks[name]} things at once (other resources one or two).",
            "Ask whether it is a pool, or whether bookings stay open until the shift ends.",
            names=places(log, held[name]),
            bad=len(held[name]),
            of=log.rows,
            tag=name,
        )
    return crowded


def _at_once(start: Ints, end: Ints) -> Ints:
    """Return how many events run when each of some events starts."""
    begun = np.searchsorted(np.sort(start), start, side="right")
    over = np.searchsorted(np.sort(end), start, side="right")
    return np.asarray(begun - over, dtype=np.int64)


def _unpaired(log: Log, remarks: Remarks) -> int:
    """Count starts without an end and ends without a start."""
    if log.lifecycle is None:
        return 0
    state = np.char.lower(log.lifecycle)
    starts, ends = state == "start", state == "complete"
    if not starts.any() or not ends.any():
        return 0
    left: Counter[tuple[str, str]] = Counter()
    for sign, marks in ((1, starts), (-1, ends)):
        for row in np.flatnonzero(marks & log.whole):
            left[str(log.case[row]), str(log.activity[row])] += sign
    odd = {pair: n for pair, n in left.items() if n}
    count = sum(abs(n) for n in odd.values())
    if count:
        case, activity = min(odd)
        remarks.add(
            "unpaired",
            f"{count:,} starts have no end, or ends no start (the first: {activity} of {case}).",
            "Export open steps with a mark of their own.",
            bad=count,
            of=log.rows,
            tag=log.roles.lifecycle,
        )
    return count
