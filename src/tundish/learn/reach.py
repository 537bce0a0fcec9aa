"""How far a window reaches beyond the data that a model was trained on.

A plain, honest bound for any model: each channel against the range that it had in
training, widened by a margin. 1.0 lies at the widened edge; above it the line abstains.
Inputs that are usual one by one and unusual together pass: that is an anomaly detector's
work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Material

MARGIN = 0.1
_STILL = 0.01


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Middle and half width of each channel's training range, widened, [C] each."""

    middle: Floats
    half: Floats

    def of(self, x: NDArray[np.floating]) -> Floats:
        """Return how far windows [N, T, C] reach, [N, 1]."""
        off = np.abs(x.astype(np.float64) - self.middle) / self.half
        return np.asarray(off.max(axis=(1, 2)))[:, None]

    def add(self, writer: GraphWriter) -> str:
        """Add the same to a graph, [N, 1] in double."""
        middle = writer.constant(self.middle, "reach_middle")
        over = writer.constant(1.0 / self.half, "over_reach_half")
        sides = []
        for edge in writer.edges():
            off = writer.add("Abs", writer.add("Sub", edge, middle, hint="from_middle"))
            sides.append(writer.add("Mul", off, over, hint="reach"))
        worst = writer.add("Max", *sides, hint="farther") if sides[1:] else sides[0]
        return writer.add("ReduceMax", worst, axes=[1], keepdims=1, hint="farthest")


def reach_of(seen: Material, scenario: Scenario, *, margin: float = MARGIN) -> Reach:
    """Return the reach of the windows that a model has seen.

    Args:
        seen: Those of fit, select and calibrate.
        scenario: A channel that stood still may move by 1 % of its plausible range.
        margin: Share of the range added at either end.
    """
    low = seen.x.min(axis=(0, 1)).astype(np.float64)
    high = seen.x.max(axis=(0, 1)).astype(np.float64)
    plausible = np.concatenate(
        [np.full(s.channels, s.range[1] - s.range[0]) for s in scenario.signals]
    )
    half = np.maximum((high - low) * (0.5 + margin), _STILL * plausible)
    return Reach(middle=(high + low) / 2.0, half=half)
