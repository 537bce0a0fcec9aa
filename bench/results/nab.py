"""The score of the Numenta Anomaly Benchmark as SKAB applies it to change points.

Written from its published description, not from anyone's code: A. Lavin, S. Ahmad,
"Evaluating real-time anomaly detection algorithms", ICMLA 2015 (score, profiles and
normalisation); SKAB's description of its metric (a window to the right of each change
point, the tanh curve in place of the logistic one, the end of a window that the next one
overlaps moves the next one's begin).

A detector that says "unusual" row by row names a change point wherever its answer
changes. The first named in a window earns 1 at the window's begin, falling to the price
of a false one at its end; a window without any costs 1; each named outside all windows
costs 0.11. The score is 100 for a perfect detector and 0 for one that says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FALSE_COST = 0.11
MISSED_COST = 1.0
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Series:
    """One series before the score.

    Attributes:
        at: Moment of each row in seconds, rising, [n].
        alarm: What the detector says of each row, [n].
        changes: Moments of the true change points, rising.
    """

    at: Floats
    alarm: Bools
    changes: Floats


def named_changes(series: Series) -> Floats:
    """Return the moments at which the detector's answer changes (first row: if it alarms)."""
    before = np.concatenate([[False], series.alarm[:-1]])
    return series.at[series.alarm != before]


def windows(changes: Floats, width_s: float) -> Floats:
    """Return begin and end of each window, [k, 2]; each begins where the last one ends."""
    begin = np.asarray(changes, dtype=np.float64).copy()
    end = begin + width_s
    for place in range(1, len(begin)):
        if end[place - 1] >= begin[place]:
            begin[place] = end[place - 1]
    return np.column_stack([begin, end])


def worth(place: float) -> float:
    """Return what a change named at a place in its window earns; 0: begin, 1: end."""
    bend = np.tanh((place - 0.5) * np.pi) / np.tanh(np.pi / 2)
    return float((1.0 - FALSE_COST) / 2.0 - (1.0 + FALSE_COST) / 2.0 * bend)


def nab(many: Iterable[Series], width_s: float = 60.0) -> float:
    """Return the score of the standard profile over all series, at most 100."""
    total, count = 0.0, 0
    for series in many:
        named = named_changes(series)
        spans = windows(series.changes, width_s)
        inside = np.zeros(len(named), dtype=bool)
        for begin, end in spans:
            hits = (named >= begin) & (named <= end)
            inside |= hits
            if not hits.any():
                total -= MISSED_COST
            elif end > begin:
                total += worth(float((named[hits][0] - begin) / (end - begin)))
            else:
                total += worth(0.0)
        total -= FALSE_COST * float(np.count_nonzero(~inside))
        count += len(spans)
    return 100.0 * (total + MISSED_COST * count) / ((1.0 + MISSED_COST) * count)
