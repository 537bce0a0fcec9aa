"""What a failure mode does to the signals, as its signature in the scenario says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.catalog.simulation import Change, FailureMode
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
        changed = _changed(change, whole, damage, stream.seconds, grid, rng)
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
    if change.change == "shift":
        return values + by * each
    if change.change == "drift":
        return values + by * each * _risen(on)[:, None]
    if change.change == "scale":
        return values * (1 + (by - 1) * each)
    if change.change == "noise":
        return values + abs(by) * each * rng.standard_normal(values.shape)
    if change.change == "swing":
        turn = seconds / (change.every_s or 1.0)
        return values + by * each * np.sin(2 * np.pi * turn)[:, None]
    if change.change == "spikes":
        hit = (rng.random(len(values)) < SPIKE_SHARE)[:, None]
        return values + by * each * hit
    if change.change == "bump":
        return values + by * each * bell(grid, change.at or 0.0, change.width or 1.0)
    if change.change == "missing":
        return np.where(on[:, None], np.nan, values)
    return _frozen(values, on)


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
