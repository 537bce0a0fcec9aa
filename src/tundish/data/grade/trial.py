"""Fit and judge the simple models on held-out rows, against the plain baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tundish.data.grade import pupils
from tundish.data.grade.folds import Fold
from tundish.data.grade.lesson import Lesson
from tundish.data.grade.sheet import Floats, Ints

DRAWS = 1_000
CONFIDENCE = 0.9
SEED = 11
LATE = "with the past"
RIDGE, TREES = "ridge", "trees"
_MIN_CLUSTERS = 4


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Answers for held-out rows.

    Attributes:
        tested: Places in the lesson, shape [t]; a row stands as often as it was held out.
        fold: The fold of each, shape [t].
        answers: Name of the model -> answers, shape [t, k].
        chosen: For each fold the model that was better on the other folds.
        mean, last: Answers of the two plain baselines, shape [t, k].
    """

    lesson: Lesson
    tested: Ints
    fold: Ints
    answers: dict[str, Floats]
    chosen: tuple[str, ...]
    mean: Floats
    last: Floats

    @property
    def truth(self) -> Floats:
        """Targets of the held-out rows, shape [t, k]."""
        return self.lesson.y[self.tested]

    @property
    def answer(self) -> Floats:
        """Answers of the model chosen in each fold, shape [t, k]."""
        out = np.empty_like(self.truth)
        for number, name in enumerate(self.chosen):
            rows = self.fold == number
            out[rows] = self.answers[name][rows]
        return out

    @property
    def errors(self) -> Floats:
        """Squared error of the chosen model for each held-out row, shape [t]."""
        return squared(self.answer, self.truth)

    @property
    def before(self) -> Floats:
        """Squared error of the better of the two baselines, shape [t]."""
        both = [squared(plain, self.truth) for plain in (self.mean, self.last)]
        return min(both, key=lambda errors: float(errors.mean()))

    @property
    def before_is_last(self) -> bool:
        """True if holding the last known value was the better baseline."""
        last = squared(self.last, self.truth).mean()
        return bool(last < squared(self.mean, self.truth).mean())


def tried(lesson: Lesson, splits: Sequence[Fold]) -> Trial:
    """Fit on each fold and answer for its held-out rows.

    For each fold the model is taken that did better on the *other* folds (in time: on
    the earlier ones), so that no held-out row has a say in its own judgement.
    """
    names = candidates(lesson)
    sound = [s for s in splits if is_sound(s)]
    found: dict[str, list[Floats]] = {name: [] for name in names}
    for split in sound:
        for name in names:
            found[name].append(answered(name, lesson, split.train, split.test))
    counts = [len(s.test) for s in sound]
    tested = np.concatenate([s.test for s in sound])
    answers = {name: np.concatenate(found[name]) for name in names}
    fold = np.repeat(np.arange(len(sound)), counts)
    plain = [(lesson.y[s.train], len(s.test)) for s in sound]
    return Trial(
        lesson=lesson,
        tested=tested,
        fold=fold,
        answers=answers,
        chosen=_better(lesson, tested, fold, answers),
        mean=np.concatenate([pupils.mean(y, n) for y, n in plain]),
        last=np.concatenate([pupils.last(y, n) for y, n in plain]),
    )


def is_sound(fold: Fold) -> bool:
    """Tell whether a fold has rows to learn from, and rows to judge on."""
    return len(fold.train) >= 4 and len(fold.test) > 0


def candidates(lesson: Lesson) -> list[str]:
    """Return the models that are tried: with and without what was just before."""
    names = [RIDGE] + ([TREES] if len(lesson) >= pupils.TREES_FROM else [])
    return names + ([f"{name} {LATE}" for name in names] if lesson.past.size else [])


def answered(name: str, lesson: Lesson, train: Ints, test: Ints) -> Floats:
    """Fit the named model on some rows and answer for others, shape [t, k]."""
    kind, _, late = name.partition(" ")
    x = np.column_stack([lesson.x, lesson.past]) if late else lesson.x
    pupil = pupils.trees if kind == TREES else pupils.ridge
    return pupil(x[train], lesson.y[train], x[test])


def _better(
    lesson: Lesson, tested: Ints, fold: Ints, answers: dict[str, Floats]
) -> tuple[str, ...]:
    names = list(answers)
    errors = np.array([squared(answers[n], lesson.y[tested]) for n in names])
    chosen = []
    for number in range(int(fold.max()) + 1):
        others = fold < number if lesson.how == "time" else fold != number
        if not others.any():
            chosen.append(names[0])
            continue
        chosen.append(names[int(np.argmin(errors[:, others].mean(axis=1)))])
    return tuple(chosen)


def squared(answer: Floats, truth: Floats) -> Floats:
    """Return the squared error of each row, summed over classes, shape [t]."""
    return np.asarray(((answer - truth) ** 2).sum(axis=1))


def skill(errors: Floats, before: Floats) -> float:
    """Return ``1 - sqrt(errors / before)``: the share of the root error that is gone."""
    base = float(before.mean())
    return 1.0 - float(np.sqrt(errors.mean() / base)) if base > 0 else 0.0


def interval(
    errors: Floats, before: Floats, together: Ints
) -> tuple[float, float] | None:
    """Return the 90 % interval of the skill by a bootstrap over clusters of rows.

    Few clusters make a bootstrap too sure: it is widened by Student's factor.

    Args:
        errors: Squared errors of the model, shape [t].
        before: Squared errors of the baseline, shape [t].
        together: Cluster of each row, shape [t].
    """
    _, which = np.unique(together, return_inverse=True)
    count = int(which.max()) + 1
    if count < _MIN_CLUSTERS:
        return None
    with_, without = np.bincount(which, errors), np.bincount(which, before)
    weights = np.random.default_rng(SEED).multinomial(
        count, np.full(count, 1 / count), size=DRAWS
    )
    below = weights @ without
    drawn = 1 - np.sqrt((weights @ with_) / np.where(below > 0, below, 1.0))
    low, high = np.quantile(drawn, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    middle, wider = skill(errors, before), _wider(count)
    return (
        float(middle - wider * max(0.0, middle - low)),
        float(min(1.0, middle + wider * max(0.0, high - middle))),
    )


def _wider(count: int) -> float:
    from scipy import stats  # noqa: PLC0415  (heavy)

    tail = (1 + CONFIDENCE) / 2
    ratio = stats.t.ppf(tail, count - 1) / stats.norm.ppf(tail)
    return float(ratio * np.sqrt(count / (count - 1)))
