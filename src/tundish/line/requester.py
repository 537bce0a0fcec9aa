"""Write the request of every beat to the plant, and keep the breaker on disk.

A request is never queued: what could not be written is gone, and the next beat writes
what is true then. The breaker outlives the process as a file beside the buffer; whoever
takes the file away (``tundish line reset``) closes it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tundish.kernel import paths
from tundish.kernel.clock import Clock
from tundish.kernel.errors import TundishError
from tundish.line.errors import SinkRefusedError
from tundish.line.estimates import Estimate
from tundish.line.governor import Governed, Governor, Request
from tundish.line.linefile import ControlSpec
from tundish.line.samples import Sample
from tundish.line.sinks.protocol import RequestSink

SUFFIX = ".breaker"
MOST_BYTES = 10_000
Told = Callable[
    [Literal["request-stopped", "request-lost", "request-restored", "breaker"], str],
    None,
]


class BreakerFile:
    """The open breaker of a line, on disk.

    Args:
        buffer: The line's buffer; the file lies beside it.
    """

    def __init__(self, buffer: Path) -> None:
        self.path = buffer.with_name(buffer.name + SUFFIX)
        self._kept = self.path.exists()

    def reason(self) -> str:
        """Return why it is open; empty if it is closed.

        Raises:
            MachineError: if it cannot be read; nobody then knows that it is closed.
        """
        if not self.path.exists():
            return ""
        said = paths.read_file(self.path, most=MOST_BYTES)
        return said.decode("utf-8", "replace").strip() or "the breaker was open"

    def reset(self) -> bool:
        """Close it; tell whether it was open."""
        was_open = self.path.exists()
        self.path.unlink(missing_ok=True)
        return was_open

    def keep(self, governor: Governor) -> bool:
        """Bring file and governor together; tell whether somebody closed it."""
        if not governor.open_reason:
            return False
        if not self._kept:
            with contextlib.suppress(TundishError):  # full disk: the next beat tries
                paths.write_whole(self.path, governor.open_reason.encode())
                self._kept = True
            return False
        if self.path.exists():
            return False
        self._kept = False
        governor.reset()
        return True


@dataclass(frozen=True, kw_only=True)
class Control:
    """What a line needs to ask the plant for something.

    Attributes:
        spec: From the line file.
        governor: Decides each request.
        sink: Where requests go; None: they are computed and counted only.
        breaker: Keeps the open breaker.
    """

    spec: ControlSpec
    governor: Governor
    sink: RequestSink | None
    breaker: BreakerFile


class Requester:
    """Runs a control; see the module.

    Args:
        control: What is run.
        clock: Wall clock.
        tell: Called when requests stop, the sink is lost or back, the breaker moves.
    """

    def __init__(self, control: Control, clock: Clock, tell: Told) -> None:
        self._control = control
        self._clock = clock
        self._tell = tell
        self._lost = False
        self._rests = self._told_rest = False

    @property
    def counts(self) -> Governed:
        """What was done so far."""
        return self._control.governor.counts

    async def connect(self) -> None:
        """Connect for the first time.

        Raises:
            ConnectionError, NodeMissingError: as ``Sink.connect``.
        """
        if self._control.sink is not None:
            await self._control.sink.connect()

    def heard(self, samples: Sequence[Sample]) -> None:
        """Take note of what came in, live."""
        self._control.governor.heard(samples, self._clock.monotonic_s())

    def answered(self, estimate: Estimate, age_s: float) -> None:
        """Take note of the newest answer, so old by its source time."""
        now_s = self._clock.monotonic_s()
        self._control.governor.answered(estimate, now_s - max(0.0, age_s))

    def rest(self, reason: str) -> None:
        """Say once that nothing is asked any more, then write nothing; empty: go on."""
        self._rests, self._told_rest = bool(reason), False
        if reason:
            self._control.governor.end(reason)
        else:
            self._control.governor.go_on()

    async def run(self) -> None:
        """Ask at every beat, for ever."""
        while True:
            begun_s = self._clock.monotonic_s()
            await self._beat()
            spent_s = self._clock.monotonic_s() - begun_s
            await asyncio.sleep(max(0.0, self._control.spec.heartbeat_s - spent_s))

    async def close(self) -> None:
        """Say once more, if it can be said, that nothing is asked; then let go."""
        sink, governor = self._control.sink, self._control.governor
        if sink is None:
            return
        governor.end("the line has stopped")
        with contextlib.suppress(ConnectionError, SinkRefusedError):
            await sink.write_request(governor.beat(self._clock.monotonic_s()))
        await sink.close()

    async def _beat(self) -> None:
        governor, sink = self._control.governor, self._control.sink
        stops, trips = governor.counts.stops, governor.counts.trips
        request = governor.beat(self._clock.monotonic_s())
        tripped = governor.counts.trips > trips
        if sink is None or self._told_rest:
            if tripped:  # nothing is asked, so nobody has to reset anything
                governor.reset()
            return
        if governor.counts.stops > stops:
            self._tell("request-stopped", request.reason)
        if tripped:
            self._tell("breaker", governor.open_reason)
        if self._control.breaker.keep(governor):
            self._tell("breaker", "the breaker was reset")
        await self._send(sink, request)
        self._told_rest = self._rests and not self._lost

    async def _send(self, sink: RequestSink, request: Request) -> None:
        try:
            if self._lost:
                await sink.connect()
            await sink.write_request(request)
        except (ConnectionError, TundishError) as error:  # a node, a certificate
            if not self._lost:
                self._tell("request-lost", str(error))
            self._lost = True
            return
        if self._lost:
            self._tell("request-restored", "requests are written again")
        self._lost = False
