"""The one clock: time comes in as an argument, so that it can be replayed."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class Clock(Protocol):
    """What tells the time: wall clock in UTC, and seconds that never go back."""

    def now(self) -> datetime:
        """Return the present moment, with time zone UTC."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds from an arbitrary start; never goes back."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the machine's present moment in UTC."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Return the machine's monotonic seconds."""
        return time.monotonic()


class ManualClock:
    """A clock that stands until somebody moves it: for tests and replays."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._now = start

    def now(self) -> datetime:
        """Return the moment it was last set to."""
        return self._now

    def monotonic_s(self) -> float:
        """Return seconds since the start."""
        return max(0.0, (self._now - self._start).total_seconds())

    def advance(self, seconds: float) -> None:
        """Move on by some seconds (negative: set back)."""
        self._now += timedelta(seconds=seconds)


def to_text(moment: datetime) -> str:
    """Write a moment as ISO 8601 in UTC with a ``Z``, to the microsecond."""
    if moment.tzinfo is None:
        msg = "a moment needs a time zone"
        raise ValueError(msg)
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def from_text(text: str) -> datetime:
    """Read an ISO 8601 moment; it must carry a zone.

    Raises:
        ValueError: if the text is no moment, has no zone, or lies in UTC before the
            first year or after the last one that is counted.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        msg = f"the time {text!r} has no zone"
        raise ValueError(msg)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        msg = f"the time {text!r} lies outside the years 1 to 9999"
        raise ValueError(msg) from error


def is_zone(name: str) -> bool:
    """Tell whether a name is an IANA zone that this machine knows; UTC is everywhere."""
    try:
        return name == "UTC" or bool(ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # OSError: a name of a folder of zones, or one too long for a file's
        return False
