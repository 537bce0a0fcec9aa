"""Requests on a real OPC UA server, and a PLC behind it that trusts nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from asyncua import ua
from asyncua.common.node import Node
from asyncua.server.server import Server
from tests.line.test_governor import SCENARIO, answer, sample, spec
from tests.ports import free_port

from tundish.kernel.clock import SystemClock
from tundish.line.errors import NodeMissingError
from tundish.line.governor import Governor, Request
from tundish.line.linefile import SinkSpec
from tundish.line.requester import BreakerFile, Control, Requester
from tundish.line.sinks.opcua import OpcUaRequests

pytestmark = pytest.mark.integration
BEAT_S, PATIENCE_S = 0.05, 0.4


class Plc:
    """The automation's side: clamp, permit, fall back when the heartbeat stands still."""

    LOW, HIGH, OWN = 11.0, 18.0, 13.0

    def __init__(self, server: Server, nodes: dict[str, Node]) -> None:
        self.server, self.nodes = server, nodes
        self.setpoint = self.OWN
        self.following = False
        self._beat: tuple[int, float] = (-1, 0.0)

    @property
    def endpoint(self) -> str:
        assert self.server.bserver is not None
        return f"opc.tcp://127.0.0.1:{self.server.bserver.port}"

    async def scan(self, now_s: float) -> None:
        """One cycle of the program, as ``docs/how-to/control.md`` shows it."""
        beat = await self.nodes["heartbeat"].read_value()
        if beat != self._beat[0]:
            self._beat = (beat, now_s)
        alive = now_s - self._beat[1] < PATIENCE_S
        self.following = alive and await self.nodes["valid"].read_value()
        wish = await self.nodes["request"].read_value() if self.following else self.OWN
        self.setpoint = min(max(wish, self.LOW), self.HIGH)


@asynccontextmanager
async def plc(heartbeat: ua.VariantType = ua.VariantType.UInt16) -> AsyncIterator[Plc]:
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{free_port()}")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace("urn:plc")
    nodes = {}
    for name, value, kind in (
        ("request", 0.0, ua.VariantType.Float),
        ("valid", False, ua.VariantType.Boolean),
        ("heartbeat", 0, heartbeat),
        ("request_reason", "", ua.VariantType.String),
    ):
        node = await server.nodes.objects.add_variable(
            ua.NodeId.from_string(f"ns={index};s={name}"), name, value, kind
        )
        await node.set_writable()
        nodes[name] = node
    await server.start()
    try:
        yield Plc(server, nodes)
    finally:
        await server.stop()


def sink(found: Plc, **nodes: str) -> OpcUaRequests:
    names = ("request", "valid", "heartbeat", "request_reason")
    return OpcUaRequests(
        SinkSpec.model_validate(
            {
                "kind": "opcua",
                "endpoint": found.endpoint,
                "nodes": {name: f"ns=2;s={name}" for name in names} | nodes,
            }
        )
    )


def requester(found: Plc, folder: Path) -> tuple[Requester, Governor]:
    said = spec(heartbeat_s=BEAT_S)
    governor = Governor(said, SCENARIO)
    control = Control(
        spec=said,
        governor=governor,
        sink=sink(found),
        breaker=BreakerFile(folder / "buffer.db"),
    )
    return Requester(control, SystemClock(), lambda _kind, _text: None), governor


async def until(found: Plc, fits: Callable[[], bool]) -> None:
    clock = SystemClock()
    async with asyncio.timeout(10):
        while not fits():
            await found.scan(clock.monotonic_s())
            await asyncio.sleep(0.01)


def test_the_plc_follows_a_beating_line_and_no_other(tmp_path: Path) -> None:
    async def script() -> None:
        async with plc() as found:
            line, governor = requester(found, tmp_path)
            await line.connect()
            line.heard((sample("fuel", 15.0), sample("draught", -20.0)))
            line.answered(answer(), 0.0)
            running = asyncio.create_task(line.run())
            await until(found, lambda: found.following and found.setpoint == 16.0)
            # the line asks for more than the PLC allows: the PLC has the last word
            line.answered(answer(4.0), 0.0)
            await until(found, lambda: found.setpoint == found.HIGH)
            # the model abstains: the line says so itself, at its next beat
            line.answered(answer(None, "bad"), 0.0)
            await until(found, lambda: not found.following)
            reason = await found.nodes["request_reason"].read_value()
            assert reason == "the answer is bad: a reason"
            line.answered(answer(), 0.0)
            await until(found, lambda: found.following)
            # the line dies without a word: its heartbeat stands still
            running.cancel()
            await until(found, lambda: not found.following)
            assert await found.nodes["valid"].read_value()  # the last word was "valid"
            assert found.setpoint == found.OWN
            assert governor.counts.stops == 1
            await line.close()

    asyncio.run(script())


def test_the_heartbeat_goes_round_in_its_type() -> None:
    async def script() -> None:
        async with plc() as found:
            one = sink(found)
            await one.connect()
            for beat, written in ((65535, 65535), (65536, 0), (65537, 1)):
                await one.write_request(
                    Request(value=12.5, valid=True, reason="", beat=beat)
                )
                assert await found.nodes["heartbeat"].read_value() == written
            assert await found.nodes["request"].read_value() == 12.5
            await one.close()

    asyncio.run(script())


def test_a_node_that_cannot_hold_what_is_written_is_refused_at_the_start() -> None:
    async def script() -> None:
        async with plc(ua.VariantType.Double) as found:
            with pytest.raises(
                NodeMissingError, match="for heartbeat has the data type"
            ):
                await sink(found).connect()
        async with plc() as found:
            with pytest.raises(NodeMissingError, match="for request has the data type"):
                await sink(found, request="ns=2;s=valid").connect()
            await found.nodes["request"].set_read_only()
            with pytest.raises(NodeMissingError, match="may not be written"):
                await sink(found).connect()
            with pytest.raises(NodeMissingError, match="names a node for 'estimate'"):
                sink(found, estimate="ns=2;s=request")

    asyncio.run(script())


def test_a_lost_server_gets_the_newest_request_when_it_is_back(tmp_path: Path) -> None:
    async def script() -> None:
        async with plc() as found:
            line, _ = requester(found, tmp_path)
            await line.connect()
            line.heard((sample("fuel", 15.0), sample("draught", -20.0)))
            line.answered(answer(), 0.0)
            running = asyncio.create_task(line.run())
            await until(found, lambda: found.following)
            port = found.server.bserver.port  # type: ignore[union-attr]
            await found.server.bserver.stop()  # type: ignore[union-attr]
            await asyncio.sleep(3 * BEAT_S)
            line.answered(answer(2.5), 0.0)
            assert found.server.bserver is not None
            found.server.bserver.port = port
            await found.server.bserver.start()
            await until(found, lambda: found.following and found.setpoint == 17.0)
            running.cancel()
            await line.close()

    asyncio.run(script())
