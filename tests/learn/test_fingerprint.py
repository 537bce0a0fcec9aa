"""Laws of fingerprints: a copy is found, a model of its own is not, and no unit hides it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.linear_model import RidgeCV
from sklearn.tree import DecisionTreeClassifier

from tundish.learn import fingerprint, fingerprinting
from tundish.learn.errors import MaterialUnfitError
from tundish.learn.fingerprint import Questions, agreement, choose, values_of
from tundish.learn.fingerprinting import Fingerprint, Owner
from tundish.learn.independents import Values
from tundish.learn.material import Windows
from tundish.learn.questions import anywhere, between

ROWS, CHANNELS = 2, 3


def plant(count: int, seed: int) -> tuple[Windows, Values]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, ROWS, CHANNELS)).astype(np.float32)
    flat = x.reshape(count, -1).astype(np.float64)
    y = flat[:, 0] + np.sin(2 * flat[:, 1]) + flat[:, 2] * flat[:, 3]
    return x, y + rng.normal(0.0, 0.3, count)


@dataclass
class Tree:
    """A forest of one's own, as a model that has a fingerprint."""

    seed: int

    def fit(self, x: Windows, y: Values) -> Tree:
        self.model = RandomForestRegressor(
            20, min_samples_leaf=2, random_state=self.seed
        )
        self.model.fit(x.reshape(len(x), -1), y)
        return self

    def answer(self, x: Windows) -> Values:
        return np.asarray(self.model.predict(x.reshape(len(x), -1)), np.float64)


@pytest.fixture(scope="module")
def owner() -> Owner:
    x, y = plant(300, 1)
    return Owner(kind="estimate", x=x, y=y, answer=Tree(0).fit(x, y).answer)


@pytest.fixture(scope="module")
def made(owner: Owner) -> Fingerprint:
    return fingerprinting.make(owner, np.random.default_rng(0))


def chance(made: Fingerprint) -> list[float]:
    return [share for _, share in made.chance]


def test_a_copy_is_found_and_independent_models_are_not(
    owner: Owner, made: Fingerprint
) -> None:
    asked = made.questions
    assert len(asked) == fingerprint.QUESTIONS
    copy = agreement(asked.hits(owner.answer(asked.windows)), chance(made))
    assert (copy.share, copy.found) == (1.0, "copy")
    assert copy.chance < 0.3
    x, y = plant(300, 2)
    for model in (GradientBoostingRegressor(random_state=5), RidgeCV()):
        model.fit(x.reshape(300, -1), y)
        said = model.predict(asked.windows.reshape(len(asked.windows), -1))
        stranger = agreement(asked.hits(said), chance(made))
        assert stranger.found == "nothing", (model, stranger.share)
        assert stranger.p_value > 0.01


def test_a_model_that_learned_from_the_answers_agrees_further_than_strangers(
    owner: Owner, made: Fingerprint
) -> None:
    questions = between(owner.x, 4000, np.random.default_rng(3))
    thief = ExtraTreesRegressor(40, random_state=1)
    thief.fit(questions.reshape(4000, -1), owner.answer(questions))
    asked = made.questions
    said = thief.predict(asked.windows.reshape(len(asked.windows), -1))
    found = agreement(asked.hits(said), chance(made))
    assert found.share > found.chance_most
    assert found.found != "nothing"


def test_no_rising_change_of_the_output_hides_a_copy(
    owner: Owner, made: Fingerprint
) -> None:
    asked = made.questions
    said = owner.answer(asked.windows)
    for hidden in (1.8 * said + 32, np.exp(said / 10), said**3):
        assert asked.hits(hidden).all()
    assert not asked.hits(-said).any()
    assert not asked.hits(np.zeros(len(said))).any(), "one answer to all is no answer"
    assert not asked.hits(np.full(len(said), np.nan)).any()


def test_questions_are_no_rows_of_the_training_data(
    owner: Owner, made: Fingerprint
) -> None:
    known = {row.tobytes() for row in owner.x}
    assert not known & {row.tobytes() for row in made.questions.windows}
    low, high = owner.x.min(axis=(0, 1)), owner.x.max(axis=(0, 1))
    assert (made.questions.windows >= low).all()
    assert (made.questions.windows <= high).all()
    drawn = anywhere(np.zeros(3), np.ones(3), 2, 50, np.random.default_rng(0))
    assert drawn.shape == (50, 2, 3)
    assert 0 <= drawn.min() < 0.1 < 0.9 < drawn.max() <= 1


def test_a_class_is_compared_as_it_is() -> None:
    x, y = plant(300, 4)
    classes = np.digitize(y, [-1.0, 0.0, 1.0]).astype(np.float64)
    flat = x.reshape(300, -1)
    tree = DecisionTreeClassifier(max_depth=6, random_state=0).fit(flat, classes)

    def answer(windows: Windows) -> Values:
        return np.asarray(tree.predict(windows.reshape(len(windows), -1)), np.float64)

    owner = Owner(kind="label", x=x, y=classes, answer=answer)
    made = fingerprinting.make(owner, np.random.default_rng(0))
    asked = made.questions
    assert asked.form == "label"
    assert asked.places.shape == (len(asked), 1)
    copy = agreement(asked.hits(answer(asked.windows)), chance(made))
    assert copy.found == "copy"
    assert copy.chance < 0.5
    several = np.eye(4)[answer(asked.windows).astype(int)]
    assert asked.hits(values_of({"p": several}, label=True)).all()


def test_where_nobody_contradicts_there_is_no_fingerprint(owner: Owner) -> None:
    windows = owner.x
    said = owner.answer(windows)
    rng = np.random.default_rng(0)
    with pytest.raises(MaterialUnfitError, match="contradict this one on 0 questions"):
        choose("order", windows, said, [said, 2 * said], rng)
    with pytest.raises(MaterialUnfitError, match="3 different windows"):
        between(windows[:3], 10, rng)


def test_no_window_carries_the_whole_fingerprint(made: Fingerprint) -> None:
    _, often = np.unique(made.questions.places, return_counts=True)
    assert often.max() <= fingerprint.SAME_WINDOW


def same(count: int, of: int = 200) -> NDArray[np.bool_]:
    return np.arange(of) < count


@given(st.integers(0, 199), st.lists(st.floats(0, 1), min_size=2, max_size=12))
def test_more_agreement_is_never_less_of_a_proof(
    count: int, others: list[float]
) -> None:
    less, more = (agreement(same(n), others) for n in (count, count + 1))
    assert 0 <= more.p_value <= less.p_value + 1e-12 <= 1 + 1e-9
    assert less.low <= less.share <= less.high


def test_the_p_value_knows_that_independent_models_differ() -> None:
    near = agreement(same(120), [0.2, 0.21, 0.19, 0.2])
    apart = agreement(same(120), [0.02, 0.5, 0.05, 0.23])
    assert near.chance == pytest.approx(apart.chance)
    assert near.p_value < 1e-6
    assert apart.p_value > 0.01


def test_strangers_like_the_measured_ones_are_rarely_called_more() -> None:
    """Drawn from the very kind of model that the p-value assumes: at most one in 200."""
    rng = np.random.default_rng(6)
    called = 0
    for _ in range(400):
        shares = rng.beta(2, 10, 13)
        counts = rng.binomial(200, shares)
        found = agreement(same(int(counts[0])), list(counts[1:] / 200))
        called += found.found != "nothing"
    assert called <= 2


def test_what_a_sibling_agrees_to_is_never_called_a_copy() -> None:
    others = [0.1, 0.12, 0.08]
    assert agreement(same(190), others).found == "copy"
    assert agreement(same(190), others, [0.5, 0.95]).found == "kin"
    assert agreement(same(191), others, [0.5, 0.95]).found == "copy"
    assert agreement(same(200), others, [1.0]).found == "kin"


def test_the_file_alone_says_what_was_asked(made: Fingerprint) -> None:
    asked = made.questions
    again = Questions(
        form=asked.form,
        windows=asked.windows.copy(),
        places=asked.places,
        answers=asked.answers,
    )
    values = np.arange(len(asked.windows), dtype=np.float64)
    assert np.array_equal(asked.replies(values), again.replies(values))
