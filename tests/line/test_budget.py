"""Laws of the query budget: counted, limited, kept over restarts; rounding outwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.kernel.digest import of_bytes
from tundish.line.budget import BINS, DAY_US, Budget, BudgetSpec
from tundish.line.estimates import Estimate
from tundish.line.pipeline import Pipeline

STEP_US = 10_000_000
DIGEST = of_bytes(b"x")


def budget(channels: int = 1, **spec: Any) -> Budget:
    low, high = np.zeros(channels), np.full(channels, 100.0)
    return Budget(BudgetSpec(**spec), low, high, int(1.5 * STEP_US))


def ask(limits: Budget, values: np.ndarray[Any, Any], start_us: int = 0) -> list[str]:
    rows = np.asarray(values, np.float32).reshape(len(values), -1)
    return limits.take([start_us + n * STEP_US for n in range(len(rows))], rows)


def test_a_day_has_its_budget_and_the_next_one_anew() -> None:
    limits = budget(per_day=3)
    said = ask(limits, np.zeros(5))
    assert [bool(reason) for reason in said] == [False] * 3 + [True] * 2
    assert "budget of 3 answers" in said[-1]
    assert ask(limits, np.zeros(2), DAY_US) == ["", ""]
    report = limits.report()
    assert (report.asked, report.refused, report.most_per_day) == (5, 2, 3)


def test_a_day_that_has_passed_gives_no_budget_again() -> None:
    limits = budget(per_day=3)
    ask(limits, np.zeros(3), 2 * DAY_US)
    assert all(ask(limits, np.zeros(2), DAY_US))


def test_a_plant_and_a_thief_look_different() -> None:
    rng = np.random.default_rng(1)
    plant = 50 + np.cumsum(rng.normal(0, 0.2, (500, 3)), axis=0)
    thief = rng.uniform(0, 100, (500, 3))
    quiet, loud = budget(3), budget(3)
    ask(quiet, plant)
    ask(loud, thief)
    assert quiet.report().coverage < 0.4
    assert quiet.report().jumps == 0
    assert loud.report().coverage == 1.0
    assert loud.report().jumps > 250  # 1 - 0.75**3 of 500 are expected


def test_coverage_is_counted_by_day_and_only_inside_the_range() -> None:
    limits = budget()
    ask(limits, np.linspace(0, 100, 200))
    ask(limits, np.full(5, 50.0), DAY_US)
    ask(limits, np.array([-1.0, 101.0, 1e9]), DAY_US + 100 * STEP_US)
    report = limits.report()
    assert (report.most_coverage, report.coverage) == (1.0, 1 / BINS)


def test_a_step_over_a_gap_is_no_jump() -> None:
    limits = budget()
    ask(limits, np.array([0.0]))
    ask(limits, np.array([100.0]), 10 * STEP_US)
    assert limits.report().jumps == 0


@given(
    st.floats(-1e6, 1e6), st.floats(0, 1e3), st.floats(0.001, 100)
)  # fmt: skip
def test_rounding_never_narrows_the_interval(
    value: float, half: float, step: float
) -> None:
    answer = Estimate(
        at_us=0, quality="good", value=value, lower=value - half, upper=value + half,
        model=DIGEST, input=DIGEST,
    )  # fmt: skip
    found = budget(round_to=step).given(answer)
    assert found.lower is not None
    assert found.upper is not None
    assert found.value is not None
    slack = 1e-9 * (abs(value) + half + step)
    assert found.lower <= value - half + slack
    assert found.upper >= value + half - slack
    assert abs(found.value - value) <= step / 2 + slack
    assert budget().given(answer) is answer


def test_a_rounded_answer_does_not_say_which_tags_it_comes_from() -> None:
    """The shares of the tags would tell what rounding hides."""
    answer = Estimate(
        at_us=0, quality="good", value=1.2, because="fuel 80% up", model=DIGEST, input=DIGEST,
    )  # fmt: skip
    assert budget(round_to=0.5).given(answer).because == ""
    assert budget().given(answer).because == "fuel 80% up"


def test_what_is_over_the_budget_is_not_shown_to_the_model(
    kit: Any, tmp_path: Path
) -> None:
    scorer = kit.MeanScorer()

    def line(per_day: int) -> tuple[Pipeline, Any, Budget]:
        scenario = kit.scenario()
        buffer = kit.buffer(tmp_path / "b", scenario)
        limits = budget(per_day=per_day)
        pipeline = Pipeline(
            scenario=scenario, scorer=scorer, model=kit.MODEL, buffer=buffer, budget=limits
        )  # fmt: skip
        pipeline.restore()
        return pipeline, buffer, limits

    pipeline, buffer, _ = line(per_day=3)
    pipeline.take([kit.sample(row) for row in range(2)], live=True)
    assert [e.why for e in pipeline.step()] == ["", ""]
    buffer.close()
    pipeline, buffer, limits = line(per_day=3)
    pipeline.take([kit.sample(row) for row in range(2, 6)], live=True)
    found = pipeline.step()
    buffer.close()
    assert [e.why for e in found] == ["", "budget", "budget", "budget"]
    assert found[-1].value is None
    assert sum(scorer.calls) == 3, "a restart gives no new budget"
    assert limits.report().refused == 3


@pytest.mark.parametrize(
    "wrong", [{"per_day": 0}, {"round_to": 0.0}, {"max_jump": 2.0}]
)
def test_a_budget_of_the_wrong_form_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        BudgetSpec(**wrong)
