"""The judge looks at the graph and the judge part only, and fails closed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tundish.catalog.scenario import Limit, Scenario
from tundish.kernel import digest
from tundish.learn import baseline, parity
from tundish.learn.errors import OutputInvalidError, ParityBrokenError, PartMissingError
from tundish.learn.judge import judge
from tundish.learn.material import Material, Windows
from tundish.learn.recipe import Claim, Envelope, Options, Outputs, Promise, Scorer
from tundish.learn.recipes.pca import PcaRecipe
from tundish.learn.recipes.pls import PlsRecipe
from tundish.learn.verdict import Verdict

Opener = Callable[[bytes, Windows], Scorer]


def claim(channels: int = 120) -> Claim:
    nothing = (0.0,) * channels
    envelope = Envelope(
        count=9, mean=nothing, std=nothing, min=nothing, max=nothing, target_mean=25.0
    )
    promise = Promise(
        kind="interval", asked=0.9, promised=0.9, count=30, parts=("fit",), note="test"
    )
    return Claim(graph=digest.of_bytes(b"graph"), promise=promise, envelope=envelope)


def sensor(material: Material, error: np.ndarray, half: float = 2.0) -> Scorer:
    """Return a scorer whose errors on the judge part are given."""
    judged = material.of("judge")
    known = {
        window.tobytes(): y
        for window, y in zip(judged.x, judged.y + error, strict=True)
    }

    def run(window: Windows) -> Outputs:
        estimate = np.array([[known[one.tobytes()]] for one in window])
        return {
            "estimate": estimate,
            "lower": estimate - half,
            "upper": estimate + half,
            "applicability": np.zeros_like(estimate),
        }

    return run


def limited(scenario: Scenario, *limits: Limit) -> Scenario:
    acceptance = scenario.acceptance.model_copy(update={"limits": limits})
    return scenario.model_copy(update={"acceptance": acceptance})


def test_nothing_outside_the_judge_part_changes_the_verdict(
    sugar: Scenario, sugar_material: Material, sugar_options: Options, opener: Opener
) -> None:
    fitted = PlsRecipe().fit(
        sugar_material, sugar, sugar_options, np.random.default_rng(0)
    )
    run = opener(fitted.graph, fitted.golden_window)
    others = sugar_material.part != "judge"
    changed = replace(
        sugar_material,
        x=np.where(others[:, None, None], 9, sugar_material.x),
        y=np.where(others, -1.0, sugar_material.y),
        event=np.where(others, 7, sugar_material.event),
    )
    verdicts = [
        judge(material, sugar, run, fitted.claim, seed=4)
        for material in (sugar_material, changed, sugar_material.of("judge"))
    ]
    assert verdicts[0] == verdicts[1] == verdicts[2]
    assert verdicts[0].accepted


def test_the_detector_is_judged_in_events_and_weeks(
    flow: Scenario, flow_material: Material, flow_options: Options, opener: Opener
) -> None:
    fitted = PcaRecipe().fit(
        flow_material, flow, flow_options, np.random.default_rng(0)
    )
    run = opener(fitted.graph, fitted.golden_window)
    verdict = judge(flow_material, flow, run, fitted.claim)
    assert verdict.accepted
    assert verdict.events[0].found
    assert verdict.figure("events").value == 1.0
    weeks = verdict.figure("normal_weeks").value
    assert weeks == pytest.approx(778 * 60 / 604800)
    assert any("no better than" in note for note in verdict.notes)
    seen = verdict.figure("share_of_normal_windows_alarmed").value
    assert seen is not None
    assert seen < 0.06


def test_a_limit_just_missed_refuses_and_one_just_kept_accepts(
    sugar: Scenario, sugar_material: Material
) -> None:
    error = np.zeros(48)
    error[:10] = 3.0  # 38 of 48 within 2 g/l
    run = sensor(sugar_material, error)
    for share, accepted in ((38 / 48, True), (np.nextafter(38 / 48, 1.0), False)):
        limit = Limit(
            metric="share_within_tolerance", at_least=float(share), why="test"
        )
        verdict = judge(sugar_material, limited(sugar, limit), run, claim())
        assert verdict.accepted is accepted
        assert verdict.limits[0].value == 38 / 48


def test_one_missed_limit_refuses_whatever_the_others(
    sugar: Scenario, sugar_material: Material
) -> None:
    good = Limit(metric="rmse", at_most=100.0, why="test")
    bad = Limit(metric="interval_coverage", at_least=0.99, why="test")
    error = np.zeros(48)
    error[0] = 2.5
    verdict = judge(
        sugar_material,
        limited(sugar, good, bad),
        sensor(sugar_material, error),
        claim(),
    )
    assert [limit.holds for limit in verdict.limits] == [True, False]
    assert not verdict.accepted


def test_a_limit_whose_figure_cannot_be_had_is_not_kept(
    sugar: Scenario, sugar_material: Material
) -> None:
    limit = Limit(metric="missed_events", at_most=100.0, why="test")
    verdict = judge(
        sugar_material,
        limited(sugar, limit),
        sensor(sugar_material, np.zeros(48)),
        claim(),
    )
    assert not verdict.accepted
    assert verdict.limits[0].value is None


def test_figures_are_what_their_names_say(
    sugar: Scenario, sugar_material: Material
) -> None:
    error = np.tile([1.0, -3.0], 24)
    verdict = judge(
        sugar_material, sugar, sensor(sugar_material, error, half=1.5), claim()
    )
    judged = sugar_material.of("judge").y
    held = np.sqrt(np.mean(np.diff(judged) ** 2))
    expected = {
        "rmse": np.sqrt(5.0),
        "bias": -1.0,
        "share_within_tolerance": 0.5,
        "interval_coverage": 0.5,
        "r2": 1.0 - 5.0 / np.var(judged),
        "share_of_baseline_error": np.sqrt(np.mean(error[1:] ** 2)) / held,
        "share_withheld": 0.0,
    }
    for name, value in expected.items():
        figure = verdict.figure(name)
        assert figure.value == pytest.approx(value, rel=1e-5), name
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low - 1e-9 <= value <= figure.high + 1e-9, name
    assert verdict.baseline[0].value == pytest.approx(held)
    assert any("not kept" in note for note in verdict.notes)


def test_many_windows_of_one_laboratory_value_count_once(
    sugar: Scenario, sugar_material: Material
) -> None:
    group = np.arange(85)
    group[-20:] = 65  # the last twenty windows share one value
    truth = sugar_material.y.copy()
    truth[-20:] = 30.0
    shared = replace(sugar_material, group=group, y=truth)
    error = np.zeros(48)
    error[-20:] = 5.0
    verdict = judge(shared, sugar, sensor(shared, error), claim())
    assert verdict.judged == 29
    assert verdict.figure("share_within_tolerance").value == pytest.approx(28 / 29)


def test_a_model_cannot_pass_by_keeping_silent(
    sugar: Scenario, sugar_material: Material
) -> None:
    inner = sensor(sugar_material, np.full(48, 9.0))

    def silent(window: Windows) -> Outputs:
        found = dict(inner(window))
        return found | {"applicability": found["applicability"] + 2.0}

    verdict = judge(sugar_material, sugar, silent, claim())
    assert not verdict.accepted
    assert verdict.figure("share_withheld").value == 1.0
    assert any("withhold 100.0%" in note for note in verdict.notes)


@pytest.mark.parametrize("fault", ["nan", "missing", "shape"])
def test_an_answer_that_cannot_be_judged_is_refused(
    sugar: Scenario, sugar_material: Material, fault: str
) -> None:
    inner = sensor(sugar_material, np.zeros(48))

    def broken(window: Windows) -> Outputs:
        found = dict(inner(window))
        if fault == "nan":
            found["estimate"] = np.full_like(found["estimate"], np.nan)
        elif fault == "missing":
            del found["upper"]
        else:
            found["lower"] = found["lower"][:, 0]
        return found

    with pytest.raises(OutputInvalidError):
        judge(sugar_material, sugar, broken, claim())


def test_without_a_judge_part_there_is_no_verdict(
    sugar: Scenario, sugar_material: Material
) -> None:
    alone = sugar_material.take(sugar_material.part != "judge")
    with pytest.raises(PartMissingError, match="judge"):
        judge(alone, sugar, sensor(sugar_material, np.zeros(48)), claim())


def test_a_limit_inside_its_own_spread_is_said(
    sugar: Scenario, sugar_material: Material
) -> None:
    error = np.where(np.arange(48) % 5 == 0, 3.0, 0.0)
    limit = Limit(metric="share_within_tolerance", at_least=0.78, why="test")
    verdict = judge(
        sugar_material, limited(sugar, limit), sensor(sugar_material, error), claim()
    )
    assert any(
        "another run may fall on the other side" in note for note in verdict.notes
    )


def test_a_verdict_survives_its_own_json(
    sugar: Scenario, sugar_material: Material
) -> None:
    verdict = judge(
        sugar_material, sugar, sensor(sugar_material, np.zeros(48)), claim()
    )
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_without_time_the_baseline_is_the_mean_of_the_fit_part(
    sugar: Scenario, sugar_material: Material
) -> None:
    timeless = replace(sugar_material, at=None)
    verdict = judge(timeless, sugar, sensor(timeless, np.zeros(48)), claim())
    judged = timeless.of("judge").y
    assert verdict.baseline_name == baseline.MEAN
    assert verdict.baseline[0].value == pytest.approx(
        np.sqrt(np.mean((judged - 25.0) ** 2))
    )


def test_the_held_value_never_crosses_a_source() -> None:
    held = baseline.held_values(np.array([1.0, 2.0, 3.0]), np.array(["a", "a", "b"]))
    np.testing.assert_array_equal(held, [np.nan, 1.0, np.nan])


def test_parity_names_the_worst_output(flow: Scenario) -> None:
    truth = {
        "score": np.ones((5, 1)),
        "contribution": np.full((5, 3), 1 / 3),
        "applicability": np.zeros((5, 1)),
    }
    assert parity.compare(truth, truth, flow).passed
    other = truth | {"score": truth["score"] + 0.01}
    report = parity.compare(truth, other, flow)
    assert not report.passed
    with pytest.raises(ParityBrokenError, match=r"'score' by 0\.01"):
        parity.require(report)
    silent = parity.compare(truth, truth | {"score": np.full((5, 1), np.nan)}, flow)
    with pytest.raises(ParityBrokenError, match="not finite"):
        parity.require(silent)
    with pytest.raises(ParityBrokenError, match="shape"):
        parity.compare(truth, {"score": truth["score"]}, flow)
