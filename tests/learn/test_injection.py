"""Injected faults change what they say, and only that; the table is said to be injected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tundish.catalog.scenario import Limit, Scenario
from tundish.learn.injection import (
    FAULTS,
    SIZES,
    Fault,
    Scale,
    Target,
    faults_for,
    inject,
    injected,
)
from tundish.learn.judge import answers, judge
from tundish.learn.material import Material, Windows
from tundish.learn.recipe import Fitted, Outputs, Scorer
from tundish.learn.recipes.mahalanobis import MahalanobisRecipe

Opener = Callable[[bytes, Windows], Scorer]

N, ROWS = 60, 12
SCALE = Scale(
    mean=np.array([10.0, -5.0, 180.0]),
    std=np.array([2.0, 0.5, 40.0]),
    low=np.array([-100.0, -100.0, 0.0]),
    turning=np.array([False, False, True]),
)


def windows() -> Windows:
    draw = np.random.default_rng(1)
    x = SCALE.mean + SCALE.std * draw.normal(size=(N, ROWS, 3))
    x[:, :, 2] %= 360.0
    return x.astype(np.float32)


def target(channel: int) -> Target:
    return Target(
        channel=np.full(N, channel),
        other=np.full(N, (channel + 1) % 3),
        sign=np.ones(N),
    )


def changed(fault: Fault, size: float, channel: int = 0) -> tuple[Windows, Windows]:
    x = windows()
    draw = np.random.default_rng(2)
    return x, inject(x, fault, size, SCALE, target(channel), draw)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_leaves_other_tags_and_earlier_rows_as_they_were(fault: Fault) -> None:
    x, bad = changed(fault, SIZES[fault][0])
    np.testing.assert_array_equal(bad[:, :, 1:], x[:, :, 1:])
    np.testing.assert_array_equal(bad[:, : ROWS // 2], x[:, : ROWS // 2])
    assert (bad[:, ROWS // 2 :, 0] != x[:, ROWS // 2 :, 0]).any()


def test_each_fault_is_what_its_name_says() -> None:
    half = ROWS // 2
    x, stuck = changed("stuck", 1.0)
    assert (np.ptp(stuck[:, half:, 0], axis=1) == 0.0).all()
    x, bias = changed("bias", 3.0)
    np.testing.assert_allclose((bias - x)[:, half:, 0], 6.0, rtol=1e-5)
    x, drift = changed("drift", 3.0)
    np.testing.assert_allclose((drift - x)[:, -1, 0], 6.0, rtol=1e-5)
    np.testing.assert_allclose((drift - x)[:, half, 0], 6.0 / half, rtol=1e-4)
    x, spike = changed("spike", 4.0)
    np.testing.assert_array_equal(spike[:, :-1], x[:, :-1])
    np.testing.assert_allclose((spike - x)[:, -1, 0], 8.0, rtol=1e-5)
    x, noise = changed("noise", 2.0)
    assert (noise - x)[:, half:, 0].std() == pytest.approx(4.0, rel=0.15)
    x, gain = changed("gain", 1.0)
    np.testing.assert_allclose(
        gain[:, half:, 0] - 10.0, 2.0 * (x[:, half:, 0] - 10.0), rtol=1e-4, atol=1e-5
    )
    x, swapped = changed("swapped", 1.0)
    np.testing.assert_allclose(
        (swapped[:, half:, 0] - 10.0) / 2.0, (x[:, half:, 1] + 5.0) / 0.5, atol=1e-4
    )
    x, delay = changed("delay", 1.0)
    np.testing.assert_array_equal(delay[:, half:, 0], x[:, half - 3 : -3, 0])


def test_an_angle_stays_on_its_circle() -> None:
    _, bias = changed("bias", 8.0, channel=2)
    assert (bias[:, :, 2] >= 0.0).all()
    assert (bias[:, :, 2] <= 360.0).all()


def test_windows_too_short_for_a_fault_are_not_asked_for_it() -> None:
    assert "stuck" not in faults_for(1, 3)
    assert "swapped" not in faults_for(12, 1)
    assert faults_for(12, 3) == FAULTS


def test_a_detector_of_one_tag_finds_that_tag_alone() -> None:
    def first_tag(x: Windows) -> Outputs:
        off = np.abs(x[:, -1, 0] - 10.0) / (2.0 * 5.0)
        return {
            "score": off[:, None],
            "contribution": np.tile([1.0, 0.0, 0.0], (len(x), 1)),
        }

    table = injected(
        windows(), first_tag, SCALE, np.random.default_rng(0), faults=("spike",)
    )
    by_size = {result.size: result for result in table}
    assert by_size[8.0].found == pytest.approx(1 / 3, abs=0.02)
    assert by_size[8.0].named == 1.0
    assert by_size[2.0].found < by_size[8.0].found
    assert by_size[8.0].unchanged == 0.0
    assert all(r.low <= r.found <= r.high for r in table)


@pytest.fixture(scope="module")
def fitted(flow: Scenario, flow_material: Material) -> Fitted:
    rng = np.random.default_rng(0)
    return MahalanobisRecipe().fit(flow_material, flow, {}, rng)


def test_a_verdict_without_marked_events_says_what_injected_faults_show(
    flow: Scenario, flow_material: Material, opener: Opener, fitted: Fitted
) -> None:
    run = opener(fitted.graph, fitted.golden_window)
    unmarked = replace(flow_material, event=np.full(len(flow_material), -1))
    verdict = judge(unmarked, flow, run, fitted.claim)
    found = {(r.fault, r.size): r for r in verdict.injected}
    small, large = found["bias", 1.0], found["bias", 4.0]
    assert large.found >= small.found > small.unchanged
    assert large.named is not None
    assert small.named is not None
    assert large.named > max(0.9, small.named)
    figure = verdict.figure("injected_bias_found")
    assert (figure.value, figure.low, figure.high) == (
        large.found,
        large.low,
        large.high,
    )
    assert any("injected, not real" in note for note in verdict.notes)
    assert type(verdict).model_validate_json(verdict.model_dump_json()) == verdict
    marked = judge(flow_material, flow, run, fitted.claim)
    assert marked.injected == ()
    assert all(f.metric != "injected_bias_found" for f in marked.figures)


def test_a_limit_on_injected_faults_refuses_a_detector_that_never_alarms(
    flow: Scenario, flow_material: Material, opener: Opener, fitted: Fitted
) -> None:
    limit = Limit(metric="injected_bias_found", at_least=0.5, why="it must see some")
    acceptance = flow.acceptance.model_copy(update={"limits": (limit,)})
    asked = flow.model_copy(update={"acceptance": acceptance})
    unmarked = replace(flow_material, event=np.full(len(flow_material), -1))
    run = opener(fitted.graph, fitted.golden_window)

    def deaf(x: Windows) -> Outputs:
        answers = run(x)
        return {**answers, "score": np.zeros_like(answers["score"])}

    assert judge(unmarked, asked, run, fitted.claim).accepted
    assert not judge(unmarked, asked, deaf, fitted.claim).accepted


def test_the_table_is_the_same_for_the_same_seed(
    flow: Scenario, flow_material: Material, opener: Opener, fitted: Fitted
) -> None:
    run = opener(fitted.graph, fitted.golden_window)
    scale = Scale.of(fitted.envelope, flow)
    x = flow_material.of("judge").x

    def ask(part: Windows) -> Outputs:
        return answers(run, part, flow)

    first = injected(x, ask, scale, np.random.default_rng(4))
    assert first == injected(x, ask, scale, np.random.default_rng(4))
