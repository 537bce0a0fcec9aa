"""A histogram that merges exactly: the same from any partition of the values.

Cells have the width of a power of two, 2^k, and lie at whole multiples of it; only
occupied cells are kept. The level k is the least (cell numbers must fit 61 bits, so a
value of 1e30 blurs its column) at which at most ``CELLS`` cells are occupied. That is a property of the set of values alone, since
a cell of level k + 1 is made of two cells of level k. So merging is associative and
commutative, far outliers cost one cell each, and quantiles are exact to the width.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp

import numpy as np

from tundish.data.grade.kernels import Floats, Ints, kernels
from tundish.data.grade.scan import Quantiles

CELLS = 4096
_TABLE = 4 * CELLS
_DIGITS = 61
_SAMPLE = 8192
_SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sketch:
    """Counts of values in occupied cells.

    Attributes:
        level: Cells are 2^level wide.
        keys: Value of each cell divided by its width, rounded down; rising, [m].
        counts: Values in each cell, [m].
        finest: Least level at which the number of the largest value's cell fits.
    """

    level: int
    keys: Ints
    counts: Ints
    finest: int

    @staticmethod
    def of(values: Floats) -> Sketch:
        """Sketch values, shape [n]; those that are not finite are left out."""
        largest = kernels().largest(values)
        finest = _LOWEST  # no number lies between cells of this level
        if largest > 0:
            finest = max(finest, frexp(largest)[1] - _DIGITS)
        first = finest
        if (
            len(values) > 2 * _SAMPLE
        ):  # a part never needs a coarser level than the whole
            stride = len(values) // _SAMPLE
            first = max(finest, Sketch.of(np.ascontiguousarray(values[::stride])).level)
        keys = np.zeros(_TABLE, dtype=np.int64)
        counts = np.zeros(_TABLE, dtype=np.int64)
        level = kernels().sketch(values, first, keys, counts, CELLS)
        held = np.flatnonzero(counts)
        order = held[np.argsort(keys[held])]
        return Sketch(
            level=level, keys=keys[order], counts=counts[order], finest=finest
        )

    @property
    def width(self) -> float:
        """Width of a cell: the error of every quantile."""
        return float(2.0**self.level)

    @property
    def total(self) -> int:
        """Number of values."""
        return int(self.counts.sum())

    @property
    def values(self) -> Floats:
        """Middle of each cell, [m]; the value itself where cells are that fine."""
        shift = 0.5 if self.level > self.finest else 0.0
        return np.asarray((self.keys + shift) * self.width, dtype=np.float64)

    def merge(self, other: Sketch) -> Sketch:
        """Return the sketch of both sets of values."""
        finest = max(self.finest, other.finest)
        level = max(self.level, other.level, finest)
        while True:
            keys = np.concatenate(
                (self.keys >> (level - self.level), other.keys >> (level - other.level))
            )
            cells, at = np.unique(keys, return_inverse=True)
            if len(cells) <= CELLS:
                break
            level += 1
        counts = np.zeros(len(cells), dtype=np.int64)
        np.add.at(counts, at, np.concatenate((self.counts, other.counts)))
        return Sketch(level=level, keys=cells, counts=counts, finest=finest)

    def quantiles(self) -> Quantiles | None:
        """Return quantiles, exact to ``width``; ``None`` below two occupied cells."""
        if len(self.keys) < 2:
            return None
        cumulated = np.cumsum(self.counts)
        at = np.searchsorted(cumulated, np.array(_SHARES) * cumulated[-1])
        found = self.values[np.minimum(at, len(cumulated) - 1)].tolist()
        names = ("q01", "q05", "q25", "q50", "q75", "q95", "q99")
        return Quantiles(**dict(zip(names, found, strict=True)), width=self.width)

    def count(self, low: float, high: float) -> int:
        """Return how many values lie between two bounds, to the width of a cell."""
        middles = self.values
        return int(self.counts[(middles >= low) & (middles <= high)].sum())


_LOWEST = -1074
