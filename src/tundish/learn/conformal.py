"""Limits with a promise: split-conformal quantiles with the finite-sample correction.

If calibration scores and later scores are exchangeable, a later score exceeds the
limit with a probability of at most the promised rate, whatever their distribution
(Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World", 2005). In a plant
they seldom are: the judge therefore holds each promise against later data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class ConformalLimit:
    """A limit and what its calibration supports.

    Attributes:
        limit: The score that is exceeded at most at the rate ``rate``.
        rate: Promised share of exceeding scores: the one asked for, or the finest
            that ``count`` supports, 1 / (count + 1).
        count: Number of calibration samples (groups, if weights were given).
        supported: Whether the rate asked for was supported.
    """

    limit: float
    rate: float
    count: int
    supported: bool


def split_limit(
    scores: Floats, rate: float, *, weights: Floats | None = None
) -> ConformalLimit:
    """Return the limit that a new score exceeds at most at a rate.

    Args:
        scores: Calibration scores, [n], n >= 1, finite.
        rate: Share of new scores that may exceed the limit, in (0, 1).
        weights: Weight of each score, [n], if several scores share one sample: each
            sample's weights sum to 1 and samples are what is counted. The promise is
            exact for one score a sample, and an approximation else.
    """
    mass = np.ones(len(scores)) if weights is None else weights
    count = round(float(mass.sum()))
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(mass[order])
    needed = (count + 1) * (1.0 - rate)
    if weights is None:
        needed = float(math.ceil(needed - _ROUNDING))
    place = int(np.searchsorted(reached, needed - _ROUNDING))
    if place >= len(scores):
        limit = float(scores[order[-1]])
        return ConformalLimit(
            limit=limit, rate=1.0 / (count + 1), count=count, supported=False
        )
    limit = float(scores[order[place]])
    return ConformalLimit(limit=limit, rate=rate, count=count, supported=True)
