"""Which column is the time, which the unit, which the target: found, said, overruled."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tundish.data.columns import floats
from tundish.data.errors import ColumnMissingError, TimeUnreadableError
from tundish.data.table import Assumption, Table
from tundish.data.target import find_target
from tundish.data.times import (
    NO_TIME,
    READABLE_AT_LEAST,
    Times,
    parse_elapsed,
    parse_times,
    why_no_times,
)

_TIME_NAME = re.compile(
    r"^(date|time|datum|zeit|timestamp|datetime|ts|t|clock)|time$|timestamp|_at$|时间|日期",
    re.IGNORECASE,
)
_ELAPSED_NAME = re.compile(
    r"^(t|time|elapsed|timestamp|seconds?|sec|minutes?|min|hours?|h|zeit|clock ?time|"
    r"time ?[\[(].*|time_(s|ms|min|h)|run ?time|时间)$",
    re.IGNORECASE,
)
_UNIT_NAME = re.compile(
    r"unit|asset|machine|turbine|batch|engine|equipment|device|line|lot|case|serial|tag|"
    r"设备|批",
    re.IGNORECASE,
)
_MOST_TEXTS = 40
_MIN_BLOCK = 5.0
_MIN_BLOCKS = 3
_HEAD = 1000


@dataclass(frozen=True, kw_only=True)
class Roles:
    """What the columns of a table are.

    Attributes:
        times: The times of the rows, or ``None``.
        unit: Column of the machine or batch, or ``None``.
        target: Column of the target, or ``None``.
        task: The task as named, or as the target says; ``None`` if nobody said.
        numbers: Columns of numbers that are signals.
        set_aside: Columns of numbers that are none: row numbers, positions in a batch.
        assumptions: What was assumed.
    """

    times: Times | None
    unit: str | None
    target: str | None
    task: str | None
    numbers: tuple[str, ...]
    set_aside: tuple[str, ...]
    assumptions: tuple[Assumption, ...]


@dataclass(frozen=True, kw_only=True)
class Named:
    """What the user named; ``None`` where it is to be found."""

    time: str | None = None
    unit: str | None = None
    target: str | None = None
    time_zone: str | None = None
    task: str | None = None
    running: str | None = None


def find_roles(table: Table, named: Named) -> Roles:
    """Find the roles of a table's columns.

    Raises:
        ColumnMissingError: if a named column is not there.
        TimeUnreadableError: if the column named as time holds none.
    """
    for option, name in (
        ("--time", named.time),
        ("--unit", named.unit),
        ("--target", named.target),
    ):
        _must_have(table, name, option)
    said: list[Assumption] = []
    times = _named_times(table, named) if named.time else _found_times(table, named)
    if times is None:
        said += _nearly_times(table)
    elif named.time is None or times.kind == "local" or times.unreadable:
        said.append(times.assumption)
    unit = named.unit or table.unit or None
    if unit is None:
        unit, assumption = _found_unit(table, times)
        said += [assumption] if assumption else []
    found = find_target(
        table, named.target, named.task, {times.column if times else None, unit}
    )
    target = found.column
    said += found.assumptions
    taken = {times.column if times else None, unit, target}
    free = [s for s in _numeric(table) if s.name not in taken]
    aside = _positions(free, table, unit)
    if aside:
        said.append(
            Assumption(
                what=f"{', '.join(aside[:3])} counts rows and is no signal",
                why="it rises by one from row to row (of each unit)",
                otherwise="leave the column out of the file, or name it with --time",
            )
        )
    return Roles(
        times=times,
        unit=unit,
        target=target,
        numbers=tuple(s.name for s in free if s.name not in aside),
        set_aside=aside,
        task=found.task,
        assumptions=tuple(said),
    )


def unit_names(series: pl.Series) -> NDArray[np.str_]:
    """Return the names of units as texts; whole numbers are written without a point."""
    if series.dtype == pl.Float64:
        texts = ["" if v is None else f"{v:.15g}" for v in series.to_list()]
    else:
        texts = series.cast(pl.String).fill_null("").to_list()
    return np.asarray(texts, dtype=np.str_)


def _must_have(table: Table, name: str | None, option: str) -> None:
    if name is not None and name not in table.frame.columns:
        have = ", ".join(table.frame.columns[:10])
        msg = f"{table.name} has no column {name!r} ({option}); it has {have}."
        raise ColumnMissingError(msg)


def _numeric(table: Table) -> list[pl.Series]:
    return [s for s in table.frame.get_columns() if s.dtype == pl.Float64]


def _named_times(table: Table, named: Named) -> Times:
    series = table.frame[named.time or ""]
    zone = named.time_zone or ""
    times = parse_times(series, zone) or parse_elapsed(series)
    if times is None:
        raise no_times(series, table.name)
    return times


def no_times(series: pl.Series, table: str) -> TimeUnreadableError:
    """Return the refusal of a column that was named as the time and is none."""
    near = why_no_times(series)
    first = series.drop_nulls().head(1).to_list()
    found = near or (
        f"its first cell is {str(first[0])[:24]!r}" if first else "it is empty"
    )
    msg = f"The column {series.name} of {table} holds no times: {found}."
    if near:
        msg = f"{msg[:-1]}, and {READABLE_AT_LEAST:.0%} in one form are needed."
    return TimeUnreadableError(msg)


def _found_times(table: Table, named: Named) -> Times | None:
    zone = named.time_zone or ""
    columns = table.frame.get_columns()
    texts = [s for s in columns if s.dtype == pl.String or s.dtype.is_temporal()]
    texts = sorted(texts[:_MOST_TEXTS], key=lambda s: not _TIME_NAME.search(s.name))
    for series in texts:
        times = parse_times(series, zone)
        if times is not None:
            return times
    numbers = [s for s in _numeric(table) if s.name not in {named.unit, named.target}]
    for series in numbers:
        first_or_named = series.name == columns[0].name or _TIME_NAME.search(
            series.name
        )
        times = parse_times(series, zone) if first_or_named else None
        if times is not None and _rises(series):
            return times
    for series in numbers:
        if _ELAPSED_NAME.match(series.name) and _rises(series):
            return parse_elapsed(series, _elapsed_unit(table, series.name))
    return None


def _nearly_times(table: Table) -> list[Assumption]:
    """Say which column looks like the time and could not be taken as it.

    Rows without time are graded by far fewer rules: that must not happen in silence.
    """
    texts = [s for s in table.frame.get_columns() if s.dtype == pl.String]
    for series in texts[:_MOST_TEXTS]:
        near = why_no_times(series)
        if near:
            return [
                Assumption(
                    what=f"{series.name} is not taken as the time, and the rows have none",
                    why=f"{near}; {READABLE_AT_LEAST:.0%} in one form are needed",
                    otherwise="write all its times in one form, such as ISO 8601",
                )
            ]
    return []


def _elapsed_unit(table: Table, name: str) -> str | None:
    unit = table.units.get(name, "")
    return unit if unit in {"s", "min", "h", "d"} else None


def _rises(series: pl.Series) -> bool:
    """Tell whether a column rises, but for a few restarts (a new unit)."""
    values = series.drop_nulls().to_numpy()
    if len(values) < 3:
        return False
    steps = np.diff(values)
    return bool((steps > 0).mean() > 0.7 and (steps < 0).mean() < 0.05)


def _found_unit(
    table: Table, times: Times | None
) -> tuple[str | None, Assumption | None]:
    taken = times.column if times else None
    candidates = [s for s in table.frame.get_columns() if s.name != taken]
    candidates = [s for s in candidates[:_MOST_TEXTS] if _could_be_unit(s)]
    candidates.sort(key=lambda s: not _UNIT_NAME.search(s.name))
    if times is not None and times.kind != "elapsed":
        return _unit_by_time(candidates, times)
    return _unit_by_blocks(candidates, table, times)


def _could_be_unit(series: pl.Series) -> bool:
    if series.dtype == pl.Float64:
        whole = _whole_numbers(series.head(_HEAD)) and _whole_numbers(series)
        if not whole or not series.count():
            return False
    elif series.dtype != pl.String:
        return False
    levels = series.n_unique()
    return 2 <= levels <= max(2, len(series) // 5) and series.null_count() == 0


def _whole_numbers(series: pl.Series) -> bool:
    return bool((series == series.round(0)).all())


def _unit_by_time(
    candidates: list[pl.Series], times: Times
) -> tuple[str | None, Assumption | None]:
    """Choose the column within whose values no time stands twice."""
    known = times.known
    stamps = pl.Series("us", times.us[known])
    again = 1 - stamps.n_unique() / max(1, len(stamps))
    if again < 0.05:
        return None, None
    for series in candidates:
        pairs = pl.DataFrame([stamps, series.filter(pl.Series(known)).alias("unit")])
        left = 1 - pairs.n_unique() / len(stamps)
        if left < 0.2 * again:
            said = Assumption(
                what=f"{series.name} names the unit (machine or batch)",
                why=f"{again:.0%} of the times stand again in other rows, within one "
                f"{series.name} {left:.2%}",
                otherwise="name another column with --unit",
            )
            return series.name, said
    return None, None


def _unit_by_blocks(
    candidates: list[pl.Series], table: Table, times: Times | None
) -> tuple[str | None, Assumption | None]:
    """Choose a column that stays the same in blocks of rows, at whose ends time restarts."""
    for series in candidates:
        changes = (series != series.shift(1)).fill_null(value=True).to_numpy()
        blocks = int(changes.sum())
        if blocks != series.n_unique() or len(series) / blocks < _MIN_BLOCK:
            continue
        named = bool(_UNIT_NAME.search(series.name))
        if not named and (blocks < _MIN_BLOCKS or not _restarts(table, times, changes)):
            continue
        said = Assumption(
            what=f"{series.name} names the unit (machine or batch)",
            why=f"it stays the same in {blocks:,} blocks of rows"
            + ("" if named else ", and a count restarts with each"),
            otherwise="name another column with --unit",
        )
        return series.name, said
    return None, None


def _restarts(table: Table, times: Times | None, changes: NDArray[np.bool_]) -> bool:
    starts = changes[1:]
    columns = [s.to_numpy() for s in _numeric(table)[:_MOST_TEXTS]]
    if times is not None:
        columns.append(np.where(times.us == NO_TIME, np.nan, times.us.astype(float)))
    for values in columns:
        steps = np.diff(values)
        back, on = steps < 0, steps > 0
        if bool((back == starts).all() and (on | back).all()):
            return True
    return False


def _positions(
    free: list[pl.Series], table: Table, unit: str | None
) -> tuple[str, ...]:
    """Return columns that rise by one from row to row (restarting with each unit)."""
    rows = table.frame.height
    if rows < 5:
        return ()
    starts = np.zeros(rows - 1, dtype=bool)
    if unit is not None:
        series = table.frame[unit]
        starts = (series != series.shift(1)).fill_null(value=True).to_numpy()[1:]
    if (~starts).sum() < rows / 2:
        return ()  # units take turns: nothing counts rows here
    return tuple(
        series.name
        for series in free
        if _by_one(series.head(_HEAD), starts) and _by_one(series, starts)
    )


def _by_one(series: pl.Series, starts: NDArray[np.bool_]) -> bool:
    """Tell whether a column rises by one in every step that starts no unit."""
    steps = np.diff(floats(series))
    return bool((steps[~starts[: len(steps)]] == 1).all())
