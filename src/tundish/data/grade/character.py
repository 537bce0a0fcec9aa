"""What kind of signal a tag is: decides which checks make sense for it.

A set-point that stands still is well; a thermometer that does is not. Nothing here
knows a name: the kind is read from the values.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tundish.data.columns import side_by_side
from tundish.data.grade.kernels import kernels
from tundish.data.grade.scan import (
    LENGTHS,
    Quantiles,
    Scan,
    quantiles,
    scan,
    step_quantiles,
)
from tundish.data.grade.sheet import Ints, Series, Sheet

Role = Literal["empty", "constant", "state", "stepwise", "counter", "measure"]

STATE_LEVELS = 12
STEPWISE_REPEAT = 0.8
_SAMPLE = 20_000


@dataclass(frozen=True)
class Character:
    """A tag with what one scan found about it.

    Attributes:
        series: The tag.
        ordered: Its values by unit and time, shape [n].
        scan: The fused pass.
        repeat: Share of steps without a change, the few longest runs left out, so that
            one frozen stretch does not make a live tag look still.
        levels: Different values in a sample of at most 20,000 cells.
        role: ``measure`` is a live signal; ``stepwise`` repeats in most steps (a
            set-point, or a historian that stores changes only); ``state`` has a dozen
            levels at most; ``counter`` rises or falls by one fixed step.
    """

    series: Series
    ordered: NDArray[np.float64]
    scan: Scan
    repeat: float
    levels: int
    role: Role

    @cached_property
    def quantiles(self) -> Quantiles | None:
        """Quantiles of the filled cells; ``None`` if there is one value or none."""
        return quantiles(self.ordered, self.scan.low, self.scan.high)

    @cached_property
    def usual_step(self) -> float:
        """Size that 95 of 100 steps (those without change left out) do not exceed."""
        found = step_quantiles(self.ordered, self.scan.largest_step)
        return found.q95 if found else 0.0


def characters(sheet: Sheet) -> list[Character]:
    """Scan every tag of a sheet."""
    kernels()  # compiled once, before threads ask for it
    in_order, starts = sheet.in_order, sheet.starts
    order = None if in_order else sheet.order

    def one(series: Series) -> Character:
        values = series.values if order is None else series.values[order]
        return _character(series, np.ascontiguousarray(values), starts)

    return side_by_side(one, sheet.series, sheet.rows)


def _character(
    series: Series, ordered: NDArray[np.float64], starts: NDArray[np.bool_]
) -> Character:
    found = scan(ordered, starts)
    repeat = repeated(found.lengths)
    levels, counter = _levels(ordered, found)
    return Character(
        series=series,
        ordered=ordered,
        scan=found,
        repeat=repeat,
        levels=levels,
        role=role_of(found, repeat, levels, counter=counter),
    )


def repeated(runs_of: Ints) -> float:
    """Return the share of steps without change, the longest 1 % of runs (3 at least) left out.

    Args:
        runs_of: Number of constant runs by length; the last bin holds all longer ones.
    """
    runs = int(runs_of.sum())
    if not runs:
        return 0.0
    longest_first = np.cumsum(runs_of[::-1])
    kept = np.maximum(longest_first - max(3, runs // 100), 0)
    counts = np.diff(kept, prepend=0)
    lengths = np.arange(LENGTHS, 0, -1)
    steps = int((counts * lengths).sum())
    return float((counts * (lengths - 1)).sum()) / steps if steps else 0.0


def _levels(ordered: NDArray[np.float64], found: Scan) -> tuple[int, bool]:
    """Return the number of different values in a sample, and whether it is a counter."""
    if not found.count:
        return 0, False
    levels = len(np.unique(_filled(ordered, max(1, found.count // _SAMPLE))))
    steps = np.diff(_filled(ordered, 1)[: _SAMPLE + 1])
    usual = np.median(steps) if len(steps) else 0.0
    even = len(steps) > 2 and usual != 0
    counter = even and np.mean(np.abs(steps - usual) <= 1e-6 * abs(usual)) > 0.9
    return levels, bool(counter and found.nulls == 0)


def _filled(ordered: NDArray[np.float64], stride: int) -> NDArray[np.float64]:
    """Return every ``stride``-th filled cell, not many more than the sample's size."""
    out = np.empty(2 * _SAMPLE + 1)
    return out[: kernels().every(ordered, stride, out)]


def role_of(found: Scan, repeat: float, levels: int, *, counter: bool) -> Role:
    """Return what kind of signal a tag is; see ``Character``."""
    if not found.count:
        return "empty"
    if found.low == found.high:
        return "constant"
    if counter:
        return "counter"
    if levels <= min(STATE_LEVELS, max(2, found.count // 3)):
        return "state"
    return "stepwise" if repeat > STEPWISE_REPEAT else "measure"
