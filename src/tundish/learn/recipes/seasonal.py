"""The recipe ``seasonal``: the plain forecast that every other one has to beat.

Tried are the last value, the mean of the last rows, the value of the season before (the
same hour yesterday) and the mean of the last few seasons at that hour, as far as the
window reaches; kept is the one with the least error on windows after the fit stretch.
It has no parameters but that choice, so there is next to nothing to go wrong.

The interval of each step: quantiles of the error by level of the forecast, widened by
split-conformal calibration (``learn.conformal``).

Source: R. Hyndman, G. Athanasopoulos, "Forecasting: principles and practice", 3rd ed.
(2021), section 5.2 (naive and seasonal naive methods).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from tundish.catalog.scenario import Name, Scenario
from tundish.catalog.tasks import Task
from tundish.kernel.records import Record
from tundish.learn import recipe as recipes
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Material, Windows
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


class SeasonalOptions(Record):
    """Options of ``seasonal``.

    Attributes:
        past: Signal that holds the target's own past; None: the target's name.
    """

    past: Name | None = None


@dataclass(frozen=True, kw_only=True)
class SeasonalModel:
    """The estimator."""

    plain: Plain
    band: Band
    reach: Reach
    channel: int

    def estimate(self, x: Windows) -> Floats:
        """Return the forecast of each step, [N, H]."""
        past = x[:, :, self.channel].astype(np.float64)
        return self.band.clip(self.plain.of(past))

    def __call__(self, window: Windows) -> Outputs:
        """Return the outputs for windows."""
        estimate = self.estimate(window)
        low, high = self.band.of(estimate)
        applicability = self.reach.of(window)
        return {
            "estimate": estimate,
            "lower": low,
            "upper": high,
            "applicability": applicability,
        }

    def graph(self, rows: int, channels: int) -> bytes:
        """Return all of it as one graph."""
        writer = GraphWriter(rows, channels)
        raw = writer.window()
        place = writer.constant(np.array(self.channel), "channel")
        past = writer.add("Gather", raw, place, axis=2, hint="past")
        weights = writer.constant(self.plain.weights, "weights")
        estimate = self.band.add_clip(writer, writer.add("MatMul", past, weights))
        low, high = self.band.add(writer, estimate)
        outputs = {
            "estimate": estimate,
            "lower": low,
            "upper": high,
            "applicability": self.reach.add(writer),
        }
        ahead = self.plain.weights.shape[1]
        widths = dict.fromkeys(outputs, ahead) | {"applicability": 1}
        return writer.write(outputs, widths)


class SeasonalRecipe:
    """Plain seasonal forecasts; see the module."""

    name: Final = "seasonal"
    task: Final[Task] = "forecast"

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,  # noqa: ARG002  (nothing here is random)
    ) -> Fitted:
        """Choose a plain forecast and calibrate it; see ``Recipe.fit``."""
        chosen = recipes.read_options(options, SeasonalOptions, self.name)
        channel = past_channel(scenario, chosen.past, self.name)
        fit, select = split(material)
        calibrate = material.needed("calibrate")
        horizon = scenario.horizon
        plains = plain_forecasts(
            fit.x.shape[1],
            fit.y.shape[1],
            horizon.season_rows if horizon else None,
        )
        past = select.x[:, :, channel].astype(np.float64)
        errors = [rmse(plain.of(past), select.y) for plain in plains]
        best = plains[int(np.argmin(errors))]
        model = SeasonalModel(
            plain=best,
            band=band_of(best.of(past), select.y, scenario),
            reach=reach_of(material.take(material.part != "judge"), scenario),
            channel=channel,
        )
        margin, promise = calibrated_margins(
            *model.band.of(model.estimate(calibrate.x)), calibrate, scenario
        )
        model = replace(model, band=replace(model.band, margin=margin))
        envelope, golden = golden_of(fit)
        return Fitted(
            recipe=self.name,
            task="forecast",
            graph=model.graph(fit.x.shape[1], fit.x.shape[2]),
            golden_window=golden,
            golden_outputs=recipes.as_float32(model(golden)),
            envelope=envelope,
            promise=promise,
            search=tuple(
                Tried(
                    setting={"plain": plain.name},
                    scores={"rmse": error},
                    kept=plain is best,
                )
                for plain, error in zip(plains, errors, strict=True)
            ),
            chosen=({"plain": best.name},),
            thresholds={"widest_margin": float(margin.max())},
            versions=recipes.versions("numpy", "onnx"),
            notes=(f"{best.name}, chosen among {len(plains)} on later windows",),
            reference=model,
        )
