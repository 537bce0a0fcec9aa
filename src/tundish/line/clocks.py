"""How far a source's clock is from ours, and which of the two has jumped; pure.

The source's time is asked for and lies between question and answer, so the offset is
known to half of the round trip (as in NTP). A jump of our own clock is seen without the
source: wall clock and monotonic clock move apart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from tundish.kernel.canonical import Json

JUMP_S = 1.0
_WINDOW = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """One comparison of two clocks.

    Attributes:
        offset_s: The source's clock minus ours, in seconds.
        bound_s: The offset is right to plus or minus this.
        ours_s: Our wall clock minus our monotonic clock at the question.
        server_us: What the source's clock showed, microseconds since 1970.
    """

    offset_s: float
    bound_s: float
    ours_s: float = 0.0
    server_us: int = 0

    def __str__(self) -> str:
        """Say it for people."""
        way = "ahead of" if self.offset_s >= 0 else "behind"
        return f"{abs(self.offset_s):.3f} s {way} ours (known to {self.bound_s:.3f} s)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """A clock that moved by itself.

    Attributes:
        ours: Whether it was ours.
        by_s: How far, in seconds; above zero is forward.
    """

    ours: bool
    by_s: float


class ClockWatch:
    """Compares readings of one source.

    Many servers write their time down once a second only, so a reading is late by up to
    that: the largest offset of the last readings is the best, and how far they lie apart
    is added to what is not known.

    Args:
        jump_s: Smallest step, in seconds, that is a jump; drift of a free quartz is
            under 0.1 ms in a second.
    """

    def __init__(self, jump_s: float = JUMP_S) -> None:
        self._jump_s = jump_s
        self._recent: deque[ClockReading] = deque(maxlen=_WINDOW)

    @property
    def newest(self) -> ClockReading | None:
        """The best that is known since the last jump."""
        if not self._recent:
            return None
        best = max(self._recent, key=lambda one: one.offset_s)
        return replace(best, bound_s=best.bound_s + self._spread_s)

    @property
    def _spread_s(self) -> float:
        offsets = [one.offset_s for one in self._recent]
        return max(offsets) - min(offsets)

    def see(self, reading: ClockReading) -> list[Jump]:
        """Take a reading; return what jumped since the one before."""
        if not self._recent:
            self._recent.append(reading)
            return []
        before, spread_s = self._recent[-1], self._spread_s
        ours = reading.ours_s - before.ours_s
        theirs = reading.offset_s - before.offset_s + ours
        doubt = before.bound_s + reading.bound_s + spread_s
        found = []
        if abs(ours) > self._jump_s:
            found.append(Jump(ours=True, by_s=ours))
        if abs(theirs) > self._jump_s + doubt:
            found.append(Jump(ours=False, by_s=theirs))
        if found:
            self._recent.clear()
        self._recent.append(reading)
        return found


Told = Callable[[Literal["clock", "clock-jump"], str, dict[str, Json]], None]


class Clocks:
    """The clocks of all sources of a line.

    Args:
        tell: Told of the first comparison with a source, and of every jump.
    """

    def __init__(self, tell: Told) -> None:
        self._tell = tell
        self._watches: dict[str, ClockWatch] = {}

    def see(self, source: str, reading: ClockReading) -> None:
        """Take a reading of a source."""
        watch = self._watches.setdefault(source, ClockWatch())
        first = watch.newest is None
        for jump in watch.see(reading):
            whose = "this machine's clock" if jump.ours else f"the clock of {source}"
            way = "forward" if jump.by_s > 0 else "back"
            text = f"{whose} jumped {abs(jump.by_s):.1f} s {way}"
            detail: dict[str, Json] = {"source": source, "by_s": round(jump.by_s, 3)}
            self._tell("clock-jump", text, {**detail, "ours": jump.ours})
        if first:
            told: dict[str, Json] = {"source": source, **numbers(reading)}
            self._tell("clock", f"the clock of {source} is {reading}", told)

    def newest(self) -> dict[str, ClockReading]:
        """Return the newest reading of each source."""
        return {
            name: watch.newest
            for name, watch in self._watches.items()
            if watch.newest is not None
        }

    def as_json(self) -> dict[str, dict[str, float]]:
        """Return the same as plain numbers."""
        return {name: numbers(reading) for name, reading in self.newest().items()}


def numbers(reading: ClockReading) -> dict[str, float]:
    """Return offset and bound, in seconds."""
    return {
        "offset_s": round(reading.offset_s, 4),
        "bound_s": round(reading.bound_s, 4),
    }
