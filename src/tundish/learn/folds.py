"""Splits inside the learnable part: what a setting is tried on, and what it may learn from.

Neighbours in time are not independent, windows of one laboratory value share one truth,
and windows of one batch or machine resemble each other: none of them may stand on both
sides of a split. So whole sources are held out if there are enough, else stretches of the
order in which the data stands: of time, or of a table, whose neighbours are often one
trial. (Where the order means nothing, stretches are as good as random groups.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tundish.catalog.scenario import Option, Scenario
from tundish.learn.material import Floats, Indices, Material

ENOUGH_TO_CHOOSE = 20
BLOCKS = 10
MOST_WORSE = 1.05


@dataclass(frozen=True, kw_only=True)
class Split:
    """One split: places within the learnable part."""

    learn: Indices
    held: Indices


@dataclass(frozen=True, kw_only=True)
class Learnable:
    """The parts fit and select, and how they are split.

    Attributes:
        material: Windows of fit, then of select.
        splits: In order.
        how: In words, for the run record.
    """

    material: Material
    splits: tuple[Split, ...]
    how: str

    @property
    def held(self) -> Indices:
        """Places of all windows that are held out once, rising."""
        return np.unique(np.concatenate([split.held for split in self.splits]))

    def blocks(self) -> list[Indices]:
        """Return the held-out windows in at least ``BLOCKS`` runs (if there are so many)."""
        each = -(-BLOCKS // len(self.splits))
        found = []
        for split in self.splits:
            groups, first = np.unique(
                self.material.group[split.held], return_index=True
            )
            ordered = groups[np.argsort(first, kind="stable")]
            for part in np.array_split(ordered, min(each, len(ordered))):
                inside = np.isin(self.material.group[split.held], part)
                found.append(split.held[inside])
        return found


def learnable(material: Material, scenario: Scenario, count: int) -> Learnable:
    """Return the learnable part and its splits.

    If the site names a select part of at least ``ENOUGH_TO_CHOOSE`` truths, settings are
    tried on it by models of the fit part, as the model will be used: forward in time. A
    smaller one is a further split beside those of the fit part.

    Args:
        material: Every part.
        scenario: Its window tells which neighbours share rows.
        count: Splits of the fit part.
    """
    fit, select = material.of("fit"), material.of("select")
    order = np.concatenate(
        [np.flatnonzero(material.part == part) for part in ("fit", "select")]
    )
    both = material.take(order)
    forward = Split(
        learn=np.arange(len(fit)), held=np.arange(len(fit), len(both), dtype=np.int64)
    )
    if len(np.unique(select.group)) >= ENOUGH_TO_CHOOSE:
        return Learnable(
            material=both, splits=(forward,), how="fit part -> select part"
        )
    splits, how = _splits(fit, scenario, count)
    if len(select):
        splits, how = (*splits, forward), f"{how}, and fit part -> select part"
    return Learnable(material=both, splits=tuple(splits), how=how)


def _splits(
    fit: Material, scenario: Scenario, count: int
) -> tuple[tuple[Split, ...], str]:
    sources = _in_order(fit.source)
    if len(sources) >= 2 * count:
        chosen = [np.isin(fit.source, p) for p in np.array_split(sources, count)]
        how, purge = f"{count} sets of whole sources", 0
    else:
        parts = np.array_split(_in_order(fit.group), count)
        chosen = [np.isin(fit.group, part) for part in parts if len(part)]
        how = f"{len(chosen)} stretches of the fit part"
        purge = -(-scenario.window.rows // scenario.window.stride) - 1
    return tuple(_split(out, purge) for out in chosen), how


def _split(held: np.ndarray, purge: int) -> Split:
    """Leave out of learning what shares rows with the held-out windows."""
    near = held.copy()
    if purge:
        wide = np.convolve(held, np.ones(2 * purge + 1), mode="same") > 0
        if np.count_nonzero(~wide) >= np.count_nonzero(~held) // 2:
            near = wide
    return Split(
        learn=np.flatnonzero(~near).astype(np.int64),
        held=np.flatnonzero(held).astype(np.int64),
    )


def _in_order(values: np.ndarray) -> np.ndarray:
    names, first = np.unique(values, return_index=True)
    return np.asarray(names[np.argsort(first, kind="stable")])


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One setting with its honest estimates.

    Attributes:
        setting: The setting, for the record.
        cost: How simple it is: smaller is simpler.
        held: Estimate of each learnable window by a model that never saw it, [n]; NaN
            where no split holds it out.
    """

    setting: Mapping[str, Option]
    cost: tuple[float, ...]
    held: Floats


def errors(trial: Trial, part: Learnable) -> Floats:
    """Return the mean squared error of each block, groups weighing alike, [B]."""
    y, weight = part.material.y, part.material.weights()
    return np.array(
        [
            np.average((trial.held[at] - y[at]) ** 2, weights=weight[at])
            for at in part.blocks()
        ]
    )


def alike(trials: list[Trial], part: Learnable) -> Indices:
    """Return the places of the trials that cannot be told apart from the best.

    Those within one standard error of the difference to the best, block by block: two
    settings that fail on the same stretches are told apart by what they do differently.
    (L. Breiman et al., "Classification and Regression Trees", 1984, there unpaired.)
    Errors of a few blocks of a drifting plant have so large a standard error that nearly
    everything lies within it: so no trial is taken that errs by more than ``MOST_WORSE``
    times the best.
    """
    each = np.stack([errors(trial, part) for trial in trials])
    best = int(np.argmin(each.mean(axis=1)))
    over = each - each[best]
    blocks = each.shape[1]
    bound = over.std(axis=1, ddof=1) / np.sqrt(blocks) if blocks > 1 else np.zeros(1)
    bound = np.minimum(bound, (MOST_WORSE**2 - 1.0) * each[best].mean())
    return np.flatnonzero(over.mean(axis=1) <= bound + 1e-15).astype(np.int64)


def simplest(trials: list[Trial], part: Learnable) -> int:
    """Return the place of the simplest trial that cannot be told apart from the best."""
    near = alike(trials, part)
    return int(min(near, key=lambda place: (trials[place].cost, place)))
