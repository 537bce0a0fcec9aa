"""What plants do to an OPC UA line, and what must hold after each of it.

After every case the same is asked (``Watched.settle``): every row of the plant has its
answer once, with its own number and in order, or lies in a recorded gap or is said to
be bad; nothing else is there; the state was red while it had to be, and is good again.
Servers are real (asyncua) and run in processes of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.line.chaos_proxy import ChaosProxy
from tests.line.ua_peer import WRAP, Papers, PlantProcess

from tundish.kernel.errors import DiskFullError
from tundish.line import plugins
from tundish.line.engine import LineEngine
from tundish.line.errors import NodeMissingError
from tundish.line.events import Event
from tundish.line.linefile import SourceSpec
from tundish.line.parts import EngineOptions, LineParts

Kit = Any

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PERIOD_US = 100_000
QUICK: dict[str, bool | int | float | str] = {
    "publishing_ms": 20,
    "timeout_s": 1.0,
    "probe_s": 0.3,
    "recheck_s": 0.5,
    "retry_first_s": 0.1,
    "retry_max_s": 0.3,
}


class Watched:
    """A line on one tag of a plant, and what it did."""

    def __init__(
        self, kit: Kit, folder: Path, plant: PlantProcess, tag: str = "t0", **more: Any
    ) -> None:
        self.kit, self.plant, self.tag = kit, plant, tag
        self.more = more.pop("beside", ())
        periods = dict.fromkeys((tag, *self.more), PERIOD_US / 1e6)
        self.scenario = kit.scenario(
            periods=periods, stale_after_s=1.0, rows=1, **more.pop("contract", {})
        )
        spec = SourceSpec(
            kind="opcua",
            endpoint=more.pop("endpoint", plant.endpoint),
            security=more.pop("security", None),
            nodes={name: f"ns=2;s={name}" for name in periods},
            options=QUICK | more,
        )
        self.buffer = kit.buffer(folder / "b", self.scenario)
        self.events: list[Event] = []
        self.answered: list[int] = []
        self.engine = LineEngine(
            LineParts(
                scenario=self.scenario,
                scorer=kit.MeanScorer(),
                model=kit.MODEL,
                sources=(plugins.open_source(spec, self.scenario),),
                buffer=self.buffer,
            ),
            options=EngineOptions(tick_s=0.02),
            on_event=self.events.append,
        )

    def said(self, kind: str) -> list[str]:
        return [event.text for event in self.events if event.kind == kind]

    def states(self) -> list[str]:
        return [str(e.detail["state"]) for e in self.events if e.kind == "state"]

    def rows(self) -> list[int]:
        found = self.buffer.estimates_after(0, limit=10**6)
        return [(e.at_us - self.plant.start_us) // PERIOD_US for e in found]

    async def until(self, condition: Callable[[], bool], limit_s: float = 25.0) -> None:
        await self.kit.eventually(condition, limit_s)

    async def grow(self, rows: int = 5) -> None:
        """Wait until the line is good and has answered some more rows."""
        have = len(self.rows())
        await self.until(
            lambda: len(self.rows()) >= have + rows and self.states()[-1] == "good"
        )

    def run(self, script: Callable[[], Any]) -> Any:
        """Run the line, let a script happen, and end it when it has caught up."""

        async def job() -> Any:
            stop = asyncio.Event()
            running = asyncio.create_task(self.engine.run(stop))
            try:
                await asyncio.wait(
                    {running, asyncio.create_task(self.grow())},
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not running.done():
                    await script()
                    await self.grow()
            finally:
                stop.set()
                report = await running
            return report

        try:
            report = asyncio.run(job())
            self.settle(report)
            return report
        finally:
            self.buffer.close()

    def settle(self, report: Any) -> None:
        """Ask what must hold after every case."""
        answers = self.buffer.estimates_after(0, limit=10**6)
        self.answered = self.rows()
        times = [e.at_us for e in answers]
        assert times == sorted(set(times)), "an answer is doubled or out of order"
        for answer in answers:
            row = (answer.at_us - self.plant.start_us) / PERIOD_US
            assert row == int(row), "a source time was invented"
            if answer.value is not None:  # of two tags, one may still give its last row
                near = 0.5 if self.more else 0.0
                off = abs(answer.value - row % WRAP)
                assert off <= near or (near and row % WRAP == 0), "invented"
        have = {(at - self.plant.start_us) // PERIOD_US for at in times}
        missing = set(range(min(have), max(have) + 1)) - have
        for row in missing:
            at_us = self.plant.start_us + row * PERIOD_US
            assert any(
                gap.signal == self.tag and gap.from_us < at_us < gap.to_us
                for gap in report.gaps
            ), f"row {row} is neither there nor in a gap"
        assert report.states[-1].state == "good"


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlantProcess]:
    with PlantProcess(tmp_path_factory.mktemp("plant"), tags=8) as made:
        yield made


async def _aside(job: Callable[..., Any], *args: Any, **more: Any) -> Any:
    return await asyncio.to_thread(lambda: job(*args, **more))


@pytest.fixture
def proxy(plant: PlantProcess) -> Iterator[ChaosProxy]:
    with ChaosProxy(plant.settings["port"]) as made:
        yield made


def test_a_server_that_restarts_is_read_on_and_the_time_without_it_is_a_gap(
    kit: Kit, tmp_path: Path
) -> None:
    """The server forgets its history as well: what was missed is a recorded gap."""
    with PlantProcess(tmp_path) as plant:
        line = Watched(kit, tmp_path, plant)

        async def script() -> None:
            await _aside(plant.kill)
            await line.until(lambda: line.states()[-1] == "stale")
            await asyncio.sleep(0.5)
            await _aside(plant.start)

        report = line.run(script)
    assert "stale" in line.states()
    assert report.gaps


def test_a_cable_out_for_long_loses_nothing_that_history_has(
    kit: Kit, tmp_path: Path, plant: PlantProcess, proxy: ChaosProxy
) -> None:
    """Ten minutes of a tag of one value in ten seconds, at a hundred times the speed."""
    line = Watched(kit, tmp_path, plant, endpoint=proxy.endpoint)

    async def script() -> None:
        await _aside(proxy.cut)
        await asyncio.sleep(6)
        assert line.states()[-1] == "stale"
        await _aside(proxy.mend)

    report = line.run(script)
    assert report.gaps == ()
    assert report.backfilled >= 50


def test_a_half_open_link_turns_red_and_is_left(
    kit: Kit, tmp_path: Path, plant: PlantProcess, proxy: ChaosProxy
) -> None:
    line = Watched(kit, tmp_path, plant, endpoint=proxy.endpoint)

    async def script() -> None:
        proxy.freeze()
        await line.until(lambda: line.states()[-1] == "stale", 3.0)
        await line.until(lambda: "link-lost" in {e.kind for e in line.events}, 5.0)
        proxy.thaw()

    report = line.run(script)
    assert report.gaps == ()


def test_a_server_that_stands_still_turns_red(kit: Kit, tmp_path: Path) -> None:
    with PlantProcess(tmp_path) as plant:
        line = Watched(kit, tmp_path, plant)

        async def script() -> None:
            plant.pause()
            await line.until(lambda: line.states()[-1] == "stale", 3.0)
            await asyncio.sleep(3)
            plant.go_on()

        line.run(script)


def test_five_percent_loss_and_delay_lose_nothing(
    kit: Kit, tmp_path: Path, plant: PlantProcess, proxy: ChaosProxy
) -> None:
    line = Watched(kit, tmp_path, plant, endpoint=proxy.endpoint)

    async def script() -> None:
        proxy.loss, proxy.delay_s = 0.05, 0.02
        await asyncio.sleep(8)
        proxy.loss = proxy.delay_s = 0.0

    report = line.run(script)
    assert proxy.lost > 0
    assert report.gaps == ()


def test_connections_dropped_again_and_again_lose_nothing(
    kit: Kit, tmp_path: Path, plant: PlantProcess, proxy: ChaosProxy
) -> None:
    line = Watched(kit, tmp_path, plant, endpoint=proxy.endpoint)

    async def script() -> None:
        for _ in range(8):
            await _aside(proxy.drop)
            await asyncio.sleep(0.4)

    report = line.run(script)
    assert report.gaps == ()
    assert len(line.said("link-lost")) >= 4


def test_a_session_that_the_server_forgot_is_made_anew(
    kit: Kit, tmp_path: Path, plant: PlantProcess
) -> None:
    line = Watched(kit, tmp_path, plant)

    async def script() -> None:
        await _aside(plant.order, "forget")
        await line.until(lambda: len(line.said("link-restored")) > 1)

    report = line.run(script)
    assert report.gaps == ()


def test_a_notification_that_was_left_out_is_noticed_by_its_number(
    kit: Kit, tmp_path: Path, plant: PlantProcess
) -> None:
    line = Watched(kit, tmp_path, plant)

    async def script() -> None:
        await _aside(plant.order, "skip")
        await line.until(lambda: len(line.said("link-restored")) > 1)

    report = line.run(script)
    assert any("left out notifications" in text for text in line.said("link-lost"))
    assert report.gaps == ()


@pytest.mark.parametrize("fault", ["bad", "type", "last-good-as-bad"])
def test_a_value_that_is_none_never_becomes_a_number(
    kit: Kit, tmp_path: Path, plant: PlantProcess, fault: str
) -> None:
    line = Watched(kit, tmp_path, plant, "t1")

    async def script() -> None:
        await _aside(plant.order, "fault", name="t1", fault=fault)
        await line.until(lambda: line.states()[-1] == "bad")
        await line.until(
            lambda: line.engine.report().abstained.get("bad-status", 0) > 3
        )
        await _aside(plant.order, "mend", name="t1")

    report = line.run(script)
    assert report.abstained.get("bad-status", 0) >= 4
    assert len(line.said("link-restored")) == 1, "one tag ended the connection"


@pytest.mark.parametrize("how", ["vanish", "silence"])
def test_a_node_that_vanishes_is_bad_by_itself_and_heals_by_itself(
    kit: Kit, tmp_path: Path, plant: PlantProcess, how: str
) -> None:
    tag = {"vanish": "t2", "silence": "t3"}[how]
    line = Watched(kit, tmp_path, plant, tag)

    async def script() -> None:
        await _aside(plant.order, how, name=tag)
        await line.until(lambda: line.states()[-1] in {"bad", "stale"})
        if how == "vanish":
            await line.until(lambda: "BadNodeIdUnknown" in line.said("state")[-1])
            await _aside(plant.order, "return", name=tag)

    line.run(script)
    assert len(line.said("link-restored")) == 1, "one tag ended the connection"


def test_a_tag_that_vanished_leaves_the_others_alone(
    kit: Kit, tmp_path: Path, plant: PlantProcess
) -> None:
    line = Watched(kit, tmp_path, plant, "t4", beside=("t5",))

    def read() -> int:
        kept = line.buffer.samples_after(0, limit=10**6)
        return sum(one.signal == "t4" and one.values is not None for one in kept)

    async def script() -> None:
        await _aside(plant.order, "vanish", name="t5")
        await line.until(lambda: line.states()[-1] in {"bad", "stale"})
        then = read()
        await line.until(lambda: read() >= then + 10)
        assert line.states()[-1] in {"bad", "stale"}
        await _aside(plant.order, "return", name="t5")

    line.run(script)
    assert len(line.said("link-restored")) == 1


def test_a_node_that_is_not_there_keeps_a_line_from_starting_unless_it_may(
    kit: Kit, tmp_path: Path, plant: PlantProcess
) -> None:
    with pytest.raises(NodeMissingError, match="late cannot be read at"):
        Watched(kit, tmp_path / "a", plant, "t6", beside=("late",)).run(_nothing)
    line = Watched(kit, tmp_path / "c", plant, "t6", beside=("late",), missing="run")

    async def job() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(line.engine.run(stop))
        await line.until(lambda: "BadNodeIdUnknown" in "".join(line.said("state")))
        await _aside(plant.order, "return", name="late")
        await line.grow()
        stop.set()
        await running

    asyncio.run(job())
    line.buffer.close()
    plant.order("vanish", name="late")


async def _nothing() -> None:
    pass


def test_a_clock_that_jumps_is_told_and_the_state_is_true(
    kit: Kit, tmp_path: Path
) -> None:
    with PlantProcess(tmp_path) as plant:
        line = Watched(kit, tmp_path, plant)

        async def script() -> None:
            await line.until(lambda: bool(line.said("clock")))
            await _aside(plant.order, "clock", by_s=3600)
            await line.until(lambda: bool(line.said("clock-jump")))

        report = line.run(script)
    assert any(
        "jumped 3" in text and "forward" in text for text in line.said("clock-jump")
    )
    assert report.clocks[plant.endpoint].offset_s == pytest.approx(3600, abs=2)


def test_a_server_without_subscriptions_is_polled(
    kit: Kit, tmp_path: Path, plant: PlantProcess, proxy: ChaosProxy
) -> None:
    line = Watched(
        kit, tmp_path, plant, "t7", endpoint=proxy.endpoint, mode="poll", poll_ms=50
    )

    async def script() -> None:
        await _aside(proxy.cut)
        await line.until(lambda: line.states()[-1] == "stale")
        await _aside(proxy.mend)

    report = line.run(script)
    assert report.gaps == ()


def test_a_secured_link_that_is_cut_is_secured_again(kit: Kit, tmp_path: Path) -> None:
    papers = Papers(tmp_path)
    with (
        PlantProcess(tmp_path, **papers.server()) as plant,
        ChaosProxy(plant.settings["port"]) as proxy,
    ):
        line = Watched(
            kit, tmp_path, plant, endpoint=proxy.endpoint, security=papers.spec()
        )

        async def script() -> None:
            for _ in range(3):
                await _aside(proxy.drop)
                await line.until(lambda: line.states()[-1] == "good")
                await asyncio.sleep(0.5)

        report = line.run(script)
    assert report.gaps == ()


def test_a_full_disk_ends_the_line_and_the_next_start_goes_on(
    kit: Kit, tmp_path: Path, plant: PlantProcess
) -> None:
    line = Watched(kit, tmp_path, plant)
    acknowledged: list[int] = []

    async def fill() -> None:
        pages = line.buffer._db.execute("PRAGMA page_count").fetchone()[0]
        line.buffer._db.execute(f"PRAGMA max_page_count = {pages}")
        acknowledged.extend(line.rows())
        await asyncio.sleep(20)

    with pytest.raises(DiskFullError):
        asyncio.run(_until_it_fails(line, fill))
    line.buffer.close()
    again = Watched(kit, tmp_path, plant)
    report = again.run(_nothing)
    assert acknowledged
    assert set(acknowledged) <= set(again.answered), "an answer on disk was lost"
    assert report.gaps == ()


async def _until_it_fails(line: Watched, script: Callable[[], Any]) -> None:
    running = asyncio.create_task(line.engine.run(asyncio.Event()))
    await line.grow()
    happening = asyncio.create_task(script())
    try:
        await asyncio.wait_for(running, 30)
    finally:
        happening.cancel()


async def _first_values(source: Any, count: int) -> dict[str, float]:
    """Return the first good value of each tag."""
    found: dict[str, float] = {}
    try:
        await source.connect()
        async with asyncio.timeout(60):
            async for arrival in source.samples():
                for sample in arrival.samples:
                    if sample.values is not None:
                        found.setdefault(sample.signal, float(sample.values[0]))
                if len(found) == count:
                    return found
    finally:
        await source.close()
    return found


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("tags", "secured"), [(5000, False), (2000, True)], ids=["5000", "2000-secured"]
)
def test_thousands_of_tags_come_through_a_server_that_takes_few_at_once(
    kit: Kit, tmp_path: Path, tags: int, secured: bool
) -> None:
    """Chunks of 8 kB, 1 MB a message, 300 nodes a call: the limits that stop others."""
    papers = Papers(tmp_path)
    settings: dict[str, Any] = {"most_read": 300, "message_bytes": 1_000_000}
    if secured:
        settings |= papers.server()
    with PlantProcess(tmp_path, tags=tags, period_s=3.0, **settings) as plant:
        names = [f"t{number}" for number in range(tags)]
        spec = SourceSpec(
            kind="opcua",
            endpoint=plant.endpoint,
            security=papers.spec() if secured else None,
            nodes={name: f"ns=2;s={name}" for name in names},
            options={"publishing_ms": 200, "timeout_s": 10.0},
        )
        scenario = kit.scenario(periods=dict.fromkeys(names, 3.0))
        source = plugins.open_source(spec, scenario)
        found = asyncio.run(_first_values(source, tags))
    assert len(found) == tags
