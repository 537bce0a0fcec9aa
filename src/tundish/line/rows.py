"""Align the samples of several signals by source time into rows; pure.

The signal with the shortest period leads: each of its samples makes one row. Every
other signal gives its newest value at or before that time, if it is younger than
1.5 of its own periods; nothing is interpolated and nothing from the future is used.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario, Signal
from tundish.line.estimates import Why
from tundish.line.samples import Floats, Quality, Sample

MAX_PERIODS = 1.5
_PAST = 8  # samples that a row has passed, before they are let go together


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """All signals at one source time.

    Attributes:
        at_us: Source time of the leading signal's sample.
        values: float32, shape [C] in contract order (of pictures: all pixels of each
            signal, one signal after the other); NaN where there is no number.
        quality: The worst of the samples; bad if one is missing.
        why, reason: Why it is not good.
    """

    at_us: int
    values: NDArray[np.float32]
    quality: Quality
    why: Why = ""
    reason: str = ""


class _Track:
    """Samples of one signal in order of source time."""

    def __init__(self, signal: Signal, width: int) -> None:
        self.signal = signal
        self.width = width
        self.reach_us = int(signal.period_s * MAX_PERIODS * 1e6)
        self.times: list[int] = []
        self.samples: list[Sample] = []

    def add(self, at_us: int, sample: Sample) -> None:
        if not self.times or at_us > self.times[-1]:
            self.times.append(at_us)
            self.samples.append(sample)
            return
        place = bisect_left(self.times, at_us)
        if self.times[place] != at_us:
            self.times.insert(place, at_us)
            self.samples.insert(place, sample)

    def cut(self, count: int) -> None:
        del self.times[:count]
        del self.samples[:count]

    def as_of(self, at_us: int) -> Sample | None:
        place = bisect_right(self.times, at_us) - 1
        if place < 0 or at_us - self.times[place] > self.reach_us:
            return None
        return self.samples[place]


class Aligner:
    """Collects samples in any order and gives rows in order of source time.

    Args:
        scenario: The contract.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._tracks = {
            signal.name: _Track(signal, signal.channels * scenario.sample_rows)
            for signal in scenario.signals
        }
        self._width = scenario.channels * scenario.sample_rows
        leader = min(scenario.signals, key=lambda signal: signal.period_s)
        self.lead = leader.name
        self.period_us = int(leader.period_s * 1e6)

    @property
    def waiting(self) -> int:
        """Number of rows that are not settled yet."""
        return len(self._tracks[self.lead].times)

    def newest_us(self, signal: str) -> int | None:
        """Return the newest source time held of a signal."""
        times = self._tracks[signal].times
        return times[-1] if times else None

    def times_after(self, signal: str, at_us: int) -> list[int]:
        """Return the source times held of a signal after a time, in order."""
        times = self._tracks[signal].times
        return times[bisect_right(times, at_us) :]

    def add(self, samples: Iterable[Sample]) -> None:
        """Take samples that are on disk; repeated ones change nothing."""
        for sample in samples:
            if sample.at_us is not None:
                self._tracks[sample.signal].add(sample.at_us, sample)

    def forget(self, signal: str, until_us: int) -> None:
        """Drop a signal's samples up to a source time."""
        track = self._tracks[signal]
        track.cut(bisect_right(track.times, until_us))

    def take(
        self, *, until_us: int | None, waited_until_us: int | None, limit: int
    ) -> list[Row]:
        """Return the next rows that are complete, oldest first, and let them go.

        Args:
            until_us: Rows after this must wait (a hole before them is being
                filled); ``None`` for no such bound.
            waited_until_us: Rows up to this are given even if another signal has
                nothing as new: it was waited for long enough.
            limit: Most rows at once.
        """
        lead = self._tracks[self.lead]
        others = [track for track in self._tracks.values() if track is not lead]
        ready = self._ready(lead, others, until_us, waited_until_us)
        ready = min(ready, limit)
        rows = self._together(ready) or [self._joined(t) for t in lead.times[:ready]]
        if rows:
            lead.cut(ready)
            for track in others:
                past = bisect_right(track.times, rows[-1].at_us)
                if past > _PAST:
                    track.cut(past - 1)
        return rows

    def _ready(
        self,
        lead: _Track,
        others: Sequence[_Track],
        until_us: int | None,
        waited_until_us: int | None,
    ) -> int:
        ready = len(lead.times)
        if not ready:
            return 0
        if until_us is not None:
            ready = bisect_right(lead.times, until_us)
        for track in others:
            newest = track.times[-1] if track.times else -(2**62)
            if waited_until_us is not None:
                newest = max(newest, waited_until_us)
            ready = min(ready, bisect_right(lead.times, newest))
        return ready

    def _together(self, ready: int) -> list[Row]:
        """Return the next rows at once if all signals are good at each of their times.

        Empty if they are not: then each row is joined by itself.
        """
        times = self._tracks[self.lead].times[:ready]
        if not times:
            return []
        columns = []
        for track in self._tracks.values():
            first = bisect_left(track.times, times[0])
            if track.times[first : first + ready] != times:
                return []
            columns.append(track.samples[first : first + ready])
        good = [
            sample.values
            for row in zip(*columns, strict=True)
            for sample in row
            if sample.quality == "good" and sample.values is not None
        ]
        if len(good) < ready * len(columns):
            return []
        found = np.concatenate(good)
        if found.size != ready * self._width:
            return []
        values = _float32(found.reshape(ready, self._width))
        return [
            Row(at_us=at_us, values=row, quality="good")
            for at_us, row in zip(times, values, strict=True)
        ]

    def _joined(self, at_us: int) -> Row:
        values = np.full(self._width, np.nan)
        quality: Quality = "good"
        why: Why = ""
        reason = ""
        place = 0
        for track in self._tracks.values():
            name, width = track.signal.name, track.width
            found = track.as_of(at_us)
            if found is None:
                quality, why, reason = "bad", "missing", f"{name} has no value"
            elif found.values is None:
                quality, why, reason = "bad", "bad-status", f"{name}: {found.reason}"
            elif found.values.size != width:
                quality, why = "bad", "shape"
                reason = f"{name} has {found.values.size} numbers, expected {width}"
            else:
                values[place : place + width] = found.values
                if found.quality == "uncertain" and quality == "good":
                    quality, why = "uncertain", "uncertain-status"
                    reason = f"{name}: {found.reason}"
            place += width
        return Row(
            at_us=at_us,
            values=_float32(values),
            quality=quality,
            why=why,
            reason=reason,
        )


def _float32(values: Floats) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # becomes infinite, which the contract refuses
        return values.astype(np.float32)
