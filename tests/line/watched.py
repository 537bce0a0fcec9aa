"""A line on one tag of a plant that a test breaks, somebody who reads its status all
along, and the law that holds after every case.

A plant has at row *k* a known source time and a known number. ``WatchedLine.settle`` asks
after each case that every answer has a time and a number of the plant, once and in order;
that each row between the first and the last is answered or lies in a recorded gap; and
that what stood in ``line status`` was true at every reading: red within the bound of a
fault's beginning and until its end, and good where there was no fault. Where the machine
did not let this process run (``stalls``), nobody is held to a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from tests.line.stalls import Stalls

from tundish.kernel.clock import Clock
from tundish.line import plugins
from tundish.line.engine import LineEngine
from tundish.line.events import Event
from tundish.line.linefile import SourceSpec
from tundish.line.parts import EngineOptions, LineParts
from tundish.line.report import LineReport
from tundish.line.status import read_status

STALE_S = 1.0
SEEN_S = 1.2
"""On top of the contract's period: the look, the writing, two busy cores."""
HEALED_S = 6.0
"""Until a line is good again after a fault's end: the longest retry and a period."""


class Plant(Protocol):
    """What a case runs against: rows with known times and numbers."""

    period_us: int
    start_us: int

    def is_true(self, at_us: int, value: float) -> bool:
        """Return whether the plant had this number at this time."""
        ...


class Observer(threading.Thread):
    """Reads the status of a line as ``tundish line status`` does, all along."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self._path, self._ended = path, threading.Event()
        self.seen: list[tuple[float, str, str]] = []
        self.stalls = Stalls()

    def run(self) -> None:
        self.stalls.look()
        while not self._ended.wait(0.03):
            self.stalls.look()
            status = read_status(self._path)
            if status is None:
                continue
            dead = status.alive(datetime.now(UTC))
            state = "stale" if dead else status.state
            self.seen.append((time.monotonic(), state, dead or status.reason))

    def end(self) -> None:
        self._ended.set()
        self.join()


class WatchedLine:
    """A line on the tag ``level``, and what it did.

    Args:
        kit: The room's.
        folder: For buffer and status.
        plant: What it is held against.
        spec: Its source.
        clock: The line's; None: the machine's.
        source: Instead of the one that ``spec`` makes.
        buffer: Where the buffer lies, if not in the folder.
    """

    def __init__(  # noqa: PLR0913  (keyword-only but for four)
        self, kit: Any, folder: Path, plant: Plant, spec: SourceSpec, *,
        clock: Clock | None = None, source: Any = None, buffer: Path | None = None,
    ) -> None:  # fmt: skip
        self.kit, self.plant = kit, plant
        self.scenario = kit.scenario(
            periods={"level": plant.period_us / 1e6}, stale_after_s=STALE_S, rows=1
        )
        self.source = source or plugins.open_source(spec, self.scenario)
        self.buffer = kit.buffer(buffer or folder / "b", self.scenario)
        self.events: list[Event] = []
        self.faults: list[tuple[float, float, str]] = []
        self.observer = Observer(folder / "b.status")
        self.engine = LineEngine(
            LineParts(
                scenario=self.scenario,
                scorer=kit.MeanScorer(),
                model=kit.MODEL,
                sources=(self.source,),
                buffer=self.buffer,
            ),
            options=EngineOptions(tick_s=0.02, status=folder / "b.status"),
            clock=clock,
            on_event=self.events.append,
        )

    def said(self, kind: str) -> list[str]:
        return [event.text for event in self.events if event.kind == kind]

    def states(self) -> list[str]:
        return [str(e.detail["state"]) for e in self.events if e.kind == "state"]

    def rows(self) -> list[int]:
        found = self.buffer.estimates_after(0, limit=10**6)
        return [(e.at_us - self.plant.start_us) // self.plant.period_us for e in found]

    @contextlib.contextmanager
    def fault(self, *states: str, within_s: float | None = None) -> Iterator[None]:
        """Say that the plant or the link is broken, and what the line may show of it.

        Args:
            states: What it may show once it must have noticed; none: anything, also
                good (a fault that may come through or not).
            within_s: Until when it must have; unsaid: as long as it may be stale.
        """
        begin_s = time.monotonic()
        shown = ",".join(states)
        yield
        end_s = time.monotonic()
        wait_s = STALE_S + SEEN_S if within_s is None else within_s + SEEN_S
        self.faults.append((begin_s, end_s, shown))
        for moment_s, state, reason in self.observer.seen:
            if self.observer.stalls.excuse(moment_s, wait_s):
                continue  # the machine stood still: the line was late with reason
            if states and begin_s + wait_s <= moment_s < end_s:
                assert state in states, (
                    f"{state} {moment_s - begin_s:.1f} s after the fault began: {reason}"
                )

    async def until(self, condition: Callable[[], bool], limit_s: float = 25.0) -> None:
        await self.kit.eventually(condition, limit_s)

    async def grow(self, rows: int = 5) -> None:
        """Wait until the line is good and has answered some more rows."""
        have = len(self.rows())
        await self.until(
            lambda: len(self.rows()) >= have + rows and self.states()[-1] == "good"
        )

    def run(self, script: Callable[[], Any]) -> LineReport:
        """Run the line, let a script happen, and end it when it has caught up."""

        async def job() -> LineReport:
            stop = asyncio.Event()
            running = asyncio.create_task(self.engine.run(stop))
            try:
                growing = asyncio.create_task(self.grow())
                await asyncio.wait(
                    {running, growing}, return_when=asyncio.FIRST_COMPLETED
                )
                growing.cancel()
                if not running.done():
                    self.observer.start()
                    self.began_s = time.monotonic()
                    await script()
                    await self.grow()
                    self.ended_s = time.monotonic()
                    self.observer.end()
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

    def settle(self, report: LineReport) -> None:
        """Ask what must hold after every case; see the module."""
        answers = self.buffer.estimates_after(0, limit=10**6)
        self.answered = self.rows()
        check_answers(self.plant, answers, report.gaps)
        assert report.states[-1].state == "good"
        assert self.observer.seen, "nobody could read a status"
        for moment_s, state, reason in self.observer.seen:
            if state != "good" and moment_s < self.ended_s:
                near = any(b <= moment_s <= e + HEALED_S for b, e, _ in self.faults)
                near = near or self.observer.stalls.excuse(moment_s, HEALED_S)
                assert near, f"{state} where nothing was wrong: {reason}"


def check_answers(plant: Plant, answers: Any, gaps: Any) -> None:
    """Ask that answers are the plant's, once, in order, and holes are recorded gaps."""
    times = [one.at_us for one in answers]
    assert times == sorted(set(times)), "an answer is doubled or out of order"
    for one in answers:
        if one.value is not None:
            assert plant.is_true(one.at_us, one.value), (
                f"invented: {one.value} at {(one.at_us - plant.start_us) / plant.period_us}"
            )
    for before, after in itertools.pairwise(times):
        steps = round((after - before) / plant.period_us)
        for step in range(1, steps):
            at_us = before + step * plant.period_us
            assert any(g.from_us < at_us < g.to_us for g in gaps), (
                f"row {(at_us - plant.start_us) / plant.period_us} is neither there nor in a gap"
            )
