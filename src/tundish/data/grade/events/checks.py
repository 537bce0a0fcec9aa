"""Q01, Q02, Q06, Q12, Q13, Q23: events that are whole, single and named in one way."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import polars as pl

from tundish.data.events.log import Ints, Log
from tundish.data.grade.tally import Remarks, Tally
from tundish.data.times import NO_TIME, SECOND

COUNTED = "events"
RARE = 0.1
LEAST_LETTERS = 6
MOST_ACTIVITIES = 500
_YEAR_1990 = 631_152_000 * SECOND
_NO_SENSE = re.compile(r"[\W_]+")


def remarks_of(log: Log, indicator: str, counted: str = COUNTED) -> Remarks:
    """Return an empty list of findings of an indicator."""
    return Remarks(table=log.name, indicator=indicator, counted=counted)


def places(log: Log, rows: Sequence[int] | Ints, most: int = 1_000) -> list[str]:
    """Return where some events stand, for people."""
    return [log.place(int(row)) for row in rows[:most]]


def examples(log: Log, rows: Sequence[int] | Ints, most: int = 2) -> str:
    """Return where the first few of some events stand."""
    more = f" and {len(rows) - most:,} more" if len(rows) > most else ""
    return ", ".join(places(log, rows, most)) + more


def readable(log: Log) -> Tally:
    """Count lines that were read and times that are times."""
    remarks = remarks_of(log, "Q01")
    total = log.rows + len(log.dropped)
    if log.dropped:
        remarks.add(
            "ragged",
            f"{len(log.dropped):,} lines have another number of fields than the rest.",
            "Look for separators inside texts; export with quotes.",
            names=[f"line {line}" for line in log.dropped[:1_000]],
            bad=len(log.dropped),
            of=total,
        )
    if log.unreadable:
        remarks.add(
            "event-incomplete",
            f"{log.unreadable:,} times cannot be read in the form of the others.",
            "Export all times in one form, best ISO 8601.",
            bad=log.unreadable,
            of=total,
            tag=log.roles.start,
        )
    return remarks.tally(len(log.dropped) + log.unreadable, total)


def complete(log: Log) -> Tally:
    """Count events that have case, activity and time."""
    remarks = remarks_of(log, "Q02")
    for column, absent in (
        (log.roles.case, log.case == ""),
        (log.roles.activity, log.activity == ""),
        (log.roles.start, log.start == NO_TIME),
    ):
        rows = np.flatnonzero(absent)
        if len(rows):
            remarks.add(
                "event-incomplete",
                f"{len(rows):,} events have no {column}: {examples(log, rows)}.",
                "Fill it in from the MES; drop whole cases rather than single events.",
                names=places(log, rows),
                bad=len(rows),
                of=log.rows,
                tag=column,
            )
    return remarks.tally(int((~log.whole).sum()), log.rows)


def copies(log: Log) -> Tally:
    """Count events that repeat an earlier one in every column but their own number."""
    remarks = remarks_of(log, "Q06")
    own = [s.name for s in log.frame.get_columns() if s.n_unique() == s.len() > 1]
    kept = [name for name in log.frame.columns if name not in own]
    if not {log.roles.case, log.roles.activity, log.roles.start} <= set(kept):
        return remarks.tally(0, log.rows)
    first = log.frame.select(pl.struct(kept).is_first_distinct()).to_series()
    rows = np.flatnonzero(~first.to_numpy() & log.whole)
    if not len(rows):
        return remarks.tally(0, log.rows)
    if own:
        remarks.add(
            "twin-event",
            f"{len(rows):,} events agree with an earlier one in all but their number "
            f"({own[0]}): {examples(log, rows)}.",
            "Ask whether one job was booked twice, or done twice at one time.",
            names=places(log, rows),
            bad=len(rows),
            of=log.rows,
            tag=own[0],
        )
    else:
        remarks.add(
            "duplicate-event",
            f"{len(rows):,} events repeat an earlier one in all columns: "
            f"{examples(log, rows)}.",
            "Remove the copies; find out which export wrote them.",
            names=places(log, rows),
            bad=len(rows),
            of=log.rows,
        )
    return remarks.tally(len(rows), log.rows)


def resourced(log: Log) -> Tally:
    """Count events with a resource."""
    remarks = remarks_of(log, "Q12")
    if log.resource is None:
        return remarks.tally(0, 0, "no column of a machine or person was found")
    rows = np.flatnonzero(log.resource == "")
    if len(rows):
        remarks.add(
            "no-resource",
            f"{len(rows):,} events name no {log.roles.resource}: {examples(log, rows)}.",
            "Export the machine or work place with each event.",
            names=places(log, rows),
            bad=len(rows),
            of=log.rows,
            tag=log.roles.resource,
        )
    return remarks.tally(len(rows), log.rows)


def named(log: Log) -> Tally:
    """Count events whose activity has one spelling.

    Spellings that differ in case, spaces or signs are one name; so are a rare and a
    common one that differ in a letter or two, but in no digit and no whole word.
    """
    remarks = remarks_of(log, "Q13")
    counts = log.counts
    rare: dict[str, str] = {}
    forms: dict[str, list[str]] = defaultdict(list)
    for name in counts:
        forms[_NO_SENSE.sub(" ", name.casefold()).strip() or name].append(name)
    for spelled in forms.values():
        usual = max(spelled, key=lambda name: (counts[name], name))
        rare |= {name: usual for name in spelled if name != usual}
    if len(forms) <= MOST_ACTIVITIES:
        rare |= _misspelled(
            {k: sum(counts[n] for n in v) for k, v in forms.items()}, forms
        )
    for name, usual in sorted(rare.items()):
        rows = np.flatnonzero(log.activity == name)
        remarks.add(
            "spelling",
            f'"{name}" ({counts[name]:,} events) and "{usual}" ({counts[usual]:,}) look like '
            "one activity under two spellings.",
            "Choose one spelling; if they are two activities, give them clearer names.",
            names=places(log, rows),
            bad=len(rows),
            of=log.rows,
            tag=name,
        )
    bad = sum(counts[name] for name in rare)
    return remarks.tally(bad, log.rows, f"{len(counts)} activities")


def _misspelled(counts: dict[str, int], forms: dict[str, list[str]]) -> dict[str, str]:
    found = {}
    ranked = sorted(counts, key=lambda form: (counts[form], form))
    for i, form in enumerate(ranked):
        for other in ranked[i + 1 :]:
            if counts[form] <= RARE * counts[other] and _slip(form, other):
                for name in forms[form]:
                    found[name] = forms[other][0]
                break
    return found


def _slip(one: str, other: str) -> bool:
    """Tell a slip of the pen from another activity."""
    if min(len(one), len(other)) < LEAST_LETTERS:
        return False
    if re.sub(r"\D", "", one) != re.sub(r"\D", "", other):
        return False
    a, b = one.split(), other.split()
    if len(a) != len(b):
        return one.replace(" ", "") == other.replace(" ", "")
    return all(_slipped(x, y) for x, y in zip(a, b, strict=True) if x != y)


def _slipped(one: str, other: str) -> bool:
    """Tell whether two letters were exchanged, or one inside the word was left out.

    Packing and picking, loading and unloading are different steps.
    """
    short, long = sorted((one, other), key=len)
    if len(short) < LEAST_LETTERS or one[0] != other[0]:
        return False
    if len(short) == len(long):
        differ = [i for i, (x, y) in enumerate(zip(one, other, strict=True)) if x != y]
        return len(differ) == 2 and sorted(one) == sorted(other)
    inside = range(1, len(long) - 1)
    return len(long) == len(short) + 1 and any(
        long[:i] + long[i + 1 :] == short for i in inside
    )


def plausible(log: Log, now_us: int) -> Tally:
    """Count events after 1990 and before the present."""
    remarks = remarks_of(log, "Q23")
    known = log.start != NO_TIME
    for rows, what in (
        (np.flatnonzero(known & (log.start < _YEAR_1990)), "before 1990"),
        (np.flatnonzero(known & (log.start > now_us)), "in the future"),
    ):
        if len(rows):
            remarks.add(
                "impossible-time",
                f"{len(rows):,} events lie {what}: {examples(log, rows)}.",
                "Set the clock of the terminal, and correct or drop the events.",
                names=places(log, rows),
                bad=len(rows),
                of=log.rows,
                tag=log.roles.start,
            )
    bad = int((known & ((log.start < _YEAR_1990) | (log.start > now_us))).sum())
    return remarks.tally(bad, log.rows)
