"""An event log as columns: cases, activities, times, resources."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tundish.data.errors import ColumnMissingError
from tundish.data.events.roles import EventRoles, times_of
from tundish.data.table import Table
from tundish.data.times import NO_TIME, SECOND

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
DAY = 86_400 * SECOND


@dataclass(frozen=True, kw_only=True)
class Log:
    """Events in the order of the file.

    Attributes:
        name: The file's name.
        roles: Which column is what.
        frame: All columns.
        case, activity, resource, lifecycle: Texts, shape [n]; empty where missing.
        start, end: Microseconds since 1970 UTC, shape [n]; ``NO_TIME`` where absent.
        unreadable: Filled cells of time that are none.
        dropped: Lines that could not be read.
        zone: IANA zone of times for people.
    """

    name: str
    roles: EventRoles
    frame: pl.DataFrame
    case: NDArray[np.str_]
    activity: NDArray[np.str_]
    resource: NDArray[np.str_] | None
    lifecycle: NDArray[np.str_] | None
    start: Ints
    end: Ints | None
    unreadable: int = 0
    dropped: tuple[int, ...] = ()
    zone: str = "UTC"

    @property
    def rows(self) -> int:
        """Number of events."""
        return len(self.case)

    @cached_property
    def whole(self) -> Bools:
        """Which events have case, activity and time, shape [n]."""
        named = (self.case != "") & (self.activity != "")
        return np.asarray(named & (self.start != NO_TIME), dtype=bool)

    @cached_property
    def runs(self) -> dict[str, Ints]:
        """Case -> its whole events in the order of time (of the file where equal).

        Where starts and ends are rows of their own, only the starts.
        """
        rows = np.flatnonzero(self.whole & self._begun)
        order = rows[np.lexsort((rows, self.start[rows], self.case[rows]))]
        cases = self.case[order]
        cuts = np.flatnonzero(cases[1:] != cases[:-1]) + 1
        parts = np.split(order, cuts) if len(order) else []
        return {str(self.case[part[0]]): part for part in parts}

    @property
    def _begun(self) -> Bools:
        if self.lifecycle is None:
            return np.ones(self.rows, dtype=bool)
        state = np.char.lower(self.lifecycle)
        starts = np.asarray(state == "start", dtype=bool)
        return starts if starts.any() else np.ones(self.rows, dtype=bool)

    @cached_property
    def counts(self) -> Counter[str]:
        """Activity -> number of events."""
        return Counter(str(one) for one in self.activity if one)

    def place(self, row: int) -> str:
        """Return case and row of an event, for people."""
        return f"{self.case[row] or 'no case'} (row {row + 1})"


def as_log(table: Table, roles: EventRoles) -> Log:
    """Cut a table into the columns of a log.

    Raises:
        ColumnMissingError: if the column of time cannot be read as time.
    """
    frame = table.frame
    start = times_of(frame[roles.start])
    if start is None:
        msg = f"The column {roles.start} of {table.name} cannot be read as time."
        raise ColumnMissingError(msg)
    end = times_of(frame[roles.end]) if roles.end else None
    return Log(
        name=table.name,
        roles=roles,
        frame=frame,
        case=_texts(frame, roles.case),
        activity=_texts(frame, roles.activity),
        resource=_texts(frame, roles.resource) if roles.resource else None,
        lifecycle=_texts(frame, roles.lifecycle) if roles.lifecycle else None,
        start=start.us,
        end=end.us if end else None,
        unreadable=start.unreadable + (end.unreadable if end else 0),
        dropped=table.dropped,
        zone=start.zone,
    )


def _texts(frame: pl.DataFrame, name: str) -> NDArray[np.str_]:
    series = frame[name]
    if series.dtype == pl.Float64 and (series.drop_nulls() % 1 == 0).all():
        series = series.cast(pl.Int64, strict=False)
    return series.cast(pl.String).fill_null("").to_numpy().astype(np.str_)
