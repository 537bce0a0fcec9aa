"""What the recipes for a number have in common: physics, interval, reach, graph.

A recipe brings a model of the number (or of what the declared formula leaves over); here
the formula is added, the answer is held inside the physics, the interval is calibrated
and everything is written into one graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.learn import calibration
from tundish.learn import recipe as recipes
from tundish.learn.contributions import usual_course
from tundish.learn.errors import MaterialUnfitError
from tundish.learn.folds import Learnable, Trial, errors
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices, Material, Windows
from tundish.learn.prior import PriorFormula, prior_of
from tundish.learn.reach import Reach, reach_of
from tundish.learn.recipe import Fitted, Outputs, Promise, Tried
from tundish.learn.recipes.pls_distance import Plausible, plausible

LEAST_FIT = 10


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a model says of windows.

    Attributes:
        estimate: Of the number, or of what the formula leaves over, [N, 1].
        scale: How uncertain it is here, against elsewhere, [N, 1].
        contribution: Each channel's part in it, [N, C].
    """

    estimate: Floats
    scale: Floats
    contribution: Floats


class NumberModel(Protocol):
    """A trained model, computed twice."""

    def say(self, x: Windows) -> Said:
        """Return what it says of windows, computed without the graph."""
        ...

    def add(self, writer: GraphWriter, raw: str) -> tuple[str, str, str]:
        """Add the same to a graph: estimate [N, 1], scale [N, 1], contribution [N, C]."""
        ...


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is to be learnt.

    Attributes:
        part: The learnable windows and their splits.
        y: What is learnt of them: the target, less the formula if it is the part that
            is not learnt, [n].
        offset: The formula, if it is the part that is not learnt.
        prior: The formula, if it is a feature.
        usual: Mean window of the learnable part, [T, C].
    """

    part: Learnable
    y: Floats
    offset: PriorFormula | None
    prior: PriorFormula | None
    usual: Floats

    @property
    def x(self) -> Windows:
        """Windows, [n, T, C]."""
        return self.part.material.x

    @property
    def weights(self) -> Floats:
        """Weight of each window: groups weigh alike, [n]."""
        return self.part.material.weights()

    def whole(self, learnt: Floats) -> Floats:
        """Return estimates of the target from those of what is learnt, [n]."""
        if self.offset is None:
            return learnt
        return learnt + self.offset.values(self.x)[:, 0]


def task_of(
    material: Material, scenario: Scenario, part: Learnable, least: int = LEAST_FIT
) -> Task:
    """Return what is to be learnt.

    Raises:
        PartMissingError: if the fit part is too small.
        MaterialUnfitError: if its target never moves.
    """
    fit = material.needed("fit", least)
    if float(np.ptp(fit.y)) == 0.0:
        msg = f"The target is {fit.y[0]:g} in all {len(fit)} windows of the fit part."
        raise MaterialUnfitError(msg)
    seen = part.material
    formula = prior_of(scenario, seen.x)
    declared = scenario.mechanism.prior if scenario.mechanism else None
    whole = formula if declared and declared.use == "residual" else None
    y = seen.y if whole is None else seen.y - whole.values(seen.x)[:, 0]
    return Task(
        part=part,
        y=y,
        offset=whole,
        prior=None if whole else formula,
        usual=usual_course(seen.x),
    )


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """The trained estimator with formula, physics, interval and reach.

    Attributes:
        model: The model.
        offset: The formula that the model's answer is added to.
        low, high: Physics; infinite where none is declared.
        width: Half width of the interval at scale 1.
        reach: Of the training windows.
        possible: Which estimates can be true at all.
    """

    model: NumberModel
    offset: PriorFormula | None
    low: float
    high: float
    width: float
    reach: Reach
    possible: Plausible

    def __call__(self, window: NDArray[np.float32]) -> Outputs:
        """Return the outputs for windows, float64."""
        said = self.model.say(window)
        estimate, contribution = said.estimate, said.contribution
        if self.offset is not None:
            estimate = estimate + self.offset.values(window)
            spread = self.offset.spread(window.shape[2])
            contribution = contribution + self.offset.moved(window) @ spread
        half = self.width * said.scale
        held = np.clip(estimate, self.low, self.high)
        return {
            "estimate": held,
            "lower": np.clip(held - half, self.low, self.high),
            "upper": np.clip(held + half, self.low, self.high),
            "applicability": np.maximum(
                self.reach.of(window), self.possible.of(estimate)
            ),
            "contribution": contribution,
        }

    def write(self, rows: int, channels: int) -> bytes:
        """Return the graph."""
        writer = GraphWriter(rows, channels)
        raw = writer.window()
        estimate, scale, contribution = self.model.add(writer, raw)
        if self.offset is not None:
            value = self.offset.add(writer, raw)
            estimate = writer.add("Add", estimate, value, hint="with_formula")
            moved = self.offset.add_moved(writer, raw, value)
            spread = writer.constant(self.offset.spread(channels), "formula_channels")
            placed = writer.add("MatMul", moved, spread, hint="formula_parts")
            contribution = writer.add("Add", contribution, placed, hint="all_parts")
        held = self._hold(writer, estimate)
        width = writer.constant(np.array([self.width]), "width")
        half = writer.add("Mul", scale, width, hint="half_width")
        outputs = {
            "estimate": held,
            "lower": self._hold(writer, writer.add("Sub", held, half, hint="below")),
            "upper": self._hold(writer, writer.add("Add", held, half, hint="above")),
            "applicability": writer.add(
                "Max",
                self.reach.add(writer),
                self._implausible(writer, estimate),
                hint="farther",
            ),
            "contribution": contribution,
        }
        widths = {**dict.fromkeys(outputs, 1), "contribution": channels}
        return writer.write(outputs, widths)

    def _hold(self, writer: GraphWriter, value: str) -> str:
        """Hold a value inside the physics, so that float32 cannot round it out."""
        if np.isfinite(self.low):
            low = writer.constant(np.array([self.low]), "low")
            value = writer.add("Max", value, low, hint="not_below")
        if np.isfinite(self.high):
            high = writer.constant(np.array([self.high]), "high")
            value = writer.add("Min", value, high, hint="not_above")
        return value

    def _implausible(self, writer: GraphWriter, estimate: str) -> str:
        middle = writer.constant(np.array([self.possible.middle]), "range_middle")
        reach = writer.constant(np.array([self.possible.reach]), "range_reach")
        off = writer.add("Sub", estimate, middle, hint="from_range")
        return writer.add("Div", writer.add("Abs", off), reach, hint="implausible")


def held_errors(learning: Task, trial: Trial, scale: Floats | None = None) -> Floats:
    """Return the absolute errors of held-out windows over their scales, [held]."""
    at = learning.part.held
    off = np.abs(trial.held[at] - learning.part.material.y[at])
    return np.asarray(off if scale is None else off / scale[at])


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a recipe has made.

    Attributes:
        model: Trained on the learnable part.
        left_out: Scaled errors of held-out windows, for a site without a calibrate part.
        search: Every setting tried.
        libraries: Distributions that took part.
        notes, thresholds: Of the recipe.
    """

    model: NumberModel
    left_out: Floats
    search: tuple[Tried, ...]
    libraries: tuple[str, ...]
    notes: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)


def finish(
    name: str, made: Made, material: Material, scenario: Scenario, learning: Task
) -> Fitted:
    """Calibrate, write the graph and return what a recipe returns.

    Args:
        name: Of the recipe.
        made: What it has made.
        material: All parts.
        scenario: The contract.
        learning: What was learnt.
    """
    low, high = _physics(scenario)
    seen = material.take(material.part != "judge")
    sensor = Sensor(
        model=made.model,
        offset=learning.offset,
        low=low,
        high=high,
        width=0.0,
        reach=reach_of(seen, scenario),
        possible=plausible(scenario),
    )
    sensor, promise = _calibrated(sensor, material, scenario, learning, made.left_out)
    fit = material.of("fit")
    envelope = recipes.envelope_of(fit, with_target=True)
    golden = recipes.golden_window(envelope, fit.x.shape[1])
    kept = [tried for tried in made.search if tried.kept]
    formula = learning.offset or learning.prior
    which = "the simplest" if len(kept) == 1 else f"the mean of {len(kept)}"
    said = [
        f"{which} among those of {len(made.search)} settings that cannot be told apart "
        f"from the best, tried on: {learning.part.how}"
    ]
    if formula is not None:
        use = "added to what is learnt" if learning.offset else "one of the inputs"
        said.append(f"the declared formula {formula.text!r} is {use}")
    return Fitted(
        recipe=name,
        task="regress",
        graph=sensor.write(*fit.x.shape[1:]),
        golden_window=golden,
        golden_outputs=recipes.as_float32(sensor(golden)),
        envelope=envelope,
        promise=promise,
        search=made.search,
        chosen=tuple(tried.setting for tried in kept),
        thresholds={"width": sensor.width, **made.thresholds},
        versions=recipes.versions("numpy", "onnx", *made.libraries),
        notes=(*said, *made.notes),
        reference=sensor,
    )


def record(
    trials: Sequence[Trial], kept: Sequence[int] | Indices, part: Learnable
) -> tuple[Tried, ...]:
    """Return the search for the run record."""
    found, used = [], {int(place) for place in kept}
    for place, trial in enumerate(trials):
        rmse = float(np.sqrt(errors(trial, part).mean()))
        found.append(
            Tried(
                setting=dict(trial.setting), scores={"rmse": rmse}, kept=place in used
            )
        )
    return tuple(found)


def _physics(scenario: Scenario) -> tuple[float, float]:
    """Return low and high as float32 values that lie inside what is declared."""
    declared = scenario.mechanism
    low, high = -np.inf, np.inf
    if declared is not None and declared.low is not None:
        low = float(np.float32(declared.low))
        if low < declared.low:
            low = float(np.nextafter(np.float32(declared.low), np.float32(np.inf)))
    if declared is not None and declared.high is not None:
        high = float(np.float32(declared.high))
        if high > declared.high:
            high = float(np.nextafter(np.float32(declared.high), np.float32(-np.inf)))
    return low, high


def _calibrated(
    sensor: Sensor,
    material: Material,
    scenario: Scenario,
    learning: Task,
    left_out: Floats,
) -> tuple[Sensor, Promise]:
    calibrate = material.of("calibrate")
    if len(calibrate):
        estimate = sensor(calibrate.x)["estimate"][:, 0]
        scale = sensor.model.say(calibrate.x).scale[:, 0]
        scores = np.abs(estimate - calibrate.y) / scale
        limit, promise = calibration.interval(scores, scenario, calibrate.weights())
        return replace(sensor, width=limit.limit), promise
    held = learning.part.material.take(learning.part.held)
    limit, promise = calibration.interval(left_out, scenario, held.weights())
    parts = ("fit", "select") if (held.part == "select").any() else ("fit",)
    note = promise.note.replace(
        "samples of the calibrate part",
        f"samples held out of {' and '.join(parts)} in turn, which also chose the setting",
    )
    told = promise.model_copy(update={"parts": parts, "note": note})
    return replace(sensor, width=limit.limit), told
