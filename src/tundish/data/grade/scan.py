"""The fused pass over one column: compiled, null-aware, in row order of each unit.

One pass finds moments, extremes, repetition and long constant runs; a second fills a
histogram for quantiles; a third looks for single-row spikes. Runs skip nulls: a sensor
that stands still with one cell in a hundred missing is one run, not many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

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


@dataclass(frozen=True, kw_only=True)
class _Kernels:
    fused: Callable[..., tuple[float, ...]]
    histogram: Callable[..., None]
    deviations: Callable[..., float]


def scan(values: Floats, starts: Bools) -> Scan:
    """Scan a column.

    Args:
        values: In the order of units and time, shape [n]; NaN where missing.
        starts: Where a unit begins, shape [n].
    """
    lengths = np.zeros(LENGTHS, dtype=np.int64)
    room = min(_MAX_RUNS, len(values) // LONG_RUN + 1)
    runs = np.zeros((room, 3), dtype=np.int64)
    found = _kernels().fused(values, starts, lengths, runs)
    count, nulls, low, high, at_low, at_high, mean, square, steps, changes, kept = found
    held = runs[: int(kept)]
    return Scan(
        count=int(count),
        nulls=int(nulls),
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
    )


def quantiles(values: Floats, low: float, high: float) -> Quantiles | None:
    """Return quantiles of finite values between ``low`` and ``high``.

    A histogram over the whole range; if far outliers squeeze the body into few bins, a
    second one over the body. ``None`` if there is nothing to divide.
    """
    if not high > low:
        return None
    counts, width = _histogram(values, low, high)
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
        counts, width = _histogram(values, low, high)
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


def deviations(values: Floats, starts: Bools) -> tuple[Floats, float]:
    """Return how far each cell stands off the middle of its two neighbours.

    Returns:
        Absolute deviations, shape [n] (NaN at edges and beside nulls), and the largest.
    """
    out = np.full(len(values), np.nan)
    return out, float(_kernels().deviations(values, starts, out))


def _histogram(values: Floats, low: float, high: float) -> tuple[Ints, float]:
    counts = np.zeros(BINS, dtype=np.int64)
    width = (high - low) / BINS
    if width > 0:
        _kernels().histogram(values, low, high, counts)
    return counts, width


def _fused(
    values: Floats, starts: Bools, lengths: Ints, runs: Ints
) -> tuple[float, ...]:
    """See ``Scan``; ``lengths`` and ``runs`` are filled in place."""
    count = nulls = at_low = at_high = steps = changes = kept = 0
    low, high = np.inf, -np.inf
    mean = square = previous = 0.0
    first = last = length = 0
    for i in range(len(values) + 1):
        fresh = i == len(values) or starts[i]
        x = np.nan if i == len(values) else values[i]
        if length and (fresh or (x == x and x != previous)):
            lengths[min(length, LENGTHS) - 1] += 1
            if length >= LONG_RUN and kept < len(runs):
                runs[kept, 0], runs[kept, 1], runs[kept, 2] = first, last, length
                kept += 1
            steps += not fresh
            changes += not fresh
            length = 0
        if x != x:
            nulls += 1
            continue
        count += 1
        delta = x - mean
        mean += delta / count
        square += delta * (x - mean)
        at_low = at_low * (x >= low) + (x <= low)
        at_high = at_high * (x <= high) + (x >= high)
        low, high = min(low, x), max(high, x)
        steps += length > 0
        if not length:
            previous, first = x, i
        length += 1
        last = i
    if not count:
        low = high = mean = np.nan
    return (
        float(count),
        float(nulls - 1),
        low,
        high,
        float(at_low),
        float(at_high),
        mean,
        square,
        float(steps),
        float(changes),
        float(kept),
    )


def _fill(values: Floats, low: float, high: float, counts: Ints) -> None:
    scale = len(counts) / (high - low)
    for i in range(len(values)):
        x = values[i]
        if x >= low and x <= high:
            counts[min(int((x - low) * scale), len(counts) - 1)] += 1


def _stand_off(values: Floats, starts: Bools, out: Floats) -> float:
    largest = 0.0
    for i in range(1, len(values) - 1):
        if starts[i] or starts[i + 1]:
            continue
        off = abs(values[i] - 0.5 * (values[i - 1] + values[i + 1]))
        if off == off:
            out[i] = off
            largest = max(largest, off)
    return largest


@cache
def _kernels() -> _Kernels:
    """Compile on first use; later processes take the machine code from the cache."""
    from numba import njit  # noqa: PLC0415  (half a second to load)

    compiled = njit(cache=True, nogil=True)
    return _Kernels(
        fused=compiled(_fused),
        histogram=compiled(_fill),
        deviations=compiled(_stand_off),
    )
