"""One MQTT connection with an end to every wait; shared by sources and sinks.

Everything that a broker may keep us waiting for has a limit, and a broker that does
not read, sends what is no packet or says goodbye is let go with the cause in words.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from tundish.kernel.texts import visible
from tundish.line import mqttpackets as packets
from tundish.line import tls
from tundish.line.errors import LineFileInvalidError, LinkRefusedError
from tundish.line.mqttpackets import (
    Ack,
    Connack,
    Farewell,
    Hello,
    MalformedError,
    PacketReader,
    Pong,
    Publish,
)

MOST_UNSENT = 4 * 1024 * 1024
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_TAKEN_OVER = 0x8E
_LASTING: Final = {
    1: "it does not speak this version of MQTT; say options.version: '3.1.1'",
    2: "it does not accept the client id",
    4: "it does not know this user or the password is wrong",
    5: "this user may not connect (not authorised)",
    0x84: "it does not speak this version of MQTT; say options.version: '3.1.1'",
    0x85: "it does not accept the client id",
    0x86: "it does not know this user or the password is wrong",
    0x87: "this user may not connect (not authorised)",
    0x8A: "this client is banned",
    0x8C: "it asks for another way to authenticate",
}
_CODES: Final = {
    3: "the server is unavailable",
    0x81: "a malformed packet",
    0x82: "a protocol error",
    0x83: "its own reasons",
    0x87: "not authorised",
    0x88: "the server is unavailable",
    0x89: "the server is busy",
    0x8B: "the server is shutting down",
    0x8D: "nothing was heard from us in time",
    0x8E: "another client has taken over this client id",
    0x8F: "the topic filter is not accepted",
    0x90: "the topic name is not accepted",
    0x93: "too many unacknowledged messages",
    0x95: "the packet is too large",
    0x96: "too many messages",
    0x97: "its quota is used up",
    0x98: "its operator ended the connection",
    0x9A: "it keeps no retained messages",
    0x9B: "it does not know QoS 1",
    0x9C: "use another server",
    0x9D: "the server has moved",
    0x9F: "too many connections",
}


class BrokerLostError(ConnectionError):
    """The broker is gone; the link's owner connects again."""


class PublishRefusedError(Exception):
    """The broker answered that it does not take this message, now or later."""


@dataclass(frozen=True, kw_only=True)
class Broker:
    """Where a broker is: ``mqtt://host:port`` or ``mqtts://host:port``."""

    endpoint: str
    host: str
    port: int
    secure: bool


def broker_of(endpoint: str) -> Broker:
    """Read an endpoint.

    Raises:
        LineFileInvalidError: if it is none of a broker, or holds a user or a path.
    """
    try:
        parts = urlsplit(endpoint)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        parts, port = urlsplit(""), 0
    more = parts.username or parts.password or parts.path.strip("/") or parts.query
    if parts.scheme not in _PORTS or not parts.hostname or more:
        msg = f"The endpoint {endpoint} is no broker such as 'mqtts://broker.plant:8883' (user and password stand in security)."
        raise LineFileInvalidError(msg)
    return Broker(
        endpoint=endpoint,
        host=parts.hostname,
        port=port,
        secure=parts.scheme == "mqtts",
    )


def code_text(code: int, reason: str = "") -> str:
    """Return what a reason code means; a broker's own words are made harmless."""
    said = f": {visible(reason[:200])}" if reason else ""
    return _CODES.get(code, f"code {code:#04x}") + said


@dataclass(frozen=True, kw_only=True)
class Heard:
    """Whom a link tells; all are called on the event loop and must not wait.

    Attributes:
        welcome: The broker took us in; called before any of its messages.
        messages: Messages that came in together.
        lost: The link is gone, and why; called once.
    """

    welcome: Callable[[Connack], None]
    messages: Callable[[list[Publish]], None]
    lost: Callable[[str], None]


class MqttLink(asyncio.Protocol):
    """One connection to a broker, for one life; a new one is made after each loss.

    Args:
        broker: Where it is.
        context: For ``mqtts``.
        hello: What CONNECT says.
        timeout_s: Limit for each wait, in seconds of the wall clock.
        heard: Whom to tell.
    """

    def __init__(
        self,
        broker: Broker,
        context: ssl.SSLContext | None,
        hello: Hello,
        timeout_s: float,
        heard: Heard,
    ) -> None:
        self._broker, self._context, self._hello = broker, context, hello
        self._timeout_s, self._heard = timeout_s, heard
        self._reader = PacketReader(hello.version, hello.most_bytes)
        self._transport: asyncio.Transport | None = None
        self._welcome: asyncio.Future[Connack] | None = None
        self._acks: dict[int, asyncio.Future[Ack]] = {}
        self._pongs: deque[asyncio.Future[None]] = deque()
        self._reads = 0
        self._paused = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._last_id = 0
        self._why = ""
        self._closing = False
        self.connack: Connack | None = None

    @property
    def up(self) -> bool:
        """Whether the broker took us in and is there still."""
        return self.connack is not None and not self._why and not self._closing

    async def open(self) -> Connack:
        """Connect and say hello.

        Raises:
            BrokerLostError: if nobody answers in time; names the cause.
            LinkRefusedError: if the broker does not let us in, or its certificate
                does not hold.
        """
        self._welcome = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._dial()
                self._send(packets.connect(self._hello))
                connack = await self._welcome
        except ssl.SSLError as error:
            self.drop()
            raise tls.refused(self._broker.endpoint, error) from error
        except (OSError, TimeoutError) as error:
            self.drop()
            raise self._lost_error(_cause(error)) from error
        except BaseException:
            self.drop()
            raise
        if connack.code:
            self.drop()
            self._refuse(connack)
        return connack

    async def subscribe(self, filters: Sequence[str]) -> tuple[int, ...]:
        """Ask for topics with QoS 1; return the broker's code for each.

        Raises:
            BrokerLostError.
        """
        qos = min(1, self.connack.max_qos if self.connack else 1)
        packet_id = self._next_id()
        data = packets.subscribe(self._hello.version, packet_id, filters, qos)
        ack = await self._acknowledged(packet_id, data)
        if len(ack.codes) != len(filters):
            self._lose("it answered another number of topics than was asked for")
            raise self._lost_error(self._why)
        return ack.codes

    async def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1
    ) -> None:
        """Publish; with QoS 1 return when the broker has acknowledged it.

        Raises:
            PublishRefusedError: if it says that it will not take it.
            BrokerLostError.
        """
        if self.connack is not None:
            qos = min(qos, self.connack.max_qos)
        packet_id = self._next_id() if qos else 0
        data = packets.publish(
            self._hello.version, topic, payload, packet_id, retain=retain
        )
        most = self.connack.most_bytes if self.connack else None
        if most is not None and len(data) > most:
            msg = f"it takes packets of at most {most} bytes; this one has {len(data)}"
            raise PublishRefusedError(msg)
        if not qos:
            self._send(data)
            await self._drained()
            return
        ack = await self._acknowledged(packet_id, data)
        if ack.codes[0] >= packets.FAILURE:
            raise PublishRefusedError(code_text(ack.codes[0], ack.reason))

    def acknowledge(self, packet_ids: Iterable[int]) -> None:
        """Say that messages are ours now; nothing happens if the link is gone."""
        data = b"".join(map(packets.puback, packet_ids))
        if self.up and data:
            with contextlib.suppress(BrokerLostError):
                self._send(data)

    async def probe(self) -> None:
        """Ping and wait for a sign of life: the answer, or anything else.

        Raises:
            BrokerLostError: if there is none in time, although we read.
        """
        before = self._reads
        with contextlib.suppress(TimeoutError):
            await self._pinged()
            return
        if self._reads == before and not self._paused:
            self._lose(f"it does not answer a ping within {self._timeout_s:g} s")
            raise self._lost_error(self._why)

    async def handled(self) -> None:
        """Wait until the broker has handled all that was sent: it works in order.

        Raises:
            BrokerLostError: if it has not in time.
        """
        try:
            await self._pinged()
        except TimeoutError as error:
            self._lose(f"it does not answer a ping within {self._timeout_s:g} s")
            raise self._lost_error(self._why) from error

    def pause(self) -> None:
        """Read nothing more for now: the broker has to wait."""
        self._paused = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    async def close(self) -> None:
        """Say goodbye, so that no will is published; safe to call twice."""
        if self.up and self._transport is not None:
            self._transport.write(packets.DISCONNECT)
            with contextlib.suppress(TimeoutError, BrokerLostError):
                await self._drained()
        self.drop()

    def drop(self, why: str = "the line let it go") -> None:
        """Let the connection go, whatever state it is in; only who waits is told."""
        self._closing = True
        self._lose(why)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (asyncio gives one)
        self._transport = transport
        transport.set_write_buffer_limits(high=256 * 1024)

    def data_received(self, data: bytes) -> None:
        """Take bytes; whatever is in them, nothing is raised here."""
        self._reads += 1
        try:
            found = self._reader.feed(data)
        except MalformedError as error:
            self._lose(f"it sent {error}")
            return
        messages: list[Publish] = []
        for packet in found:
            if type(packet) is Publish:
                messages.append(packet)
            else:
                self._control(packet)
        if messages and self.up:
            self._heard.messages(messages)

    def eof_received(self) -> bool:
        """Nothing more will come: half a connection is none."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the socket is closed."""
        why = "it closed the connection" if exc is None else _cause(exc)
        if self.connack is None and not self._broker.secure:
            why += "; perhaps it wants TLS (mqtts://) or does not speak MQTT here"
        self._lose(why)

    def pause_writing(self) -> None:
        """Take note that the broker does not read as fast as we write."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Take note that it reads again."""
        self._writable.set()

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        broker = self._broker
        await loop.create_connection(
            lambda: self,
            broker.host,
            broker.port,
            ssl=self._context if broker.secure else None,
            ssl_handshake_timeout=self._timeout_s if broker.secure else None,
            ssl_shutdown_timeout=1.0 if broker.secure else None,
        )

    def _control(self, packet: packets.Packet) -> None:
        if isinstance(packet, Ack):
            waiting = self._acks.get(packet.packet_id)
            if waiting is not None and not waiting.done():
                waiting.set_result(packet)
        elif isinstance(packet, Pong):
            if self._pongs and not (waiting_for := self._pongs.popleft()).done():
                waiting_for.set_result(None)
        elif isinstance(packet, Farewell):
            self._lose(f"it ended the connection: {self._farewell(packet)}")
        elif isinstance(packet, Connack):
            self._welcomed(packet)

    def _farewell(self, packet: Farewell) -> str:
        text = code_text(packet.code, packet.reason)
        if packet.code == _TAKEN_OVER:
            text += f" ({self._hello.client_id}); give each client an options.client_id of its own"
        return text

    def _welcomed(self, connack: Connack) -> None:
        waiting = self._welcome
        if waiting is None or waiting.done():
            self._lose("it said hello twice")
            return
        if connack.code == 0:
            self.connack = connack
            self._heard.welcome(connack)
        waiting.set_result(connack)

    def _refuse(self, connack: Connack) -> None:
        lasting = _LASTING.get(connack.code)
        if lasting is None:
            why = f"it refused: {code_text(connack.code, connack.reason)}"
            raise self._lost_error(why)
        said = f": {visible(connack.reason[:200])}" if connack.reason else ""
        msg = f"The broker {self._broker.endpoint} refuses this line: {lasting}{said}."
        raise LinkRefusedError(msg)

    async def _acknowledged(self, packet_id: int, data: bytes) -> Ack:
        waiting: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        self._acks[packet_id] = waiting
        try:
            self._send(data)
            async with asyncio.timeout(self._timeout_s):
                return await waiting
        except TimeoutError as error:
            self._lose(f"it acknowledges nothing within {self._timeout_s:g} s")
            raise self._lost_error(self._why) from error
        finally:
            del self._acks[packet_id]

    async def _pinged(self) -> None:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._send(packets.PING)
        self._pongs.append(answer)  # answers come in order; who gave up keeps its place
        async with asyncio.timeout(self._timeout_s):
            await answer

    async def _drained(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._writable.wait()
        except TimeoutError as error:
            self._lose(f"it reads nothing for {self._timeout_s:g} s")
            raise self._lost_error(self._why) from error
        if self._why and not self._closing:
            raise self._lost_error(self._why)

    def _send(self, data: bytes) -> None:
        if self._transport is None or self._why or self._transport.is_closing():
            raise self._lost_error(self._why or "there is no connection")
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > MOST_UNSENT:
            self._lose("it does not read what it is sent")

    def _next_id(self) -> int:
        for _ in range(0xFFFF):
            self._last_id = self._last_id % 0xFFFF + 1
            if self._last_id not in self._acks:
                return self._last_id
        msg = "too many messages wait for an acknowledgement"
        raise self._lost_error(msg)

    def _lose(self, why: str) -> None:
        if self._why:
            return
        self._why = why
        if self._transport is not None:
            self._transport.abort()
        error = self._lost_error(why)
        for waiting in (self._welcome, *self._pongs, *self._acks.values()):
            if waiting is not None and not waiting.done():
                waiting.set_exception(error)
                waiting.exception()  # nobody may be waiting any more
        self._writable.set()
        if self.connack is not None and not self._closing:
            self._heard.lost(str(error))

    def _lost_error(self, why: str) -> BrokerLostError:
        return BrokerLostError(f"the broker {self._broker.endpoint}: {why}")


def _cause(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, BrokerLostError):
        return str(error).split(": ", 1)[-1]
    if isinstance(error, ssl.SSLError):
        return tls.why(error)
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return f"it does not answer ({os.strerror(error.errno).lower()})"
    if isinstance(error, OSError) and error.strerror:  # of names, say
        return f"it does not answer ({error.strerror.lower()})"
    return f"it does not answer ({str(error) or type(error).__name__})"
