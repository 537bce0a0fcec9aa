"""Operating regimes: each channel is measured against what is usual in its own regime.

A machine that runs at six loads shows the load in every sensor, a hundred times larger
than its wear. The regime of a row is the nearest of a few centres of the declared
settings; each channel is taken less its mean in that regime, over its spread there.

There are as many regimes as the settings themselves show: the fewest centres that leave
less than ``TIGHT`` of the settings' variance unexplained, and one if no small number
does (then the settings vary freely and are channels like others).

Source: K-means of settings and normalisation by regime for C-MAPSS: J. Xu, Y. Wang, L.
Xu, "PHM-oriented integrated fusion prognostics for aircraft engines", IEEE Trans. Ind.
Electron. 61 (2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans

from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices, Windows

MOST = 8
TIGHT = 0.02
_STILL = 1e-9
_SAMPLE = 2000


@dataclass(frozen=True, kw_only=True)
class Regimes:
    """What is usual in each regime.

    Attributes:
        settings: Columns of the settings.
        centres: Their values at the centre of each regime, over ``unit``, [K, S].
        unit: Spread of each setting, [S].
        kept: Columns that move within a regime, and are used.
        mean, scale: Of each kept column in each regime, [K, kept].
    """

    settings: Indices
    centres: Floats
    unit: Floats
    kept: Indices
    mean: Floats
    scale: Floats

    def __len__(self) -> int:
        """Return the number of regimes (K)."""
        return len(self.centres)

    def place(self, x: np.ndarray) -> Indices:
        """Return the regime of each row, [...], of rows [..., C]."""
        if len(self) == 1:
            return np.zeros(x.shape[:-1], dtype=np.int64)
        at = x[..., self.settings].astype(np.float64) / self.unit
        return np.asarray(np.argmax(_nearness(at, self.centres), axis=-1))

    def of(self, x: np.ndarray) -> Floats:
        """Return the kept channels of windows [N, T, C], as usual in their regime."""
        place = self.place(x)
        rows = x[..., self.kept].astype(np.float64)
        return np.asarray((rows - self.mean[place]) / self.scale[place])

    def add(self, writer: GraphWriter, raw: str) -> str:
        """Add the same to a graph; ``raw`` is [N, T, C] in double."""
        rows = writer.pick(raw, self.kept)
        if len(self) == 1:
            mean = writer.constant(self.mean, "usual")
            factor = writer.constant(1.0 / self.scale, "over_spread")
        else:
            one_hot = self._one_hot(writer, raw)
            mean = writer.add("MatMul", one_hot, writer.constant(self.mean, "usual"))
            over = writer.constant(1.0 / self.scale, "over_spread")
            factor = writer.add("MatMul", one_hot, over)
        return writer.add("Mul", writer.add("Sub", rows, mean), factor, hint="unusual")

    def _one_hot(self, writer: GraphWriter, raw: str) -> str:
        at = writer.pick(raw, self.settings)
        at = writer.add("Mul", at, writer.constant(1.0 / self.unit, "per_spread"))
        toward = writer.constant(2.0 * self.centres.T, "toward")
        offset = writer.constant(np.sum(self.centres**2, axis=1), "offset")
        near = writer.add("Sub", writer.add("MatMul", at, toward), offset, hint="near")
        best = writer.add("ArgMax", near, axis=2, keepdims=1)
        each = writer.constant(np.arange(len(self)), "each_regime")
        return writer.add("Cast", writer.add("Equal", best, each), to=writer.DOUBLE)


def regimes_of(
    fit: Windows, settings: Sequence[int], rng: np.random.Generator
) -> Regimes:
    """Return the regimes of the fit part, by the newest row of each window.

    Args:
        fit: Windows, [N, T, C].
        settings: Columns of the declared settings; none: one regime.
        rng: For the clustering.
    """
    rows = fit[:, -1].astype(np.float64)
    columns = np.array([one for one in settings if np.ptp(rows[:, one]) > 0], dtype=int)
    unit = rows[:, columns].std(axis=0)
    at = rows[:, columns] / unit
    centres = _centres(at, rng) if len(columns) else np.zeros((1, 0))
    place = np.argmax(_nearness(at, centres), axis=1)
    groups = [rows[place == one] for one in range(len(centres))]
    mean = np.array([group.mean(axis=0) for group in groups])
    spread = np.array([group.std(axis=0) for group in groups])
    still = (spread <= _STILL * (np.abs(mean) + _STILL)).all(axis=0)
    if len(centres) > 1:
        still[columns] = True
    kept = np.flatnonzero(~still)
    usual = np.maximum(spread[:, kept], spread[:, kept].max(axis=0) * 1e-3)
    return Regimes(
        settings=columns,
        centres=centres,
        unit=unit,
        kept=kept,
        mean=mean[:, kept],
        scale=usual,
    )


def _centres(at: Floats, rng: np.random.Generator) -> Floats:
    sample = (
        at if len(at) <= _SAMPLE else at[rng.choice(len(at), _SAMPLE, replace=False)]
    )
    total = float(np.sum((sample - sample.mean(axis=0)) ** 2))
    seed = int(rng.integers(2**31))
    for count in range(2, MOST + 1):
        if count >= len(np.unique(sample, axis=0)):
            break
        found = KMeans(count, n_init=2, random_state=seed).fit(sample)
        smallest = np.bincount(found.labels_, minlength=count).min()
        if found.inertia_ < TIGHT * total and smallest >= len(sample) * 0.01:
            return np.asarray(found.cluster_centers_, dtype=np.float64)
    return np.asarray(sample.mean(axis=0, keepdims=True))


def _nearness(at: Floats, centres: Floats) -> Floats:
    """Return what is largest for the nearest centre: the distance less what all share."""
    return np.asarray(2.0 * at @ centres.T - np.sum(centres**2, axis=1))
