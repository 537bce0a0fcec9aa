"""How far two samples of one column lie apart: PSI and the Kolmogorov-Smirnov distance.

Sources: the population stability index as credit scoring uses it (ten bins of equal
share of the first sample; 0.1 is a small shift, 0.25 a large one), and the two-sample
statistic of Smirnov (1939). Rows of a process follow each other, so no p-value is
given: it would call every longer record different.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from tundish.data.grade.sheet import Floats

BINS = 10
LARGE = 0.25
NOISE = 3.0
MOST_LEVELS = 50
_LEAST = 0.5


def psi(before: Floats, after: Floats) -> float | None:
    """Return the population stability index of two samples of numbers.

    Bins hold equal shares of ``before``; repeated values share a bin. A bin without a
    value counts as if it held half of one.

    Args:
        before: Finite values, shape [n].
        after: Finite values, shape [m].

    Returns:
        0 or more; ``None`` if a sample is empty.
    """
    if not len(before) or not len(after):
        return None
    edges = np.unique(np.quantile(before, np.linspace(0, 1, BINS + 1)[1:-1]))
    inside = [
        np.bincount(
            np.searchsorted(edges, sample, side="left"), minlength=len(edges) + 1
        )
        for sample in (before, after)
    ]
    return _index(inside[0], inside[1])


def psi_of_levels(before: pl.Series, after: pl.Series) -> float | None:
    """Return the index over the levels of a text column; rare ones are taken together."""
    first, second = before.drop_nulls(), after.drop_nulls()
    if first.is_empty() or second.is_empty():
        return None
    counts = [s.alias("level").value_counts(name="n") for s in (first, second)]
    both = counts[0].join(counts[1], on="level", how="full", coalesce=True, suffix="_2")
    both = both.fill_null(0).sort("n", "level", descending=[True, False])
    top, rest = both[:MOST_LEVELS], both[MOST_LEVELS:]
    one = np.append(top["n"].to_numpy(), rest["n"].to_numpy().sum())
    two = np.append(top["n_2"].to_numpy(), rest["n_2"].to_numpy().sum())
    held = (one + two) > 0
    return _index(one[held], two[held])


def noise(before: int, after: int) -> float:
    """Return the index that chance alone gives to samples of these sizes, on average."""
    return (BINS - 1) * (1 / max(1, before) + 1 / max(1, after))


def ks(before: Floats, after: Floats) -> float | None:
    """Return the largest distance between two empirical distributions, 0 to 1.

    Args:
        before: Finite values, shape [n].
        after: Finite values, shape [m].
    """
    if not len(before) or not len(after):
        return None
    one, two = np.sort(before), np.sort(after)
    distance = 0.0
    for points in (one, two):
        below = np.searchsorted(one, points, side="right") / len(one)
        also = np.searchsorted(two, points, side="right") / len(two)
        distance = max(distance, float(np.abs(below - also).max()))
    return distance


def _index(
    one: np.ndarray[tuple[int], np.dtype[np.int64]],
    two: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> float:
    first = np.maximum(one, _LEAST) / max(1, one.sum())
    second = np.maximum(two, _LEAST) / max(1, two.sum())
    return max(0.0, float(((second - first) * np.log(second / first)).sum()))
