"""Laws of a broker that is slow, wrong or hostile: nothing it sends crashes or stalls."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.line.mqttline import MqttLine, payload, source_spec

from tundish.line import mqttfeed, mqttpackets, plugins
from tundish.line.errors import (
    LinkRefusedError,
    NodeMissingError,
    SourceUnreachableError,
)
from tundish.line.samples import Arrival

Kit = Any  # the classes live in conftest, which cannot be imported
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

pytestmark = pytest.mark.integration
YES = {"3.1.1": b"\x20\x02\x00\x00", "5": b"\x20\x03\x00\x00\x00"}
TOPIC = "plant/level"


async def _packet(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(2)
    return head + await reader.readexactly(head[1])


async def _greeted(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, code: int = 1
) -> None:
    """Take a client in, as MQTT 5 has it, and answer its SUBSCRIBE."""
    await _packet(reader)
    writer.write(YES["5"])
    asked = await _packet(reader)
    writer.write(b"\x90\x04" + asked[2:4] + b"\x00" + bytes((code,)))
    await writer.drain()


class Fake:
    """A broker that does what a test says, on each connection anew."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self.connections = 0

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return f"mqtt://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *error: object) -> None:
        self._server.close()

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        try:
            await self._talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()


def _refusal(kit: Kit, talk: Talk, version: str = "5") -> Exception:
    async def job() -> None:
        async with Fake(talk) as endpoint:
            spec = source_spec(endpoint, {"level": TOPIC}, version=version)
            source = plugins.open_source(spec, kit.scenario())
            try:
                await source.connect()
            finally:
                await source.close()

    with pytest.raises(
        (SourceUnreachableError, LinkRefusedError, NodeMissingError)
    ) as caught:
        asyncio.run(job())
    return caught.value


@pytest.mark.parametrize(
    ("version", "answer", "kind", "said"),
    [
        ("3.1.1", b"\x20\x02\x00\x01", LinkRefusedError, "does not speak this version"),
        ("3.1.1", b"\x20\x02\x00\x02", LinkRefusedError, "client id"),
        ("3.1.1", b"\x20\x02\x00\x03", SourceUnreachableError, "unavailable"),
        ("3.1.1", b"\x20\x02\x00\x04", LinkRefusedError, "password is wrong"),
        ("3.1.1", b"\x20\x02\x00\x05", LinkRefusedError, "not authorised"),
        ("5", b"\x20\x02\x00\x01", LinkRefusedError, "'3.1.1'"),
        ("5", b"\x20\x03\x00\x86\x00", LinkRefusedError, "password is wrong"),
        ("5", b"\x20\x03\x00\x89\x00", SourceUnreachableError, "busy"),
        ("5", b"\x20\x0a\x00\x87\x07\x1f\x00\x04\x1b[2J", LinkRefusedError, "not authorised"),
        ("5", b"HTTP/1.1 400 Bad Request\r\n", SourceUnreachableError, "does not speak MQTT"),
        ("5", b"\x30\xff\xff\xff\x7f", SourceUnreachableError, "at most"),
        ("5", b"", SourceUnreachableError, "closed the connection"),
    ],
)  # fmt: skip
def test_each_refusal_is_one_clear_sentence(
    kit: Kit, version: str, answer: bytes, kind: type[Exception], said: str
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _packet(reader)
        writer.write(answer)
        await writer.drain()

    error = _refusal(kit, talk, version)
    assert isinstance(error, kind)
    assert said in str(error)
    assert str(error).isprintable()


def test_a_topic_that_may_not_be_read_is_named(kit: Kit) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _greeted(reader, writer, 0x87)
        await asyncio.sleep(1)

    error = _refusal(kit, talk)
    assert isinstance(error, NodeMissingError)
    assert "plant/level for the signal level may not be read" in str(error)
    assert "not authorised" in str(error)


def test_where_nobody_listens_is_said(kit: Kit) -> None:
    spec = source_spec("mqtt://127.0.0.1:1", {"level": TOPIC})

    async def job() -> None:
        await plugins.open_source(spec, kit.scenario()).connect()

    with pytest.raises(SourceUnreachableError, match="connection refused"):
        asyncio.run(job())


def test_a_server_that_says_nothing_is_given_up(kit: Kit) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    error = _refusal(kit, talk)
    assert "does not answer in time" in str(error)


def test_bad_bytes_in_mid_run_cost_the_connection_and_nothing_else(
    kit: Kit, tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    turn = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal turn
        await _greeted(reader, writer)
        turn += 1
        row = payload(kit, turn).encode()
        writer.write(mqttpackets.publish(5, TOPIC, row, turn))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"\xf0" + rng.bytes(int(rng.integers(1, 200))))
        await writer.drain()
        await asyncio.sleep(0.1)

    async def job() -> MqttLine:
        async with Fake(talk) as endpoint:
            spec = source_spec(endpoint, {"level": TOPIC}, retry_max_s=0.05)
            line = MqttLine(kit, tmp_path, spec)
            stop = asyncio.Event()
            running = asyncio.create_task(line.engine.run(stop))
            await line.until(lambda: len(line.rows()) >= 8)
            stop.set()
            await running
            return line

    line = asyncio.run(job())
    rows = line.rows()
    line.buffer.close()
    assert rows == list(range(1, len(rows) + 1))
    assert any("which no broker sends" in text for text in line.texts("link-lost"))


def test_a_flood_is_held_back_at_the_broker_and_nothing_of_it_is_lost(kit: Kit) -> None:
    count, body = 40_000, b" " * 2000
    sent = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await _greeted(reader, writer)
        for row in range(count):
            message = payload(kit, row).encode() + body
            writer.write(mqttpackets.publish(5, TOPIC, message))
            await writer.drain()
            sent = row + 1
        await asyncio.sleep(20)

    async def job() -> int:
        taken = 0
        async with Fake(talk) as endpoint:
            spec = source_spec(endpoint, {"level": TOPIC}, timeout_s=5.0)
            source = plugins.open_source(spec, kit.scenario())
            await source.connect()
            arrivals = aiter(source.samples())
            await anext(arrivals)
            await asyncio.sleep(1.0)  # the line is busy: nobody asks
            assert sent * len(body) < 3 * mqttfeed.MOST_HELD
            while taken < count:
                arrival: Arrival = await anext(arrivals)
                taken += len(arrival.samples)
            await source.close()
        return taken

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert asyncio.run(job()) == count
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kb < 60_000


def test_a_broker_that_reads_nothing_is_let_go(kit: Kit) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _greeted(reader, writer)
        await asyncio.sleep(10)

    async def job() -> str:
        async with Fake(talk) as endpoint:
            spec = source_spec(endpoint, {"level": TOPIC}, probe_s=0.1, timeout_s=0.3)
            source = plugins.open_source(spec, kit.scenario())
            await source.connect()
            arrivals = aiter(source.samples())
            await anext(arrivals)
            async with asyncio.timeout(3):
                lost = (await anext(arrivals)).link
            await source.close()
            assert lost is not None
            return lost.reason

    assert "does not answer a ping within 0.3 s" in asyncio.run(job())
