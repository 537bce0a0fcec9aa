"""Boosters as one operator: the answer is LightGBM's, and the accounts add up to it."""

from __future__ import annotations

import lightgbm
import numpy as np

from tundish.learn.crowd import Crowd
from tundish.learn.graph import GraphWriter
from tundish.model.graphcheck import check_graph
from tundish.model.session import evaluate

FEATURES, ACCOUNTS = 6, 3
CHANNEL = np.array([0, 1, 2, 0, 1, 2])


def crowd(members: int) -> Crowd:
    rng = np.random.default_rng(1)
    x = np.round(rng.normal(size=(800, FEATURES)), 1)
    y = 3.0 * x[:, 0] + x[:, 4] ** 2  # channel 2 says nothing
    boosters = tuple(
        lightgbm.train(
            {"objective": "regression", "verbosity": -1, "num_threads": 1, "seed": seed,
             "deterministic": True, "bagging_fraction": 0.5, "bagging_freq": 1},
            lightgbm.Dataset(x, y),
            25,
        )
        for seed in range(members)
    )  # fmt: skip
    return Crowd(boosters=boosters, owner=CHANNEL, owners=ACCOUNTS)


def graph_of(made: Crowd) -> bytes:
    writer = GraphWriter(1, FEATURES)
    answer, moved = made.add(writer, writer.flat(writer.window()))
    outputs = {"estimate": answer, "contribution": moved}
    return writer.write(outputs, {"estimate": 1, "contribution": ACCOUNTS})


def windows() -> np.ndarray:
    rng = np.random.default_rng(2)
    return np.round(rng.normal(size=(500, 1, FEATURES)), 1).astype(np.float32)


def test_answer_and_accounts_are_those_of_the_boosters() -> None:
    made, x = crowd(3), windows()
    graph = graph_of(made)
    check_graph(graph)
    found = evaluate(graph, x)
    np.testing.assert_allclose(
        found["estimate"][:, 0], made.answers(x[:, 0]), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(
        found["contribution"], made.moved(x[:, 0]), rtol=1e-5, atol=1e-5
    )


def test_accounts_add_up_and_a_mute_channel_has_next_to_none() -> None:
    made, x = crowd(2), windows()[:, 0]
    moved, answer = made.moved(x), made.answers(x)
    base = answer - moved.sum(axis=1)
    assert np.ptp(base) < 1e-9  # the mean of what was learnt, the same for all
    assert np.abs(moved[:, 2]).mean() < 0.1 * np.abs(moved[:, 0]).mean()


def test_a_booster_that_never_splits_moves_nothing() -> None:
    flat = lightgbm.train(
        {"objective": "regression", "verbosity": -1},
        lightgbm.Dataset(np.zeros((50, FEATURES)), np.full(50, 7.5)),
        2,
    )
    made = Crowd(boosters=(flat,), owner=CHANNEL, owners=ACCOUNTS)
    found = evaluate(graph_of(made), windows())
    np.testing.assert_allclose(found["estimate"], 7.5)
    assert not found["contribution"].any()
    assert not made.moved(windows()[:, 0]).any()
