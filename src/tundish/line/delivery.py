"""Bring answers and the state to one sink, in order, through lost links."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Literal

from tundish.kernel.errors import TundishError
from tundish.line.buffer import LineBuffer
from tundish.line.errors import SinkRefusedError
from tundish.line.parts import EngineOptions
from tundish.line.sinks.protocol import Sink
from tundish.line.state import TagState

_BATCH = 64
Told = Callable[[Literal["sink-lost", "sink-restored", "sink-refused"], str], None]


class Delivery:
    """Sends what the buffer holds for a sink, at least once, oldest first.

    Args:
        sink: Connected already.
        buffer: Where the answers are.
        tell: Called when the sink is lost, is back, or refuses.
        options: The mode and the pauses before connecting again.
    """

    def __init__(
        self,
        sink: Sink,
        buffer: LineBuffer,
        tell: Told,
        options: EngineOptions,
    ) -> None:
        self.sink = sink
        self.delivered = 0
        self.refused = 0
        self.lost = ""
        self._buffer = buffer
        self._tell = tell
        self._options = options
        self.mode = options.mode
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._state: tuple[TagState, int] | None = None
        self._state_sent = True

    def wake(self) -> None:
        """There are new answers."""
        self._idle.clear()
        self._wake.set()

    def state(self, state: TagState, at_us: int) -> None:
        """The line's state changed; only the newest is still to be sent."""
        self._state = (state, at_us)
        self._state_sent = False
        self.wake()

    def waiting(self) -> int:
        """Return how many answers it has not taken yet; no more than 10,000 are counted."""
        return self._buffer.waiting(self.sink.name)

    async def drained(self, limit_s: float) -> None:
        """Wait until everything is sent, at most some seconds of the wall clock."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._idle.wait()

    async def run(self) -> None:
        """Send for ever.

        Raises:
            TundishError: only what must end the line, such as a full disk.
        """
        self.wake()
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while await self._send_some():
                    pass
                if not self._wake.is_set():
                    self._idle.set()
            except ConnectionError as error:
                self.lost = str(error)
                self._tell("sink-lost", self.lost)
                await self._reconnect()
                self.lost = ""
                self._tell("sink-restored", f"{self.sink.name} is back")
                self._state_sent = self._state is None  # the server may have forgotten
                self.wake()

    async def _send_some(self) -> bool:
        if self._state is not None and not self._state_sent:
            self._state_sent = True
            state, at_us = self._state
            with self._refusals():
                await self.sink.write_state(state, self.mode, at_us)
        batch = self._buffer.undelivered(self.sink.name, limit=_BATCH)
        if not batch:
            return not self._state_sent
        for estimate in batch:
            with self._refusals():
                await self.sink.write_estimates((estimate,))
                self.delivered += 1
            self._buffer.mark_delivered(self.sink.name, estimate.at_us)
        if self._state is not None and self._state[0].state == "stale":
            self._state_sent = False  # an old answer must not stand there as present
        return True

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except SinkRefusedError as error:
            self.refused += 1
            if self.refused == 1:
                self._tell("sink-refused", error.message)

    async def _reconnect(self) -> None:
        pause_s, longest_s = self._options.sink_pauses_s
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self.sink.connect()
            except (ConnectionError, TundishError):  # a node, a certificate
                pause_s = min(2 * pause_s, longest_s)
            else:
                return
