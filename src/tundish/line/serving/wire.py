"""The server below the application: uvicorn's HTTP parser, with limits and an end.

uvicorn reads and writes HTTP (httptools, in C). What it leaves to a proxy is added here,
since a box at a line has none: bounds on headers, on connections and on the time that a
client may take for each part of a request, and a stop that answers what is in hand.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING, Literal, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from tundish.line.serving.app import ServeApp
from tundish.line.serving.limits import Limits
from tundish.line.serving.response import encode

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

State = Literal["idle", "head", "body", "answer"]
MayCome = Callable[[str], bool]

_TICK_S = 0.5
_BACKLOG = 128
_HANDSHAKE_S = 10.0
_SMALL = 1024
_LINGER_S = 1.0
_DISCARDED = 64 * 1024**2  # so that a client who sends too much can read why
_PHRASES = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a server listens.

    Attributes:
        listening: A socket that is bound.
        tls: How it encrypts; None: not at all.
        may_come: Whether an address may connect.
    """

    listening: socket.socket
    tls: ssl.SSLContext | None
    may_come: MayCome


class _Joined:
    """A transport that sends the head of an answer together with its body.

    Each write is a call of the system, and on a small answer that call is dear.
    """

    __slots__ = ("_kept", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._kept: list[bytes] = []

    def write(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 100 "):
            self._transport.write(data)  # the client waits for it before its body
        else:
            self._kept.append(data)

    def flush(self) -> None:
        kept, self._kept = self._kept, []
        if kept and not self._transport.is_closing():
            self._transport.write(b"".join(kept))

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


class GuardedProtocol(HttpToolsProtocol):
    """One connection, bounded in bytes and in time.

    A request costs three short calls here, and one that came in one piece is answered
    where it came; how long a client has been at what it is doing is found by looking
    twice a second.

    Args:
        config: Of uvicorn.
        state: All connections.
        limits: The bounds.
        may_come: Whether the other side's address may connect.

    Attributes:
        since_s: Monotonic seconds at which it was first seen in its state.
    """

    def __init__(
        self, config: Config, state: ServerState, limits: Limits, may_come: MayCome
    ) -> None:
        super().__init__(config, state, {})
        self.since_s = time.monotonic()
        self._limits = limits
        self._most = limits.body + _DISCARDED
        self._may_come = may_come
        self._in_head, self._ended = True, False
        self._begun = self._partial = self._taken = self._chunk = 0
        self._seen: tuple[State, int] = ("head", 0)
        self._feeding = False
        self._waiting: tuple[RequestResponseCycle, ASGI3Application] | None = None

    @property
    def state(self) -> State:
        """What it is waiting for."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and not cycle.response_complete:
            return "body" if cycle.more_body else "answer"
        if self._in_head:
            return "head"
        # an answer that the client does not take, or a body that nobody wants
        unsent = self.transport.get_write_buffer_size()
        return "answer" if unsent or (cycle is not None and cycle.more_body) else "idle"

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, if there is room for it and it may come."""
        super().connection_made(transport)
        if self.client is not None and not self._may_come(self.client[0]):
            transport.abort()
        elif len(self.connections) > self._limits.connections:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Parse what came; what is beyond a bound ends the connection."""
        if self.transport.is_closing() or self._ended:
            return
        began, self._chunk = self._in_head, len(data)
        self._taken += self._chunk
        self._feeding = True
        super().data_received(data)
        self._feeding = False
        self._begin_waiting()
        if began and self._in_head:
            self._partial += len(data)
            if self._partial > self._limits.head:
                self._refuse_head()
        elif self._taken > self._most:
            self.transport.abort()  # it was refused, and goes on sending
        elif len(self.headers or ()) > self._limits.headers:
            self.transport.abort()  # they stand behind a body

    def _start_asgi_task(
        self, cycle: RequestResponseCycle, app: ASGI3Application
    ) -> None:
        """Let a request wait for the rest of the piece that it came in (by uvicorn)."""
        joined = _Joined(self.transport)
        cycle.transport = cast("asyncio.Transport", joined)
        cycle.on_response = partial(self._sent, joined)
        if self._feeding and self._waiting is None:
            self._waiting = (cycle, app)
        else:
            super()._start_asgi_task(cycle, app)

    def _begin_waiting(self) -> None:
        """Answer a request that is whole at once, without a task and a turn of the loop."""
        if self._waiting is None:
            return
        (cycle, app), self._waiting = self._waiting, None
        if cycle.more_body or self.flow.write_paused or self.transport.is_closing():
            super()._start_asgi_task(cycle, app)
            return
        answering = cycle.run_asgi(app)
        try:
            answering.send(None)
        except StopIteration:
            return
        # nothing in the application waits once a request is whole and may be written
        answering.close()
        self.transport.abort()

    def _sent(self, joined: _Joined) -> None:
        """Send an answer, head and body in one piece, and go on."""
        joined.flush()
        self.on_response_complete()

    def on_message_begin(self) -> None:
        """Begin a request (called by the parser)."""
        self._in_head = True
        self._begun += 1
        self._partial = self._taken = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Let the application begin, if the head is within its bounds."""
        # a head that came in few bytes is small: the usual case
        many = len(self.headers) > self._limits.headers
        if many or (self._partial + self._chunk > _SMALL and self._is_head_large()):
            msg = "too large"  # the parser stops, and ``send_400_response`` is called
            raise ValueError(msg)
        super().on_headers_complete()
        self._in_head = False

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or has too large a head."""
        del msg
        if self._begun and self._is_head_large():
            self._refuse_head()
        else:
            self._refuse(400, "What was sent is no HTTP request.")

    def overdue(self, now_s: float) -> None:
        """End the connection if the client has taken too long."""
        seen = (self.state, self._begun)
        if seen != self._seen:
            self._seen, self.since_s = seen, now_s
        state, limits = seen[0], self._limits
        if self._ended:
            if now_s - self.since_s > _LINGER_S:
                self.transport.abort()
            return
        most_s = {
            "idle": limits.idle_s,
            "head": limits.head_s,
            "body": limits.body_s,
            "answer": limits.answer_s,
        }[state]
        if now_s - self.since_s <= most_s:
            return
        if self.transport.is_closing() or state == "answer":
            self.transport.abort()
        elif state == "idle":
            self.transport.close()
        else:
            self._refuse(408, f"The request's {state} took more than {most_s:g} s.")

    def _is_head_large(self) -> bool:
        size = len(self.url) + sum(len(n) + len(v) + 4 for n, v in self.headers)
        return size > self._limits.head or len(self.headers) > self._limits.headers

    def _make_room(self) -> None:
        """Close the connection that has been idle for longest, else this one."""
        idle = [
            one
            for one in self.connections
            if isinstance(one, GuardedProtocol)
            and one.state == "idle"
            and not one.transport.is_closing()
        ]
        if idle:
            min(idle, key=lambda one: one.since_s).transport.close()
        else:
            most = self._limits.connections
            self._refuse(503, f"The server has {most} connections, its most.")

    def _refuse_head(self) -> None:
        most = f"{self._limits.head} bytes and {self._limits.headers} headers"
        self._refuse(431, f"The request's head is larger than {most}.")

    def _refuse(self, status: int, said: str) -> None:
        if self.transport.is_closing() or self._ended:
            return
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            self.transport.abort()  # an answer is half written
            return
        body = encode({"error": said, "code": "connection-refused"})
        head = b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\n" % (
            status,
            _PHRASES[status],
        )
        length = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(head + length + body)
        if self._taken or self._begun:
            # closed now, what is still under way would keep the client from reading why
            self._ended, self.since_s = True, time.monotonic()
            self._seen = (self.state, self._begun)
            if self.transport.can_write_eof():
                self.transport.write_eof()
        else:
            self.transport.close()


def quieten() -> None:
    """Keep uvicorn from writing a line for each broken request to standard error."""
    logger = logging.getLogger("uvicorn.error")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


async def serve(
    app: ServeApp,
    place: Place,
    limits: Limits,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], None],
) -> None:
    """Answer requests until ``stop`` is set, then those in hand, and end.

    SIGINT and SIGTERM set it too.

    Args:
        app: Answers.
        place: Where to listen.
        limits: Bounds on each connection.
        stop: Ends the server.
        on_ready: Called once it listens.
    """
    loop = asyncio.get_running_loop()
    quieten()
    config = Config(
        app, loop="none", lifespan="off", ws="none", log_config=None, access_log=False,
        proxy_headers=False, timeout_keep_alive=int(limits.idle_s) + 2,
    )  # fmt: skip
    config.load()
    state = ServerState()
    server = await loop.create_server(
        lambda: GuardedProtocol(config, state, limits, place.may_come),
        sock=place.listening,
        backlog=_BACKLOG,
        ssl=place.tls,
        ssl_handshake_timeout=_HANDSHAKE_S if place.tls else None,
    )
    caught = (signal.SIGINT, signal.SIGTERM)
    for number in caught:
        loop.add_signal_handler(number, stop.set)
    ticks = loop.create_task(_tick(state))
    try:
        on_ready()
        gc.collect()
        gc.freeze()  # what stands now stays: no need to look through it again and again
        await stop.wait()
        server.close()
        await _drain(state, limits.drain_s)
    finally:
        gc.unfreeze()
        ticks.cancel()
        for number in caught:
            loop.remove_signal_handler(number)
        for one in list(state.connections):
            one.transport.abort()


async def _tick(state: ServerState) -> None:
    """Keep the date of the answers, and end what takes too long."""
    while True:
        date = formatdate(usegmt=True).encode()
        state.default_headers = [(b"date", date)]
        now_s = time.monotonic()
        for one in list(state.connections):
            if isinstance(one, GuardedProtocol):
                one.overdue(now_s)
        await asyncio.sleep(_TICK_S)


async def _drain(state: ServerState, most_s: float) -> None:
    """Wait until the requests in hand are answered."""
    for one in list(state.connections):
        one.shutdown()
    end_s = time.monotonic() + most_s
    while state.connections and time.monotonic() < end_s:  # noqa: ASYNC110 -- uvicorn's
        await asyncio.sleep(0.02)
