"""The indicators that need a little model: run once, on one thread, seeded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from tundish.data.grade import balance, doubt, gain, growth, modes, poison
from tundish.data.grade.folds import folds, shuffled
from tundish.data.grade.lesson import Lesson, lesson_of
from tundish.data.grade.moved import shifted
from tundish.data.grade.relevance import of_their_own
from tundish.data.grade.sheet import Sheet
from tundish.data.grade.tally import Tally
from tundish.data.grade.trial import is_sound, tried

MODEL_BASED = ("Q18", "Q21", "Q22", "Q29")


def learned(sheets: Sequence[Sheet], task: str, *, deep: bool) -> list[Tally]:
    """Return what is said of the data for a task: its classes, units, modes and models.

    Args:
        sheets: The tables.
        task: ``regress``, ``diagnose``, ``anomaly`` or ``unsaid``.
        deep: False leaves out all that fits a model or compares tags with each other.
    """
    found = [
        modes.covered(sheets, deep=deep),
        balance.class_balance(sheets, task),
        balance.unit_diversity(sheets),
    ]
    if not deep:
        return found + _absent(("Q19", "Q20", *MODEL_BASED), "left out for speed")
    with _one_thread():
        lesson = lesson_of(sheets, task)
        found.append(of_their_own(sheets, lesson))
        found += [shifted(sheet) for sheet in sheets]
        if isinstance(lesson, str):
            return found + _absent(MODEL_BASED, lesson)
        return found + _fitted(lesson, sheets)


def _fitted(lesson: Lesson, sheets: Sequence[Sheet]) -> list[Tally]:
    splits = folds(lesson)
    if not any(map(is_sound, splits)):
        said = "no split leaves enough rows to learn from and others to judge on"
        return _absent(MODEL_BASED, said)
    trial = tried(lesson, splits)
    mixed = tried(lesson, shuffled(lesson, repeats=1))
    found = [
        gain.gain(trial),
        growth.reach(trial, splits),
        doubt.doubtful(mixed, sheets),
        poison.suspicious(lesson, sheets),
    ]
    if lesson.how == "unit" and len(np.unique(trial.fold)) > 1:
        said = balance.unit_gap(trial, mixed)
        found.append(Tally(id="Q16", bad=0, of=0, detail=said))
    return found


def _absent(ids: Sequence[str], why: str) -> list[Tally]:
    return [Tally(id=id_, bad=0, of=0, detail=why) for id_ in ids]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep the linear algebra and the trees on one thread: same bits, no quarrel."""
    import sklearn.ensemble  # noqa: F401, PLC0415  (its threads exist only once it is loaded)
    from threadpoolctl import (  # type: ignore[import-untyped]  # noqa: PLC0415
        threadpool_limits,
    )

    with threadpool_limits(limits=1):
        yield
