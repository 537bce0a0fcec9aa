"""What the boosted recipe looks at, and its trained model in numpy and in the graph."""

from __future__ import annotations

from dataclasses import dataclass

import lightgbm
import numpy as np

from tundish.catalog.scenario import Scenario
from tundish.learn import features as window_features
from tundish.learn.crowd import Crowd
from tundish.learn.features import Feature
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices, Windows
from tundish.learn.mechanism import channel_of
from tundish.learn.prior import PriorFormula
from tundish.learn.recipes.inputs import Inputs, Plan, inputs_of
from tundish.learn.recipes.linear import LinearModel
from tundish.learn.recipes.number import Said
from tundish.learn.trees import add_trees, features_of, raw_scores

LEAST_ROWS_FOR_STATISTICS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Sight:
    """The inputs of a plan.

    Attributes:
        inputs: The linear ones, without the formula.
        statistics: Statistics of each tag over the window.
        told: Channels whose statistics are inputs.
        prior: The formula, if it is an input.
        rows, channels: Form of a window.
        part_of: Which part each feature belongs to: its channel, or the formula, [F].
        bound: 1 where the answer may only rise with a feature, -1 only fall, [F].
    """

    inputs: Inputs
    statistics: tuple[Feature, ...]
    told: Indices
    prior: PriorFormula | None
    rows: int
    channels: int
    part_of: Indices
    bound: tuple[int, ...]

    @property
    def parts(self) -> int:
        """Number of parts: one a channel, and one for the formula."""
        return self.channels + (self.prior is not None)

    def add(self, writer: GraphWriter, raw: str) -> str:
        """Add all features to a graph."""
        found = [self.inputs.add(writer, raw)]
        if self.statistics and len(self.told):
            free = writer.pick(raw, self.told, hint="free_channels")
            build = window_features.build(self.statistics, self.rows)
            found.append(build(writer, free))
        if self.prior is not None:
            found.append(self.prior.add(writer, raw))
        return writer.add("Concat", *found, axis=1, hint="all_features")

    def features(self, x: Windows) -> Windows:
        """Return all features as the graph computes them, float32 [N, F]."""
        return features_of(self.add, x)


def sight_of(
    plan: Plan,
    scenario: Scenario,
    *,
    prior: PriorFormula | None,
    statistics: bool,
) -> Sight:
    """Return the inputs of a plan.

    A monotone relation speaks of a signal's level and binds what rises with it. Spread and
    range do not change with the level, but for rounding, and that can push a window over a
    threshold: those of a bound signal are no inputs. The formula is bound to raise the
    answer: it stands for the target itself.
    """
    rows, channels = scenario.window.rows, scenario.channels
    inputs = inputs_of(plan, (rows, channels))
    extra: tuple[Feature, ...] = ()
    if statistics and plan != "newest" and rows >= LEAST_ROWS_FOR_STATISTICS:
        extra = (Feature(kind="std", rows=rows), Feature(kind="range", rows=rows))
    sign = np.zeros(channels, dtype=np.int64)
    declared = scenario.mechanism
    for relation in declared.monotone if declared else ():
        place = channel_of(scenario, relation.signal)
        sign[place] = 1 if relation.target == "rises" else -1
    told = np.flatnonzero(sign == 0).astype(np.int64)
    part_of = [
        np.tile(np.arange(channels), len(inputs.rows)),
        np.tile(told, len(extra)),
    ]
    bound = [np.tile(sign, len(inputs.rows)), np.zeros(len(part_of[1]), dtype=int)]
    if prior is not None:
        part_of.append(np.array([channels]))
        bound.append(np.array([1]))
    return Sight(
        inputs=inputs,
        statistics=extra,
        told=told,
        prior=prior,
        rows=rows,
        channels=channels,
        part_of=np.concatenate(part_of).astype(np.int64),
        bound=tuple(int(value) for value in np.concatenate(bound)),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class BoostModel:
    """Trees above a linear base, and the error to be expected.

    Attributes:
        sight: What it looks at.
        base: The linear base, if any.
        crowd: The trees, and what each part of the inputs moved.
        scaler: Ensemble of the error to be expected; None: the same everywhere.
        floor: Least error to be expected, in the target's unit.
        prior: The formula, if it is an input.
    """

    sight: Sight
    base: LinearModel | None
    crowd: Crowd
    scaler: lightgbm.Booster | None
    floor: float
    prior: PriorFormula | None

    def say(self, x: Windows) -> Said:
        """Return what it says; see ``NumberModel``."""
        features = self.sight.features(x)
        parts = self.crowd.moved(features)
        estimate = self.crowd.answers(features)[:, None]
        contribution = parts[:, : self.sight.channels]
        if self.prior is not None:
            share = self._shares(x) * parts[:, -1:]
            contribution = contribution + share @ self.prior.spread(x.shape[2])
        if self.base is not None:
            below = self.base.say(x)
            estimate = estimate + below.estimate
            contribution = contribution + below.contribution
        return Said(
            estimate=estimate, scale=self.scale(features), contribution=contribution
        )

    def scale(self, features: Windows) -> Floats:
        """Return the error to be expected, [N, 1]."""
        if self.scaler is None:
            return np.ones((len(features), 1))
        return np.maximum(raw_scores(self.scaler, features), self.floor)

    def add(self, writer: GraphWriter, raw: str) -> tuple[str, str, str]:
        """Add the same to a graph; see ``NumberModel``."""
        features = self.sight.add(writer, raw)
        estimate, parts = self.crowd.add(writer, features)
        scale = self._add_scale(writer, features, estimate)
        contribution = self._by_channel(writer, raw, parts)
        if self.base is not None:
            below, _, linear = self.base.add(writer, raw)
            estimate = writer.add("Add", estimate, below, hint="with_base")
            contribution = writer.add("Add", contribution, linear, hint="with_linear")
        return estimate, scale, contribution

    def _add_scale(self, writer: GraphWriter, features: str, estimate: str) -> str:
        if self.scaler is None:
            zero = writer.add("Sub", estimate, estimate, hint="zero")
            one = writer.constant(np.ones(1), "one")
            return writer.add("Add", zero, one, hint="unit_scale")
        expected = add_trees(writer, features, self.scaler)
        floor = writer.constant(np.array([self.floor]), "least_error")
        return writer.add("Max", expected, floor, hint="expected_error")

    def _by_channel(self, writer: GraphWriter, raw: str, parts: str) -> str:
        channels = self.sight.channels
        if self.prior is None:
            return parts
        axis = writer.constant(np.array([1]), "axis")
        ends = [
            writer.constant(np.array([at]), "end") for at in (0, channels, channels + 1)
        ]
        own = writer.add("Slice", parts, ends[0], ends[1], axis, hint="own_parts")
        formula = writer.add("Slice", parts, ends[1], ends[2], axis, hint="its_part")
        moved = self.prior.add_moved(writer, raw, self.prior.add(writer, raw))
        size = writer.add("Abs", moved, hint="moved_size")
        tiny = writer.constant(np.array([_TINY]), "tiny")
        size = writer.add("Add", size, tiny, hint="moved_size")
        share = writer.add("Div", size, writer.sum_last(size, "moved_sum"))
        weighed = writer.add("Mul", share, formula, hint="formula_parts")
        spread = writer.constant(self.prior.spread(channels), "formula_channels")
        placed = writer.add("MatMul", weighed, spread, hint="formula_by_channel")
        return writer.add("Add", own, placed, hint="all_parts")

    def _shares(self, x: Windows) -> Floats:
        """Return how the formula's part is shared among its signals, [N, signals]."""
        if self.prior is None:
            return np.zeros((len(x), 0))
        size = np.abs(self.prior.moved(x)) + _TINY
        return np.asarray(size / size.sum(axis=1, keepdims=True))


_TINY = 1e-12
