"""The recipe ``moving``: the newest rows against a forgetting mean of the older ones.

Each window brings its own middle: the older rows are averaged with weights that halve
every ``half_life`` rows, and the newest rows are held against that. A level that wanders
over days (season, wear, fouling) moves both and is never an alarm; a change within the
window is. The price is said frankly: a fault that stands longer than the window becomes
the new normal. Use it where levels wander and changes matter; beside a recipe with a
fixed middle where both do.

What is usual is learnt from the fit part: the covariance of these differences, with a
floor under its quiet directions.

Sources: W. Li, H. H. Yue, S. Valle-Cervantes, S. J. Qin, J. Process Control 10 (2000)
471 (recursive PCA with forgetting); X. Wang, U. Kruger, G. W. Irwin, Ind. Eng. Chem.
Res. 44 (2005) 5691 (moving windows). Both update the model on the line; here the middle
alone moves and moves inside the graph, so that what was judged is what runs.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from pydantic import Field

from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Task
from tundish.kernel.records import Record
from tundish.learn import recipe as recipes
from tundish.learn.errors import OptionsInvalidError
from tundish.learn.material import Floats, Material
from tundish.learn.recipe import Fitted, Options
from tundish.learn.recipes.detector import Normal, finish
from tundish.learn.recipes.quadratic import QuadraticModel, Statistic
from tundish.learn.recipes.rows import RowColumns, fit_columns


class MovingOptions(Record):
    """Options of the recipe ``moving``.

    Attributes:
        newest: Newest rows that are averaged; None: a quarter of the window.
        half_life: Rows after which an older row counts half; None: half of the older
            rows.
        ridge: Floor of the scatter of any direction, as a share of a column's variance.
    """

    newest: int | None = Field(default=None, ge=1, le=100_000)
    half_life: float | None = Field(default=None, gt=0)
    ridge: float = Field(default=1e-3, gt=0, le=10)


class MovingRecipe:
    """The newest rows against the window's own middle; see the module."""

    name: Final = "moving"
    task: Final[Task] = "anomaly"
    simplicity: Final = 1

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,  # noqa: ARG002  (every recipe is given one; nothing here is random)
    ) -> Fitted:
        """Fit the covariance of changes and calibrate the limit; see ``Recipe.fit``."""
        chosen = recipes.read_options(options, MovingOptions, self.name)
        rows = scenario.window.rows
        newest = chosen.newest or max(1, rows // 4)
        if newest >= rows:
            msg = f"The recipe 'moving' holds the newest {newest} rows against older ones, and the window has {rows} rows."
            raise OptionsInvalidError(msg)
        half_life = chosen.half_life or (rows - newest) / 2.0
        normal = Normal.of(material)
        columns = fit_columns(normal.fit.x, scenario)
        weights = weights_of(rows, newest, half_life)
        matrix = _inverse(normal.fit, columns, weights, chosen.ridge)
        model = QuadraticModel(
            columns=columns,
            size=1,
            step=1,
            statistics=(Statistic(name="change", matrix=matrix),),
            weights=weights,
        )
        return finish(
            self.name,
            model,
            normal,
            scenario,
            chosen={"newest": newest, "half_life": half_life, "ridge": chosen.ridge},
            notes=(
                f"the newest {newest} rows against {rows - newest} older ones, which "
                f"count half every {half_life:g} rows; a fault that stands longer than "
                "the window becomes the new normal",
            ),
        )


def weights_of(rows: int, newest: int, half_life: float) -> Floats:
    """Return the weight of each row, newest less older, [1, T]; they sum to 0."""
    age = np.arange(rows - newest, 0, -1) - 1.0
    older = 0.5 ** (age / half_life)
    return np.concatenate([-older / older.sum(), np.full(newest, 1.0 / newest)])[None]


def _inverse(
    fit: Material, columns: RowColumns, weights: Floats, ridge: float
) -> Floats:
    change = np.einsum("t,ntf->nf", weights[0], columns.of(fit.x))
    spread = np.sqrt(np.mean(change**2, axis=0))
    spread = np.where(spread > 0.0, spread, 1.0)
    scaled = change / spread
    alike = scaled.T @ scaled / len(scaled) + ridge * np.eye(len(spread))
    return np.asarray(np.linalg.inv(alike) / np.outer(spread, spread))
