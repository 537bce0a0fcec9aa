"""The fused pass over one column: compiled, null-aware, in row order of each unit.

One pass finds moments, extremes, repetition, long constant runs and the largest jumps;
a second fills a histogram for quantiles; a third looks for single-row spikes. Runs skip
nulls: a sensor that stands still with one cell in a hundred missing is one run, not many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tundish.data.grade.kernels import Bools, Floats, Ints, kernels

LENGTHS = 256
BINS = 4096
LONG_RUN = 5
_MAX_RUNS = 200_000


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What the passes found in one column.

    Attributes:
        count, nulls: Filled and empty cells.
        low, high: Extremes; NaN if the column is empty.
        at_low, at_high: Cells exactly at the extremes.
        mean, std: Of the filled cells.
        steps, changes: Neighbouring filled cells, and how many of them differ.
        lengths: Number of constant runs by length (the last bin: longer), [LENGTHS].
        run_first, run_last: Places (in the scanned order) of runs of at least
            ``LONG_RUN`` filled cells.
        run_length: Their filled cells.
        run_value: Their value.
        largest_step: Largest difference of two neighbouring cells.
        largest_off: Largest distance of a cell from the middle of its two neighbours.
    """

    count: int
    nulls: int
    low: float
    high: float
    at_low: int
    at_high: int
    mean: float
    std: float
    steps: int
    changes: int
    lengths: Ints
    run_first: Ints
    run_last: Ints
    run_length: Ints
    run_value: Floats
    largest_step: float
    largest_off: float


@dataclass(frozen=True, kw_only=True)
class Quantiles:
    """Quantiles from a histogram; exact to ``width``."""

    q01: float
    q05: float
    q25: float
    q50: float
    q75: float
    q95: float
    q99: float
    width: float


def scan(values: Floats, starts: Bools) -> Scan:
    """Scan a column.

    Args:
        values: In the order of units and time, shape [n]; NaN where missing.
        starts: Where a unit begins, shape [n].
    """
    lengths = np.zeros(LENGTHS, dtype=np.int64)
    room = min(_MAX_RUNS, len(values) // LONG_RUN + 1)
    runs = np.zeros((room, 3), dtype=np.int64)
    out = np.zeros(12)
    kernels().fused(values, starts, lengths, runs, out)
    count, low, high, at_low, at_high, mean, square = out[:7].tolist()
    steps, changes, kept, largest_step, largest_off = out[7:].tolist()
    held = runs[: int(kept)].copy()
    return Scan(
        count=int(count),
        nulls=len(values) - int(count),
        low=low,
        high=high,
        at_low=int(at_low),
        at_high=int(at_high),
        mean=mean,
        std=float(np.sqrt(square / count)) if count else float("nan"),
        steps=int(steps),
        changes=int(changes),
        lengths=lengths,
        run_first=held[:, 0],
        run_last=held[:, 1],
        run_length=held[:, 2],
        run_value=values[held[:, 0]],
        largest_step=largest_step,
        largest_off=largest_off,
    )


def quantiles(values: Floats, low: float, high: float) -> Quantiles | None:
    """Return quantiles of finite values between ``low`` and ``high``.

    A histogram over the whole range; if far outliers squeeze the body into few bins, a
    second one over the body. ``None`` if there is nothing to divide.
    """
    steady = np.ascontiguousarray(values)
    return _quantiles(
        lambda first, last, counts: kernels().histogram(steady, first, last, counts),
        low,
        high,
    )


def off_quantiles(values: Floats, starts: Bools, largest: float) -> Quantiles | None:
    """Return quantiles of the distance of cells from the middle of their neighbours."""
    return _quantiles(
        lambda first, last, counts: kernels().off_histogram(
            values, starts, (first, last), counts
        ),
        0.0,
        largest,
    )


def step_quantiles(values: Floats, largest: float) -> Quantiles | None:
    """Return quantiles of the sizes of the steps that are not zero."""
    return _quantiles(
        lambda first, last, counts: kernels().step_histogram(
            values, (first, last), counts
        ),
        0.0,
        largest,
    )


def spikes(values: Floats, starts: Bools, terms: tuple[float, float, float]) -> Ints:
    """Return the places of cells that jump off both neighbours and back, alone.

    Args:
        values: Shape [n].
        starts: Shape [n].
        terms: See ``kernels.spikes``.
    """
    found = np.zeros(1024, dtype=np.int64)
    count = kernels().spikes(values, starts, terms, found)
    if count > len(found):
        found = np.zeros(count, dtype=np.int64)
        kernels().spikes(values, starts, terms, found)
    return found[:count]


def _quantiles(
    fill: Callable[[float, float, Ints], None], low: float, high: float
) -> Quantiles | None:
    if not high > low:
        return None
    counts, width = _counted(fill, low, high)
    total = int(counts.sum())
    if not total:
        return None
    below = 0
    for _ in range(3):
        cumulated = below + np.cumsum(counts)
        first = int(np.searchsorted(cumulated, 0.004 * total))
        last = int(np.searchsorted(cumulated, 0.996 * total))
        if last - first > BINS // 16:
            break
        body_low, body_high = low + first * width, low + (last + 1) * width
        below = int(cumulated[first - 1]) if first else below
        low, high = body_low, body_high
        counts, width = _counted(fill, low, high)
        if width <= abs(high) * 1e-13:
            break
    cumulated = below + np.cumsum(counts)
    at = [
        low
        + width * (min(int(np.searchsorted(cumulated, share * total)), BINS - 1) + 0.5)
        for share in (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
    ]
    names = ("q01", "q05", "q25", "q50", "q75", "q95", "q99")
    return Quantiles(**dict(zip(names, at, strict=True)), width=width)


def _counted(
    fill: Callable[[float, float, Ints], None], low: float, high: float
) -> tuple[Ints, float]:
    counts = np.zeros(BINS, dtype=np.int64)
    width = (high - low) / BINS
    if width > 0:
        fill(low, high, counts)
    return counts, width
