"""Cut rows into windows that never span a gap; pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.lives import beginnings
from tundish.catalog.scenario import Scenario
from tundish.kernel import digest
from tundish.kernel.digest import Digest
from tundish.line.estimates import Why
from tundish.line.rows import MAX_PERIODS, Row
from tundish.line.samples import Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What the model is asked about at one source time.

    Attributes:
        at_us: Source time of the last row.
        values: float32, shape [T, C]; fewer rows if ``why`` is ``too-few-rows``.
        quality, why, reason: The worst of its rows.
    """

    at_us: int
    values: NDArray[np.float32]
    quality: Quality
    why: Why = ""
    reason: str = ""

    def digest(self) -> Digest:
        """Return the digest of the values: float32, little-endian, row by row."""
        return digest.of_bytes(self.values.astype("<f4", order="C").tobytes())


class WindowCutter:
    """Gives one window per stride; a step of more than 1.5 periods starts anew.

    Windows are due every ``stride`` rows, counted so that the first full one after
    a gap is due; due times before it are answered with ``too-few-rows``, so that no
    due time goes without an answer. Where the scenario says which row begins a life,
    such a row starts anew too, and a window that is short for want of a past is filled
    with copies of it.

    Args:
        scenario: The contract: rows, stride.
        period_us: Period of the leading signal in microseconds.
    """

    def __init__(self, scenario: Scenario, period_us: int) -> None:
        self._size = scenario.window_samples
        self._pixels = scenario.sample_rows
        self._ends = np.cumsum(
            [s.channels * self._pixels for s in scenario.signals[:-1]], dtype=np.intp
        )
        self._stride = scenario.window.stride
        self._max_step_us = int(period_us * MAX_PERIODS)
        self._begins = beginnings(scenario)
        self._rows: deque[Row] = deque(maxlen=self._size)
        self.segment_rows = 0

    @property
    def first_us(self) -> int | None:
        """Source time of the oldest row still needed."""
        return self._rows[0].at_us if self._rows else None

    def restore(self, rows: Iterable[Row], segment_rows: int) -> None:
        """Go on after a restart with the rows before it, up to the settled mark."""
        for row in rows:
            self._turn(row)
            self._rows.append(row)
        self.segment_rows = segment_rows

    def push(self, rows: Sequence[Row]) -> list[Window]:
        """Take the next rows; return the windows that are due with them, in order."""
        found: list[Window] = []
        rest = deque(rows)
        while rest:
            run = self._segment(rest)
            first = -(self.segment_rows + 1 - self._size) % self._stride
            due = range(first, len(run), self._stride)
            if not due:
                self._rows.extend(run)
                self.segment_rows += len(run)
            elif self._plain(run):
                found += self._slide(run, due)
            else:
                found += [one for row in run if (one := self._cut(row)) is not None]
        return found

    def _segment(self, rest: deque[Row]) -> list[Row]:
        """Take the rows up to the next beginning of a segment."""
        run = [rest.popleft()]
        self._turn(run[0])
        while rest and not self._starts(rest[0], run[-1]):
            run.append(rest.popleft())
        return run

    def _plain(self, run: Sequence[Row]) -> bool:
        """Tell whether every window that ends in a run is full and good."""
        kept = min(self.segment_rows, len(self._rows))
        if kept < self._size - 1 or self._pixels > 1:
            return False
        return all(row.quality == "good" for row in (*self._rows, *run))

    def _slide(self, run: Sequence[Row], due: range) -> list[Window]:
        """Return the windows that end in the rows that are due, as views of one array."""
        before = list(self._rows)[len(self._rows) - self._size + 1 :]
        values = np.concatenate([row.values for row in (*before, *run)])
        values = values.reshape(len(before) + len(run), -1)
        self._rows.extend(run)
        self.segment_rows += len(run)
        return [
            Window(
                at_us=run[n].at_us, values=values[n : n + self._size], quality="good"
            )
            for n in due
        ]

    def _cut(self, row: Row) -> Window | None:
        """Take one row; return the window that is due with it, if any."""
        self._rows.append(row)
        self.segment_rows += 1
        if (self.segment_rows - self._size) % self._stride:
            return None
        values = np.stack([kept.values for kept in self._rows])
        short = self._size - self.segment_rows
        if short > 0 and self._life_begins(self._rows[0]):
            values = np.concatenate([np.repeat(values[:1], short, axis=0), values])
        elif short > 0:
            reason = f"{self.segment_rows} of {self._size} rows since the last gap"
            return Window(
                at_us=row.at_us,
                values=values,
                quality="bad",
                why="too-few-rows",
                reason=reason,
            )
        worst = max(self._rows, key=_severity)
        if self._pixels > 1:
            values = self._picture(values[0])
        return Window(
            at_us=row.at_us,
            values=values,
            quality=worst.quality,
            why=worst.why,
            reason=worst.reason,
        )

    def _picture(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the window of a picture, [pixels, C], of the signals' own pixels."""
        parts = np.split(values, self._ends)
        return np.concatenate([one.reshape(self._pixels, -1) for one in parts], axis=1)

    def _life_begins(self, row: Row) -> bool:
        if self._begins is None or row.quality == "bad":
            return False
        return bool(self._begins(row.values[None])[0])

    def _starts(self, row: Row, before: Row | None) -> bool:
        """Tell whether a row begins a segment: after a gap, or with a life."""
        gap = before is not None and row.at_us - before.at_us > self._max_step_us
        return gap or self._life_begins(row)

    def _turn(self, row: Row) -> None:
        """Forget the rows before one that begins a segment."""
        if self._starts(row, self._rows[-1] if self._rows else None):
            self._rows.clear()
            self.segment_rows = 0


def _severity(row: Row) -> int:
    return ("good", "uncertain", "bad").index(row.quality)
