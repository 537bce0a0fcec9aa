"""Splits of the parts fit and select on which ``auto`` compares recipes.

Whole sources (machines, batches) are held out where there are enough; else unbroken
stretches, so that neighbours in time and windows of one group stand on one side. What
shares rows with a held-out stretch is not learnt from. Every class is cut by itself, so
that none is missing on either side. The parts calibrate and judge are never held out,
and judge is not even handed over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.learn.material import Indices, Material

ENOUGH_SOURCES = 2  # for each split
BLOCKS = 4  # of each split, to know a spread from

Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Split:
    """One split.

    Attributes:
        learn: What a recipe is given: fit, select and calibrate without what is held.
        held: What it is tried on.
        blocks: Runs of the held windows, counted within ``held``.
    """

    learn: Material
    held: Material
    blocks: tuple[Indices, ...]


def splits_of(
    material: Material, scenario: Scenario, count: int, rng: np.random.Generator
) -> tuple[tuple[Split, ...], str]:
    """Return the splits, and how they were made, in words.

    Args:
        material: Every part but judge.
        scenario: Its window tells which neighbours share rows.
        count: Number of splits.
        rng: Deals groups where there is neither time nor enough sources.
    """
    usable = np.isin(material.part, ("fit", "select"))
    fold = np.full(len(material), -1, dtype=np.int64)
    strata = _strata(material, scenario)
    whole = _enough_sources(material, usable, strata, count)
    timeless = material.at is None or bool(np.isnat(material.at).any())
    units = material.source if whole else material.group
    for part in ("fit", "select"):
        for stratum in np.unique(strata[usable]):
            mine = np.flatnonzero((material.part == part) & (strata == stratum))
            fold[mine] = _dealt(
                units[mine], count, rng if timeless and not whole else None
            )
    how = "whole sources" if whole else "groups by lot" if timeless else "stretches"
    reach = 0
    if not whole and not timeless:
        reach = -(-scenario.window.rows // scenario.window.stride) - 1
    found = [_split(material, fold == number, reach) for number in range(count)]
    return tuple(one for one in found if len(one.held)), f"{count} splits by {how}"


def _strata(material: Material, scenario: Scenario) -> Indices:
    """Return the class of each window; 0 where the target is a number."""
    if scenario.task in {"diagnose", "inspect"} and material.y.ndim == 1:
        return np.nan_to_num(material.y, nan=-1.0).astype(np.int64)
    return np.zeros(len(material), dtype=np.int64)


def _enough_sources(
    material: Material, usable: Bools, strata: Indices, count: int
) -> bool:
    """Tell whether each part and class comes from enough sources to hold some out."""
    held = [
        len(np.unique(material.source[inside]))
        for part in ("fit", "select")
        for stratum in np.unique(strata[usable])
        if (inside := (material.part == part) & (strata == stratum)).any()
    ]
    return bool(held) and min(held) >= ENOUGH_SOURCES * count


def _dealt(
    units: NDArray[np.generic], count: int, rng: np.random.Generator | None
) -> Indices:
    """Return the fold of each window: units in order (or by lot), cut into equal runs."""
    names, first, place = np.unique(units, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    if rng is not None:
        order = rng.permutation(order)
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    return np.asarray(rank[place.reshape(-1)] * count // max(1, len(names)))


def _split(material: Material, out: Bools, reach: int) -> Split:
    near = out.copy()
    if reach:
        wide = np.convolve(out, np.ones(2 * reach + 1), mode="same") > 0
        left = np.count_nonzero(~wide & (material.part == "fit"))
        if left >= np.count_nonzero(~out & (material.part == "fit")) // 2:
            near = wide & np.isin(material.part, ("fit", "select"))
    held = material.take(out)
    groups, first = np.unique(held.group, return_index=True)
    ordered = groups[np.argsort(first, kind="stable")]
    blocks = tuple(
        np.flatnonzero(np.isin(held.group, run)).astype(np.int64)
        for run in np.array_split(ordered, min(BLOCKS, max(1, len(ordered))))
    )
    learn = material.take(~near)
    return Split(learn=learn, held=held, blocks=blocks)
