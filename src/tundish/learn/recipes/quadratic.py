"""Detectors whose score is a quadratic form of blocks of rows, averaged over the window.

The window's rows are standardised, weighted in time if asked (``weights``), and cut into
blocks; each statistic is the mean over the blocks of ``q' M q``. Averaging a statistic
that is never negative over the window is what makes a small lasting change stand out
from the scatter of single rows; the window's length is how long one is ready to wait.

The part of a column is its square in ``M^(1/2) q`` (complete decomposition: C. F.
Alcala, S. J. Qin, Automatica 45 (2009) 1593): never negative, and the parts sum to the
statistic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Windows
from tundish.learn.recipes.detector import add_by_channel, by_channel, root_of
from tundish.learn.recipes.rows import (
    RowColumns,
    add_blocks,
    add_centred,
    block_rows,
)

BUDGET = 400_000
"""Multiplications a window that a statistic may cost: 1,000 windows in tens of ms."""


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """One quadratic form.

    Attributes:
        name: For people.
        matrix: M, symmetric, never negative, [F, F].
        scale: What it is divided by before the largest of several is taken.
    """

    name: str
    matrix: Floats
    scale: float = 1.0


@dataclass(frozen=True, kw_only=True)
class QuadraticModel:
    """See the module.

    Attributes:
        columns: How rows are read.
        size: Rows of a block.
        step: Rows from one block to the next.
        statistics: The score is the largest of them, each over its scale.
        weights: One weight for each row and mixture, [K, T]; None: the rows themselves.
    """

    columns: RowColumns
    size: int
    step: int
    statistics: tuple[Statistic, ...]
    weights: Floats | None = None

    def values(self, window: Windows) -> Floats:
        """Return each statistic of windows, [N, statistics], before its scale."""
        q = self._blocks(window)
        return np.stack(
            [np.mean((q @ s.matrix) * q, axis=1).sum(axis=1) for s in self.statistics],
            axis=1,
        )

    def raw_score(self, window: Windows) -> Floats:
        """Return the largest statistic over its scale, [N]."""
        scales = np.array([s.scale for s in self.statistics])
        return np.asarray(np.maximum(self.values(window) / scales, 0.0).max(axis=1))

    def parts(self, window: Windows) -> Floats:
        """Return what each channel adds to the statistics over their scales, [N, C]."""
        q = self._blocks(window)
        squares = sum(
            np.mean((q @ root_of(s.matrix)) ** 2, axis=1) / s.scale
            for s in self.statistics
        )
        owner = np.tile(self.columns.owner, self.size)
        return by_channel(np.asarray(squares), owner, len(self.columns.names))

    def add(self, writer: GraphWriter, raw: str) -> tuple[str, str]:
        """Add score and parts to a graph."""
        columns = self.columns
        z = add_centred(writer, raw, columns)  # the spread goes into the root
        if self.weights is not None:
            mixed = writer.constant(self.weights, "weights")
            z = writer.add("MatMul", mixed, z, hint="mixed")
        q = add_blocks(writer, z, self._places(), (self._rows, columns.width))
        spread = np.tile(columns.std, self.size)[:, None]
        scores, shares = [], []
        for statistic in self.statistics:
            root = root_of(statistic.matrix) / (np.sqrt(statistic.scale) * spread)
            part = writer.add("MatMul", q, writer.constant(root, "root"), hint="part")
            square = writer.add("Mul", part, part, hint="square")
            share = writer.add("ReduceMean", square, axes=[1], keepdims=0, hint="share")
            shares.append(share)
            scores.append(writer.sum_last(share, statistic.name))
        score = writer.add("Max", *scores) if len(scores) > 1 else scores[0]
        share = writer.add("Sum", *shares) if len(shares) > 1 else shares[0]
        owner = np.tile(columns.owner, self.size)
        return score, add_by_channel(writer, share, owner, len(columns.names))

    def _places(self) -> np.ndarray:
        return block_rows(self._rows, self.size, self.step)

    @property
    def _rows(self) -> int:
        return self.columns.rows if self.weights is None else len(self.weights)

    def _blocks(self, window: Windows) -> Floats:
        z = self.columns.of(window)
        if self.weights is not None:
            z = np.einsum("kt,ntf->nkf", self.weights, z)
        rows = self._places()
        return np.asarray(z[:, rows].reshape(len(z), len(rows), -1))


def auto_step(rows: int, size: int, width: int) -> int:
    """Return the least step between blocks that keeps the graph quick.

    Args:
        rows: T.
        size: Rows of a block.
        width: Columns of a row.
    """
    affordable = max(1, BUDGET // (size * width) ** 2)
    fits = rows - size + 1
    return min(size, max(1, -(-fits // affordable)))
