"""Laws of the gate: a part without a result in time is rejected, and stays so."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.line.conftest import MODEL

from tundish.catalog import library
from tundish.catalog.scenario import Scenario
from tundish.kernel.clock import ManualClock
from tundish.line.engine import LineEngine
from tundish.line.errors import LineFileInvalidError
from tundish.line.estimates import Estimate
from tundish.line.gate import Gate, GateSpec, check_gate
from tundish.line.parts import EngineOptions, LineParts
from tundish.line.samples import Arrival, Sample

Kit = Any
SPEC = GateSpec(deadline_ms=300)
BOARD = library.scenario("C39.24.pcb-bare-board")


def _answer(at_us: int, value: float | None = 0.2) -> Estimate:
    quality: Any = "bad" if value is None else "good"
    return Estimate(
        at_us=at_us, quality=quality, value=value, model=MODEL, input=MODEL,
        alarm=None if value is None else value > 1,
    )  # fmt: skip


def _gate(spec: GateSpec = SPEC) -> tuple[Gate, ManualClock]:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    return Gate(spec, MODEL, clock), clock


def test_an_answer_in_time_passes_as_it_is() -> None:
    gate, clock = _gate()
    gate.expect([5])
    clock.advance(0.29)
    assert gate.overdue() == []
    assert gate.judged(_answer(5)) == _answer(5)
    clock.advance(1)
    assert gate.overdue() == []


def test_a_part_without_a_result_is_rejected_and_a_late_answer_changes_nothing() -> (
    None
):
    gate, clock = _gate()
    gate.expect([5, 6])
    clock.advance(0.3)
    over = gate.overdue()
    assert [(e.at_us, e.alarm, e.value, e.quality, e.why) for e in over] == [
        (5, True, None, "bad", "no-result"), (6, True, None, "bad", "no-result"),
    ]  # fmt: skip
    assert over[0].reason == "no result within 300 ms of the picture"
    assert gate.judged(_answer(5)).why == "no-result"
    assert gate.overdue() == []


def test_an_answer_that_took_too_long_is_none_before_the_timer_says_so() -> None:
    gate, clock = _gate()
    gate.expect([5])
    clock.advance(0.31)
    assert gate.judged(_answer(5)).alarm is True
    assert gate.overdue() == []


@pytest.mark.parametrize(("said", "alarm"), [("reject", True), ("pass", False)])
def test_an_answer_without_a_number_gets_the_gates_alarm(
    said: Any, alarm: bool
) -> None:
    gate, _ = _gate(GateSpec(deadline_ms=300, without_result=said))
    assert gate.judged(_answer(5, None)).alarm is alarm
    assert gate.judged(_answer(6, 2.0)).alarm is True


@given(st.lists(st.tuples(st.floats(0, 0.2), st.booleans()), max_size=40))
def test_each_part_gets_exactly_one_result(steps: list[tuple[float, bool]]) -> None:
    gate, clock = _gate()
    told: dict[int, list[str]] = {}
    for at_us, (pause_s, answered) in enumerate(steps):
        gate.expect([at_us])
        clock.advance(pause_s)
        for one in gate.overdue():
            told.setdefault(one.at_us, []).append(one.why)
        if answered and at_us not in told:
            told.setdefault(at_us, []).append(gate.judged(_answer(at_us)).why)
    clock.advance(1)
    for one in gate.overdue():
        told.setdefault(one.at_us, []).append(one.why)
    assert sorted(told) == list(range(len(steps)))
    assert all(len(results) == 1 for results in told.values())


def test_a_line_that_inspects_nothing_has_no_gate(kit: Kit) -> None:
    check_gate(SPEC, BOARD)
    check_gate(None, kit.scenario())
    with pytest.raises(LineFileInvalidError, match="inspects nothing"):
        check_gate(SPEC, kit.scenario())


def test_on_a_line_the_gate_is_told_in_time_and_once(kit: Kit, tmp_path: Path) -> None:
    """A picture whose decoding hangs is rejected by the deadline; its answer stays out."""
    scenario: Scenario = BOARD
    source, sink = kit.ScriptedSource(("copper", "golden")), kit.ListSink()

    def shown(at_us: int) -> Arrival:
        pixels = np.full(25_600, 9.0)
        return Arrival(
            samples=tuple(
                Sample(signal=name, at_us=at_us, quality="good", values=pixels)
                for name in source.signals
            )
        )

    async def job() -> None:
        with kit.buffer(tmp_path / "b", scenario) as buffer:
            parts = LineParts(
                scenario=scenario, scorer=kit.MeanScorer(), model=kit.MODEL,
                sources=(source,), sinks=(sink,), buffer=buffer,
            )  # fmt: skip
            options = EngineOptions(
                tick_s=0.02, gate=GateSpec(deadline_ms=300), drain_s=0.5
            )
            engine = LineEngine(parts, options=options)
            stop = asyncio.Event()
            running = asyncio.create_task(engine.run(stop))
            loop = asyncio.get_running_loop()
            first = kit.START_US
            begin_s = loop.time()
            source._inbox.put_nowait(Arrival(announced=(first, first + 1)))
            source._inbox.put_nowait(shown(first))
            await kit.eventually(lambda: len(sink.taken) == 2)
            assert 0.25 < loop.time() - begin_s < 3.0  # a busy machine adds to it
            assert [e.why for e in sink.taken] == ["", "no-result"]
            assert sink.taken[1].alarm is True
            await kit.eventually(lambda: sink.states[-1][0].state != "good")
            source._inbox.put_nowait(shown(first + 1))
            await asyncio.sleep(0.3)
            stop.set()
            report = await running
        assert [e.at_us for e in sink.taken] == [first, first + 1]
        assert report.table.why.tolist() == ["", "no-result"]
        assert report.abstained == {"no-result": 1}

    asyncio.run(job())
