"""How far a window lies from what a PLS model knows: the soft sensor's applicability.

Two distances in the space of the best setting's features: T2 (how far along the
components) and Q (how far off them), J. E. Jackson, G. S. Mudholkar, Technometrics 21
(1979) 341. Each is divided by the largest value that a calibration sample had (fit
samples as seen by models that never saw them; the select part). The square root of
the larger is a distance in multiples of the farthest calibration sample.

The limit is that distance times a declared margin: no rate is promised. A conformal
limit would promise one only if the run resembled the calibration samples; as a batch
turns sugar into ethanol its spectra leave them steadily, with the estimate still true.
An estimate that leaves the target's own range by more than the tolerance is beyond the
limit too. What this stops is the gross: another medium, a shifted axis, a doubled
signal. A disturbance that looks like the analyte itself it cannot see.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.learn.material import Floats, Material
from tundish.learn.recipes.pls_search import Linear, PlsOptions, Setting, fit_linear
from tundish.learn.recipes.pls_search import folds as fold_of
from tundish.learn.recipes.spectra import Layout, Preparation

_TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class Distance:
    """The calibrated distance.

    Attributes:
        preparation: How features are made.
        model: The PLS model whose components are used.
        variance: Variance of each component's scores in the fit part, [k].
        farthest: Largest T2 and Q of the calibration samples.
        margin: How many times as far is the limit.
    """

    preparation: Preparation
    model: Linear
    variance: Floats
    farthest: tuple[float, float]
    margin: float

    def of(self, window: NDArray[np.float32], layout: Layout) -> Floats:
        """Return how far windows lie from the model, [n]; 1.0 lies at the limit."""
        features = self.preparation.features(window, layout)
        t2, q = _statistics(features, self.model, self.variance)
        worst = np.maximum(t2 / self.farthest[0], q / self.farthest[1])
        return np.asarray(np.sqrt(worst) / self.margin)


@dataclass(frozen=True, kw_only=True)
class Plausible:
    """Which estimates can be true at all.

    Attributes:
        middle: Middle of the target's range.
        reach: Half its width plus the tolerance.
    """

    middle: float
    reach: float

    def of(self, estimate: Floats) -> Floats:
        """Return how far estimates reach to the edge; 1.0 lies at the edge."""
        return np.asarray(np.abs(estimate - self.middle) / self.reach)


def plausible(scenario: Scenario) -> Plausible:
    """Return which estimates a scenario holds possible."""
    if scenario.target is None:
        return Plausible(middle=0.0, reach=np.inf)
    low, high = scenario.target.range
    tolerance = scenario.acceptance.tolerance or 0.0
    return Plausible(middle=(low + high) / 2.0, reach=(high - low) / 2.0 + tolerance)


def calibrated_distance(
    setting: Setting,
    fit: Material,
    select: Material,
    layout: Layout,
    options: PlsOptions,
) -> Distance:
    """Return the distance of the best setting, calibrated on fit and select."""
    features = setting.preparation.features(fit.x, layout)
    seen: list[tuple[Floats, Floats]] = []
    for out in fold_of(fit):
        rest = np.setdiff1d(np.arange(len(fit)), out)
        left = fit_linear(
            features[rest], fit.y[rest], setting.components, scale=options.scale
        )
        spread = _variance(features[rest], left)
        seen.append(_statistics(features[out], left, spread))
    model = fit_linear(features, fit.y, setting.components, scale=options.scale)
    variance = _variance(features, model)
    if len(select):
        chosen = setting.preparation.features(select.x, layout)
        seen.append(_statistics(chosen, model, variance))
    moved = float(np.sum(np.var(features / model.spread, axis=0)))
    return Distance(
        preparation=setting.preparation,
        model=model,
        variance=variance,
        farthest=(
            max(float(t2.max()) for t2, _ in seen),
            max(_TINY * moved, *(float(q.max()) for _, q in seen)),
        ),
        margin=options.envelope_margin,
    )


def _variance(features: Floats, model: Linear) -> Floats:
    scores = _centred(features, model) @ model.pls.x_rotations_
    return np.asarray(scores.var(axis=0, ddof=1))


def _centred(features: Floats, model: Linear) -> Floats:
    return np.asarray((features - model.middle) / model.spread)


def _statistics(
    features: Floats, model: Linear, variance: Floats
) -> tuple[Floats, Floats]:
    centred = _centred(features, model)
    scores = centred @ model.pls.x_rotations_
    off = centred - scores @ model.pls.x_loadings_.T
    return np.sum(scores**2 / variance, axis=1), np.sum(off**2, axis=1)
