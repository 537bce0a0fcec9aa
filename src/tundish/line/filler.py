"""Fill holes from the plant's history, and record as gaps what it does not have.

While a hole is being filled nothing after it is scored, so that order is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tundish.line.errors import HistoryUnavailableError
from tundish.line.pipeline import Pipeline, Taken
from tundish.line.samples import Gap
from tundish.line.sources.protocol import Source

AT_ONCE = 8
"""Histories that are asked for at once: a thousand tags would flood a server."""


class FillListener(Protocol):
    """Who is told what the filling brought."""

    def filled(self, signal: str, taken: Taken) -> None:
        """A page of history is on disk; scoring may go on."""
        ...

    def gap(self, gap: Gap) -> None:
        """A stretch cannot be had."""
        ...

    def fill_ended(self, signal: str, samples: int) -> None:
        """All of a hole that can be had was had."""
        ...

    def failed(self, error: BaseException) -> None:
        """Something ended the reading that must end the line, such as a full disk."""
        ...


@dataclass(kw_only=True)
class _Hole:
    """Everything of the signal up to ``from_us`` is complete."""

    source: Source
    from_us: int
    wanted: bool = True


class Filler:
    """Keeps track of the holes of a line.

    Args:
        pipeline: Takes the samples.
        listener: Is told.
        oldest_us: Returns the source time before which history is not asked for.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        listener: FillListener,
        oldest_us: Callable[[], int],
    ) -> None:
        self._pipeline = pipeline
        self._listener = listener
        self._oldest_us = oldest_us
        self._holes: dict[str, _Hole] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(AT_ONCE)

    def hold_us(self) -> int | None:
        """Return the source time after which nothing may be scored yet."""
        if not self._holes:
            return None
        return min(hole.from_us for hole in self._holes.values())

    def want(self, source: Source, signal: str, after_us: int) -> None:
        """Ask for everything of a signal after a source time.

        If a hole of it is open already, history is read again when the present
        reading ends (the link may have been lost meanwhile).
        """
        hole = self._holes.setdefault(signal, _Hole(source=source, from_us=after_us))
        hole.wanted = True
        task = self._tasks.get(signal)
        if task is None or task.done():
            task = asyncio.create_task(self._fill(signal, hole))
            task.add_done_callback(self._done)
            self._tasks[signal] = task

    async def close(self) -> None:
        """Stop reading; open holes are found again at the next start."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._listener.failed(error)

    async def _fill(self, signal: str, hole: _Hole) -> None:
        samples = 0
        reason = "the plant's history does not have it"
        while hole.wanted:
            hole.wanted = False
            try:
                async with self._turn:
                    samples += await self._read(signal, hole)
            except HistoryUnavailableError as error:
                reason = error.message
            except ConnectionError:
                return  # the hole stays open; the source says when the link is back
        self._move(signal, hole, None, reason)
        del self._holes[signal]
        self._listener.fill_ended(signal, samples)

    async def _read(self, signal: str, hole: _Hole) -> int:
        samples = 0
        after_us = max(hole.from_us, self._oldest_us())
        async for page in hole.source.read_history(signal, after_us, None):
            taken = self._pipeline.take(page, live=False)
            samples += taken.new
            last_us = max(s.at_us for s in page if s.at_us is not None)
            self._move(signal, hole, last_us, "the plant's history does not have it")
            self._listener.filled(signal, taken)
        return samples

    def _move(
        self, signal: str, hole: _Hole, until_us: int | None, reason: str
    ) -> None:
        """Declare the signal complete up to a time; what lacks there is a gap."""
        reach_us = self._pipeline.reach_us(signal)
        before = hole.from_us
        for at_us in self._pipeline.aligner.times_after(signal, before):
            if until_us is not None and at_us > until_us:
                break
            if at_us - before > reach_us:
                gap = Gap(signal=signal, from_us=before, to_us=at_us, reason=reason)
                if self._pipeline.buffer.record_gap(gap):
                    self._listener.gap(gap)
            before = at_us
        hole.from_us = max(before, until_us or before)
