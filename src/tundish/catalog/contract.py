"""The check of one window against the contract: numpy only, for the edge.

Whole data sets are graded in ``data``; this is what the line asks of each window
before a model may look at it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario, Signal

Reason = Literal["missing", "out-of-range", "dead", "shape"]


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One reason why a window must not be scored.

    Attributes:
        signal: Name of the signal.
        reason: What is wrong.
        detail: What was found and what was expected, for people.
    """

    signal: str
    reason: Reason
    detail: str


def check_window(
    scenario: Scenario, window: NDArray[np.floating]
) -> tuple[Violation, ...]:
    """Return what breaks the contract in one window; empty if nothing does.

    Args:
        scenario: The contract.
        window: Values in the contract's units, shape [T, C]: rows in time order,
            channels in contract order. Untrusted: any values.
    """
    expected = (scenario.window.rows, scenario.channels)
    if window.shape != expected:
        detail = f"shape {list(window.shape)}, expected {list(expected)}"
        return (Violation(signal="*", reason="shape", detail=detail),)
    found = []
    at = 0
    for signal in scenario.signals:
        values = window[:, at : at + signal.channels]
        at += signal.channels
        violation = _check_signal(signal, values)
        if violation:
            found.append(violation)
    return tuple(found)


def _check_signal(signal: Signal, values: NDArray[np.floating]) -> Violation | None:
    absent = int(np.count_nonzero(~np.isfinite(values)))
    if absent:
        detail = f"{absent} of {values.size} values are missing"
        return Violation(signal=signal.name, reason="missing", detail=detail)
    low, high = signal.range
    lowest, highest = float(values.min()), float(values.max())
    if lowest < low or highest > high:
        detail = (
            f"{lowest:g} to {highest:g} {signal.unit}, expected {low:g} to {high:g}"
        )
        return Violation(signal=signal.name, reason="out-of-range", detail=detail)
    if signal.min_spread is not None:
        spread = float(values.std(axis=1).min())
        if spread < signal.min_spread:
            detail = (
                f"spread {spread:g} across channels, expected {signal.min_spread:g}"
            )
            return Violation(signal=signal.name, reason="dead", detail=detail)
    return None
