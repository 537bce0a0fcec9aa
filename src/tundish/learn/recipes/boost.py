"""The recipe ``boost``: boosted trees on lagged tags, held to the declared physics.

Trees find thresholds and interactions without being told, and cannot reach beyond the
targets they were shown. So a setting may put a linear model below them (ridge on the same
inputs): the trees then learn only what it leaves over, and the sum goes on rising where
the trees stop. A declared formula does the same with physics (``mechanism.prior``,
``use: residual``), or is one more input. Declared monotone relations bind the trees, split
by split; a linear base, whose signs nobody declared, is then not tried.

Lags, how many leaves, and whether a linear base helps are chosen on held-out stretches,
batches or groups; the number of trees is where the held-out error stops falling. Several
boosters on different shares of rows and columns are averaged. The interval is as wide as
a second, smaller ensemble expects the error to be here (learnt on held-out errors), times
one calibrated factor.

Sources: J. H. Friedman, Annals of Statistics 29 (2001) 1189; G. Ke et al., NeurIPS 2017
(LightGBM); J. Lei et al., J. Amer. Statist. Assoc. 113 (2018) 1094 (locally weighted
conformal intervals); ``learn.shares`` for the contributions.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Final, Literal

import lightgbm
import numpy as np
from pydantic import Field

from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Task
from tundish.kernel.records import Record
from tundish.learn import folds
from tundish.learn import recipe as recipes
from tundish.learn.crowd import Crowd
from tundish.learn.folds import Trial
from tundish.learn.material import Floats, Indices, Material, Windows
from tundish.learn.recipe import Fitted, Options
from tundish.learn.recipes import number
from tundish.learn.recipes.boost_model import BoostModel, Sight, sight_of
from tundish.learn.recipes.inputs import Plan, blocks_of
from tundish.learn.recipes.linear import LinearModel, ridge_path, suiting_plans
from tundish.learn.recipes.number import Made

SCALE_LEAST = 100
_PATIENCE = 60


class BoostOptions(Record):
    """Options of the recipe ``boost``.

    Attributes:
        plans: Which rows to try; none: those that suit the window.
        statistics: Whether spread and range of each tag over the window are inputs too.
        bases: Strengths of a linear base to try (shares of the number of samples);
            0: none.
        leaves: Leaves of a tree to try.
        least_in_leaf: Fewest samples in a leaf.
        learning_rate: How much of each tree is taken.
        most_trees: Most trees of one booster.
        models: How many boosters are averaged.
        interval: ``scaled``: as wide as the error to be expected here; ``constant``.
        splits: Into how many sets the fit part is cut to try settings.
    """

    plans: tuple[Plan, ...] = ()
    statistics: bool = True
    bases: tuple[float, ...] = (0.0, 0.1, 1.0)
    leaves: tuple[int, ...] = (4, 8, 16)
    least_in_leaf: int = Field(default=5, ge=1)
    learning_rate: float = Field(default=0.06, gt=0, le=1)
    most_trees: int = Field(default=500, ge=1, le=5000)
    models: int = Field(default=2, ge=1, le=20)
    interval: Literal["scaled", "constant"] = "scaled"
    splits: int = Field(default=5, ge=2, le=100)


@dataclass(frozen=True, kw_only=True)
class _Setting:
    plan: Plan
    base: float
    leaves: int


class BoostRecipe:
    """Boosted trees on lagged tags; see the module."""

    name: Final = "boost"
    task: Final[Task] = "regress"

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,
    ) -> Fitted:
        """Choose a setting, train, calibrate; see ``Recipe.fit``."""
        chosen = recipes.read_options(options, BoostOptions, self.name)
        material.needed("fit", number.LEAST_FIT)
        part = folds.learnable(material, scenario, chosen.splits)
        learning = number.task_of(material, scenario, part)
        seed = int(rng.integers(2**31 - 1))
        maker = _Maker(
            learning=learning, options=chosen, scenario=scenario, seed=seed, sights={}
        )
        settings = maker.settings()
        tried = [maker.try_one(setting) for setting in settings]
        trials = [trial for trial, _ in tried]
        at = folds.simplest(trials, part)
        setting, trees = settings[at], tried[at][1]
        off = number.held_errors(learning, trials[at])
        model, scale, notes = maker.model(setting, trees, off)
        made = Made(
            model=model,
            left_out=off / scale,
            search=number.record(trials, [at], part),
            libraries=("lightgbm",),
            notes=notes,
            thresholds={"trees": float(trees * chosen.models)},
        )
        return number.finish(self.name, made, material, scenario, learning)


@dataclass(frozen=True, kw_only=True)
class _Maker:
    """Trains boosters of one task; features of a plan are computed once."""

    learning: number.Task
    options: BoostOptions
    scenario: Scenario
    seed: int
    sights: dict[Plan, tuple[Sight, Windows]]

    def settings(self) -> list[_Setting]:
        declared = self.scenario.mechanism
        bound = bool(declared and declared.monotone)
        bases = (0.0,) if bound else self.options.bases or (0.0,)
        plans = self.options.plans or tuple(
            plan for plan in suiting_plans(self.scenario) if plan != "lags"
        )
        grid = product(plans, bases, sorted(self.options.leaves))
        return [_Setting(plan=p, base=b, leaves=n) for p, b, n in grid]

    def sight(self, plan: Plan) -> tuple[Sight, Windows]:
        """Return the inputs of a plan and their values as the graph computes them."""
        if plan not in self.sights:
            found = sight_of(
                plan,
                self.scenario,
                prior=self.learning.prior,
                statistics=self.options.statistics,
            )
            self.sights[plan] = (found, found.features(self.learning.x))
        return self.sights[plan]

    def try_one(self, setting: _Setting) -> tuple[Trial, int]:
        """Return a setting's honest estimates and its number of trees."""
        learning = self.learning
        y, weights = learning.y, learning.weights
        sight, features = self.sight(setting.plan)
        kept, curves = [], []
        for split in learning.part.splits:
            base = self._base(sight, setting.base, split.learn)
            below = _said(base, learning.x)
            booster, curve = self._stopped(
                features, y - below, weights, (split.learn, split.held), setting
            )
            kept.append((booster, below, split.held))
            curves.append(curve)
        longest = max(len(curve) for curve in curves)
        padded = [np.pad(c, (0, longest - len(c)), mode="edge") for c in curves]
        trees = int(np.argmin(np.mean(padded, axis=0))) + 1
        held = np.full(len(y), np.nan)
        for booster, below, at in kept:
            raw = booster.predict(features[at], num_iteration=trees)
            held[at] = below[at] + np.asarray(raw)
        trial = Trial(
            setting={
                "plan": setting.plan,
                "base": setting.base,
                "leaves": setting.leaves,
                "trees": trees,
            },
            cost=(
                float(features.shape[1]),
                float(setting.leaves),
                float(setting.base > 0.0),
            ),
            held=learning.whole(held),
        )
        return trial, trees

    def model(
        self, setting: _Setting, trees: int, off: Floats
    ) -> tuple[BoostModel, Floats, tuple[str, ...]]:
        """Return the model of the whole learnable part, and the scale of held-out windows."""
        learning = self.learning
        sight, features = self.sight(setting.plan)
        everything = np.arange(len(features))
        base = self._base(sight, setting.base, everything)
        left = learning.y - _said(base, learning.x)
        boosters = [
            lightgbm.train(
                self._parameters(sight, setting.leaves, self.seed + place),
                self._dataset(features, left, learning.weights),
                num_boost_round=trees,
            )
            for place in range(self.options.models)
        ]
        held = learning.part.held
        scaler = None
        note = "the interval has the same width everywhere"
        if self.options.interval == "scaled" and len(held) >= SCALE_LEAST:
            scaler = self._scaler(features[held], off, learning.weights[held])
            note = "the interval is as wide as the error to be expected here, times one calibrated factor"
        model = BoostModel(
            sight=sight,
            base=base,
            crowd=Crowd(
                boosters=tuple(boosters), owner=sight.part_of, owners=sight.parts
            ),
            scaler=scaler,
            floor=max(1e-9, 0.3 * float(np.median(off))),
            prior=learning.prior,
        )
        return model, model.scale(features[held])[:, 0], (note,)

    def _base(
        self, sight: Sight, strength: float, learn: Indices
    ) -> LinearModel | None:
        """Return a ridge model of some windows, on the linear inputs of a plan."""
        if strength <= 0.0:
            return None
        learning = self.learning
        features = sight.inputs.values(learning.x[learn])
        weights, y = learning.weights[learn], learning.y[learn]
        spread = sight.inputs.spread(features, blocks_of(self.scenario))
        middle = np.average(features, axis=0, weights=weights)
        level = float(np.average(y, weights=weights))
        root = np.sqrt(weights)
        slopes, _ = ridge_path(
            root[:, None] * (features - middle) / spread,
            root * (y - level),
            [strength * float(weights.sum())],
        )
        slope = slopes[:, 0] / spread
        return LinearModel(
            inputs=sight.inputs,
            slope=slope,
            level=level - float(middle @ slope),
            usual=learning.usual,
        )

    def _stopped(
        self,
        features: Windows,
        left: Floats,
        weights: Floats,
        at: tuple[Indices, Indices],
        setting: _Setting,
    ) -> tuple[lightgbm.Booster, Floats]:
        """Train on the first windows until the error on the others stops falling."""
        learn, held = at
        sight, _ = self.sight(setting.plan)
        seen: dict[str, dict[str, list[float]]] = {}
        train = self._dataset(features[learn], left[learn], weights[learn])
        watched = train.create_valid(features[held], left[held], weights[held])
        booster = lightgbm.train(
            self._parameters(sight, setting.leaves, self.seed),
            train,
            num_boost_round=self.options.most_trees,
            valid_sets=[watched],
            valid_names=["held"],
            callbacks=[
                lightgbm.early_stopping(_PATIENCE, verbose=False),
                lightgbm.record_evaluation(seen),
            ],
        )
        return booster, np.asarray(seen["held"]["l2"])

    def _scaler(
        self, features: Windows, off: Floats, weights: Floats
    ) -> lightgbm.Booster:
        """Return an ensemble of the error to be expected."""
        simple = {
            **self._parameters(None, 4, self.seed),
            "min_data_in_leaf": max(10, len(off) // 20),
        }
        return lightgbm.train(
            simple, self._dataset(features, off, weights), num_boost_round=40
        )

    def _dataset(
        self, features: Windows, y: Floats, weights: Floats
    ) -> lightgbm.Dataset:
        return lightgbm.Dataset(
            features, y, weight=weights, params={"verbose": -1}, free_raw_data=False
        )

    def _parameters(
        self, sight: Sight | None, leaves: int, seed: int
    ) -> dict[str, object]:
        found: dict[str, object] = {
            "objective": "regression",
            "metric": "l2",
            "num_leaves": leaves,
            "min_data_in_leaf": self.options.least_in_leaf,
            "learning_rate": self.options.learning_rate,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "feature_fraction": 0.7,
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "seed": seed,
            "verbose": -1,
        }
        if sight is not None and any(sight.bound):
            found["monotone_constraints"] = list(sight.bound)
            found["monotone_constraints_method"] = "intermediate"
        return found


def _said(base: LinearModel | None, x: Windows) -> Floats:
    return np.zeros(len(x)) if base is None else base.say(x).estimate[:, 0]
