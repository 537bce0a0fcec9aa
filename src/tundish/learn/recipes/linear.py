"""The recipe ``linear``: ridge or partial least squares on lagged tags or whole batches.

The plain alternative that others must beat: on most soft sensors of process tags, lags
bring more than curvature does. Which rows enter is a ``plan`` (see ``inputs``): lags,
means that reach ever farther back, or the course of a whole batch unfolded to one row.
How far the fit is held back (components of PLS, strength of ridge) is chosen on held-out
stretches, batches or groups.

Every channel of a spectrum is used: where only a region speaks of the target (on the
fermentation set ``linear`` and ``gp`` miss by ten times, ``pls`` with regions does not), take
the recipe ``pls``.

The whole estimator is one weight for each raw value, so each tag's contribution is exact
and they add up to the difference from the usual answer. Declared monotone relations bind
the signs of the slopes (bounded least squares; then only ridge is tried).

Sources: A. E. Hoerl, R. W. Kennard, Technometrics 12 (1970) 55 (ridge); S. Wold,
M. Sjostrom, L. Eriksson, Chemom. Intell. Lab. Syst. 58 (2001) 109 (PLS); P. Nomikos,
J. F. MacGregor, Chemom. Intell. Lab. Syst. 30 (1995) 97 (PLS of unfolded batches).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import lsq_linear

from tundish.catalog.scenario import Option, Scenario
from tundish.catalog.tasks import Task
from tundish.kernel.records import Record
from tundish.learn import folds
from tundish.learn import recipe as recipes
from tundish.learn.errors import MaterialUnfitError
from tundish.learn.folds import Trial
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Material, Windows, channel_axis
from tundish.learn.mechanism import channel_of
from tundish.learn.recipe import Fitted, Options
from tundish.learn.recipes import number
from tundish.learn.recipes.inputs import Inputs, Plan, inputs_of, prepared
from tundish.learn.recipes.number import Made, Said


class LinearOptions(Record):
    """Options of the recipe ``linear``.

    Attributes:
        plans: Which rows to try; none: those that suit the window.
        methods: ``ridge``, ``pls`` or both.
        components: Numbers of PLS components to try.
        strengths: Ridge strengths to try, as shares of the number of samples, for
            inputs of unit spread.
        derivatives: Derivatives of spectra to try.
        smoothing_points, polynomial_order: Of the derivatives (Savitzky-Golay).
        keep: The ``mean`` of all settings that cannot be told apart from the best, or the
            ``simplest`` of them.
        splits: Into how many sets the fit part is cut to try settings.
    """

    plans: tuple[Plan, ...] = ()
    methods: tuple[Literal["ridge", "pls"], ...] = ("ridge", "pls")
    components: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 8, 10, 12)
    strengths: tuple[float, ...] = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
    derivatives: tuple[Literal[0, 1, 2], ...] = (0,)
    smoothing_points: int = Field(default=15, ge=3)
    polynomial_order: int = Field(default=2, ge=2, le=6)
    keep: Literal["mean", "simplest"] = "mean"
    splits: int = Field(default=5, ge=2, le=100)


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearModel:
    """One slope for each feature.

    Attributes:
        inputs: The features.
        slope: Of each, [F].
        level: The number added.
        usual: Mean course, [T, C], against which contributions are told.
    """

    inputs: Inputs
    slope: Floats
    level: float
    usual: Floats

    def say(self, x: Windows) -> Said:
        """Return what it says; see ``NumberModel``."""
        features = self.inputs.values(x)
        return Said(
            estimate=(features @ self.slope)[:, None] + self.level,
            scale=np.ones((len(x), 1)),
            contribution=self.inputs.attribute(x, self.slope[None], self.usual),
        )

    def add(self, writer: GraphWriter, raw: str) -> tuple[str, str, str]:
        """Add the same to a graph; see ``NumberModel``."""
        features = self.inputs.add(writer, raw)
        slope = writer.constant(self.slope[:, None], "slopes")
        product = writer.add("MatMul", features, slope, hint="weighted")
        level = writer.constant(np.array([self.level]), "level")
        estimate = writer.add("Add", product, level, hint="linear_estimate")
        zero = writer.constant(np.zeros(1), "zero")
        one = writer.constant(np.ones(1), "one")
        none = writer.add("Mul", product, zero, hint="none")
        scale = writer.add("Add", none, one, hint="unit_scale")
        row = writer.constant(self.slope[None], "slope_row")
        parts = self.inputs.add_attribution(writer, raw, row, self.usual)
        return estimate, scale, parts


class LinearRecipe:
    """Ridge or partial least squares on rows of tags; see the module."""

    name: Final = "linear"
    task: Final[Task] = "regress"

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,  # noqa: ARG002  (every recipe is given one; nothing here is random)
    ) -> Fitted:
        """Choose inputs and how far the fit is held back; see ``Recipe.fit``."""
        chosen = recipes.read_options(options, LinearOptions, self.name)
        material.needed("fit", number.LEAST_FIT)
        part = folds.learnable(material, scenario, chosen.splits)
        learning = number.task_of(material, scenario, part)
        trials, makers = [], []
        axis = channel_axis(material, scenario)
        for plan in chosen.plans or suiting_plans(scenario):
            for derivative in chosen.derivatives:
                matrix, blocks = prepared(
                    scenario,
                    axis,
                    derivative,
                    chosen.smoothing_points,
                    chosen.polynomial_order,
                )
                inputs = inputs_of(
                    plan, material.x.shape[1:], matrix=matrix, prior=learning.prior
                )
                path = _Path(
                    inputs=inputs,
                    blocks=blocks,
                    options=chosen,
                    bound=bound_of(inputs, scenario),
                )
                named: dict[str, Option] = {"plan": plan, "derivative": derivative}
                for trial, place in path.tried(learning, named):
                    trials.append(trial)
                    makers.append((path, place))
        if not trials:
            msg = f"The fit part has {len(material.of('fit'))} windows, too few for any setting of the recipe 'linear'."
            raise MaterialUnfitError(msg)
        kept = folds.alike(trials, part)
        if chosen.keep == "simplest":
            kept = np.array([folds.simplest(trials, part)])
        model = mean_of([makers[at][0].model(learning, makers[at][1]) for at in kept])
        mean = Trial(
            setting={},
            cost=(),
            held=np.mean([trials[at].held for at in kept], axis=0),
        )
        made = Made(
            model=model,
            left_out=number.held_errors(learning, mean),
            search=number.record(trials, kept, part),
            libraries=("scipy",),
        )
        return number.finish(self.name, made, material, scenario, learning)


def mean_of(models: list[LinearModel]) -> LinearModel:
    """Return the mean of linear models, which is one linear model on raw values."""
    first = models[0]
    if len(models) == 1:
        return first
    rows = first.inputs.rows.shape[1]
    slopes = []
    for model in models:
        raw = model.inputs.back(model.slope[None])[0].reshape(-1)
        own = model.slope[model.inputs.linear :]  # of the formula, if it is an input
        slopes.append(np.concatenate([raw, own]))
    return LinearModel(
        inputs=Inputs(
            rows=np.eye(rows),
            channels=first.inputs.channels,
            prior=first.inputs.prior,
        ),
        slope=np.mean(slopes, axis=0),
        level=float(np.mean([model.level for model in models])),
        usual=first.usual,
    )


def suiting_plans(scenario: Scenario) -> tuple[Plan, ...]:
    """Return the plans that suit a window: repeated spectra are averaged, tags lagged."""
    rows = scenario.window.rows
    if rows == 1:
        return ("newest",)
    if any(signal.axis is not None for signal in scenario.signals):
        return ("mean",)
    plans: tuple[Plan, ...] = ("newest", "lags", "fading")
    return (*plans, "stretches") if rows >= 20 else plans


@dataclass(frozen=True, kw_only=True)
class _Path:
    """All linear models on the same inputs, from simple to supple."""

    inputs: Inputs
    blocks: tuple[tuple[int, int], ...]
    options: LinearOptions
    bound: NDArray[np.int64]

    def tried(
        self, learning: number.Task, named: dict[str, Option]
    ) -> list[tuple[Trial, int]]:
        features = self.inputs.values(learning.x)
        settings = self._settings(learning, features.shape[1])
        held = np.full((len(features), len(settings)), np.nan)
        weights = learning.weights
        for split in learning.part.splits:
            learn = split.learn
            slopes, level, middle, _ = self._fit(
                features[learn], learning.y[learn], weights[learn], settings
            )
            held[split.held] = level + (features[split.held] - middle) @ slopes
        supple = self._fit(features, learning.y, weights, settings)[3]
        return [
            (
                Trial(
                    setting={**named, **setting},
                    cost=(float(supple[place]), float(features.shape[1])),
                    held=learning.whole(held[:, place]),
                ),
                place,
            )
            for place, setting in enumerate(settings)
        ]

    def model(self, learning: number.Task, place: int) -> LinearModel:
        features = self.inputs.values(learning.x)
        settings = self._settings(learning, features.shape[1])
        slopes, level, middle, _ = self._fit(
            features, learning.y, learning.weights, settings
        )
        slope = slopes[:, place]
        inputs, own = self.inputs.unprepared(slope[:, None])
        return LinearModel(
            inputs=inputs,
            slope=own[:, 0],
            level=level - float(middle @ slope),
            usual=learning.usual,
        )

    def _settings(self, learning: number.Task, width: int) -> list[dict[str, Option]]:
        least = min(len(split.learn) for split in learning.part.splits)
        most = min(least - 2, width)
        found: list[dict[str, Option]] = []
        bound = bool(self.bound.any())
        if "pls" in self.options.methods and not bound:
            counts = sorted({k for k in self.options.components if 1 <= k <= most})
            found += [{"method": "pls", "components": k} for k in counts]
        if "ridge" in self.options.methods or bound:
            strengths = sorted(self.options.strengths, reverse=True)
            found += [{"method": "ridge", "strength": value} for value in strengths]
        return found

    def _fit(
        self,
        features: Floats,
        y: Floats,
        weights: Floats,
        settings: list[dict[str, Option]],
    ) -> tuple[Floats, float, Floats, Floats]:
        """Return slopes [F, S], level, middle [F] and degrees of freedom [S]."""
        spread = self.inputs.spread(features, self.blocks)
        middle = np.average(features, axis=0, weights=weights)
        level = float(np.average(y, weights=weights))
        root = np.sqrt(weights)[:, None]
        scaled = root * (features - middle) / spread
        off = root[:, 0] * (y - level)
        counts = [int(str(s["components"])) for s in settings if "components" in s]
        strengths = [float(str(s["strength"])) for s in settings if "strength" in s]
        mass = float(weights.sum())
        held = ridge_path(scaled, off, [value * mass for value in strengths])
        if self.bound.any():
            each = [bound_ridge(scaled, off, v * mass, self.bound) for v in strengths]
            held = (np.stack(each, axis=1), held[1])
        nested = pls_path(scaled, off, max(counts, default=0))
        each = [nested[:, k - 1] for k in counts] + list(held[0].T)
        freedom = [*map(float, counts), *held[1]]
        return (
            np.stack(each, axis=1) / spread[:, None],
            level,
            middle,
            np.array(freedom),
        )


def ridge_path(x: Floats, y: Floats, strengths: list[float]) -> tuple[Floats, Floats]:
    """Return ridge slopes [F, S] and degrees of freedom [S] for several strengths."""
    left, size, right = np.linalg.svd(x, full_matrices=False)
    along = left.T @ y
    square = size[:, None] ** 2
    kept = square / (square + np.array(strengths)[None])
    slopes = right.T @ (kept * (along / np.maximum(size, 1e-12))[:, None])
    return np.asarray(slopes), np.asarray(kept.sum(axis=0))


def bound_ridge(
    x: Floats, y: Floats, strength: float, bound: NDArray[np.int64]
) -> Floats:
    """Return ridge slopes whose signs are bound: 1 not negative, -1 not positive, [F]."""
    width = x.shape[1]
    stacked = np.concatenate([x, np.sqrt(strength) * np.eye(width)])
    wanted = np.concatenate([y, np.zeros(width)])
    low = np.where(bound > 0, 0.0, -np.inf)
    high = np.where(bound < 0, 0.0, np.inf)
    found = lsq_linear(stacked, wanted, (low, high), method="bvls")
    return np.clip(np.asarray(found.x, dtype=np.float64), low, high)


def bound_of(inputs: Inputs, scenario: Scenario) -> NDArray[np.int64]:
    """Return which slopes the declared physics binds, [F]: 1 up, -1 down, 0 free."""
    declared = scenario.mechanism
    width = inputs.linear + (inputs.prior is not None)
    if declared is None or not declared.monotone:
        return np.zeros(width, dtype=np.int64)
    sign = np.zeros(inputs.linear // len(inputs.rows), dtype=np.int64)
    for relation in declared.monotone:
        place = channel_of(scenario, relation.signal)
        sign[place] = 1 if relation.target == "rises" else -1
    ends = [np.tile(sign, len(inputs.rows)), np.ones(width - inputs.linear, int)]
    return np.concatenate(ends).astype(np.int64)


def pls_path(x: Floats, y: Floats, components: int) -> Floats:
    """Return the slopes of PLS with 1 to K components on centred data, [F, K]."""
    rotation, pulls = _pls(x, y, components)
    slopes = np.cumsum(rotation * pulls, axis=1)
    short = components - slopes.shape[1]  # a component that finds nothing adds nothing
    if not slopes.shape[1]:
        return np.zeros((x.shape[1], components))
    return np.concatenate([slopes, np.repeat(slopes[:, -1:], short, axis=1)], axis=1)


def pls_path_scores(x: Floats, y: Floats, components: int) -> Floats:
    """Return the matrix from centred data to PLS scores, [F, up to K]."""
    rotation, _ = _pls(x, y, components)
    return rotation if rotation.shape[1] else np.eye(x.shape[1])[:, :1]


def _pls(x: Floats, y: Floats, components: int) -> tuple[Floats, Floats]:
    """Return rotations [F, up to K] and the target's loading on each score."""
    rest, left = x.copy(), y.copy()
    weights, loadings, pulls = [], [], []
    for _ in range(components):
        weight = rest.T @ left
        size = float(np.linalg.norm(weight))
        if size <= 1e-12 * max(1.0, float(np.linalg.norm(x))):
            break
        weight = weight / size
        score = rest @ weight
        power = float(score @ score)
        loading = rest.T @ score / power
        pulls.append(float(left @ score) / power)
        rest = rest - np.outer(score, loading)
        left = left - pulls[-1] * score
        weights.append(weight)
        loadings.append(loading)
    if not weights:
        return np.zeros((x.shape[1], 0)), np.zeros(0)
    w, p = np.stack(weights, axis=1), np.stack(loadings, axis=1)
    return np.asarray(w @ np.linalg.inv(p.T @ w)), np.array(pulls)
