"""A fingerprint: questions that a model answers otherwise than all others do.

The model stays untouched. Among many windows near the training data those are chosen on
which independent models contradict the owner's; a copy gives the owner's answers, a
model of its own does not. Source of the idea: conferrable and boundary examples (Cao,
Jia and Gong, "IPGuard", ASIA CCS 2021; Lukas, Zhang and Kerschbaum, "Deep Neural
Network Fingerprinting by Conferrable Adversarial Examples", ICLR 2021).

A class is compared as it is. A number is not: a thief can change unit and offset. So a
question about numbers is a *pair* of windows, and the answer is which of the two has
the larger number: no strictly rising change of the output moves it.

The chance level is measured on models that the choice never saw. Their agreement varies
from one to the other, so the p-value is that of a beta-binomial with their mean (raised
by two standard errors) and their spread, not that of a coin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, betabinom

from tundish.kernel.records import Record
from tundish.learn.errors import MaterialUnfitError
from tundish.learn.independents import Values
from tundish.learn.material import Indices, Windows
from tundish.learn.recipe import Outputs

QUESTIONS = 200
LEAST = 20
PAIRS = 200_000
SAME_WINDOW = 6
NO_ANSWER = -1
PLAIN, NEAR = 1e-3, 0.9
CONFIDENCE = 0.95

Form = Literal["order", "label"]
Found = Literal["copy", "kin", "nothing"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Questions:
    """Windows, which of them each question names, and the owner's answers.

    Attributes:
        form: ``order``: which of two windows has the larger number; ``label``: the
            class of one window.
        windows: float32 [M, T, C].
        places: Windows of each question, int64 [n, 2] or [n, 1].
        answers: int64 [n]: 1 or -1 for an order, else a class.
    """

    form: Form
    windows: Windows
    places: Indices
    answers: Indices

    def __len__(self) -> int:
        """Return the number of questions."""
        return len(self.places)

    def replies(self, values: Values) -> Indices:
        """Return the answers that lie in numbers or classes of the windows, [n]."""
        return _replies(self.form, self.places, values)

    def hits(self, values: Values) -> NDArray[np.bool_]:
        """Return which questions are answered as the owner's model answers, [n]."""
        return np.asarray(self.replies(values) == self.answers)


class Agreement(Record):
    """How far a model answers as the owner's does.

    Attributes:
        questions, same: Asked, and answered alike.
        share: Of the questions; ``low`` and ``high``: its 95 % interval (Clopper and
            Pearson, as if the questions were independent).
        chance, chance_most: Share of independent models: mean, and the largest.
        strangers: How many independent models that was measured on.
        sibling: Largest share of models that the owner's own recipe made of half of the
            data; None: not measured. Somebody else's model of that recipe may agree so far.
        p_value: Chance that an independent model of another kind agrees so far or more.
        found: ``copy``: p below 0.001, nine in ten alike, and nearer than any sibling;
            ``kin``: p below 0.001; ``nothing``: no more than independent models may.
    """

    questions: int
    same: int
    share: float
    low: float
    high: float
    chance: float
    chance_most: float
    strangers: int
    sibling: float | None
    p_value: float
    found: Found


def choose(
    form: Form,
    windows: Windows,
    owner: Values,
    rivals: Sequence[Values],
    rng: np.random.Generator,
    count: int = QUESTIONS,
) -> Questions:
    """Choose the questions on which the rivals contradict the owner.

    The share of rivals that say otherwise counts first, then how clear the owner's own
    answer is: a copy with coarser numbers must still give it. No window stands in more
    than six questions.

    Args:
        form: What is compared.
        windows: Candidates, float32 [N, T, C].
        owner: The owner's answer to each, [N].
        rivals: The answers of each rival, [N] each.
        rng: Draws the pairs that are looked at.
        count: Most questions.

    Raises:
        MaterialUnfitError: if the rivals contradict the owner on fewer than 20.
    """
    places = _candidates(form, len(windows), rng)
    answers = _replies(form, places, owner)
    against = np.mean(
        [_replies(form, places, values) != answers for values in rivals], axis=0
    )
    worth = against + _clearness(form, places, owner)
    worth[(answers == 0) & (form == "order")] = -1.0
    kept = _spread_out(places, worth, against, count)
    if len(kept) < LEAST:
        msg = f"Independent models contradict this one on {len(kept)} questions only; at least {LEAST} are needed."
        raise MaterialUnfitError(msg)
    used, place = np.unique(places[kept], return_inverse=True)
    return Questions(
        form=form,
        windows=windows[used],
        places=place.reshape(len(kept), -1).astype(np.int64),
        answers=answers[kept],
    )


def agreement(
    hits: NDArray[np.bool_],
    chance: Sequence[float],
    siblings: Sequence[float] = (),
) -> Agreement:
    """Say how far a model agrees, beside independent ones.

    Args:
        hits: Which questions it answered as the owner's model, [n].
        chance: Share of agreement of each independent model.
        siblings: Share of each model of the same recipe on half of the data.
    """
    asked, same = len(hits), int(hits.sum())
    p_value = _p_value(asked, same, np.asarray(chance, np.float64))
    tail = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, same, asked - same + 1)) if same else 0.0
    high = float(beta.ppf(1 - tail, same + 1, asked - same)) if same < asked else 1.0
    plain = p_value < PLAIN
    near = same >= NEAR * asked and all(same > share * asked for share in siblings)
    return Agreement(
        questions=asked,
        same=same,
        share=same / asked,
        low=low,
        high=high,
        chance=float(np.mean(chance)),
        chance_most=float(np.max(chance)),
        strangers=len(chance),
        sibling=max(siblings, default=None),
        p_value=p_value,
        found=("copy" if near else "kin") if plain else "nothing",
    )


def values_of(
    outputs: Outputs, output: str | None = None, *, label: bool = False
) -> Values:
    """Return the numbers or classes of one output, [N].

    Args:
        outputs: What a model answered, by name.
        output: Which of them; None: the first.
        label: Whether classes are wanted: the place of the largest of several columns,
            or the number of a single column, as it is.
    """
    found = outputs[output] if output else next(iter(outputs.values()))
    table = np.asarray(found, np.float64).reshape(len(found), -1)
    if label and table.shape[1] > 1:
        return np.asarray(table.argmax(axis=1), np.float64)
    return np.asarray(table[:, 0])


def _p_value(asked: int, same: int, chance: NDArray[np.float64]) -> float:
    spread = float(chance.std(ddof=1))
    raised = float(chance.mean()) + 2 * spread / np.sqrt(len(chance))
    mean = min(max(raised, 1 / (asked + 2)), 1 - 1 / (asked + 2))
    shared = min(max(spread**2 / (mean * (1 - mean)), 1 / asked), 0.99)
    size = 1 / shared - 1
    return float(betabinom.sf(same - 1, asked, mean * size, (1 - mean) * size))


def _candidates(form: Form, windows: int, rng: np.random.Generator) -> Indices:
    if form == "label":
        return np.arange(windows)[:, None]
    pairs = rng.integers(windows, size=(PAIRS, 2))
    return np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)


def _replies(form: Form, places: Indices, values: Values) -> Indices:
    if form == "label":
        said = values[places[:, 0]]
        return np.where(np.isfinite(said), said, NO_ANSWER).astype(np.int64)
    first, second = values[places[:, 0]], values[places[:, 1]]
    with np.errstate(invalid="ignore"):  # infinities on both sides are no answer
        return np.nan_to_num(np.sign(first - second)).astype(np.int64)


def _clearness(form: Form, places: Indices, owner: Values) -> Values:
    """Return a number below a rival's vote that rises with the owner's own margin."""
    if form == "label":
        return np.zeros(len(places))
    apart = np.abs(owner[places[:, 0]] - owner[places[:, 1]])
    return np.asarray(0.999 * np.argsort(np.argsort(apart)) / len(apart) / 10)


def _spread_out(places: Indices, worth: Values, against: Values, count: int) -> Indices:
    left = np.full(places.max() + 1, SAME_WINDOW)
    kept: list[int] = []
    for at in np.argsort(-worth, kind="stable"):
        if len(kept) == count or against[at] <= 0.5:
            break
        if (left[places[at]] > 0).all():
            left[places[at]] -= 1
            kept.append(int(at))
    return np.asarray(kept, np.int64)
