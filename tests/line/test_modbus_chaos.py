"""What plants do to a line on Modbus TCP, and what must hold after each of it.

The device (pymodbus) runs in a process of its own and its register counts tenths of a
second; Modbus has no source time and no history, so a round that was not read is a gap,
and a number is true if the register held it between the question and the answer.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.line.lossy import HERE, THERE, LossyLink
from tests.line.modbus_plant import ModbusPlant
from tests.line.mqttline import aside
from tests.line.proxy import Cable
from tests.line.watched import WatchedLine

from tundish.kernel.clock import SystemClock
from tundish.line import plugins
from tundish.line.linefile import SourceSpec
from tundish.line.sources.modbus import ModbusSource, ModbusSourceOptions

pytest.importorskip("pymodbus")

Kit = Any
QUICK: dict[str, bool | int | float | str] = {
    "timeout_s": 0.4,
    "retry_first_s": 0.05,
    "retry_max_s": 0.2,
}

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def plant() -> Iterator[ModbusPlant]:
    with ModbusPlant() as made:
        yield made


@pytest.fixture
def cable(plant: ModbusPlant) -> Iterator[Cable]:
    with Cable(plant.port) as made:
        yield made


def _spec(port: int, host: str = "127.0.0.1") -> SourceSpec:
    return SourceSpec(
        kind="modbus", endpoint=f"modbus://{host}:{port}",
        nodes={"level": "holding:5"}, options=QUICK,
    )  # fmt: skip


def test_a_device_that_is_killed_and_starts_again_is_read_on_with_a_gap(
    kit: Kit, plant: ModbusPlant, tmp_path: Path
) -> None:
    line = WatchedLine(kit, tmp_path, plant, _spec(plant.port))

    async def script() -> None:
        with line.fault("stale"):
            await aside(plant.stop)
            await asyncio.sleep(3)
        await aside(plant.start)

    assert line.run(script).gaps


def test_a_cable_out_for_long_is_a_gap_and_nothing_is_invented(
    kit: Kit, plant: ModbusPlant, cable: Cable, tmp_path: Path
) -> None:
    """Ten minutes of one reading in ten seconds, at a hundred times the speed."""
    line = WatchedLine(kit, tmp_path, plant, _spec(cable.port))

    async def script() -> None:
        with line.fault("stale"):
            await aside(cable.cut)
            await asyncio.sleep(6)
        await aside(cable.mend)

    assert line.run(script).gaps


@pytest.mark.parametrize("ways", [("up", "down"), ("down",)], ids=["both", "down"])
def test_a_half_open_link_turns_red_and_is_left(
    kit: Kit, plant: ModbusPlant, cable: Cable, tmp_path: Path, ways: Any
) -> None:
    line = WatchedLine(kit, tmp_path, plant, _spec(cable.port))

    async def script() -> None:
        with line.fault("stale"):
            cable.hang(*ways)
            await asyncio.sleep(4)
            assert line.said("link-lost")
        await aside(cable.mend)

    assert line.run(script).gaps


def test_a_device_that_stands_still_turns_red(
    kit: Kit, plant: ModbusPlant, tmp_path: Path
) -> None:
    line = WatchedLine(kit, tmp_path, plant, _spec(plant.port))

    async def script() -> None:
        with line.fault("stale"):
            plant.send(signal.SIGSTOP)
            await asyncio.sleep(3)
        plant.send(signal.SIGCONT)

    line.run(script)


def test_connections_dropped_again_and_again_give_gaps_and_no_wrong_number(
    kit: Kit, plant: ModbusPlant, cable: Cable, tmp_path: Path
) -> None:
    line = WatchedLine(kit, tmp_path, plant, _spec(cable.port))

    async def script() -> None:
        with line.fault():
            for _ in range(8):
                await aside(cable.cut)
                await aside(cable.mend)
                await asyncio.sleep(0.5)

    line.run(script)
    assert len(line.said("link-lost")) >= 6


@pytest.mark.allow_hosts(["127.0.0.1", HERE, THERE])
def test_five_percent_of_packets_lost_and_delay_invent_nothing(
    kit: Kit, plant: ModbusPlant, tmp_path: Path
) -> None:
    """Real packets, really lost below TCP, in both directions."""
    try:
        lossy = LossyLink()
    except OSError as error:
        pytest.skip(f"this machine makes no TUN device: {error.strerror}")
    plant.late_us = 3_000_000
    with lossy:
        line = WatchedLine(kit, tmp_path, plant, _spec(plant.port, THERE))

        async def script() -> None:
            with line.fault():
                lossy.loss, lossy.delay_s = 0.05, 0.02
                await asyncio.sleep(8)
                lossy.loss = lossy.delay_s = 0.0

        line.run(script)
    assert lossy.lost >= 3


@pytest.mark.parametrize("code", [2, 4])
def test_a_register_that_is_refused_is_bad_by_itself_and_heals(
    kit: Kit, plant: ModbusPlant, tmp_path: Path, code: int
) -> None:
    """2: the tag is missing (no such address); 4: the device failed, a bad status."""
    line = WatchedLine(kit, tmp_path, plant, _spec(plant.port))

    async def script() -> None:
        with line.fault("bad", within_s=0.2):
            await aside(plant.refuse, code)
            await asyncio.sleep(2.5)
        await aside(plant.refuse, 0)

    report = line.run(script)
    assert report.abstained.get("bad-status", 0) >= 4
    assert len(line.said("link-restored")) == 1, "one tag ended the connection"


class Jumping(SystemClock):
    """The machine's clock, which somebody sets; monotonic time goes on."""

    def __init__(self) -> None:
        self.by_s = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.by_s)


def test_our_clock_set_forward_and_back_is_a_gap_and_never_an_older_answer(
    kit: Kit, plant: ModbusPlant, tmp_path: Path
) -> None:
    """The source time is ours: forward is a time without values; set back, nothing is
    newer, and the line is red until it is.
    """
    clock = Jumping()
    spec = _spec(plant.port)
    scenario = kit.scenario(periods={"level": 0.1}, stale_after_s=1.0, rows=1)
    options = ModbusSourceOptions.model_validate(spec.options)
    source = ModbusSource(spec, scenario, options, clock)
    line = WatchedLine(kit, tmp_path, plant, spec, clock=clock, source=source)
    plant.early_us = plant.late_us = 2_300_000

    async def script() -> None:
        with line.fault():
            clock.by_s = 2.0
            await asyncio.sleep(1.5)
        with line.fault("stale"):
            clock.by_s = -2.0
            await asyncio.sleep(3)
        clock.by_s = 2.0
        with line.fault():
            await line.grow()

    line.run(script)


def test_five_thousand_tags_come(kit: Kit, plant: ModbusPlant) -> None:
    places = [n for n in range(6000) if n != 5][:5000]
    spec = SourceSpec(
        kind="modbus", endpoint=f"modbus://127.0.0.1:{plant.port}",
        nodes={f"t{n}": f"holding:{n}" for n in places},
    )  # fmt: skip
    scenario = kit.scenario(
        periods={f"t{n}": 3.0 for n in places},
    )
    source = plugins.open_source(spec, scenario)

    async def job() -> dict[str, Any]:
        await source.connect()
        try:
            async for arrival in source.samples():
                if arrival.samples:
                    return {s.signal: s.values for s in arrival.samples}
        finally:
            await source.close()
        return {}

    found = asyncio.run(job())
    assert {name: float(values[0]) for name, values in found.items()} == {
        f"t{n}": float(n) for n in places
    }
