"""What ``boost_life`` asks of a window, and the trees that answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import lightgbm
import numpy as np

from tundish.learn import trees
from tundish.learn.bank import Bank
from tundish.learn.crowd import Crowd
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices, Windows
from tundish.learn.regimes import Regimes

_RIDGE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Health:
    """Straight estimates of the life left from one row, one for each fold.

    Attributes:
        weights: Of each kept channel, [kept, folds].
    """

    weights: Floats

    def shares(self, looked: Floats) -> Floats:
        """Return each channel's share of the health, [N, kept], rows adding up to 1.

        Args:
            looked: The kept channels as one look sees them, [N, kept].
        """
        part = np.abs(looked * self.weights.mean(axis=1)) + 1e-12
        return np.asarray(part / part.sum(axis=1, keepdims=True))

    def add_shares(self, writer: GraphWriter, looked: str) -> str:
        """Add the same to a graph."""
        mean = writer.constant(self.weights.mean(axis=1), "health_mean")
        part = writer.add("Abs", writer.add("Mul", looked, mean))
        part = writer.add("Add", part, writer.constant(np.array(1e-12), "tiny"))
        return writer.add("Div", part, writer.sum_last(part, "whole"), hint="shares")


@dataclass(frozen=True, kw_only=True)
class Looks:
    """From a window to the features of the trees, [N, K * (kept + folds)]."""

    regimes: Regimes
    bank: Bank
    health: Health

    @property
    def channel(self) -> Indices:
        """Return the account of each feature: a kept channel, or the health (last)."""
        kept, folds = self.health.weights.shape
        each = np.concatenate([np.arange(kept), np.full(folds, kept)])
        return np.tile(each, len(self.bank)).astype(np.int64)

    def fold_of(self) -> Indices:
        """Return the fold that each feature belongs to; -1: to all."""
        kept, folds = self.health.weights.shape
        each = np.concatenate([np.full(kept, -1), np.arange(folds)])
        return np.tile(each, len(self.bank)).astype(np.int64)

    def add(self, writer: GraphWriter, raw: str) -> str:
        """Add the features to a graph; see ``trees.BuildFeatures``."""
        return self.add_all(writer, raw)[0]

    def add_all(self, writer: GraphWriter, raw: str) -> tuple[str, str]:
        """Add the features, and the kept channels as the short look sees them."""
        if len(self.regimes) == 1:  # the looks are sums: the same, at a tenth the cost
            looks = self._looks_of_one_regime(writer, raw)
        else:
            looks = self.bank.add(writer, self.regimes.add(writer, raw))
        weights = writer.constant(self.health.weights, "health")
        health = writer.add("MatMul", looks, weights, hint="health_of")
        both = writer.add("Concat", looks, health, axis=2, hint="both")
        kept, folds = self.health.weights.shape
        shape = writer.constant(np.array([-1, len(self.bank) * (kept + folds)]), "form")
        flat = writer.add("Reshape", both, shape, hint="features")
        place = writer.constant(np.array(self.bank.short), "short")
        return flat, writer.add("Gather", looks, place, axis=1, hint="short_look")

    def _looks_of_one_regime(self, writer: GraphWriter, raw: str) -> str:
        regimes = self.regimes
        looks = self.bank.add(writer, raw)
        looks = writer.pick(looks, regimes.kept)
        usual = self.bank.weights.sum(axis=1, keepdims=True) * regimes.mean
        off = writer.add("Sub", looks, writer.constant(usual, "usual"))
        factor = writer.constant(1.0 / regimes.scale, "over_spread")
        return writer.add("Mul", off, factor, hint="looks")

    def features(self, x: Windows) -> Windows:
        """Return the features as the graph computes them, float32 [N, F]."""
        return trees.features_of(self.add, x)


@dataclass(frozen=True, kw_only=True)
class Trees:
    """See ``life_model.Level``; computes with LightGBM, not with the operator of trees."""

    looks: Looks
    crowd: Crowd

    def told(self, window: Windows) -> tuple[Floats, Floats]:
        """Return the answers [N], and what each kept channel moved them, [N, kept]."""
        looks = self.looks
        features = looks.features(window)
        moved = self.crowd.moved(features)
        weights = looks.bank.weights[looks.bank.short]
        looked = np.einsum("t,ntc->nc", weights, looks.regimes.of(window))
        own = moved[:, :-1] + moved[:, -1:] * looks.health.shares(looked)
        return self.crowd.answers(features), np.asarray(own)

    def add(self, writer: GraphWriter, raw: str) -> tuple[str, str]:
        """Add both to a graph."""
        features, looked = self.looks.add_all(writer, raw)
        level, moved = self.crowd.add(writer, features)
        sizes = writer.constant(np.array([len(self.looks.regimes.kept), 1]), "accounts")
        direct, health = writer.split(moved, sizes)
        shares = self.looks.health.add_shares(writer, looked)
        return level, writer.add("Add", direct, writer.add("Mul", health, shares))


def health_of(rows: Floats, target: Floats, fold: Indices, count: int) -> Health:
    """Fit the straight estimates by ridge regression, each without its own fold.

    Args:
        rows: Kept channels of the newest rows, [N, kept].
        target: Capped life, [N].
        fold: Fold of each window, [N].
        count: Number of folds.
    """
    found = []
    for one in range(count):
        mine = fold != one
        off = rows[mine] - rows[mine].mean(axis=0)
        spread = off.std(axis=0) + 1e-12
        scaled = off / spread
        square = scaled.T @ scaled / len(scaled) + _RIDGE * np.eye(rows.shape[1])
        right = scaled.T @ (target[mine] - target[mine].mean()) / len(scaled)
        found.append(np.linalg.solve(square, right) / spread)
    return Health(weights=np.stack(found, axis=1))


def boosters_of(
    known: tuple[Windows, Floats, Indices],
    looks: Looks,
    settings: dict[str, object],
    *,
    trees: int,
    most_rows: int,
) -> Iterator[tuple[Indices, lightgbm.Booster]]:
    """Yield for each fold its windows and the booster that has not seen their units.

    Args:
        known: Features [N, F], capped life [N] and fold [N] of each window.
        looks: Where the features come from.
        settings: Of LightGBM.
        trees: Trees of each booster.
        most_rows: Windows to train on, at most.
    """
    features, target, fold = known
    owner = looks.fold_of()
    for one in range(int(fold.max()) + 1):
        train = np.flatnonzero(fold != one)
        train = train[:: max(1, -(-len(train) // most_rows))]
        own = features[train].astype(np.float64)
        own[:, (owner >= 0) & (owner != one)] = 0.0  # the health of other folds
        data = lightgbm.Dataset(own, target[train])
        yield np.flatnonzero(fold == one), lightgbm.train(settings, data, trees)
