"""Make a fingerprint from a model and its training data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tundish.learn import independents
from tundish.learn.fingerprint import QUESTIONS, Form, Questions, choose
from tundish.learn.independents import Kind, Values
from tundish.learn.material import Floats, Windows
from tundish.learn.questions import between

CANDIDATES = 4000


@dataclass(frozen=True, kw_only=True, eq=False)
class Owner:
    """A model and what it was trained on.

    Attributes:
        kind: What it answers.
        x: Windows of its training data, [N, T, C].
        y: True values or classes, [N]; None for scores.
        answer: Windows -> numbers or classes, [N].
    """

    kind: Kind
    x: Windows
    y: Floats | None
    answer: Callable[[Windows], Values]


@dataclass(frozen=True, kw_only=True, eq=False)
class Fingerprint:
    """Questions with the owner's answers, and how often strangers give the same.

    Attributes:
        chance: Name and share of agreement of each independent model.
    """

    questions: Questions
    chance: tuple[tuple[str, float], ...]


def make(
    owner: Owner,
    rng: np.random.Generator,
    tell: Callable[[str], None] = lambda _text: None,
    count: int = QUESTIONS,
) -> Fingerprint:
    """Choose the questions and measure the chance level; the model is only asked.

    Args:
        owner: The model.
        rng: Source of randomness: windows, pairs, halves of the data.
        tell: Told what is being done.
        count: Most questions.

    Raises:
        MaterialUnfitError: if independent models do not contradict it often enough.
    """
    form: Form = "label" if owner.kind == "label" else "order"
    with threadpool_limits(limits=1):
        windows = between(owner.x, CANDIDATES, rng)
        tell("training independent models")
        against = independents.rivals(owner.kind, owner.x, owner.y, rng)
        tell("choosing the questions")
        said = [rival.answer(windows) for rival in against]
        questions = choose(form, windows, owner.answer(windows), said, rng, count)
        tell("measuring the chance level")
        others = independents.strangers(owner.kind, owner.x, owner.y, rng)
        chance = tuple(
            (item.name, float(questions.hits(item.answer(questions.windows)).mean()))
            for item in others
        )
    return Fingerprint(questions=questions, chance=chance)
