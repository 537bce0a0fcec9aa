"""Laws of the report on copies: measured on the graph, ordered, frank."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tundish.catalog.scenario import Scenario
from tundish.learn import copying
from tundish.learn.copying import Asked, measure
from tundish.learn.copying_report import CopyingReport
from tundish.learn.errors import MaterialUnfitError
from tundish.learn.material import Material, Windows
from tundish.learn.recipe import Outputs, Scorer


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "SIZES", (60, 600))


def linear(window: Windows) -> Outputs:
    """Answer as a linear soft sensor does: the second derivative at one band."""
    x = window[:, 0, :].astype(np.float64)
    return {"estimate": (30 * (2 * x[:, 54] - x[:, 40] - x[:, 68]))[:, None]}


def noise(window: Windows) -> Outputs:
    """Answer by a scrambled sum that nobody learns from a few thousand answers."""
    total = np.round(window.astype(np.float64).sum(axis=(1, 2)) * 1e3)
    return {"estimate": (total * 7919 % 61)[:, None]}


def report(
    scorer: Scorer, material: Material, scenario: Scenario, seed: int = 0
) -> CopyingReport:
    asked = Asked(
        scorer=scorer, digest="sha256:x", material=material, scenario=scenario
    )
    return measure(asked, np.random.default_rng(seed))


def test_a_linear_model_is_copied_at_once_and_noise_is_not(
    sugar: Scenario, sugar_material: Material
) -> None:
    open_book = report(linear, sugar_material, sugar)
    closed = report(noise, sugar_material, sugar)
    assert open_book.at(600).agrees > 0.95
    assert open_book.at(600).by == "linear"
    assert closed.at(600).agrees < 0.4
    assert open_book.answers_per_day == 1440
    assert open_book.day.answers == 600, "no more than the largest size is asked"


def test_every_trial_is_there_and_more_answers_help(
    sugar: Scenario, sugar_material: Material
) -> None:
    found = report(linear, sugar_material, sugar)
    kinds = {(t.questions, t.answers, t.rounded) for t in found.trials}
    assert len(kinds) == len(found.trials) == 8
    assert found.at(600).agrees >= found.at(60).agrees > found.constant
    assert found.step == found.tolerance == 2.0


def test_a_detector_is_copied_on_both_sides_of_its_limit(
    flow: Scenario, flow_material: Material
) -> None:
    def score(window: Windows) -> Outputs:
        apart = np.abs(window[:, -1, 0] - window[:, -1, 1]).astype(np.float64)
        return {"score": (apart / 3.0)[:, None]}

    found = report(score, flow_material, flow)
    assert found.tolerance is None
    assert found.constant == 0.5, "a copy that never alarms is right on one side"
    assert found.at(600).agrees > found.constant
    assert "alarm limit" in found.measure


def test_what_judges_was_never_asked(sugar: Scenario, sugar_material: Material) -> None:
    seen: list[Windows] = []

    def watched(window: Windows) -> Outputs:
        seen.append(window)
        return linear(window)

    found = report(watched, sugar_material, sugar)
    assert found.judged == len(seen[0]) == 24
    judged = {row.tobytes() for row in seen[0]}
    asked = {row.tobytes() for windows in seen[1:] for row in windows}
    assert not judged & asked
    assert len(asked) > 600


def test_the_sentence_names_what_was_measured(
    sugar: Scenario, sugar_material: Material
) -> None:
    found = report(linear, sugar_material, sugar)
    assert "at least" in found.said(599)
    assert "measured with 60 answers" in found.said(599)
    assert "at most" in found.said(5)
    assert "measured with 600 answers" in found.said(600)
    assert f"{found.constant:.0%} without any" in found.said(600)


def test_a_judge_part_too_small_to_hold_copies_against_is_refused(
    sugar: Scenario, sugar_material: Material
) -> None:
    few = sugar_material.part.copy()
    few[np.flatnonzero(few == "judge")[5:]] = "fit"
    with pytest.raises(MaterialUnfitError, match="5 windows"):
        report(linear, replace(sugar_material, part=few), sugar)


def test_a_class_is_copied_as_a_class(
    sugar: Scenario, sugar_material: Material
) -> None:
    """A diagnosis has no tolerance and nothing to round."""

    def sorts(window: Windows) -> Outputs:
        rich = linear(window)["estimate"] > 12
        return {"probability": np.hstack([~rich, rich]).astype(np.float64)}

    diagnose = sugar.model_copy(update={"task": "diagnose"})
    found = report(sorts, sugar_material, diagnose)
    assert found.measure == "the same class"
    assert found.tolerance is None
    assert not any(trial.rounded for trial in found.trials)
    assert found.at(600).agrees > 0.85 > found.constant
