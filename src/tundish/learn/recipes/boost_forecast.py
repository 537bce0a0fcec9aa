"""The recipe ``boost_forecast``: boosted trees that correct a plain forecast.

The plain forecast (last value, season before, ...: see ``seasonal``) is chosen on later
windows; trees learn what it misses from means and slopes of every channel over several
lengths, the newest values, and the values one season before. Each of a few steps ahead
(1, 4, 16, ... and the last) has boosters of its own, so that the first minutes and the
last hour may listen to different channels; the corrections of the steps between lie on
straight lines. A correction is only as large as it proves good for on later windows: it
is shrunk by the share that least squares asks for there, and left out if that is none.

Intervals as in ``seasonal``. The contribution of a channel is how far it moved the
correction of the last step (``learn.shares``) in the target's unit.

Sources: S. Ben Taieb et al., Expert Systems with Applications 39 (2012) 7067 (direct
forecasts of several steps); G. Ke et al., "LightGBM", NeurIPS 2017.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Final

import lightgbm
import numpy as np
from pydantic import Field

from tundish.catalog.scenario import Name, Scenario
from tundish.catalog.tasks import Task
from tundish.kernel.records import Record
from tundish.learn import recipe as recipes
from tundish.learn import trees
from tundish.learn.bank import Bank, bank_of
from tundish.learn.crowd import Crowd
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices, Material, Windows
from tundish.learn.reach import Reach, reach_of
from tundish.learn.recipe import Fitted, Options, Outputs, Tried
from tundish.learn.recipes.forecast_parts import (
    Band,
    Plain,
    band_of,
    calibrated_margins,
    golden_of,
    past_channel,
    plain_forecasts,
    rmse,
    split,
)


class ForecastOptions(Record):
    """Options of ``boost_forecast``.

    Attributes:
        past: Signal that holds the target's own past; None: the target's name.
        lengths: Rows to look back; none: the window and four halvings of it.
        steps: Steps ahead with boosters of their own; none: 1, 4, 16, ... and the last.
        leaves: Leaves of a tree.
        trees: Trees for each of these steps.
        learning_rate: Step of each tree.
        most_rows: Windows that a booster is trained on, at most (evenly taken).
    """

    past: Name | None = None
    lengths: tuple[Annotated[int, Field(ge=1)], ...] = ()
    steps: tuple[Annotated[int, Field(ge=1)], ...] = ()
    leaves: Annotated[int, Field(ge=2, le=64)] = 12
    trees: Annotated[int, Field(ge=2, le=1000)] = 100
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.06
    most_rows: Annotated[int, Field(ge=100)] = 20000


@dataclass(frozen=True, kw_only=True)
class Looks:
    """Features: the bank of all channels, and the past where the season points."""

    bank: Bank
    seasonal: Floats
    channel: int
    channels: int

    @property
    def account(self) -> Indices:
        """Return the channel of each feature, [F]."""
        every = np.tile(np.arange(self.channels), len(self.bank))
        own = np.full(self.seasonal.shape[1], self.channel)
        return np.concatenate([every, own]).astype(np.int64)

    def add(self, writer: GraphWriter, raw: str) -> str:
        """Add the features to a graph; see ``trees.BuildFeatures``."""
        looks = self.bank.add(writer, raw)
        width = writer.constant(np.array([-1, len(self.bank) * self.channels]), "form")
        flat = writer.add("Reshape", looks, width, hint="looks")
        if not self.seasonal.shape[1]:
            return flat
        before = writer.add(
            "MatMul",
            add_past(writer, raw, self.channel),
            writer.constant(self.seasonal, "season"),
        )
        return writer.add("Concat", flat, before, axis=1, hint="features")


def add_past(writer: GraphWriter, raw: str, channel: int) -> str:
    """Add the target's own past, [N, T]."""
    place = writer.constant(np.array(channel), "channel")
    return writer.add("Gather", raw, place, axis=2, hint="past")


@dataclass(frozen=True, kw_only=True)
class ForecastModel:
    """The estimator; computes with LightGBM, not with the operator of trees.

    Attributes:
        spread: What each step takes of each booster's correction, [A, H].
    """

    plain: Plain
    looks: Looks
    crowds: tuple[Crowd, ...]
    spread: Floats
    band: Band
    reach: Reach

    def estimate(self, x: Windows) -> Floats:
        """Return the forecast of each step, [N, H]."""
        return self.band.clip(self.plain_of(x) + self.corrections(x) @ self.spread)

    def plain_of(self, x: Windows) -> Floats:
        """Return the plain forecast, [N, H]."""
        return self.plain.of(x[:, :, self.looks.channel].astype(np.float64))

    def corrections(self, x: Windows) -> Floats:
        """Return what each booster adds, [N, A]."""
        features = trees.features_of(self.looks.add, x)
        return np.stack([crowd.answers(features) for crowd in self.crowds], axis=1)

    def __call__(self, window: Windows) -> Outputs:
        """Return the outputs for windows."""
        estimate = self.estimate(window)
        low, high = self.band.of(estimate)
        features = trees.features_of(self.looks.add, window)
        moved = self.crowds[-1].moved(features) * self.spread[-1, -1]
        return {
            "estimate": estimate,
            "lower": low,
            "upper": high,
            "applicability": self.reach.of(window),
            "contribution": moved,
        }

    def graph(self, rows: int) -> bytes:
        """Return all of it as one graph."""
        writer = GraphWriter(rows, self.looks.channels)
        raw = writer.window()
        past = add_past(writer, raw, self.looks.channel)
        weights = writer.constant(self.plain.weights, "plain_weights")
        plain = writer.add("MatMul", past, weights, hint="plain")
        features = self.looks.add(writer, raw)
        each = [crowd.add(writer, features) for crowd in self.crowds]
        both = writer.add("Concat", *(answer for answer, _ in each), axis=1)
        spread = writer.constant(self.spread, "spread")
        added = writer.add("MatMul", both, spread, hint="correction")
        estimate = self.band.add_clip(writer, writer.add("Add", plain, added))
        low, high = self.band.add(writer, estimate)
        last = writer.constant(self.spread[-1, -1], "last_share")
        outputs = {
            "estimate": estimate,
            "lower": low,
            "upper": high,
            "applicability": self.reach.add(writer),
            "contribution": writer.add("Mul", each[-1][1], last),
        }
        ahead = self.spread.shape[1]
        widths = dict.fromkeys(("estimate", "lower", "upper"), ahead)
        widths |= {"applicability": 1, "contribution": self.looks.channels}
        return writer.write(outputs, widths)


class BoostForecastRecipe:
    """Boosted trees on a plain forecast; see the module."""

    name: Final = "boost_forecast"
    task: Final[Task] = "forecast"

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,
    ) -> Fitted:
        """Fit the corrections, shrink and calibrate them; see ``Recipe.fit``."""
        chosen = recipes.read_options(options, ForecastOptions, self.name)
        channel = past_channel(scenario, chosen.past, self.name)
        fit, select = split(material)
        calibrate = material.needed("calibrate")
        plains = plain_forecasts(fit.x.shape[1], fit.y.shape[1], _season(scenario))
        past = select.x[:, :, channel].astype(np.float64)
        errors = [rmse(one.of(past), select.y) for one in plains]
        plain = plains[int(np.argmin(errors))]
        model = _corrected(
            ForecastModel(
                plain=plain,
                looks=_looks(fit, scenario, chosen, channel),
                crowds=(),
                spread=np.zeros((0, fit.y.shape[1])),
                band=band_of(plain.of(past), select.y, scenario),
                reach=reach_of(material.take(material.part != "judge"), scenario),
            ),
            (fit, select),
            chosen,
            int(rng.integers(2**31)),
        )
        told = model.estimate(select.x)
        model = replace(model, band=band_of(told, select.y, scenario))
        margin, promise = calibrated_margins(
            *model.band.of(model.estimate(calibrate.x)), calibrate, scenario
        )
        model = replace(model, band=replace(model.band, margin=margin))
        envelope, golden = golden_of(fit)
        return Fitted(
            recipe=self.name,
            task="forecast",
            graph=model.graph(fit.x.shape[1]),
            golden_window=golden,
            golden_outputs=recipes.as_float32(model(golden)),
            envelope=envelope,
            promise=promise,
            search=(
                *(
                    Tried(
                        setting={"plain": one.name, "corrected": False},
                        scores={"rmse": error},
                        kept=False,
                    )
                    for one, error in zip(plains, errors, strict=True)
                ),
                Tried(
                    setting={"plain": plain.name, "corrected": True},
                    scores={"rmse": rmse(told, select.y)},
                    kept=True,
                ),
            ),
            chosen=({"plain": plain.name, "corrected": True},),
            thresholds={"widest_margin": float(margin.max())},
            versions=recipes.versions("lightgbm", "numpy", "onnx"),
            notes=(
                f"corrections to {plain.name} by {len(model.crowds)} boosters, of which the "
                f"last step takes {model.spread[-1, -1]:.0%}",
            ),
            reference=model,
        )


def _season(scenario: Scenario) -> int | None:
    return scenario.horizon.season_rows if scenario.horizon else None


def _looks(
    fit: Material, scenario: Scenario, options: ForecastOptions, channel: int
) -> Looks:
    _, rows, channels = fit.x.shape
    ahead = fit.y.shape[1]
    bank = bank_of(rows, options.lengths or (1, *(rows >> p for p in range(4))))
    seasonal = np.zeros((rows, 0))
    before = [
        one
        for one in plain_forecasts(rows, ahead, _season(scenario))
        if "season" in one.name
    ]
    if before:
        places = np.array(_steps(ahead, options)) - 1
        seasonal = before[0].weights[:, places]
    return Looks(bank=bank, seasonal=seasonal, channel=channel, channels=channels)


def _steps(ahead: int, options: ForecastOptions) -> list[int]:
    """Return the steps that have boosters, from 1 to the last."""
    asked = options.steps or (1, *(4**power for power in range(1, 8)))
    return sorted({one for one in asked if one < ahead} | {ahead})


def _corrected(
    model: ForecastModel,
    parts: tuple[Material, Material],
    options: ForecastOptions,
    seed: int,
) -> ForecastModel:
    fit, select = parts
    every = max(1, -(-len(fit) // options.most_rows))
    learn = fit.take(np.arange(0, len(fit), every).astype(np.int64))
    features = trees.features_of(model.looks.add, learn.x).astype(np.float64)
    missed = learn.y - model.plain_of(learn.x)
    steps = _steps(fit.y.shape[1], options)
    settings = _settings(options, len(learn), seed)
    crowds = tuple(
        Crowd(
            boosters=(
                lightgbm.train(
                    settings,
                    lightgbm.Dataset(features, missed[:, step - 1]),
                    options.trees,
                ),
            ),
            owner=model.looks.account,
            owners=model.looks.channels,
        )
        for step in steps
    )
    between = _between(steps, fit.y.shape[1])
    model = replace(model, crowds=crowds, spread=between)
    added = model.corrections(select.x) @ between
    left = select.y - model.plain_of(select.x)
    share = np.sum(added * left, axis=0) / np.maximum(np.sum(added**2, axis=0), 1e-12)
    return replace(model, spread=between * np.clip(share, 0.0, 1.0))


def _between(steps: list[int], ahead: int) -> Floats:
    """Return what each step takes of the boosters at some steps, [A, H]."""
    every = np.arange(1, ahead + 1)
    each = np.eye(len(steps))
    return np.stack([np.interp(every, steps, row) for row in each])


def _settings(options: ForecastOptions, rows: int, seed: int) -> dict[str, object]:
    return {
        "objective": "regression",
        "num_leaves": options.leaves,
        "learning_rate": options.learning_rate,
        "min_data_in_leaf": int(np.clip(rows // 200, 5, 60)),
        "feature_fraction": 0.5,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "verbosity": -1,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "seed": seed,
    }
