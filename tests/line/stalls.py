"""When the machine did not let a test run: what a limit in seconds must not count.

Two cores that others use stand still for a second now and then. A wait that took longer
than it should, while this process had no processor time, is the machine's and not the
product's; a wait in which the process itself was busy is not excused.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

_LEAST_S = 0.2
_STEP_S = 0.02


class Stalls:
    """The stretches of monotonic time in which this process stood still."""

    def __init__(self) -> None:
        self.found: list[tuple[float, float]] = []
        self._was = (time.monotonic(), time.process_time())

    def total_s(self) -> float:
        """Return how long it stood still in all."""
        self.look()
        return sum(end - begin for begin, end in self.found)

    def look(self, step_s: float = _STEP_S) -> None:
        """Ask after each short wait of ``step_s`` whether it was much longer."""
        now = time.monotonic(), time.process_time()
        took_s, worked_s = now[0] - self._was[0], now[1] - self._was[1]
        if took_s - worked_s - step_s > _LEAST_S:
            self.found.append((self._was[0], now[0]))
        self._was = now

    def excuse(self, moment_s: float, after_s: float) -> bool:
        """Return whether a moment lies in a stall or soon after it."""
        return any(begin <= moment_s <= end + after_s for begin, end in self.found)


@contextlib.asynccontextmanager
async def watching() -> AsyncIterator[Stalls]:
    """Look for stalls in a loop while something is timed there."""
    stalls = Stalls()

    async def look() -> None:
        while True:
            await asyncio.sleep(_STEP_S)
            stalls.look()

    task = asyncio.create_task(look())
    try:
        yield stalls
    finally:
        task.cancel()
