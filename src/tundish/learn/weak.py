"""Which slices are really worse: tests on the judge part that noise does not pass.

Each slice's mean loss is held against the rest by Welch's test (one-sided), with as many
samples as the losses' own memory leaves independent, and all slices are corrected
together after Holm (Scand. J. Statist. 6 (1979) 65). The strongest slice is taken, its
samples are set aside, and the others are tested on what is left: a slice that is weak
only because it shares samples with another is not named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tundish.learn.gaps_report import Where
from tundish.learn.material import Floats
from tundish.learn.moments import levelled, memory
from tundish.learn.regions import KNOWN

Bools = NDArray[np.bool_]
LEVEL = 0.01
RATIO = 1.5
LEAST = 8
LEAST_FREE = 4.0
MOST = 8
NEAR = 0.5
RIVAL = 0.8
WITHIN = 0.8


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A slice over the tested samples.

    Attributes:
        where: What it is.
        inside: Which of the samples, [G].
        pool: Which samples it may be held against, [G].
        windows: The slice over all windows of all parts, [N].
        p: A p-value from elsewhere (a moment's), which must hold too.
    """

    where: Where
    inside: Bools
    pool: Bools
    windows: Bools
    p: float | None = None


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a slice looks like against the rest."""

    count: int
    loss: float
    elsewhere: float
    strength: float
    p: float


@dataclass(frozen=True, kw_only=True)
class Named:
    """A slice that was confirmed; ``own`` are the samples that it was confirmed on."""

    slice: Slice
    test: Held
    own: Bools


def confirm(losses: Floats, slices: Sequence[Slice]) -> list[Named]:
    """Return the slices that are worse than the rest, the strongest first.

    Args:
        losses: Of each sample, in order, finite, [G].
        slices: What may be weak.
    """
    left = np.ones(len(losses), dtype=bool)
    named: list[Named] = []
    while len(named) < MOST:
        tests = [held(losses, one, left) for one in slices]
        places = _holm(tests)
        if not places:
            break
        best = _preferred(slices, tests, places, left)
        wider = _around(losses, slices, tests, places, best, left)
        while wider != best:  # each is larger than the one before
            best, wider = wider, _around(losses, slices, tests, places, wider, left)
        test, one = tests[best], slices[best]
        if test is None:
            break
        own = one.inside & one.pool & left
        p = min(1.0, test.p * len(slices))
        named.append(
            Named(
                slice=one,
                test=replace(test, p=p),
                own=own,
            )
        )
        left &= ~own
    return named


def held(losses: Floats, one: Slice, left: Bools) -> Held | None:
    """Hold a slice against the rest; None if either is too small to say."""
    pool = one.pool & left
    values, inside = losses[pool], one.inside[pool]
    count, others = int(inside.sum()), int((~inside).sum())
    if count < LEAST or others < LEAST:
        return None
    free = memory(levelled(values, inside))
    mean, rest = float(values[inside].mean()), float(values[~inside].mean())
    if min(count, others) / free < LEAST_FREE:
        return Held(count=count, loss=mean, elsewhere=rest, strength=0.0, p=1.0)
    prior = float(values.var())
    errors = []
    for side, size in ((inside, count), (~inside, others)):
        spread = (float(values[side].var(ddof=1)) * (size - 1) + prior) / size
        errors.append(spread * free / size)
    error = sum(errors)
    if error <= 0.0 or mean < RATIO * rest:
        return Held(count=count, loss=mean, elsewhere=rest, strength=0.0, p=1.0)
    strength = (mean - rest) / error**0.5
    degrees = error**2 / sum(
        e**2 / max(1.0, size / free - 1.0)
        for e, size in zip(errors, (count, others), strict=True)
    )
    p = max(float(stats.t.sf(strength, degrees)), one.p or 0.0)
    return Held(count=count, loss=mean, elsewhere=rest, strength=strength, p=p)


def _holm(tests: Sequence[Held | None]) -> list[int]:
    """Return the places of the tests that hold at the level, all together."""
    p = np.array([1.0 if test is None else test.p for test in tests])
    order = np.argsort(p, kind="stable")
    kept = []
    for rank, place in enumerate(order):
        if p[place] > LEVEL / (len(p) - rank):
            break
        kept.append(int(place))
    return kept


def _preferred(
    slices: Sequence[Slice],
    tests: Sequence[Held | None],
    places: Sequence[int],
    left: Bools,
) -> int:
    """Return the strongest; of two that are much the same, the one people know."""

    def strength(place: int) -> float:
        test = tests[place]
        return 0.0 if test is None else test.strength

    best = max(places, key=strength)
    if slices[best].where.by in KNOWN:
        return best
    rivals = [
        place
        for place in places
        if slices[place].where.by in KNOWN
        and strength(place) >= RIVAL * strength(best)
        and _alike(slices[place], slices[best], left) >= NEAR
    ]
    return max(rivals, key=strength, default=best)


def _around(
    losses: Floats,
    slices: Sequence[Slice],
    tests: Sequence[Held | None],
    places: Sequence[int],
    best: int,
    left: Bools,
) -> int:
    """Return the slice around the best one that is weak without it too; else the best."""
    core = slices[best].inside & slices[best].pool & left
    wider = []
    for place in places:
        one = slices[place]
        own = one.inside & one.pool & left
        if own.sum() <= core.sum() or (own & core).sum() < WITHIN * core.sum():
            continue
        rest = held(losses, one, left & ~core)
        if rest is not None and rest.p <= LEVEL / len(slices):
            wider.append(place)
    known = [place for place in wider if slices[place].where.by in KNOWN]

    def strength(place: int) -> float:
        test = tests[place]
        return 0.0 if test is None else test.strength

    return max(known or wider, key=strength, default=best)


def _alike(one: Slice, other: Slice, left: Bools) -> float:
    """Return the share of samples of either that are in both."""
    pool = left & one.pool & other.pool
    both = np.count_nonzero(one.inside & other.inside & pool)
    either = np.count_nonzero((one.inside | other.inside) & pool)
    return both / either if either else 0.0
