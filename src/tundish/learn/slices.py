"""Where a model may be weak: the judged windows cut by what people know them by.

Stretches (unbroken runs of the judged part), sources (asset, batch, product: "will it do
on that machine?"), declared operating modes, classes and shifts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.expression import compile_condition
from tundish.catalog.modes import Mode
from tundish.catalog.scenario import Scenario
from tundish.learn.judging import Case
from tundish.learn.material import Indices, Material

MOST = 60
"""Slices of one kind that are looked at, the largest first."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One slice.

    Attributes:
        by: ``stretch``, ``source``, ``mode``, ``class`` or ``shift``.
        name: For people.
        index: Its windows, counted within the judged part.
    """

    by: str
    name: str
    index: Indices


def cuts(case: Case) -> tuple[Cut, ...]:
    """Return all slices of the judged part that hold at least one window."""
    found = [
        Cut(by="stretch", name=piece.name, index=piece.index) for piece in case.pieces
    ]
    material = case.material
    sources = list(_values("source", material.source))
    if len(sources) > 1:
        found += sources
    found += _modes(material, case.scenario)
    if case.scenario.classes and material.y.ndim == 1:
        found += _classes(material, case.scenario)
    if material.shift is not None:
        found += list(_values("shift", material.shift))
    return tuple(cut for cut in found if len(cut.index))


def in_mode(mode: Mode, material: Material, scenario: Scenario) -> dict[str, Bools]:
    """Return which windows lie in each cell of a mode, by the newest row."""
    columns = newest(material, scenario)
    if mode.when is not None:
        condition = compile_condition(mode.when)
        return {mode.name: condition.on({tag: columns[tag] for tag in condition.tags})}
    if mode.months is not None:
        if material.at is None:
            return {}
        month = material.at.astype("datetime64[M]").astype(np.int64) % 12 + 1
        return {mode.name: np.isin(month, mode.months)}
    value, edges = columns[mode.signal or ""], mode.edges or ()
    ends = list(pairwise(edges))
    return {
        name: (value >= low)
        & ((value < high) | ((value == high) & (high == edges[-1])))
        for name, (low, high) in zip(mode.cells, ends, strict=True)
    }


def newest(material: Material, scenario: Scenario) -> dict[str, NDArray[np.float64]]:
    """Return the newest value of each single-valued signal, [N] each."""
    found, at = {}, 0
    for signal in scenario.signals:
        if signal.axis is None:
            found[signal.name] = material.x[:, -1, at].astype(np.float64)
        at += signal.channels
    return found


def _modes(material: Material, scenario: Scenario) -> list[Cut]:
    return [
        Cut(by="mode", name=name, index=_places(inside))
        for mode in scenario.modes
        for name, inside in in_mode(mode, material, scenario).items()
    ]


def _classes(material: Material, scenario: Scenario) -> list[Cut]:
    return [
        Cut(by="class", name=item.name, index=_places(material.y == place))
        for place, item in enumerate(scenario.classes)
    ]


def _values(by: str, texts: NDArray[np.str_]) -> Iterator[Cut]:
    names, counts = np.unique(texts, return_counts=True)
    for name in names[np.argsort(-counts, kind="stable")][:MOST]:
        yield Cut(by=by, name=str(name), index=_places(texts == name))


def _places(inside: Bools) -> Indices:
    return np.flatnonzero(inside).astype(np.int64)
