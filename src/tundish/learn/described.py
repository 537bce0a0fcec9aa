"""Windows described by a few numbers with names that people at the plant know.

For finding regions and neighbours, not for answering: the newest value, mean, spread
and change of each signal; of a spectrum its mean, its spread and its leading principal
components over the fit part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tundish.catalog.scenario import Scenario
from tundish.learn.material import Floats, Material

COMPONENTS = 6
_TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class Described:
    """Numbers of each window, [N, F], and their names; ``signal`` names what each shows."""

    values: Floats
    names: tuple[str, ...]
    signal: tuple[str, ...]

    @property
    def scaled(self) -> Floats:
        """Return the numbers in robust spreads from their medians, [N, F]."""
        middle = np.median(self.values, axis=0)
        spread = np.subtract(*np.quantile(self.values, [0.84, 0.16], axis=0)) / 2.0
        wide = self.values.std(axis=0)
        spread = np.where(spread > _TINY + 1e-3 * wide, spread, wide)
        return np.asarray((self.values - middle) / np.where(spread > 0, spread, 1.0))


def describe(material: Material, scenario: Scenario) -> Described:
    """Return the description of every window of every part."""
    columns: list[Floats] = []
    names: list[str] = []
    signals: list[str] = []

    def add(name: str, values: Floats, signal: str) -> None:
        names.append(name)
        columns.append(values)
        signals.append(signal)

    fit, at = material.part == "fit", 0
    for signal in scenario.signals:
        part = material.x[:, :, at : at + signal.channels].astype(np.float64)
        at += signal.channels
        if signal.axis is not None:
            flat = part.mean(axis=1)
            add(f"mean of {signal.name}", flat.mean(axis=1), signal.name)
            add(f"spread of {signal.name}", flat.std(axis=1), signal.name)
            for number, column in enumerate(_components(flat, fit), start=1):
                add(f"component {number} of {signal.name}", column, signal.name)
            continue
        values = part[:, :, 0]
        if scenario.picture is None:
            add(signal.name, values[:, -1], signal.name)
        if values.shape[1] > 1:
            add(f"mean of {signal.name}", values.mean(axis=1), signal.name)
            add(f"spread of {signal.name}", values.std(axis=1), signal.name)
            change = values[:, -1] - values[:, 0]
            add(f"change of {signal.name}", change, signal.name)
    return Described(
        values=np.stack(columns, axis=1), names=tuple(names), signal=tuple(signals)
    )


def _components(flat: Floats, fit: np.ndarray) -> Floats:
    """Return scores on the fit part's leading principal components, [k, N]."""
    base = flat[fit] if fit.sum() > 1 else flat
    middle = base.mean(axis=0)
    rows = (base - middle)[:: max(1, len(base) // 2000)]
    count = min(COMPONENTS, *rows.shape)
    _, _, axes = np.linalg.svd(rows, full_matrices=False)
    return np.asarray(((flat - middle) @ axes[:count].T).T)
