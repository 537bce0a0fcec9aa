"""Laws of the engine, with a source and a sink that the test drives."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tundish.kernel.clock import ManualClock
from tundish.line.engine import LineEngine
from tundish.line.errors import HistoryUnavailableError, ModeRefusedError
from tundish.line.events import Event
from tundish.line.parts import EngineOptions, LineParts
from tundish.line.samples import from_us

Kit = Any  # the class lives in conftest, which cannot be imported


class Bench:
    """A line on the bench: everything a test wants to touch."""

    def __init__(self, kit: Kit, folder: Path, **options: Any) -> None:
        self.kit = kit
        self.scenario = options.pop("scenario", kit.scenario())
        self.source = kit.ScriptedSource(
            tuple(signal.name for signal in self.scenario.signals)
        )
        self.sink = kit.ListSink()
        self.scorer = kit.MeanScorer()
        self.buffer = kit.buffer(folder / "b", self.scenario)
        self.clock = ManualClock(from_us(kit.START_US))
        self.events: list[Event] = []
        parts = LineParts(
            scenario=self.scenario,
            scorer=self.scorer,
            model=kit.MODEL,
            sources=(self.source,),
            sinks=(self.sink,),
            buffer=self.buffer,
        )
        quick: dict[str, Any] = {"sink_pauses_s": (0.01, 0.02), "drain_s": 0.5}
        settings = EngineOptions(tick_s=0.01, **quick | options)
        self.engine = LineEngine(
            parts, options=settings, clock=self.clock, on_event=self.events.append
        )
        self.stop = asyncio.Event()
        self.final: list[float] | None = None

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events if event.kind != "progress"]

    def state(self) -> str:
        return self.sink.states[-1][0].state if self.sink.states else ""

    def answered(self) -> list[float]:
        if self.final is not None:
            return self.final
        found = self.buffer.estimates_after(0, limit=10**6)
        return [(e.at_us - self.kit.START_US) / 1e7 for e in found]

    async def during(self, script: Callable[[], Any]) -> Any:
        running = asyncio.create_task(self.engine.run(self.stop))
        try:
            await script()
        finally:
            self.stop.set()
            report = await running
        return report


def _run(bench: Bench, script: Callable[[], Any]) -> Any:
    try:
        return asyncio.run(bench.during(script))
    finally:
        bench.final = bench.answered()
        bench.buffer.close()


def _bench(kit: Kit, tmp_path: Path, **options: Any) -> Bench:
    return Bench(kit, tmp_path, **options)


def test_samples_become_answers_at_the_sink_in_order(kit: Kit, tmp_path: Path) -> None:
    bench = _bench(kit, tmp_path)

    async def script() -> None:
        for row in range(20):
            bench.source.give(kit.sample(row))
        await kit.eventually(lambda: len(bench.sink.taken) == 20)

    report = _run(bench, script)
    assert [e.value for e in bench.sink.taken] == list(range(20))
    assert report.ended == "stopped"
    assert (report.received, report.estimates, report.scored) == (20, 20, 20)
    assert report.delivered == {"list": 20}
    assert report.table.value.tolist() == list(range(20))
    assert report.latency_ms["n"] == 20
    assert report.settled_until == from_us(kit.sample(19).at_us)
    assert bench.source.closed
    assert bench.kinds()[-1] == "stopped"
    assert "20 answers" in report.one_line()


def test_what_stands_at_the_start_is_not_collected_while_the_line_runs(
    kit: Kit, tmp_path: Path
) -> None:
    """A full collection would hold answers of a large line by a tenth of a second."""
    bench = Bench(kit, tmp_path)

    async def script() -> None:
        bench.source.give(kit.sample(0))
        await kit.eventually(lambda: bench.engine.report().received == 1)
        assert gc.get_freeze_count() > 10_000

    asyncio.run(bench.during(script))
    assert gc.get_freeze_count() == 0


def test_the_line_ends_by_itself_at_the_time_asked_for(
    kit: Kit, tmp_path: Path
) -> None:
    bench = _bench(kit, tmp_path, until=from_us(kit.sample(5).at_us))

    async def script() -> None:
        bench.source.give(*(kit.sample(row) for row in range(9)))
        await kit.eventually(lambda: "stopped" in bench.kinds())

    report = _run(bench, script)
    assert report.ended == "until"
    assert len(bench.sink.taken) == 9


def test_the_state_follows_the_clock_and_its_changes_are_events(
    kit: Kit, tmp_path: Path
) -> None:
    bench = _bench(kit, tmp_path)

    async def script() -> None:
        await kit.eventually(lambda: bench.state() == "stale")
        bench.source.give(kit.sample(0))
        await kit.eventually(lambda: bench.state() == "good")
        bench.source.link(up=False)
        await kit.eventually(lambda: bench.state() == "uncertain")
        bench.clock.advance(31)
        await kit.eventually(lambda: bench.state() == "stale")
        bench.source.link(up=True)
        bench.source.give(kit.sample(3))
        await kit.eventually(lambda: bench.state() == "good")

    report = _run(bench, script)
    seen = [change.state for change in report.states]
    assert seen == ["stale", "good", "uncertain", "stale", "good"]
    assert [e.detail["state"] for e in bench.events if e.kind == "state"] == seen
    assert report.states[3].at - report.states[0].at == timedelta(seconds=31)
    assert {mode for _, mode in bench.sink.states} == {"shadow"}


def test_after_a_cut_history_is_read_and_nothing_overtakes_it(
    kit: Kit, tmp_path: Path
) -> None:
    bench = _bench(kit, tmp_path)
    bench.source.history["level"] = [kit.sample(row) for row in range(40)]

    async def script() -> None:
        bench.source.give(kit.sample(0), kit.sample(1))
        await kit.eventually(lambda: len(bench.answered()) == 2)
        bench.source.history_gate = asyncio.Event()
        bench.source.link(up=False)
        bench.clock.advance(300)
        bench.source.link(up=True)
        bench.source.give(kit.sample(30))
        bench.source.give(kit.sample(31))
        await asyncio.sleep(0.1)
        assert bench.answered() == [0, 1], "a live sample overtook the hole"
        bench.source.history_gate.set()
        await kit.eventually(lambda: len(bench.sink.taken) == 40)

    report = _run(bench, script)
    assert bench.answered() == list(range(40))
    assert [e.at_us for e in bench.sink.taken] == sorted(
        e.at_us for e in bench.sink.taken
    )
    assert report.backfilled == 36
    assert report.gaps == ()
    assert "backfilled" in bench.kinds()


def test_many_holes_do_not_flood_a_server(kit: Kit, tmp_path: Path) -> None:
    names = [f"tag{number}" for number in range(50)]
    scenario = kit.scenario(periods=dict.fromkeys(names, 10.0))
    bench = _bench(kit, tmp_path, scenario=scenario)
    asked: list[str] = []
    most: list[int] = []
    plain = bench.source.read_history

    async def counted(signal: str, after_us: int, until_us: int | None) -> Any:
        asked.append(signal)
        most.append(len(asked))
        await asyncio.sleep(0.01)
        async for page in plain(signal, after_us, until_us):
            yield page
        asked.remove(signal)

    bench.source.read_history = counted
    for name in names:
        bench.source.history[name] = [kit.sample(row, signal=name) for row in range(40)]

    async def script() -> None:
        bench.source.give(*(kit.sample(0, signal=name) for name in names))
        await kit.eventually(lambda: len(bench.answered()) == 1)
        bench.source.link(up=False)
        bench.source.link(up=True)
        bench.source.give(*(kit.sample(39, signal=name) for name in names))
        await kit.eventually(lambda: len(bench.answered()) == 40)

    report = _run(bench, script)
    assert max(most) == 8
    assert report.gaps == ()


def test_what_history_lacks_is_a_recorded_gap(kit: Kit, tmp_path: Path) -> None:
    bench = _bench(kit, tmp_path)
    bench.source.history["level"] = [kit.sample(row) for row in (2, 3, 8, 9)]

    async def script() -> None:
        bench.source.give(kit.sample(0), kit.sample(1))
        await kit.eventually(lambda: len(bench.answered()) == 2)
        bench.source.link(up=False)
        bench.clock.advance(90)
        bench.source.link(up=True)
        bench.source.give(kit.sample(10))
        await kit.eventually(lambda: len(bench.answered()) == 7)

    report = _run(bench, script)
    assert bench.answered() == [0, 1, 2, 3, 8, 9, 10]
    assert [(g.from_us, g.to_us) for g in report.gaps] == [
        (kit.sample(3).at_us, kit.sample(8).at_us)
    ]
    assert "history does not have it" in report.gaps[0].reason
    assert bench.kinds().count("gap") == 1


@pytest.mark.parametrize("error", ["unavailable", "lost"])
def test_a_source_without_history_leaves_a_gap_and_goes_on(
    kit: Kit, tmp_path: Path, error: str
) -> None:
    bench = _bench(kit, tmp_path)
    bench.source.history_error = (
        HistoryUnavailableError("The server keeps no history.")
        if error == "unavailable"
        else ConnectionError("lost again")
    )

    async def script() -> None:
        bench.source.give(kit.sample(0))
        await kit.eventually(lambda: bench.answered() == [0])
        bench.source.link(up=False)
        bench.source.link(up=True)
        bench.source.give(kit.sample(5))
        if error == "lost":
            await asyncio.sleep(0.1)
            assert bench.answered() == [0], "the hole is not decided yet"
            bench.source.history_error = None
            bench.source.link(up=True)
        await kit.eventually(lambda: bench.answered() == [0, 5])

    report = _run(bench, script)
    assert len(report.gaps) == 1
    expected = "keeps no history" if error == "unavailable" else "does not have it"
    assert expected in report.gaps[0].reason


def test_a_hole_in_the_live_stream_is_asked_for_once(kit: Kit, tmp_path: Path) -> None:
    bench = _bench(kit, tmp_path)
    bench.source.history["level"] = [kit.sample(row) for row in range(9)]

    async def script() -> None:
        bench.source.give(kit.sample(0), kit.sample(1))
        bench.source.give(kit.sample(5), kit.sample(6))
        await kit.eventually(lambda: len(bench.answered()) == 9)

    report = _run(bench, script)
    assert bench.answered() == list(range(9))
    assert bench.source.asked == [kit.sample(1).at_us]
    assert report.gaps == ()


def test_a_restart_asks_history_for_the_time_it_was_down(
    kit: Kit, tmp_path: Path
) -> None:
    first = _bench(kit, tmp_path)

    async def before() -> None:
        first.source.give(kit.sample(0), kit.sample(1))
        await kit.eventually(lambda: len(first.answered()) == 2)

    _run(first, before)
    second = _bench(kit, tmp_path)
    second.source.history["level"] = [kit.sample(row) for row in range(10)]

    async def after() -> None:
        second.source.give(kit.sample(10))
        await kit.eventually(lambda: len(second.answered()) == 11)

    report = _run(second, after)
    assert second.answered() == list(range(11))
    assert report.estimates == 9
    assert report.gaps == ()


def test_history_older_than_the_limit_is_a_gap(kit: Kit, tmp_path: Path) -> None:
    bench = _bench(kit, tmp_path, backfill_max_s=35.0)
    bench.source.history["level"] = [kit.sample(row) for row in range(11)]

    async def script() -> None:
        bench.source.give(kit.sample(0))
        await kit.eventually(lambda: bench.answered() == [0])
        bench.source.link(up=False)
        bench.clock.advance(100)
        bench.source.link(up=True)
        await kit.eventually(lambda: bench.answered()[-1] == 10)

    report = _run(bench, script)
    assert bench.answered() == [0, 7, 8, 9, 10]
    assert len(report.gaps) == 1


def test_a_sink_that_goes_away_gets_everything_later_in_order(
    kit: Kit, tmp_path: Path
) -> None:
    bench = _bench(kit, tmp_path)

    async def script() -> None:
        bench.source.give(kit.sample(0))
        await kit.eventually(lambda: len(bench.sink.taken) == 1)
        bench.sink.down = True
        for row in range(1, 6):
            bench.source.give(kit.sample(row))
        await kit.eventually(lambda: "sink-lost" in bench.kinds())
        await kit.eventually(lambda: len(bench.answered()) == 6)
        states = len(bench.sink.states)
        bench.sink.down = False
        await kit.eventually(lambda: len(bench.sink.taken) == 6)
        assert len(bench.sink.states) > states, "the state is written anew"

    _run(bench, script)
    assert [e.value for e in bench.sink.taken] == list(range(6))
    assert bench.kinds().count("sink-restored") == 1


def test_a_sample_from_the_far_future_is_not_kept_and_the_tag_is_bad(
    kit: Kit, tmp_path: Path
) -> None:
    bench = _bench(kit, tmp_path)

    async def script() -> None:
        bench.source.give(kit.sample(0))
        bench.source.give(kit.sample(10**6))
        await kit.eventually(lambda: bench.state() == "bad")
        bench.source.give(kit.sample(1))
        await kit.eventually(lambda: bench.answered() == [0, 1])
        await kit.eventually(lambda: bench.state() == "good")

    report = _run(bench, script)
    assert report.untimed == 1
    assert report.late == 0


def test_a_row_waits_for_a_slower_signal_but_not_for_ever(
    kit: Kit, tmp_path: Path
) -> None:
    scenario = kit.scenario(periods={"fast": 10.0, "slow": 20.0})
    bench = _bench(kit, tmp_path, scenario=scenario)

    async def script() -> None:
        bench.source.give(kit.sample(0, signal="fast"), kit.sample(0, signal="slow"))
        bench.source.give(kit.sample(1, signal="fast"))
        await kit.eventually(lambda: bench.answered() == [0])
        await asyncio.sleep(0.05)
        assert bench.answered() == [0]
        bench.clock.advance(1.5)
        await kit.eventually(lambda: bench.answered() == [0, 1])

    _run(bench, script)


def test_cancelling_keeps_everything_and_says_how_far_it_came(
    kit: Kit, tmp_path: Path
) -> None:
    bench = _bench(kit, tmp_path)

    async def script() -> None:
        running = asyncio.create_task(bench.engine.run())
        bench.source.give(kit.sample(0), kit.sample(1))
        await kit.eventually(lambda: len(bench.answered()) == 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(script())
    report = bench.engine.report()
    bench.buffer.close()
    assert report.ended == "interrupted"
    assert report.settled_until == from_us(kit.sample(1).at_us)
    assert bench.source.closed
    assert bench.kinds()[-1] == "stopped"


@pytest.mark.parametrize("part", ["source", "scorer", "listener"])
def test_an_error_inside_ends_the_line_loudly(
    kit: Kit, tmp_path: Path, part: str
) -> None:
    class FailureError(Exception):
        pass

    bench = _bench(kit, tmp_path)

    def fail(*args: Any) -> Any:
        raise FailureError

    async def script() -> None:
        if part == "source":
            bench.source.fail(FailureError())
        elif part == "scorer":
            bench.scorer.run = fail
        else:
            bench.engine._on_event = fail
        bench.source.give(kit.sample(0))
        await kit.eventually(lambda: bench.source.closed)

    with pytest.raises(FailureError):
        _run(bench, script)
    assert bench.source.closed


def test_a_mode_that_is_refused_never_connects(kit: Kit, tmp_path: Path) -> None:
    with pytest.raises(ModeRefusedError):
        _bench(kit, tmp_path, mode="control")


INTERRUPTED = """
    import sys, time
    from datetime import UTC, datetime
    from pathlib import Path
    import numpy as np
    from tundish.catalog.scenario import Scenario
    from tundish.kernel.clock import SystemClock
    from tundish.kernel.digest import of_bytes
    from tundish.line.buffer import LineBuffer
    from tundish.line.engine import LineEngine, run_to_end
    from tundish.line.parts import LineParts
    from tundish.line.samples import Arrival, Sample, to_us
    import asyncio

    folder = Path(sys.argv[1])
    scenario = Scenario.model_validate_json((folder / "scenario.json").read_bytes())

    class Source:
        name = "endless"
        signals = ("level",)

        async def connect(self): ...

        async def samples(self):
            start = to_us(datetime.now(UTC))
            for row in range(10**6):
                at_us = start + row
                values = np.array([1.0])
                sample = Sample(
                    signal="level", at_us=at_us, quality="good", values=values
                )
                yield Arrival(samples=(sample,))
                await asyncio.sleep(0.001)

        async def close(self): ...

    class Scorer:
        def run(self, window):
            mean = window.mean(axis=(1, 2)).reshape(-1, 1)
            names = ("estimate", "lower", "upper", "applicability")
            return {name: mean for name in names}

    buffer = LineBuffer(folder / "b", scenario=scenario.key, signals={"level": 1})
    parts = LineParts(
        scenario=scenario,
        scorer=Scorer(),
        model=of_bytes(b"m"),
        sources=(Source(),),
        buffer=buffer,
    )

    def say(event):
        sys.stdout.write(event.kind + "\\n")
        sys.stdout.flush()

    report = run_to_end(LineEngine(parts, on_event=say))
    sys.stdout.write(f"{report.ended} {report.estimates} {report.received}\\n")
"""


@pytest.mark.integration
def test_ctrl_c_ends_with_a_report_and_no_traceback(kit: Kit, tmp_path: Path) -> None:
    scenario = kit.scenario()
    (tmp_path / "scenario.json").write_text(scenario.model_dump_json(by_alias=True))
    command = [sys.executable, "-c", textwrap.dedent(INTERRUPTED), str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        while child.stdout.readline() != "state\n":
            pass
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        said, wrong = child.stdout.read().split(), child.stderr.read()
    assert wrong == ""
    assert child.returncode == 0
    ended, estimates, received = said[-3:]
    assert said[-4] == "stopped"
    assert ended == "interrupted"
    assert int(estimates) == int(received) > 0
    with kit.buffer(tmp_path / "b", scenario) as buffer:
        assert len(buffer.estimates_after(0, limit=10**6)) == int(estimates)
