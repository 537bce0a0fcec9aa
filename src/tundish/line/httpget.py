"""Ask a web address for its answer over one HTTP/1.1 connection, with an end to every wait.

No redirect is followed, no proxy asked, no cookie kept, nothing unpacked. The server is
foreign: head, body and pieces of a body are bounded, in size and in number.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from tundish.line.httppost import HttpLink, HttpLostError, Streams
from tundish.line.samples import to_us

MOST_LINES: Final = 100
MOST_CHUNKS: Final = 16_384
_MOST_INTERIM = 4
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5]\d\d)(?: [^\r\n]*)?", re.ASCII)
_HEADER = re.compile(rb"([!#-'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")
_LENGTH = re.compile(rb"\d{1,12}", re.ASCII)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
_ETAG = re.compile(rb'(?:W/)?"[!#-~]{0,200}"')
_WAIT = re.compile(rb"\d{1,6}", re.ASCII)
_ONCE: Final = frozenset({b"content-length", b"transfer-encoding", b"etag"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerHead:
    """What an answer begins with.

    Attributes:
        status: As the server says it.
        length: Bytes that follow; None if they come in pieces or to the end.
        chunked: They come in pieces.
        last: The connection cannot be used again after them.
        etag: The server's mark of this state of the answer; empty if it has none.
        wait_s: How long it asks to be left alone.
        date_us: Its clock, microseconds since 1970; None if it does not say.
    """

    status: int
    length: int | None
    chunked: bool
    last: bool
    etag: str = ""
    wait_s: float | None = None
    date_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer; its body is untrusted."""

    head: AnswerHead
    body: bytes


def read_answer_head(data: bytes) -> AnswerHead:
    """Read the head of an answer.

    Args:
        data: Up to and with the empty line. Untrusted.

    Raises:
        HttpLostError: if it is none, or one that can be read in two ways.
    """
    first, *lines = data.removesuffix(b"\r\n\r\n").split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        msg = "no answer of HTTP/1.1"
        raise HttpLostError(msg)
    found = _headers(lines)
    number = int(status[2])
    bare = number in {204, 304} or number < 200
    length = None if bare else _length(found)
    chunked = not bare and b"transfer-encoding" in found
    packed = found.get(b"content-encoding", b"identity").lower()
    if not bare and packed != b"identity":
        msg = "a packed answer, which was not asked for"
        raise HttpLostError(msg)
    says_close = b"close" in found.get(b"connection", b"").lower()
    endless = not bare and length is None and not chunked
    etag = found.get(b"etag", b"")
    wait = found.get(b"retry-after", b"")
    return AnswerHead(
        status=number,
        length=0 if bare else length,
        chunked=chunked,
        last=says_close or endless or status[1] == b"0",
        etag=etag.decode() if _ETAG.fullmatch(etag) else "",
        wait_s=float(wait) if _WAIT.fullmatch(wait) else None,
        date_us=None if b"age" in found else _date(found.get(b"date", b"")),
    )


async def read_body(reader: asyncio.StreamReader, head: AnswerHead, most: int) -> bytes:
    """Read what follows a head.

    Raises:
        HttpLostError: if it is larger than ``most``, or cut into pieces that are none.
        EOFError, OSError, asyncio.LimitOverrunError: if it breaks off.
    """
    if head.chunked:
        return await _chunks(reader, most)
    if head.length is not None:
        if head.length > most:
            raise HttpLostError(_too_large(most))
        return await reader.readexactly(head.length)
    found = bytearray()
    while piece := await reader.read(65_536):
        found += piece
        if len(found) > most:
            raise HttpLostError(_too_large(most))
    return bytes(found)


class HttpGet(HttpLink):
    """A connection that asks; see ``HttpLink``."""

    async def get(self, headers: Mapping[str, str], most: int) -> Answer:
        """Ask once.

        Args:
            headers: What is said beside the usual.
            most: Largest body in bytes.

        Raises:
            HttpLostError: if there is no answer, or none that can be read.
        """
        usual = {"Accept-Encoding": "identity"}
        sent = self._start("GET", {**usual, **headers})

        async def talk(streams: Streams) -> Answer:
            reader, writer = streams
            writer.write(sent)
            await writer.drain()
            head = await _final_head(reader)
            body = await read_body(reader, head, most)
            if head.last:
                self.drop()
            return Answer(head=head, body=body)

        return await self._asked(talk)


async def _final_head(reader: asyncio.StreamReader) -> AnswerHead:
    for _ in range(_MOST_INTERIM):
        head = read_answer_head(await reader.readuntil(b"\r\n\r\n"))
        if head.status >= 200:
            return head
    msg = "one interim answer after the other"
    raise HttpLostError(msg)


async def _chunks(reader: asyncio.StreamReader, most: int) -> bytes:
    found = bytearray()
    for _ in range(MOST_CHUNKS):
        size = _CHUNK.fullmatch(await reader.readuntil(b"\r\n"))
        if size is None:
            break
        length = int(size[1], 16)
        if not length:
            await _trailer(reader)
            return bytes(found)
        if len(found) + length > most:
            raise HttpLostError(_too_large(most))
        piece = await reader.readexactly(length + 2)
        if piece[-2:] != b"\r\n":
            break
        found += piece[:-2]
    msg = "an answer in pieces that are none, or too many"
    raise HttpLostError(msg)


async def _trailer(reader: asyncio.StreamReader) -> None:
    for _ in range(MOST_LINES):
        if await reader.readuntil(b"\r\n") == b"\r\n":
            return
    msg = "an answer that does not end"
    raise HttpLostError(msg)


def _headers(lines: list[bytes]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    if len(lines) > MOST_LINES:
        msg = f"more than {MOST_LINES} headers"
        raise HttpLostError(msg)
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is None:
            msg = "a header that cannot be read"
            raise HttpLostError(msg)
        name = header[1].lower()
        if name in _ONCE and found.get(name, header[2]) != header[2]:
            msg = f"two values of {name.decode()}"
            raise HttpLostError(msg)
        found[name] = header[2]
    return found


def _length(found: Mapping[bytes, bytes]) -> int | None:
    length, coding = found.get(b"content-length"), found.get(b"transfer-encoding")
    if coding is not None and (length is not None or coding.lower() != b"chunked"):
        msg = "a body whose end can be read in two ways"
        raise HttpLostError(msg)
    if length is None:
        return None
    if not _LENGTH.fullmatch(length):
        msg = "a length that is no number"
        raise HttpLostError(msg)
    return int(length)


def _date(text: bytes) -> int | None:
    if not 0 < len(text) <= 40:
        return None
    try:
        return to_us(parsedate_to_datetime(text.decode("ascii")))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _too_large(most: int) -> str:
    return f"more than {most:,} bytes"
