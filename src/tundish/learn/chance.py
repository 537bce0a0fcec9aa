"""What the strongest of many overlapping slices looks like if nothing is weak.

P. Westfall, S. Young, Resampling-Based Multiple Testing, Wiley 1993: the max-T. Samples
are dealt anew as whole runs (a batch, an engine, a stretch), since neighbours are alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tundish.learn.material import Floats, Indices, Material, by_source
from tundish.learn.moments import levelled, memory

DEALS = 1000
LEAST_UNITS = 20
MOMENTS = 20
_AT_ONCE = 100

Bools = NDArray[np.bool_]


def welch(values: Floats, inside: Bools) -> tuple[float, tuple[float, float]]:
    """Return the statistic, and the squared error of either side's mean.

    Each side's variance is held up by one sample's worth of that of all.
    """
    prior = float(values.var())
    here, there = values[inside], values[~inside]
    errors = tuple(
        (float(side.var()) * len(side) + prior) / len(side) ** 2
        for side in (here, there)
    )
    if sum(errors) <= 0.0:
        return 0.0, (0.0, 0.0)
    strength = float(here.mean() - there.mean()) / sum(errors) ** 0.5
    return strength, (errors[0], errors[1])


def runs_of(material: Material, first: Indices) -> Indices:
    """Return what each sample is dealt with, [G].

    Its source, where sources are judged whole; else its unbroken run of a part and source.

    Args:
        material: All windows, in order.
        first: The window of each sample, [G].
    """
    if by_source(material):
        return np.unique(material.source, return_inverse=True)[1][first]
    changes = np.zeros(len(material), dtype=np.int64)
    for texts in (material.part, material.source):
        changes[1:] |= texts[1:] != texts[:-1]
    return np.asarray(np.cumsum(changes)[first])


def strongest(
    values: Floats,
    masks: Bools,
    run: Indices,
    length: float,
    rng: np.random.Generator,
) -> Floats:
    """Return the largest statistic of all slices in each deal of the samples, [DEALS].

    Args:
        values: What is tested, in order, [n].
        masks: The slices, none of them empty or all, [S, n].
        run: Unbroken run of each sample, [n]. Runs are dealt as a whole, each begun
            anywhere; long ones are cut.
        length: How many neighbours are worth one, in samples.
        rng: Deals.
    """
    unit = units(run, length)
    order = np.argsort(unit, kind="stable")
    values, masks, unit = values[order], masks[:, order], unit[order]
    count = len(values)
    inside = masks.astype(np.float64)
    sizes = inside.sum(axis=1)[:, None]
    rest = count - sizes
    prior, sums, squares = float(values.var()), values.sum(), (values**2).sum()
    found = np.full(DEALS, -np.inf)
    for first in range(0, DEALS, _AT_ONCE):
        deals = values[_deals(unit, _AT_ONCE, rng)]
        one, two = inside @ deals, inside @ deals**2
        here, there = one / sizes, (sums - one) / rest
        error = (two / sizes - here**2 + prior / sizes) / sizes
        error += ((squares - two) / rest - there**2 + prior / rest) / rest
        strength = (here - there) / np.sqrt(np.maximum(error, 1e-300))
        found[first : first + _AT_ONCE] = strength.max(axis=0)
    return found


def share_of_deals(values: Floats, place: int, run: Indices, seed: int) -> float:
    """Return the chance that values rise by so much from some moment on.

    A bet against exchangeable values grows on a slow wave too; whole runs dealt anew
    have the same waves.

    Args:
        values: In order of time, [n].
        place: The moment at which they are said to rise.
        run: What is dealt as a whole, [n].
        seed: Of the deals.
    """
    count = len(values)
    places = np.unique([place, *np.linspace(0, count, MOMENTS + 2)[1:-1].astype(int)])
    masks = np.arange(count) >= places[:, None]
    inside = np.arange(count) >= place
    length = memory(levelled(values, inside))
    most = strongest(values, masks, run, length, np.random.default_rng(seed))
    return share_above(most, welch(values, inside)[0])


def units(run: Indices, length: float) -> Indices:
    """Return what each sample is dealt with, [n]: its run, or an even piece of a long one.

    Args:
        run: Unbroken run of each sample, [n].
        length: How many neighbours are worth one, in samples.
    """
    most = max(1.0, np.ceil(length), len(run) // LEAST_UNITS)
    order = np.argsort(run, kind="stable")
    _, start, place, size = np.unique(
        run[order], return_index=True, return_inverse=True, return_counts=True
    )
    within = np.arange(len(run)) - start[place]
    pieces = np.maximum(1, np.round(size / most)).astype(np.int64)
    offset = np.concatenate([[0], np.cumsum(pieces)[:-1]])
    found = np.empty(len(run), dtype=np.int64)
    found[order] = offset[place] + within * pieces[place] // size[place]
    return found


def _deals(unit: Indices, count: int, rng: np.random.Generator) -> Indices:
    """Return orders of the samples: units by chance, each begun anywhere, [n, count].

    Args:
        unit: Of each sample, in order, [n].
        count: How many orders.
        rng: Deals.
    """
    _, start, place, size = np.unique(
        unit, return_index=True, return_inverse=True, return_counts=True
    )
    rank = rng.permuted(np.tile(np.arange(len(start)), (count, 1)), axis=1)
    turned = rng.integers(0, size, (count, len(size)))
    within = (np.arange(len(unit)) - start[place] + turned[:, place]) % size[place]
    return np.asarray(np.argsort(rank[:, place] * len(unit) + within, axis=1).T)


def share_above(most: Floats, seen: float) -> float:
    """Return the chance of a statistic at least as large, never 0."""
    return float((1 + np.count_nonzero(most >= seen)) / (1 + len(most)))
