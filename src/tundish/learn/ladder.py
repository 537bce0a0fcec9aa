"""Numbers that depend on the level of an estimate: straight lines between a few knots.

A remaining life of ten cycles is known better than one of a hundred, so a shift or a
quantile of its error is one number for each level, not one for all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """Values at rising knots, [n] each; straight between them and level beyond."""

    knots: Floats
    values: Floats

    def at(self, level: Floats) -> Floats:
        """Return the value at each level."""
        return np.asarray(np.interp(level, self.knots, self.values))

    def add(self, writer: GraphWriter, level: str) -> str:
        """Add the same to a graph; ``level`` is [N, 1] in double."""
        base = writer.constant(self.values[:1], "first_value")
        if len(self.knots) == 1:
            none = writer.constant(np.array([0.0]), "nothing")
            return writer.add("Add", writer.add("Mul", level, none), base)
        low = writer.constant(self.knots[:-1], "from_knots")
        high = writer.constant(self.knots[1:], "to_knots")
        inside = writer.add("Min", writer.add("Max", level, low), high)  # [N, n - 1]
        climbed = writer.add("Sub", inside, low, hint="climbed")
        slopes = np.diff(self.values) / np.diff(self.knots)
        rise = writer.add("MatMul", climbed, writer.constant(slopes[:, None], "slopes"))
        return writer.add("Add", rise, base, hint="rung")


def quantile_ladder(
    level: Floats, value: Floats, rate: float, *, weights: Floats, rungs: int
) -> Ladder:
    """Return a quantile of values by level.

    Args:
        level: Of each sample, [n].
        value: Of each sample, [n].
        rate: Share of values below the quantile.
        weights: Weight of each sample, [n].
        rungs: Number of groups of equal size along the level; one knot each.
    """
    order = np.argsort(level, kind="stable")
    groups = [part for part in np.array_split(order, rungs) if len(part)]
    knots = np.array([np.median(level[group]) for group in groups])
    found = np.array(
        [weighted_quantile(value[group], rate, weights[group]) for group in groups]
    )
    first = np.concatenate([[True], np.diff(knots) > 1e-9])
    return Ladder(knots=knots[first], values=found[first])


def weighted_quantile(values: Floats, rate: float, weights: Floats) -> float:
    """Return the least value below or at which a share of the weight lies."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    place = int(np.searchsorted(reached, rate - 1e-12))
    return float(values[order[min(place, len(order) - 1)]])
