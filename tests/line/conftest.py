"""Fakes of the line's ports, and one real OPC UA server for all tests of the room."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from asyncua.ua.attribute_ids import AttributeIds
from numpy.typing import NDArray
from tests.ports import free_port

from tundish.catalog import library
from tundish.catalog.scenario import Scenario
from tundish.kernel.digest import Digest, of_bytes
from tundish.line.buffer import LineBuffer
from tundish.line.estimates import Estimate
from tundish.line.recording import Recording, Track
from tundish.line.replay import ReplayServer
from tundish.line.samples import Arrival, LinkChange, Sample, to_us
from tundish.line.state import TagState

T = TypeVar("T")
START_US = to_us(datetime(2020, 1, 1, tzinfo=UTC))
MODEL: Digest = of_bytes(b"a model of this test")


@dataclass
class MeanScorer:
    """Answers the mean of the window; remembers how it was called."""

    calls: list[int] = field(default_factory=list)
    applicability: float = 0.5

    def run(self, window: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        count = len(window)
        self.calls.append(count)
        mean = window.mean(axis=(1, 2), dtype=np.float64).reshape(count, 1)
        value = mean.astype(np.float32)
        far = np.full((count, 1), self.applicability, np.float32)
        return {
            "estimate": value,
            "lower": value - 1,
            "upper": value + 1,
            "score": value,
            "applicability": far,
        }


class ScriptedSource:
    """A source that a test drives: what arrives, what history has, how it fails."""

    def __init__(self, signals: tuple[str, ...] = ("level",)) -> None:
        self.name = "scripted"
        self.signals = signals
        self.history: dict[str, list[Sample]] = {name: [] for name in signals}
        self.history_error: Exception | None = None
        self.history_gate: asyncio.Event | None = None
        self.closed = False
        self._inbox: asyncio.Queue[Arrival | Exception] = asyncio.Queue()
        self.asked: list[int] = []
        self.link(up=True)

    async def connect(self) -> None:
        pass

    def link(self, *, up: bool) -> None:
        self._inbox.put_nowait(Arrival(link=LinkChange(up=up, reason="cable out")))

    def give(self, *samples: Sample) -> None:
        self._inbox.put_nowait(Arrival(samples=samples))

    def fail(self, error: Exception) -> None:
        self._inbox.put_nowait(error)

    async def samples(self) -> AsyncIterator[Arrival]:
        while True:
            found = await self._inbox.get()
            if isinstance(found, Exception):
                raise found
            yield found

    async def read_history(
        self, signal: str, after_us: int, until_us: int | None
    ) -> AsyncIterator[tuple[Sample, ...]]:
        self.asked.append(after_us)
        if self.history_gate is not None:
            await self.history_gate.wait()
        if self.history_error:
            raise self.history_error
        page = [s for s in self.history[signal] if (s.at_us or 0) > after_us]
        for first in range(0, len(page), 7):
            await asyncio.sleep(0)
            yield tuple(page[first : first + 7])

    async def close(self) -> None:
        self.closed = True


class ListSink:
    """A sink that keeps what it is given and fails when told."""

    def __init__(self, name: str = "list") -> None:
        self.name = name
        self.taken: list[Estimate] = []
        self.states: list[tuple[TagState, str]] = []
        self.down = False

    async def connect(self) -> None:
        self._check()

    async def write_estimates(self, estimates: tuple[Estimate, ...]) -> None:
        self._check()
        self.taken.extend(estimates)

    async def write_state(self, state: TagState, mode: str, at_us: int) -> None:
        self._check()
        self.states.append((state, mode))

    async def close(self) -> None:
        pass

    def _check(self) -> None:
        if self.down:
            msg = "the sink is away"
            raise ConnectionError(msg)


def make_scenario(
    *,
    rows: int = 1,
    stride: int = 1,
    channels: int = 1,
    periods: Mapping[str, float] | None = None,
    **changes: object,
) -> Scenario:
    """Return a small regress scenario: signals of the given periods in seconds."""
    axis = None
    if channels > 1:
        axis = {
            "quantity": "wavenumber",
            "unit": "1/cm",
            "first": 1.0,
            "last": 2.0,
            "points": channels,
        }
    signals = [
        {
            "name": name,
            "description": name,
            "unit": "1",
            "range": (-1000.0, 1000.0),
            "period_s": period,
            "axis": axis,
        }
        for name, period in (periods or {"level": 10.0}).items()
    ]
    base = library.scenario("C25.21.fermentation-glucose").model_dump()
    base |= {"simulation": None, "failure_modes": ()}  # of the signals it had
    target = {**base["target"], "range": (-1000.0, 1000.0)}
    window = {"rows": rows, "stride": stride}
    changed = {"signals": signals, "target": target, "window": window} | changes
    wanted = base | {"stale_after_s": 30.0} | changed
    return Scenario.model_validate(wanted, strict=False)


def make_sample(
    row: float, value: float | None = None, *, signal: str = "level", channels: int = 1
) -> Sample:
    """Return the sample of a row (10 s apart); ``value`` None: the row's number."""
    number = row if value is None else value
    return Sample(
        signal=signal,
        at_us=START_US + round(row * 10_000_000),
        quality="good",
        values=np.full(channels, number, np.float64),
    )


def bad_sample(row: float, *, signal: str = "level") -> Sample:
    """Return a sample whose status is bad."""
    at_us = START_US + round(row * 10_000_000)
    reason = "the source says BadSensorFailure"
    return Sample(signal=signal, at_us=at_us, quality="bad", values=None, reason=reason)


def open_buffer(
    path: Path, scenario: Scenario, *, max_rows: int = 100_000
) -> LineBuffer:
    """Open a buffer for a scenario."""
    return LineBuffer(
        path,
        scenario=scenario.key,
        signals={signal.name: signal.channels for signal in scenario.signals},
        max_rows=max_rows,
        durability="process",
    )


async def eventually(condition: Callable[[], bool], limit_s: float = 25.0) -> None:
    """Wait until something holds; fails loudly if it never does."""
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110  (the condition lives elsewhere)
            await asyncio.sleep(0.01)


class LoopThread:
    """An event loop in a thread: the plant must not share the line's loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def call(self, job: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(job, self._loop).result(30)

    def close(self) -> None:
        self.call(self._cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="session")
def loop_thread() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.close()


CHANNELS = 3
ROWS = 4000


class Plant:
    """A real OPC UA server on loopback; each test takes a signal of its own."""

    def __init__(self, loop: LoopThread, signals: int = 40) -> None:
        self.names = [f"tag{number}" for number in range(signals)]
        self.loop = loop
        self.recording = self.record(self.names)
        self.server = ReplayServer(self.recording, speed=100.0, port=free_port())
        loop.call(self.server.start())

    def record(self, names: list[str]) -> Recording:
        at = START_US + np.arange(ROWS) * 10_000_000
        rows = np.arange(ROWS, dtype=np.float64)[:, None] + np.zeros(CHANNELS)
        return Recording(tracks={n: Track(at_us=at, values=rows) for n in names})

    def signal(self) -> str:
        return self.names.pop()

    def happen(self, signal: str, *rows: int) -> None:
        self._take_any_type(signal)
        for row in rows:
            self.loop.call(self.server.happen(signal, row))

    def say(self, signal: str, value: Any) -> None:
        """Set a node to anything, past the server's check of types; not historised."""
        self._take_any_type(signal)
        self.loop.call(self.server.say(signal, value, keep=False))

    def _take_any_type(self, signal: str) -> None:
        nodes = self.server._server.iserver.aspace._nodes
        nodes[self.server._nodes[signal]].attributes[AttributeIds.Value].value = None

    def cut(self) -> None:
        self.loop.call(self.server.cut())

    def mend(self) -> None:
        self.loop.call(self.server.mend())

    def answer(self, name: str) -> Any:
        return self.loop.call(self.server.answer(name))


@pytest.fixture(scope="session")
def shared_plant(loop_thread: LoopThread) -> Iterator[Plant]:
    plant = Plant(loop_thread)
    yield plant
    loop_thread.call(plant.server.close())


@pytest.fixture
def plant(shared_plant: Plant) -> Iterator[Plant]:
    yield shared_plant
    shared_plant.mend()


class Kit:
    """What the tests of this room share; a conftest cannot be imported."""

    CHANNELS = CHANNELS

    START_US = START_US
    MODEL = MODEL
    MeanScorer = MeanScorer
    ScriptedSource = ScriptedSource
    ListSink = ListSink
    scenario = staticmethod(make_scenario)
    sample = staticmethod(make_sample)
    bad_sample = staticmethod(bad_sample)
    buffer = staticmethod(open_buffer)
    eventually = staticmethod(eventually)


@pytest.fixture
def kit() -> type[Kit]:
    return Kit
