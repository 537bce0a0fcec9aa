"""One Modbus TCP connection with an end to every wait.

One request at a time, since many devices cannot do more. An answer belongs to its
request by its number: one that comes late, to a request that was given up, is thrown
away; one with a number that nobody asked for ends the link.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl

from tundish.line.modbuswire import (
    HEADER_BYTES,
    Header,
    ModbusMalformedError,
    Question,
    read_answer,
    read_header,
    to_request,
)
from tundish.line.tls import cause

_NUMBERS = 65_536
_UNREAD_BYTES = 4096  # a server that sends unasked stalls itself
_MOST_GIVEN_UP = 64


class ModbusLostError(ConnectionError):
    """The link is gone; its owner connects again."""


class ModbusSilentError(Exception):
    """A device did not answer in time; others on this link may."""


class ModbusLink:
    """A connection to one server; made anew after each loss.

    Args:
        host, port: Where it listens.
        timeout_s: Limit for connecting and for each request, seconds of the wall
            clock.
        context: Of TLS, if the server speaks it.
    """

    def __init__(
        self, host: str, port: int, timeout_s: float, context: ssl.SSLContext | None
    ) -> None:
        self.place = f"{host}:{port}"
        self.timeout_s = timeout_s
        self._host, self._port = host, port
        self._context = context
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._number = 0
        self._given_up: set[int] = set()
        self._begun: Header | None = None  # of an answer whose rest is still to come

    async def open(self) -> None:
        """Connect.

        Raises:
            ModbusLostError: if nobody answers in time; names the cause.
        """
        self.drop()
        try:
            async with asyncio.timeout(self.timeout_s):
                self._streams = await asyncio.open_connection(
                    self._host, self._port, limit=_UNREAD_BYTES, ssl=self._context
                )
        except TimeoutError as error:
            msg = f"{self.place} took no connection within {self.timeout_s:g} s"
            raise ModbusLostError(msg) from error
        except OSError as error:
            msg = f"{self.place} took no connection ({cause(error)})"
            raise ModbusLostError(msg) from error
        self._given_up.clear()
        self._begun = None

    async def ask(self, question: Question) -> bytes:
        """Ask once and return the bytes of the values.

        Raises:
            ModbusRefusedError: if the server refused the question.
            ModbusSilentError: if no answer came in time.
            ModbusLostError: if the link is gone or cannot be trusted any more.
        """
        if self._streams is None:
            msg = f"there is no connection to {self.place}"
            raise ModbusLostError(msg)
        self._number = number = (self._number + 1) % _NUMBERS
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._exchange(*self._streams, number, question)
        except TimeoutError as error:
            self._give_up(number)
            msg = f"the unit {question.unit} did not answer within {self.timeout_s:g} s"
            raise ModbusSilentError(msg) from error
        except ModbusMalformedError as error:
            self.drop()
            msg = f"{self.place} sent {error}"
            raise ModbusLostError(msg) from error
        except (OSError, EOFError) as error:
            self.drop()
            msg = f"{self.place} ended the connection"
            raise ModbusLostError(msg) from error

    def drop(self) -> None:
        """Let the connection go, whatever state it is in; waits for nothing."""
        streams, self._streams = self._streams, None
        if streams is not None:
            with contextlib.suppress(Exception):
                streams[1].transport.abort()

    def _give_up(self, number: int) -> None:
        self._given_up.add(number)
        if len(self._given_up) > _MOST_GIVEN_UP:
            self.drop()

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        number: int,
        question: Question,
    ) -> bytes:
        writer.write(to_request(number, question))
        await writer.drain()
        while True:
            if self._begun is None:
                self._begun = read_header(await reader.readexactly(HEADER_BYTES))
            header = self._begun
            body = await reader.readexactly(header.rest)
            self._begun = None
            if header.number == number:
                return read_answer(question, header, body)
            if header.number not in self._given_up:
                msg = f"an answer numbered {header.number}, expected {number}"
                raise ModbusMalformedError(msg)
            self._given_up.discard(header.number)
