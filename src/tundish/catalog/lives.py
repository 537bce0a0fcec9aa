"""The first rows of a life: a window that reaches back before them is filled.

A machine that has run for fewer rows than a window needs has no older ones. The
scenario may say by which row a life is known to begin (``window.begins``, such as
``cycles <= 1``); a window that is too short for want of a past is then filled by
repeating that first row. A window that is short for any other reason (a gap, a restart)
is never filled: what is missing there did exist.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.expression import compile_condition
from tundish.catalog.scenario import Scenario

Begins = Callable[[NDArray[np.floating]], NDArray[np.bool_]]


def beginnings(scenario: Scenario) -> Begins | None:
    """Return what tells which rows [n, C] begin a life, [n]; None if nothing does.

    A row in which a signal of the condition is missing begins none.
    """
    said = scenario.window.begins
    if said is None:
        return None
    condition = compile_condition(said)
    places = single_channels(scenario)

    def begins(rows: NDArray[np.floating]) -> NDArray[np.bool_]:
        columns = {
            tag: rows[:, places[tag]].astype(np.float64) for tag in condition.tags
        }
        return condition.on(columns)

    return begins


def single_channels(scenario: Scenario) -> dict[str, int]:
    """Return the column of each single-valued signal."""
    found, at = {}, 0
    for signal in scenario.signals:
        if signal.axis is None:
            found[signal.name] = at
        at += signal.channels
    return found
