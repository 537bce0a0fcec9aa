"""The plain models that are diagnosed: boosted trees, and a distance for anomalies."""

from __future__ import annotations

import lightgbm
import numpy as np

from tundish.catalog.scenario import Scenario
from tundish.learn.growth import Maker
from tundish.learn.material import Material, Windows
from tundish.learn.recipe import Outputs, Scorer

FIXED = {
    "verbosity": -1, "deterministic": True, "num_threads": 1, "seed": 1,
    "num_leaves": 15, "learning_rate": 0.1, "min_data_in_leaf": 5,
}  # fmt: skip
ROUNDS = 120


def maker_of(scenario: Scenario) -> Maker:
    """Return how a task's plain model is made of a material."""
    if scenario.task == "anomaly":
        return _distance
    if scenario.classes:
        return lambda material: _classes(material, len(scenario.classes))
    return _number


def _number(material: Material) -> Scorer:
    booster = _boosted(material, {"objective": "regression"})

    def run(x: Windows) -> Outputs:
        told = np.asarray(booster.predict(x[:, -1].astype(float)))[:, None]
        return {
            "estimate": told, "lower": told, "upper": told,
            "applicability": np.zeros_like(told),
        }  # fmt: skip

    return run


def _classes(material: Material, count: int) -> Scorer:
    booster = _boosted(material, {"objective": "multiclass", "num_class": count})

    def run(x: Windows) -> Outputs:
        told = np.asarray(booster.predict(x[:, -1].astype(float)))
        label = told.argmax(axis=1)[:, None].astype(float)
        return {
            "probability": told, "label": label, "applicability": np.zeros_like(label)
        }  # fmt: skip

    return run


def _boosted(material: Material, kind: dict[str, object]) -> lightgbm.Booster:
    fit = material.of("fit")
    data = lightgbm.Dataset(fit.x[:, -1].astype(float), fit.y)
    return lightgbm.train({**FIXED, **kind}, data, ROUNDS)


def _distance(material: Material) -> Scorer:
    """Squared distance in principal components; alarms on 1 % of calibrate."""
    rows = material.of("fit").x[:, -1].astype(float)
    middle, spread = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-9)
    covariance = np.cov((rows - middle) / spread, rowvar=False)
    inverse = np.linalg.inv(0.9 * covariance + 0.1 * np.eye(len(middle)))

    def raw(x: Windows) -> np.ndarray:
        scaled = (x[:, -1] - middle) / spread
        return np.asarray(scaled * (scaled @ inverse))

    limit = float(np.quantile(raw(material.of("calibrate").x).sum(axis=1), 0.99))

    def run(x: Windows) -> Outputs:
        shares = raw(x) / limit
        return {
            "score": shares.sum(axis=1)[:, None], "contribution": shares,
            "applicability": np.zeros((len(x), 1)),
        }  # fmt: skip

    return run
