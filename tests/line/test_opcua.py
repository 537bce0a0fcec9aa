"""Laws of the OPC UA source and sink, against a real server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from asyncua import ua
from asyncua.ua.status_codes import StatusCodes
from tests.ports import free_port

from tundish.line import plugins, uahistory
from tundish.line.engine import LineEngine
from tundish.line.errors import NodeMissingError, SourceUnreachableError
from tundish.line.estimates import Estimate
from tundish.line.events import Event
from tundish.line.linefile import NodeSpec, SinkSpec, SourceSpec
from tundish.line.parts import EngineOptions, LineParts
from tundish.line.recording import Stretch
from tundish.line.rehearsal import ReplayClock
from tundish.line.replay import ReplayServer
from tundish.line.samples import Arrival, from_us
from tundish.line.state import TagState
from tundish.line.uavalues import Tag, to_sample

Kit = Any  # the classes live in conftest, which cannot be imported
Plant = Any

pytestmark = pytest.mark.integration

QUICK: dict[str, bool | int | float | str] = {
    "publishing_ms": 20,
    "timeout_s": 1.0,
    "probe_s": 0.3,
    "retry_first_s": 0.1,
    "retry_max_s": 0.2,
}
ANSWERS = ("estimate", "lower", "upper", "reason", "state", "state_reason", "mode")
SPEED = 100.0


class Line:
    """A line on the real server, and what it did."""

    def __init__(self, kit: Kit, plant: Plant, folder: Path, **changes: Any) -> None:
        self.kit, self.plant = kit, plant
        self.signal = changes.pop("signal", None) or plant.signal()
        endpoint = changes.pop("endpoint", plant.server.endpoint)
        self.scenario = kit.scenario(
            periods={self.signal: 10.0}, channels=kit.CHANNELS, **changes
        )
        source = SourceSpec(
            kind="opcua",
            endpoint=endpoint,
            nodes={self.signal: f"ns=2;s={self.signal}"},
            options=QUICK,
        )
        sink = SinkSpec(
            kind="opcua",
            endpoint=endpoint,
            nodes={name: f"ns=2;s=tundish.{name}" for name in ANSWERS},
            options={"timeout_s": 1.0},
        )
        self.clock = ReplayClock(from_us(kit.START_US), SPEED)
        self.source = plugins.open_source(source, self.scenario)
        self.sink = plugins.open_sink(sink, self.scenario)
        self.buffer = kit.buffer(folder / "b", self.scenario)
        self.events: list[Event] = []
        self.engine = LineEngine(
            LineParts(
                scenario=self.scenario,
                scorer=kit.MeanScorer(),
                model=kit.MODEL,
                sources=(self.source,),
                sinks=(self.sink,),
                buffer=self.buffer,
            ),
            options=EngineOptions(
                tick_s=0.02, sink_pauses_s=(0.1, 0.2), stale_grace_s=20.0
            ),
            clock=self.clock,
            on_event=self.events.append,
        )
        self.final: list[float] | None = None
        self.begin_s = 0.0

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events if event.kind != "progress"]

    def states(self) -> list[str]:
        return [str(e.detail["state"]) for e in self.events if e.kind == "state"]

    def rows(self) -> list[float]:
        if self.final is None:
            found = self.buffer.estimates_after(0, limit=10**6)
            return [(e.at_us - self.kit.START_US) / 1e7 for e in found]
        return self.final

    async def until(self, condition: Any) -> None:
        await self.kit.eventually(condition, 20.0)

    def run(self, script: Any) -> Any:
        async def job() -> Any:
            stop = asyncio.Event()
            running = asyncio.create_task(self.engine.run(stop))
            try:
                await self.until(
                    lambda: "link-restored" in self.kinds() or running.done()
                )
                await script()
            finally:
                stop.set()
                report = await running
            return report

        try:
            return asyncio.run(job())
        finally:
            self.final = self.rows()
            self.buffer.close()


async def _aside(job: Any, *arguments: Any) -> None:
    """Let the plant do something without stopping the line's loop."""
    await asyncio.get_running_loop().run_in_executor(None, job, *arguments)


async def _play(line: Line, first: int, end: int, *, begin: bool = True) -> None:
    """Play rows at 100 times the speed, one each 0.1 s, in step with the clock."""
    loop = asyncio.get_running_loop()
    if begin:
        line.begin_s = loop.time() - first * 10 / SPEED
        line.clock.begin(line.begin_s)
    for row in range(first, end):
        await asyncio.sleep(max(0.0, line.begin_s + row * 10 / SPEED - loop.time()))
        await _aside(line.plant.happen, line.signal, row)


async def _next(arrivals: AsyncIterator[Arrival]) -> Arrival:
    return await anext(arrivals)


def _value(row: int, value: Any, kind: ua.VariantType, status: int = 0) -> ua.DataValue:
    at = datetime(2020, 1, 1, tzinfo=UTC).timestamp() + 10 * row
    variant = None if value is None else ua.Variant(value, kind)
    return ua.DataValue(
        variant,
        StatusCode=ua.StatusCode(ua.UInt32(status)),
        SourceTimestamp=ua.DateTime.fromtimestamp(at, UTC),
    )


def test_samples_are_scored_and_answers_stand_on_the_server(
    kit: Kit, plant: Plant, tmp_path: Path
) -> None:
    line = Line(kit, plant, tmp_path)

    async def script() -> None:
        await _play(line, 0, 5, begin=False)
        await line.until(lambda: line.rows() == list(range(5)))
        await line.until(lambda: plant.answer("estimate").SourceTimestamp is not None)

    report = line.run(script)
    assert report.delivered == {"sink": 5}
    answer = plant.answer("estimate")
    assert answer.Value.Value == pytest.approx(4.0)
    assert answer.StatusCode.is_good()
    assert answer.SourceTimestamp == from_us(kit.sample(4).at_us)
    assert plant.answer("lower").Value.Value == pytest.approx(3.0)
    assert plant.answer("mode").Value.Value == "shadow"
    assert plant.answer("state").Value.Value == "good"
    assert report.gaps == ()


def test_a_pulled_server_turns_the_line_red_and_nothing_is_lost(
    kit: Kit, plant: Plant, tmp_path: Path
) -> None:
    line = Line(kit, plant, tmp_path)

    async def script() -> None:
        await _play(line, 0, 10)
        await _aside(plant.cut)
        await _play(line, 10, 40, begin=False)
        assert line.states()[-1] == "stale"
        await _aside(plant.mend)
        await _play(line, 40, 50, begin=False)
        await line.until(lambda: line.rows() == list(range(50)))

    report = line.run(script)
    assert line.rows() == list(range(50))
    assert report.table.value.tolist() == list(range(50))
    assert report.backfilled >= 25
    assert report.gaps == ()
    assert report.delivered == {"sink": 50}
    seen = "-".join(line.states())
    assert re.match(r"stale-good-.*stale-.*good", seen), seen
    for kind in ("link-lost", "link-restored", "backfilled", "sink-lost"):
        assert kind in line.kinds()


def test_what_the_historian_lacks_is_a_gap_and_no_number_is_made_up(
    kit: Kit, plant: Plant, tmp_path: Path
) -> None:
    line = Line(kit, plant, tmp_path)

    async def script() -> None:
        await _play(line, 0, 5)
        await _aside(plant.cut)
        await _aside(plant.happen, line.signal, 5, 6)
        for row in (7, 8, 9):
            numbers = [float(row)] * kit.CHANNELS
            value = _value(row, numbers, ua.VariantType.Double)
            await _aside(plant.say, line.signal, value)
        await _aside(plant.happen, line.signal, 10, 11)
        await _aside(plant.mend)
        await line.until(lambda: line.rows() == [0, 1, 2, 3, 4, 5, 6, 10, 11])

    report = line.run(script)
    assert [(g.from_us, g.to_us) for g in report.gaps] == [
        (kit.sample(6).at_us, kit.sample(10).at_us)
    ]
    assert line.kinds().count("gap") == 1


def test_a_restarted_server_that_forgot_its_sessions_is_taken_up_again(
    kit: Kit, plant: Plant, tmp_path: Path
) -> None:
    signal = "level"
    recording = plant.record([signal])
    port = free_port()
    first = ReplayServer(recording, speed=SPEED, port=port)
    plant.loop.call(first.start())
    second = ReplayServer(recording, speed=SPEED, port=port)
    plant.loop.call(second.build())
    line = Line(kit, plant, tmp_path, signal=signal, endpoint=first.endpoint)

    async def script() -> None:
        line.clock.begin(asyncio.get_running_loop().time())
        for row in range(5):
            await _aside(plant.loop.call, first.happen(signal, row))
        await line.until(lambda: line.rows() == list(range(5)))
        await _aside(plant.loop.call, first.close())
        for row in range(30):
            await _aside(plant.loop.call, second.happen(signal, row))
        await asyncio.sleep(1.0)
        await _aside(plant.loop.call, second.listen())
        await _aside(plant.loop.call, second.happen(signal, 30))
        await line.until(lambda: line.rows() == list(range(31)))

    try:
        report = line.run(script)
    finally:
        plant.loop.call(second.close())
    assert report.gaps == ()
    assert "stale" in line.states()[2:]


BAD_STATUS = int(StatusCodes.BadSensorFailure)
DOUBLE, STRING, BOOL = (
    ua.VariantType.Double,
    ua.VariantType.String,
    ua.VariantType.Boolean,
)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ((None, DOUBLE, BAD_STATUS), "BadSensorFailure"),
        (([1.0, 2.0, 3.0], DOUBLE, BAD_STATUS), "BadSensorFailure"),
        ((["1", "2", "3"], STRING, 0), "String, expected 3 numbers"),
        ((1.0, DOUBLE, 0), "1 numbers, expected 3 numbers"),
        (([1.0, 2.0], DOUBLE, 0), "2 numbers, expected 3 numbers"),
        (([True, False, True], BOOL, 0), "Boolean, expected 3 numbers"),
        ((None, DOUBLE, 0), "no value"),
    ],
)
def test_a_bad_sample_is_kept_as_bad_and_the_line_goes_on(
    kit: Kit, plant: Plant, tmp_path: Path, wrong: tuple[Any, Any, int], said: str
) -> None:
    line = Line(kit, plant, tmp_path)

    async def script() -> None:
        await _aside(plant.happen, line.signal, 0)
        await line.until(lambda: line.rows() == [0])
        await _aside(plant.say, line.signal, _value(1, *wrong))
        await line.until(lambda: line.rows() == [0, 1])
        await line.until(lambda: line.states()[-1] == "bad")
        await line.until(lambda: not plant.answer("estimate").StatusCode.is_good())
        assert plant.answer("estimate").Value.Value is None
        assert said in plant.answer("reason").Value.Value
        await _aside(plant.happen, line.signal, 2)
        await line.until(lambda: line.rows() == [0, 1, 2])

    report = line.run(script)
    assert np.isnan(report.table.value).tolist() == [False, True, False]
    assert said in report.table.reason[1]
    assert report.table.why[1] == "bad-status"
    assert report.abstained == {"bad-status": 1}


def test_an_uncertain_status_is_scored_and_said(
    kit: Kit, plant: Plant, tmp_path: Path
) -> None:
    line = Line(kit, plant, tmp_path)
    status = int(StatusCodes.UncertainLastUsableValue)

    async def script() -> None:
        value = _value(0, [1.0, 2.0, 3.0], DOUBLE, status)
        await _aside(plant.say, line.signal, value)
        await line.until(lambda: line.rows() == [0])
        await line.until(lambda: line.states()[-1] == "uncertain")

    report = line.run(script)
    assert report.table.value.tolist() == [2.0]
    assert report.table.quality.tolist() == ["uncertain"]
    answer = plant.answer("estimate")
    assert answer.StatusCode.value >> 30 == 1


def test_an_unchanged_value_with_a_new_time_is_a_new_sample(
    kit: Kit, plant: Plant, tmp_path: Path
) -> None:
    line = Line(kit, plant, tmp_path)

    async def script() -> None:
        for row in range(4):
            value = _value(row, [7.0, 7.0, 7.0], DOUBLE)
            await _aside(plant.say, line.signal, value)
        await line.until(lambda: line.rows() == [0, 1, 2, 3])

    report = line.run(script)
    assert report.table.value.tolist() == [7.0] * 4
    assert report.gaps == ()


def test_the_same_time_is_the_same_sample_whatever_it_says(
    kit: Kit, plant: Plant, tmp_path: Path
) -> None:
    line = Line(kit, plant, tmp_path)

    async def script() -> None:
        await _aside(plant.happen, line.signal, 0)
        await line.until(lambda: line.states()[-1] == "good")
        again = _value(0, [99.0, 99.0, 99.0], DOUBLE)
        await _aside(plant.say, line.signal, again)
        worse = _value(0, [99.0, 99.0, 99.0], DOUBLE, BAD_STATUS)
        await _aside(plant.say, line.signal, worse)
        await line.until(lambda: line.states()[-1] == "bad")

    report = line.run(script)
    assert report.table.value.tolist() == [0.0]
    assert report.duplicates >= 1


def test_a_missing_node_is_said_at_the_start(
    kit: Kit, plant: Plant, tmp_path: Path
) -> None:
    line = Line(kit, plant, tmp_path, signal="nowhere")
    with pytest.raises(NodeMissingError, match=r"ns=2;s=nowhere.*BadNodeIdUnknown"):
        line.run(lambda: asyncio.sleep(0))


def test_a_server_that_is_not_there_is_said_at_the_start(
    kit: Kit, plant: Plant, tmp_path: Path
) -> None:
    line = Line(kit, plant, tmp_path, endpoint="opc.tcp://127.0.0.1:9")
    with pytest.raises(SourceUnreachableError, match=r"127\.0\.0\.1:9"):
        line.run(lambda: asyncio.sleep(0))


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ({"estimate": "ns=2;s=nowhere"}, "BadNodeIdUnknown"),
        ({"estimate": "ns=2;s=tundish.state"}, "expected Double or Float"),
        ({"state": "ns=2;s=tundish.estimate"}, "expected .*String"),
        ({"lower": "i=2258"}, "may not be written"),
    ],
)
def test_a_sink_node_that_cannot_be_used_is_said_at_the_start(
    kit: Kit, plant: Plant, nodes: dict[str, str], said: str
) -> None:
    spec = SinkSpec(kind="opcua", endpoint=plant.server.endpoint, nodes=nodes)
    sink = plugins.open_sink(spec, kit.scenario())

    async def job() -> None:
        try:
            await sink.connect()
        finally:
            await sink.close()

    with pytest.raises(NodeMissingError, match=said):
        asyncio.run(job())


def test_a_sink_that_is_asked_for_an_unknown_thing_is_refused(kit: Kit) -> None:
    spec = SinkSpec(
        kind="opcua", endpoint="opc.tcp://127.0.0.1:9", nodes={"setpoint": "i=1"}
    )
    with pytest.raises(NodeMissingError, match="'setpoint'; expected any of"):
        plugins.open_sink(spec, kit.scenario())


def test_history_is_read_page_by_page_without_loss_or_repetition(
    kit: Kit, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal = plant.signal()
    plant.happen(signal, *range(25))
    monkeypatch.setattr(uahistory, "VALUES_PER_PAGE", 4 * kit.CHANNELS)
    spec = SourceSpec(
        kind="opcua",
        endpoint=plant.server.endpoint,
        nodes={signal: f"ns=2;s={signal}"},
    )
    scenario = kit.scenario(periods={signal: 10.0}, channels=kit.CHANNELS)
    source = plugins.open_source(spec, scenario)

    async def job(until: int | None) -> list[list[float]]:
        await source.connect()
        until_us = None if until is None else kit.sample(until).at_us
        try:
            after_us = kit.sample(2).at_us
            return [
                [float(s.values[0]) for s in page if s.values is not None]
                async for page in source.read_history(signal, after_us, until_us)
            ]
        finally:
            await source.close()

    pages = asyncio.run(job(None))
    assert list(itertools.chain(*pages)) == list(range(3, 25))
    assert max(map(len, pages)) == 4
    assert list(itertools.chain(*asyncio.run(job(10)))) == list(range(3, 11))


def test_nothing_is_acknowledged_before_it_is_asked_for_again(
    kit: Kit, plant: Plant
) -> None:
    signal = plant.signal()
    spec = SourceSpec(
        kind="opcua",
        endpoint=plant.server.endpoint,
        nodes={signal: f"ns=2;s={signal}"},
        options=QUICK,
    )
    scenario = kit.scenario(periods={signal: 10.0}, channels=kit.CHANNELS)
    source = plugins.open_source(spec, scenario)

    service = plant.server._server.iserver.subscription_service
    before = set(service.subscriptions)

    def unacknowledged() -> int:
        return sum(
            len(subscription._not_acknowledged_results)
            for number, subscription in service.subscriptions.items()
            if number not in before
        )

    async def job() -> None:
        await source.connect()
        arrivals = source.samples()
        try:
            while not (await anext(arrivals)).samples:
                pass
            await _aside(plant.happen, signal, 0)
            while not any(s.at_us for s in (await anext(arrivals)).samples):
                pass
            await asyncio.sleep(0.3)
            assert unacknowledged() >= 1
            waiting: asyncio.Task[Any] = asyncio.create_task(_next(arrivals))
            await kit.eventually(lambda: unacknowledged() == 0)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
        finally:
            await source.close()

    asyncio.run(job())


class Cable:
    """A proxy on loopback whose cable can be pulled: packets vanish, sockets stay."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._plugged = asyncio.Event()
        self._plugged.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.endpoint = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.endpoint = f"opc.tcp://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def pull(self) -> None:
        self._plugged.clear()

    def plug(self) -> None:
        self._plugged.set()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, far_writer))
                both.create_task(self._pump(far_reader, writer))
        except* (ConnectionError, EOFError):
            pass
        finally:
            for end in (writer, far_writer):
                end.close()
                with contextlib.suppress(ConnectionError):
                    await end.wait_closed()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65536):
            await self._plugged.wait()
            writer.write(data)
            await writer.drain()
        raise EOFError


def test_a_half_open_connection_is_noticed_and_left(
    kit: Kit, plant: Plant, tmp_path: Path
) -> None:
    """Law: packets that vanish without a word do not keep the line green."""
    port = int(plant.server.endpoint.rsplit(":", 1)[1])
    signal = plant.signal()

    async def job() -> tuple[Line, Any]:
        async with Cable(port) as cable:
            line = Line(kit, plant, tmp_path, signal=signal, endpoint=cable.endpoint)
            stop = asyncio.Event()
            running = asyncio.create_task(line.engine.run(stop))
            try:
                await line.until(lambda: "link-restored" in line.kinds())
                await _play(line, 0, 5)
                await line.until(lambda: line.rows() == list(range(5)))
                cable.pull()
                await _play(line, 5, 30, begin=False)
                await line.until(lambda: "link-lost" in line.kinds())
                await line.until(lambda: line.states()[-1] == "stale")
                cable.plug()
                await line.until(lambda: line.rows() == list(range(30)))
            finally:
                stop.set()
                report = await running
            line.final = line.rows()
            line.buffer.close()
            return line, report

    line, report = asyncio.run(job())
    assert report.gaps == ()
    assert line.rows() == list(range(30))


def _add_node(plant: Plant, name: str, value: ua.Variant) -> str:
    async def job() -> str:
        objects = plant.server._server.nodes.objects
        node_id = ua.NodeId(ua.String(name), ua.Int16(2))
        node = await objects.add_variable(node_id, name, value)
        await node.set_writable()
        return str(node.nodeid.to_string())

    return str(plant.loop.call(job()))


def _read_node(plant: Plant, node: str) -> Any:
    return plant.loop.call(plant.server._server.get_node(node).read_data_value())


def test_a_state_node_may_hold_numbers_and_an_alarm_is_written(
    kit: Kit, plant: Plant
) -> None:
    state = _add_node(plant, "state-number", ua.Variant(0, ua.VariantType.Int32))
    nodes = {"state": state, "alarm": "ns=2;s=tundish.alarm"}
    nodes["estimate"] = "ns=2;s=tundish.estimate"
    spec = SinkSpec(kind="opcua", endpoint=plant.server.endpoint, nodes=nodes)
    sink = plugins.open_sink(spec, kit.scenario())
    answer = Estimate(
        at_us=kit.START_US,
        quality="good",
        value=1.5,
        alarm=True,
        model=kit.MODEL,
        input=kit.MODEL,
    )

    async def job() -> None:
        await sink.connect()
        try:
            await sink.write_estimates((answer,))
            await sink.write_state(
                TagState(signal="t", state="bad"), "shadow", kit.START_US
            )
        finally:
            await sink.close()

    asyncio.run(job())
    assert _read_node(plant, state).Value.Value == 2
    assert plant.answer("alarm").Value.Value is True
    assert plant.answer("estimate").Value.Value == pytest.approx(1.5)


def test_a_stale_line_takes_its_numbers_away(kit: Kit, plant: Plant) -> None:
    spec = SinkSpec(
        kind="opcua",
        endpoint=plant.server.endpoint,
        nodes={"estimate": "ns=2;s=tundish.estimate", "state": "ns=2;s=tundish.state"},
    )
    sink = plugins.open_sink(spec, kit.scenario())

    async def job() -> None:
        await sink.connect()
        try:
            stale = TagState(signal="t", state="stale", reason="cable out")
            await sink.write_state(stale, "shadow", kit.START_US)
        finally:
            await sink.close()

    asyncio.run(job())
    assert plant.answer("state").Value.Value == "stale"
    assert plant.answer("estimate").Value.Value is None
    assert plant.answer("estimate").StatusCode.is_bad()


def test_a_write_that_is_refused_for_good_is_told_and_the_line_goes_on(
    kit: Kit, plant: Plant, tmp_path: Path
) -> None:
    line = Line(kit, plant, tmp_path)
    node = plant.server._server.get_node("ns=2;s=tundish.lower")

    async def script() -> None:
        await _aside(plant.loop.call, node.set_writable(False))
        await _aside(plant.happen, line.signal, 0, 1)
        await line.until(lambda: "sink-refused" in line.kinds())
        await line.until(lambda: line.rows() == [0, 1])

    try:
        report = line.run(script)
    finally:
        plant.loop.call(node.set_writable())
    assert report.refused["sink"] >= 1
    assert line.kinds().count("sink-refused") == 1


def test_a_historian_that_fails_makes_a_gap_with_its_reason(
    kit: Kit, plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*arguments: object) -> None:
        raise ua.uaerrors.BadHistoryOperationUnsupported

    monkeypatch.setattr(plant.server._historian, "read_node_history", fail)
    line = Line(kit, plant, tmp_path)

    async def script() -> None:
        await _aside(plant.happen, line.signal, 0, 1, 4)
        await line.until(lambda: line.rows() == [0, 1, 4])

    report = line.run(script)
    assert len(report.gaps) == 1
    assert "gives no history" in report.gaps[0].reason


def test_a_plant_plays_its_rows_and_cuts_itself_off_as_planned(plant: Plant) -> None:
    server = plant.server
    plant.loop.call(
        server.play(rows=Stretch(0, 3), cuts=[Stretch(1, 3)]),
    )
    assert server.row == 2
    assert not server.connected
    plant.loop.call(server.play(rows=Stretch(0, 1)))
    assert server.connected


def test_a_source_time_is_never_invented(kit: Kit) -> None:
    tag = Tag(
        signal="level", channels=1, node=ua.NodeId(), spec=NodeSpec(node="i=1", scale=2)
    )
    number = ua.Variant(21.0, DOUBLE)
    at = ua.DateTime(2020, 1, 1, tzinfo=UTC)
    timed = to_sample(tag, ua.DataValue(number, SourceTimestamp=at))
    assert (timed.quality, timed.at_us) == ("good", kit.START_US)
    assert timed.values is not None
    assert timed.values.tolist() == [42.0]
    server_time = to_sample(tag, ua.DataValue(number, ServerTimestamp=at))
    assert (server_time.quality, server_time.at_us) == ("uncertain", kit.START_US)
    untimed = to_sample(tag, ua.DataValue(number))
    assert untimed.at_us is None
    assert untimed.quality != "good"
