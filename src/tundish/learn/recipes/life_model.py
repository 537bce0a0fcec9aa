"""What the recipes of a remaining life share: bounds of a level, and the honest ground of them.

The model is the mean of several, each trained without some units. What each says of the units
that it has not seen is the ground for the shift to the cheaper side, for the quantiles of the
error by level, and (without a part ``calibrate``) for the conformal margin; see ``boost_life``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from tundish.catalog.lives import single_channels
from tundish.catalog.scenario import Name, Scenario
from tundish.learn import recipe as recipes
from tundish.learn.calibration import interval
from tundish.learn.errors import MaterialUnfitError, OptionsInvalidError
from tundish.learn.graph import GraphWriter
from tundish.learn.ladder import Ladder, quantile_ladder
from tundish.learn.material import Floats, Indices, Material, Texts, Windows
from tundish.learn.reach import Reach
from tundish.learn.recipe import Fitted, Outputs, Promise, Tried
from tundish.learn.regimes import Regimes, regimes_of

LEAST_UNITS = 2
CUTS = 8
"""Random moments of each unit's life at which the interval is calibrated."""
_UNITS_A_RUNG, _FEWEST_RUNGS, _MOST_RUNGS = 8, 2, 10


class Level(Protocol):
    """The life left as a model tells it, before it is bounded."""

    def told(self, window: Windows) -> tuple[Floats, Floats]:
        """Return the level [N], and what each kept channel moved it, [N, kept]."""
        ...

    def add(self, writer: GraphWriter, raw: str) -> tuple[str, str]:
        """Add the level [N, 1] and the same shares to a graph."""
        ...


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Shift, quantiles of what is left, and the conformal margin.

    Attributes:
        shift: Added to the trees' answer, by level: the cheaper side to err on.
        low, high: Quantiles of the true life less the estimate, by level.
        margin: Widens both, so that the promise holds.
        least, most: Ends of the target's plausible range.
        cap: The highest life that is told.
    """

    shift: Ladder
    low: Ladder
    high: Ladder
    margin: float
    least: float
    most: float
    cap: float

    def estimate(self, level: Floats) -> Floats:
        """Return the estimate for the trees' answer."""
        return np.clip(level + self.shift.at(level), self.least, self.cap)

    def interval(self, estimate: Floats) -> tuple[Floats, Floats]:
        """Return the interval around an estimate."""
        low = estimate + self.low.at(estimate) - self.margin
        high = estimate + self.high.at(estimate) + self.margin
        low = np.minimum(np.clip(low, self.least, self.most), estimate)
        return low, np.maximum(np.clip(high, self.least, self.most), estimate)

    def add(self, writer: GraphWriter, level: str) -> tuple[str, str, str]:
        """Add estimate, lower and upper to a graph; ``level`` is [N, 1] in double."""
        ends = {
            name: writer.constant(np.array(value), name)
            for name, value in (
                ("least", self.least),
                ("most", self.most),
                ("cap", self.cap),
                ("margin", self.margin),
            )
        }
        moved = writer.add("Add", level, self.shift.add(writer, level))
        moved = writer.add("Max", moved, ends["least"])
        estimate = writer.add("Min", moved, ends["cap"], hint="estimate_of")
        low = writer.add("Add", estimate, self.low.add(writer, estimate))
        low = writer.add("Sub", low, ends["margin"])
        high = writer.add("Add", estimate, self.high.add(writer, estimate))
        high = writer.add("Add", high, ends["margin"])
        low, high = (
            writer.add("Min", writer.add("Max", end, ends["least"]), ends["most"])
            for end in (low, high)
        )
        low = writer.add("Min", low, estimate, hint="low_end")
        return estimate, low, writer.add("Max", high, estimate, hint="high_end")


@dataclass(frozen=True, kw_only=True)
class LifeModel:
    """The trained estimator: a level of life, its bounds, and who moved it.

    Attributes:
        level: The life left before it is bounded.
        kept: Channels that it looks at, [kept].
        bounds: Estimate and interval for a level.
        reach: How far a window reaches beyond training.
        channels: Number of channels (C).
    """

    level: Level
    kept: Indices
    bounds: Bounds
    reach: Reach
    channels: int

    def __call__(self, window: Windows) -> Outputs:
        """Return the outputs for windows."""
        level, moved = self.level.told(window)
        estimate = self.bounds.estimate(level)
        low, high = self.bounds.interval(estimate)
        return {
            "estimate": estimate[:, None],
            "lower": low[:, None],
            "upper": high[:, None],
            "applicability": self.reach.of(window),
            "contribution": moved @ self._spread(),
        }

    def graph(self, rows: int) -> bytes:
        """Return all of it as one graph."""
        writer = GraphWriter(rows, self.channels)
        raw = writer.window()
        level, moved = self.level.add(writer, raw)
        estimate, low, high = self.bounds.add(writer, level)
        spread = writer.constant(self._spread(), "channel_of")
        outputs = {
            "estimate": estimate,
            "lower": low,
            "upper": high,
            "applicability": self.reach.add(writer),
            "contribution": writer.add("MatMul", moved, spread),
        }
        widths = dict.fromkeys(outputs, 1) | {"contribution": self.channels}
        return writer.write(outputs, widths)

    def _spread(self) -> Floats:
        """Return which channel each kept one is, [kept, C]."""
        spread = np.zeros((len(self.kept), self.channels))
        spread[np.arange(len(self.kept)), self.kept] = 1.0
        return spread


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a recipe tells of its search.

    Attributes:
        recipe: Its name.
        libraries: Distributions that it learns with.
        members: Of what the model is the mean.
        regimes: Operating regimes, and the channels that move.
        tries: Every setting tried.
    """

    recipe: str
    libraries: tuple[str, ...]
    members: str
    regimes: Regimes
    tries: tuple[Tried, ...]


def fitted_life(
    model: LifeModel, fit: Material, promise: Promise, found: Found
) -> Fitted:
    """Return what a recipe returns."""
    rows = fit.x.shape[1]
    envelope = recipes.envelope_of(fit, with_target=True)
    golden = recipes.golden_window(envelope, rows)
    regimes = found.regimes
    return Fitted(
        recipe=found.recipe,
        task="rul",
        graph=model.graph(rows),
        golden_window=golden,
        golden_outputs=recipes.as_float32(model(golden)),
        envelope=envelope,
        promise=promise,
        search=found.tries,
        chosen=tuple(one.setting for one in found.tries if one.kept),
        thresholds={"cap": model.bounds.cap, "margin": model.bounds.margin},
        versions=recipes.versions(*found.libraries, "numpy", "onnx"),
        notes=(
            f"the mean of {found.members}, each trained without its share of the "
            f"{len(np.unique(fit.source))} units",
            f"{len(regimes.kept)} of {model.channels} channels move and are used; "
            f"{len(regimes)} operating regime{'s' * (len(regimes) > 1)}",
            f"an estimate of {model.bounds.cap:g} means that much or more: nobody can tell",
        ),
        reference=model,
    )


def units_of(material: Material) -> Material:
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


def moving_regimes(
    fit: Material,
    scenario: Scenario,
    settings: tuple[Name, ...],
    rng: np.random.Generator,
    recipe: str,
) -> Regimes:
    """Return the regimes of the fit part.

    Raises:
        OptionsInvalidError: if a setting is no single-valued signal.
        MaterialUnfitError: if no channel moves.
    """
    single = single_channels(scenario)
    strange = sorted(set(settings) - set(single))
    if strange:
        msg = f"The recipe {recipe!r} was given the setting {strange[0]!r}, which is no single-valued signal."
        raise OptionsInvalidError(msg)
    regimes = regimes_of(fit.x, [single[name] for name in settings], rng)
    if not len(regimes.kept):
        msg = "No channel moves in the fit part (within a regime)."
        raise MaterialUnfitError(msg)
    return regimes


def folds_of(unit: Texts, count: int, rng: np.random.Generator) -> Indices:
    """Return the fold of each window, [N]: all windows of a unit lie in one."""
    names, place = np.unique(unit, return_inverse=True)
    order = rng.permutation(len(names))
    fold = np.empty(len(names), dtype=np.int64)
    fold[order] = np.arange(len(names)) % count
    return np.asarray(fold[place])


def cap_of(scenario: Scenario) -> float:
    """Return the highest life that is told."""
    target = scenario.target
    if target is None:
        return float("inf")
    return target.range[1] if target.cap is None else target.cap


def bounds_of(
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
        cap=cap_of(scenario),
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


def calibrated(
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
        estimate = model.bounds.estimate(model.level.told(held.x[cuts])[0])
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
        ground += ", by models that had not seen the unit"
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
