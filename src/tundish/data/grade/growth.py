"""Q21: would more data of the same kind help? A learning curve, and how far it reaches.

The curve ``error = a + b * size ** -c`` (the inverse power law of Cortes et al. 1993 and
Mukherjee et al. 2003) is fitted to the mean square error on the same held-out rows
after fitting on parts of the training units or stretches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tundish.data.grade import pupils
from tundish.data.grade.folds import Fold, decorrelation
from tundish.data.grade.lesson import Lesson
from tundish.data.grade.sheet import Floats, Ints
from tundish.data.grade.tally import Tally
from tundish.data.grade.trial import Trial, answered, interval, skill, squared

SHARES = (0.125, 0.25, 0.5, 1.0)
DRAWS = 2
MOST_FOLDS = 3
MIN_BLOCKS = 8
MOST_BLOCKS = 64
SEED = 17
FLAT = 0.03
_BOOTSTRAP = 200
_POWERS = np.arange(0.1, 2.05, 0.1)
_SURE = 1.645


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Errors at growing sizes.

    Attributes:
        sizes: Labelled rows that were fitted on average, shape [s].
        errors: Mean square error, shape [r, s]: one row for each fold and draw.
        before: Mean square error of the baseline, shape [r].
    """

    sizes: Floats
    errors: Floats
    before: Floats


def reach(trial: Trial, splits: list[Fold]) -> Tally:
    """Extrapolate the skill to twice and four times the data.

    The value is the skill at hand over the skill that is expected of four times the
    data. There is none if the model gains nothing, if there are too few units or
    stretches to thin out, or if the curve falls less than its own noise.
    """
    lesson = trial.lesson
    span = interval(trial.errors, trial.before, trial.fold)
    if span is None or skill(trial.errors, trial.before) <= 0.05:
        return _refused("the simple model gains too little for a curve")
    blocks = _blocks(lesson)
    if len(np.unique(blocks)) < MIN_BLOCKS:
        return _refused(
            f"fewer than {MIN_BLOCKS} separate units or stretches of labelled rows"
        )
    curve = _measured(trial, splits, blocks)
    return _judged(curve, lesson)


def _judged(curve: Curve, lesson: Lesson) -> Tally:
    error, base = curve.errors.mean(axis=0), float(curve.before.mean())
    falls = 1 - np.sqrt(error[-1] / error[-2])
    gains = curve.errors[:, -2] - curve.errors[:, -1]
    noise = float(gains.std(ddof=1) / np.sqrt(len(gains)))
    whole = curve.errors[:, 0] - curve.errors[:, -1]
    spread = float(whole.std(ddof=1) / np.sqrt(len(whole)))
    now = 1 - float(np.sqrt(error[-1] / base))
    if not now > 0:
        return _refused("the simple model gains too little for a curve")
    flat = abs(falls) < FLAT and _SURE * noise < 2 * FLAT * error[-1]
    if not flat and (whole.mean() < _SURE * spread or gains.mean() < noise):
        return _refused(
            "the learning curve is noise: with half of the data the error is "
            f"{np.sqrt(error[-2] / error[-1]) - 1:+.0%}, which this set cannot tell from chance"
        )
    drawn = _drawn(curve)
    low, high = np.quantile(drawn, (0.05, 0.95), axis=0)
    later = _fitted(curve.sizes, error, np.array([2.0, 4.0]) * curve.sizes[-1])
    skills = np.maximum(1 - np.sqrt(np.maximum(later, 0) / base), now)
    bounds = np.maximum(1 - np.sqrt(np.maximum((low, high), 0) / base), now)
    value = now / float(skills[1])
    return Tally(
        id="Q21",
        bad=0,
        of=len(lesson),
        detail=_said(curve, skills, (float(bounds[1, 0]), float(bounds[0, 0]))),
        value=value,
        interval=(now / float(bounds[0, 1]), now / float(bounds[1, 1])),
    )


def _said(curve: Curve, skills: Floats, twice: tuple[float, float]) -> str:
    error = np.sqrt(curve.errors.mean(axis=0) / curve.before.mean())
    steps = ", ".join(
        f"{size:,.0f}: {1 - e:.2f}" for size, e in zip(curve.sizes, error, strict=True)
    )
    return (
        f"skill by labelled rows fitted: {steps}; expected of twice the data: "
        f"{skills[0]:.2f} ({twice[0]:.2f} to {twice[1]:.2f}), of four times: {skills[1]:.2f}"
    )


def _refused(why: str) -> Tally:
    return Tally(id="Q21", bad=0, of=0, detail=f"not extrapolated: {why}")


def _blocks(lesson: Lesson) -> Ints:
    """Return the unit or stretch of each row: what is collected as one."""
    if lesson.how == "unit":
        return lesson.unit
    if lesson.how == "row":
        return lesson.twin
    length = max(decorrelation(lesson), len(lesson) // MOST_BLOCKS, 1)
    return np.arange(len(lesson)) // length


def _measured(trial: Trial, splits: list[Fold], blocks: Ints) -> Curve:
    lesson = trial.lesson
    used = max(set(trial.chosen), key=trial.chosen.count)
    rng = np.random.default_rng(SEED)
    errors, before, sizes = [], [], []
    for split in splits[-MOST_FOLDS:]:
        truth = lesson.y[split.test]
        full = _error(used, lesson, split.train, split.test)
        plain = pupils.mean(lesson.y[split.train], len(split.test))
        for _ in range(DRAWS):
            order = rng.permutation(np.unique(blocks[split.train]))
            parts = [
                split.train[
                    np.isin(blocks[split.train], order[: _count(share, len(order))])
                ]
                for share in SHARES[:-1]
            ]
            errors.append(
                [*(_error(used, lesson, part, split.test) for part in parts), full]
            )
            sizes.append([*(len(part) for part in parts), len(split.train)])
            before.append(float(squared(plain, truth).mean()))
    return Curve(
        sizes=np.mean(np.array(sizes, dtype=float), axis=0),
        errors=np.array(errors),
        before=np.array(before),
    )


def _count(share: float, blocks: int) -> int:
    return max(1, round(share * blocks))


def _error(used: str, lesson: Lesson, train: Ints, test: Ints) -> float:
    if len(train) < 4:
        answer = pupils.mean(lesson.y[train], len(test))
    else:
        answer = answered(used, lesson, train, test)
    return float(squared(answer, lesson.y[test]).mean())


def _drawn(curve: Curve) -> Floats:
    """Return the expected errors at twice and four times for redrawn curves, [b, 2]."""
    rng = np.random.default_rng(SEED)
    asked = np.array([2.0, 4.0]) * curve.sizes[-1]
    count = len(curve.errors)
    picks = rng.integers(0, count, size=(_BOOTSTRAP, count))
    return np.array(
        [_fitted(curve.sizes, curve.errors[pick].mean(axis=0), asked) for pick in picks]
    )


def _fitted(sizes: Floats, errors: Floats, asked: Floats) -> Floats:
    """Fit the power law, neither part below zero, and return the errors asked for.

    The newest point is met exactly: an extrapolation starts where the data stands.
    """
    best: tuple[float, Floats] = (np.inf, np.full(len(asked), errors[-1]))
    for power in _POWERS:
        shape = (sizes / sizes[-1]) ** -power - 1.0  # zero at the newest point
        steep = float(shape @ (errors - errors[-1]) / (shape @ shape))
        steep = min(max(steep, 0.0), float(errors[-1]))
        loss = float(((errors - errors[-1] - steep * shape) ** 2).sum())
        if loss < best[0]:
            ahead = (asked / sizes[-1]) ** -power - 1.0
            best = (loss, errors[-1] + steep * ahead)
    return best[1]
