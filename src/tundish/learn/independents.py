"""Models made without the owner's: other algorithms, on other parts of the data.

They say which questions set a model apart (the *rivals*, by which questions are chosen)
and how often a model agrees that owes the owner nothing (the *strangers*, which the
choice never saw). Features are standardised and, where there are many, reduced to
principal components: both are part of each model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import BayesianRidge, LogisticRegression, Ridge
from sklearn.mixture import GaussianMixture
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    LocalOutlierFactor,
    NearestNeighbors,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, NuSVR, OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from tundish.learn.material import Floats, Windows

Kind = Literal["estimate", "label", "score"]
Values: TypeAlias = NDArray[np.float64]
Estimator: TypeAlias = Any  # scikit-learn ships no types
WIDE, REDUCED = 40, 20
MOST_ROWS = 4000
HALVES = 2


@dataclass(frozen=True, kw_only=True)
class Independent:
    """A model of its own.

    Attributes:
        name: Algorithm and part of the data.
        answer: Windows [N, T, C] -> estimate, label or score, [N].
    """

    name: str
    answer: Callable[[Windows], Values]


def rivals(
    kind: Kind, x: Windows, y: Floats | None, rng: np.random.Generator
) -> tuple[Independent, ...]:
    """Return the models by which questions are chosen.

    Args:
        kind: What is answered: a number, a class, or how unusual a window is.
        x: Windows of the training data.
        y: True values or classes, [N]; None for scores.
        rng: Source of randomness; two disjoint halves are drawn.
    """
    return _made(kind, 0, x, y, rng)


def strangers(
    kind: Kind, x: Windows, y: Floats | None, rng: np.random.Generator
) -> tuple[Independent, ...]:
    """Return the models on which the chance level is measured; arguments as ``rivals``."""
    return _made(kind, 1, x, y, rng)


def _made(
    kind: Kind, team: int, x: Windows, y: Floats | None, rng: np.random.Generator
) -> tuple[Independent, ...]:
    flat = x.reshape(len(x), -1).astype(np.float64)
    order = rng.permutation(len(flat))[: HALVES * MOST_ROWS]
    found = []
    for half, rows in enumerate(np.array_split(order, HALVES)):
        seed = int(rng.integers(2**31 - 1))
        truth = None if y is None else y[rows]
        for name, model in _TEAMS[kind](seed)[team].items():
            answer = _fitted(model, flat[rows], truth)
            found.append(Independent(name=f"{name} {half + 1}", answer=answer))
    return tuple(found)


def _fitted(
    model: Estimator, flat: Floats, y: Floats | None
) -> Callable[[Windows], Values]:
    steps: list[tuple[str, Estimator]] = [("scale", StandardScaler())]
    if flat.shape[1] > WIDE:
        most = min(REDUCED, len(flat) - 1)
        steps.append(("reduce", PCA(n_components=most, random_state=0)))
    prepare = Pipeline(steps)
    features = prepare.fit_transform(flat)
    model.fit(features, y) if y is not None else model.fit(features)

    def answer(windows: Windows) -> Values:
        asked = prepare.transform(windows.reshape(len(windows), -1).astype(np.float64))
        said = model.predict(asked) if y is not None else _unusual(model, asked)
        return np.asarray(said, np.float64).reshape(len(windows))

    return answer


def _unusual(model: Estimator, features: Floats) -> Values:
    """Return how unusual windows are: higher is more so."""
    if hasattr(model, "score_samples"):
        return -np.asarray(model.score_samples(features), np.float64)
    return np.asarray(model.unusual(features), np.float64)


class _Neighbour:
    """Distance to the k-th nearest window of the training data."""

    def __init__(self, count: int) -> None:
        self._count = count

    def fit(self, features: Floats) -> None:
        self._near = NearestNeighbors(n_neighbors=min(self._count, len(features)))
        self._near.fit(features)

    def unusual(self, features: Floats) -> Values:
        distance, _ = self._near.kneighbors(features)
        return np.asarray(distance[:, -1], np.float64)


class _Farthest:
    """Largest standardised distance of one feature from its median."""

    def fit(self, features: Floats) -> None:
        self._middle = np.median(features, axis=0)
        low, high = np.percentile(features, (25, 75), axis=0)
        self._width = np.where(high > low, high - low, 1.0)

    def unusual(self, features: Floats) -> Values:
        off = np.abs(features - self._middle) / self._width
        return np.asarray(off.max(axis=1), np.float64)


def _estimators(seed: int) -> Sequence[dict[str, Estimator]]:
    return (
        {
            "ridge": Ridge(alpha=1.0),
            "forest": RandomForestRegressor(60, min_samples_leaf=2, random_state=seed),
            "boosting": HistGradientBoostingRegressor(random_state=seed),
            "neighbours": KNeighborsRegressor(5),
            "support": SVR(C=10.0, gamma="scale"),
        },
        {
            "bayesian ridge": BayesianRidge(),
            "least squares": PLSRegression(n_components=3, scale=False),
            "extra trees": ExtraTreesRegressor(60, random_state=seed),
            "adaboost": AdaBoostRegressor(n_estimators=60, random_state=seed),
            "weighted neighbours": KNeighborsRegressor(9, weights="distance"),
            "nu support": NuSVR(C=3.0, gamma="auto"),
        },
    )


def _classifiers(seed: int) -> Sequence[dict[str, Estimator]]:
    return (
        {
            "logistic": LogisticRegression(C=1.0, max_iter=500),
            "forest": RandomForestClassifier(60, random_state=seed),
            "boosting": HistGradientBoostingClassifier(max_iter=50, random_state=seed),
            "neighbours": KNeighborsClassifier(5),
            "support": SVC(C=3.0, random_state=seed),
        },
        {
            "weak logistic": LogisticRegression(C=0.03, max_iter=500),
            "extra trees": ExtraTreesClassifier(60, random_state=seed),
            "tree": DecisionTreeClassifier(min_samples_leaf=3, random_state=seed),
            "bayes": GaussianNB(),
            "weighted neighbours": KNeighborsClassifier(9, weights="distance"),
            "polynomial support": SVC(kernel="poly", degree=2, random_state=seed),
        },
    )


def _detectors(seed: int) -> Sequence[dict[str, Estimator]]:
    return (
        {
            "isolation": IsolationForest(n_estimators=60, random_state=seed),
            "gaussian": GaussianMixture(1, reg_covar=1e-3, random_state=seed),
            "neighbour": _Neighbour(5),
            "components": PCA(n_components=0.8, random_state=seed),
            "support": OneClassSVM(nu=0.05),
        },
        {
            "density": LocalOutlierFactor(20, novelty=True),
            "mixture": GaussianMixture(3, reg_covar=1e-2, random_state=seed),
            "far neighbour": _Neighbour(25),
            "more components": PCA(n_components=0.95, random_state=seed),
            "farthest": _Farthest(),
            "narrow support": OneClassSVM(nu=0.2, gamma="auto"),
        },
    )


_TEAMS: dict[Kind, Callable[[int], Sequence[dict[str, Estimator]]]] = {
    "estimate": _estimators,
    "label": _classifiers,
    "score": _detectors,
}
