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

from dataclasses import dataclass, replace
from typing import Annotated, Final

import lightgbm
import numpy as np
from pydantic import Field

from tundish.catalog.lives import single_channels
from tundish.catalog.scenario import Name, Scenario
from tundish.catalog.tasks import Task
from tundish.kernel.records import Record
from tundish.learn import recipe as recipes
from tundish.learn.bank import bank_of
from tundish.learn.calibration import interval
from tundish.learn.crowd import Crowd
from tundish.learn.errors import MaterialUnfitError, OptionsInvalidError
from tundish.learn.ladder import Ladder, quantile_ladder
from tundish.learn.material import Floats, Indices, Material, Texts, Windows
from tundish.learn.reach import reach_of
from tundish.learn.recipe import Fitted, Options, Promise, Tried
from tundish.learn.recipes.life_model import (
    Bounds,
    LifeModel,
    Looks,
    boosters_of,
    folds_of,
    health_of,
)
from tundish.learn.regimes import regimes_of

LEAST_UNITS = 2
CUTS = 8
"""Random moments of each unit's life at which the interval is calibrated."""
_UNITS_A_RUNG, _FEWEST_RUNGS, _MOST_RUNGS = 8, 2, 10


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
        fit = _units(material)
        looks, fold, target = _looks(fit, scenario, chosen, rng)
        features = looks.features(fit.x)
        tries = _tries(features, (fold, target), looks, chosen, rng)
        best = min(tries, key=lambda one: one.rmse)
        bounds = _bounds(best.unseen, (fit, target), scenario)
        model = LifeModel(
            looks=looks,
            crowd=Crowd(
                boosters=best.boosters,
                owner=looks.channel,
                owners=len(looks.regimes.kept) + 1,
            ),
            bounds=bounds,
            reach=reach_of(material.take(material.part != "judge"), scenario),
            channels=fit.x.shape[2],
        )
        model, promise = _calibrated(model, material, (fit, best.unseen), scenario, rng)
        return _fitted(model, fit, promise, (tries, best))


def _units(material: Material) -> Material:
    """Return the units to learn from: fit and select, which takes part in the folds."""
    material.needed("fit")
    fit = material.take(np.isin(material.part, ["fit", "select"]))
    found = len(np.unique(fit.source))
    if found < LEAST_UNITS:
        msg = f"There is {found} unit to learn from (parts fit and select); a remaining life is learnt from at least {LEAST_UNITS}."
        raise MaterialUnfitError(msg)
    if float(np.ptp(fit.y)) == 0.0:
        msg = (
            f"The life left is {fit.y[0]:g} in all {len(fit)} windows of the fit part."
        )
        raise MaterialUnfitError(msg)
    return fit


def _looks(
    fit: Material, scenario: Scenario, options: LifeOptions, rng: np.random.Generator
) -> tuple[Looks, Indices, Floats]:
    """Return the looks, the fold of each window and its capped life."""
    rows = fit.x.shape[1]
    if max(options.lengths, default=1) > rows:
        msg = f"The recipe 'boost_life' is to look back {max(options.lengths)} rows; the window has {rows}."
        raise OptionsInvalidError(msg)
    single = single_channels(scenario)
    strange = sorted(set(options.settings) - set(single))
    if strange:
        msg = f"The recipe 'boost_life' was given the setting {strange[0]!r}, which is no single-valued signal."
        raise OptionsInvalidError(msg)
    regimes = regimes_of(fit.x, [single[name] for name in options.settings], rng)
    if not len(regimes.kept):
        msg = "No channel moves in the fit part (within a regime)."
        raise MaterialUnfitError(msg)
    count = min(options.boosters, len(np.unique(fit.source)))
    fold = folds_of(fit.source, count, rng)
    target = np.minimum(fit.y, _cap(scenario))
    newest = regimes.of(fit.x[:, -1:])[:, 0]
    health = health_of(newest, target, fold, count)
    bank = bank_of(rows, options.lengths)
    return Looks(regimes=regimes, bank=bank, health=health), fold, target


def _cap(scenario: Scenario) -> float:
    target = scenario.target
    if target is None:
        return float("inf")
    return target.range[1] if target.cap is None else target.cap


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


def _bounds(
    unseen: Floats, truth: tuple[Material, Floats], scenario: Scenario
) -> Bounds:
    """Return shift and quantiles by level, from units that no booster has seen."""
    fit, target = truth
    weights = _unit_weights(fit.source)
    rungs = int(
        np.clip(len(np.unique(fit.source)) // _UNITS_A_RUNG, _FEWEST_RUNGS, _MOST_RUNGS)
    )
    least, most = scenario.target.range if scenario.target else (0.0, float("inf"))
    nothing = Ladder(knots=np.zeros(1), values=np.zeros(1))
    bounds = Bounds(
        shift=nothing,
        low=nothing,
        high=nothing,
        margin=0.0,
        least=least,
        most=most,
        cap=_cap(scenario),
    )
    cheap = _cheapest(scenario)
    if cheap is not None:
        shift = quantile_ladder(
            unseen, target - unseen, cheap, weights=weights, rungs=rungs
        )
        bounds = replace(bounds, shift=shift)
    estimate = bounds.estimate(unseen)
    tail = (1.0 - scenario.acceptance.coverage) / 2.0
    low, high = (
        quantile_ladder(estimate, fit.y - estimate, rate, weights=weights, rungs=rungs)
        for rate in (tail, 1.0 - tail)
    )
    return replace(bounds, low=low, high=high)


def _cheapest(scenario: Scenario) -> float | None:
    """Return the quantile of the life left that costs least to tell; None: not said."""
    costs = scenario.costs
    if costs is None or not (costs.late and costs.early):
        return None
    return costs.early / (costs.early + costs.late)


def _unit_weights(unit: Texts) -> Floats:
    _, place, count = np.unique(unit, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / count[place])


def _calibrated(
    model: LifeModel,
    material: Material,
    seen: tuple[Material, Floats],
    scenario: Scenario,
    rng: np.random.Generator,
) -> tuple[LifeModel, Promise]:
    """Widen the interval so that it holds on units cut at random moments."""
    fit, unseen = seen
    held, level = material.of("calibrate"), None
    if not len(held):
        held, level = fit, unseen
    cuts = _random_cuts(held.source, rng)
    if level is None:
        features = model.looks.features(held.x[cuts])
        estimate = model.bounds.estimate(model.crowd.answers(features))
    else:
        estimate = model.bounds.estimate(level[cuts])
    low, high = model.bounds.interval(estimate)
    truth = held.y[cuts]
    scores = np.maximum(low - truth, truth - high)
    weights = _unit_weights(held.source[cuts])
    limit, promise = interval(scores, scenario, weights)
    bounds = replace(model.bounds, margin=limit.limit)
    ground = (
        f"{promise.promised:.1%} of true lives inside the interval, calibrated on "
        f"{limit.count} units cut at {CUTS} random moments each"
    )
    if level is not None:
        ground += ", by boosters that had not seen the unit"
    parts = ("calibrate",) if level is None else ("fit",)
    note = f"{ground}; exact only if later units resemble these, which the judge checks"
    return (
        replace(model, bounds=bounds),
        promise.model_copy(update={"parts": parts, "note": note}),
    )


def _random_cuts(unit: Texts, rng: np.random.Generator) -> Indices:
    """Return some random windows of each unit, by place."""
    return np.concatenate(
        [rng.choice(np.flatnonzero(unit == one), CUTS) for one in np.unique(unit)]
    ).astype(np.int64)


def _fitted(
    model: LifeModel,
    fit: Material,
    promise: Promise,
    search: tuple[list[_Try], _Try],
) -> Fitted:
    tries, best = search
    rows = fit.x.shape[1]
    envelope = recipes.envelope_of(fit, with_target=True)
    golden = recipes.golden_window(envelope, rows)
    regimes = model.looks.regimes
    units = len(np.unique(fit.source))
    return Fitted(
        recipe=BoostLifeRecipe.name,
        task="rul",
        graph=model.graph(rows),
        golden_window=golden,
        golden_outputs=recipes.as_float32(model(golden)),
        envelope=envelope,
        promise=promise,
        search=tuple(
            Tried(
                setting=dict(one.setting),
                scores={"rmse_without_the_unit": one.rmse},
                kept=one is best,
            )
            for one in tries
        ),
        chosen=(dict(best.setting),),
        thresholds={"cap": model.bounds.cap, "margin": model.bounds.margin},
        versions=recipes.versions("lightgbm", "numpy", "onnx", "scikit-learn"),
        notes=(
            f"the mean of {len(model.crowd.boosters)} boosters, each trained without its "
            f"share of the {units} units",
            f"{len(regimes.kept)} of {model.channels} channels move and are used; "
            f"{len(regimes)} operating regime{'s' * (len(regimes) > 1)}",
            f"an estimate of {model.bounds.cap:g} means that much or more: nobody can tell",
        ),
        reference=model,
    )
