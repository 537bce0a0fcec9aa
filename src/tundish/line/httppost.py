"""Post messages over one HTTP/1.1 connection, with an end to every wait.

Only what posting needs: no redirect is followed, no proxy asked, no cookie kept. The
server is foreign: its head and body are bounded, and all it can say is a number.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar
from urllib.parse import urlsplit

from tundish.kernel.addresses import is_near
from tundish.line.errors import LineFileInvalidError
from tundish.line.tls import cause

MOST_HEAD_BYTES = 16_384
_MOST_BODY_BYTES = 65_536
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?", re.ASCII)
_LENGTH = re.compile(rb"content-length[ \t]*:[ \t]*(\d{1,9})[ \t]*", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}

T = TypeVar("T")
Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class HttpLostError(ConnectionError):
    """No connection, or no answer that can be understood."""


class HttpEndedError(HttpLostError):
    """The connection ended before there was an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where messages go.

    Attributes:
        target: Path and query.
    """

    tls: bool
    host: str
    port: int
    target: str

    @property
    def near(self) -> bool:
        """Whether it is this machine, as it is written."""
        return is_near(self.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What an answer begins with.

    Attributes:
        rest: Bytes that follow, if the connection can be used again after them.
    """

    status: int
    rest: int | None


def read_address(endpoint: str, owner: str) -> Place:
    """Read an address such as ``https://desk.plant.example/answers``.

    Raises:
        LineFileInvalidError: if it is none, or holds a name or password.
    """
    try:
        found = urlsplit(endpoint)
        port = found.port
    except ValueError:
        found, port = urlsplit(""), None
    host = found.hostname or ""
    target = (found.path or "/") + (f"?{found.query}" if found.query else "")
    plain = endpoint.isascii() and endpoint.isprintable() and " " not in endpoint
    if found.scheme not in _PORTS or not host or not host.isascii() or not plain:
        msg = (
            f"{owner} has the endpoint {endpoint[:200]!r}; expected https://HOST/PATH."
        )
        raise LineFileInvalidError(msg)
    if found.username or found.password:
        msg = f"{owner} has a name or password in its endpoint; say it under security."
        raise LineFileInvalidError(msg)
    return Place(
        tls=found.scheme == "https",
        host=host,
        port=port or _PORTS[found.scheme],
        target=target,
    )


def read_head(data: bytes) -> Head:
    """Read the head of an answer.

    Args:
        data: Up to and with the empty line. Untrusted.

    Raises:
        HttpLostError: if it is none.
    """
    first, *lines = data.split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        msg = "no answer of HTTP/1.1"
        raise HttpLostError(msg)
    lengths = [m[1] for line in lines if (m := _LENGTH.fullmatch(line))]
    odd = any(
        line.lower().startswith((b"transfer-encoding", b"connection: close"))
        for line in lines
    )
    rest = int(lengths[0]) if len(lengths) == 1 and not odd else None
    if rest is not None and rest > _MOST_BODY_BYTES:
        rest = None
    number = int(status[1])
    return Head(status=number, rest=0 if number == 204 and not odd else rest)


def check_address(text: str) -> None:
    """Refuse an address that no plant's service has.

    Raises:
        HttpLostError: if it is link-local, multicast, reserved or unspecified.
    """
    found = ipaddress.ip_address(text.partition("%")[0])
    found = getattr(found, "ipv4_mapped", None) or found
    if (
        found.is_link_local
        or found.is_multicast
        or found.is_unspecified
        or (found.is_reserved and not found.is_loopback)
    ):
        msg = f"the address {found}, which nothing is sent to"
        raise HttpLostError(msg)


class HttpLink:
    """One connection over which something is asked, again and again.

    Args:
        place: Where to.
        context: Of TLS; needed if the place wants it.
        timeout_s: Limit for connecting and for each exchange.
    """

    def __init__(
        self, place: Place, context: ssl.SSLContext | None, timeout_s: float
    ) -> None:
        self.place = place
        self._context = context if place.tls else None
        self._timeout_s = timeout_s
        self._streams: Streams | None = None

    async def open(self) -> None:
        """Connect.

        Raises:
            HttpLostError: if nobody answers in time, or at no proper address.
        """
        self.drop()
        place = self.place
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await asyncio.get_running_loop().getaddrinfo(
                    place.host, place.port, type=1
                )
                address = str(found[0][4][0])
                check_address(
                    address
                )  # and connect to that very one: no second look-up
                self._streams = await asyncio.open_connection(
                    address,
                    place.port,
                    limit=MOST_HEAD_BYTES,
                    ssl=self._context,
                    server_hostname=place.host if self._context else None,
                )
        except HttpLostError as error:
            msg = f"{place.host} leads to {error}"
            raise HttpLostError(msg) from error
        except TimeoutError as error:
            msg = f"{place.host}:{place.port} took no connection within {self._timeout_s:g} s"
            raise HttpLostError(msg) from error
        except OSError as error:
            msg = f"{place.host}:{place.port} took no connection ({cause(error)})"
            raise HttpLostError(msg) from error

    def drop(self) -> None:
        """Let the connection go; waits for nothing."""
        streams, self._streams = self._streams, None
        if streams is not None:
            with contextlib.suppress(Exception):
                streams[1].transport.abort()

    async def _asked(self, talk: Callable[[Streams], Awaitable[T]]) -> T:
        """Exchange one question and its answer, over a new connection if need be."""
        used = self._streams is not None
        try:
            return await self._once(talk)
        except HttpEndedError:
            if not used:
                raise
        return await self._once(talk)  # an idle connection ends some time

    async def _once(self, talk: Callable[[Streams], Awaitable[T]]) -> T:
        if self._streams is None:
            await self.open()
        streams = self._streams
        if streams is None:
            raise AssertionError
        host, told = self.place.host, False
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await talk(streams)
            told = True
        except TimeoutError as error:
            msg = f"{host} did not answer within {self._timeout_s:g} s"
            raise HttpLostError(msg) from error
        except HttpLostError as error:
            msg = f"{host} gave {error}"
            raise HttpLostError(msg) from error
        except (OSError, EOFError, asyncio.LimitOverrunError) as error:
            msg = f"{host} ended the connection without an answer"
            raise HttpEndedError(msg) from error
        finally:
            if not told:  # also if the asker gave up: an answer would be the next one's
                self.drop()
        return found

    def _start(self, method: str, headers: Mapping[str, str]) -> bytes:
        said = {"Host": self._host(), "User-Agent": "tundish", **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in said.items())
        start = f"{method} {self.place.target} HTTP/1.1\r\n"
        return f"{start}{head}\r\n".encode("latin-1")

    def _host(self) -> str:
        place = self.place
        host = f"[{place.host}]" if ":" in place.host else place.host
        usual = _PORTS["https" if place.tls else "http"]
        return host if place.port == usual else f"{host}:{place.port}"


class HttpPost(HttpLink):
    """A connection that posts; see ``HttpLink``."""

    async def post(self, headers: Mapping[str, str], body: bytes) -> int:
        """Post once and return the status of the answer.

        Raises:
            HttpLostError: if there is no answer; the message may have been taken.
        """
        kind = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        sent = self._start("POST", {**kind, **headers}) + body

        async def talk(streams: Streams) -> int:
            reader, writer = streams
            writer.write(sent)
            await writer.drain()
            found = read_head(await reader.readuntil(b"\r\n\r\n"))
            if found.rest is None:
                self.drop()
            else:
                await reader.readexactly(found.rest)
            return found.status

        return await self._asked(talk)
