"""Normal operation: slow movement, set points, days, formulas, curves, noise.

A slow movement is a first-order autoregression, the sampled Ornstein-Uhlenbeck process;
a lag is the first-order filter that an exponential rise takes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from tundish.catalog.expression import compile_formula
from tundish.catalog.scenario import Axis, Scenario
from tundish.catalog.simulation import AGE, Process, Simulation
from tundish.data.simulated.bounds import refuse_boundless, refuse_times

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Rows of a plant that runs as it should.

    Attributes:
        seconds: Since the first midnight, [n].
        values: Signals, hidden quantities and the target: [n], with an axis [n, points].
    """

    seconds: Floats
    values: dict[str, Floats]


def normal(
    scenario: Scenario,
    simulation: Simulation,
    rows: int,
    rng: np.random.Generator,
    *,
    begin_s: float = 0.0,
) -> Stream:
    """Return so many rows of normal operation.

    Args:
        scenario: The contract.
        simulation: Its own.
        rows: How many, one each period of the fastest signal.
        rng: Source of chance.
        begin_s: Seconds after midnight of the first row.
    """
    periods = {signal.name: signal.period_s for signal in scenario.signals}
    step_s = min(periods.values())
    axes = {signal.name: signal.axis for signal in scenario.signals}
    refuse_times(scenario, begin_s + rows * step_s)
    seconds: Floats = begin_s + np.arange(rows, dtype=np.float64) * step_s
    target = scenario.target.name if scenario.target else None
    processes = simulation.processes(target)
    values: dict[str, Floats] = {AGE: np.arange(1.0, rows + 1.0)}
    for name in simulation.order(target):
        held = max(1, round(min(rows, periods.get(name, step_s) / step_s)))
        with np.errstate(all="ignore"):  # what is no number is said in a sentence
            moved = _moved(processes[name], values, seconds, step_s, rng)
            moved = np.repeat(moved[::held], held)[
                :rows
            ]  # a slow sensor repeats itself
            made = _measured(processes[name], axes.get(name), moved, values, rng)
        refuse_boundless(scenario, name, made)
        values[name] = made
    return Stream(seconds=seconds, values=values)


def _moved(
    process: Process,
    values: dict[str, Floats],
    seconds: Floats,
    step_s: float,
    rng: np.random.Generator,
) -> Floats:
    rows = len(seconds)
    if process.formula is not None:
        course = compile_formula(process.formula).on(values)
        course = np.broadcast_to(course, (rows,)).astype(np.float64)
        course = lagged(course, process.settles_s, step_s)
    else:
        course = np.full(rows, process.level or 0.0)
    if process.spread:
        course = course + process.spread * _slow(process, rows, step_s, rng)
    for cycle in process.cycles:
        turn = (seconds - cycle.peak_s) / cycle.every_s
        course = course + cycle.swing * np.cos(2 * np.pi * turn)
    return course


def _slow(
    process: Process, rows: int, step_s: float, rng: np.random.Generator
) -> Floats:
    """Return a movement of mean 0 and standard deviation 1, [n]."""
    if process.holds_s:
        each = max(1, round(min(rows, process.holds_s / step_s)))
        return np.repeat(rng.standard_normal(-(-rows // each)), each)[:rows]
    keeps = np.exp(-step_s / process.settles_s) if process.settles_s else 0.0
    chance = rng.standard_normal(rows) * np.sqrt(1 - keeps**2)
    chance[0] = rng.standard_normal()  # in the steady state from the first row on
    return np.asarray(lfilter([1.0], [1.0, -keeps], chance))


def lagged(course: Floats, settles_s: float, step_s: float) -> Floats:
    """Return a course behind a first-order lag, [n]; it begins settled."""
    if not settles_s:
        return course
    keeps = float(np.exp(-step_s / settles_s))
    start = np.array([keeps * course[0]])
    return np.asarray(lfilter([1 - keeps], [1.0, -keeps], course, zi=start)[0])


def _measured(
    process: Process,
    axis: Axis | None,
    course: Floats,
    values: dict[str, Floats],
    rng: np.random.Generator,
) -> Floats:
    """Return what is measured: with noise, within its bounds; [n] or [n, points]."""
    curve = course
    if axis is not None:
        grid = np.linspace(axis.first, axis.last, axis.points)
        curve = np.repeat(course[:, None], axis.points, axis=1)
        for peak in process.peaks:
            height = peak.gain * (values[peak.of] if peak.of else np.ones(len(course)))
            curve += height[:, None] * bell(grid, peak.at, peak.width)
    if process.noise:
        curve = curve + process.noise * rng.standard_normal(curve.shape)
    low = -np.inf if process.low is None else process.low
    high = np.inf if process.high is None else process.high
    return np.clip(curve, low, high)


def bell(grid: Floats, at: float, width: float) -> Floats:
    """Return a bell of height 1 over an axis."""
    return np.asarray(np.exp(-0.5 * ((grid - at) / width) ** 2))
