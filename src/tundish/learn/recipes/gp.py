"""The recipe ``gp``: a Gaussian process for the few samples that a laboratory gives.

With some dozens of samples a smooth curve through all of them beats a stair of trees. The
kernel is a linear part (which goes on beyond the data) plus a smooth one (which bends the
line where there is data), with one length a feature, or on the scores of a small PLS model
where there are many features; lengths and noise follow from the marginal likelihood. The
interval is as wide as the process's own standard deviation here, times one calibrated
factor: far from the samples it widens by itself.

The graph holds the samples' features: whoever has the graph in the clear has them. Above
``most_samples`` an even selection of the samples is kept.

Each channel's contribution follows the answer's slope along the straight way from the
usual window to this one (two points of Gauss-Legendre): integrated gradients.

Sources: C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning"
(2006), algorithm 2.1; H. Papadopoulos, V. Vovk, A. Gammerman, J. Artif. Intell. Res. 40
(2011) 815 (normalised conformal intervals); M. Sundararajan et al., ICML 2017.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Final, Literal

import numpy as np
from pydantic import Field
from scipy.linalg import solve_triangular
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    RBF,
    ConstantKernel,
    DotProduct,
    WhiteKernel,
)
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tundish.catalog.scenario import Option, Scenario
from tundish.catalog.tasks import Task
from tundish.kernel.records import Record
from tundish.learn import folds
from tundish.learn import recipe as recipes
from tundish.learn.errors import MaterialUnfitError
from tundish.learn.folds import Trial
from tundish.learn.material import Floats, Indices, Material, channel_axis
from tundish.learn.recipe import Fitted, Options
from tundish.learn.recipes import number
from tundish.learn.recipes.gp_model import GaussianModel, Process
from tundish.learn.recipes.inputs import Inputs, Plan, inputs_of, prepared
from tundish.learn.recipes.linear import pls_path_scores, suiting_plans
from tundish.learn.recipes.number import Made

MOST_FEATURES = 12
_TUNE_ON = 120


class GaussianOptions(Record):
    """Options of the recipe ``gp``.

    Attributes:
        plans: Which rows to try; none: those that suit the window.
        derivatives: Derivatives of spectra to try.
        smoothing_points, polynomial_order: Of the derivatives (Savitzky-Golay).
        scores: Numbers of PLS scores to try; 0: the features themselves, where they
            are no more than 12.
        kernels: ``linear+smooth``, ``smooth`` or both.
        most_samples: Most samples that the graph keeps.
        splits: Into how many sets the fit part is cut to try settings.
    """

    plans: tuple[Plan, ...] = ()
    derivatives: tuple[Literal[0, 1, 2], ...] = (0,)
    smoothing_points: int = Field(default=15, ge=3)
    polynomial_order: int = Field(default=2, ge=2, le=6)
    scores: tuple[int, ...] = (0, 4, 8)
    kernels: tuple[Literal["linear+smooth", "smooth"], ...] = ("linear+smooth",)
    most_samples: int = Field(default=300, ge=10, le=2000)
    splits: int = Field(default=5, ge=2, le=100)


class GaussianRecipe:
    """A Gaussian process for small data; see the module."""

    name: Final = "gp"
    task: Final[Task] = "regress"

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,  # noqa: ARG002  (every recipe is given one; nothing here is random)
    ) -> Fitted:
        """Choose inputs and a kernel, fit, calibrate; see ``Recipe.fit``."""
        chosen = recipes.read_options(options, GaussianOptions, self.name)
        material.needed("fit", number.LEAST_FIT)
        part = folds.learnable(material, scenario, chosen.splits)
        learning = number.task_of(material, scenario, part)
        settings = _settings(material, scenario, learning, chosen)
        tried = [setting.tried(learning) for setting in settings]
        trials = [trial for trial, _ in tried]
        at = folds.simplest(trials, part)
        model = settings[at].model(learning)
        kept = len(model.process.samples)
        off = number.held_errors(learning, trials[at], tried[at][1])
        notes = [
            f"the graph holds the features of {kept} of {len(part.material)} training "
            "windows: treat it as you would treat those samples"
        ]
        if scenario.mechanism and scenario.mechanism.monotone:
            notes.append(
                "a Gaussian process is not bound to the declared monotone relations; "
                "the judge checks them"
            )
        made = Made(
            model=model,
            left_out=off,
            search=number.record(trials, [at], part),
            libraries=("scikit-learn", "scipy"),
            notes=tuple(notes),
            thresholds={"noise": model.process.noise**0.5},
        )
        return number.finish(self.name, made, material, scenario, learning)


def _settings(
    material: Material,
    scenario: Scenario,
    learning: number.Task,
    options: GaussianOptions,
) -> list[_Setting]:
    axis = channel_axis(material, scenario)
    shape = (material.x.shape[1], material.x.shape[2])
    least = min(len(split.learn) for split in learning.part.splits)
    found = []
    plans = options.plans or tuple(
        plan for plan in suiting_plans(scenario) if plan != "lags"
    )
    for plan, derivative in product(plans, options.derivatives):
        matrix, blocks = prepared(
            scenario,
            axis,
            derivative,
            options.smoothing_points,
            options.polynomial_order,
        )
        inputs = inputs_of(plan, shape, matrix=matrix, prior=learning.prior)
        width = inputs.linear + (learning.prior is not None)
        for scores, kernel in product(sorted(options.scores), options.kernels):
            if (scores == 0 and width > MOST_FEATURES) or scores >= min(width, least):
                continue
            found.append(
                _Setting(
                    inputs=inputs,
                    blocks=blocks,
                    scores=scores,
                    kernel=kernel,
                    most=options.most_samples,
                    named={"plan": plan, "derivative": derivative},
                )
            )
    if not found:
        msg = (
            f"No setting of the recipe 'gp' suits {shape[1]} channels and {least} "
            "samples to learn from; give 'scores' below both."
        )
        raise MaterialUnfitError(msg)
    return found


@dataclass(frozen=True, kw_only=True)
class _Setting:
    inputs: Inputs
    blocks: tuple[tuple[int, int], ...]
    scores: int
    kernel: str
    most: int
    named: Mapping[str, Option]

    def tried(self, learning: number.Task) -> tuple[Trial, Floats]:
        """Return the honest estimates and standard deviations of held-out windows."""
        features = self.inputs.values(learning.x)
        held = np.full(len(features), np.nan)
        spread = np.full(len(features), np.nan)
        for split in learning.part.splits:
            process = self._process(features, learning, split.learn)
            mean, deviation = process.predict(features[split.held])
            held[split.held], spread[split.held] = mean, deviation
        setting = {**self.named, "scores": self.scores, "kernel": self.kernel}
        width = self.scores or features.shape[1]
        trial = Trial(
            setting=setting,
            cost=(float(width), float(features.shape[1])),
            held=learning.whole(held),
        )
        return trial, spread

    def model(self, learning: number.Task) -> GaussianModel:
        """Return the model of the whole learnable part."""
        features = self.inputs.values(learning.x)
        process = self._process(features, learning, np.arange(len(features)))
        inputs, turn = self.inputs.unprepared(process.turn)
        middle = inputs.values(learning.x).mean(axis=0)
        return GaussianModel(
            inputs=inputs,
            process=replace(process, middle=middle, turn=turn),
            usual=learning.usual,
        )

    def _process(
        self, features: Floats, learning: number.Task, learn: Indices
    ) -> Process:
        y, weights = learning.y[learn], learning.weights[learn]
        seen = features[learn]
        spread = self.inputs.spread(seen, self.blocks)
        middle, level = seen.mean(axis=0), float(y.mean())
        size = float(y.std()) or 1.0
        turn = np.diag(1.0 / spread)
        if self.scores:
            scaled = (seen - middle) / spread
            rotation = pls_path_scores(scaled, y - level, self.scores)
            turn = rotation / spread[:, None]
        places = (seen - middle) @ turn
        turn = turn / np.where(places.std(axis=0) > 0, places.std(axis=0), 1.0)
        places = (seen - middle) @ turn
        kept = _even(len(learn), self.most)
        kernel = _tuned(
            places[_even(len(learn), _TUNE_ON)],
            (y[_even(len(learn), _TUNE_ON)] - level) / size,
            linear=self.kernel == "linear+smooth",
        )
        return _process(
            places[kept],
            (y[kept] - level) / size,
            1.0 / weights[kept],
            kernel,
            (middle, turn, level, size),
        )


def _even(count: int, most: int) -> Indices:
    """Return an even selection of places, all if there are few."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


@dataclass(frozen=True, kw_only=True)
class _Kernel:
    smooth: float
    lengths: Floats
    linear: float
    noise: float


def _tuned(places: Floats, y: Floats, *, linear: bool) -> _Kernel:
    """Return the kernel of the greatest marginal likelihood."""
    width = places.shape[1]
    smooth = ConstantKernel(1.0, (1e-4, 1e3)) * RBF(np.full(width, 3.0), (0.3, 1e3))
    noise = WhiteKernel(0.1, (1e-6, 1e1))
    kernel = smooth + noise
    if linear:
        line = ConstantKernel(0.3, (1e-4, 1e2)) * DotProduct(0.0, "fixed")
        kernel = smooth + line + noise
    process = GaussianProcessRegressor(kernel, alpha=1e-8)
    with warnings.catch_warnings(), threadpool_limits(limits=1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # at a bound is an answer
        process.fit(places, y)
    found = process.kernel_.get_params()
    stem = "k1__" if linear else ""
    return _Kernel(
        smooth=float(found[f"{stem}k1__k1__constant_value"]),
        lengths=np.broadcast_to(found[f"{stem}k1__k2__length_scale"], (width,)),
        linear=float(found["k1__k2__k1__constant_value"]) if linear else 0.0,
        noise=float(found["k2__noise_level"]),
    )


def _process(
    places: Floats,
    y: Floats,
    count: Floats,
    kernel: _Kernel,
    frame: tuple[Floats, Floats, float, float],
) -> Process:
    """Return the process for its samples; ``count``: how many windows share a truth."""
    scaled = places / kernel.lengths
    square = np.sum(scaled**2, axis=1)
    apart = np.maximum(square[:, None] + square[None] - 2.0 * scaled @ scaled.T, 0.0)
    covariance = kernel.smooth * np.exp(-0.5 * apart)
    covariance += kernel.linear * places @ places.T
    covariance[np.diag_indices(len(y))] += kernel.noise * count + 1e-8
    lower = np.linalg.cholesky(covariance)
    inverse = solve_triangular(lower, np.eye(len(y)), lower=True)
    middle, turn, level, size = frame
    return Process(
        middle=middle,
        turn=turn,
        level=level,
        size=size,
        samples=places,
        lengths=kernel.lengths,
        smooth=kernel.smooth,
        linear=kernel.linear,
        noise=kernel.noise,
        pull=inverse.T @ (inverse @ y),
        inverse=inverse,
    )
