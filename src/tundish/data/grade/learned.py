"""The indicators that need a little model: run once, on one thread, seeded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tundish.data.grade import gain, growth
from tundish.data.grade.folds import folds
from tundish.data.grade.lesson import Lesson, lesson_of
from tundish.data.grade.sheet import Sheet
from tundish.data.grade.tally import Tally
from tundish.data.grade.trial import tried

MODEL_BASED = ("Q21", "Q22")


def learned(sheets: Sequence[Sheet], task: str, *, deep: bool) -> list[Tally]:
    """Return what simple models say of the data for a task.

    Args:
        sheets: The tables.
        task: ``regress``, ``diagnose``, ``anomaly`` or ``unsaid``.
        deep: False leaves out all that fits a model.
    """
    if not deep:
        return _absent("left out for speed")
    lesson = lesson_of(sheets, task)
    if isinstance(lesson, str):
        return _absent(lesson)
    with _one_thread():
        return _fitted(lesson)


def _fitted(lesson: Lesson) -> list[Tally]:
    splits = folds(lesson)
    trial = tried(lesson, splits)
    return [gain.gain(trial), growth.reach(trial, splits)]


def _absent(why: str) -> list[Tally]:
    return [Tally(id=id_, bad=0, of=0, detail=why) for id_ in MODEL_BASED]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep the linear algebra and the trees on one thread: same bits, no quarrel."""
    import sklearn.ensemble  # noqa: F401, PLC0415  (its threads exist only once it is loaded)
    from threadpoolctl import (  # type: ignore[import-untyped]  # noqa: PLC0415
        threadpool_limits,
    )

    with threadpool_limits(limits=1):
        yield
