"""The numbers of a PCA detector: columns of a window, components, statistics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.learn.errors import MaterialUnfitError
from tundish.learn.material import Floats, Indices
from tundish.learn.reach import Reach

Statistics = Literal["both", "t2", "spe"]

_TINY = 1e-12
_STILL = 1e-9


@dataclass(frozen=True, kw_only=True)
class Columns:
    """How a window [T, C] becomes one row of features [F].

    Attributes:
        rows: T.
        names: Name of each channel.
        plain: Channels that enter as they are.
        circular: Channels in degrees that enter as sine and cosine.
        middle, half: Middle and half width of each channel's plausible range, [C].
    """

    rows: int
    names: tuple[str, ...]
    plain: Indices
    circular: Indices
    middle: Floats
    half: Floats

    @property
    def features(self) -> int:
        """Number of features (F)."""
        return self.rows * (len(self.plain) + 2 * len(self.circular))

    @property
    def owner(self) -> Indices:
        """Return the channel of each feature, [F]."""
        return np.concatenate(
            [np.tile(part, self.rows) for part in self._parts()]
        ).astype(np.int64)

    def of(self, window: NDArray[np.floating]) -> Floats:
        """Return the features of windows, [N, F]."""
        wide = window.astype(np.float64)
        radians = np.deg2rad(wide[:, :, self.circular])
        parts = (wide[:, :, self.plain], np.sin(radians), np.cos(radians))
        return np.concatenate([part.reshape(len(wide), -1) for part in parts], axis=1)

    @property
    def reach(self) -> Reach:
        """Return how far windows reach to the edge of the plausible ranges.

        Being far from the fit part is what a score reports; only a value that the
        instrument cannot mean makes a detector keep silent.
        """
        return Reach(middle=self.middle, half=self.half)

    def _parts(self) -> tuple[Indices, Indices, Indices]:
        return self.plain, self.circular, self.circular


@dataclass(frozen=True, kw_only=True)
class PcaModel:
    """A fitted detector.

    Attributes:
        columns: How features are made.
        mean, std: Of each feature in the fit part, [F].
        vectors: Components, [F, k].
        variances: Variance along each component, [k].
        t2_limit, spe_limit: What the statistics are divided by.
        statistics: Which of them count.
    """

    columns: Columns
    mean: Floats
    std: Floats
    vectors: Floats
    variances: Floats
    t2_limit: float
    spe_limit: float
    statistics: Statistics

    def score(self, window: NDArray[np.floating]) -> Floats:
        """Return the score of windows, [N]; 1.0 lies at the limit."""
        t2, spe = self.distances(window)
        if self.statistics == "t2":
            return t2 / self.t2_limit
        if self.statistics == "spe":
            return spe / self.spe_limit
        return np.maximum(t2 / self.t2_limit, spe / self.spe_limit)

    def distances(self, window: NDArray[np.floating]) -> tuple[Floats, Floats]:
        """Return T2 and SPE of windows, [N] each."""
        features = self._standard(window)
        scores = features @ self.vectors
        off = features - scores @ self.vectors.T
        return np.sum(scores**2 / self.variances, axis=1), np.sum(off**2, axis=1)

    def contribution(self, window: NDArray[np.floating]) -> Floats:
        """Return the share of each channel in the statistics that count, [N, C]."""
        features = self._standard(window)
        shares = np.zeros_like(features)
        if self.statistics != "spe":
            along = (features @ self.vectors) / np.sqrt(self.variances)
            shares += (along @ self.vectors.T) ** 2 / self.t2_limit
        if self.statistics != "t2":
            off = features - (features @ self.vectors) @ self.vectors.T
            shares += off**2 / self.spe_limit
        channels = len(self.columns.names)
        by_channel = np.zeros((len(features), channels))
        np.add.at(by_channel.T, self.columns.owner, shares.T)
        by_channel += _TINY
        return np.asarray(by_channel / by_channel.sum(axis=1, keepdims=True))

    def with_limit(self, limit: float) -> PcaModel:
        """Return the model whose score is 1.0 where it was ``limit``."""
        return replace(
            self, t2_limit=self.t2_limit * limit, spe_limit=self.spe_limit * limit
        )

    def _standard(self, window: NDArray[np.floating]) -> Floats:
        return np.asarray((self.columns.of(window) - self.mean) / self.std)


def columns_of(scenario: Scenario) -> Columns:
    """Return the columns of a scenario's window."""
    names, circular, ranges = [], [], []
    for signal in scenario.signals:
        names += [signal.name] * signal.channels
        circular += [signal.circular] * signal.channels
        ranges += [signal.range] * signal.channels
    low, high = np.asarray(ranges, dtype=np.float64).T
    turning = np.asarray(circular)
    return Columns(
        rows=scenario.window.rows,
        names=tuple(names),
        plain=np.flatnonzero(~turning).astype(np.int64),
        circular=np.flatnonzero(turning).astype(np.int64),
        middle=(low + high) / 2.0,
        half=(high - low) / 2.0,
    )


def fit_pca(
    x: NDArray[np.float32],
    columns: Columns,
    explained: float,
    statistics: Statistics,
    rate: float,
) -> PcaModel:
    """Fit components on normal windows and scale both statistics to their quantile.

    Args:
        x: Normal windows, [N, T, C], N > F.
        columns: How features are made.
        explained: Share of variance that the components must explain.
        statistics: Which statistics count.
        rate: Share of fit windows that lie beyond the scale of each statistic.

    Raises:
        MaterialUnfitError: if a feature does not move.
    """
    raw = columns.of(x)
    mean, std = raw.mean(axis=0), raw.std(axis=0, ddof=1)
    still = np.flatnonzero(std <= _STILL * np.maximum(1.0, np.abs(mean)))
    if len(still):
        name = columns.names[columns.owner[still[0]]]
        msg = f"The signal {name!r} has the same value in all {len(x)} windows of the fit part."
        raise MaterialUnfitError(msg)
    features = (raw - mean) / std
    values, vectors = np.linalg.eigh(features.T @ features / (len(x) - 1))
    values, vectors = values[::-1], vectors[:, ::-1]
    k = _components(values, explained, statistics)
    model = PcaModel(
        columns=columns,
        mean=mean,
        std=std,
        vectors=vectors[:, :k],
        variances=np.maximum(values[:k], _TINY),
        t2_limit=1.0,
        spe_limit=1.0,
        statistics=statistics,
    )
    t2, spe = model.distances(x)
    scale = [
        max(float(np.quantile(part, 1.0 - rate, method="higher")), _TINY)
        for part in (t2, spe)
    ]
    return replace(model, t2_limit=scale[0], spe_limit=scale[1])


def _components(values: Floats, explained: float, statistics: Statistics) -> int:
    share = np.cumsum(values) / np.sum(values)
    k = int(np.searchsorted(share, explained - _TINY)) + 1
    most = len(values) if statistics == "t2" or len(values) == 1 else len(values) - 1
    return min(k, most)
