"""Bring spooled samples to an archive, part by part, in order and exactly once."""

from __future__ import annotations

import asyncio
from typing import Literal, Protocol

from tundish.kernel.canonical import Json
from tundish.kernel.clock import to_text
from tundish.line.contract import Contract
from tundish.line.errors import BufferUnreadableError, SourceUnreachableError
from tundish.line.kept import Batch, Columns, to_columns
from tundish.line.samples import from_us
from tundish.line.sinks.protocol import SampleSink
from tundish.line.spool import PartRange, Spool

_EVERY_S = 0.25


class Told(Protocol):
    """Who hears what becomes of the archive."""

    def __call__(
        self,
        kind: Literal["sink-lost", "sink-restored", "dropped"],
        text: str,
        detail: dict[str, Json],
        /,
    ) -> None:
        """Hear it."""
        ...


class Archiver:
    """Makes parts of what is in the spool.

    While parts cannot be written, samples wait in the spool up to its bound.

    Args:
        sink: Takes the parts.
        spool: Of the line's buffer.
        contract: Whose signals they are.
        tell: Called when the archive is lost, is back, or something was dropped.
        pauses_s: First and longest pause before it is tried again.
    """

    def __init__(
        self,
        sink: SampleSink,
        spool: Spool,
        contract: Contract,
        tell: Told,
        pauses_s: tuple[float, float],
    ) -> None:
        self.sink = sink
        self.spool = spool
        self.delivered = 0
        self.refused = 0  # an archive takes everything, or nothing
        self.lost = ""
        self._unsure = spool.unsure
        self._job: asyncio.Task[None] | None = None
        self._names = tuple(signal.name for signal in contract.signals)
        self._widths = tuple(signal.channels for signal in contract.signals)
        self._tell = tell
        self._pauses_s = pauses_s

    async def connect(self) -> None:
        """Make sure that the archive can be written, at the start of a line.

        Raises:
            SourceUnreachableError: if it cannot.
        """
        try:
            await self.sink.connect()
        except ConnectionError as error:
            msg = f"The archive {self.sink.name} cannot be written: {error}."
            raise SourceUnreachableError(msg) from error

    async def run(self) -> None:
        """Write parts as they become full, for ever.

        Raises:
            TundishError: only what must end the line, such as a full disk under the
                buffer.
        """
        pause_s, longest_s = self._pauses_s
        while True:
            try:
                if self.lost:
                    await self.sink.connect()
                while await self.write_next():
                    pass
            except ConnectionError as error:
                self._say_lost(str(error))
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, longest_s)
                self._say_given_up()
                continue
            pause_s = self._pauses_s[0]
            self._say_given_up()
            await asyncio.sleep(_EVERY_S)

    async def write_next(self, *, now: bool = False) -> bool:
        """Write the next part, if there is one.

        Args:
            now: Also if it is not full.

        Raises:
            ConnectionError: if it cannot be written; its range stays.
        """
        part = self.spool.cut(self.sink.rules, now=now)
        if part is None:
            return False
        self._job = asyncio.create_task(self._write(part))
        await asyncio.shield(self._job)  # a thread that writes cannot be called back
        return True

    def waiting(self) -> int:
        """Return how many samples are in no part yet."""
        return self.spool.waiting

    async def close(self) -> None:
        """Write what is left, at the end; what cannot be written waits in the spool."""
        try:
            if self._job is not None:
                await self._job
            while await self.write_next(now=True):
                pass
        except ConnectionError as error:
            self._say_lost(str(error))
        self._say_given_up()
        if left := self.spool.unsure - self._unsure:
            text = f"{left} samples were left out: they may be in the archive already"
            self._tell("dropped", text, {"sink": self.sink.name, "samples": left})
        await self.sink.close()

    async def _write(self, part: PartRange) -> None:
        columns = await self._read(part)
        dropped = await self.sink.write_part(columns)
        self.spool.done(part)
        self.delivered += len(columns.number)
        for text in dropped:
            self._tell("dropped", text, {"sink": self.sink.name})
        if self.lost:
            self.lost = ""
            self._tell("sink-restored", f"{self.sink.name} is back", {})

    async def _read(self, part: PartRange) -> Columns:
        """Read a part in pages, between which the line goes on."""
        batches: list[Batch] = []
        after = part.first
        while page := self.spool.page(part, after):
            batches += page
            after = page[-1].first + page[-1].rows
            await asyncio.sleep(0)
        job = asyncio.to_thread(to_columns, batches, self._names, self._widths)
        try:
            return await job
        except (ValueError, TypeError) as error:
            msg = (
                f"Samples {part.first} to {part.end} of the spool are damaged: {error}."
            )
            raise BufferUnreadableError(msg) from error

    def _say_lost(self, why: str) -> None:
        if not self.lost:
            self._tell("sink-lost", why, {"sink": self.sink.name})
        self.lost = why

    def _say_given_up(self) -> None:
        given_up, self.spool.given_up = self.spool.given_up, []
        for gap in given_up:
            first, last = (to_text(from_us(us)) for us in (gap.from_us, gap.to_us))
            detail: dict[str, Json] = {"signal": gap.signal, "from": first, "to": last}
            self._tell("dropped", f"{gap.signal}: {gap.reason}", detail)
