"""Second models that learn from the answers of a first one, as a thief would make them.

Three kinds, since no single one fits every model: gradient boosting (the usual choice), a
linear model (what a linear soft sensor falls to at once), and a linear model on squares
and products (what a squared distance falls to). A thief keeps the best; so does a report.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from tundish.learn.independents import Estimator, Values
from tundish.learn.material import Windows

Answer = Callable[[Windows], Values]
WIDE, KEPT = 60, 120
COLUMNS = {"boosting": 40, "linear": KEPT, "squares": 20}
ROUNDS = 100
FLAT = 1e-10  # of the first component's variance: rounding, not signal


class Features:
    """What the second models see of a window: standardised, and reduced if it is long.

    Principal components come in order, so each kind of model takes the first few. Short
    windows keep their own columns, unless a kind takes fewer.

    Args:
        windows: What was asked, float32 [N, T, C]; N is at least 2.
    """

    def __init__(self, windows: Windows) -> None:
        flat = _flat(windows)
        wide, self._scale = flat.shape[1], StandardScaler().fit(flat)
        self._whole = wide <= WIDE
        kept = min(KEPT, wide, len(flat) - 1)
        self._turn = PCA(kept, svd_solver="covariance_eigh", whiten=True)
        self._turn.fit(self._scale.transform(flat))
        variance = self._turn.explained_variance_
        self._kept = int((variance > FLAT * variance[0]).sum())

    def of(self, windows: Windows) -> tuple[Values, Values]:
        """Return the standardised columns (or components) and the components, [N, .]."""
        standard = self._scale.transform(_flat(windows))
        turned = np.asarray(self._turn.transform(standard), np.float64)
        turned = turned[:, : self._kept]
        return (standard if self._whole else turned), turned

    def seen(self, name: str, parts: tuple[Values, Values]) -> Values:
        """Return what one kind of second model takes of ``of``'s result."""
        whole, turned = parts
        most = COLUMNS[name]
        return whole if whole.shape[1] <= most else turned[:, :most]


def fit_all(
    windows: Windows,
    answers: Values,
    *,
    label: bool,
    seed: int,
    features: Features | None = None,
) -> dict[str, Answer]:
    """Return second models by name, each trained on the same questions and answers.

    Args:
        windows: What was asked, float32 [N, T, C].
        answers: What was said, [N]: numbers, or classes with ``label``.
        label: Whether the answers are classes.
        seed: Of the models' own randomness.
        features: Those of the windows, if they were made already.
    """
    if len(np.unique(answers)) < 2:  # nothing to learn: it always says the same
        only = float(answers[0])
        return {"constant": lambda asked: np.full(len(asked), only)}
    chosen = features or Features(windows)
    parts = chosen.of(windows)
    return {
        name: _fitted(
            name, _model(name, label=label, seed=seed), chosen, parts, answers
        )
        for name in COLUMNS
    }


def _fitted(
    name: str,
    model: Estimator,
    features: Features,
    parts: tuple[Values, Values],
    answers: Values,
) -> Answer:
    model.fit(features.seen(name, parts), answers)

    def answer(asked: Windows) -> Values:
        seen = features.seen(name, features.of(asked))
        return np.asarray(model.predict(seen), np.float64).reshape(len(asked))

    return answer


def _model(name: str, *, label: bool, seed: int) -> Estimator:
    if name == "boosting":
        kind = (
            HistGradientBoostingClassifier if label else HistGradientBoostingRegressor
        )
        return kind(max_iter=ROUNDS, early_stopping=False, random_state=seed)
    line = (
        LogisticRegression(max_iter=300) if label else Ridge(alpha=1e-3, solver="svd")
    )
    if name == "linear":
        return line
    squares = PolynomialFeatures(2, include_bias=False)
    return make_pipeline(squares, StandardScaler(), line)


def _flat(windows: Windows) -> Values:
    return windows.reshape(len(windows), -1).astype(np.float64)
