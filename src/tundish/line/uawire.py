"""The wire of OPC UA with bounds: what a foreign server sends cannot fill the memory.

asyncua by itself takes chunks of any announced size, copies what it has so far with
each packet, and takes the server's bounds for requests as its own for answers (so that a
server with small requests can never answer for many tags). Here a chunk has the size
that was agreed, a message a bound of its own, and the server's bounds hold for what is
sent to it. Imports asyncua: loaded only when an OPC UA source or sink is made.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from asyncua import ua
from asyncua.client.client import Client
from asyncua.client.ua_client import UaClient, UASocketProtocol
from asyncua.common.connection import TransportLimits
from asyncua.common.shortcuts import Shortcuts
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary
from asyncua.ua.ua_binary import Primitives, uatcp_to_binary
from asyncua.ua.uaerrors import UaError

from tundish.line.uanotes import PlantSession

CHUNK_BYTES = 65_536
MESSAGE_BYTES = 16 * 1024 * 1024
LEAST_CHUNK_BYTES = 8_192  # part 6, 7.1.2.3: no side may offer less
SESSION_MS = 60_000  # a killed line must not hold one of a server's few sessions long
_NO_WATCHDOG_S = (
    86_400.0  # asyncua's gives a busy server a second; ``UaLink`` asks itself
)
_T = TypeVar("_T")
_HEADER = struct.Struct("<3scI")


_unpack_array = ua_binary.unpack_uatype_array


def _array_that_is_there(kind: ua.VariantType, data: Buffer) -> list[Any] | None:
    """Read an array whose elements can all be there: each takes a byte at least.

    asyncua reads an announced two thousand million of nothing, one by one: a few bytes
    would hold the line for minutes and fill its memory.
    """
    if Primitives.Int32.unpack(data.copy(4)) > len(data):
        msg = "an array is announced that is longer than its message"
        raise UaError(msg)
    return _unpack_array(kind, data)


def _forwards(step: Callable[[Buffer, int], _T]) -> Callable[[Buffer, int], _T]:
    """Refuse a step of fewer than no bytes.

    asyncua takes a text of, say, minus five bytes as a step back, and then reads the
    same bytes again, without end.
    """

    def checked(data: Buffer, size: int) -> _T:
        if size < 0:
            msg = f"a length of {size} bytes is announced"
            raise UaError(msg)
        return step(data, size)

    return checked


ua_binary.unpack_uatype_array = cast("Any", _array_that_is_there)
for _step in ("read", "skip"):
    setattr(Buffer, _step, _forwards(getattr(Buffer, _step)))


@dataclass
class PlantLimits(TransportLimits):
    """Bounds of one connection: ours for what comes in, the server's for what goes out."""

    max_recv_buffer: int = CHUNK_BYTES
    max_send_buffer: int = CHUNK_BYTES
    max_chunk_count: int = MESSAGE_BYTES // LEAST_CHUNK_BYTES
    max_message_size: int = MESSAGE_BYTES

    def update_client_limits(self, msg: ua.Acknowledge) -> None:
        """Take the server's bound for one chunk that is sent to it."""
        wanted = max(LEAST_CHUNK_BYTES, int(msg.ReceiveBufferSize))
        self.max_send_buffer = min(CHUNK_BYTES, wanted)


class PlantProtocol(UASocketProtocol):
    """One socket; a chunk larger than was agreed ends it before it is collected."""

    async def send_hello(
        self, url: str, max_messagesize: int = 0, max_chunkcount: int = 0
    ) -> ua.Acknowledge:
        """Say what is taken here; asyncua would say that anything is."""
        del max_messagesize, max_chunkcount
        hello = ua.Hello(EndpointUrl=ua.String(url))
        hello.ReceiveBufferSize = hello.SendBufferSize = ua.UInt32(CHUNK_BYTES)
        hello.MaxMessageSize = ua.UInt32(MESSAGE_BYTES)
        hello.MaxChunkCount = ua.UInt32(MESSAGE_BYTES // LEAST_CHUNK_BYTES)
        answer: asyncio.Future[ua.Acknowledge] = asyncio.Future()
        self._callbackmap[0] = answer
        if self.transport is not None:
            kind = cast("Any", ua.MessageType.Hello)  # its stub says otherwise
            self.transport.write(uatcp_to_binary(kind, hello))
        async with asyncio.timeout(self.timeout):
            return await answer

    def data_received(self, data: bytes) -> None:
        """Take bytes from the server. Untrusted."""
        held = self.receive_buffer or b""
        start = (held + data[: _HEADER.size]) if len(held) < _HEADER.size else held
        if len(start) >= _HEADER.size:
            _, _, size = _HEADER.unpack_from(start)
            if not _HEADER.size <= size <= CHUNK_BYTES:
                self.logger.error("a chunk of %d bytes was announced", size)
                self.disconnect_socket()
                return
        super().data_received(data)


class PlantWire(UaClient):
    """The low-level client over such a socket."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(timeout_s)
        self.session = PlantSession(self)

    def _make_protocol(self) -> UASocketProtocol:
        made = PlantProtocol(
            self._timeout, security_policy=self.security_policy, limits=PlantLimits()
        )
        made.pre_request_hook = self._pre_request_hook
        made.on_connection_lost = self._on_transport_lost
        made.is_session_closing = self._is_session_closing
        self.protocol = made
        return made


class PlantClient(Client):
    """asyncua's client over the bounded wire.

    Args:
        endpoint: ``opc.tcp://host:port/path``.
        timeout_s: Limit for each call.
        channel_s: Lifetime asked for of the secure channel; renewed at three quarters.
    """

    def __init__(self, endpoint: str, timeout_s: float, channel_s: float) -> None:
        super().__init__(endpoint, timeout=timeout_s, watchdog_intervall=_NO_WATCHDOG_S)
        self.uaclient = PlantWire(timeout_s)
        self.uaclient.pre_request_hook = self._wait_until_ready
        self.nodes = Shortcuts(self.uaclient.session)
        self.name = self.description = "Tundish line"
        self.product_uri = "urn:tundish:line"
        self.application_uri = "urn:tundish:line"
        self.secure_channel_timeout = round(1000 * channel_s)
        self.session_timeout = SESSION_MS
