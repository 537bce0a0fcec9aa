"""The recipe ``iforest``: an isolation forest over statistics of the window.

Trees that split at random isolate an odd window after few splits. It needs no scale, no
shape of the normal cloud and little thought, and finds windows that are odd in one
column; a broken relation between columns that each stay in their range is what it does
not see (on the Tennessee Eastman process it finds half of what a distance finds).

The forest of scikit-learn goes into the graph split by split (thresholds in double
precision, features as the graph computes them). Contributions: each split changes the
expected depth, and the change is that of its column; what shortens the path is summed by
channel. This is computed for each leaf once and stands in the graph beside its depth, so
it costs nothing on the line.

Sources: F. T. Liu, K. M. Ting, Z.-H. Zhou, ICDM 2008 (isolation forest); A. Saabas, 2014
(decomposition of a tree's answer along its path); M. Carletti, M. Terzi, G. A. Susto,
Eng. Appl. Artif. Intell. 119 (2023) 105730 (importance in isolation forests).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from pydantic import Field
from sklearn.ensemble import IsolationForest

from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Task
from tundish.kernel.records import Record
from tundish.learn import recipe as recipes
from tundish.learn.material import Material
from tundish.learn.recipe import Fitted, Options
from tundish.learn.recipes import summary
from tundish.learn.recipes.detector import Normal, finish
from tundish.learn.recipes.iforest_graph import ForestModel, grow
from tundish.learn.recipes.rows import fit_columns
from tundish.learn.trees import features_of


class ForestOptions(Record):
    """Options of the recipe ``iforest``.

    Attributes:
        trees: Number of trees.
        samples: Windows that each tree sees.
    """

    trees: int = Field(default=100, ge=10, le=1000)
    samples: int = Field(default=256, ge=16, le=10_000)


class ForestRecipe:
    """Isolation forest; see the module."""

    name: Final = "iforest"
    task: Final[Task] = "anomaly"

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,
    ) -> Fitted:
        """Grow the forest and calibrate the limit; see ``Recipe.fit``."""
        chosen = recipes.read_options(options, ForestOptions, self.name)
        normal = Normal.of(material)
        columns = fit_columns(normal.fit.x, scenario)
        features = features_of(summary.build(columns), normal.fit.x)
        forest = IsolationForest(
            n_estimators=chosen.trees,
            max_samples=min(chosen.samples, len(features)),
            random_state=int(rng.integers(2**31)),
            n_jobs=1,
        ).fit(features)
        model = ForestModel(
            columns=columns,
            forest=forest,
            trees=grow(forest, summary.owner(columns), len(columns.names)),
        )
        return finish(
            self.name,
            model,
            normal,
            scenario,
            chosen={"trees": chosen.trees, "samples": int(forest.max_samples_)},
            notes=(
                f"{chosen.trees} trees over {features.shape[1]} statistics of the window",
            ),
            libraries=("numpy", "onnx", "scikit-learn"),
        )
