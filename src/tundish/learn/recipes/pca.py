"""The recipe ``pca``: principal components over a window, with T2 and SPE.

A window of T rows is one long row (dynamic PCA), each column standardised by the fit
part; angles enter as sine and cosine. T2 sees an unusual amount along the components,
SPE an unusual relation between columns. The score is the larger of the two, each over
its limit. The scales of the two come from the fit part; then one limit of the
combined score is calibrated on the calibrate part, so the promised rate needs no
Gaussian assumption and no correction for looking at two statistics.

A stretch marked as an event is no example of normal and is left out of fit and
calibrate; nothing else is left out, and no limit is widened by hand.

Sources: J. E. Jackson, G. S. Mudholkar, Technometrics 21 (1979) 341 (SPE); W. Ku,
R. H. Storer, C. Georgakis, Chemometrics and Intelligent Laboratory Systems 30 (1995)
179 (dynamic PCA); C. F. Alcala, S. J. Qin, Automatica 45 (2009) 1593 (contributions
by complete decomposition, which are never negative and sum to the statistic).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Task
from tundish.kernel.records import Record
from tundish.learn import calibration
from tundish.learn import recipe as recipes
from tundish.learn.material import Material
from tundish.learn.recipe import Fitted, Options, Outputs, Promise
from tundish.learn.recipes.pca_graph import write_graph
from tundish.learn.recipes.pca_model import PcaModel, columns_of, fit_pca
from tundish.learn.space import Among, Between, Space


class PcaOptions(Record):
    """Options of the recipe ``pca``.

    Attributes:
        explained: Share of the variance that the components must explain; at least
            one component is always left to SPE.
        statistics: ``t2``, ``spe``, or the larger of ``both``.
    """

    explained: float = Field(default=0.9, gt=0, le=1)
    statistics: Literal["both", "t2", "spe"] = "both"


@dataclass(frozen=True, kw_only=True)
class _Detector:
    """The trained estimator: computes scores and residuals, not the graph's matrices."""

    model: PcaModel

    def __call__(self, window: NDArray[np.float32]) -> Outputs:
        """Return the outputs for windows, float64."""
        return {
            "score": self.model.score(window)[:, None],
            "contribution": self.model.contribution(window),
            "applicability": self.model.columns.reach.of(window),
        }


class PcaRecipe:
    """Principal components with T2 and SPE; see the module."""

    name: Final = "pca"
    task: Final[Task] = "anomaly"
    simplicity: Final = 1

    def space(self, scenario: Scenario) -> Space:  # noqa: ARG002  (the same for every scenario)
        """Return the options that are worth trying."""
        return {
            "explained": Between(low=0.5, high=0.99),
            "statistics": Among(values=("both", "t2", "spe")),
        }

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,  # noqa: ARG002  (every recipe is given one; nothing here is random)
    ) -> Fitted:
        """Fit components and calibrate the alarm limit; see ``Recipe.fit``."""
        chosen = recipes.read_options(options, PcaOptions, self.name)
        columns = columns_of(scenario)
        normal = material.take(material.event < 0)
        fit = normal.needed("fit", columns.features + 2)
        calibrate = normal.needed("calibrate", 2)
        rate = scenario.acceptance.alarm_rate
        model = fit_pca(fit.x, columns, chosen.explained, chosen.statistics, rate)
        limit, promise = calibration.alarm(model.score(calibrate.x), scenario)
        model = model.with_limit(limit.limit)
        marked = {
            part: int(np.count_nonzero((material.part == part) & (material.event >= 0)))
            for part in ("fit", "calibrate")
        }
        return _fitted(model, fit, promise, marked)


def _fitted(
    model: PcaModel, fit: Material, promise: Promise, marked: dict[str, int]
) -> Fitted:
    detector = _Detector(model=model)
    envelope = recipes.envelope_of(fit, with_target=False)
    golden = recipes.golden_window(envelope, fit.x.shape[1])
    notes = [
        f"{model.vectors.shape[1]} components of {model.columns.features} columns, "
        f"statistics: {model.statistics}"
    ]
    notes += [
        f"{count} windows of the part {part} lie in marked events and were left out"
        for part, count in marked.items()
        if count
    ]
    return Fitted(
        recipe=PcaRecipe.name,
        task="anomaly",
        graph=write_graph(model),
        golden_window=golden,
        golden_outputs=recipes.as_float32(detector(golden)),
        envelope=envelope,
        promise=promise,
        search=(),
        chosen=(
            {"components": model.vectors.shape[1], "statistics": model.statistics},
        ),
        thresholds={"t2_limit": model.t2_limit, "spe_limit": model.spe_limit},
        versions=recipes.versions("numpy", "onnx"),
        notes=tuple(notes),
        reference=detector,
    )
