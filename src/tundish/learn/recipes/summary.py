"""Three statistics of each standardised column over the window: mean, scatter, newest.

They are written once as nodes of a graph; what a recipe trains on is the graph's own
answer (``trees.features_of``), so that training and line see the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices, Windows
from tundish.learn.recipes.rows import RowColumns, add_centred


def build(columns: RowColumns) -> Callable[[GraphWriter, str], str]:
    """Return what adds the statistics to a graph; see ``trees.BuildFeatures``."""

    def add(writer: GraphWriter, raw: str) -> str:
        centred = add_centred(writer, raw, columns)
        place = writer.constant(np.array(columns.rows - 1), "newest_row")
        newest = writer.add("Gather", centred, place, axis=1, hint="newest")
        found = newest
        if columns.rows > 1:
            mean = writer.add("ReduceMean", centred, axes=[1], keepdims=1, hint="level")
            off = writer.add("Sub", centred, mean, hint="off")
            square = writer.add("Mul", off, off, hint="square")
            spread = writer.add("ReduceMean", square, axes=[1], keepdims=0)
            axis = writer.constant(np.array([1]), "axis")
            flat = writer.add("Squeeze", mean, axis, hint="mean_of")
            root = writer.add("Sqrt", spread, hint="scatter")
            found = writer.add("Concat", flat, root, newest, axis=1, hint="each")
        std = np.tile(columns.std, 1 if columns.rows == 1 else 3)  # three numbers each,
        # which is less to divide than all rows
        return writer.add("Div", found, writer.constant(std, "std"), hint="summary")

    return add


def values(columns: RowColumns, window: Windows) -> Floats:
    """Return the same in numpy, float64 [N, S]."""
    z = columns.of(window)
    if columns.rows == 1:
        return z[:, -1]
    return np.concatenate([z.mean(axis=1), z.std(axis=1), z[:, -1]], axis=1)


def owner(columns: RowColumns) -> Indices:
    """Return the channel of each statistic, [S]."""
    return np.tile(columns.owner, 1 if columns.rows == 1 else 3)
