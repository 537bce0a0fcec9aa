"""Which tags an answer comes from, in a few words: for whoever stands at the line.

The graph gives the contribution of each channel with its answer, so that this costs no
further evaluation: the largest are named with their share of all, and which way they
push where the answer is a number.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Task

MOST_TAGS = 3
LEAST_SHARE = 0.1
_PUSHED: frozenset[Task] = frozenset({"regress", "rul", "forecast"})


def because(scenario: Scenario, contribution: NDArray[np.float32]) -> str:
    """Return the tags with the largest part in an answer, such as ``p1 62%, t3 21%``.

    Args:
        scenario: Names the signals; the channels of one signal are added up.
        contribution: Of one window, [C].

    Returns:
        At most ``MOST_TAGS``, each with at least ``LEAST_SHARE`` of the sum of absolute
        values; empty if no tag stands out, there is but one, or a value is not finite.
    """
    if len(scenario.signals) == 1:
        return ""
    starts = scenario.first_channels
    values = contribution.astype(np.float64)
    sizes = np.add.reduceat(np.abs(values), starts)
    whole = sizes.sum()
    if not np.isfinite(whole) or whole <= 0.0:
        return ""
    pushes = np.add.reduceat(values, starts)
    told = []
    for place in np.argsort(-sizes, kind="stable")[:MOST_TAGS]:
        share = sizes[place] / whole
        if share < LEAST_SHARE:
            break
        way = (" up" if pushes[place] > 0 else " down") * (scenario.task in _PUSHED)
        told.append(f"{scenario.signals[place].name} {share:.0%}{way}")
    return ", ".join(told)
