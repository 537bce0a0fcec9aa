"""Building blocks of made signals: noise with a memory, loops, meters, batches."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from scipy.signal import lfilter

from tundish.data.grade.sheet import Bools, Floats


def wander(rng: Generator, rows: int, memory: float) -> Floats:
    """Return noise of unit variance that forgets after ``memory`` rows (AR(1))."""
    keep = float(np.exp(-1 / memory))
    shocks = rng.normal(size=rows) * np.sqrt(1 - keep**2)
    shocks[0] = rng.normal()
    return np.asarray(lfilter([1.0], [1.0, -keep], shocks))


def season(rng: Generator, rows: int, period: float) -> Floats:
    """Return a wave of amplitude one with a second harmonic and a phase of its own."""
    at = 2 * np.pi * (np.arange(rows) / period + rng.uniform())
    return np.asarray(0.9 * np.sin(at) + 0.2 * np.sin(2 * at + rng.uniform(0, 6)))


def steps(rng: Generator, rows: int, hold: float, levels: Floats) -> Floats:
    """Return a set-point: levels drawn at random, each held for about ``hold`` rows."""
    moves = rng.random(rows) < 1 / hold
    moves[0] = True
    drawn = rng.choice(levels, size=rows)
    return np.asarray(drawn[np.maximum.accumulate(np.where(moves, np.arange(rows), 0))])


def lag(values: Floats, rows: float) -> Floats:
    """Return a signal behind a first-order lag of ``rows`` rows."""
    keep = float(np.exp(-1 / rows))
    start = np.array([keep * values[0]])
    return np.asarray(lfilter([1 - keep], [1.0, -keep], values, zi=start)[0])


def loop(
    rng: Generator, set_point: Floats, load: Floats, gain: float
) -> tuple[Floats, Floats]:
    """Return the process value and the valve (0 to 100 %) of a loop under PI control.

    The process is a first-order lag of ten rows; the valve saturates.
    """
    value, integral = float(set_point[0]), 50.0 / gain
    values, valves = np.empty(len(load)), np.empty(len(load))
    noise = rng.normal(size=len(load)) * 0.02
    for i in range(len(load)):
        error = set_point[i] - value - noise[i]
        valve = gain * (error + integral)
        if 0 < valve < 100:
            integral += error / 12
        valve = min(max(valve, 0.0), 100.0)
        value += (set_point[0] + (valve - 50) / gain + load[i] - value) / 10
        values[i], valves[i] = value + noise[i], valve
    return values, valves


def shifts(rng: Generator, rows: int, up: float, down: float) -> Bools:
    """Return when a machine runs: stretches of about ``up`` rows, stops of ``down``."""
    running = np.zeros(rows, dtype=bool)
    at, on = 0, True
    while at < rows:
        length = max(5, round(rng.gamma(4.0, (up if on else down) / 4)))
        running[at : at + length] = on
        at, on = at + length, not on
    return running


def rounded(values: Floats, step: float) -> Floats:
    """Return what a transmitter of a coarse resolution shows."""
    return np.asarray(np.round(np.round(values / step) * step, 9))


def shown(values: Floats, digits: int) -> Floats:
    """Return what is stored with some digits behind the point."""
    return np.asarray(np.round(np.asarray(values, dtype=np.float64), digits))


def held(values: Floats, every: int) -> Floats:
    """Return what a slow analyser shows: a new value every few rows."""
    return np.asarray(np.repeat(values[::every], every)[: len(values)])


def compressed(values: Floats, band: float) -> Floats:
    """Return what a historian that stores by exception gives back, last value held."""
    out = np.empty(len(values))
    kept = values[0]
    for i, value in enumerate(values):
        if abs(value - kept) > band:
            kept = value
        out[i] = kept
    return out
