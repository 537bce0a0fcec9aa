"""Laws of how an OPC UA server is asked to watch a tag, against a real asyncua server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.server.monitored_item_service import MonitoredItemService
from asyncua.server.server import Server
from tests.ports import free_port

from tundish.catalog.errors import DocumentInvalidError
from tundish.line import plugins
from tundish.line.dryrun import judge_input
from tundish.line.engine import LineEngine
from tundish.line.events import Event
from tundish.line.linefile import NodeSpec, SourceSpec
from tundish.line.pace import Pace
from tundish.line.parts import EngineOptions, LineParts
from tundish.line.report import LineReport

Kit = Any
PERIOD_S, STALE_S = 1.0, 2.5
DEADBAND: dict[str, Any] = {"deadband": 0.5}

pytestmark = [pytest.mark.integration]


class Constant:
    """A server with one tag that nobody writes, unless a test does."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self.endpoint = f"opc.tcp://127.0.0.1:{free_port()}/constant"
        self._server: Any = None
        self._node: Any = None
        loop.call(self._begin())

    async def _begin(self) -> None:
        self._server = server = Server()
        await server.init()
        server.set_endpoint(self.endpoint)
        space = await server.register_namespace("urn:constant")
        where = ua.NodeId(ua.String("tag"), ua.Int16(space))
        self._node = await server.nodes.objects.add_variable(where, "tag", 5.0)
        self.node = where.to_string()
        await server.start()

    def say(self, value: float) -> None:
        """Write a value with a source time of now."""
        at: Any = datetime.now(UTC)
        told = ua.DataValue(ua.Variant(value), SourceTimestamp=at)
        self._loop.call(self._node.write_value(told))

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            self._loop.call(server.stop())


@pytest.fixture(scope="module")
def server(loop_thread: Any) -> Iterator[Constant]:
    one = Constant(loop_thread)
    yield one
    one.stop()


class Watching:
    """A line on that tag."""

    def __init__(
        self, kit: Kit, folder: Path, server: Constant, options: dict[str, Any]
    ) -> None:
        self.kit = kit
        self.node = NodeSpec(node=server.node, options=options)
        spec = SourceSpec(
            kind="opcua",
            endpoint=server.endpoint,
            nodes={"level": self.node},
            options={"probe_s": 0.3, "recheck_s": 1.0},
        )
        self.scenario = kit.scenario(
            periods={"level": PERIOD_S}, stale_after_s=STALE_S, rows=1
        )
        self.source: Any = plugins.open_source(spec, self.scenario)
        self.buffer = kit.buffer(folder / "b.db", self.scenario)
        self.events: list[Event] = []
        parts = LineParts(
            scenario=self.scenario, scorer=kit.MeanScorer(), model=kit.MODEL,
            sources=(self.source,), buffer=self.buffer,
        )  # fmt: skip
        options_ = EngineOptions(tick_s=0.02, progress_s=0.1)
        self.engine = LineEngine(parts, options=options_, on_event=self.events.append)

    def states(self) -> list[str]:
        return [str(e.detail["state"]) for e in self.events if e.kind == "state"]

    def run(self, script: Callable[[], Awaitable[None]]) -> LineReport:
        async def job() -> LineReport:
            stop = asyncio.Event()
            running = asyncio.create_task(self.engine.run(stop))
            try:
                await self.kit.eventually(
                    lambda: "good" in self.states() or running.done()
                )
                await script()
            finally:
                stop.set()
            return await running

        return asyncio.run(asyncio.wait_for(job(), 40))


def test_a_constant_tag_with_a_deadband_stays_good_until_its_server_is_gone(
    kit: Kit, loop_thread: Any, tmp_path: Path
) -> None:
    """Nobody writes it: its source time never moves, and the server says it stands."""
    server = Constant(loop_thread)
    server.say(5.0)
    line = Watching(kit, tmp_path, server, DEADBAND)

    async def script() -> None:
        await asyncio.sleep(4.5)
        assert line.states()[-1] == "good"
        assert line.states().count("good") == 1
        await asyncio.get_running_loop().run_in_executor(None, server.stop)
        await kit.eventually(lambda: line.states()[-1] == "stale")

    report = line.run(script)
    samples = line.buffer.samples_after(0, limit=100)
    assert 3 <= len(samples) <= 10, "once in each period"
    assert all(s.quality == "good" and s.values.tolist() == [5.0] for s in samples)
    assert report.estimates >= 3


def test_a_constant_tag_without_one_is_stale(
    kit: Kit, server: Constant, tmp_path: Path
) -> None:
    server.say(5.0)
    line = Watching(kit, tmp_path, server, {})

    async def script() -> None:
        await kit.eventually(lambda: line.states()[-1] == "stale")

    line.run(script)


def test_a_value_within_the_deadband_is_read_with_its_own_time(
    kit: Kit, server: Constant, tmp_path: Path
) -> None:
    server.say(5.0)
    line = Watching(kit, tmp_path, server, DEADBAND)

    async def script() -> None:
        loop = asyncio.get_running_loop()
        for n in range(12):
            await loop.run_in_executor(None, server.say, 5.0 + n / 100)
            await asyncio.sleep(0.25)
        assert line.states()[-1] == "good"

    line.run(script)
    samples = line.buffer.samples_after(0, limit=100)
    assert 3 <= len(samples) <= 9, "the server told of none but the first"
    assert [s.at_us for s in samples] == sorted({s.at_us for s in samples})
    assert len({float(s.values[0]) for s in samples}) >= 3


def test_a_server_that_takes_a_percent_and_does_nothing_hides_no_change(
    kit: Kit, server: Constant, tmp_path: Path
) -> None:
    """asyncua's server knows no percent deadband and never tells; the reading does."""
    server.say(5.0)
    percent = {"deadband": 1.0, "deadband_kind": "percent"}
    line = Watching(kit, tmp_path, server, percent)

    async def script() -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, server.say, 50.0)
        await kit.eventually(
            lambda: (
                line.buffer.samples_after(0, limit=100)[-1].values.tolist() == [50.0]
            )
        )

    line.run(script)


@pytest.mark.parametrize("share", [0.0, 101.0])
def test_a_percent_that_is_none_is_refused(
    kit: Kit, server: Constant, tmp_path: Path, share: float
) -> None:
    with pytest.raises(DocumentInvalidError, match="percent deadband"):
        Watching(kit, tmp_path, server, {"deadband": share, "deadband_kind": "percent"})


def test_what_the_server_made_of_the_wish_is_shown(
    kit: Kit, server: Constant, tmp_path: Path
) -> None:
    """asyncua looks once in each publishing interval, whatever is asked."""
    server.say(5.0)
    line = Watching(kit, tmp_path, server, {"sampling_ms": 10.0, "queue_size": 7})

    async def script() -> None:
        pace = {"sampling_ms": 50.0, "publishing_ms": 50.0, "queue": 7}
        status = line.engine.status()
        assert status.paces == {server.endpoint: pace}
        assert status.slow == ()

    line.run(script)
    (tmp_path / "other").mkdir()
    other = Watching(kit, tmp_path / "other", server, {"queue_size": 7})
    seen = asyncio.run(other.source.inspect()).tags[0]
    assert seen.pace == Pace(sampling_ms=50.0, queue=7, publishing_ms=50.0)
    assert "every 50 ms, keeps 7 values" in _judged(other, seen).said


def test_a_server_that_looks_too_seldom_is_said(
    kit: Kit, server: Constant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = MonitoredItemService.create_monitored_items
    slow_ms = [2000.0]

    async def create(self: Any, params: Any) -> Any:
        results = await usual(self, params)
        for one in results:
            one.RevisedSamplingInterval = slow_ms[0]
        return results

    monkeypatch.setattr(MonitoredItemService, "create_monitored_items", create)
    server.say(5.0)
    line = Watching(kit, tmp_path, server, {})
    said = "the server looks at it every 2 s, and the contract wants a value every 1 s"

    async def script() -> None:
        await kit.eventually(lambda: bool(line.engine.status().slow))
        assert line.engine.status().slow == (f"level: {said}",)

    line.run(script)
    assert [e.text for e in line.events if e.kind == "slow-server"] == [
        f"level: {said}"
    ]
    for slow_ms[0], verdict in ((2000.0, "doubt"), (3000.0, "wrong")):
        seen = asyncio.run(line.source.inspect()).tags[0]
        row = _judged(line, seen)
        assert row.verdict == verdict
        assert f"every {slow_ms[0] / 1000:g} s" in row.said


def test_a_queue_too_short_for_its_interval_is_said() -> None:
    pace = Pace(sampling_ms=10.0, queue=10, publishing_ms=1000.0)
    assert "the others are lost" in pace.too_slow(1.0)
    assert Pace(sampling_ms=10.0, queue=100, publishing_ms=1000.0).too_slow(1.0) == ""


def _judged(line: Watching, seen: Any) -> Any:
    signal = line.scenario.signal("level")

    def same(_plant: str, _contract: str) -> tuple[float, float]:
        return 1.0, 0.0

    return judge_input("x", signal, line.node, seen, same, STALE_S)
