"""Law: a hostile server neither crashes nor stalls the process of a line beside it.

The client of the hostile one runs on the loop of a line that has an honest source. It
takes every connection and does one evil after another, chosen at random:
noise, a slow drip, half an answer, a huge length, a stream without end, silence.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.line import mosquitto, stalls
from tests.line.mosquitto import Mosquitto, running
from tests.line.mqtt_plant import PERIOD_US, WRAP, MqttPlant
from tests.line.mqttline import PLACES, QUICK

from tundish.kernel.errors import TundishError
from tundish.line import plugins
from tundish.line.engine import LineEngine
from tundish.line.linefile import SourceSpec
from tundish.line.parts import EngineOptions, LineParts

Kit = Any
SECONDS = 6.0

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(mosquitto.MISSING, reason="mosquitto is not installed"),
]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with running(tmp_path / "broker") as one:
        yield one


HUGE = {
    "mqtt": b"\x30\xff\xff\xff\x7f",
    "modbus": b"\x00\x01\x00\x00\xff\xff\x01\x03\xff",
    "opcua": b"MSGF\xff\xff\xff\x7f",
    "http": b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n",
}
GREETING = {
    "mqtt": b"\x20\x03\x00\x00\x00",
    "modbus": b"",
    "opcua": b"",
    "http": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
}


class Hostile:
    """A server of no protocol."""

    def __init__(self, kind: str) -> None:
        self.kind, self.rng = kind, np.random.default_rng(5)
        self.connections = 0

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        evils = (self._noise, self._drip, self._half, self._huge, self._stream)
        try:
            with contextlib.suppress(OSError):
                async with asyncio.timeout(2):
                    await reader.read(4096)
                    if self.rng.random() < 0.5:
                        writer.write(GREETING[self.kind])
                    await evils[self.connections % len(evils)](writer)
        except TimeoutError:
            pass
        finally:
            writer.transport.abort()

    async def _noise(self, writer: asyncio.StreamWriter) -> None:
        writer.write(self.rng.bytes(int(self.rng.integers(1, 5000))))
        await writer.drain()

    async def _drip(self, writer: asyncio.StreamWriter) -> None:
        for byte in HUGE[self.kind] * 20:
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0.05)

    async def _half(self, writer: asyncio.StreamWriter) -> None:
        writer.write(HUGE[self.kind][:3])
        await writer.drain()
        await asyncio.sleep(1)

    async def _huge(self, writer: asyncio.StreamWriter) -> None:
        writer.write(HUGE[self.kind] + bytes(200_000))
        await writer.drain()
        await asyncio.sleep(1)

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(bytes(65_536))
            await writer.drain()


def _evil_spec(kind: str, place: str) -> SourceSpec:
    nodes = {
        "mqtt": "evil/tag", "modbus": "holding:5", "opcua": "ns=2;s=t0", "http": "/v",
    }  # fmt: skip
    scheme = "opc.tcp" if kind == "opcua" else kind
    quick: dict[str, Any] = {
        "timeout_s": 0.3, "retry_first_s": 0.05, "retry_max_s": 0.1,
    }  # fmt: skip
    return SourceSpec(
        kind=kind, endpoint=f"{scheme}://{place}", nodes={"evil": nodes[kind]},
        options=quick | (PLACES if kind == "mqtt" else {}),
    )  # fmt: skip


async def _meet(source: Any, seconds: float) -> int:
    """Connect to the hostile server again and again; return how often it was refused."""
    refused, end_s = 0, asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end_s:
        try:
            async with asyncio.timeout(5):
                await source.connect()
                async for _ in source.samples():
                    if asyncio.get_running_loop().time() > end_s:
                        break
        except TimeoutError:
            pass
        except TundishError:  # anything else is a failure of the test
            refused += 1
        finally:
            await source.close()
    return refused


@pytest.mark.parametrize("kind", ["mqtt", "modbus", "opcua", "http"])
def test_a_hostile_server_leaves_the_honest_line_on_the_same_loop_alone(
    kit: Kit, broker: Mosquitto, tmp_path: Path, kind: str
) -> None:
    scenario = kit.scenario(periods={"level": PERIOD_US / 1e6}, stale_after_s=1.0)
    honest = SourceSpec(
        kind="mqtt", endpoint=broker.endpoint, nodes={"level": "plant/level"},
        options=QUICK | PLACES,
    )  # fmt: skip
    evil = kit.scenario(periods={"evil": 1.0})
    states: list[str] = []

    async def job(plant: MqttPlant) -> tuple[Any, int, int]:
        hostile = Hostile(kind)
        with kit.buffer(tmp_path / "b", scenario) as buffer:
            engine = LineEngine(
                LineParts(
                    scenario=scenario, scorer=kit.MeanScorer(), model=kit.MODEL,
                    sources=(plugins.open_source(honest, scenario),), buffer=buffer,
                ),
                options=EngineOptions(tick_s=0.02),
                on_event=lambda e: states.append(e.text) if e.kind == "state" else None,
            )  # fmt: skip
            stop = asyncio.Event()
            line = asyncio.create_task(engine.run(stop))
            await kit.eventually(lambda: bool(states and "good" in states[-1]))
            states.clear()
            async with hostile as place:
                spec = _evil_spec(kind, place)
                async with stalls.watching() as stood:
                    refused = await _meet(plugins.open_source(spec, evil), SECONDS)
            disturbed = states and not stood.found
            assert not disturbed, f"the honest source was disturbed: {states}"
            stop.set()
            await line
            found = buffer.estimates_after(0, limit=10**6)
        rows = [(one.at_us - plant.start_us) // PERIOD_US for one in found]
        assert rows == list(range(rows[0], rows[0] + len(rows)))
        assert [one.value for one in found] == [row % WRAP for row in rows]
        return len(rows), refused, hostile.connections

    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with MqttPlant(broker.port) as plant:
        rows, refused, connections = asyncio.run(job(plant))
    assert rows >= 10 * SECONDS * 0.8
    assert connections >= 5, "each evil was met"
    assert refused >= 1
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    assert grown_kb < 60_000
