"""Spread of a figure by the moving-block bootstrap.

Neighbouring samples of a plant are alike, so blocks of neighbours are drawn, not
single samples (H. R. Kunsch, Annals of Statistics 17 (1989) 1217). The block length
grows as the cube root of the number of samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROUNDS = 1000
LEVEL = 0.9
NAME = "moving-block bootstrap, 90 %"
BY_SOURCE = "bootstrap of whole sources, 90 %"
LEAST_SOURCES = 8

Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Resampled positions.

    Attributes:
        places: Positions of each draw; draws of sources differ in length.
        name: How they were drawn, for the verdict.
    """

    places: Sequence[Indices]
    name: str


def draws_of(source: NDArray[np.str_], rng: np.random.Generator) -> Draws:
    """Return draws of whole sources if there are enough of them, of blocks else.

    Samples of one machine or batch are alike: the unit that could have come out
    otherwise is the machine.

    Args:
        source: Where each sample comes from, in order, [n].
        rng: For the draws.
    """
    names, place = np.unique(source, return_inverse=True)
    if len(names) < LEAST_SOURCES:
        return Draws(places=list(draws(len(source), rng)), name=NAME)
    order = np.argsort(place, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(place))[:-1])
    picked = rng.integers(0, len(names), size=(ROUNDS, len(names)))
    return Draws(
        places=[np.concatenate([members[one] for one in draw]) for draw in picked],
        name=BY_SOURCE,
    )


def block_length(count: int) -> int:
    """Return the block length for a number of samples."""
    return max(1, round(math.cbrt(count)))


def draws(count: int, rng: np.random.Generator, *, rounds: int = ROUNDS) -> Indices:
    """Return resampled positions 0 ... count-1, [rounds, count]."""
    length = min(block_length(count), count)
    blocks = -(-count // length)
    starts = rng.integers(0, count - length + 1, size=(rounds, blocks))
    places = starts[:, :, None] + np.arange(length)
    return places.reshape(rounds, -1)[:, :count].astype(np.int64)


def interval(
    measure: Callable[[Indices], float], drawn: Iterable[Indices]
) -> tuple[float, float]:
    """Return the interval that holds the middle 90 % of a figure over the draws.

    Args:
        measure: Figure of the samples at some positions; NaN if it has none.
        drawn: Positions of each draw.

    Returns:
        Lower and upper end; NaN if no draw had a figure.
    """
    values = np.array([measure(one) for one in drawn])
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return float(low), float(high)
