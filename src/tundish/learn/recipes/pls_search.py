"""The search of the PLS recipe: which preparation, how many components.

Partial least squares after H. Wold; S. Wold, M. Sjostrom, L. Eriksson, Chemometrics
and Intelligent Laboratory Systems 58 (2001) 109. Components of one fit are nested: a
fit with eight holds those with one to seven.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator
from sklearn.cross_decomposition import (
    PLSRegression,
)

from tundish.catalog.scenario import Option
from tundish.kernel.records import Record
from tundish.learn.errors import MaterialUnfitError, OptionsInvalidError
from tundish.learn.material import Floats, Indices, Material
from tundish.learn.recipe import Tried
from tundish.learn.recipes.spectra import Layout, Preparation, Region, Rows

LEAVE_ONE_OUT_UP_TO = 60
FOLDS = 10


class PlsOptions(Record):
    """Options of the recipe ``pls``.

    Attributes:
        regions: Stretches of the spectrum's axis to try, in axis units; none: all.
        derivatives: Derivatives to try; 0 is the spectrum itself, unsmoothed.
        smoothing_points: Savitzky-Golay points to try, odd (derivatives only).
        polynomial_order: Savitzky-Golay polynomial order.
        components: Numbers of components to try.
        choose_on: Parts whose errors choose: ``fit`` by leaving out, ``select`` by
            the model of the fit part.
        keep: ``best``, or the mean of all settings ``within-one-standard-error``.
        rows: How the rows of a window are used; see ``Layout``.
        scale: Divide every feature by its spread in the fit part (process tags of
            different units; not for spectra).
        envelope_margin: How many times as far from the model as the farthest
            calibration sample a window may lie before the model abstains.
    """

    regions: tuple[Region, ...] = ()
    derivatives: tuple[int, ...] = (0,)
    smoothing_points: tuple[int, ...] = (15,)
    polynomial_order: int = Field(default=2, ge=0, le=6)
    components: tuple[int, ...] = Field(min_length=1)
    choose_on: tuple[Literal["fit", "select"], ...] = ("fit",)
    keep: Literal["best", "within-one-standard-error"] = "best"
    rows: Rows = "unfold"
    scale: bool = False
    envelope_margin: float = Field(default=1.5, ge=1.0)

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if "fit" not in self.choose_on:
            msg = "choose_on must hold 'fit'"
            raise ValueError(msg)
        if min(self.components) < 1:
            msg = "components must be 1 or more"
            raise ValueError(msg)
        if not self.derivatives or not set(self.derivatives) <= {0, 1, 2}:
            msg = "derivatives must be among 0, 1 and 2"
            raise ValueError(msg)
        if max(self.derivatives) > self.polynomial_order:
            msg = "polynomial_order must be no less than the highest derivative"
            raise ValueError(msg)
        if any(n % 2 == 0 or n <= self.polynomial_order for n in self.smoothing_points):
            msg = "smoothing_points must be odd and above polynomial_order"
            raise ValueError(msg)
        return self

    def preparations(self) -> Iterator[Preparation]:
        """Yield every preparation of the grid, in order."""
        regions: tuple[Region | None, ...] = self.regions or (None,)
        for region, derivative in itertools.product(regions, self.derivatives):
            points = self.smoothing_points if derivative else (0,)
            for n in points:
                yield Preparation(
                    region=region,
                    derivative=derivative,
                    points=n,
                    order=self.polynomial_order if derivative else 0,
                )


@dataclass(frozen=True, kw_only=True)
class Linear:
    """PLS models with 1 to K components on the same features.

    Attributes:
        middle: Mean of the features, [F].
        spread: What each feature is divided by, [F].
        level: Mean of the target.
        slopes: Coefficients of centred, scaled features by components, [F, K].
        pls: The fit with K components.
    """

    middle: Floats
    spread: Floats
    level: float
    slopes: Floats
    pls: PLSRegression

    def predict(self, features: Floats) -> Floats:
        """Return the estimates by number of components, [n, K]."""
        scaled = (features - self.middle) / self.spread
        return np.asarray(self.level + scaled @ self.slopes)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting with its honest estimates.

    Attributes:
        preparation: How features are made.
        components: Number of PLS components.
        left_out: Estimate of each fit sample by models that never saw it, [n_fit].
        select: Estimates of the select part by the model of the fit part, [n_select].
        scores: ``fit`` and ``select`` RMSE, and ``pooled``, which chooses.
    """

    preparation: Preparation
    components: int
    left_out: Floats
    select: Floats
    scores: dict[str, float]


def fit_linear(features: Floats, y: Floats, components: int, *, scale: bool) -> Linear:
    """Fit PLS with up to ``components`` components.

    Raises:
        MaterialUnfitError: if a feature to be scaled never moves.
    """
    spread = np.ones(features.shape[1])
    if scale:
        spread = features.std(axis=0, ddof=1)
        still = int(np.count_nonzero(spread == 0.0))
        if still:
            msg = f"{still} of {len(spread)} features have the same value in all of the fit part."
            raise MaterialUnfitError(msg)
    pls = PLSRegression(components, scale=False).fit(features / spread, y)
    slopes = np.cumsum(pls.x_rotations_ * pls.y_loadings_[0], axis=1)
    return Linear(
        middle=features.mean(axis=0),
        spread=spread,
        level=float(y.mean()),
        slopes=slopes,
        pls=pls,
    )


def folds(fit: Material) -> list[Indices]:
    """Return the groups of fit samples that are left out together, in order.

    One laboratory value at a time while there are few, ten runs in order of time if
    there are many: neighbours in time are not independent.
    """
    groups = np.unique(fit.group)
    count = len(groups) if len(groups) <= LEAVE_ONE_OUT_UP_TO else FOLDS
    parts = np.array_split(groups, count)
    return [np.flatnonzero(np.isin(fit.group, part)) for part in parts]


def search(
    fit: Material, select: Material, options: PlsOptions, layout: Layout
) -> list[Setting]:
    """Return every setting with its scores, best first.

    Args:
        fit: The fit part.
        select: The select part; empty if it must not choose.
        options: The grid.
        layout: The channels.

    Raises:
        OptionsInvalidError: if the grid asks for what the material cannot give.
    """
    found = []
    for preparation in options.preparations():
        features = preparation.features(fit.x, layout)
        _refuse_oversize(features, fit, options, preparation)
        left_out = _left_out(features, fit, options)
        model = fit_linear(
            features, fit.y, max(options.components), scale=options.scale
        )
        chosen = np.empty((0, max(options.components)))
        if len(select):
            chosen = model.predict(preparation.features(select.x, layout))
        found += [
            _setting(
                preparation, k, fit, select, (left_out[:, k - 1], chosen[:, k - 1])
            )
            for k in sorted(set(options.components))
        ]
    return sorted(found, key=lambda setting: setting.scores["pooled"])


def keep(settings: list[Setting], options: PlsOptions, samples: int) -> list[Setting]:
    """Return the settings that the model uses; see the recipe's docstring.

    Args:
        settings: Best first.
        options: The grid.
        samples: Number of samples that the pooled score rests on (n): the standard
            error of an RMSE is about RMSE / sqrt(2 n).
    """
    if options.keep == "best":
        return settings[:1]
    best = settings[0].scores["pooled"]
    bound = best + best / np.sqrt(2.0 * samples)
    return [setting for setting in settings if setting.scores["pooled"] <= bound]


def record(settings: list[Setting], kept: list[Setting]) -> tuple[Tried, ...]:
    """Return the search for the run record."""
    used = {id(setting) for setting in kept}
    return tuple(
        Tried(
            setting=described(setting),
            scores=setting.scores,
            kept=id(setting) in used,
        )
        for setting in settings
    )


def described(setting: Setting) -> dict[str, Option]:
    """Return a setting as options."""
    preparation = setting.preparation
    return {
        "region": preparation.region or (),
        "derivative": preparation.derivative,
        "smoothing_points": preparation.points,
        "components": setting.components,
    }


def _setting(
    preparation: Preparation,
    components: int,
    fit: Material,
    select: Material,
    estimates: tuple[Floats, Floats],
) -> Setting:
    left_out, chosen = estimates
    squares = [
        float(np.sum(part.weights() * (estimate - part.y) ** 2))
        for part, estimate in ((fit, left_out), (select, chosen))
    ]
    counts = [len(np.unique(part.group)) for part in (fit, select)]
    scores = {"fit": float(np.sqrt(squares[0] / counts[0]))}
    if counts[1]:
        scores["select"] = float(np.sqrt(squares[1] / counts[1]))
    scores["pooled"] = float(np.sqrt(sum(squares) / sum(counts)))
    return Setting(
        preparation=preparation,
        components=components,
        left_out=left_out,
        select=chosen,
        scores=scores,
    )


def _left_out(features: Floats, fit: Material, options: PlsOptions) -> Floats:
    estimates = np.empty((len(fit), max(options.components)))
    for out in folds(fit):
        rest = np.setdiff1d(np.arange(len(fit)), out)
        model = fit_linear(
            features[rest], fit.y[rest], max(options.components), scale=options.scale
        )
        estimates[out] = model.predict(features[out])
    return estimates


def _refuse_oversize(
    features: Floats, fit: Material, options: PlsOptions, preparation: Preparation
) -> None:
    largest = min(len(fit) - max(len(out) for out in folds(fit)) - 1, features.shape[1])
    if max(options.components) > largest:
        region = list(preparation.region) if preparation.region else "all channels"
        msg = (
            f"The recipe 'pls' was asked for {max(options.components)} components, and "
            f"{len(fit)} fit windows with {features.shape[1]} features ({region}) "
            f"support at most {largest}."
        )
        raise OptionsInvalidError(msg)
