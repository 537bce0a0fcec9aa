"""Trees in a graph decide as LightGBM decides, to the last bit of a feature."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tundish.learn import trees
from tundish.learn.graph import GraphWriter
from tundish.model.graphcheck import check_graph
from tundish.model.session import evaluate

ROWS, CHANNELS = 4, 3
FIXED = {"verbosity": -1, "deterministic": True, "num_threads": 1, "seed": 1}


def build(writer: GraphWriter, raw: str) -> str:
    """Mean and maximum of each channel, and each value of the newest row."""
    mean = writer.add("ReduceMean", raw, axes=[1], keepdims=0)
    top = writer.add("ReduceMax", raw, axes=[1], keepdims=0)
    last = writer.constant(np.array(ROWS - 1), "last")
    newest = writer.add("Gather", raw, last, axis=1)
    return writer.add("Concat", mean, top, newest, axis=1)


def windows(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    # coarse steps: many equal values, so that thresholds lie on them
    return np.round(rng.normal(size=(count, ROWS, CHANNELS)), 1).astype(np.float32)


def graph_of(booster: lightgbm.Booster) -> bytes:
    writer = GraphWriter(ROWS, CHANNELS)
    scores = trees.add_trees(writer, build(writer, writer.window()), booster)
    width = booster.num_model_per_iteration()
    return writer.write({"estimate": scores}, {"estimate": width})


def trained(params: dict[str, object], seed: int) -> tuple[lightgbm.Booster, bytes]:
    x = windows(600, seed)
    features = trees.features_of(build, x)
    label = features[:, 0] + features[:, 4] ** 2 - features[:, 8]
    if "num_class" in params:
        label = np.digitize(label, [-0.5, 1.0]).astype(np.float32)
    if params["objective"] == "binary":
        label = (label > 0).astype(np.float32)
    data = lightgbm.Dataset(features.astype(np.float64), label.astype(np.float64))
    booster = lightgbm.train({**FIXED, **params}, data, 40)
    return booster, graph_of(booster)


@pytest.mark.parametrize(
    "params",
    [
        {"objective": "regression"},
        {"objective": "quantile", "alpha": 0.1},
        {"objective": "binary"},
        {"objective": "multiclass", "num_class": 3},
    ],
    ids=lambda params: str(params["objective"]),
)
def test_a_graph_decides_as_its_trees_do(params: dict[str, object]) -> None:
    booster, graph = trained(params, 1)
    check_graph(graph)
    x = windows(2000, 2)
    found = evaluate(graph, x)["estimate"]
    expected = trees.raw_scores(booster, trees.features_of(build, x))
    assert found.shape == expected.shape
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_the_same_trees_give_the_same_bytes() -> None:
    assert (
        trained({"objective": "regression"}, 1)[1]
        == trained({"objective": "regression"}, 1)[1]
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 7), st.sampled_from([-1, 0, 1]))
def test_a_value_beside_a_threshold_goes_down_the_same_branch(
    place: int, step: int
) -> None:
    booster, graph = _once()
    splits = booster.trees_to_dataframe()["threshold"].dropna().to_numpy()
    at = np.float32(splits[place % len(splits)])
    beside = {
        -1: np.nextafter(at, np.float32(-9)),
        0: at,
        1: np.nextafter(at, np.float32(9)),
    }
    x = np.full((1, ROWS, CHANNELS), beside[step], dtype=np.float32)
    expected = trees.raw_scores(booster, trees.features_of(build, x))
    np.testing.assert_allclose(
        evaluate(graph, x)["estimate"], expected, rtol=1e-6, atol=1e-6
    )


_MADE: list[tuple[lightgbm.Booster, bytes]] = []


def _once() -> tuple[lightgbm.Booster, bytes]:
    if not _MADE:
        _MADE.append(trained({"objective": "regression"}, 3))
    return _MADE[0]


def test_a_tree_that_never_splits_is_a_number() -> None:
    features = np.zeros((50, 9))
    data = lightgbm.Dataset(features, np.full(50, 7.5))
    booster = lightgbm.train({**FIXED, "objective": "regression"}, data, 2)
    found = evaluate(graph_of(booster), windows(5, 1))["estimate"]
    np.testing.assert_allclose(found, 7.5, rtol=1e-6)
