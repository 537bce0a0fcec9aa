"""Laws of the end of a grant on a running line."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.kernel.clock import ManualClock
from tundish.line.engine import LineEngine
from tundish.line.events import Event
from tundish.line.parts import EngineOptions, LineParts
from tundish.line.samples import from_us
from tundish.line.term import Term, stop_moment

END = datetime(2026, 5, 4, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
LATEST = END.replace(year=9990, tzinfo=None)
POINTS = st.lists(st.times(), max_size=4).map(
    lambda found: [moment.strftime("%H:%M") for moment in found]
)


@pytest.mark.parametrize(
    ("grace_h", "points", "after_h"),
    [
        (0, (), 0),
        (24, (), 0),
        (0, ("06:00",), 0),
        (24, ("06:00", "14:00", "22:00"), 3),
        (2, ("06:00",), 2),
        (24, ("02:00",), 23),
        (24, ("03:00",), 0),
    ],
)
def test_a_line_stops_at_its_next_safe_point_within_the_grace(
    grace_h: int, points: tuple[str, ...], after_h: int
) -> None:
    assert stop_moment(END, grace_h * 3600, points) == END + after_h * HOUR


@given(
    grace_s=st.integers(0, 31 * 86_400), points=POINTS, end=st.datetimes(timezones=st.just(UTC), max_value=LATEST)
)  # fmt: skip
def test_never_before_the_end_and_never_after_the_grace(
    grace_s: int, points: list[str], end: datetime
) -> None:
    found = stop_moment(end, grace_s, points)
    assert end <= found <= end + timedelta(seconds=grace_s)


class Word:
    """A permit that says what the test tells it."""

    def __init__(self) -> None:
        self.over = False
        self.note = "The grant runs out in 6.0 days."

    def look(self) -> Term:
        note, self.note = self.note, ""
        return Term(
            ends_at=END,
            stops_at=END,
            over=self.over,
            reason="the grant ended",
            note=note,
        )


def test_after_the_end_nothing_is_scored_and_the_sinks_know(
    kit: Any, tmp_path: Path
) -> None:
    scenario, permit = kit.scenario(), Word()
    source, sink, scorer = kit.ScriptedSource(), kit.ListSink(), kit.MeanScorer()
    buffer = kit.buffer(tmp_path / "b", scenario)
    events: list[Event] = []
    parts = LineParts(
        scenario=scenario,
        scorer=scorer,
        model=kit.MODEL,
        sources=(source,),
        sinks=(sink,),
        buffer=buffer,
        permit=permit,
    )
    engine = LineEngine(
        parts,
        options=EngineOptions(tick_s=0.01, term_s=0.0, drain_s=1.0),
        clock=ManualClock(from_us(kit.START_US)),
        on_event=events.append,
    )

    async def script() -> Any:
        running = asyncio.create_task(engine.run())
        source.give(kit.sample(0), kit.sample(1))
        await kit.eventually(lambda: len(sink.taken) == 2)
        permit.over = True
        await kit.eventually(lambda: any(e.kind == "grant-over" for e in events))
        source.give(kit.sample(2), kit.sample(3))
        return await running

    report = asyncio.run(script())
    buffer.close()
    assert (report.ended, report.scored, len(sink.taken)) == ("grant", 2, 2)
    state, _ = sink.states[-1]
    assert state.state == "stale"
    assert "the grant ended" in state.reason
    assert report.grant_until == END
    assert report.grant_notes == ("The grant runs out in 6.0 days.",)
    kinds = [event.kind for event in events if event.kind.startswith("grant")]
    assert kinds == ["grant", "grant-over"]
