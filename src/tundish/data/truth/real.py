"""Stretches of real sets without a fault that anyone could see: the honest base signals.

Each was looked at, tag by tag. Their times were replaced by an even clock of about the
set's own pace, since some sets have none; findings that a stretch has by itself (rows
that were interpolated before publication) are no fault of the grade and are taken off.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tundish.data.readers import read_table
from tundish.data.times import SECOND
from tundish.data.truth.plants import START_US, Plant


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Where a stretch stands.

    Attributes:
        name: For the table.
        file: Below the folder of the sets.
        columns: Positions (from 0) of the columns taken.
        first, last: Rows (from 0), the last not included.
        period_s: Seconds between rows.
        units: Unit of some columns, by their name.
    """

    name: str
    file: str
    columns: tuple[int, ...]
    first: int
    last: int
    period_s: float
    units: tuple[tuple[str, str], ...] = ()


_SKAB = (("Temperature", "degC"), ("Thermocouple", "degC"), ("Pressure", "bar"))
TUNING: tuple[Stretch, ...] = (
    Stretch(
        name="pump loop (SKAB)",
        file="skab/anomaly-free/anomaly-free.csv",
        columns=tuple(range(1, 9)),
        first=0,
        last=9000,
        period_s=1,
        units=_SKAB,
    ),
    Stretch(
        name="steam generator (Abbott)",
        file="steam-generator-abbott/steamgen.dat",
        columns=tuple(range(1, 9)),
        first=0,
        last=9600,
        period_s=3,
    ),
)
JUDGING: tuple[Stretch, ...] = (
    Stretch(
        name="Tennessee Eastman, normal",
        file="tep-braatz/d00_te.dat",
        columns=(*range(22), *range(41, 45), 46, 47, 50, 51),
        first=0,
        last=960,
        period_s=180,
    ),
    Stretch(
        name="debutanizer",
        file="debutanizer-column/debutanizer_data.txt",
        columns=(0, 1, 2, 4, 5, 6),
        first=0,
        last=2394,
        period_s=360,
    ),
    Stretch(
        name="component test rig (C11)",
        file="production-plant-ppd/C11.csv.gz",
        columns=tuple(range(1, 26)),
        first=2000,
        last=10000,
        period_s=1,
    ),
)


def load(stretch: Stretch, folder: Path) -> Plant:
    """Read a stretch.

    Args:
        stretch: One of ``TUNING`` or ``JUDGING``.
        folder: Folder of the real sets.

    Raises:
        PathMissingError, TableUnreadableError: if the set is not there or not as known.
    """
    frame = read_table(folder / stretch.file).frame
    units = dict(stretch.units)
    tags = {}
    for place in stretch.columns:
        name = frame.columns[place]
        values = np.array(frame[name].to_numpy(), dtype=np.float64)
        unit = f".{units[name]}" if name in units else ""
        tags[f"{name}{unit}"] = values[stretch.first : stretch.last]
    rows = len(next(iter(tags.values())))
    step = round(stretch.period_s * SECOND)
    return Plant(
        kind=stretch.name,
        tags=tags,
        us=START_US + np.arange(rows, dtype=np.int64) * step,
        period_s=stretch.period_s,
    )
