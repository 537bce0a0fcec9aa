"""A challenger takes over only if it is worse on no slice, on windows new to both."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests import gaps_plant as plants

from tundish.kernel import digest
from tundish.learn.champion import Comparison, Side, compare
from tundish.learn.errors import MaterialUnfitError
from tundish.learn.material import Material, Windows
from tundish.learn.recipe import Outputs, Scorer

Errors = Callable[[Material], np.ndarray]


def answering(data: Material, error: np.ndarray) -> Scorer:
    """Return a graph that is off by a given error on each window of a material."""
    told = {row.tobytes(): y for row, y in zip(data.x, data.y + error, strict=True)}

    def run(x: Windows) -> Outputs:
        value = np.array([[told[row.tobytes()]] for row in x])
        nothing = np.zeros((len(x), 1))
        return {
            "estimate": value,
            "lower": value,
            "upper": value,
            "applicability": nothing,
        }

    return run


def fight(seed: int, times: Errors, learned: np.ndarray | None = None) -> Comparison:
    """Hold a graph whose errors are so many times the champion's against it."""
    data, contract = plants.regress(seed, 2000)
    rng = np.random.default_rng(seed)
    old = rng.normal(size=len(data))
    new = times(data) * rng.normal(size=len(data))
    fit = data.part == "fit"
    sides = tuple(
        Side(run=answering(data, error), graph=digest.of_bytes(name), learned=seen)
        for error, name, seen in (
            (old, b"old", data.take(fit)),
            (new, b"new", data.take(fit if learned is None else fit | learned)),
        )
    )
    return compare(data, contract, (sides[0], sides[1]), seed=seed)


def better(data: Material) -> np.ndarray:
    return np.full(len(data), 0.6)


def worse_on_m3(data: Material) -> np.ndarray:
    return np.where(data.source == "m3", 1.1, 0.4)


def test_a_better_model_takes_over_and_one_that_is_worse_somewhere_does_not() -> None:
    assert all(fight(seed, better).replace for seed in range(10))
    # truly 10 % of the whole worse on m3: taken over by mistake in at most 5 % of turns
    turns = [fight(seed, worse_on_m3) for seed in range(40)]
    assert all(turn.slices[0].change < 0 for turn in turns)  # better on the whole
    assert sum(turn.replace for turn in turns) <= 5  # 6 of 40 has a chance of 1 %
    assert all("source m3" in turn.why for turn in turns if not turn.replace)


def test_no_step_backwards_is_taken_on_the_whole() -> None:
    found = fight(0, lambda data: np.full(len(data), 1.0))
    whole = found.slices[0]
    assert found.replace == (whole.change <= 0 and all(d.holds for d in found.slices))
    assert not fight(1, lambda data: np.full(len(data), 1.3)).replace


def test_a_model_that_loses_the_same_on_every_sample_takes_nobodys_place() -> None:
    data, contract = plants.regress(0, 2000)
    run = answering(data, np.random.default_rng(0).normal(size=len(data)))
    fit = data.take(data.part == "fit")
    side = Side(run=run, graph=digest.of_bytes(b"old"), learned=fit)
    found = compare(data, contract, (side, side))
    assert not found.replace
    assert "no gain" in found.why


def test_windows_that_one_of_the_two_was_trained_on_are_left_out() -> None:
    half = np.arange(2000) >= 1700
    found = fight(0, better, half)
    assert found.skipped == 300
    assert found.judged == 300
    with pytest.raises(MaterialUnfitError, match="new to both"):
        fight(0, better, np.arange(2000) >= 1410)
