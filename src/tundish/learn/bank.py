"""A bank of straight looks at a window: means and slopes over its newest rows.

All of them are weighted sums over rows, so that the whole bank is one matrix product,
in numpy and in the graph alike. Averages over a window, its half, quarter, ... see slow
and fast wear at once; slopes say where it goes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tundish.learn.features import line_weights
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats

HALVINGS = 4
_LEAST_SLOPE = 5


@dataclass(frozen=True, kw_only=True)
class Bank:
    """Weights of each look over the rows of a window, [K, T], and their names."""

    weights: Floats
    names: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of looks (K)."""
        return len(self.names)

    @property
    def short(self) -> int:
        """Return the place of the mean that lies nearest a quarter of the window."""
        means = [name.startswith("mean") for name in self.names]
        return min(2, sum(means) - 1)

    def of(self, values: Floats) -> Floats:
        """Return the looks at windows [N, T, C], [N, K, C]."""
        return np.asarray(np.einsum("kt,ntc->nkc", self.weights, values))

    def add(self, writer: GraphWriter, values: str) -> str:
        """Add the same to a graph; ``values`` is [N, T, C] in double."""
        return writer.add("MatMul", writer.constant(self.weights, "bank"), values)


def bank_of(rows: int, lengths: tuple[int, ...] = ()) -> Bank:
    """Return the bank of a window.

    Args:
        rows: Rows of the window (T).
        lengths: Rows to look at; none: the window and four halvings of it. Slopes are
            taken over the three longest, where they have enough rows.
    """
    halved = [rows >> power for power in range(HALVINGS, -1, -1)]
    chosen = sorted({max(1, one) for one in lengths or halved})
    sloped = [one for one in chosen[-3:] if one >= _LEAST_SLOPE]
    looks = [("mean", one, np.full(one, 1.0 / one)) for one in chosen]
    looks += [("slope", one, line_weights(one)) for one in sloped]
    weights = np.zeros((len(looks), rows))
    for place, (_, length, over) in enumerate(looks):
        weights[place, rows - length :] = over
    names = tuple(f"{kind} over {length}" for kind, length, _ in looks)
    return Bank(weights=weights, names=names)
