"""The real sets of the task regress as windows with their truths."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.data.readers.rdata import RDataReader
from tundish.kernel import canonical
from tundish.learn.material import Floats, Material, Windows


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Windows with truths, in order of time where there is one.

    Attributes:
        name: Of the set.
        x: Windows, [N, T, C].
        y: Truths, [N].
        signals: Name of each channel.
        group: Samples that must stay together, [N].
        timed: Whether rows follow in time.
        spectrum: First and last value of the axis, if all channels are one spectrum.
        unit: Of the target.
        tolerance: Error that the decision bears, in ``unit``.
    """

    name: str
    x: Windows
    y: Floats
    signals: tuple[str, ...]
    group: NDArray[np.int64]
    timed: bool
    spectrum: tuple[float, float] | None = None
    unit: str = "1"
    tolerance: float = 1.0

    def material(self, part: NDArray[np.str_]) -> Material:
        """Return the windows with their parts."""
        start = np.datetime64("2020-01-01T00:00:00", "us")
        hours = np.arange(len(self.y)) * np.timedelta64(3600, "s")
        return Material(
            x=self.x,
            y=self.y,
            part=part,
            source=np.full(len(self.y), self.name),
            event=np.full(len(self.y), -1),
            group=self.group,
            at=start + hours if self.timed else None,
        )

    def scenario(self) -> Scenario:
        """Return a scenario that says no more than the set's own description."""
        low, high = float(self.y.min()), float(self.y.max())
        wide = high - low
        ends = (float(self.x.min()) - 1.0, float(self.x.max()) + 1.0)
        told = {"description": "as in the set", "unit": "1", "range": ends}
        named: list[dict[str, object]] = [
            {"name": f"s{place}", "period_s": 3600, **told}
            for place, _ in enumerate(self.signals)
        ]
        if self.spectrum is not None:
            axis = {
                "quantity": "wavelength",
                "unit": "nm",
                "first": self.spectrum[0],
                "last": self.spectrum[1],
                "points": self.x.shape[2],
            }
            named = [{"name": "spectrum", "period_s": 3600, "axis": axis, **told}]
        return Scenario.model_validate_json(
            canonical.dumps(
                {
                    "format": "tundish.scenario",
                    "version": 1,
                    "key": "C26.21.bench",
                    "name": {"en": self.name, "zh": self.name},
                    "problem": "bench",
                    "decision": {"what": "none", "who": "nobody"},
                    "task": "regress",
                    "signals": named,
                    "target": {
                        "name": "target",
                        "description": "as in the set",
                        "unit": self.unit,
                        "range": (low - wide, high + wide),
                    },
                    "window": {"rows": self.x.shape[1], "stride": 1},
                    "recipe": "linear",
                    "candidates": {"linear": {"recipe": "linear", "why": "bench"}},
                    "acceptance": {
                        "tolerance": self.tolerance,
                        "coverage": 0.9,
                        "limits": [{"metric": "r2", "at_least": 0, "why": "bench"}],
                    },
                    "baseline": "the mean",
                    "parity_tolerance": 1e-4,
                    "stale_after_s": 3600,
                    "risk": {
                        "outcome": "low",
                        "ambiguity": "low",
                        "autonomy": "advise",
                        "why": "bench",
                    },
                }
            )
        )


def windows(rows: Floats, length: int) -> Windows:
    """Return the windows that end at each row from ``length - 1`` on, [N, T, C]."""
    view = np.lib.stride_tricks.sliding_window_view(rows, length, axis=0)
    return np.ascontiguousarray(view.transpose(0, 2, 1), dtype=np.float32)


def debutanizer(folder: Path, length: int) -> Bench:
    """Seven tags of the column and the butane of its bottom; no past of the target."""
    table = np.loadtxt(folder / "debutanizer-column/debutanizer_data.txt", skiprows=5)
    x = windows(table[:, :7], length)
    return Bench(
        name="debutanizer-column",
        x=x,
        y=table[length - 1 :, 7],
        signals=tuple(f"u{i}" for i in range(1, 8)),
        group=np.arange(len(x)),
        timed=True,
        tolerance=0.1,
    )


def concrete(folder: Path) -> Bench:
    """Mixes and ages of concrete; equal rows are one group."""
    path = folder / "concrete-strength/cement_strength.txt"
    table = np.genfromtxt(path, delimiter=",", skip_header=1)
    group = np.unique(table[:, :8], axis=0, return_inverse=True)[1].reshape(-1)
    return Bench(
        name="concrete-strength",
        x=table[:, None, :8].astype(np.float32),
        y=table[:, 8],
        signals=_header(path)[:8],
        group=group.astype(np.int64),
        timed=False,
        unit="MPa",
        tolerance=5.0,
    )


def kamyr(folder: Path, length: int) -> Bench:
    """Hourly tags of a digester and the Kappa number; gaps hold the last value."""
    path = folder / "kamyr-digester-full/kamyr-digester.csv"
    table = np.genfromtxt(path, delimiter=",", skip_header=1)[:, 1:]
    tags, kappa = table[:, 1:], table[:, 0]
    # a tag with more than a tenth missing is left out: it would be mostly our filling
    tags = tags[:, np.isnan(tags).mean(axis=0) <= 0.1]
    for row in range(1, len(tags)):
        tags[row] = np.where(np.isnan(tags[row]), tags[row - 1], tags[row])
    first = int(np.flatnonzero(np.isfinite(tags).all(axis=1))[0])
    tags, kappa = tags[first:], kappa[first:]
    x = windows(tags, length)
    known = np.isfinite(kappa[length - 1 :])
    return Bench(
        name="kamyr-digester-full",
        x=x[known],
        y=kappa[length - 1 :][known],
        signals=tuple(f"t{i}" for i in range(tags.shape[1])),
        group=np.arange(int(known.sum())),
        timed=True,
        tolerance=2.0,
    )


def dryer(folder: Path, rows: int) -> Bench:
    """The first rows of each batch, and how many rows it took: when will it be done?"""
    path = folder / "batch-dryer/dryer.csv"
    table = np.genfromtxt(path, delimiter=",", skip_header=1)
    batches = [table[table[:, 0] == number] for number in np.unique(table[:, 0])]
    kept = [batch for batch in batches if len(batch) > rows]
    return Bench(
        name="batch-dryer",
        x=np.stack([batch[:rows, 1:-1] for batch in kept]).astype(np.float32),
        y=np.array([float(len(batch)) for batch in kept]),
        signals=_header(path)[1:-1],
        group=np.arange(len(kept)),
        timed=False,
        unit="min",
        tolerance=10.0,
    )


def nylon(folder: Path, rows: int) -> Bench:
    """The first rows of each batch, and the mean of its column 9 over the last five rows."""
    path = folder / "batch-nylon/nylon.csv"
    table = np.genfromtxt(path, delimiter=",", skip_header=1)
    batches = [table[table[:, 0] == number] for number in np.unique(table[:, 0])]
    kept = [batch for batch in batches if len(batch) > rows + 5]
    return Bench(
        name="batch-nylon",
        x=np.stack([batch[:rows, 1:] for batch in kept]).astype(np.float32),
        y=np.array([float(batch[-5:, 9].mean()) for batch in kept]),
        signals=_header(path)[1:],
        group=np.arange(len(kept)),
        timed=False,
        tolerance=20.0,
    )


def gasoline(folder: Path) -> Bench:
    """Near-infrared spectra of gasoline and its octane number."""
    columns = _r_table(folder / "gasoline-nir-octane/gasoline.RData")
    return _spectra("gasoline-nir-octane", columns, "octane", (900.0, 1700.0), 0.5)


def yarn(folder: Path) -> Bench:
    """Near-infrared spectra of PET yarns and their density; ``train`` marks 21 of 28."""
    columns = _r_table(folder / "pet-yarn-nir/yarn.RData")
    return _spectra("pet-yarn-nir", columns, "density", (1.0, 268.0), 1.0)


def yarn_train(folder: Path) -> NDArray[np.bool_]:
    """Return which yarns the set itself marks for training."""
    columns = _r_table(folder / "pet-yarn-nir/yarn.RData")
    name = next(name for name in columns if "train" in name.lower())
    return np.asarray(columns[name] > 0.5)


def _spectra(
    name: str,
    columns: dict[str, Floats],
    target: str,
    axis: tuple[float, float],
    tolerance: float,
) -> Bench:
    label = next(each for each in columns if target in each.lower())
    others = [c for c in columns if c != label and "train" not in c.lower()]
    x = np.stack([columns[each] for each in others], axis=1)
    return Bench(
        name=name,
        x=x[:, None].astype(np.float32),
        y=columns[label],
        signals=("spectrum",),
        group=np.arange(len(x)),
        timed=False,
        spectrum=axis,
        tolerance=tolerance,
    )


def _r_table(path: Path) -> dict[str, Floats]:
    tables = RDataReader().read(path, path.name)
    widest = max(tables, key=lambda table: len(table.frame.columns))
    return {
        name: widest.frame[name].cast(float).to_numpy()
        for name in widest.frame.columns
        if widest.frame[name].dtype.is_numeric()
        or str(widest.frame[name].dtype) == "Boolean"
    }


def _header(path: Path) -> tuple[str, ...]:
    with path.open(newline="") as lines:
        found: Sequence[str] = next(csv.reader(lines))
    return tuple(found)
