"""Bind a plant's files to a scenario's contract through its site profile.

Which column is which signal, in which unit, at which time; where the laboratory's
values are. Nothing is judged here: values that break the contract stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tundish.catalog import site as declared
from tundish.catalog.errors import ContractBrokenError
from tundish.catalog.expression import compile_condition
from tundish.catalog.scenario import Scenario, Signal
from tundish.catalog.site import SiteProfile, Tag, TargetSource
from tundish.data import blocks, known, spectra, truths
from tundish.data.errors import ColumnMissingError, TimeUnreadableError
from tundish.data.lineup import lined_up
from tundish.data.readers import read_table
from tundish.data.roles import Named, no_times
from tundish.data.table import Table
from tundish.data.times import ELAPSED_S, NO_TIME, SECOND, Times, parse_times, to_us
from tundish.data.units import conversion
from tundish.kernel import paths

Floats = NDArray[np.float64]
Micros = NDArray[np.int64]
_PART = "#"


@dataclass(frozen=True, kw_only=True)
class Laboratory:
    """Laboratory values that belong to moments, as the laboratory wrote them.

    Attributes:
        values: In the scenario's unit, shape [m]; NaN where empty.
        us: Their times, microseconds since 1970 UTC, shape [m].
        within_s: How far from its time a value speaks for the signals.
        column: Name of the column.
        file: Name of the file.
    """

    values: Floats
    us: Micros
    within_s: float
    column: str
    file: str


@dataclass(frozen=True, kw_only=True)
class BoundTable:
    """One table of the site, in the scenario's terms.

    Attributes:
        name: The table's name in the site profile.
        table: The file as it was read.
        channels: Values in the contract's units, shape [n, C]; NaN where missing.
        columns: The plant's column of each channel, length C.
        us: Time of each row in microseconds since 1970 UTC, shape [n]; ``None`` if the
            table has no time. ``NO_TIME`` where a row has none.
        times: How the times were read; ``None`` if they come from the site's clock.
        group: Name of the unit (machine, batch) of each row, shape [n], or ``None``.
        target: Value of the target for each row, shape [n]; NaN where unlabelled;
            ``None`` if the table has no target by row.
        laboratory: Target values that belong to moments, or ``None``.
        running: Rows in which the machine runs, shape [n], or ``None`` if unsaid.
    """

    name: str
    table: Table
    channels: Floats
    columns: tuple[str, ...]
    us: Micros | None
    times: Times | None
    group: NDArray[np.str_] | None
    target: Floats | None
    laboratory: Laboratory | None
    running: NDArray[np.bool_] | None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.channels)

    @property
    def time(self) -> NDArray[np.datetime64] | None:
        """Time of each row as ``datetime64[us]`` in UTC, or ``None``."""
        return None if self.us is None else self.us.view("datetime64[us]")

    def series(self) -> list[tuple[str, NDArray[np.int64]]]:
        """Return (unit's name, its rows in time order) for each unit.

        Rows without a time are left out of a table that has times.
        """
        rows = np.arange(self.rows)
        if self.us is not None:
            rows = rows[self.us != NO_TIME]
        if self.group is None:
            return [("", self._in_time(rows))]
        group = self.group[rows]
        found, first = np.unique(group, return_index=True)
        order = found[np.argsort(first)]
        return [(str(name), self._in_time(rows[group == name])) for name in order]

    def _in_time(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        if self.us is None:
            return rows
        return rows[np.argsort(self.us[rows], kind="stable")]


@dataclass(frozen=True, kw_only=True)
class BoundEvent:
    """A marked stretch, in microseconds since 1970 UTC."""

    start_us: int
    end_us: int
    kind: str
    marked_by: str


@dataclass(frozen=True, kw_only=True)
class BoundData:
    """All tables of a site, bound to the scenario."""

    scenario: Scenario
    site: SiteProfile
    tables: dict[str, BoundTable]
    events: tuple[BoundEvent, ...]


def bind(site: SiteProfile, scenario: Scenario, root: Path) -> BoundData:
    """Read the files that the site names and bind them to the scenario.

    Args:
        site: The plant's profile.
        scenario: The contract.
        root: Folder of the files. Untrusted content.

    Raises:
        ContractBrokenError: if a signal's column is missing, or a spectrum has another
            number of channels or another axis than the contract.
        ColumnMissingError: if a time, unit or target column is missing.
        TimeUnreadableError: if the time column holds no times.
        UnitMismatchError: if a tag's unit cannot be converted to the contract's.
        PathMissingError, TableUnreadableError: if a file cannot be read.
    """
    _check_tags(site, scenario)
    files = _Files(root)
    tables = {
        name: _bind_table(name, table, (site, scenario), files)
        for name, table in site.tables.items()
    }
    events = tuple(
        BoundEvent(
            start_us=to_us(event.start),
            end_us=to_us(event.end),
            kind=event.kind,
            marked_by=event.marked_by,
        )
        for event in site.events
    )
    return BoundData(scenario=scenario, site=site, tables=tables, events=events)


class _Files:
    """The tables of a folder, each read once; ``book.xlsx#May`` is one of several."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read: dict[tuple[str, bool], Table] = {}

    def table(self, name: str, *, transposed: bool = False) -> Table:
        if (name, transposed) not in self._read:
            file, _, part = name.partition(_PART)
            table = read_table(paths.join(self._root, file), sheet=part or None)
            if transposed:
                table = replace(table, frame=truths.turned(table))
            self._read[name, transposed] = table
        return self._read[name, transposed]

    def beside(self, name: str | None, table: Table) -> Table:
        """Return a file that must have a row for each row of a table; None: the table."""
        if name is None:
            return table
        own = self.table(name)
        if own.frame.height != table.frame.height:
            msg = (
                f"{own.name} has {own.frame.height} rows, and {table.name} beside which "
                f"it stands has {table.frame.height}."
            )
            raise ContractBrokenError(msg)
        return own


def _check_tags(site: SiteProfile, scenario: Scenario) -> None:
    absent = [s.name for s in scenario.signals if s.name not in site.tags]
    if absent:
        msg = (
            f"The site profile maps no tag to {', '.join(absent)}, which "
            f"{scenario.key} needs."
        )
        raise ContractBrokenError(msg)


def _bind_table(
    name: str,
    said: declared.Table,
    terms: tuple[SiteProfile, Scenario],
    files: _Files,
) -> BoundTable:
    site, scenario = terms
    table = files.table(said.file, transposed=said.transposed)
    named = Named(time=said.time_column, time_zone=site.time_zone)
    table = lined_up(table, site.tags, scenario, named)
    columns, channels = _channels(table, site.tags, scenario, files)
    us, times = _row_times(table, said, site.time_zone)
    group = _group(table, said.unit_column or site.batch_column)
    if site.blocks is not None:
        group = blocks.names(site.blocks, files.beside(site.blocks.file, table))
    channels = known.as_known(channels, _delays(site.tags, scenario), us, group)
    target, laboratory = None, None
    if said.target is not None and (scenario.target or scenario.classes):
        target, laboratory = _target(said.target, files, table, (site, scenario))
        if said.target.label is not None:
            place = truths.place_of(said.target.label, scenario)
            target = np.full(table.frame.height, place)
        elif said.target.by == "unit-end":
            target = truths.rows_left(group, table.frame.height) * said.target.scale
        elif said.target.by == "unit-last" and target is not None:
            target = truths.at_last_rows(target, group, table)
    return BoundTable(
        name=name,
        table=table,
        channels=channels,
        columns=columns,
        us=us,
        times=times,
        group=group,
        target=target,
        laboratory=laboratory,
        running=_running(table, site.running),
    )


def _channels(
    table: Table, tags: Mapping[str, Tag], scenario: Scenario, files: _Files
) -> tuple[tuple[str, ...], Floats]:
    found: list[str] = []
    parts: list[Floats] = []
    missing: list[str] = []
    for signal in scenario.signals:
        tag = tags[signal.name]
        source = files.beside(tag.file, table)
        columns = spectra.columns_of(source, tag, signal)
        absent = [c for c in columns if c not in source.frame.columns]
        missing += absent
        found += columns
        if tag.values and not absent:
            parts.append(truths.numbers(source.frame[columns[0]], tag.values)[:, None])
        elif not absent:
            parts.append(_numbers(source, columns, _scale(tag, signal)))
    if missing:
        have = ", ".join(table.frame.columns[:8])
        msg = (
            f"{table.name} lacks the column{'s' * (len(missing) > 1)} "
            f"{', '.join(missing[:5])} that {scenario.key} needs; it has {have}."
        )
        raise ContractBrokenError(msg)
    return tuple(found), np.concatenate(parts, axis=1)


def _delays(tags: Mapping[str, Tag], scenario: Scenario) -> Floats:
    """Return by how many seconds each channel is known later, [C]."""
    return np.asarray(
        [
            tags[signal.name].known_after_s or 0.0
            for signal in scenario.signals
            for _ in range(signal.channels)
        ]
    )


def _numbers(table: Table, columns: list[str], scale: tuple[float, float]) -> Floats:
    schema = table.frame.schema
    texts = [c for c in columns if not schema[c].is_numeric()]
    if texts:
        msg = f"The column {texts[0]} of {table.name} holds no numbers."
        raise ContractBrokenError(msg)
    raw = table.frame.select(pl.col(columns).cast(pl.Float64)).to_numpy()
    return np.asarray(raw * scale[0] + scale[1])


def _scale(tag: Tag, signal: Signal) -> tuple[float, float]:
    """Return the factor and offset from the plant's unit to the contract's."""
    if tag.unit is None or tag.unit == signal.unit:
        return tag.scale, tag.offset
    return conversion(tag.unit, signal.unit)


def _column(table: Table, name: str, option: str) -> pl.Series:
    if name not in table.frame.columns:
        have = ", ".join(table.frame.columns[:8])
        msg = f"{table.name} has no column {name!r} ({option}); it has {have}."
        raise ColumnMissingError(msg)
    return table.frame[name]


def _row_times(
    table: Table, said: declared.Table, zone: str
) -> tuple[Micros | None, Times | None]:
    if said.time_column is not None:
        times = _read_times(table, said.time_column, zone)
        return times.us, times
    if said.clock is not None:
        return _clock_times(table, said.clock), None
    return None, None


def _read_times(table: Table, column: str, zone: str) -> Times:
    series = _column(table, column, "time_column")
    times = parse_times(series, zone)
    if times is None:
        raise no_times(series, table.name)
    return times


def _clock_times(table: Table, clock: declared.Clock) -> Micros:
    start = to_us(clock.start)
    if clock.every_s is not None:
        steps = np.arange(table.frame.height) * (clock.every_s * SECOND)
        return np.asarray(start + np.rint(steps).astype(np.int64))
    series = _column(table, clock.column or "", "clock.column")
    if not series.dtype.is_numeric():
        msg = f"The column {series.name} of {table.name} holds no elapsed time."
        raise TimeUnreadableError(msg)
    values = series.cast(pl.Float64).to_numpy()
    us = np.full(len(values), NO_TIME)
    fine = np.isfinite(values)
    us[fine] = start + np.rint(values[fine] * ELAPSED_S[clock.unit] * SECOND).astype(
        np.int64
    )
    return us


def _group(table: Table, column: str | None) -> NDArray[np.str_] | None:
    if column is None:
        return None
    series = _column(table, column, "unit_column")
    if series.dtype == pl.Float64:
        texts = [f"{value:g}" for value in series.fill_null(float("nan"))]
    else:
        texts = series.cast(pl.String).fill_null("").to_list()
    return np.asarray(texts, dtype=np.str_)


def _running(table: Table, condition: str | None) -> NDArray[np.bool_] | None:
    if condition is None:
        return None
    frame = table.frame
    compiled = compile_condition(condition)
    columns = {
        name: frame[name].cast(pl.Float64).to_numpy()
        for name in compiled.tags
        if name in frame.columns and frame.schema[name].is_numeric()
    }
    return compiled.on(columns)


def _target(
    source: TargetSource,
    files: _Files,
    table: Table,
    terms: tuple[SiteProfile, Scenario],
) -> tuple[Floats | None, Laboratory | None]:
    if source.file is None:
        return None, None
    site, scenario = terms
    lab = files.table(source.file)
    series = _column(lab, source.column or "", "target.column")
    if source.classes:
        values = truths.places(series, source.classes, scenario)
    elif not series.dtype.is_numeric():
        msg = f"The target {source.column} of {lab.name} holds no numbers."
        raise ContractBrokenError(msg)
    else:
        values = series.cast(pl.Float64).to_numpy() * source.scale
    if source.by == "unit-last":
        return values, None
    if source.by == "row":
        if len(values) != table.frame.height:
            msg = (
                f"{lab.name} has {len(values)} values for the {table.frame.height} rows "
                f"of {table.name}; by: row needs one for each."
            )
            raise ContractBrokenError(msg)
        return values, None
    if source.clock is not None:
        us = _clock_times(lab, source.clock)
    else:
        us = _read_times(lab, source.time_column or "", site.time_zone).us
    laboratory = Laboratory(
        values=values,
        us=us,
        within_s=source.within_s or 0.0,
        column=source.column or "",
        file=lab.name,
    )
    return None, laboratory
