"""What a failure mode does to the signals, as its signature in the scenario says."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.catalog.simulation import Change, FailureMode
from tundish.data.simulated.bounds import refuse_boundless
from tundish.data.simulated.streams import Stream, bell

Floats = NDArray[np.float64]
SPIKE_SHARE = 0.1


def struck(
    scenario: Scenario,
    stream: Stream,
    mode: FailureMode,
    damage: Floats,
    rng: np.random.Generator,
) -> Stream:
    """Return a stream with a failure in it.

    Args:
        scenario: The contract.
        stream: Normal operation.
        mode: What fails.
        damage: How far, [n]: 0 not at all, 1 as the signature says.
        rng: Source of chance.
    """
    values = dict(stream.values)
    for change in mode.signature:
        signal = scenario.signal(change.signal)
        grid = np.zeros(1)
        if signal.axis is not None:
            axis = signal.axis
            grid = np.linspace(axis.first, axis.last, axis.points)
        whole = values[change.signal].reshape(len(damage), -1)
        with np.errstate(all="ignore"):
            changed = _changed(change, whole, damage, stream.seconds, grid, rng)
        hidden = np.isnan(changed) if change.change == "missing" else np.isnan(whole)
        refuse_boundless(scenario, change.signal, changed[~hidden])
        values[change.signal] = changed.reshape(values[change.signal].shape)
    return Stream(seconds=stream.seconds, values=values)


def _changed(
    change: Change,
    values: Floats,
    damage: Floats,
    seconds: Floats,
    grid: Floats,
    rng: np.random.Generator,
) -> Floats:
    """Return values with the change, [n, channels]."""
    by = 0.0 if change.by is None else change.by
    on = damage > 0
    each = damage[:, None]
    chance = rng.standard_normal(values.shape)
    hit = (rng.random(len(values)) < SPIKE_SHARE)[:, None]
    turn = 2 * np.pi * seconds[:, None] / (change.every_s or 1.0)
    added: dict[str, Callable[[], Floats]] = {
        "shift": lambda: by * each,
        "drift": lambda: by * each * _risen(on)[:, None],
        "scale": lambda: values * (by - 1) * each,
        "noise": lambda: abs(by) * each * chance,
        "swing": lambda: by * each * np.sin(turn),
        "spikes": lambda: by * each * hit,
        "bump": lambda: by * each * bell(grid, change.at or 0.0, change.width or 1.0),
        "missing": lambda: np.where(on, np.nan, 0.0)[:, None],
        "freeze": lambda: _frozen(values, on) - values,
    }
    return values + added[change.change]()


def _risen(on: NDArray[np.bool_]) -> Floats:
    """Return the share of its stretch that has passed at each row, [n]."""
    share = np.zeros(len(on))
    for rows in stretches(on):
        share[rows] = np.arange(1, len(rows) + 1) / len(rows)
    return share


def _frozen(values: Floats, on: NDArray[np.bool_]) -> Floats:
    held = values.copy()
    for rows in stretches(on):
        held[rows] = held[rows[0]]
    return held


def stretches(on: NDArray[np.bool_]) -> Sequence[NDArray[np.intp]]:
    """Return the rows of each run in which it holds."""
    rows = np.flatnonzero(on)
    return [r for r in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1) if len(r)]
