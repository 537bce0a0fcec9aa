"""A foreign score on the scale of all scores here: its usual value at 0, its limit at 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tundish.learn.errors import ForeignUnfitError
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats

_LEAST_SPREAD = 1e-6


@dataclass(frozen=True, kw_only=True)
class Scale:
    """score = (sign * raw - middle) / spread.

    Attributes:
        sign: -1 if a high score is normal.
        middle: Median of normal samples.
        spread: From there to the limit.
    """

    sign: float
    middle: float
    spread: float

    def of(self, raw: Floats) -> Floats:
        """Return scores that lie above 1 beyond the limit."""
        return (self.sign * raw - self.middle) / self.spread

    def add(self, writer: GraphWriter, raw: str) -> str:
        """Add the same to a graph; ``raw`` is in double."""
        sign = writer.constant(np.array(self.sign), "sign")
        middle = writer.constant(np.array(self.middle), "middle")
        off = writer.add("Sub", writer.add("Mul", raw, sign), middle, hint="off")
        spread = writer.constant(np.array(self.spread), "spread")
        return writer.add("Div", off, spread, hint="scaled_score")

    def thresholds(self) -> dict[str, float]:
        """Return what a run's record says of it."""
        return {"limit": self.middle + self.spread, "middle": self.middle}


def scale_of(scores: Floats, limit: float, sign: float, output: str) -> Scale:
    """Return the scale of signed scores of normal samples.

    Raises:
        ForeignUnfitError: if the limit is no higher than the usual score: most normal
            samples have one and the same score, and nothing tells them from the limit.
    """
    middle = float(np.median(scores))
    spread = limit - middle
    if spread <= _LEAST_SPREAD * abs(middle) or spread <= 0.0:
        same = float(np.mean(np.isclose(scores, middle, rtol=_LEAST_SPREAD, atol=0.0)))
        msg = f"The output {output!r} is {sign * middle:.6g} for {same:.0%} of the normal samples of the calibrate part, so no limit can be set; a score that varies among them was expected."
        advice = "Export the model without clipping or rounding its score, or name another output."
        raise ForeignUnfitError(msg, advice=advice)
    return Scale(sign=sign, middle=middle, spread=spread)
