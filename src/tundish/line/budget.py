"""How much a line asks of its model, and whether it asks as a plant does.

A model can be copied by asking it often and everywhere. A plant asks at its own rate,
stays in the part of the range where it runs, and moves steadily; whoever copies asks
more, covers the range and jumps. So the answers of a day are counted and may be
limited, and coverage and jumps stand in the report. Days are those of source time,
which only goes forward here. Who asks is the line: it has no other users. Whoever owns the line
can edit its file and send false source times; so a grant may carry a limit of its own,
signed and counted by the box's clock (``Meter``), and the smaller of the two holds.

Numbers may be rounded outwards (the interval grows, its promise holds). In a trial,
rounding did not keep a copy from agreeing: it is an option, not a protection.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Annotated, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tundish.kernel.records import Record
from tundish.line.estimates import Estimate

BINS = 20
DAY_US = 86_400_000_000


Ranges: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Lowest and highest of each channel in the training data, shape [C] each."""


class Meter(Protocol):
    """Hands out the answers of a signed budget."""

    @property
    def per_day(self) -> int | None:
        """The limit; None: not limited."""
        ...

    def take(self, wanted: int) -> int:
        """Return how many of the wanted answers may be given now, and count them."""
        ...


class BudgetSpec(Record):
    """What a line may ask of its model.

    Attributes:
        per_day: Windows that the model answers in a day of source time; beyond them
            it abstains. None: counted only.
        round_to: Step to which numbers are rounded, in the target's unit.
        max_jump: Share of the training range that a channel may move between two
            windows; more is counted as a jump.
    """

    per_day: Annotated[int, Field(ge=1)] | None = None
    round_to: Annotated[float, Field(gt=0)] | None = None
    max_jump: Annotated[float, Field(gt=0, le=1)] = 0.5


@dataclass(frozen=True, kw_only=True)
class BudgetReport:
    """What was asked of the model since the line started.

    Attributes:
        asked, refused: Windows that it answered, and that were over the budget.
        most_per_day: On the busiest day; ``per_day`` is the line file's limit, if there
            is one, and ``signed_per_day`` that of the grant.
        coverage, most_coverage: Share of 20 equal parts of the training range that the
            newest rows touched, mean of the channels: on the last day, on the widest.
        outside: Windows whose newest row left the training range.
        jumps: Windows that moved further from the one before than ``max_jump``.
    """

    asked: int
    refused: int
    most_per_day: int
    per_day: int | None
    coverage: float
    most_coverage: float
    jumps: int
    outside: int = 0
    signed_per_day: int | None = None


class Budget:
    """Counts and limits; see the module. Made for one run of a line.

    Args:
        spec: The limits.
        low, high: The training range of each channel, shape [C].
        step_us: Time between two windows; a longer one is no jump.
        meter: Of the grant; None: nothing is signed.
    """

    def __init__(
        self,
        spec: BudgetSpec,
        low: NDArray[np.float64],
        high: NDArray[np.float64],
        step_us: int,
        meter: Meter | None = None,
    ) -> None:
        self._spec = spec
        self._meter = meter
        self._low = low
        self._width = np.where(high > low, high - low, np.inf)
        self._step_us = step_us
        self._day = -1
        self._today = 0
        self._seen = np.zeros((len(low), BINS), np.bool_)
        self._before: tuple[int, NDArray[np.float64]] | None = None
        self._asked = self._refused = self._most = self._jumps = self._outside = 0
        self._most_coverage = 0.0

    def follow(self, ranges: Ranges, meter: Meter | None) -> None:
        """Go on with another package of the same form; what was asked stays counted."""
        self._low, high = ranges
        self._width = np.where(high > self._low, high - self._low, np.inf)
        self._meter, self._before = meter, None

    def restore(self, answers: Iterable[Estimate]) -> None:
        """Count what the model answered before a restart, so that none is forgotten."""
        for item in answers:
            if item.value is not None or item.applicability is not None:
                self._go_to(item.at_us)
                self._today += 1
        self._most = max(self._most, self._today)

    def take(self, times_us: Sequence[int], rows: NDArray[np.float32]) -> list[str]:
        """Count windows that are to be asked about, and say which may not be.

        Args:
            times_us: Their source times, in order.
            rows: The newest row of each, shape [N, C].

        Returns:
            For each window why it may not be asked about; empty if it may.
        """
        reasons: list[str] = []
        for _, group in groupby(times_us, lambda at_us: at_us // DAY_US):
            times = list(group)
            first = len(reasons)
            self._go_to(times[0])
            allowed, reason = self._allow(len(times))
            if allowed:
                self._see(times[:allowed], rows[first : first + allowed])
            reasons += [""] * allowed + [reason] * (len(times) - allowed)
        return reasons

    def _allow(self, wanted: int) -> tuple[int, str]:
        """Count so many windows of a day; return how many may pass, and what ends it."""
        allowed, reason = wanted, ""
        limit = self._spec.per_day
        if limit is not None and limit - self._today < wanted:
            allowed = max(0, limit - self._today)
            reason = f"the budget of {limit} answers a day is spent"
        if self._meter is not None and allowed:
            given = self._meter.take(allowed)
            if given < allowed:
                signed = self._meter.per_day
                reason = f"the grant's budget of {signed} answers a day is spent"
            allowed = given
        self._today += allowed
        self._asked += allowed
        self._refused += wanted - allowed
        self._most = max(self._most, self._today)
        return allowed, reason

    def _see(self, times_us: Sequence[int], rows: NDArray[np.float32]) -> None:
        places = (rows.astype(np.float64) - self._low) / self._width
        inside = (places >= 0) & (places <= 1)
        self._outside += int(np.count_nonzero(~inside.all(axis=1)))
        _, channels = np.nonzero(inside)
        bins = np.minimum((places[inside] * BINS).astype(np.int64), BINS - 1)
        self._seen[channels, bins] = True
        before = places[:1] if self._before is None else self._before[1][None]
        before_us = times_us[0] if self._before is None else self._before[0]
        moved = np.abs(np.diff(places, axis=0, prepend=before)).max(axis=1)
        near = np.diff(times_us, prepend=before_us) <= self._step_us
        self._jumps += int(np.count_nonzero(near & (moved > self._spec.max_jump)))
        self._before = (times_us[-1], places[-1])

    def given(self, answer: Estimate) -> Estimate:
        """Return an answer as it goes out: rounded, the interval outwards.

        Which tags it comes from is left out: that would tell what rounding hides.
        """
        step = self._spec.round_to
        if step is None or answer.value is None:
            return answer
        lower, upper = answer.lower, answer.upper
        return replace(
            answer,
            value=round(answer.value / step) * step,
            lower=None if lower is None else math.floor(lower / step) * step,
            upper=None if upper is None else math.ceil(upper / step) * step,
            because="",
        )

    def report(self) -> BudgetReport:
        """Return the numbers so far."""
        coverage = float(self._seen.mean())
        return BudgetReport(
            asked=self._asked,
            refused=self._refused,
            most_per_day=self._most,
            per_day=self._spec.per_day,
            coverage=coverage,
            most_coverage=max(self._most_coverage, coverage),
            jumps=self._jumps,
            outside=self._outside,
            signed_per_day=self._meter.per_day if self._meter else None,
        )

    def _go_to(self, at_us: int) -> None:
        day = at_us // DAY_US
        if day > self._day:
            self._most_coverage = max(self._most_coverage, float(self._seen.mean()))
            self._day, self._today = day, 0
            self._seen[:] = False
