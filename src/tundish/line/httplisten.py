"""A small HTTP/1.1 server for the few doors that a line opens where its file says so.

Whoever connects is foreign. Who asks is known by a token before a body is read; heads,
bodies, times and connections are bounded (``serving.limits``), and a request that can be
read in two ways is refused. It needs nothing but the standard library.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from tundish.kernel import canonical
from tundish.kernel.addresses import Address
from tundish.kernel.canonical import Json
from tundish.kernel.errors import TundishError
from tundish.line.serving.access import Access
from tundish.line.serving.errors import TooManyRequestsError
from tundish.line.serving.limits import Limits
from tundish.line.serving.listening import bind

_START = re.compile(rb"([A-Z]{1,16}) (/[!-~]{0,2000}) HTTP/1\.([01])")
_HEADER = re.compile(rb"([!#-'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*")
_LENGTH = re.compile(rb"\d{1,12}", re.ASCII)
_ONCE: Final = frozenset(
    {b"content-length", b"authorization", b"host", b"content-type", b"expect"}
)
_SAID: Final = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found",
    405: "Method Not Allowed", 408: "Request Timeout", 409: "Conflict",
    411: "Length Required", 413: "Content Too Large", 415: "Unsupported Media Type",
    422: "Unprocessable Content", 429: "Too Many Requests",
    431: "Request Header Fields Too Large", 500: "Internal Server Error",
    503: "Service Unavailable",
}  # fmt: skip
_HANDSHAKE_S = 10.0
_WAIT_S = 5
_LAST_WORD_S = 0.5
_LINGER_S = 1.0
_DISCARDED = 4 * 1024**2
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class AskedWrongError(Exception):
    """A request is refused.

    Args:
        status: Of the answer.
        said: Why, in one sentence.
    """

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHead:
    """What a request begins with; untrusted.

    Attributes:
        length: Bytes of its body; None if it says none.
        last: The client wants no other answer over this connection.
        headers: By name in small letters; the last of those that may come twice.
    """

    method: str
    path: str
    query: str
    length: int | None
    last: bool
    headers: Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request of a known client.

    Attributes:
        client: Name of the client whose token it carries.
        body: Untrusted, no longer than the limit.
    """

    head: RequestHead
    client: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is answered.

    Attributes:
        wait_s: When to ask again, if it is worth it.
    """

    status: int
    body: dict[str, Json] = field(default_factory=dict)
    wait_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where a listener listens, and who may come.

    Attributes:
        tls: How it encrypts; None: not at all.
        methods: For each path the methods that it knows.
    """

    address: Address
    port: int
    tls: ssl.SSLContext | None
    access: Access
    limits: Limits
    methods: Mapping[str, tuple[str, ...]]


Handler = Callable[[Asked], Awaitable[Reply]]


def refusal(status: int, said: str, wait_s: int | None = None) -> Reply:
    """Return a refusal with its reason."""
    return Reply(status=status, body={"error": said}, wait_s=wait_s)


def read_request(data: bytes, limits: Limits) -> RequestHead:
    """Read the head of a request.

    Args:
        data: Up to and with the empty line. Untrusted.
        limits: How many headers.

    Raises:
        AskedWrongError: if it is none, or one that can be read in two ways.
    """
    first, *lines = data.removesuffix(b"\r\n\r\n").split(b"\r\n")
    start = _START.fullmatch(first)
    if start is None:
        raise AskedWrongError(400, "What was sent is no HTTP request.")
    if len(lines) > limits.headers:
        raise AskedWrongError(431, f"It has more than {limits.headers} headers.")
    headers: dict[bytes, bytes] = {}
    for line in lines:
        found = _HEADER.fullmatch(line)
        if found is None:
            raise AskedWrongError(400, "A header cannot be read.")
        name = found[1].lower()
        if name in _ONCE and name in headers:
            raise AskedWrongError(400, f"The header {name.decode()} comes twice.")
        headers[name] = found[2]
    length = headers.get(b"content-length")
    if b"transfer-encoding" in headers:
        raise AskedWrongError(411, "Say Content-Length; a body in pieces is not read.")
    if length is not None and not _LENGTH.fullmatch(length):
        raise AskedWrongError(400, "Content-Length is no number.")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise AskedWrongError(415, "A packed body is not read; send it as it is.")
    path, _, query = start[2].decode().partition("?")
    closing = b"close" in headers.get(b"connection", b"").lower()
    return RequestHead(
        method=start[1].decode(),
        path=path,
        query=query,
        length=None if length is None else int(length),
        last=closing or start[3] == b"0",
        headers=headers,
    )


class HttpListener:
    """Listens at one door; see the module.

    Args:
        door: Where, and who may come.
        handler: Answers a request of a known client.
    """

    def __init__(self, door: Door, handler: Handler) -> None:
        self._door, self._handler = door, handler
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port that it listens on; 0 if it does not."""
        if self._server is None or not self._server.sockets:
            return 0
        return int(self._server.sockets[0].getsockname()[1])

    async def open(self) -> None:
        """Begin to listen.

        Raises:
            AddressTakenError: if the system does not give the address.
        """
        door = self._door
        held = bind(door.address, door.port)
        self._server = await asyncio.start_server(
            self._come,
            sock=held,
            limit=door.limits.head,
            ssl=door.tls,
            ssl_handshake_timeout=_HANDSHAKE_S if door.tls else None,
        )

    async def close(self) -> None:
        """Listen no more, and end what is open; safe to call twice."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        if self._busy:  # what is in hand gets its answer
            await asyncio.wait(set(self._busy), timeout=_LAST_WORD_S)
        talks = list(self._talks)
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)

    async def _come(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        talk = asyncio.current_task()
        if talk is None:
            raise AssertionError
        self._talks.add(talk)
        try:
            if len(self._talks) > self._door.limits.connections:
                said = (
                    f"There are {self._door.limits.connections} connections, the most."
                )
                await self._send(writer, refusal(503, said, 1), last=True)
                return
            patience_s = self._door.limits.head_s
            while await self._talk(reader, writer, patience_s):
                patience_s = self._door.limits.idle_s  # a client that is known
        except (OSError, EOFError, TimeoutError, asyncio.CancelledError):
            pass  # a peer that is gone or does not take its answer; or the end
        finally:
            self._talks.discard(talk)
            with contextlib.suppress(Exception):
                writer.close()

    async def _talk(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        patience_s: float,
    ) -> bool:
        """Answer one request; return whether there may be another."""
        try:
            head = await self._head(reader, patience_s)
            asked = await self._asked(head, reader, writer)
            reply = await self._answered(asked)
        except AskedWrongError as error:
            wait_s = _WAIT_S if error.status == 429 else None
            await self._send(
                writer, refusal(error.status, str(error), wait_s), last=True
            )
            await _let_read(reader, writer)
            return False
        finally:
            self._busy.discard(cast("asyncio.Task[None]", asyncio.current_task()))
        last = head.last or self._server is None
        await self._send(writer, reply, last=last)
        return not last

    async def _head(
        self, reader: asyncio.StreamReader, patience_s: float
    ) -> RequestHead:
        limits = self._door.limits
        async with asyncio.timeout(patience_s):  # silence is no request: no answer
            begun = await reader.readexactly(1)
        try:
            async with asyncio.timeout(limits.head_s):
                data = begun + await reader.readuntil(b"\r\n\r\n")
        except TimeoutError as error:
            said = f"The request's head took more than {limits.head_s:g} s."
            raise AskedWrongError(408, said) from error
        except asyncio.LimitOverrunError as error:
            said = f"The request's head is larger than {limits.head} bytes."
            raise AskedWrongError(431, said) from error
        return read_request(data, limits)

    async def _asked(
        self,
        head: RequestHead,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> Asked:
        peer = writer.get_extra_info("peername")
        shown = head.headers.get(b"authorization", b"")
        try:
            client = self._door.access.client(shown, str(peer[0]) if peer else "")
        except TundishError as error:
            status = 429 if isinstance(error, TooManyRequestsError) else 401
            raise AskedWrongError(status, error.message) from error
        methods = self._door.methods.get(head.path)
        if methods is None:
            raise AskedWrongError(404, "Nothing is under this address.")
        if head.method not in methods:
            said = f"This address takes {' and '.join(methods)}."
            raise AskedWrongError(405, said)
        body = await self._body(head, reader, writer)
        return Asked(head=head, client=client, body=body)

    async def _body(
        self,
        head: RequestHead,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bytes:
        limits = self._door.limits
        if head.length is None:
            if head.method == "POST":
                raise AskedWrongError(411, "A POST says its Content-Length.")
            return b""
        if head.length > limits.body:
            said = f"The body has {head.length:,} bytes; at most {limits.body:,} are taken."
            raise AskedWrongError(413, said)
        if head.headers.get(b"expect", b"").lower() == b"100-continue":
            writer.write(_CONTINUE)
        try:
            async with asyncio.timeout(limits.body_s):
                return await reader.readexactly(head.length)
        except TimeoutError as error:
            said = f"The request's body took more than {limits.body_s:g} s."
            raise AskedWrongError(408, said) from error

    async def _answered(self, asked: Asked) -> Reply:
        self._busy.add(cast("asyncio.Task[None]", asyncio.current_task()))
        try:
            return await self._handler(asked)
        except TundishError as error:
            return refusal(503, error.message, 1)

    async def _send(
        self,
        writer: asyncio.StreamWriter,
        reply: Reply,
        *,
        last: bool,
    ) -> None:
        body = canonical.dumps(reply.body)
        head = f"HTTP/1.1 {reply.status} {_SAID[reply.status]}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        head += "Cache-Control: no-store\r\n"
        if reply.status == 401:
            head += "WWW-Authenticate: Bearer\r\n"
        if reply.wait_s is not None:
            head += f"Retry-After: {reply.wait_s}\r\n"
        if last:
            head += "Connection: close\r\n"
        writer.write(f"{head}\r\n".encode() + body)
        async with asyncio.timeout(self._door.limits.answer_s):
            await writer.drain()


async def _let_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Give a client who is still sending the time to read why it is refused."""
    with contextlib.suppress(TimeoutError, OSError, EOFError):
        if writer.can_write_eof():
            writer.write_eof()
        async with asyncio.timeout(_LINGER_S):
            left = _DISCARDED
            while left > 0 and (piece := await reader.read(65_536)):
                left -= len(piece)
