"""Shares of signals in boosted trees add up to the score, and the graph states the same."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest

from tundish.learn import trees
from tundish.learn.graph import GraphWriter
from tundish.learn.shares import shares, tables
from tundish.model.session import evaluate

FIXED = {"verbosity": -1, "deterministic": True, "num_threads": 1, "seed": 1}
OWNER = np.array([0, 0, 1, 2])


def newest(writer: GraphWriter, raw: str) -> str:
    axis = writer.constant(np.array([1]), "axis")
    return writer.add("Squeeze", raw, axis)


@pytest.fixture(scope="module", params=[1, 3], ids=["one score", "three classes"])
def trained(request: pytest.FixtureRequest) -> tuple[lightgbm.Booster, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)
    label = x[:, 0] * x[:, 2] + x[:, 1]
    params: dict[str, object] = {"objective": "regression"}
    if request.param > 1:
        label = np.digitize(label, [-0.5, 0.5]).astype(np.float32)
        params = {"objective": "multiclass", "num_class": request.param}
    data = lightgbm.Dataset(x.astype(np.float64), label)
    return lightgbm.train(FIXED | params, data, 20), x


def test_shares_add_up_to_the_score_less_its_mean(
    trained: tuple[lightgbm.Booster, np.ndarray],
) -> None:
    booster, x = trained
    total = shares(booster, OWNER, x).sum(axis=2)
    rest = trees.raw_scores(booster, x) - total
    np.testing.assert_allclose(rest, np.broadcast_to(rest[0], rest.shape), atol=1e-9)
    assert np.ptp(total) > 0.5


def test_an_owner_whose_features_are_never_asked_has_no_share(
    trained: tuple[lightgbm.Booster, np.ndarray],
) -> None:
    booster, x = trained
    asked = booster.feature_importance() > 0
    owner = np.where(asked, 0, 1)
    owner[-1] = 1  # noise: whatever it moved, it is the second owner's
    found = shares(booster, owner, x)
    assert np.abs(found[..., 1]).max() < 0.5 * np.abs(found[..., 0]).max()
    assert len(tables(booster, owner)) == booster.num_trees()


def test_the_graph_states_the_shares_of_lightgbms_own_leaves(
    trained: tuple[lightgbm.Booster, np.ndarray],
) -> None:
    booster, x = trained
    classes = booster.num_model_per_iteration()
    writer = GraphWriter(1, 4)
    value = trees.add_trees(writer, newest(writer, writer.window()), booster, OWNER)
    graph = writer.write({"estimate": value}, {"estimate": None})
    found = evaluate(graph, x[:, None, :])["estimate"]
    expected = shares(booster, OWNER, x).reshape(len(x), -1)
    assert found.shape == (len(x), classes * 4)
    np.testing.assert_allclose(found[:, classes:], expected, rtol=1e-5, atol=1e-5)
    scores = trees.raw_scores(booster, x)
    np.testing.assert_allclose(found[:, :classes], scores, rtol=1e-5, atol=1e-5)
