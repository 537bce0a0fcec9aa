"""Tables of a generated plant, by task, and the site profile that binds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.catalog.simulation import FailureMode, Simulation
from tundish.catalog.site import Event
from tundish.data.simulated.bounds import refuse_too_much
from tundish.data.simulated.failures import stretches, struck
from tundish.data.simulated.streams import Stream, normal
from tundish.kernel.canonical import Json

Floats = NDArray[np.float64]

START = datetime(2024, 1, 1, tzinfo=UTC)
TIME, UNIT, CLASS, FAILURE = "time", "unit", "class", "failure"
_SEVERITY = (0.7, 1.3)
_QUIET = 2  # normal stretches before each failure, in lengths of a failure


@dataclass(frozen=True, kw_only=True)
class MadeTable:
    """One table of a generated set.

    Attributes:
        name: Its name in the site profile; its file is ``NAME.parquet``.
        frame: Time, unit, signals and truth.
        events: Stretches with a failure.
    """

    name: str
    frame: pl.DataFrame
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MadeSet:
    """Tables and the parts of the site profile that speak of them."""

    tables: tuple[MadeTable, ...]
    bound: dict[str, Json]


def make(
    scenario: Scenario, simulation: Simulation, rng: np.random.Generator
) -> MadeSet:
    """Return the tables of a plant; all but pictures.

    Raises:
        StreamUnfitError: if its numbers give none.
    """
    refuse_too_much(scenario, simulation, _QUIET)
    if scenario.task == "diagnose":
        return _episodes(scenario, simulation, rng)
    if scenario.task == "rul":
        return _lives(scenario, simulation, rng)
    return _watched(scenario, simulation, rng)


def _watched(
    scenario: Scenario, simulation: Simulation, rng: np.random.Generator
) -> MadeSet:
    """Return normal operation, and a later table in which each failure happens."""
    quiet = normal(scenario, simulation, simulation.rows, rng)
    tables = [_table(scenario, "normal", quiet)]
    if any(mode.signature for mode in scenario.failures):
        tables.append(_with_failures(scenario, simulation, rng, quiet))
    judged: dict[str, Json] = {"part": "judge", "table": tables[-1].name}
    uses: list[Json] = [
        {"part": "fit", "table": "normal", "share": 0.5},
        {"part": "select", "table": "normal", "share": 0.1},
        {"part": "calibrate", "table": "normal", "share": 0.2},
        {"part": "judge", "table": "normal"},
    ]
    if _unmarked(scenario):
        tables = tables[:1]
    elif scenario.task == "anomaly":
        uses[0] = {"part": "fit", "table": "normal", "share": 0.6}
        uses[-1] = {"part": "calibrate", "table": "normal"}
        uses[2:] = [uses[-1], judged]
    bound: dict[str, Json] = {"uses": uses}
    return MadeSet(tables=tuple(tables), bound=bound)


def _unmarked(scenario: Scenario) -> bool:
    """Tell whether faults are put in by the judge: then the stream marks none."""
    return any(x.metric.startswith("injected") for x in scenario.acceptance.limits)


def _with_failures(
    scenario: Scenario,
    simulation: Simulation,
    rng: np.random.Generator,
    before: Stream,
) -> MadeTable:
    modes = [m for m in scenario.failures if m.signature] * simulation.episodes
    length = simulation.episode_rows
    rows = len(modes) * length * (_QUIET + 1)
    step_s = min(signal.period_s for signal in scenario.signals)
    begin_s = float(before.seconds[-1]) + step_s
    stream = normal(scenario, simulation, rows, rng, begin_s=begin_s)
    failing = np.full(rows, "", dtype=object)
    for place, mode in enumerate(modes):
        first = (place * (_QUIET + 1) + _QUIET) * length
        damage = np.zeros(rows)
        damage[first : first + length] = rng.uniform(*_SEVERITY)
        stream = struck(scenario, stream, mode, damage, rng)
        failing[first : first + length] = mode.name
    return _table(scenario, "watched", stream, failing)


def _table(
    scenario: Scenario,
    name: str,
    stream: Stream,
    failing: NDArray[np.object_] | None = None,
) -> MadeTable:
    columns = dict(_columns(scenario, stream))
    events: tuple[Event, ...] = ()
    if failing is not None:
        columns[FAILURE] = pl.Series(failing.tolist(), dtype=pl.String)
        events = tuple(_events(stream.seconds, failing))
    return MadeTable(name=name, frame=pl.DataFrame(columns), events=events)


def _columns(scenario: Scenario, stream: Stream) -> Iterator[tuple[str, pl.Series]]:
    micro = np.round(stream.seconds * 1e6).astype("timedelta64[us]")
    times = np.datetime64(START.replace(tzinfo=None), "us") + micro
    yield TIME, pl.Series(times).dt.replace_time_zone("UTC")
    for signal in scenario.signals:
        values = stream.values[signal.name]
        if signal.axis is None:
            yield signal.name, pl.Series(values)
            continue
        axis = signal.axis
        for place, at in enumerate(np.linspace(axis.first, axis.last, axis.points)):
            yield f"{signal.name}_{at:.9g}", pl.Series(values[:, place])
    target = scenario.target
    if target is not None and target.name in stream.values:
        yield target.name, pl.Series(stream.values[target.name])


def _events(seconds: Floats, failing: NDArray[np.object_]) -> Iterator[Event]:
    for name in sorted(set(failing.tolist()) - {""}):
        for rows in stretches(failing == name):
            start, end = (
                START + timedelta(seconds=float(seconds[row]))
                for row in (rows[0], rows[-1])
            )
            yield Event(start=start, end=end, kind=name, marked_by="the generator")


def _episodes(
    scenario: Scenario, simulation: Simulation, rng: np.random.Generator
) -> MadeSet:
    """Return short runs of each class, in an order of chance, each a batch."""
    modes = {mode.name: mode for mode in scenario.failures}
    planned = [c.name for c in scenario.classes for _ in range(simulation.episodes)]
    frames, begin_s = [], 0.0
    for place, name in enumerate(rng.permutation(planned).tolist()):
        stream = normal(
            scenario, simulation, simulation.episode_rows, rng, begin_s=begin_s
        )
        begin_s = float(stream.seconds[-1]) + 3600.0
        if name in modes:
            damage = np.full(simulation.episode_rows, rng.uniform(*_SEVERITY))
            stream = struck(scenario, stream, modes[name], damage, rng)
        frame = pl.DataFrame(dict(_columns(scenario, stream)))
        frames.append(_marked(frame, f"run-{place:04d}", name))
    table = MadeTable(name="runs", frame=pl.concat(frames))
    bound: dict[str, Json] = {
        "batch_column": UNIT,
        "order": "mixed",
        "uses": [
            {"part": "fit", "table": "runs", "share": 0.5},
            {"part": "calibrate", "table": "runs", "share": 0.2},
            {"part": "judge", "table": "runs"},
        ],
    }
    return MadeSet(tables=(table,), bound=bound)


def _marked(frame: pl.DataFrame, unit: str, name: str) -> pl.DataFrame:
    return frame.with_columns(pl.lit(unit).alias(UNIT), pl.lit(name).alias(CLASS))


def _lives(
    scenario: Scenario, simulation: Simulation, rng: np.random.Generator
) -> MadeSet:
    """Return machines that run until they fail: three in four to learn from."""
    lives = simulation.lives
    if lives is None:  # the scenario was checked
        raise AssertionError
    modes = [mode for mode in scenario.failures if mode.signature]
    frames: list[pl.DataFrame] = []
    begin_s = 0.0
    for unit in range(lives.units):
        rows = max(10, round(lives.rows * (1 + lives.spread * rng.standard_normal())))
        stream = normal(scenario, simulation, rows, rng, begin_s=begin_s)
        begin_s = float(stream.seconds[-1]) + 86400.0
        damage = (np.arange(1, rows + 1) / rows) ** lives.power
        mode = modes[int(rng.integers(len(modes)))]
        stream = struck(scenario, stream, mode, damage, rng)
        frame = pl.DataFrame(dict(_columns(scenario, stream)))
        frames.append(_marked(frame, f"machine-{unit:03d}", mode.name))
    learnt = lives.units * 3 // 4
    tables = (
        MadeTable(name="ended", frame=pl.concat(frames[:learnt])),
        MadeTable(name="later", frame=pl.concat(frames[learnt:])),
    )
    bound: dict[str, Json] = {
        "batch_column": UNIT,
        "uses": [
            {"part": "fit", "table": "ended"},
            {"part": "judge", "table": "later"},
        ],
    }
    return MadeSet(tables=tables, bound=bound)


def profile(
    scenario: Scenario, made: MadeSet, *, site: str, suffix: str = ".parquet"
) -> dict[str, Json]:
    """Return the site profile of a generated set, as it is written."""
    tags: dict[str, Json] = {}
    for signal in scenario.signals:
        form = "column" if signal.axis is None else "columns"
        name = signal.name if signal.axis is None else f"{signal.name}_"
        tags[signal.name] = {form: name}
    tables: dict[str, Json] = {
        table.name: _bound_table(scenario, table, suffix) for table in made.tables
    }
    events: list[Json] = [
        event.to_json() for table in made.tables for event in table.events
    ]
    return {
        "format": "tundish.site",
        "version": 1,
        "scenario": scenario.key,
        "site": site,
        "time_zone": "UTC",
        "tables": tables,
        "tags": tags,
        **({"events": events} if events else {}),
        **made.bound,
    }


def _bound_table(scenario: Scenario, table: MadeTable, suffix: str) -> dict[str, Json]:
    file = f"{table.name}{suffix}"
    bound: dict[str, Json] = {"file": file, "time_column": TIME}
    target = scenario.target
    if scenario.task == "rul":
        bound |= {"unit_column": UNIT, "target": {"by": "unit-end"}}
    elif scenario.task == "diagnose":
        classes: dict[str, Json] = {c.name: c.name for c in scenario.classes}
        bound["target"] = {
            "file": file, "column": CLASS, "by": "row", "classes": classes,
        }  # fmt: skip
    elif target is not None:
        bound["target"] = {"file": file, "column": target.name, "by": "row"}
    return bound


def modes_of(scenario: Scenario) -> Sequence[FailureMode]:
    """Return the failure modes that a generated stream shows."""
    return [mode for mode in scenario.failures if mode.signature or mode.looks]
