"""Which rows keep the contract: the vectorised twin of ``catalog.contract``.

``check_window`` looks at one window and explains; here whole tables are marked. A law
in the tests holds the two together: a window breaks the contract exactly if one of its
rows does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario, Signal

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

REASONS = ("missing", "out-of-range", "dead")


def broken_rows(scenario: Scenario, channels: Floats) -> dict[str, Bools]:
    """Return for each reason which rows break the contract.

    The reasons are disjoint: a row is marked with the first that holds for it.

    Args:
        scenario: The contract.
        channels: Values in the contract's units, shape [n, C]. Untrusted.
    """
    found = {reason: np.zeros(len(channels), dtype=bool) for reason in REASONS}
    at = 0
    for signal in scenario.signals:
        values = channels[:, at : at + signal.channels]
        at += signal.channels
        for reason, rows in _broken(signal, values).items():
            found[reason] |= rows
    found["out-of-range"] &= ~found["missing"]
    found["dead"] &= ~(found["missing"] | found["out-of-range"])
    return found


def sound_rows(scenario: Scenario, channels: Floats) -> Bools:
    """Return which rows keep the contract, shape [n]."""
    broken = broken_rows(scenario, channels)
    return np.asarray(~np.logical_or.reduce(list(broken.values())))


def _broken(signal: Signal, values: Floats) -> dict[str, Bools]:
    low, high = signal.range
    finite = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        outside = ((values < low) | (values > high)) & finite
    whole: Bools = np.asarray(finite.all(axis=1))
    spread = np.full(len(values), np.inf)
    if signal.min_spread is not None:
        spread[whole] = values[whole].std(axis=1)
    return {
        "missing": ~whole,
        "out-of-range": np.asarray(outside.any(axis=1)),
        "dead": spread < (signal.min_spread or 0.0),
    }
