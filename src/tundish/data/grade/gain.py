"""Q22: what a simple model gains from the data, before and after, with an interval."""

from __future__ import annotations

import numpy as np

from tundish.data.grade.folds import WORDS, clusters
from tundish.data.grade.tally import Tally
from tundish.data.grade.trial import Trial, interval, skill

NAMES = {"ridge": "ridge regression", "trees": "a small gradient boosting"}
_PAST = " and on the means of the rows up to 64 before"


def gain(trial: Trial) -> Tally:
    """Hold a simple model on held-out rows against the plain baseline.

    Before: the better of the mean (for classes their shares) and the last known value,
    held until the next fit. After: the better of two simple models, chosen on other
    held-out rows. The value is the share of the root mean square error that is gone
    (root of the Brier score for classes); its interval comes from a bootstrap over
    units or stretches.
    """
    errors, before = trial.errors, trial.before
    if not before.mean() > 0:
        return Tally(id="Q22", bad=0, of=0, detail="the held-out target does not move")
    together = clusters(trial.lesson, trial.tested)
    span = interval(errors, before, together)
    if span is None:
        return Tally(
            id="Q22", bad=0, of=0, detail="too few separate stretches or units to judge"
        )
    return Tally(
        id="Q22",
        bad=0,
        of=len(np.unique(trial.tested)),
        detail=_said(trial),
        value=skill(errors, before),
        interval=span,
    )


def _said(trial: Trial) -> str:
    lesson = trial.lesson
    used = max(set(trial.chosen), key=trial.chosen.count)
    kind, _, late = used.partition(" ")
    parts = [
        f"{NAMES[kind]} on {len(lesson.tags)} tags{_PAST if late else ''}, "
        f"judged {WORDS[lesson.how]}"
    ]
    plain = "the last value, held" if trial.before_is_last else "the mean"
    if lesson.classes:
        right = (trial.answer.argmax(axis=1) == trial.truth.argmax(axis=1)).mean()
        common = (trial.mean.argmax(axis=1) == trial.truth.argmax(axis=1)).mean()
        parts.append(
            f"before: {common:.0%} of the classes right (the commonest); after: {right:.0%}"
        )
    else:
        unit = f" {lesson.measure}" if lesson.measure else ""
        before, after = np.sqrt(trial.before.mean()), np.sqrt(trial.errors.mean())
        parts.append(
            f"root mean square error of {lesson.name} before: {before:.3g}{unit} ({plain}); "
            f"after: {after:.3g}{unit}"
        )
    return "; ".join((*parts, *lesson.said))
