"""Cut bound data into samples: windows, labels, parts; never across a gap, never mixed.

Parts are stretches of time (or whole batches): a random split of a time series lets a
model see its neighbours, so there is none here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.lives import beginnings
from tundish.catalog.scenario import Scenario
from tundish.catalog.site import Part, SiteProfile
from tundish.data import conform, truths
from tundish.data.binding import BoundData, BoundEvent, BoundTable, Laboratory
from tundish.data.errors import SamplesEmptyError
from tundish.data.parts import Labelled, assign_parts
from tundish.data.times import NO_TIME, SECOND

Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]

GAP_PERIODS = 1.5
PARTS: tuple[Part, ...] = ("fit", "select", "calibrate", "judge")


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Samples of all tables, in the order of tables, units and time.

    Attributes:
        x: Windows in the contract's units, float32, shape [N, T, C].
        y: Target of each window, shape [N]; NaN without a label. The values of the
            horizon, shape [N, H] (forecast).
        at: Time of the window's last row, ``datetime64[us]`` UTC, shape [N]; NaT
            without time.
        part: ``fit``, ``select``, ``calibrate``, ``judge`` or empty (used for
            nothing), shape [N].
        source: ``table`` or ``table/unit`` of each window, shape [N].
        event: Kind of the marked event that the window overlaps, or empty, shape [N].
        row: Index of the window's last row in its table, shape [N].
        group: Which label a window belongs to, shape [N]: windows near one laboratory
            value share one truth and must count as one sample.
        excluded: Reason -> rows that were left out before windows were cut.
        notes: What was done, in words, for the card.
    """

    x: Floats32
    y: NDArray[np.float64]
    at: NDArray[np.datetime64]
    part: NDArray[np.str_]
    source: NDArray[np.str_]
    event: NDArray[np.str_]
    row: Ints
    group: Ints
    excluded: dict[str, int]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.y)

    @property
    def anomalous(self) -> NDArray[np.bool_]:
        """Return which samples overlap a marked event, shape [N]."""
        return np.asarray(self.event != "")

    def where(self, keep: NDArray[np.bool_]) -> Self:
        """Return the samples that are kept."""
        return replace(
            self,
            x=self.x[keep],
            y=self.y[keep],
            at=self.at[keep],
            part=self.part[keep],
            source=self.source[keep],
            event=self.event[keep],
            row=self.row[keep],
            group=self.group[keep],
        )

    def of(self, *parts: Part) -> Self:
        """Return the samples of some parts."""
        return self.where(np.isin(self.part, parts))

    def need(self, *parts: Part) -> Self:
        """Return the samples of some parts; each must have at least one.

        Raises:
            SamplesEmptyError: if a part has no sample.
        """
        for part in parts:
            if not (self.part == part).any():
                left = ", ".join(f"{n} rows {why}" for why, n in self.excluded.items())
                msg = f"No sample is left for the part {part!r} ({left or 'none cut'})."
                raise SamplesEmptyError(msg)
        return self.of(*parts)


@dataclass(frozen=True, kw_only=True)
class Run:
    """All windows of one table and unit, labelled or not: for replay and pictures.

    Attributes:
        x: Windows, float32, shape [N, T, C]; they may break the contract.
        at: Time of the last row, ``datetime64[us]`` UTC, shape [N]; NaT without time.
        row: Index of the last row in the table, shape [N].
        sound: Which windows keep the contract, shape [N].
        source: ``table`` or ``table/unit``.
    """

    x: Floats32
    at: NDArray[np.datetime64]
    row: Ints
    sound: NDArray[np.bool_]
    source: str


def make_samples(bound: BoundData, scenario: Scenario, site: SiteProfile) -> Samples:
    """Cut labelled samples (regress) or windows (anomaly) and give each its part.

    A window has ``scenario.window.rows`` rows of one unit that follow each other at the
    contract's period (no step above 1.5 periods, none of zero or back), all of which
    keep the contract, lie in one part and, where the site says when the machine runs,
    in running time. At the beginning of a life (``scenario.window.begins``) the first
    row is repeated for those that never were. For ``by: time`` a laboratory value is the label of every window
    within ``within_s`` of its time, and these windows form a group; a window that
    speaks for a value of an earlier part is not used again for a later one.

    Args:
        bound: From ``bind``.
        scenario: The contract.
        site: Names the stretches (``uses``); if it names none, the first 50 % in time
            are for fit, 20 % for calibrate, 30 % for judge.

    Raises:
        SamplesEmptyError: if no sample at all is left.
    """
    cuts = [
        _table_samples(table, bound, scenario, site) for table in bound.tables.values()
    ]
    made = _joined(cuts, scenario)
    if len(made) == 0:
        left = ", ".join(f"{n} rows {why}" for why, n in made.excluded.items())
        msg = f"No sample is left of {site.site} for {scenario.key} ({left or 'no rows'})."
        raise SamplesEmptyError(msg)
    return made


def full_run(bound: BoundData, scenario: Scenario, table: str) -> tuple[Run, ...]:
    """Return every window of a table that crosses no gap, one ``Run`` per unit.

    For the line's replay and the report's picture: unlabelled windows, and windows that
    break the contract, are in it.
    """
    known = bound.tables[table]
    sound = conform.sound_rows(scenario, known.channels)
    runs = []
    for unit, rows in known.series():
        every = np.ones(len(rows), dtype=bool)
        ends, starts = _window_ends(known, rows, scenario, every)
        picks = rows[_reach(ends, starts, scenario)]
        held = np.asarray(sound[picks].all(axis=1))
        runs.append(
            Run(
                x=_windows(known, picks),
                at=_times_of(known, rows[ends]),
                row=rows[ends],
                sound=held,
                source=_source(known.name, unit),
            )
        )
    return tuple(runs)


def _table_samples(
    table: BoundTable, bound: BoundData, scenario: Scenario, site: SiteProfile
) -> Samples:
    broken = conform.broken_rows(scenario, table.channels)
    excluded = {f"{why}": int(rows.sum()) for why, rows in broken.items() if rows.any()}
    usable = ~np.logical_or.reduce(list(broken.values()))
    if table.running is not None:
        stopped = usable & ~table.running
        excluded["stopped"] = int(stopped.sum())
        usable &= table.running
    if scenario.target is not None and table.laboratory is not None:
        made = _by_time(table, table.laboratory, scenario, site, usable)
    else:
        made = _by_row(table, scenario, site, usable)
    made = replace(made, excluded={k: n for k, n in excluded.items() if n})
    return replace(made, event=_events(made, bound.events, scenario))


def _by_row(
    table: BoundTable,
    scenario: Scenario,
    site: SiteProfile,
    usable: NDArray[np.bool_],
) -> Samples:
    """Cut windows; a label belongs to the window's last row."""
    labels = np.full(table.rows, np.nan) if table.target is None else table.target
    needs_label = scenario.target is not None or table.target is not None
    counted = np.isfinite(labels) if needs_label else np.ones(table.rows, dtype=bool)
    part = assign_parts(
        table.name,
        Labelled(
            us=table.us,
            group=table.group,
            counted=counted,
            batches=site.batched,
            mixed=site.order == "mixed",
        ),
        site.uses,
    )
    cuts = []
    for unit, rows in table.series():
        ends, starts = _window_ends(table, rows, scenario, usable[rows], part[rows])
        known = counted[rows[ends]]
        ends, starts = ends[known], starts[known]
        y = labels[rows[ends]]
        if scenario.horizon is not None:
            stretch = _stretches(table, rows, scenario, usable[rows], part[rows])
            y = truths.later(labels[rows], ends, stretch, scenario.horizon.rows)
            whole = np.isfinite(y).all(axis=1)
            ends, starts, y = ends[whole], starts[whole], y[whole]
        last = rows[ends]
        cuts.append(
            _plain(
                x=_windows(table, rows[_reach(ends, starts, scenario)]),
                y=y,
                at=_times_of(table, last),
                part=part[last],
                source=_source(table.name, unit),
                row=last,
            )
        )
    return _joined(cuts, scenario)


def _by_time(
    table: BoundTable,
    lab: Laboratory,
    scenario: Scenario,
    site: SiteProfile,
    usable: NDArray[np.bool_],
) -> Samples:
    """Label every window near a laboratory value with it."""
    known = np.isfinite(lab.values) & (lab.us != NO_TIME)
    part = assign_parts(
        table.name,
        Labelled(us=lab.us, group=None, counted=known, batches=False),
        site.uses,
    )
    order = np.flatnonzero(known)[np.argsort(lab.us[known], kind="stable")]
    cuts = []
    for unit, rows in table.series():
        ends, starts = _window_ends(table, rows, scenario, usable[rows])
        near = _near(lab, order, part, _micros(table, rows[ends]))
        places = [windows for windows in near.values() if len(windows)]
        if not places:
            continue
        label = np.repeat(list(near), [len(windows) for windows in near.values()])
        chosen = np.concatenate(places)
        picks = rows[_reach(ends[chosen], starts[chosen], scenario)]
        last = rows[ends[chosen]]
        cuts.append(
            _plain(
                x=_windows(table, picks),
                y=lab.values[label],
                at=_times_of(table, last),
                part=part[label],
                source=_source(table.name, unit),
                row=last,
                group=label,
            )
        )
    return _joined(cuts, scenario)


def _near(
    lab: Laboratory, order: Ints, part: NDArray[np.str_], at: Ints
) -> dict[int, Ints]:
    """Return for each laboratory value the windows that speak for it.

    ``at`` rises. A window that was used for an earlier value of another part is left
    out, so that no measurement stands in two parts.
    """
    reach = round(lab.within_s * SECOND)
    owner = np.full(len(at), "", dtype=part.dtype)
    near: dict[int, Ints] = {}
    for i in order:
        first = np.searchsorted(at, lab.us[i] - reach, side="left")
        last = np.searchsorted(at, lab.us[i] + reach, side="right")
        windows = np.arange(first, last)
        free = (owner[windows] == "") | (owner[windows] == part[i])
        near[int(i)] = windows[free]
        owner[windows[free]] = part[i]
    return near


def _window_ends(
    table: BoundTable,
    rows: Ints,
    scenario: Scenario,
    usable: NDArray[np.bool_],
    part: NDArray[np.str_] | None = None,
) -> tuple[Ints, Ints]:
    """Return the places in ``rows`` at which a window ends, and its stretch begins.

    All rows of a window are usable, follow each other without a gap and have the same
    part. Windows end every ``stride`` rows of each unbroken stretch, counted so that the
    first whole one counts; shorter ones only where the stretch begins a life.
    """
    span, stride = scenario.window.rows, scenario.window.stride
    if not len(rows):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    stretch = _stretches(table, rows, scenario, usable, part)
    depth = np.arange(len(rows)) - stretch
    enough = (depth >= span - 1) | _begins(table, rows, scenario)[stretch]
    ends = np.flatnonzero(usable & enough & ((depth - span + 1) % stride == 0))
    return ends, stretch[ends]


def _begins(table: BoundTable, rows: Ints, scenario: Scenario) -> NDArray[np.bool_]:
    begins = beginnings(scenario)
    if begins is None:
        return np.zeros(len(rows), dtype=bool)
    return begins(table.channels[rows])


def _reach(ends: Ints, starts: Ints, scenario: Scenario) -> Ints:
    """Return the places of each window's rows, [n, T]; a life's first row repeats."""
    asked = ends[:, None] + np.arange(1 - scenario.window.rows, 1)
    return np.asarray(np.maximum(asked, starts[:, None]))


def _stretches(
    table: BoundTable,
    rows: Ints,
    scenario: Scenario,
    usable: NDArray[np.bool_],
    part: NDArray[np.str_] | None,
) -> Ints:
    """Return for each place in ``rows`` the place at which its unbroken stretch begins."""
    if not len(rows):
        return np.zeros(0, dtype=np.int64)
    breaks = np.zeros(len(rows), dtype=bool)
    breaks[0] = True
    longer = scenario.window.rows > 1 or scenario.horizon is not None
    if longer and table.us is not None:
        period = max(signal.period_s for signal in scenario.signals) * SECOND
        steps = np.diff(table.us[rows])
        breaks[1:] |= (steps > GAP_PERIODS * period) | (steps <= 0)
    if part is not None:
        breaks[1:] |= part[1:] != part[:-1]
    breaks[1:] |= usable[1:] != usable[:-1]
    breaks |= _begins(table, rows, scenario)
    return np.maximum.accumulate(np.where(breaks, np.arange(len(rows)), 0))


def _windows(table: BoundTable, picks: Ints) -> Floats32:
    windows: Floats32 = table.channels.astype(np.float32)[picks]
    return windows


def _micros(table: BoundTable, rows: Ints) -> Ints:
    return rows if table.us is None else table.us[rows]


def _times_of(table: BoundTable, rows: Ints) -> NDArray[np.datetime64]:
    if table.us is None:
        return np.full(len(rows), np.datetime64("NaT", "us"))
    return table.us[rows].view("datetime64[us]")


def _source(table: str, unit: str) -> str:
    return f"{table}/{unit}" if unit else table


def _plain(  # noqa: PLR0913  (the columns of a record)
    *,
    x: Floats32,
    y: NDArray[np.float64],
    at: NDArray[np.datetime64],
    part: NDArray[np.str_],
    source: str,
    row: Ints,
    group: Ints | None = None,
) -> Samples:
    count = len(y)
    return Samples(
        x=x,
        y=y,
        at=at,
        part=part,
        source=np.full(count, source),
        event=np.full(count, ""),
        row=row,
        group=np.arange(count) if group is None else group,
        excluded={},
        notes=(),
    )


def _joined(cuts: list[Samples], scenario: Scenario) -> Samples:
    shape = (0, scenario.window.rows, scenario.channels)
    ahead = (scenario.horizon.rows,) if scenario.horizon else ()
    empty = _plain(
        x=np.zeros(shape, dtype=np.float32),
        y=np.zeros((0, *ahead)),
        at=np.zeros(0, dtype="datetime64[us]"),
        part=np.zeros(0, dtype="<U9"),
        source="",
        row=np.zeros(0, dtype=np.int64),
    )
    every = cuts or [empty]
    starts = np.cumsum([0, *(cut.group.max(initial=-1) + 1 for cut in every)])
    excluded: dict[str, int] = {}
    for cut in every:
        for why, count in cut.excluded.items():
            excluded[why] = excluded.get(why, 0) + count
    return Samples(
        x=np.concatenate([cut.x for cut in every]),
        y=np.concatenate([cut.y for cut in every]),
        at=np.concatenate([cut.at for cut in every]),
        part=np.concatenate([cut.part for cut in every]),
        source=np.concatenate([cut.source for cut in every]),
        event=np.concatenate([cut.event for cut in every]),
        row=np.concatenate([cut.row for cut in every]),
        group=np.concatenate(
            [cut.group + start for cut, start in zip(every, starts, strict=False)]
        ),
        excluded=excluded,
        notes=tuple(note for cut in every for note in cut.notes),
    )


def _events(
    made: Samples, events: tuple[BoundEvent, ...], scenario: Scenario
) -> NDArray[np.str_]:
    """Return the kind of the event that each window overlaps, or empty."""
    kinds = max((len(event.kind) for event in events), default=1)
    found = np.full(len(made), "", dtype=f"<U{kinds}")
    last = made.at.view(np.int64)
    period = max(signal.period_s for signal in scenario.signals) * SECOND
    first = last - round((scenario.window.rows - 1) * period)
    timed = last != NO_TIME
    for event in events:
        over = timed & (last >= event.start_us) & (first <= event.end_us)
        found[over & (found == "")] = event.kind
    return found
