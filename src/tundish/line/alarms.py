"""Runs of alarming answers as events: people answer an alarm, not a thousand answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from tundish.catalog.scenario import Scenario
from tundish.line.estimates import Estimate

QUIET_S = 60.0
STRIDES = 5


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """Alarming answers with no more than a short quiet between them.

    Attributes:
        from_us, to_us: Source times of the first and the last, microseconds since 1970.
        answers: How many.
        because: What the first says of its tags.
        over: Whether it has ended.
    """

    from_us: int
    to_us: int
    answers: int = 1
    because: str = ""
    over: bool = False


class AlarmLog:
    """Turns answers, in order of source time, into the beginnings and ends of alarms.

    Answers without a number neither prolong an alarm nor end it before its quiet is over:
    a sensor that fails during an alarm says nothing about it.

    Args:
        scenario: The contract; by its stride the quiet is told.
    """

    def __init__(self, scenario: Scenario) -> None:
        period_s = min(signal.period_s for signal in scenario.signals)
        stride_s = period_s * scenario.window.stride
        self._quiet_us = int(max(QUIET_S, STRIDES * stride_s) * 1e6)
        self._open: Alarm | None = None

    def take(self, answers: Iterable[Estimate]) -> list[Alarm]:
        """Return what began and what ended, in order."""
        told: list[Alarm] = []
        for one in answers:
            known = self._open
            if known is not None and one.at_us - known.to_us > self._quiet_us:
                told.append(replace(known, over=True))
                known = self._open = None
            if not one.alarm:
                continue
            if known is None:
                self._open = Alarm(
                    from_us=one.at_us, to_us=one.at_us, because=one.because
                )
                told.append(self._open)
            else:
                self._open = replace(known, to_us=one.at_us, answers=known.answers + 1)
        return told

    def end(self) -> list[Alarm]:
        """Return the alarm that is open, as far as it came."""
        known, self._open = self._open, None
        return [] if known is None else [replace(known, over=True)]
