"""Windows to ask a model about: between those of the training data, or anywhere.

Windows between others look like the plant's own and are never rows of the training data.
"""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import NearestNeighbors

from tundish.learn.errors import MaterialUnfitError
from tundish.learn.material import Floats, Windows

NEIGHBOURS = 8
LEAST = 8
MOST = 4000
_INNER = (0.2, 0.8)


def between(x: Windows, count: int, rng: np.random.Generator) -> Windows:
    """Return windows between near neighbours of some windows.

    A window lies at 20 to 80 % of the way from one window to one of its eight nearest
    (by standardised values), so it keeps to the range and the correlations of the data.

    Args:
        x: Windows of the plant, float32 [N, T, C].
        count: How many are made.
        rng: Source of randomness.

    Returns:
        float32 [count, T, C].

    Raises:
        MaterialUnfitError: if there are fewer than eight different windows.
    """
    flat = np.unique(x.reshape(len(x), -1), axis=0)
    if len(flat) < LEAST:
        msg = f"There are {len(flat)} different windows; at least {LEAST} are needed to make questions."
        raise MaterialUnfitError(msg)
    if len(flat) > MOST:
        flat = flat[rng.choice(len(flat), MOST, replace=False)]
    wide = flat.astype(np.float64)
    spread = wide.std(axis=0)
    standard = wide / np.where(spread > 0, spread, 1.0)
    most = min(NEIGHBOURS, len(flat) - 1)
    near = NearestNeighbors(n_neighbors=most + 1).fit(standard)
    neighbours = near.kneighbors(standard, return_distance=False)
    first = rng.integers(len(flat), size=count)
    second = neighbours[first, rng.integers(1, most + 1, size=count)]
    share = rng.uniform(*_INNER, size=(count, 1))
    mixed = wide[first] * (1 - share) + wide[second] * share
    return np.asarray(mixed, np.float32).reshape(count, *x.shape[1:])


def anywhere(
    low: Floats, high: Floats, rows: int, count: int, rng: np.random.Generator
) -> Windows:
    """Return windows drawn evenly from the range of each channel.

    Args:
        low: Lower end of each channel, [C].
        high: Upper end of each channel, [C].
        rows: Rows of a window.
        count: How many are made.
        rng: Source of randomness.

    Returns:
        float32 [count, rows, C].
    """
    drawn = rng.uniform(low, high, size=(count, rows, len(low)))
    return np.asarray(drawn, np.float32)
