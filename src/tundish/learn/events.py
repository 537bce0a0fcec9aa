"""Alarms as people meet them: events, not windows.

One disturbance makes many windows alarm. Alarms whose windows share rows or touch are
one event; an alarm that stands is counted anew each day, else a detector that always
alarms would have a single false alarm. Windows that overlap a marked event are the
event's own: they find it, and are never false (the rows of a window reach back, so
this includes the windows just after it).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, chi2

from tundish.learn.material import Floats, Indices

WEEK_S = 7 * 24 * 3600.0
STANDING_S = 24 * 3600.0


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What was looked at.

    Attributes:
        at: Moment of each window in seconds, rising within each source, [n].
        event: Marked event that each window overlaps, -1 for none, [n].
        run: Number of the unbroken piece (source) of each window, [n].
        span_s: Seconds that a window spans: rows times period.
        step_s: Seconds from window to window.
    """

    at: Floats
    event: Indices
    run: Indices
    span_s: float
    step_s: float

    @property
    def weeks(self) -> float:
        """Weeks of normal windows."""
        return int(np.count_nonzero(self.event < 0)) * self.step_s / WEEK_S

    def take(self, which: Indices) -> Watch:
        """Return some of the windows."""
        return Watch(
            at=self.at[which],
            event=self.event[which],
            run=self.run[which],
            span_s=self.span_s,
            step_s=self.step_s,
        )


@dataclass(frozen=True, kw_only=True)
class Found:
    """One marked event and whether it was found."""

    event: int
    found: bool
    delay_s: float | None


def false_alarm_starts(alarm: NDArray[np.bool_], watch: Watch) -> Indices:
    """Return the window at which each false alarm event begins."""
    starts: list[int] = []
    previous = -1
    for place in np.flatnonzero(alarm & (watch.event < 0)):
        goes_on = (
            previous >= 0
            and watch.run[place] == watch.run[previous]
            and watch.at[place] - watch.at[previous] <= watch.span_s
            and not (watch.event[previous:place] >= 0).any()
            and watch.at[place] - watch.at[starts[-1]] < STANDING_S
        )
        if not goes_on:
            starts.append(int(place))
        previous = int(place)
    return np.array(starts, dtype=np.int64)


def found_events(alarm: NDArray[np.bool_], watch: Watch) -> tuple[Found, ...]:
    """Return each marked event: found if any window that overlaps it alarms.

    The delay runs from its first window, whose newest row is the event's first.
    """
    results = []
    for event in np.unique(watch.event[watch.event >= 0]):
        inside = np.flatnonzero(watch.event == event)
        hits = inside[alarm[inside]]
        delay = float(watch.at[hits[0]] - watch.at[inside[0]]) if len(hits) else None
        results.append(Found(event=int(event), found=bool(len(hits)), delay_s=delay))
    return tuple(results)


def poisson_bound(count: int, share: float) -> float:
    """Return the mean that makes ``count`` or fewer as unlikely as 1 - share.

    With no event and a share of 0.95 this is 3.0: the rule of three.
    """
    return float(chi2.ppf(share, 2 * (count + 1)) / 2.0)


def poisson_interval(count: int) -> tuple[float, float]:
    """Return the exact 90 % interval of a Poisson mean (F. Garwood, 1936)."""
    low = float(chi2.ppf(0.05, 2 * count) / 2.0) if count else 0.0
    return low, poisson_bound(count, 0.95)


def miss_bound(missed: int, events: int) -> float:
    """Return the 95 % upper bound of the share missed (Clopper-Pearson), 0 to 1."""
    if missed >= events:
        return 1.0
    return float(beta.ppf(0.95, missed + 1, events - missed))
