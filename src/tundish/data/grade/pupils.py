"""Two simple models and the plain baseline, behind one function each.

Ridge regression on clipped, scaled values (Hoerl and Kennard 1970) finds what is
straight; a small histogram gradient boosting (Ke et al. 2017, as in scikit-learn)
finds what is not. Classes are fitted as columns of 0 and 1, so that one error, the mean
square (Brier 1950 for classes), serves all. Everything is seeded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tundish.data.grade.sheet import Floats, Ints

MOST_TAGS = 100
CLIPPED = 4.0
TREES_FROM = 60
ROUNDS = 60
MIN_ROUNDS = 20
RATE = 0.12
_STRENGTHS = 10.0 ** np.arange(-6.0, 4.1)
_CHUNKS = 16
_SEED = 7


def ridge(x: Floats, y: Floats, asked: Floats) -> Floats:
    """Fit on ``x``, ``y`` and answer for ``asked``.

    The strength is chosen on four stretches of the rows, after fitting on the others.

    Args:
        x: Inputs, shape [m, p], NaN where missing.
        y: Targets, shape [m, k].
        asked: Inputs, shape [t, p].

    Returns:
        Answers, shape [t, k].
    """
    x, asked = _scaled(x, asked, _chosen(x, y))
    kept = np.arange(len(x)) * _CHUNKS // len(x) % 4 != 3
    strength = 1.0
    if kept.sum() >= 4 and (~kept).any():
        tried = _solutions(x[kept], y[kept], x[~kept])
        errors = [float(((a - y[~kept]) ** 2).mean()) for a in tried]
        strength = float(_STRENGTHS[int(np.argmin(errors))])
    (answer,) = _solutions(x, y, asked, np.array([strength]))
    return _bounded(answer, y)


def trees(x: Floats, y: Floats, asked: Floats) -> Floats:
    """As ``ridge``, by gradient boosting; one model for each column of ``y``."""
    from sklearn.ensemble import (  # noqa: PLC0415  (a quarter of a second to load)
        HistGradientBoostingRegressor,
    )

    chosen = _chosen(x, y)
    chosen = chosen[_moving(x[:, chosen])]
    if not len(chosen):
        return mean(y, len(asked))
    columns = []
    for target in y.T:
        if np.ptp(target) == 0:
            columns.append(np.full(len(asked), target[0]))
            continue
        model = HistGradientBoostingRegressor(
            max_iter=max(MIN_ROUNDS, min(ROUNDS, 4 * ROUNDS // y.shape[1])),
            learning_rate=RATE,
            max_leaf_nodes=15,
            min_samples_leaf=int(np.clip(len(x) // 20, 3, 20)),
            l2_regularization=1.0,
            max_bins=63,
            early_stopping=False,
            random_state=_SEED,
        )
        model.fit(x[:, chosen], target)
        columns.append(np.asarray(model.predict(asked[:, chosen])))
    return _bounded(np.column_stack(columns), y)


def mean(y: Floats, count: int) -> Floats:
    """Answer with the mean (for classes: with their shares), shape [count, k]."""
    return np.tile(y.mean(axis=0), (count, 1))


def last(y: Floats, count: int) -> Floats:
    """Answer with the newest known value, shape [count, k]."""
    return np.tile(y[-1], (count, 1))


def _bounded(answer: Floats, y: Floats) -> Floats:
    """Keep answers within what was seen, and shares of classes to a sum of one."""
    low, high = y.min(axis=0), y.max(axis=0)
    margin = 0.1 * (high - low) if y.shape[1] == 1 else 0.0
    answer = np.clip(answer, low - margin, high + margin)
    if y.shape[1] > 1:
        answer = (answer + 1e-6) / (answer + 1e-6).sum(axis=1, keepdims=True)
    return np.asarray(answer)


def _chosen(x: Floats, y: Floats) -> Ints:
    """Return at most ``MOST_TAGS`` columns: those that go with the target most."""
    if x.shape[1] <= MOST_TAGS:
        return np.arange(x.shape[1])
    filled = _filled(x, _middle(x))
    spread = filled.std(axis=0)
    apart = (filled - filled.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    together = np.abs(apart.T @ (y - y.mean(axis=0))).max(axis=1)
    return np.sort(np.argsort(-together, kind="stable")[:MOST_TAGS])


def _moving(x: Floats) -> NDArray[np.bool_]:
    """Return which columns have two values at least; the trees cannot bin others."""
    low = np.where(np.isfinite(x), x, np.inf).min(axis=0)
    high = np.where(np.isfinite(x), x, -np.inf).max(axis=0)
    return np.asarray(high > low)


def _middle(x: Floats) -> Floats:
    known = np.isfinite(x).any(axis=0)
    middle = np.zeros(x.shape[1])
    if known.any():
        middle[known] = np.nanmedian(x[:, known], axis=0)
    return middle


def _filled(x: Floats, middle: Floats) -> Floats:
    return np.where(np.isfinite(x), x, middle)


def _scaled(x: Floats, asked: Floats, chosen: Ints) -> tuple[Floats, Floats]:
    x, asked = x[:, chosen], asked[:, chosen]
    middle = _middle(x)
    x, asked = _filled(x, middle), _filled(asked, middle)
    low, high = np.quantile(x, (0.005, 0.995), axis=0)
    body = np.clip(x, low, high)
    centre, spread = body.mean(axis=0), body.std(axis=0)
    spread = np.where(spread > 0, spread, x.std(axis=0))
    spread = np.where(spread > 0, spread, 1.0)
    return (
        np.clip((x - centre) / spread, -CLIPPED, CLIPPED),
        np.clip((asked - centre) / spread, -CLIPPED, CLIPPED),
    )


def _solutions(
    x: Floats, y: Floats, asked: Floats, strengths: Floats = _STRENGTHS
) -> list[Floats]:
    """Return the answers for each strength (in units of the mean eigenvalue)."""
    centre, level = x.mean(axis=0), y.mean(axis=0)
    values, vectors = np.linalg.eigh((x - centre).T @ (x - centre))
    values = np.maximum(values, 0.0)
    turned = vectors.T @ ((x - centre).T @ (y - level))
    unit = float(values.mean()) or 1.0
    seen = (asked - centre) @ vectors
    return [
        seen @ (turned / (values + strength * unit)[:, None]) + level
        for strength in strengths
    ]
