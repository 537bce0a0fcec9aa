"""How often a server really looks at a value, as it said when it was asked; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

MOST_SAID = 20
_LONGEST_MS = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What a server answered to how a node should be watched.

    Attributes:
        sampling_ms: It looks at the value so often; 0: at every change.
        queue: Values that it keeps between two publishes.
        publishing_ms: It publishes so often.
    """

    sampling_ms: float
    queue: int
    publishing_ms: float

    def __str__(self) -> str:
        """Say it for people."""
        looks = (
            f"every {self.sampling_ms:g} ms" if self.sampling_ms else "at every change"
        )
        return f"the server looks {looks}, keeps {self.queue} values and publishes every {self.publishing_ms:g} ms"

    def too_slow(self, period_s: float) -> str:
        """Return why it is too slow for a signal of this period; empty if it is not."""
        if self.sampling_ms > period_s * 1000:
            return f"the server looks at it every {self.sampling_ms / 1000:g} s, and the contract wants a value every {period_s:g} s"
        if self.publishing_ms > max(self.sampling_ms, 1.0) * self.queue:
            return f"the server publishes every {self.publishing_ms / 1000:g} s and keeps {self.queue} values: the others are lost"
        return ""


@runtime_checkable
class Paced(Protocol):
    """A source whose server says how often it looks."""

    def paces(self) -> Mapping[str, Pace]:
        """Return the present pace of each signal, as far as it is known."""
        ...


def pace_of(sampling_ms: float, queue: int, publishing_ms: float) -> Pace:
    """Return what a server answered; an interval that is none counts as unknown.

    Args: untrusted numbers, as ``Pace``.
    """
    usual = math.isfinite(sampling_ms) and 0 <= sampling_ms < _LONGEST_MS
    return Pace(
        sampling_ms=float(sampling_ms) if usual else 0.0,
        queue=int(queue),
        publishing_ms=publishing_ms,
    )


def summary(paces: Mapping[str, Pace]) -> dict[str, float]:
    """Return the worst of a source's paces; nothing if there are none."""
    if not paces:
        return {}
    return {
        "sampling_ms": max(one.sampling_ms for one in paces.values()),
        "publishing_ms": max(one.publishing_ms for one in paces.values()),
        "queue": min(one.queue for one in paces.values()),
    }


def slow_signals(
    paces: Mapping[str, Pace], periods: Mapping[str, float]
) -> tuple[str, ...]:
    """Return a sentence for each signal whose server is too slow, a few at most."""
    found = [
        f"{name}: {why}"
        for name, pace in paces.items()
        if (why := pace.too_slow(periods[name]))
    ]
    more = len(found) - MOST_SAID
    return (*found[:MOST_SAID], *([f"and {more} more signals"] if more > 0 else []))
