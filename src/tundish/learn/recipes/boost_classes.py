"""The recipe ``boost_classes``: which fault it is, by boosted trees on features of courses.

Features of each signal's course (``learn.courses``: statistics, equal pieces, spectrum,
envelope spectrum, orders), gradient boosting with a softmax over classes, stopped early on
held-out folds; probabilities by temperature, a reject option by conformal calibration.

Sources: G. Ke et al., "LightGBM: A Highly Efficient Gradient Boosting Decision Tree",
NeurIPS 2017; J. H. Friedman, Annals of Statistics 29 (2001) 1189; for the features see
``learn.courses``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import lightgbm
import numpy as np

from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Task
from tundish.learn import recipe as recipes
from tundish.learn import trees
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
from tundish.learn.shares import shares

MOST_ROUNDS = 300
PATIENCE = 15
_PARAMS: Final = {
    "objective": "multiclass",
    "learning_rate": 0.1,
    "num_leaves": 15,
    "min_data_in_leaf": 5,
    "lambda_l2": 1.0,
    "feature_fraction": 0.25,
    "max_bin": 63,
    "force_col_wise": True,
    "deterministic": True,
    "num_threads": 1,
    "verbosity": -1,
}


@dataclass(frozen=True, kw_only=True)
class _Trees:
    booster: lightgbm.Booster
    signal_of: Indices
    count: int

    def scores(self, features: Windows | Floats) -> Floats:
        return trees.raw_scores(self.booster, features.astype(np.float32))

    def parts(self, features: Windows | Floats) -> Floats:
        return shares(self.booster, self.signal_of, features.astype(np.float32))

    def add(self, writer: GraphWriter, features: str) -> tuple[str, str]:
        together = trees.add_trees(writer, features, self.booster, self.signal_of)
        signals = int(self.signal_of.max()) + 1
        sizes = writer.constant(np.array([self.count, self.count * signals]), "sizes")
        scores, parts = writer.add_pair("Split", together, sizes, axis=1)
        shape = writer.constant(np.array([-1, self.count, signals]), "parts_shape")
        return scores, writer.add("Reshape", parts, shape, hint="parts")


@dataclass(frozen=True, kw_only=True)
class _Boosting:
    seed: int
    name: str = field(default="boost_classes")
    library: str = field(default="lightgbm")

    def features(self, courses: Courses, x: Windows) -> Windows:
        """Return the features as the graph computes them."""
        return trees.features_of(courses.build(), x)

    def trial(self, learn: Sample, held: Sample) -> tuple[Floats, int]:
        """Boost until the held windows are told no better."""
        data = _dataset(learn)
        booster = lightgbm.train(
            self._params(learn),
            data,
            MOST_ROUNDS,
            valid_sets=[_dataset(held, data)],
            callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
        )
        found = booster.predict(
            held.features.astype(np.float64),
            raw_score=True,
            num_iteration=booster.best_iteration,
        )
        return np.asarray(found, dtype=np.float64), max(1, booster.best_iteration)

    def fit(self, learn: Sample, rounds: int) -> _Trees:
        """Boost for as many rounds as were best on held-out windows."""
        booster = lightgbm.train(self._params(learn), _dataset(learn), rounds)
        return _Trees(booster=booster, signal_of=learn.signal_of, count=learn.count)

    def _params(self, learn: Sample) -> dict[str, object]:
        return {**_PARAMS, "num_class": learn.count, "seed": self.seed}


def _dataset(
    sample: Sample, reference: lightgbm.Dataset | None = None
) -> lightgbm.Dataset:
    return lightgbm.Dataset(
        sample.features.astype(np.float64),
        sample.classes.astype(np.float64),
        weight=sample.weights,
        reference=reference,
        params={"max_bin": _PARAMS["max_bin"], "verbosity": -1},
        free_raw_data=False,
    )


class BoostClassesRecipe:
    """Boosted trees on features of courses; see the module."""

    name: Final = "boost_classes"
    task: Final[Task] = "diagnose"

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,
    ) -> Fitted:
        """Choose features and fit; see ``Recipe.fit``."""
        chosen = recipes.read_options(options, ClassOptions, self.name)
        method = _Boosting(seed=int(rng.integers(2**31)))
        sets = sets_of_features(scenario, chosen)
        return fit_classes(method, material, scenario, chosen, sets)
