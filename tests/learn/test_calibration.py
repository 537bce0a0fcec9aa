"""Promises hold on data like the calibration's; graph and numpy say the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tundish.catalog.scenario import Scenario
from tundish.learn import calibration
from tundish.learn.contributions import (
    add_contributions,
    contributions,
    usual_course,
)
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Material
from tundish.learn.reach import Reach, reach_of
from tundish.model.session import evaluate

ROWS, CHANNELS = 4, 3


def probabilities(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return honest probabilities of three classes, and classes drawn from them."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([0.6, 0.6, 0.6], count)
    truth = np.array([rng.choice(3, p=one) for one in p])
    return p, truth


def test_wrong_decisions_stay_below_the_promise(sugar: Scenario) -> None:
    p, truth = probabilities(2000, 1)
    least, promise = calibration.classes(p, truth, sugar)
    later, known = probabilities(4000, 2)
    decided = calibration.labels(later, least)
    wrong = np.mean((decided != calibration.OPEN) & (decided != known))
    assert promise.promised == 0.9
    assert 0.02 < wrong <= 0.1 + 0.02
    assert 0.05 < np.mean(decided == calibration.OPEN) < 0.95


def test_an_interval_holds_as_often_as_it_promises(sugar: Scenario) -> None:
    rng = np.random.default_rng(3)
    limit, promise = calibration.interval(np.abs(rng.standard_t(3, 500)), sugar)
    later = np.abs(rng.standard_t(3, 5000))
    assert promise.kind == "interval"
    assert np.mean(later <= limit.limit) == pytest.approx(0.9, abs=0.03)


def test_few_samples_promise_little(sugar: Scenario, flow: Scenario) -> None:
    _, narrow = calibration.interval(np.arange(4.0), sugar)
    assert narrow.promised == pytest.approx(0.8)
    _, alarm = calibration.alarm(np.arange(9.0), flow)
    assert alarm.promised == pytest.approx(0.1)
    assert "not supported" in alarm.note


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0.05, 0.95))
def test_labels_of_graph_and_numpy_are_the_same(seed: int, least: float) -> None:
    p = np.round(np.random.default_rng(seed).dirichlet([1, 1, 1], 30), 2)
    x = np.zeros((30, ROWS, CHANNELS), np.float32)
    x[:, -1] = p
    writer = GraphWriter(ROWS, CHANNELS)
    last = writer.constant(np.array(ROWS - 1), "last")
    newest = writer.add("Gather", writer.window(), last, axis=1, hint="newest")
    label = calibration.add_labels(writer, newest, least)
    graph = writer.write({"label": label}, {"label": 1})
    seen = x[:, -1].astype(np.float64)
    expected = calibration.labels(seen, float(np.float32(least)))
    np.testing.assert_array_equal(evaluate(graph, x)["label"][:, 0], expected)


def material(x: np.ndarray) -> Material:
    count = len(x)
    nothing = np.zeros(count, dtype=np.int64)
    return Material(
        x=x,
        y=np.zeros(count),
        part=np.full(count, "fit"),
        source=np.full(count, "m"),
        event=nothing - 1,
        group=nothing,
    )


def test_reach_is_one_at_the_widened_edge(flow: Scenario) -> None:
    x = np.random.default_rng(1).uniform(10, 20, (50, 3, 3)).astype(np.float32)
    x[0, 0, 0], x[1, 0, 0], x[:, :, 1] = 10.0, 20.0, 5.0
    reach = reach_of(material(x), flow)
    edge = x[:1].copy()
    edge[0, -1, 0] = 21.0  # a tenth of the range beyond
    assert reach.of(edge)[0, 0] == pytest.approx(1.0)
    assert (reach.of(x) <= 1.0).all()
    moved = x[:1].copy()
    moved[0, :, 1] = 5.0 + 0.01 * 300 * 2  # it stood still; 1 % of its range is 3
    assert reach.of(moved)[0, 0] == pytest.approx(2.0)
    writer = GraphWriter(3, 3)
    graph = writer.write({"applicability": reach.add(writer)}, {"applicability": 1})
    both = np.concatenate([x, edge, moved])
    np.testing.assert_allclose(
        evaluate(graph, both)["applicability"], reach.of(both), rtol=1e-6
    )


def test_contributions_of_a_sum_are_its_terms() -> None:
    x = np.random.default_rng(2).normal(size=(20, ROWS, CHANNELS)).astype(np.float32)
    weights = np.array([1.0, -2.0, 0.5])
    usual = usual_course(x)

    def build(writer: GraphWriter, raw: str) -> str:
        mean = writer.add("ReduceMean", raw, axes=[1], keepdims=0)
        by = writer.constant(weights[:, None], "weights")
        return writer.add("MatMul", mean, by, hint="answer")

    writer = GraphWriter(ROWS, CHANNELS)
    raw = writer.window()
    answer = build(writer, raw)
    found = add_contributions(writer, raw, answer, build, usual)
    graph = writer.write({"contribution": found}, {"contribution": CHANNELS})
    got = evaluate(graph, x)["contribution"]
    terms = (x.mean(axis=1) - usual.mean(axis=0)) * weights
    np.testing.assert_allclose(got, terms, atol=1e-6)
    twin = contributions(x, usual, lambda w: w.mean(axis=1) @ weights)
    np.testing.assert_allclose(got, twin, atol=1e-6)


def test_a_reach_knows_its_form() -> None:
    reach = Reach(middle=np.zeros(2), half=np.ones(2))
    assert reach.of(np.full((3, 2, 2), 0.5)).shape == (3, 1)
