"""Laws of the Modbus source, against pymodbus's server and hostile ones on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.line import stalls
from tests.line.certs import make_certificates
from tests.line.conftest import Kit as Shared
from tests.ports import free_port

from tundish.catalog.errors import DocumentInvalidError
from tundish.kernel.clock import ManualClock
from tundish.line import plugins
from tundish.line.engine import LineEngine
from tundish.line.errors import (
    CertificateUnusableError,
    HistoryUnavailableError,
    LineFileInvalidError,
    NodeMissingError,
    SourceUnreachableError,
)
from tundish.line.linefile import NodeSpec, SourceSpec, read_line_file
from tundish.line.modbustags import halves, plan, to_tags, values_of
from tundish.line.modbuswire import (
    EXCEPTIONS,
    FUNCTIONS,
    Header,
    ModbusMalformedError,
    ModbusRefusedError,
    Question,
    read_answer,
    read_header,
    to_request,
)
from tundish.line.parts import EngineOptions, LineParts
from tundish.line.samples import Arrival, Sample
from tundish.line.security import SecuritySpec
from tundish.line.sources.modbus import ModbusSource, ModbusSourceOptions

pymodbus = pytest.importorskip("pymodbus")

from pymodbus.client import AsyncModbusTcpClient  # noqa: E402
from pymodbus.constants import ExcCodes  # noqa: E402
from pymodbus.framer import FramerType  # noqa: E402
from pymodbus.server import ModbusTcpServer, ModbusTlsServer  # noqa: E402
from pymodbus.simulator import DataType, SimData, SimDevice  # noqa: E402

Kit = Any
Nodes = dict[str, str | NodeSpec]
Options = dict[str, bool | int | float | str]
QUICK: Options = {"poll_s": 0.05, "timeout_s": 0.3, "retry_first_s": 0.05, "retry_max_s": 0.1}  # fmt: skip
SIZE = 300


class Plc:
    """A real server with a device behind it; registers count by themselves if told."""

    def __init__(self, unit: int = 1, **server: Any) -> None:
        self.refuse: dict[int, int] = {}  # an address of holding registers -> exception
        self.counting: set[int] = set()
        self.registers: dict[int, int] = {n: n for n in range(SIZE)}
        self.asked: list[tuple[int, int, int]] = []
        self.port = free_port()
        self._server: ModbusTcpServer | None = None
        self._kind, self._extra, self._unit = ModbusTcpServer, server, unit

    def over_tls(self, context: Any) -> Plc:
        self._kind = ModbusTlsServer
        self._extra = {"sslctx": context, "framer": FramerType.SOCKET}
        return self

    @property
    def endpoint(self) -> str:
        return f"modbus://127.0.0.1:{self.port}"

    async def start(self) -> None:
        bits = SimData(0, values=[True, False, False, True] * 4, datatype=DataType.BITS)
        words = SimData(0, values=list(range(SIZE)), datatype=DataType.REGISTERS)
        more = SimData(0, values=[n + 7 for n in range(SIZE)], datatype=DataType.REGISTERS)  # fmt: skip
        device = SimDevice(
            self._unit, simdata=([bits], [bits], [words], [more]), action=self._act
        )
        self._server = self._kind(
            device, address=("127.0.0.1", self.port), **self._extra
        )
        await self._server.serve_forever(background=True)
        self.port = cast("Any", self._server.transport).sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            await cast("Any", self._server).shutdown()
            self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _act(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        now: list[int],
        _: Any,
    ) -> ExcCodes | None:
        self.asked.append((function, address, count))
        if function != FUNCTIONS["holding"]:
            return None
        for place in range(address, address + count):
            if place in self.refuse:
                return ExcCodes(self.refuse[place])
            if place in self.counting:
                self.registers[place] = (self.registers[place] + 1) % 65_536
            now[place - start] = self.registers[place]
        return None


def _source(
    kit: Kit, endpoint: str, nodes: Nodes, security: SecuritySpec | None = None,
    channels: int = 1, clock: Any = None, **changes: Any,
) -> ModbusSource:  # fmt: skip
    scenario = kit.scenario(periods=dict.fromkeys(nodes, 10.0), channels=channels)
    spec = SourceSpec(
        kind="modbus", endpoint=endpoint, nodes=nodes, options=QUICK | changes,
        security=security,
    )  # fmt: skip
    if clock is not None:
        options = ModbusSourceOptions.model_validate(QUICK | changes)
        return ModbusSource(spec, scenario, options, clock)
    source = plugins.open_source(spec, scenario)
    assert isinstance(source, ModbusSource)
    return source


@asynccontextmanager
async def _running(source: ModbusSource) -> AsyncIterator[list[Arrival]]:
    """Collect what arrives while the body runs."""
    found: list[Arrival] = []

    async def collect() -> None:
        async for arrival in source.samples():
            found.append(arrival)  # noqa: PERF401  (read while it grows)

    await source.connect()
    task = asyncio.create_task(collect())
    try:
        yield found
    finally:
        await source.close()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _until(condition: Callable[[], bool], limit_s: float = 25.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def _samples(found: list[Arrival], signal: str) -> list[Sample]:
    return [s for arrival in found for s in arrival.samples if s.signal == signal]


def _links(found: list[Arrival]) -> list[tuple[bool, str]]:
    return [(a.link.up, a.link.reason) for a in found if a.link]


def _last(found: list[Arrival], signal: str) -> Sample:
    return _samples(found, signal)[-1]


# --- the bytes


def test_every_exception_of_the_protocol_has_its_own_sentence() -> None:
    said = {str(ModbusRefusedError(code)) for code in range(1, 12)}
    assert len(said) == 11
    assert set(EXCEPTIONS) == set(range(1, 12))
    assert "does not know" in str(ModbusRefusedError(77))


ASKED = Question(unit=1, table="holding", address=5, count=2)
HEAD = Header(number=1, unit=1, rest=6)


@pytest.mark.parametrize(
    ("head", "body", "said"),
    [
        (Header(number=1, unit=2, rest=6), b"\x03\x04abcd", "the unit 2"),
        (HEAD, b"\x04\x04abcd", "the function 4"),
        (HEAD, b"\x03\x04abcde", "5 bytes of values"),
        (HEAD, b"\x03\x06abcdef", "6 bytes of values"),
        (HEAD, b"\x03\x02ab", "2 bytes of values"),
        (HEAD, b"\x03\x05abcd", "4 bytes of values"),
        (HEAD, b"\x84\x02", "the function 132"),
        (HEAD, b"\x03", "the function 3"),
        (HEAD, b"", "the function none"),
    ],
)
def test_what_was_not_asked_is_no_answer(head: Header, body: bytes, said: str) -> None:
    with pytest.raises(ModbusMalformedError, match=said):
        read_answer(ASKED, head, body)


@given(st.binary(max_size=12), st.binary(max_size=260))
def test_any_bytes_end_in_the_values_asked_for_or_in_a_refusal(
    head: bytes, body: bytes
) -> None:
    try:
        header = read_header(head)
        found = read_answer(ASKED, header, body)
    except (ModbusMalformedError, ModbusRefusedError):
        return
    assert len(found) == 4


# --- the tags


@pytest.mark.parametrize("words", ["big", "little"])
@pytest.mark.parametrize(
    ("kind", "peer", "value"),
    [
        ("int16", "INT16", -1234), ("uint16", "UINT16", 65_000),
        ("int32", "INT32", -70_000), ("uint32", "UINT32", 4_000_000_000),
        ("int64", "INT64", -(2**40)), ("uint64", "UINT64", 2**45),
        ("float32", "FLOAT32", 1.5), ("float64", "FLOAT64", -2.25e-7),
    ],
)  # fmt: skip
def test_values_are_read_as_another_library_writes_them(
    kit: Kit, kind: str, peer: str, value: float, words: Any
) -> None:
    form = AsyncModbusTcpClient.DATATYPE[peer]
    registers = AsyncModbusTcpClient.convert_to_registers(value, form, word_order=words)
    data = struct.pack(f">{len(registers)}H", *registers)
    for order in ("big", "little"):
        options: Options = {"type": kind, "words": words, "bytes": order}
        node = NodeSpec(node="holding:9", scale=2.0, offset=1.0, options=options)
        (tag,) = _tags(kit, {"level": node})
        if order == "little":
            data = b"".join(struct.pack("<H", word) for word in registers)
        found = values_of(tag, tag.question, data)
        assert found.tolist() == [2.0 * value + 1.0]


def _tags(kit: Kit, nodes: Nodes, channels: int = 1) -> Any:
    scenario = kit.scenario(periods=dict.fromkeys(nodes, 1.0), channels=channels)
    spec = SourceSpec(kind="modbus", endpoint="modbus://h:1", nodes=nodes)
    return to_tags(spec, scenario, 1, None)


@settings(max_examples=25, deadline=None)
@given(
    places=st.lists(
        st.tuples(
            st.sampled_from(["holding", "input", "coil"]), st.integers(0, 400),
            st.sampled_from(["uint16", "float32", "float64"]), st.integers(1, 3),
        ),
        min_size=1, max_size=60,
    ),
    bridge=st.integers(0, 40),
)  # fmt: skip
def test_blocks_hold_every_tag_once_within_the_limits_of_a_request(
    places: list[Any], bridge: int
) -> None:
    nodes: Nodes = {}
    for number, (table, address, kind, unit) in enumerate(places):
        options: Options = {"type": "bool" if table == "coil" else kind, "unit": unit}
        nodes[f"t{number}"] = NodeSpec(node=f"{table}:{address}", options=options)
    tags = _tags(Shared, nodes)
    blocks = plan(tags, bridge)
    held = [tag.signal for block in blocks for tag in block.tags]
    assert sorted(held) == sorted(nodes)
    for block in blocks:
        assert block.question.count <= (2000 if block.question.table == "coil" else 125)
        _hold(block, bridge)
        if len(block.tags) > 1:
            parts = halves(block)
            assert [t for part in parts for t in part.tags] == list(block.tags)
            for part in parts:
                _hold(part, bridge)


def _hold(block: Any, bridge: int) -> None:
    asked, end = block.question, block.question.address
    for tag in block.tags:
        own = tag.question
        assert (own.unit, own.table) == (asked.unit, asked.table)
        assert own.address - end <= bridge
        end = max(end, own.address + own.count)
    assert end == asked.address + asked.count
    if asked.table == "coil":
        return
    registers = [(asked.address + n) % 65_536 for n in range(asked.count)]
    data = struct.pack(f">{asked.count}H", *registers)
    for tag in block.tags:
        if tag.kind == "uint16":
            assert values_of(tag, asked, data).tolist() == [tag.question.address]


@pytest.mark.parametrize(
    ("node", "options", "said"),
    [
        ("holding", {}, "none of Modbus"),
        ("holding:070", {}, "none of Modbus"),
        ("holding:65536", {}, "none of Modbus"),
        ("holding:\u0661", {}, "none of Modbus"),
        ("register:1", {}, "none of Modbus"),
        ("coil:1", {"type": "int16"}, "single bits"),
        ("coil:1", {"bit": 1}, "single bits"),
        ("holding:1", {"bit": 1}, "type bool and bit together"),
        ("holding:1", {"type": "bool"}, "type bool and bit together"),
        ("holding:1", {"count": 3}, "the contract has 1"),
        ("holding:65533", {"type": "float64"}, "addresses end at 65535"),
    ],
)
def test_a_node_that_makes_no_sense_is_refused(
    kit: Kit, node: str, options: Options, said: str
) -> None:
    with pytest.raises(LineFileInvalidError, match=said):
        _tags(kit, {"level": NodeSpec(node=node, options=options)})


@pytest.mark.parametrize(
    "options", [{"type": "int17"}, {"unit": 256}, {"word": "big"}, {"bit": 16}]
)
def test_an_unknown_option_of_a_node_is_named(kit: Kit, options: Options) -> None:
    with pytest.raises(DocumentInvalidError, match="The node of level"):
        _tags(kit, {"level": NodeSpec(node="holding:1", options=options)})


@pytest.mark.parametrize(
    "endpoint",
    ["opc.tcp://h:1", "h:502", "modbus://", "modbus://h:x", "modbus://h:1/path"],
)
def test_an_endpoint_of_something_else_is_refused(kit: Kit, endpoint: str) -> None:
    with pytest.raises(LineFileInvalidError, match="none of Modbus TCP"):
        _source(kit, endpoint, {"level": "holding:1"})


def test_security_that_this_kind_does_not_know_is_refused(kit: Kit) -> None:
    spec = SecuritySpec(policy="basic256sha256")
    with pytest.raises(LineFileInvalidError, match=r"security\.policy"):
        _source(kit, "modbus://h:1", {"level": "holding:1"}, spec)


def test_a_heartbeat_that_cannot_be_seen_in_time_is_refused(kit: Kit) -> None:
    with pytest.raises(LineFileInvalidError, match="read every 10 s"):
        _source(
            kit, "modbus://h:1", {"level": "holding:1"}, poll_s=10,
            heartbeat="holding:2", heartbeat_s=5,
        )  # fmt: skip


# --- the source, with a real server

EACH: Nodes = {
    "plain": "holding:3",
    "long": NodeSpec(node="holding:10", options={"type": "uint32"}),
    "swapped": NodeSpec(node="holding:10", options={"type": "uint32", "words": "little"}),
    "scaled": NodeSpec(node="input:30", scale=0.1, offset=-1.0),
    "lamp": "coil:3",
    "door": "discrete:1",
    "flag": NodeSpec(node="holding:6", options={"type": "bool", "bit": 2}),
}  # fmt: skip
WANTED = {
    "plain": 3.0, "long": 10 * 65_536 + 11.0, "swapped": 11 * 65_536 + 10.0,
    "scaled": 2.7, "lamp": 1.0, "door": 0.0, "flag": 1.0,
}  # fmt: skip


def _run(job: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await job

    asyncio.run(bounded())


@pytest.mark.integration
def test_each_table_and_type_arrives_in_the_contracts_unit(kit: Kit) -> None:
    async def job() -> None:
        async with Plc() as plc, _running(_source(kit, plc.endpoint, EACH)) as found:
            await _until(lambda: bool(_samples(found, "flag")))
            for name, value in WANTED.items():
                sample = _last(found, name)
                assert sample.quality == "good"
                assert sample.values is not None
                assert sample.values.tolist() == pytest.approx([value])
            assert len({s.at_us for a in found[1:2] for s in a.samples}) == 1
            # 3, 6, 10 and 11 in one request, since the holes are small
            assert (3, 3, 9) in plc.asked

    _run(job())


@pytest.mark.integration
def test_an_array_is_read_as_one(kit: Kit) -> None:
    async def job() -> None:
        node = NodeSpec(node="holding:20", options={"type": "uint16", "count": 4})
        async with Plc() as plc:
            source = _source(kit, plc.endpoint, {"level": node}, channels=4)
            async with _running(source) as found:
                await _until(lambda: bool(_samples(found, "level")))
                values = _last(found, "level").values
                assert values is not None
                assert values.tolist() == [20, 21, 22, 23]

    _run(job())


@pytest.mark.integration
def test_a_register_that_is_not_there_ends_the_start(kit: Kit) -> None:
    async def job() -> None:
        async with Plc() as plc:
            nodes: Nodes = {"level": "holding:1", "gone": f"holding:{SIZE + 5}"}
            source = _source(kit, plc.endpoint, nodes)
            with pytest.raises(
                NodeMissingError, match="exception 2: the device has no"
            ):
                await source.connect()

    _run(job())


@pytest.mark.integration
def test_a_heartbeat_that_is_not_there_ends_the_start(kit: Kit) -> None:
    async def job() -> None:
        async with Plc() as plc:
            source = _source(
                kit, plc.endpoint, {"level": "holding:1"}, heartbeat="holding:900"
            )
            with pytest.raises(
                NodeMissingError, match=r"holding:900 .*no such register"
            ):
                await source.connect()

    _run(job())


@pytest.mark.integration
def test_one_refused_register_does_not_take_the_others_with_it(kit: Kit) -> None:
    nodes: Nodes = {f"t{n}": f"holding:{n}" for n in range(40)}

    async def job() -> None:
        async with Plc() as plc, _running(_source(kit, plc.endpoint, nodes)) as found:
            await _until(lambda: bool(_samples(found, "t0")))
            plc.refuse[17] = 2
            await _until(lambda: _last(found, "t17").quality == "bad")
            newest = found[-1].samples
            assert len(newest) == 40
            assert [s.signal for s in newest if s.quality == "bad"] == ["t17"]
            bad = _last(found, "t17")
            assert bad.values is None
            assert "has no such register" in bad.reason
            before = len(found)
            await _until(lambda: len(found) > before + 1)
            plc.asked.clear()
            await _until(lambda: len(found) > before + 3)
            a_round = len(plc.asked) / (len(found) - before - 1)
            assert a_round < 12  # not forty
            del plc.refuse[17]
            await _until(lambda: _last(found, "t17").quality == "good")

    _run(job())


@pytest.mark.integration
@pytest.mark.parametrize("code", [c for c in EXCEPTIONS if c != 9])
def test_each_refusal_is_a_reason_of_the_tag(kit: Kit, code: int) -> None:
    nodes: Nodes = {"level": "holding:5", "other": "input:5"}

    async def job() -> None:
        async with Plc() as plc, _running(_source(kit, plc.endpoint, nodes)) as found:
            await _until(lambda: bool(_samples(found, "level")))
            plc.refuse[5] = code
            await _until(lambda: _last(found, "level").quality == "bad")
            assert EXCEPTIONS[code] in _last(found, "level").reason
            assert _links(found) == [(True, "")]

    _run(job())


@pytest.mark.integration
def test_a_server_that_starts_anew_is_found_again(kit: Kit) -> None:
    async def job() -> None:
        plc = Plc()
        await plc.start()
        async with _running(
            _source(kit, plc.endpoint, {"level": "holding:5"})
        ) as found:
            await _until(lambda: bool(_samples(found, "level")))
            await plc.stop()
            await _until(lambda: _links(found)[-1][0] is False)
            assert "ended the connection" in _links(found)[-1][1]
            count = len(_samples(found, "level"))
            await asyncio.sleep(0.3)
            assert len(_samples(found, "level")) == count
            await plc.start()
            await _until(lambda: len(_samples(found, "level")) > count)
            await plc.stop()

    _run(job())


@pytest.mark.integration
def test_nobody_at_the_start_is_said(kit: Kit) -> None:
    async def job() -> None:
        source = _source(kit, "modbus://127.0.0.1:9", {"level": "holding:5"})
        with pytest.raises(SourceUnreachableError, match="took no connection"):
            await source.connect()
        with pytest.raises(HistoryUnavailableError):
            await anext(source.read_history("level", 0, None))

    _run(job())


@pytest.mark.integration
def test_a_silent_device_does_not_take_the_others_with_it(kit: Kit) -> None:
    nodes: Nodes = {
        "level": "holding:5",
        "far": NodeSpec(node="holding:6", options={"unit": 9}),
    }

    async def answer(_: int, request: bytes) -> list[bytes]:
        return [] if request[6] == 9 else [_good(request, 5)]

    async def job() -> None:
        async with (
            _server(answer) as endpoint,
            _running(_source(kit, endpoint, nodes)) as found,
        ):
            await _until(lambda: len(_samples(found, "level")) > 5)
            assert _last(found, "level").quality == "good"
            assert _last(found, "far").quality == "bad"
            assert "the unit 9 did not answer" in _last(found, "far").reason
            assert _links(found) == [(True, "")]

    _run(job())


@pytest.mark.integration
def test_a_heartbeat_that_stops_makes_the_tags_stale_at_once(kit: Kit) -> None:
    nodes: Nodes = {"level": "holding:5"}

    async def job() -> None:
        async with Plc() as plc:
            source = _source(
                kit, plc.endpoint, nodes, heartbeat="holding:90", heartbeat_s=0.4
            )
            async with _running(source) as found:
                await _until(lambda: len(_links(found)) == 2)
                assert "has not changed yet" in _links(found)[1][1]
                assert not _samples(found, "level")  # nobody knows whether it lives
                plc.counting.add(90)
                await _until(lambda: len(_samples(found, "level")) > 3)
                plc.counting.clear()
                await _until(lambda: not _links(found)[-1][0])
                link = [a.link for a in found if a.link][-1]
                assert link.stale
                assert link.reason.startswith(
                    "the heartbeat holding:90 has not changed"
                )
                count = len(_samples(found, "level"))
                await asyncio.sleep(0.3)
                assert len(_samples(found, "level")) == count
                plc.counting.add(90)
                await _until(lambda: len(_samples(found, "level")) > count)

    _run(job())


@pytest.mark.integration
def test_slow_signals_are_read_at_their_own_pace(kit: Kit) -> None:
    scenario = kit.scenario(periods={"quick": 0.05, "slow": 0.5})
    nodes: Nodes = {"quick": "holding:1", "slow": "holding:2"}

    async def job() -> None:
        async with Plc() as plc:
            spec = SourceSpec(kind="modbus", endpoint=plc.endpoint, nodes=nodes)
            source = ModbusSource(spec, scenario)
            async with _running(source) as found:
                await _until(lambda: len(_samples(found, "slow")) >= 4)
                assert len(_samples(found, "quick")) >= 20
                times = [s.at_us or 0 for s in _samples(found, "slow")]
                quick = [s.at_us or 0 for s in _samples(found, "quick")]
                for first, then in itertools.pairwise(
                    times
                ):  # ten, and half of it more
                    assert sum(first < at <= then for at in quick) <= 15

    _run(job())


# --- hostile servers and bad cables


@asynccontextmanager
async def _server(answer: Callable[[int, bytes], Awaitable[list[bytes]]]) -> Any:
    """A server that answers the n-th request with what a test says."""
    numbers = itertools.count()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                request = await reader.readexactly(12)
                for part in await answer(next(numbers), request):
                    writer.write(part)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"modbus://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def _good(request: bytes, value: int = 5) -> bytes:
    return request[:2] + b"\0\0\0\5" + request[6:8] + b"\2" + struct.pack(">H", value)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda m: bytes([m[0] ^ 1]) + m[1:], "numbered"),
        (lambda m: m[:6] + b"\x09" + m[7:], "of the unit 9"),
        (lambda m: m[:7] + b"\x04" + m[8:], "of the function 4"),
        (lambda m: m[:2] + b"\0\1" + m[4:], "protocol number 1"),
        (lambda m: m[:4] + b"\0\0" + m[6:], "a length of 0"),
        (lambda m: m[:4] + b"\xff\xff" + m[6:], "a length of 65535"),
        (lambda m: m[:4] + b"\0\7" + m[6:8] + b"\4" + m[9:] + b"ab", "4 bytes of"),
        (lambda m: b"GET / HTTP/1.1\r\n\r\n", "protocol number"),
        (lambda m: m[:9], "expected 0 of Modbus"),
        (lambda m: b"", "did not answer"),
    ],
)
def test_a_wrong_answer_is_never_taken_and_the_link_is_made_anew(
    kit: Kit, spoil: Callable[[bytes], bytes], said: str
) -> None:
    bad = range(3, 7)

    async def answer(number: int, request: bytes) -> list[bytes]:
        message = _good(request, 5)
        return [spoil(_good(request, 666)) if number in bad else message]

    async def job() -> None:
        async with (
            _server(answer) as endpoint,
            _running(_source(kit, endpoint, {"level": "holding:5"})) as found,
        ):
            await _until(lambda: any(not up for up, _ in _links(found)))
            why = next(reason for up, reason in _links(found) if not up)
            assert said in why
            await _until(lambda: _links(found)[-1][0])
            count = len(_samples(found, "level"))
            await _until(lambda: len(_samples(found, "level")) > count + 2)
            values = {float(s.values[0]) for s in _samples(found, "level") if s.values is not None}  # fmt: skip
            assert values == {5.0}

    _run(job())


@pytest.mark.integration
def test_a_late_answer_is_thrown_away_and_the_link_stays(kit: Kit) -> None:
    held: list[bytes] = []

    async def answer(number: int, request: bytes) -> list[bytes]:
        if number == 3:
            held.append(_good(request, 666))
            return []
        late, held[:] = list(held), []
        return [*late, _good(request, 5)]

    async def job() -> None:
        async with (
            _server(answer) as endpoint,
            _running(_source(kit, endpoint, {"level": "holding:5"})) as found,
        ):
            await _until(lambda: len(_samples(found, "level")) > 6)
            assert _links(found) == [(True, "")]
            assert all(
                s.values is not None and s.values.tolist() == [5.0]
                for s in _samples(found, "level")
            )

    _run(job())


@pytest.mark.integration
def test_an_answer_cut_in_two_by_the_time_limit_is_put_together(kit: Kit) -> None:
    rest: list[bytes] = []

    async def answer(number: int, request: bytes) -> list[bytes]:
        message = _good(request, 666 if number == 3 else 5)
        if number == 3:
            rest.append(message[8:])
            return [message[:8]]
        late, rest[:] = list(rest), []
        return [*late, message]

    async def job() -> None:
        async with (
            _server(answer) as endpoint,
            _running(_source(kit, endpoint, {"level": "holding:5"})) as found,
        ):
            await _until(lambda: len(_samples(found, "level")) > 6)
            assert _links(found) == [(True, "")]
            assert all(
                s.values is not None and s.values.tolist() == [5.0]
                for s in _samples(found, "level")
            )

    _run(job())


class Cable:
    """A proxy: passes bytes, holds them for a while, swallows them, or is cut."""

    def __init__(self, port: int, seed: int = 1) -> None:
        self.port, self.mode, self.delay_s = 0, "pass", 0.0
        self._to, self._rng = port, np.random.default_rng(seed)
        self._writers: list[asyncio.StreamWriter] = []
        self._jobs: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # fmt: skip
        there, onward = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers += [writer, onward]
        for pair in ((reader, onward), (there, writer)):
            job = asyncio.create_task(self._pump(*pair))
            self._jobs.add(job)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # fmt: skip
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                if self._rng.random() < 0.05:
                    await asyncio.sleep(self.delay_s)
                if self.mode == "pass":
                    writer.write(data)
            writer.close()


@pytest.mark.integration
def test_a_half_open_link_is_noticed_within_two_limits(kit: Kit) -> None:
    async def job() -> None:
        async with Plc() as plc, Cable(plc.port) as cable:
            endpoint = f"modbus://127.0.0.1:{cable.port}"
            async with _running(
                _source(kit, endpoint, {"level": "holding:5"})
            ) as found:
                await _until(lambda: bool(_samples(found, "level")))
                cable.mode = "swallow"
                loop = asyncio.get_running_loop()
                begin_s = loop.time()
                async with stalls.watching() as stood:
                    await _until(lambda: not _links(found)[-1][0])
                    took_s = loop.time() - begin_s - stood.total_s()
                assert took_s < 2 * 0.3 + 0.05 + 0.5
                assert "did not answer within 0.3 s" in _links(found)[-1][1]
                await asyncio.sleep(
                    1.0
                )  # whoever takes connections and is silent is not up
                assert not _links(found)[-1][0]
                cable.mode = "pass"
                await _until(lambda: _links(found)[-1][0])

    _run(job())


@pytest.mark.integration
@pytest.mark.slow
def test_delays_and_cuts_lose_order_of_nothing_and_invent_nothing(kit: Kit) -> None:
    rng = np.random.default_rng(7)

    async def job() -> None:
        async with Plc() as plc, Cable(plc.port) as cable:
            plc.counting.add(5)
            cable.delay_s = 0.4  # longer than the limit: answers come late
            endpoint = f"modbus://127.0.0.1:{cable.port}"
            source = _source(kit, endpoint, {"level": "holding:5"}, poll_s=0.01)
            async with _running(source) as found:
                for _ in range(8):
                    await asyncio.sleep(float(rng.uniform(0.1, 0.6)))
                    cable.cut()
                    await _until(lambda: _links(found)[-1][0])
                count = len(_samples(found, "level"))
                await _until(lambda: len(_samples(found, "level")) > count + 20)
                samples = _samples(found, "level")
                values = [float(s.values[0]) for s in samples if s.values is not None]
                assert len(values) == len(samples) > 40
                assert values == sorted(set(values))  # each reading once, in order
                assert max(values) <= plc.registers[5]
                times = [s.at_us or 0 for s in samples]
                assert times == sorted(set(times))

    _run(job())


@pytest.mark.integration
def test_a_line_shows_the_loss_and_records_the_gap(kit: Kit, tmp_path: Path) -> None:
    scenario = kit.scenario(periods={"level": 0.1}, stale_after_s=0.5)

    async def job() -> None:
        plc = Plc()
        await plc.start()
        spec = SourceSpec(
            kind="modbus", endpoint=plc.endpoint, nodes={"level": "holding:5"},
            options={"timeout_s": 0.3, "retry_first_s": 0.05, "retry_max_s": 0.1},
        )  # fmt: skip
        sink = kit.ListSink()
        with kit.buffer(tmp_path / "b", scenario) as buffer:
            engine = LineEngine(
                LineParts(
                    scenario=scenario, scorer=kit.MeanScorer(), model=kit.MODEL,
                    sources=(plugins.open_source(spec, scenario),), sinks=(sink,),
                    buffer=buffer,
                ),
                options=EngineOptions(tick_s=0.02),
            )  # fmt: skip
            stop = asyncio.Event()
            running = asyncio.create_task(engine.run(stop))
            await _until(lambda: len(sink.taken) > 3)
            await plc.stop()
            await _until(lambda: sink.states[-1][0].state == "stale")
            count = len(sink.taken)
            await plc.start()
            await _until(lambda: len(sink.taken) > count + 3)
            await _until(lambda: sink.states[-1][0].state == "good")
            stop.set()
            report = await running
            assert any("Modbus keeps no history" in gap.reason for gap in report.gaps)
            assert {e.value for e in sink.taken} == {5.0}
        await plc.stop()

    _run(job())


def test_a_clock_set_back_gives_no_newer_time(kit: Kit) -> None:
    clock = ManualClock(datetime(2026, 1, 2, tzinfo=UTC))

    async def job() -> None:
        async with Plc() as plc:
            source = _source(kit, plc.endpoint, {"level": "holding:5"}, clock=clock)
            await source.connect()
            arrivals = source.samples()
            await anext(arrivals)
            first = (await anext(arrivals)).samples[0]
            clock.advance(-3600)
            second = (await anext(arrivals)).samples[0]
            await source.close()
            assert (second.at_us or 0) < (first.at_us or 0)

    _run(job())


# --- TLS


@pytest.mark.integration
def test_over_tls_both_sides_show_who_they_are(kit: Kit, tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.server, files.server_key)
    context.load_verify_locations(files.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    known = SecuritySpec(
        trust=str(files.ca), certificate=str(files.line), key=str(files.line_key)
    )
    nodes: Nodes = {"level": "holding:5"}

    async def job() -> None:
        async with Plc().over_tls(context) as plc:
            async with _running(_source(kit, plc.endpoint, nodes, known)) as found:
                await _until(lambda: bool(_samples(found, "level")))
            stranger = SecuritySpec(trust=str(files.other_ca))
            with pytest.raises(
                SourceUnreachableError, match="certificate verify failed"
            ):
                await _source(kit, plc.endpoint, nodes, stranger).connect()
            nameless = SecuritySpec(trust=str(files.ca))
            with pytest.raises(SourceUnreachableError):
                await _source(kit, plc.endpoint, nodes, nameless).connect()
            with pytest.raises(SourceUnreachableError):
                await _source(kit, plc.endpoint, nodes).connect()
        lacking = SecuritySpec(trust=str(tmp_path / "none.pem"))
        with pytest.raises(CertificateUnusableError, match=r"none\.pem"):
            _source(kit, plc.endpoint, nodes, lacking)

    _run(job())


def test_the_line_file_of_the_how_to_page_works(kit: Kit, tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs/how-to/modbus.md"
    (example,) = re.findall(r"```yaml\n(.*?)```", page.read_text(), flags=re.DOTALL)
    (tmp_path / "line.yaml").write_text(example)
    line = read_line_file(tmp_path / "line.yaml")
    scenario = kit.scenario(periods=dict.fromkeys(line.sources[0].nodes, 1.0))
    (source,) = plugins.open_sources(line, scenario)
    assert set(source.signals) == {"pressure", "flow", "running"}


def test_only_functions_that_read_are_ever_sent() -> None:
    for table, function in FUNCTIONS.items():
        asked = Question(unit=1, table=table, address=1, count=1)
        assert to_request(7, asked)[7] == function <= 4
