"""The recipe ``linear_classes``: which fault it is, by shrunk linear discriminants.

Classes as Gaussian clouds of one common shape in the space of standardised features
(``learn.courses``), their covariance shrunk towards a sphere so that there may be more
features than windows. It is the plain alternative to boosted trees: where classes differ
by a direction that many features share, it needs fewer windows and is the better one.

A feature beyond ``FAR`` spreads counts as ``FAR``: one broken sensor shall not decide.

Sources: R. A. Fisher, Annals of Eugenics 7 (1936) 179; O. Ledoit, M. Wolf, J. Multivariate
Analysis 88 (2004) 365.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from sklearn.covariance import ledoit_wolf

from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Task
from tundish.learn import recipe as recipes
from tundish.learn.courses import Courses
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices, Material, Windows
from tundish.learn.recipe import Fitted, Options
from tundish.learn.recipes.class_search import (
    ClassOptions,
    Sample,
    fit_classes,
    sets_of_features,
)

FAR = 10.0
_STILL = 1e-7
_ABSENT = -1e3


@dataclass(frozen=True, kw_only=True)
class _Discriminants:
    """Scores that are linear in clipped, standardised features.

    Attributes:
        middle, scale: Of each feature, [F]; scale 0 for one that stood still.
        weight, offset: Of each class, [F, K] and [K].
        signal_of: Signal of each feature, [F].
    """

    middle: Floats
    scale: Floats
    weight: Floats
    offset: Floats
    signal_of: Indices

    def scores(self, features: Windows | Floats) -> Floats:
        return np.asarray(self._standard(features) @ self.weight + self.offset)

    def parts(self, features: Windows | Floats) -> Floats:
        each = self._standard(features)[:, None, :] * self.weight.T
        return np.asarray(each @ self._members())

    def add(self, writer: GraphWriter, features: str) -> tuple[str, str]:
        middle = writer.constant(self.middle, "middle")
        scale = writer.constant(self.scale, "scale")
        off = writer.add("Mul", writer.add("Sub", features, middle), scale)
        ends = [writer.constant(np.array(end), "far") for end in (-FAR, FAR)]
        standard = writer.add("Clip", off, *ends, hint="standard")
        owned = self.weight[:, :, None] * self._members()[:, None, :]  # [F, K, S]
        flat = writer.constant(owned.reshape(len(owned), -1), "weights")
        shape = writer.constant(np.array([-1, *owned.shape[1:]]), "parts_shape")
        parts = writer.add("Reshape", writer.add("MatMul", standard, flat), shape)
        axis = writer.constant(np.array([2]), "axis")
        total = writer.add("ReduceSum", parts, axis, keepdims=0)
        offset = writer.constant(self.offset, "offset")
        return writer.add("Add", total, offset, hint="scores"), parts

    def _standard(self, features: Windows | Floats) -> Floats:
        off = (features.astype(np.float64) - self.middle) * self.scale
        return np.asarray(np.clip(off, -FAR, FAR))

    def _members(self) -> Floats:
        signals = np.arange(int(self.signal_of.max()) + 1)
        member = self.signal_of[:, None] == signals
        return np.asarray(member, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class _Linear:
    name: str = field(default="linear_classes")
    library: str = field(default="scikit-learn")

    def features(self, courses: Courses, x: Windows) -> Floats:
        """Return the features as numpy computes them."""
        return courses.values(x)

    def trial(self, learn: Sample, held: Sample) -> tuple[Floats, int]:
        """Return the held windows' scores; there are no rounds."""
        return self.fit(learn, 0).scores(held.features), 0

    def fit(self, learn: Sample, rounds: int) -> _Discriminants:  # noqa: ARG002
        """Fit the discriminants."""
        features = learn.features.astype(np.float64)
        middle = np.average(features, axis=0, weights=learn.weights)
        spread = features.std(axis=0)
        moves = spread > _STILL * (1.0 + np.abs(middle))
        scale = np.where(moves, 1.0 / np.where(moves, spread, 1.0), 0.0)
        standard = np.clip((features - middle) * scale, -FAR, FAR)
        mass = np.bincount(learn.classes, learn.weights, learn.count)
        means = np.zeros((learn.count, features.shape[1]))
        for place in np.flatnonzero(mass):
            mine = learn.classes == place
            means[place] = np.average(
                standard[mine], axis=0, weights=learn.weights[mine]
            )
        covariance, _ = ledoit_wolf(
            standard - means[learn.classes], assume_centered=True
        )
        weight = np.linalg.solve(covariance, means.T)
        height = 0.5 * np.einsum("kf,fk->k", means, weight)
        share = np.log(np.maximum(mass, 1e-12) / mass.sum())
        return _Discriminants(
            middle=middle,
            scale=scale,
            weight=weight,
            offset=np.where(mass > 0, share - height, _ABSENT),
            signal_of=learn.signal_of,
        )


class LinearClassesRecipe:
    """Shrunk linear discriminants on features of courses; see the module."""

    name: Final = "linear_classes"
    task: Final[Task] = "diagnose"

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,  # noqa: ARG002  (every recipe is given one; nothing here is random)
    ) -> Fitted:
        """Choose features and fit; see ``Recipe.fit``."""
        chosen = recipes.read_options(options, ClassOptions, self.name)
        sets = sets_of_features(scenario, chosen)
        return fit_classes(_Linear(), material, scenario, chosen, sets)
