"""What a foreign server sends is bounded before it is collected."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Any

import pytest
from asyncua import ua as _ua

from tundish.line.uaclient import LinkLostError, UaLink
from tundish.line.uawire import CHUNK_BYTES, MESSAGE_BYTES, PlantLimits, PlantProtocol

ua: Any = _ua  # its stubs want types that it does not want itself


class _Transport:
    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("size", [0, 7, CHUNK_BYTES + 1, 2**32 - 1])
def test_a_chunk_larger_than_was_agreed_ends_the_connection(size: int) -> None:
    protocol: Any = PlantProtocol(1.0, limits=PlantLimits())
    protocol.transport = transport = _Transport()
    header = b"MSGF" + struct.pack("<I", size)
    protocol.data_received(header[:5])
    protocol.data_received(header[5:])
    assert transport.closed
    assert len(protocol.receive_buffer or b"") < 9


def test_the_servers_bounds_hold_for_what_is_sent_to_it_and_ours_for_what_comes() -> (
    None
):
    limits = PlantLimits()
    limits.update_client_limits(
        ua.Acknowledge(ReceiveBufferSize=8192, SendBufferSize=8192, MaxMessageSize=1000)
    )
    assert limits.max_send_buffer == 8192
    assert limits.max_recv_buffer == CHUNK_BYTES
    assert limits.max_message_size == MESSAGE_BYTES
    limits.update_client_limits(ua.Acknowledge(ReceiveBufferSize=1))
    assert limits.max_send_buffer == 8192


def test_a_peer_that_is_no_opc_ua_server_is_left_in_time() -> None:
    """It takes the connection and answers with what comes into its mind."""

    async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 1000)
        with contextlib.suppress(OSError):
            await writer.drain()
            await reader.read()
        writer.close()

    async def job() -> str:
        server = await asyncio.start_server(odd, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        link = UaLink(f"opc.tcp://127.0.0.1:{port}", 0.5)
        try:
            with pytest.raises(LinkLostError) as found:
                await link.open()
        finally:
            await link.drop()
            server.close()
        return str(found.value)

    assert "does not answer" in asyncio.run(job())


def test_a_call_that_a_server_finds_too_large_is_asked_again_in_halves() -> None:
    asked: list[int] = []

    async def ask(items: list[int]) -> list[int]:
        asked.append(len(items))
        if len(items) > 3:
            raise ua.uaerrors.BadTooManyOperations
        return items

    async def job() -> list[int]:
        return await UaLink("opc.tcp://h:1", 1.0).in_batches(range(10), 8, ask)

    assert asyncio.run(job()) == list(range(10))
    assert asked == [8, 4, 2, 2, 2, 2, 2]


def test_answers_to_other_questions_end_the_link() -> None:
    async def ask(items: list[int]) -> list[int]:
        return items[1:]

    async def job() -> None:
        await UaLink("opc.tcp://h:1", 1.0).in_batches(range(3), 8, ask)

    with pytest.raises(LinkLostError, match="2 answers to 3 questions"):
        asyncio.run(job())
