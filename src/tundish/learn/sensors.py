"""Which signals behave in a slice as they do nowhere else: still, or noisy.

A signal is noisy in a slice if it is farther from what the other signals say of it than
elsewhere. The other signals speak through a linear model with squares, fitted on all
windows: it only has to take away what they have in common.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tundish.catalog.scenario import Scenario
from tundish.learn.described import Described
from tundish.learn.gaps_report import Where
from tundish.learn.material import Floats, Material

STILL = 0.05
NOISY = 1.5
CHANCE = 1e-3
LEAST = 8
MOST = 60
"""Signals that are held against each other; with more, noise is not looked for."""

Bools = NDArray[np.bool_]


def still(
    inside: Bools,
    where: Where,
    described: Described,
    material: Material,
    scenario: Scenario,
) -> tuple[str, ...]:
    """Return signals whose newest value stands still in the slice only."""
    if where.by in {"stretch", "moment"}:
        return ()
    values, cut = described.values, _cut_by(where, described, scenario)
    learned = inside & (material.part != "judge")
    use = learned if learned.any() else inside
    return tuple(
        name
        for column, name in _newest(described)
        if name not in cut
        and values[use, column].std() < STILL * values[~inside, column].std()
    )


def noisy(
    inside: Bools, where: Where, described: Described, scenario: Scenario
) -> tuple[str, ...]:
    """Return signals that scatter more about what the others say of them than elsewhere."""
    columns = [column for column, _ in _newest(described)]
    if not 2 <= len(columns) <= MOST or min(inside.sum(), (~inside).sum()) < LEAST:
        return ()
    scaled = np.clip(described.scaled[:, columns], -10.0, 10.0)
    cut = _cut_by(where, described, scenario)
    found = []
    for place, column in enumerate(columns):
        if described.names[column] in cut:
            continue
        off = np.abs(_apart(scaled, place))
        here, there = off[inside], off[~inside]
        test = stats.ttest_ind(here, there, equal_var=False, alternative="greater")
        ratio = float(np.median(here)) / max(1e-9, float(np.median(there)))
        if ratio >= NOISY and float(test.pvalue) < CHANCE / len(columns):
            found.append((ratio, described.names[column]))
    return tuple(name for _, name in sorted(found, reverse=True)[:1])


def _apart(scaled: Floats, place: int) -> Floats:
    """Return a signal less what the others say of it, [N]."""
    others = np.delete(scaled, place, axis=1)
    base = np.hstack([np.ones((len(scaled), 1)), others, others**2])
    weights, *_ = np.linalg.lstsq(base, scaled[:, place], rcond=1e-9)
    return np.asarray(scaled[:, place] - base @ weights)


def _newest(described: Described) -> list[tuple[int, str]]:
    """Return the columns that hold the newest value of a signal, and its name."""
    pairs = zip(described.names, described.signal, strict=True)
    return [
        (column, name) for column, (name, signal) in enumerate(pairs) if name == signal
    ]


def _cut_by(where: Where, described: Described, scenario: Scenario) -> frozenset[str]:
    """Return the signals that a slice is cut by: they are narrow there by design."""
    names = {one.name for one in where.conditions}
    cut = {
        signal
        for name, signal in zip(described.names, described.signal, strict=True)
        if name in names
    }
    for mode in scenario.modes:
        if where.by == "mode" and where.name in mode.cells:
            cut |= mode.names
    return frozenset(cut)
