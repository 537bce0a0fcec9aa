"""Which slices are really worse: tests on the judge part that noise does not pass.

Each slice is held against the rest by Welch's statistic (one-sided), and all slices at
once against chance: the samples are dealt anew a thousand times, in whole runs, and a slice is named only if it is stronger than the strongest
of all slices is in all but ``LEVEL`` of these deals (the max-T of P. Westfall, S. Young,
Resampling-Based Multiple Testing, Wiley 1993): slices that overlap cost nothing twice.
The strongest slice is taken, its samples are set aside, and the others are tested on
what is left: a slice that is weak only because it shares samples with another is not
named.

Two questions are asked so. Is the loss larger here? And is it larger than *expected*
here: more so than that of a second opinion that has seen such windows? Only the second
tells a gap from a slice that is harder for anyone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tundish.learn.chance import share_above, strongest, units, welch
from tundish.learn.gaps_report import Where
from tundish.learn.material import Floats, Indices
from tundish.learn.moments import levelled, memory
from tundish.learn.regions import KNOWN

Bools = NDArray[np.bool_]
FAMILY = 0.1
"""Chance that anything at all is named on data without a weak slice.

At 2 % half as many flipped labels were found on real sets, and no false gap less (0 of 32
either way): see ``bench.gaps``.
"""
LEVEL = FAMILY / 6
"""The same for one question: loss, loss beyond expectation (of slices that fit holds too
little of, and of all), doubtful labels, a moment."""
RATIO = 1.5
BEYOND = 1.3
LEAST = 8
LEAST_FREE = 4.0
LEAST_UNITS = 3
MOST = 8
NEAR = 0.5
SAME = 0.8
RIVAL = 0.8
WITHIN = 0.8


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A slice over the tested samples.

    Attributes:
        where: What it is.
        inside: Which of the samples, [G].
        pool: Which samples it may be held against, [G]; the same for all slices that
            have no p-value from elsewhere.
        windows: The slice over all windows of all parts, [N].
        p: A p-value from elsewhere (a moment's), which must hold too.
        short: Whether the fit part holds far less of it than the judge part; looks at no
            error, so that these may be asked first, and among themselves.
        absent: Whether it is one that people know, and the fit part holds next to
            nothing of it.
    """

    where: Where
    inside: Bools
    pool: Bools
    windows: Bools
    p: float | None = None
    short: bool = False
    absent: bool = False


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a slice looks like against the rest; ``strength`` 0: not worse by enough."""

    count: int
    loss: float
    elsewhere: float
    strength: float
    p: float


@dataclass(frozen=True, kw_only=True)
class Named:
    """A slice that was confirmed.

    Attributes:
        own: The samples that it was confirmed on.
        beyond: Whether its loss is larger than expected there, and not only than
            elsewhere; None if nothing was expected.
        of_labels: Whether doubtful labels were tested, not losses.
    """

    slice: Slice
    test: Held
    own: Bools
    beyond: bool | None = None
    of_labels: bool = False


@dataclass(frozen=True, kw_only=True)
class Question:
    """What the slices are tested for.

    Attributes:
        losses: Of each sample, in order, finite, [G].
        expected: What a second opinion loses on each, [G]; None: the loss itself is
            tested. Finite where the losses are tested.
        run: Unbroken run that each lies in, [G]; None: all in one.
        seed: Of the deals.
    """

    losses: Floats
    expected: Floats | None = None
    run: Indices | None = None
    seed: int = 0

    def excess(self, pool: Bools) -> Floats:
        """Return what is tested: losses, or what they have beyond expectation, [pool]."""
        losses = self.losses[pool]
        if self.expected is None:
            return losses
        expected = self.expected[pool]
        # a large gap itself raises the scale: more than twice is not taken away
        return np.asarray(losses - min(2.0, _scale(losses, expected)) * expected)

    def enough(self, pool: Bools, inside: Bools) -> bool:
        """Tell whether a slice is worse by so much that it is worth naming."""
        losses = self.losses[pool]
        here, there = losses[inside], losses[~inside]
        if self.expected is None:
            return float(here.mean()) >= RATIO * float(there.mean())
        expected = self.expected[pool]
        due = _scale(there, expected[~inside]) * float(expected[inside].mean())
        return float(here.mean()) >= max(BEYOND * due, float(there.mean()))


def gaps_and_hard(question: Question, slices: Sequence[Slice]) -> list[Named]:
    """Return the slices that are worse than the rest, the gaps first.

    Args:
        question: Losses, and what a second opinion loses, if there is one.
        slices: What may be weak.
    """
    left = np.ones(len(question.losses), dtype=bool)
    plain = replace(question, expected=None)
    known = left if question.expected is None else np.isfinite(question.expected)
    beyond = None if question.expected is None else True
    found: list[Named] = []

    def ask(what: Question, whom: Sequence[Slice], pool: Bools) -> list[Named]:
        new = confirm(what, whom, left & pool)
        for one in new:
            left[one.own] = False
        return new

    for whom in ([one for one in slices if one.short], slices):
        found += [replace(o, beyond=beyond) for o in ask(question, whom, known)]
    if beyond:
        found += [replace(o, beyond=False) for o in ask(plain, slices, left | ~left)]
    return found


def absent(
    question: Question, slices: Sequence[Slice], named: Sequence[Named]
) -> list[Named]:
    """Return what training saw nothing of, where no error proves it and the loss is larger.

    That a declared slice is missing from the fit part is a fact, and no inference.
    """
    found: list[Named] = []
    whole = np.ones(len(question.losses), dtype=bool)
    for one in slices:
        test = held(question, one, whole) if one.absent else None
        same = any(
            alike(one.windows, other.slice.windows) >= NEAR
            for other in (*named, *found)
        )
        if test is not None and test.loss > test.elsewhere and not same:
            own = one.inside & one.pool
            found.append(Named(slice=one, test=test, own=own, beyond=None))
    return found


def confirm(
    question: Question, slices: Sequence[Slice], left: Bools | None = None
) -> list[Named]:
    """Return the slices that are worse, the strongest first.

    Args:
        question: What they are tested for.
        slices: What may be weak.
        left: Samples that may be used, [G]; None: all.
    """
    left = np.ones(len(question.losses), bool) if left is None else left.copy()
    named: list[Named] = []
    while len(named) < MOST:
        tests = _dealt(question, slices, left)
        places = [
            place
            for place, test in enumerate(tests)
            if test is not None and test.p <= LEVEL
        ]
        if not places:
            break
        best = _preferred(slices, tests, places, left)
        wider = _around(question, slices, tests, places, best, left)
        while wider != best:  # each is larger than the one before
            best, wider = wider, _around(question, slices, tests, places, wider, left)
        test, one = tests[best], slices[best]
        if test is None:
            break
        own = one.inside & one.pool & left
        named.append(Named(slice=one, test=test, own=own))
        left &= ~own
    return named


def held(question: Question, one: Slice, left: Bools) -> Held | None:
    """Hold a slice against the rest; None if either is too small to say."""
    pool = one.pool & left
    values, inside = question.excess(pool), one.inside[pool]
    count, others = int(inside.sum()), int((~inside).sum())
    if count < LEAST or others < LEAST:
        return None
    losses = question.losses[pool]
    mean, rest = float(losses[inside].mean()), float(losses[~inside].mean())
    weak = Held(count=count, loss=mean, elsewhere=rest, strength=0.0, p=1.0)
    free = memory(levelled(values, inside))
    if min(count, others) / free < LEAST_FREE or not question.enough(pool, inside):
        return weak
    strength, errors = welch(values, inside)
    if strength <= 0.0:
        return weak
    degrees = sum(errors) ** 2 / sum(
        e**2 / max(1.0, size / free - 1.0)
        for e, size in zip(errors, (count, others), strict=True)
    )
    p = float(stats.t.sf(strength / free**0.5, degrees))
    return replace(weak, strength=strength / free**0.5, p=max(p, one.p or 0.0))


def _dealt(
    question: Question, slices: Sequence[Slice], left: Bools
) -> list[Held | None]:
    """Return each slice against the rest, with its chance among all slices at once.

    A slice with a pool of its own (a moment) is tested by itself.
    """
    tests = [held(question, one, left) for one in slices]
    if all(test is None or test.strength <= 0.0 for test in tests):
        return tests
    together = [
        place
        for place, test in enumerate(tests)
        if test is not None and slices[place].p is None
    ]
    if not together:
        return tests
    shared = slices[together[0]].pool & left
    values = question.excess(shared)
    top = max(together, key=lambda place: _strength(tests[place]))
    length = memory(levelled(values, slices[top].inside[shared]))
    run = np.zeros(len(left), dtype=np.int64) if question.run is None else question.run
    unit = units(run[shared], length)
    for place in list(together):
        if len(np.unique(unit[slices[place].inside[shared]])) < LEAST_UNITS:
            together.remove(place)
            tests[place] = _never(tests[place])
    if not together:
        return tests
    masks = np.stack([slices[place].inside[shared] for place in together])
    rng = np.random.default_rng(question.seed)
    most = strongest(values, masks, run[shared], length, rng)
    for place in together:
        test = tests[place]
        if test is None or test.strength <= 0.0:
            continue
        seen, _ = welch(values, slices[place].inside[shared])
        tests[place] = replace(test, p=share_above(most, seen))
    return tests


def _scale(losses: Floats, expected: Floats) -> float:
    """Return how a model's loss stands to the second opinion's, over some samples."""
    little = float(losses.max(initial=0.0)) / max(1, len(losses)) + 1e-12
    return (float(losses.mean()) + little) / (float(expected.mean()) + little)


def _never(test: Held | None) -> Held | None:
    """Return a test that says nothing: one run, or two, are no slice to speak of."""
    return None if test is None else replace(test, strength=0.0, p=1.0)


def _strength(test: Held | None) -> float:
    return 0.0 if test is None else test.strength


def _preferred(
    slices: Sequence[Slice],
    tests: Sequence[Held | None],
    places: Sequence[int],
    left: Bools,
) -> int:
    """Return the strongest; of two that are much the same, the one people know."""
    best = max(places, key=lambda place: _strength(tests[place]))
    if slices[best].where.by in KNOWN:
        return best
    rivals = [
        place
        for place in places
        if slices[place].where.by in KNOWN
        and alike(*_shared(slices[place], slices[best], left))
        >= (NEAR if _strength(tests[place]) >= RIVAL * _strength(tests[best]) else SAME)
    ]
    return max(rivals, key=lambda place: _strength(tests[place]), default=best)


def _around(
    question: Question,
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
        rest = held(question, one, left & ~core)
        if rest is not None and rest.p <= LEVEL / len(slices):
            wider.append(place)
    known = [place for place in wider if slices[place].where.by in KNOWN]

    return max(known or wider, key=lambda place: _strength(tests[place]), default=best)


def _shared(one: Slice, other: Slice, left: Bools) -> tuple[Bools, Bools]:
    """Return two slices over the samples that both may be held against."""
    pool = left & one.pool & other.pool
    return one.inside & pool, other.inside & pool


def alike(one: Bools, other: Bools) -> float:
    """Return the share of what is in either slice that is in both."""
    either = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / either if either else 0.0
