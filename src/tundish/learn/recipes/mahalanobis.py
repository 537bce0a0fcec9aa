"""The recipe ``mahalanobis``: distance from the normal cloud, averaged over the window.

Every column may matter, also the directions in which normal operation hardly scatters:
there lie the relations (balances, controllers) that a fault breaks first, and a model
that keeps only the largest components throws them away. So the whole covariance is
used, with three safeguards against trusting it too far:

- **floor** (``ridge``): no direction is believed to scatter less than that share of a
  column's variance. The default of 0.001 says that a relation between tags is trusted
  to 3 % of a tag's own scatter, about what instruments repeat. ``ledoit-wolf`` shrinks
  by the estimate of O. Ledoit, M. Wolf, J. Multivariate Analysis 88 (2004) 365 instead.
- **drift**: the covariance of the means of five successive stretches of the fit part is
  added, ``drift`` times. A direction in which the fit part itself wanders will wander on,
  and is believed less; where nothing wanders this adds next to nothing.
- **lags**: neighbouring rows stand side by side, as many as the fit part supports with
  three vectors a column, at most a quarter of the window.

The statistic of each block is averaged over the window. A limit from few independent
windows is raised to what these few support (``calibration.few_limit``).

Sources: H. Hotelling, "Multivariate quality control" (1947); W. Ku et al. (1995) 179
(lags); C. F. Alcala, S. J. Qin, Automatica 45 (2009) 1593 (contributions).
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from pydantic import Field
from sklearn.covariance import LedoitWolf

from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Task
from tundish.kernel.records import Record
from tundish.learn import recipe as recipes
from tundish.learn.material import Floats, Material
from tundish.learn.recipe import Fitted, Options
from tundish.learn.recipes.detector import Normal, finish
from tundish.learn.recipes.quadratic import (
    BUDGET,
    QuadraticModel,
    Statistic,
    auto_step,
)
from tundish.learn.recipes.rows import fit_columns, vectors_of

STRETCHES = 5
_VECTORS_A_COLUMN = 3
_BLOCKS_LEAST = 4


class MahalanobisOptions(Record):
    """Options of the recipe ``mahalanobis``.

    Attributes:
        lags: Earlier rows beside each row; None: as many as the data support.
        shrink: How directions of little scatter are kept from being trusted too far.
        ridge: Floor of the scatter of any direction, as a share of a column's variance.
        drift: How often the scatter of the stretches' means is added.
    """

    lags: int | None = Field(default=None, ge=0, le=1000)
    shrink: Literal["ridge", "ledoit-wolf"] = "ridge"
    ridge: float = Field(default=1e-3, gt=0, le=10)
    drift: float = Field(default=5.0, ge=0, le=1000)


class MahalanobisRecipe:
    """Distance from the normal cloud; see the module."""

    name: Final = "mahalanobis"
    task: Final[Task] = "anomaly"
    simplicity: Final = 1

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,  # noqa: ARG002  (every recipe is given one; nothing here is random)
    ) -> Fitted:
        """Fit the covariance and calibrate the limit; see ``Recipe.fit``."""
        chosen = recipes.read_options(options, MahalanobisOptions, self.name)
        normal = Normal.of(material)
        columns = fit_columns(normal.fit.x, scenario)
        rows = scenario.window.rows
        size = block_size(normal.fit, rows, columns.width, chosen.lags)
        vectors = vectors_of(normal.fit, columns, size)
        matrix: Floats = np.asarray(np.linalg.inv(_covariance(vectors, chosen)), float)
        step = auto_step(rows, size, columns.width)
        model = QuadraticModel(
            columns=columns,
            size=size,
            step=step,
            statistics=(Statistic(name="distance", matrix=matrix),),
        )
        return finish(
            self.name,
            model,
            normal,
            scenario,
            chosen={
                "lags": size - 1,
                "shrink": chosen.shrink,
                "ridge": chosen.ridge,
                "drift": chosen.drift,
                "step": step,
            },
            notes=(
                f"{len(vectors)} vectors of {size} rows x {columns.width} columns; "
                f"blocks every {step} rows, averaged over {rows} rows",
            ),
            libraries=("numpy", "onnx", "scikit-learn"),
        )


def block_size(fit: Material, rows: int, width: int, lags: int | None) -> int:
    """Return the rows of a block: as asked, or what the fit part and ``BUDGET`` allow."""
    if lags is not None:
        return min(lags + 1, rows)
    supported = (len(fit) + rows - 1) // (_VECTORS_A_COLUMN * width)
    quick = BUDGET // (rows * width**2)
    return max(1, min(supported, quick, rows // _BLOCKS_LEAST))


def _covariance(vectors: Floats, options: MahalanobisOptions) -> Floats:
    if options.shrink == "ledoit-wolf":
        base = np.asarray(LedoitWolf().fit(vectors).covariance_)
    else:
        base = np.atleast_2d(np.cov(vectors.T))
    return base + options.drift * drift_of(vectors) + options.ridge * np.eye(len(base))


def drift_of(vectors: Floats) -> Floats:
    """Return the covariance of the means of successive stretches, [F, F]."""
    parts = np.array_split(vectors, min(STRETCHES, len(vectors)))
    means = np.stack([part.mean(axis=0) for part in parts])
    return np.atleast_2d(np.cov(means.T))
