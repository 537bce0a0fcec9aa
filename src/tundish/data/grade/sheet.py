"""What a grade looks at: values in memory, with all that is known about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.expression import Formula
from tundish.data.privacy.look import Crowd, Exposure
from tundish.data.times import NO_TIME, SECOND

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Range = tuple[float, float]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Series:
    """One tag.

    Attributes:
        tag: The plant's name of the column.
        values: Shape [n]; NaN where missing.
        unit: Unit of measurement; empty if unknown.
        range: Lowest and highest plausible value, or ``None``.
        circular: True for angles.
        clip: Values at which the instrument is known to saturate, or ``None``.
        states: Texts that stood in its cells -> count.
        places: Such a text -> its rows, where they are known.
        flags: Word of a quality column -> rows whose value it made empty.
    """

    tag: str
    values: Floats
    unit: str = ""
    range: Range | None = None
    circular: bool = False
    clip: Range | None = None
    states: dict[str, int] = field(default_factory=dict)
    places: dict[str, Ints] = field(default_factory=dict)
    flags: dict[str, Ints] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """Many channels of one signal, graded as one.

    Attributes:
        tag: Name of the signal.
        values: Shape [n, C]; NaN where missing.
        axis: Value of each channel on the axis, shape [C].
        min_spread: Least standard deviation across channels of a living spectrum.
    """

    tag: str
    values: Floats
    axis: Floats
    unit: str = ""
    range: Range | None = None
    min_spread: float | None = None


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Values of the target.

    Attributes:
        name: Name of the target.
        values: Shape [m]; NaN where a label is missing.
        us: Their own times (a laboratory's), or ``None`` if they belong to the rows.
        joined: Which labels were joined to signals, shape [m].
        part: Part of each label, shape [m], or ``None``.
        table: Name of the file they stand in.
        classes: Names of the classes whose codes (0, 1, ...) the values are; empty if
            the values are numbers or classes written as numbers.
    """

    name: str
    values: Floats
    us: Ints | None
    joined: Bools
    part: NDArray[np.str_] | None
    table: str
    unit: str = ""
    range: Range | None = None
    classes: tuple[str, ...] = ()

    def class_name(self, code: float) -> str:
        """Return the name of a class by its value."""
        return self.classes[int(code)] if self.classes else f"{code:g}"


@dataclass(frozen=True, kw_only=True)
class Closure:
    """A balance that must close over some tags of a sheet.

    Attributes:
        name: Of the balance.
        residual: Its formula.
        inputs: Name in the formula -> tag.
        constants: Name in the formula -> value and unit.
        unit: Of the residual.
        tolerance: Largest residual that is right.
        over_rows: Rows over which it is averaged.
    """

    name: str
    residual: Formula
    inputs: dict[str, str]
    constants: dict[str, tuple[float, str]]
    unit: str
    tolerance: float
    over_rows: int = 1


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One table of values.

    Attributes:
        name: Name of the table.
        rows: Number of rows (n).
        series: Its tags.
        spectra: Its spectra.
        us: Time of each row, microseconds since 1970 UTC, shape [n]; ``NO_TIME`` where
            absent; ``None`` if the table has no time.
        elapsed: True if times count from some zero.
        zone: IANA zone in which times are written for people.
        zone_known: False if the zone was assumed.
        local: True if times were written without an offset.
        group: Name of the unit of each row, shape [n], or ``None``.
        period_s: Seconds between rows by contract, or ``None``.
        made_clock: True if times were computed from a start and a step.
        labels: The target, or ``None``.
        part: Part of each row, shape [n], or ``None``.
        running: Rows in which the machine runs, shape [n], or ``None``.
        marked: Rows inside events that the site marks, shape [n], or ``None``.
        broken: Rows that break the contract, or ``None`` if there is none.
        visits: Declared operating mode -> (rows in it, rows that count as a visit), or
            ``None`` if no modes are declared.
        texts: Hash of the cells that are no numbers, shape [n], or ``None``.
        exposures: Columns that hold persons or secrets.
        crowd: How well persons hide among each other, or ``None`` if there are none.
        columns: Columns that were looked through for them.
        dropped: Line numbers that could not be read.
        lines: Records found in the file.
        alone: True if it holds a part of a file's tags, those stored by one clock; what
            is said of its rows is said of these tags.
        stopped: Rows of stops that were cut out (their values are NaN), or ``None``.
        words: Columns of few texts, cell by cell; only beside a target.
        available: Tag -> when each of its values became available, microseconds since 1970
            UTC, shape [n]; the target's under the empty name.
        unit_tag: Column of ``group``; empty if unknown.
        rates: Tag -> fastest plausible change in its unit per second, by contract.
        closures: Balances that must close, by contract.
    """

    name: str
    rows: int
    series: tuple[Series, ...] = ()
    spectra: tuple[Spectrum, ...] = ()
    us: Ints | None = None
    elapsed: bool = False
    zone: str = "UTC"
    zone_known: bool = True
    local: bool = False
    group: NDArray[np.str_] | None = None
    period_s: float | None = None
    made_clock: bool = False
    labels: Labels | None = None
    part: NDArray[np.str_] | None = None
    running: Bools | None = None
    marked: Bools | None = None
    broken: Bools | None = None
    visits: dict[str, tuple[int, int]] | None = None
    texts: NDArray[np.uint64] | None = None
    exposures: tuple[Exposure, ...] = ()
    crowd: Crowd | None = None
    columns: int = 0
    dropped: tuple[int, ...] = ()
    lines: int = 0
    alone: bool = False
    stopped: Bools | None = None
    words: dict[str, NDArray[np.str_]] = field(default_factory=dict)
    available: dict[str, Ints] = field(default_factory=dict)
    unit_tag: str = ""
    rates: dict[str, float] = field(default_factory=dict)
    closures: tuple[Closure, ...] = ()

    @cached_property
    def units(self) -> list[tuple[str, Ints]]:
        """(Unit, its rows in the file's order) for each unit."""
        rows = np.arange(self.rows)
        if self.group is None:
            return [("", rows)]
        order = np.argsort(self.group, kind="stable")
        named = self.group[order]
        cuts = np.flatnonzero(named[1:] != named[:-1]) + 1
        return [(str(self.group[run[0]]), run) for run in np.split(order, cuts)]

    @cached_property
    def in_order(self) -> bool:
        """Whether the rows stand by time already, in one unit."""
        if self.group is not None:
            return False
        return self.us is None or bool((self.us[1:] >= self.us[:-1]).all())

    @cached_property
    def order(self) -> Ints:
        """Rows by unit and time."""
        if self.in_order:
            return np.arange(self.rows)
        return np.concatenate([self._in_time(rows) for _, rows in self.units])

    @cached_property
    def starts(self) -> Bools:
        """Where in ``order`` a unit begins, shape [n]."""
        marks = np.zeros(self.rows, dtype=bool)
        ends = np.cumsum([len(rows) for _, rows in self.units])
        marks[0] = True
        marks[ends[:-1]] = True
        return marks

    @cached_property
    def place(self) -> Ints:
        """Place of each row in ``order``, one number left out between units."""
        places = np.empty(self.rows, dtype=np.int64)
        places[self.order] = np.arange(self.rows) + np.cumsum(self.starts)
        return places

    def _in_time(self, rows: Ints) -> Ints:
        if self.us is None:
            return rows
        return rows[np.argsort(self.us[rows], kind="stable")]

    def unit_of(self, row: int) -> str:
        """Return the unit of a row; empty if the table has one unit."""
        return "" if self.group is None else str(self.group[row])

    def where(self, row: int) -> str:
        """Return the time of a row for people, or its number counted from 1."""
        if self.us is None or self.us[row] == NO_TIME:
            return f"row {row + 1}"
        return self.moment(int(self.us[row]))

    def lasting(self, first: int, last: int) -> int:
        """Return how long values from row to row stood, in microseconds; 0 without time.

        A value stands until the next row of its unit, but no longer than twice the
        usual step (a gap is no value).
        """
        if self.us is None or NO_TIME in {int(self.us[first]), int(self.us[last])}:
            return 0
        inside = int(self.us[last] - self.us[first])
        after = int(self.rank[last]) + 1
        if after >= self.rows or self.starts[after]:
            return max(0, inside)
        step = int(self.us[self.order[after]] - self.us[last])
        return max(0, inside + (step if 0 < step <= 2 * self.usual_step else 0))

    @cached_property
    def rank(self) -> Ints:
        """Where in ``order`` each row stands, shape [n]."""
        ranks = np.empty(self.rows, dtype=np.int64)
        ranks[self.order] = np.arange(self.rows)
        return ranks

    @cached_property
    def usual_step(self) -> int:
        """Middle step between rows of a unit in microseconds; 0 without time."""
        if self.us is None:
            return 0
        steps = np.diff(self.us[self.order])[~self.starts[1:]]
        steps = steps[(steps > 0) & (steps < 2**62)]
        return int(np.median(steps)) if len(steps) else 0

    def moment(self, us: int) -> str:
        """Return a time for people: ISO 8601 in the table's zone, or elapsed time."""
        if self.elapsed:
            return f"{us / SECOND:g} s"
        whole = round(us / SECOND) * SECOND
        near = abs(us - whole) < SECOND // 1000
        moment = _EPOCH + timedelta(microseconds=whole if near else us)
        local = moment.astimezone(ZoneInfo(self.zone))
        return local.isoformat(timespec="seconds" if near else "milliseconds")


def duration(us: int) -> str:
    """Return a length of time for people: hours up to four days, then days."""
    for name, size, least in (
        ("days", 86400, 4 * 86400),
        ("h", 3600, 2 * 3600),
        ("min", 60, 120),
    ):
        if us >= least * SECOND:
            return f"{us / (size * SECOND):.3g} {name}"
    return f"{us / SECOND:.3g} s"
