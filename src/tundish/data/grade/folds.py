"""Which rows are held out: later ones, other units, other stretches; never neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tundish.data.grade.lesson import Lesson
from tundish.data.grade.sheet import Bools, Floats, Ints

BLOCKS = 8
FIRST_TESTED = 3
FOLDS = 5
PURGED = 0.01
SEED = 20_240_601
_REPEATS = ((500, 4), (3_000, 2))
_STRETCHES = 24

WORDS = {
    "unit": "on machines or batches that the model never saw",
    "time": "on rows later than all it was fitted on",
    "order": "on stretches of the file left out (neighbouring rows are alike)",
    "row": "on rows left out at random (rows have neither time nor unit)",
}


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Rows that are fitted, and rows that are held out; places in the lesson."""

    train: Ints
    test: Ints


def folds(lesson: Lesson) -> list[Fold]:
    """Split a lesson as its rows hang together; see ``Lesson.how``.

    Rows in time: the last five of eight blocks, each after fitting on all before it. In
    time or order one row in a hundred beside a held-out stretch is left out of the fit.
    Classes in time or order: each class's rows are cut into five stretches. Rows with
    the same inputs never stand on both sides.
    """
    if lesson.how == "unit":
        return _by_part(lesson, lesson.unit * FOLDS // (int(lesson.unit.max()) + 1))
    if lesson.how == "row":
        return shuffled(lesson)
    if lesson.classes:
        return _by_part(lesson, _class_stretches(lesson))
    if lesson.how == "order":
        return _by_part(lesson, np.arange(len(lesson)) * FOLDS // len(lesson))
    block = np.arange(len(lesson)) * BLOCKS // len(lesson)
    found = []
    for number in range(FIRST_TESTED, BLOCKS):
        test = np.flatnonzero(block == number)
        last = int(test[0]) - _gap(lesson)
        found.append(_fold(lesson, np.arange(max(0, last)), test))
    return found


def shuffled(lesson: Lesson, repeats: int | None = None) -> list[Fold]:
    """Return repeated random five-fold splits; twins together, classes in proportion."""
    if repeats is None:
        repeats = next((r for most, r in _REPEATS if len(lesson) <= most), 1)
    rng = np.random.default_rng(SEED)
    found = []
    for _ in range(repeats):
        order = rng.permutation(len(lesson))
        if lesson.classes:
            order = order[np.argsort(lesson.given[order], kind="stable")]
        twins, first = np.unique(lesson.twin[order], return_index=True)
        part = np.empty(int(twins.max()) + 1, dtype=np.int64)
        part[twins[np.argsort(first, kind="stable")]] = np.arange(len(twins)) % FOLDS
        found += _by_part(lesson, part[lesson.twin], purged=False)
    return found


def clusters(lesson: Lesson, tested: Ints) -> Ints:
    """Return which tested rows stand or fall together, for a block bootstrap, [t]."""
    if lesson.how == "unit":
        return lesson.unit[tested]
    if lesson.how == "row":
        return lesson.twin[tested]
    length = max(2 * decorrelation(lesson), len(tested) // _STRETCHES, 1)
    place = np.argsort(np.argsort(tested, kind="stable"), kind="stable")
    return np.asarray(place // length)


def decorrelation(lesson: Lesson) -> int:
    """Return after how many rows the target is no longer alike (rank correlation 0.2)."""
    values = lesson.y[:, 0] if not lesson.classes else lesson.given.astype(float)
    return remembered(values)


def remembered(values: Floats) -> int:
    """Return the first lag at which the rank autocorrelation is below 0.2, at least 1."""
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(float)
    ranks -= ranks.mean()
    if len(ranks) < 4:
        return 1
    size = 1 << (2 * len(ranks) - 1).bit_length()
    power = np.abs(np.fft.rfft(ranks, size)) ** 2
    correlation = np.fft.irfft(power, size)[: len(ranks) // 2]
    below = np.flatnonzero(correlation < 0.2 * correlation[0])
    return max(1, int(below[0]) if len(below) else len(ranks) // 2)


def _gap(lesson: Lesson) -> int:
    return max(1, round(PURGED * len(lesson)))


def _class_stretches(lesson: Lesson) -> Ints:
    part = np.zeros(len(lesson), dtype=np.int64)
    for number in range(len(lesson.classes)):
        rows = np.flatnonzero(lesson.given == number)
        part[rows] = np.arange(len(rows)) * FOLDS // len(rows)
    return part


def _by_part(lesson: Lesson, part: Ints, *, purged: bool = True) -> list[Fold]:
    found = []
    for number in np.unique(part):
        test = np.flatnonzero(part == number)
        near: Bools = part == number
        if purged and lesson.how in {"time", "order"}:
            reach = np.ones(2 * _gap(lesson) + 1)
            near = (
                np.convolve(near.astype(float), reach, mode="same")[: len(part)] > 0.5
            )
        found.append(_fold(lesson, np.flatnonzero(~near), test))
    return found


def _fold(lesson: Lesson, train: Ints, test: Ints) -> Fold:
    if lesson.how == "time":  # a plant that stands still repeats itself, and may
        return Fold(train=train, test=test)
    apart = ~np.isin(lesson.twin[train], lesson.twin[test])
    return Fold(train=train[apart], test=test)
