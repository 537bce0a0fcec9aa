"""What one window cost a graph: its error, on one scale within a task.

Regress, rul: the absolute error, in the target's unit (a remaining life above the cap
counts as the cap). Forecast: its mean over the horizon. Diagnose and inspect: 1 where
the most probable class is wrong, else 0. Anomaly: the score of a normal window, at most
``MOST_SCORE``, since every normal window should score low; marked windows have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.learn.judge import answers
from tundish.learn.material import Floats, Indices, Material
from tundish.learn.recipe import Scorer

MOST_SCORE = 3.0
NUMBERS = frozenset({"regress", "rul", "forecast"})
CLASSES = frozenset({"diagnose", "inspect"})


@dataclass(frozen=True, kw_only=True)
class Truths:
    """Windows put together by truth: one sample for each group, in order.

    Attributes:
        first: The first window of each sample, [G].
        place: Sample of each window, [N].
    """

    first: Indices
    place: Indices

    def mean(self, values: NDArray[np.generic]) -> Floats:
        """Return the mean of each sample over its windows that have a value, [G]."""
        known = np.isfinite(values.astype(np.float64))
        filled = np.where(known, values, 0.0).astype(np.float64)
        size = len(self.first)
        count = np.bincount(self.place, known, size)
        summed = np.bincount(self.place, filled, size)
        return np.where(count > 0, summed / np.maximum(count, 1), np.nan)


def truths_of(material: Material) -> Truths:
    """Return the samples of a material."""
    _, first, place = np.unique(material.group, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return Truths(first=first[order].astype(np.int64), place=rank[place])


def losses(run: Scorer, material: Material, scenario: Scenario) -> Floats:
    """Return what each window cost a graph, [N]; NaN where there is no truth.

    Raises:
        OutputInvalidError: if the graph's answers cannot be read.
    """
    return loss_of(answers(run, material.x, scenario), material, scenario)


def loss_of(
    outputs: Mapping[str, Floats], material: Material, scenario: Scenario
) -> Floats:
    """Return the same from answers that are there already, [N]."""
    y = material.y
    if scenario.task == "anomaly":
        score = np.minimum(outputs["score"][:, 0], MOST_SCORE)
        return np.where(material.event < 0, score, np.nan)
    if scenario.task in NUMBERS:
        cap = scenario.target.cap if scenario.target else None
        told = outputs["estimate"]
        truth = y.reshape(len(y), -1) if cap is None else np.minimum(y, cap)[:, None]
        return np.asarray(np.abs(told - truth).mean(axis=1))
    if "probability" in outputs:
        told_class = outputs["probability"].argmax(axis=1)
    else:
        told_class = (outputs["score"][:, 0] > 1.0).astype(np.int64)
    return np.where(np.isfinite(y), told_class != y, np.nan)


def unit_of(scenario: Scenario) -> str:
    """Return the unit of the losses, for people."""
    if scenario.task in NUMBERS:
        return scenario.target.unit if scenario.target else ""
    return "score" if scenario.task == "anomaly" else "share wrong"
