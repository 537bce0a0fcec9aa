"""Requests are written at every beat, never queued, and the breaker outlives the line."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.line.test_governor import SCENARIO, answer, sample, spec

from tundish.kernel.clock import SystemClock
from tundish.line.governor import Governor, Request
from tundish.line.linefile import ControlSpec
from tundish.line.requester import BreakerFile, Control, Requester


class Plc:
    """Takes requests, unless its cable is out."""

    name = "plc"

    def __init__(self) -> None:
        self.taken: list[Request] = []
        self.out = False
        self.closed = 0

    async def connect(self) -> None:
        if self.out:
            msg = "the cable is out"
            raise ConnectionError(msg)

    async def write_request(self, request: Request) -> None:
        await self.connect()
        self.taken.append(request)

    async def close(self) -> None:
        self.closed += 1


class Bench:
    """A requester on a fake PLC, and what it told."""

    def __init__(self, folder: Path, plc: Plc | None, said: ControlSpec) -> None:
        self.told: list[tuple[str, str]] = []
        breaker = BreakerFile(folder / "buffer.db")
        governor = Governor(said, SCENARIO, breaker.reason() if plc else "")
        control = Control(spec=said, governor=governor, sink=plc, breaker=breaker)
        self.governor, self.breaker = governor, breaker
        self.requester = Requester(
            control, SystemClock(), lambda kind, text: self.told.append((kind, text))
        )

    def good(self) -> None:
        self.requester.heard((sample("fuel", 15.0), sample("draught", -20.0)))
        self.requester.answered(answer(), 0.0)

    def bad(self) -> None:
        self.requester.answered(answer(None, "bad"), 0.0)

    async def beats(self, count: int) -> None:
        for _ in range(count):
            await self.requester._beat()

    @property
    def kinds(self) -> Sequence[str]:
        return [kind for kind, _ in self.told]


def test_a_request_goes_out_at_every_beat_until_the_line_ends(tmp_path: Path) -> None:
    plc = Plc()
    bench = Bench(tmp_path, plc, spec(heartbeat_s=0.02))

    async def script() -> None:
        bench.good()
        running = asyncio.create_task(bench.requester.run())
        async with asyncio.timeout(10):
            while len(plc.taken) <= 5:  # noqa: ASYNC110  (the PLC tells nobody)
                await asyncio.sleep(0.01)
        running.cancel()
        await bench.requester.close()

    asyncio.run(script())
    beats = [request.beat for request in plc.taken]
    assert beats == list(range(1, len(beats) + 1))
    assert all(request.valid for request in plc.taken[:-1])
    last = plc.taken[-1]
    assert (last.valid, last.value) == (False, 12.0)
    assert last.reason == "the line has stopped"
    assert plc.closed == 1
    assert bench.governor.counts.stops == 0  # an end is no stop


def test_what_could_not_be_written_is_not_written_later(tmp_path: Path) -> None:
    plc = Plc()
    bench = Bench(tmp_path, plc, spec())

    async def script() -> None:
        bench.good()
        await bench.beats(1)
        plc.out = True
        await bench.beats(3)
        bench.bad()
        plc.out = False
        await bench.beats(1)

    asyncio.run(script())
    assert [request.beat for request in plc.taken] == [1, 5]
    assert [request.valid for request in plc.taken] == [True, False]
    assert bench.kinds == ["request-lost", "request-stopped", "request-restored"]


def test_an_open_breaker_outlives_the_line_and_is_closed_by_a_person(
    tmp_path: Path,
) -> None:
    once = spec(breaker={"stops": 1, "within_s": 60.0})
    plc = Plc()
    bench = Bench(tmp_path, plc, once)

    async def trip() -> None:
        bench.good()
        await bench.beats(1)
        bench.bad()
        await bench.beats(1)

    asyncio.run(trip())
    assert bench.kinds == ["request-stopped", "breaker"]
    assert bench.breaker.path.exists()

    again = Bench(tmp_path, plc, once)

    async def after() -> None:
        again.good()
        await again.beats(1)
        assert not plc.taken[-1].valid
        assert "the breaker is open after 1 stops" in plc.taken[-1].reason
        assert again.breaker.reset()
        await again.beats(2)

    asyncio.run(after())
    assert plc.taken[-1].valid
    assert again.told == [("breaker", "the breaker was reset")]
    assert not BreakerFile(tmp_path / "buffer.db").reset()


def test_a_breaker_that_cannot_be_kept_stays_open_all_the_same(tmp_path: Path) -> None:
    plc = Plc()
    gone = tmp_path / "gone"
    gone.write_text("no folder")
    bench = Bench(gone, plc, spec(breaker={"stops": 1, "within_s": 60.0}))

    async def script() -> None:
        bench.good()
        await bench.beats(1)
        bench.bad()
        await bench.beats(1)
        bench.good()
        await bench.beats(2)
        gone.unlink()
        gone.mkdir()
        await bench.beats(1)

    asyncio.run(script())
    assert [request.valid for request in plc.taken] == [
        True,
        False,
        False,
        False,
        False,
    ]
    assert bench.breaker.path.exists()  # kept as soon as it could be


@pytest.mark.parametrize("stops", [1, 4])
def test_without_control_stops_are_counted_and_nothing_stays_open(
    tmp_path: Path, stops: int
) -> None:
    bench = Bench(tmp_path, None, spec(breaker={"stops": 2, "within_s": 60.0}))

    async def script() -> None:
        for _ in range(stops):
            bench.good()
            await bench.beats(1)
            bench.bad()
            await bench.beats(1)
        bench.good()
        await bench.beats(1)
        await bench.requester.close()

    asyncio.run(script())
    assert bench.requester.counts.stops == stops
    assert bench.requester.counts.trips == stops // 2
    assert bench.told == []
    assert not bench.breaker.path.exists()


def test_a_package_without_approval_asks_once_for_nothing_and_then_is_silent(
    tmp_path: Path,
) -> None:
    plc = Plc()
    bench = Bench(tmp_path, plc, spec())

    async def script() -> None:
        bench.good()
        await bench.beats(1)
        bench.requester.rest("nobody has approved this package")
        await bench.beats(3)
        bench.requester.rest("")
        bench.good()
        await bench.beats(1)

    asyncio.run(script())
    assert [request.valid for request in plc.taken] == [True, False, True]
    assert plc.taken[1].reason == "nobody has approved this package"
