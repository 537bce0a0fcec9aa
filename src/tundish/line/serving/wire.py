"""The server below the application: uvicorn's HTTP parser, with limits and an end.

uvicorn reads and writes HTTP (httptools, in C). What it leaves to a proxy is added here,
since a box at a line has none: bounds on headers, on connections and on the time that a
client may take for each part of a request, and a stop that answers what is in hand.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Literal, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from tundish.line.serving.app import ServeApp
from tundish.line.serving.limits import Limits
from tundish.line.serving.response import encode

State = Literal["idle", "head", "body", "answer"]
MayCome = Callable[[str], bool]

_TICK_S = 0.5
_BACKLOG = 128
_HANDSHAKE_S = 10.0
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


class GuardedProtocol(HttpToolsProtocol):
    """One connection, bounded in bytes and in time.

    Args:
        config: Of uvicorn.
        state: All connections.
        limits: The bounds.
        may_come: Whether the other side's address may connect.

    Attributes:
        since_s: Monotonic seconds at which it came into its state.
    """

    def __init__(
        self, config: Config, state: ServerState, limits: Limits, may_come: MayCome
    ) -> None:
        super().__init__(config, state, {})
        self._limits = limits
        self._may_come = may_come
        self._state: State = "head"
        self.since_s = time.monotonic()
        self._head = self._partial = self._taken = 0
        self._whole = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, if there is room for it and it may come."""
        super().connection_made(transport)
        if self.client is not None and not self._may_come(self.client[0]):
            transport.abort()
        elif len(self.connections) > self._limits.connections:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Parse what came; what is beyond a bound ends the connection."""
        if self.transport.is_closing():
            return
        if self._state == "idle":
            self._enter("head" if self._whole else "body")
        began = self._state == "head"
        self._taken += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if began and self._state == "head":
            self._partial += len(data)
        if self._is_head_large():
            most = f"{self._limits.head} bytes and {self._limits.headers} headers"
            self._refuse(431, f"The request's head is larger than {most}.")
        elif self._taken > self._limits.body + _DISCARDED:
            self.transport.abort()  # it was refused, and goes on sending

    def on_message_begin(self) -> None:
        """Begin a request (called by the parser)."""
        super().on_message_begin()
        self._head = self._partial = self._taken = 0
        self._whole = False
        if self._state != "answer":
            self._enter("head")

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request line."""
        self._head += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, also one behind the body."""
        self._head += len(name) + len(value) + 4
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Let the application begin, if the head is within its bounds."""
        if self._is_head_large():
            return  # data_received refuses it
        if self._state != "answer":
            self._enter("body")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if self._begun() is not None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the answer."""
        if self._begun() is not None:
            super().on_message_complete()
        self._whole = True
        if self._state == "body":
            self._enter("idle" if self._is_answered() else "answer")

    def on_response_complete(self) -> None:
        """Wait for the next request, or go on with one that waits."""
        self._enter("answer" if self.pipeline else "idle")
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        del msg
        self._refuse(400, "What was sent is no HTTP request.")

    @property
    def has_been_idle(self) -> bool:
        """Whether it waits for a request."""
        return self._state == "idle" and not self.transport.is_closing()

    def overdue(self, now_s: float) -> None:
        """End the connection if the client has taken too long."""
        if self.transport.is_closing():
            if now_s - self.since_s > self._limits.answer_s:
                self.transport.abort()
            return
        limits = self._limits
        most_s = {
            "idle": limits.idle_s,
            "head": limits.head_s,
            "body": limits.body_s,
            "answer": limits.answer_s,
        }[self._state]
        unsent = self.transport.get_write_buffer_size() if self._state == "idle" else 0
        if unsent:
            most_s = limits.answer_s
        if now_s - self.since_s <= most_s:
            return
        if self._state == "head" or (self._state == "body" and not self._is_answered()):
            self._refuse(
                408, f"The request's {self._state} took more than {most_s:g} s."
            )
        elif self._state == "idle" and not unsent:
            self.transport.close()
        else:
            self.transport.abort()

    def _is_head_large(self) -> bool:
        large = max(self._head, self._partial) > self._limits.head
        return large or len(self.headers or ()) > self._limits.headers

    def _is_answered(self) -> bool:
        begun = self._begun()
        return begun is None or begun.response_complete

    def _begun(self) -> RequestResponseCycle | None:
        """Return the newest request, if there was one yet."""
        return cast("RequestResponseCycle | None", self.cycle)

    def _make_room(self) -> None:
        """Close the connection that has been idle for longest, else this one."""
        idle = [
            one
            for one in self.connections
            if isinstance(one, GuardedProtocol) and one.has_been_idle
        ]
        if idle:
            min(idle, key=lambda one: one.since_s).transport.close()
        else:
            most = self._limits.connections
            self._refuse(503, f"The server has {most} connections, its most.")

    def _enter(self, state: State) -> None:
        self._state, self.since_s = state, time.monotonic()

    def _refuse(self, status: int, said: str) -> None:
        begun = self._begun()
        if begun is not None and begun.response_started and not begun.response_complete:
            self.transport.abort()  # an answer is half written
            return
        body = encode({"error": said, "code": "connection-refused"})
        head = b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\n" % (
            status,
            _PHRASES[status],
        )
        length = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(head + length + body)
        self.transport.close()


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
        await stop.wait()
        server.close()
        await _drain(state, limits.drain_s)
    finally:
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
