"""The recipe ``pls``: a soft sensor by partial least squares on prepared spectra.

Everything it does to a window is linear (derivative, region, mean over rows, PLS), so
the whole estimator is one weight for each raw channel and one number added; each
channel's contribution is exact.

Why settings are averaged (``keep: within-one-standard-error``): with a few dozen
samples, many settings of the grid have pooled errors that differ by less than their
own standard error. Which of them comes first is a lottery, and so is its error on
later data. The mean of their linear models is again one linear model, and its error
on later data varies less than that of the single winner.

Sources: S. Wold, M. Sjostrom, L. Eriksson, Chemometrics and Intelligent Laboratory
Systems 58 (2001) 109 (PLS); A. Savitzky, M. J. E. Golay, Analytical Chemistry 36
(1964) 1627 (derivatives); L. Breiman et al., "Classification and Regression Trees"
(1984) (the one-standard-error rule).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Task
from tundish.learn import recipe as recipes
from tundish.learn.conformal import ConformalLimit, split_limit
from tundish.learn.errors import MaterialUnfitError, OptionsInvalidError
from tundish.learn.material import Material, channel_axis
from tundish.learn.recipe import Fitted, Options, Outputs, Promise
from tundish.learn.recipes import pls_search
from tundish.learn.recipes.pls_distance import (
    Distance,
    Plausible,
    calibrated_distance,
    plausible,
)
from tundish.learn.recipes.pls_graph import contributions, raw_weights, write_graph
from tundish.learn.recipes.pls_search import Linear, PlsOptions, Setting
from tundish.learn.recipes.spectra import Layout, Preparation

LEAST_FIT = 5


@dataclass(frozen=True, kw_only=True)
class _Member:
    setting: Setting
    model: Linear


@dataclass(frozen=True, kw_only=True)
class _Sensor:
    """The trained estimator: computes with scikit-learn, not with the graph."""

    layout: Layout
    members: tuple[_Member, ...]
    half_width: float
    distance: Distance
    possible: Plausible
    middle: NDArray[np.float64]

    def __call__(self, window: NDArray[np.float32]) -> Outputs:
        """Return the outputs for windows, float64 [N, 1] each."""
        each = [
            member.model.pls.predict(
                member.setting.preparation.features(window, self.layout)
                / member.model.spread
            ).reshape(-1)
            for member in self.members
        ]
        estimate = np.mean(each, axis=0)[:, None]
        slope = raw_weights(self.linear(), self.layout).slope
        return {
            "estimate": estimate,
            "lower": estimate - self.half_width,
            "upper": estimate + self.half_width,
            "applicability": np.maximum(
                self.distance.of(window, self.layout)[:, None],
                self.possible.of(estimate),
            ),
            "contribution": contributions(window, slope, self.middle, self.layout),
        }

    def linear(self) -> list[tuple[Preparation, Linear]]:
        """Return the members as they are written into the graph."""
        return [(each.setting.preparation, each.model) for each in self.members]


class PlsRecipe:
    """Partial least squares on prepared spectra; see the module."""

    name: Final = "pls"
    task: Final[Task] = "regress"
    simplicity: Final = 1

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,  # noqa: ARG002  (every recipe is given one; nothing here is random)
    ) -> Fitted:
        """Choose a preparation and fit; see ``Recipe.fit``."""
        chosen = recipes.read_options(options, PlsOptions, self.name)
        fit = material.needed("fit", LEAST_FIT)
        if float(np.ptp(fit.y)) == 0.0:
            msg = (
                f"The target is {fit.y[0]:g} in all {len(fit)} windows of the fit part."
            )
            raise MaterialUnfitError(msg)
        select = material.take(
            (material.part == "select") & ("select" in chosen.choose_on)
        )
        layout = _layout(material, scenario, chosen)
        settings = pls_search.search(fit, select, chosen, layout)
        samples = len(np.unique(fit.group)) + len(np.unique(select.group))
        kept = pls_search.keep(settings, chosen, samples)
        members = tuple(_member(setting, fit, layout, chosen) for setting in kept)
        distance = calibrated_distance(kept[0], fit, select, layout, chosen)
        members = tuple(_member(setting, fit, layout, chosen) for setting in kept)
        sensor = _Sensor(
            layout=layout,
            members=members,
            half_width=0.0,
            distance=distance,
            possible=plausible(scenario),
            middle=layout.gather(fit.x).reshape(len(fit), -1).mean(axis=0),
        )
        limit, promise = _calibrated(sensor, material, (fit, select), scenario)
        sensor = replace(sensor, half_width=limit.limit)
        return _fitted(sensor, fit, promise, settings)


def _layout(material: Material, scenario: Scenario, options: PlsOptions) -> Layout:
    axis = channel_axis(material, scenario)
    ends = np.cumsum([signal.channels for signal in scenario.signals])
    starts = [0, *ends[:-1]]
    blocks = tuple((int(a), int(b)) for a, b in zip(starts, ends, strict=True))
    if int(ends[-1]) != material.x.shape[2]:
        msg = f"The scenario has {ends[-1]} channels, and the material {material.x.shape[2]}."
        raise OptionsInvalidError(msg)
    spectral = axis[~np.isnan(axis)]
    for low, high in options.regions:
        inside = int(np.count_nonzero((spectral >= low) & (spectral <= high)))
        if not inside:
            msg = f"The recipe 'pls' was given the region {low:g} to {high:g}, in which no channel lies."
            raise OptionsInvalidError(msg)
    return Layout(axis=axis, blocks=blocks, rows=options.rows)


def _member(
    setting: Setting, fit: Material, layout: Layout, options: PlsOptions
) -> _Member:
    features = setting.preparation.features(fit.x, layout)
    model = pls_search.fit_linear(
        features, fit.y, setting.components, scale=options.scale
    )
    return _Member(setting=setting, model=model)


def _calibrated(
    sensor: _Sensor,
    material: Material,
    seen: tuple[Material, Material],
    scenario: Scenario,
) -> tuple[ConformalLimit, Promise]:
    calibrate = material.of("calibrate")
    if len(calibrate):
        estimate = sensor(calibrate.x)["estimate"][:, 0]
        errors, weights = np.abs(estimate - calibrate.y), calibrate.weights()
        parts: tuple[str, ...] = ("calibrate",)
    else:
        fit, select = seen
        settings = [member.setting for member in sensor.members]
        left_out = np.mean([setting.left_out for setting in settings], axis=0)
        chosen = np.mean([setting.select for setting in settings], axis=0)
        errors = np.abs(np.concatenate([left_out - fit.y, chosen - select.y]))
        weights = np.concatenate([fit.weights(), select.weights()])
        parts = ("fit", "select") if len(select) else ("fit",)
    coverage = scenario.acceptance.coverage
    limit = split_limit(errors, 1.0 - coverage, weights=weights)
    promise = Promise(
        kind="interval",
        asked=coverage,
        promised=1.0 - limit.rate if not limit.supported else coverage,
        count=limit.count,
        parts=parts,
        note=_ground(limit, parts),
    )
    return limit, promise


def _ground(limit: ConformalLimit, parts: tuple[str, ...]) -> str:
    said = f"half width {limit.limit:.3g} from the absolute errors of {limit.count} samples"
    if parts == ("calibrate",):
        said += " of the calibrate part"
    elif "select" in parts:
        said += (
            " (fit samples left out in turn, and the select part, on which the settings "
            "were also chosen, so the errors are somewhat too kind)"
        )
    else:
        said += " (fit samples left out in turn; nothing of the real run)"
    if not limit.supported:
        said += (
            f"; so few support no more than {1.0 - limit.rate:.1%}, and the largest "
            "error is used"
        )
    return said + "; exact only if later samples resemble these, which the judge checks"


def _fitted(
    sensor: _Sensor, fit: Material, promise: Promise, settings: list[Setting]
) -> Fitted:
    weights = raw_weights(sensor.linear(), sensor.layout)
    graph = write_graph(
        weights,
        sensor.half_width,
        (sensor.distance, sensor.possible),
        sensor.layout,
        fit,
    )
    envelope = recipes.envelope_of(fit, with_target=True)
    golden = recipes.golden_window(envelope, fit.x.shape[1])
    kept = [member.setting for member in sensor.members]
    return Fitted(
        recipe=PlsRecipe.name,
        task="regress",
        graph=graph,
        golden_window=golden,
        golden_outputs=recipes.as_float32(sensor(golden)),
        envelope=envelope,
        promise=promise,
        search=pls_search.record(settings, kept),
        chosen=tuple(pls_search.described(setting) for setting in kept),
        thresholds={
            "half_width": sensor.half_width,
            "farthest_t2": sensor.distance.farthest[0],
            "farthest_q": sensor.distance.farthest[1],
            "envelope_margin": sensor.distance.margin,
        },
        versions=recipes.versions("numpy", "onnx", "scikit-learn", "scipy"),
        notes=(
            f"the mean of {len(kept)} of {len(settings)} settings tried"
            if len(kept) > 1
            else f"the best of {len(settings)} settings tried",
            f"the model abstains beyond {sensor.distance.margin:g} times the distance of "
            "its farthest calibration sample (a declared margin without a promised rate) "
            "and where the estimate itself cannot be true; a disturbance that looks like "
            "the target passes",
        ),
        reference=sensor,
    )
