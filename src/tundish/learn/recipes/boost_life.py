"""The recipe ``boost_life``: remaining life by boosted trees on straight looks at a window.

From each window it takes means and slopes over several lengths (``learn.bank``) of every
channel, measured against what is usual in its operating regime (``learn.regimes``), and
the same looks at a *health*: the straight estimate of the life left from one row, which
sums up over all channels the faint wear that trees find hard to add up. Boosted trees
learn the life, capped where the scenario says that nobody can tell (``target.cap``).

The trees are several, each trained without some units (engines, pumps): their mean is
the model, and what each says of the units that it has not seen is the honest ground for
all that comes after it:

- *costs*: where the scenario says that late and early cost differently, the estimate
  is moved, by level, to the quantile ``early / (early + late)`` of the life left, which
  is the cheapest one to tell;
- *interval*: quantiles of the error by level, widened by split-conformal calibration on
  units, each of which counts once and is cut at random moments of its life, because
  the units that will be judged are in the middle of theirs. A part ``calibrate`` of
  units is used if the site has one.

Sources: C-MAPSS practice (piecewise life of 125: F. Heimes, PHM 2008); health index by
linear fusion: T. Wang et al., PHM 2008; G. Ke et al., "LightGBM", NeurIPS 2017;
Y. Romano et al., "Conformalized quantile regression", NeurIPS 2019; prediction from
models without the unit: R. F. Barber et al., "Predictive inference with the
jackknife+", Annals of Statistics 49 (2021) 486.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import lightgbm
import numpy as np
from pydantic import Field

from tundish.catalog.scenario import Name, Scenario
from tundish.catalog.tasks import Task
from tundish.kernel.records import Record
from tundish.learn import recipe as recipes
from tundish.learn.bank import bank_of
from tundish.learn.crowd import Crowd
from tundish.learn.errors import OptionsInvalidError
from tundish.learn.material import Floats, Indices, Material, Windows
from tundish.learn.reach import reach_of
from tundish.learn.recipe import Fitted, Options, Tried
from tundish.learn.recipes.life_model import (
    Found,
    LifeModel,
    bounds_of,
    calibrated,
    cap_of,
    fitted_life,
    folds_of,
    moving_regimes,
    units_of,
)
from tundish.learn.recipes.life_trees import Looks, Trees, boosters_of, health_of


class LifeOptions(Record):
    """Options of ``boost_life``.

    Attributes:
        settings: Signals that say at which operating point the machine runs.
        lengths: Rows to look back; none: the window and four halvings of it.
        leaves: Leaves of a tree; of several the best without the unit is kept.
        trees: Trees of each booster, at most: half of them are kept if that is better.
        learning_rate: Step of each tree.
        boosters: Boosters, each without its share of the units.
        most_rows: Windows that a booster is trained on, at most (evenly taken).
    """

    settings: tuple[Name, ...] = ()
    lengths: tuple[Annotated[int, Field(ge=1)], ...] = ()
    leaves: Annotated[
        tuple[Annotated[int, Field(ge=2, le=64)], ...], Field(min_length=1)
    ] = (16,)
    trees: Annotated[int, Field(ge=2, le=1000)] = 120
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    boosters: Annotated[int, Field(ge=2, le=20)] = 5
    most_rows: Annotated[int, Field(ge=100)] = 20000


@dataclass(frozen=True, kw_only=True)
class _Try:
    """One setting: its boosters and what they say of units that they have not seen."""

    setting: dict[str, int]
    boosters: tuple[lightgbm.Booster, ...]
    unseen: Floats
    rmse: float


class BoostLifeRecipe:
    """Boosted trees for remaining life; see the module."""

    name: Final = "boost_life"
    task: Final[Task] = "rul"

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,
    ) -> Fitted:
        """Fit, move to the cheaper side and calibrate; see ``Recipe.fit``."""
        chosen = recipes.read_options(options, LifeOptions, self.name)
        fit = units_of(material)
        looks, fold, target = _looks(fit, scenario, chosen, rng)
        features = looks.features(fit.x)
        tries = _tries(features, (fold, target), looks, chosen, rng)
        best = min(tries, key=lambda one: one.rmse)
        bounds = bounds_of(best.unseen, (fit, target), scenario)
        model = LifeModel(
            level=Trees(
                looks=looks,
                crowd=Crowd(
                    boosters=best.boosters,
                    owner=looks.channel,
                    owners=len(looks.regimes.kept) + 1,
                ),
            ),
            kept=looks.regimes.kept,
            bounds=bounds,
            reach=reach_of(material.take(material.part != "judge"), scenario),
            channels=fit.x.shape[2],
        )
        model, promise = calibrated(model, material, (fit, best.unseen), scenario, rng)
        found = Found(
            recipe=self.name,
            libraries=("lightgbm", "scikit-learn"),
            members=f"{len(best.boosters)} boosters",
            regimes=looks.regimes,
            tries=tuple(
                Tried(
                    setting=dict(one.setting),
                    scores={"rmse_without_the_unit": one.rmse},
                    kept=one is best,
                )
                for one in tries
            ),
        )
        return fitted_life(model, fit, promise, found)


def _looks(
    fit: Material, scenario: Scenario, options: LifeOptions, rng: np.random.Generator
) -> tuple[Looks, Indices, Floats]:
    """Return the looks, the fold of each window and its capped life."""
    rows = fit.x.shape[1]
    if max(options.lengths, default=1) > rows:
        msg = f"The recipe 'boost_life' is to look back {max(options.lengths)} rows; the window has {rows}."
        raise OptionsInvalidError(msg)
    regimes = moving_regimes(fit, scenario, options.settings, rng, BoostLifeRecipe.name)
    count = min(options.boosters, len(np.unique(fit.source)))
    fold = folds_of(fit.source, count, rng)
    target = np.minimum(fit.y, cap_of(scenario))
    newest = regimes.of(fit.x[:, -1:])[:, 0]
    health = health_of(newest, target, fold, count)
    bank = bank_of(rows, options.lengths)
    return Looks(regimes=regimes, bank=bank, health=health), fold, target


def _tries(
    features: Windows,
    truth: tuple[Indices, Floats],
    looks: Looks,
    options: LifeOptions,
    rng: np.random.Generator,
) -> list[_Try]:
    fold, target = truth
    seed = int(rng.integers(2**31))
    found: list[_Try] = []
    for leaves in options.leaves:
        settings = _settings(leaves, len(target), options, seed)
        counts = sorted({max(1, options.trees // 2), options.trees})
        unseen = {count: np.zeros(len(target)) for count in counts}
        boosters = []
        for mine, booster in boosters_of(
            (features, target, fold),
            looks,
            settings,
            trees=options.trees,
            most_rows=options.most_rows,
        ):
            boosters.append(booster)
            rows = features[mine].astype(np.float64)
            for count in counts:
                told = booster.predict(rows, num_iteration=count)
                unseen[count][mine] = np.asarray(told)
        found += [
            _Try(
                setting={"leaves": leaves, "trees": count},
                boosters=tuple(_shortened(one, count) for one in boosters),
                unseen=unseen[count],
                rmse=float(np.sqrt(np.mean((unseen[count] - target) ** 2))),
            )
            for count in counts
        ]
    return found


def _settings(
    leaves: int, rows: int, options: LifeOptions, seed: int
) -> dict[str, object]:
    return {
        "objective": "regression",
        "num_leaves": leaves,
        "learning_rate": options.learning_rate,
        "min_data_in_leaf": int(np.clip(rows // 200, 3, 40)),
        "feature_fraction": 0.4,
        "bagging_fraction": 0.6,
        "bagging_freq": 1,
        "verbosity": -1,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "seed": seed,
    }


def _shortened(booster: lightgbm.Booster, trees: int) -> lightgbm.Booster:
    """Return a booster's first trees."""
    if booster.num_trees() <= trees:
        return booster
    return lightgbm.Booster(model_str=booster.model_to_string(num_iteration=trees))
