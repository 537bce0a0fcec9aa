"""Laws of values that stand still behind a good status."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.line.conftest import Kit as Shared

from tundish.catalog.scenario import Scenario
from tundish.kernel.clock import ManualClock
from tundish.line.engine import LineEngine
from tundish.line.frozen import FrozenWatch
from tundish.line.parts import EngineOptions, LineParts
from tundish.line.samples import from_us

Kit = Any


def _scenario(kit: Kit, frozen_after_s: float | None = 30.0, **more: Any) -> Scenario:
    scenario: Scenario = kit.scenario(**more)
    signals = [
        signal.model_dump() | {"frozen_after_s": frozen_after_s}
        for signal in scenario.signals
    ]
    return Scenario.model_validate(
        scenario.model_dump() | {"signals": signals}, strict=False
    )


def _qualities(watch: FrozenWatch, *samples: Any) -> list[str]:
    return [sample.quality for sample in watch.marked(samples)]


def test_a_value_that_stands_longer_than_the_contract_says_is_uncertain(
    kit: Kit,
) -> None:
    watch = FrozenWatch(_scenario(kit))
    still = [kit.sample(row, 5.0) for row in range(6)]
    assert _qualities(watch, *still) == ["good"] * 4 + ["uncertain"] * 2
    (marked,) = watch.marked([kit.sample(6, 5.0)])
    assert marked.reason == (
        "the value has been the same for 60 s, and the contract expects a change within "
        "30 s"
    )
    assert marked.values is not None  # what was measured stays
    assert _qualities(watch, kit.sample(7, 5.001)) == ["good"]


def test_a_signal_beside_a_watched_one_may_stand(kit: Kit) -> None:
    scenario = kit.scenario(periods={"level": 10.0, "mode": 10.0})
    watched, free = scenario.signals
    signals = [watched.model_dump() | {"frozen_after_s": 30.0}, free.model_dump()]
    watch = FrozenWatch(
        Scenario.model_validate(
            scenario.model_dump() | {"signals": signals}, strict=False
        )
    )
    for signal, last in (("mode", "good"), ("level", "uncertain")):
        still = [kit.sample(row, 5.0, signal=signal) for row in range(20)]
        assert _qualities(watch, *still)[-1] == last


def test_a_value_that_moves_or_that_nobody_watches_stays_good(kit: Kit) -> None:
    still = [kit.sample(row, 5.0) for row in range(100)]
    assert set(_qualities(FrozenWatch(_scenario(kit, None)), *still)) == {"good"}
    moving = [kit.sample(row, float(row % 2)) for row in range(100)]
    assert set(_qualities(FrozenWatch(_scenario(kit)), *moving)) == {"good"}


def test_of_a_spectrum_all_channels_must_stand_still(kit: Kit) -> None:
    watch = FrozenWatch(_scenario(kit, channels=3))
    samples = [kit.sample(row, 5.0, channels=3) for row in range(10)]
    for row, sample in enumerate(samples):
        sample.values[1] = row
    assert set(_qualities(watch, *samples)) == {"good"}


def test_a_bad_value_between_is_no_change(kit: Kit) -> None:
    watch = FrozenWatch(_scenario(kit))
    samples = [kit.sample(row, 5.0) for row in range(3)]
    samples += [kit.bad_sample(3), kit.sample(4, 5.0)]
    assert _qualities(watch, *samples) == ["good"] * 3 + ["bad", "uncertain"]


def test_an_old_sample_that_comes_late_changes_nothing(kit: Kit) -> None:
    watch = FrozenWatch(_scenario(kit))
    watch.marked([kit.sample(0, 5.0), kit.sample(3, 5.0)])
    assert _qualities(watch, kit.sample(1, 9.0), kit.sample(4, 5.0)) == [
        "good", "uncertain",
    ]  # fmt: skip


@given(st.lists(st.integers(0, 2), min_size=1, max_size=60))
def test_exactly_what_has_stood_longer_is_marked(values: list[int]) -> None:
    watch = FrozenWatch(_scenario(Shared))
    found = _qualities(watch, *(Shared.sample(n, float(v)) for n, v in enumerate(values)))  # fmt: skip
    for row, quality in enumerate(found):
        first = row
        while first and values[first - 1] == values[row]:
            first -= 1
        assert (quality == "uncertain") == ((row - first) * 10 > 30)


def test_a_time_shorter_than_the_period_is_refused(kit: Kit) -> None:
    with pytest.raises(ValidationError, match="less than one period_s"):
        _scenario(kit, 1.0)


def test_a_line_says_so_in_its_state_and_answers_also_after_a_restart(
    kit: Kit, tmp_path: Path
) -> None:
    scenario = _scenario(kit)
    clock = ManualClock(from_us(kit.START_US))

    async def run(rows: range) -> Any:
        source, sink = kit.ScriptedSource(("level",)), kit.ListSink()
        with kit.buffer(tmp_path / "b", scenario) as buffer:
            parts = LineParts(
                scenario=scenario, scorer=kit.MeanScorer(), model=kit.MODEL,
                sources=(source,), sinks=(sink,), buffer=buffer,
            )  # fmt: skip
            engine = LineEngine(
                parts, options=EngineOptions(tick_s=0.01, drain_s=0.5), clock=clock
            )
            stop = asyncio.Event()
            running = asyncio.create_task(engine.run(stop))
            for row in rows:
                clock.advance(10.0 if row else 0.0)
                source.give(kit.sample(row, 5.0))
                await kit.eventually(lambda row=row: bool(sink.taken) and sink.taken[-1].at_us == kit.sample(row).at_us)  # fmt: skip
            await kit.eventually(lambda: sink.states[-1][0].state != "stale")
            stop.set()
            await running
        return sink

    first = asyncio.run(run(range(6)))
    assert [e.quality for e in first.taken] == ["good"] * 4 + ["uncertain"] * 2
    assert first.taken[-1].why == "uncertain-status"
    state = first.states[-1][0]
    assert (state.state, state.signal) == ("uncertain", "level")
    assert "has been the same for" in state.reason
    again = asyncio.run(run(range(6, 8)))
    assert [e.quality for e in again.taken[-2:]] == ["uncertain"] * 2
    assert np.isclose(again.taken[-1].value, 5.0)
