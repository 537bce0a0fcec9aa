"""Find case, activity, time and resource of an event log by names and forms."""

from __future__ import annotations

import re
from dataclasses import dataclass

import polars as pl

from tundish.data.times import Times, parse_times

MOST_NUMBERS = 3
_CASE = re.compile(
    r"^(case:concept:name|case[ _-]?(id|key|no|number|name)?|trace([ _-]?id)?|"
    r"process[ _-]?instance([ _-]?id)?)$",
    re.IGNORECASE,
)
_WORK = re.compile(
    r"^((production|work|manufacturing|job|process)?[ _-]?(order|lot|batch|job|part|unit)"
    r"[ _-]?(id|no|number|key)?|serial([ _-]?(no|number))?|sn)$",
    re.IGNORECASE,
)
_ACTIVITY = re.compile(
    r"^(concept:name|activity([ _-]?(name|id|code))?|task[ _-]?name|operation([ _-]?name)?|"
    r"process[ _-]?step|step([ _-]?name)?)$",
    re.IGNORECASE,
)
_HAPPENING = re.compile(
    r"^(event([ _-]?(type|name|code|class))?|alarm([ _-]?(id|code|type|name|text))?|"
    r"alert([ _-]?(id|code|type|name))?|rule[ _-]?id|(fault|failure|error|primary)[ _-]?code|"
    r"code)$",
    re.IGNORECASE,
)
_THING = re.compile(
    r"^(equipment|machine|asset|device|unit|line|station)[ _-]?(id|no|number|name|key)?$",
    re.IGNORECASE,
)
_TIME = re.compile(r"time|date|stamp|start|begin|complete|finish|end", re.IGNORECASE)
_START = re.compile(r"start|begin", re.IGNORECASE)
_END = re.compile(r"complete|end|finish|stop", re.IGNORECASE)
_RESOURCE = re.compile(
    r"^(org:resource|resource|machine|work[ _-]?(place|station|center|centre)|operator|"
    r"worker|performer|user)([ _-]?(id|no|name))?$",
    re.IGNORECASE,
)
_LIFECYCLE = re.compile(r"lifecycle|^(event[ _-]?)?transition$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class EventRoles:
    """Which column of an event log is what; empty names mean that there is none.

    Attributes:
        case: What an event belongs to.
        activity: What was done or happened.
        start: When, or when it began.
        end: When it ended.
        resource: Who or what did it.
        lifecycle: Whether the row is a start or an end.
        endless: True for a list of alarms or work orders per machine: its "cases" are
            machines, which have no first and no last event.
    """

    case: str
    activity: str
    start: str
    end: str = ""
    resource: str = ""
    lifecycle: str = ""
    endless: bool = False


def find_roles(frame: pl.DataFrame) -> EventRoles | None:
    """Return the roles of the columns of an event log, or nothing if it is none.

    A log has columns *named* as case and activity (or as event and machine) and one
    that reads as time. Tables with more than three columns of measured numbers are not
    taken for logs of alarms.

    Args:
        frame: Rows of a table, numbers or texts. Untrusted.
    """
    names = frame.columns
    times = {name: t for name in names if (t := _times(frame, name)) is not None}
    start, end = _span(times)
    if not start:
        return None
    free = [name for name in names if name not in times]
    activity = _named(free, _ACTIVITY)
    case = _named(free, _CASE) or (_named(free, _WORK) if activity else "")
    endless = False
    if not (case and activity):
        activity = _named(free, _HAPPENING)
        case = _named(free, _THING)
        endless = True
        if not activity or not case or _numbers(frame, free) > MOST_NUMBERS:
            return None
    others = [name for name in free if name not in {case, activity}]
    return EventRoles(
        case=case,
        activity=activity,
        start=start,
        end=end,
        resource="" if endless else _named(others, _RESOURCE),
        lifecycle=_named(others, _LIFECYCLE),
        endless=endless,
    )


def times_of(series: pl.Series) -> Times | None:
    """Read a column as times; UTC if nothing says otherwise."""
    return parse_times(series, "")


def _times(frame: pl.DataFrame, name: str) -> Times | None:
    if not _TIME.search(name):
        return None
    return times_of(frame[name])


def _span(times: dict[str, Times]) -> tuple[str, str]:
    """Return the columns of start and end; one time is a start."""
    starts = [name for name in times if _START.search(name)]
    ends = [name for name in times if _END.search(name) and name not in starts]
    if starts and ends:
        return starts[0], ends[0]
    return next(iter([*starts, *times]), ""), ""


def _named(names: list[str], pattern: re.Pattern[str]) -> str:
    return next((name for name in names if pattern.match(name.strip())), "")


def _numbers(frame: pl.DataFrame, names: list[str]) -> int:
    """Count columns of measured numbers: filled, with a point somewhere."""
    count = 0
    for name in names:
        values = frame[name]
        if values.dtype == pl.String:
            values = values.cast(pl.Float64, strict=False)
        if not values.dtype.is_numeric():
            continue
        filled = values.drop_nulls()
        if len(filled) > len(values) / 2 and (filled != filled.round(0)).any():
            count += 1
    return count
