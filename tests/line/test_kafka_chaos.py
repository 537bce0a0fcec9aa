"""What plants do to a line on Kafka, and what must hold.

Real brokers in processes of their own (``kafka_plant``), a device in real time, links that
are cut or go half open. After every case ``WatchedLine.settle`` asks the same, and an
observer has read ``line status`` all along.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("confluent_kafka")

from tests.line.kafka_plant import (
    KafkaCable,
    KafkaPlant,
    Mock,
    Talker,
    running,
    source_spec,
)
from tests.line.mqttline import PLACES, aside, payload
from tests.line.test_mqtt_chaos import Jumping
from tests.line.watched import WatchedLine

from tundish.kernel.errors import DiskFullError
from tundish.line import plugins

Kit = Any

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def broker() -> Iterator[Mock]:
    with running(Mock()) as one:
        one.create("level")
        yield one


@pytest.fixture
def cable(broker: Mock) -> Iterator[KafkaCable]:
    with KafkaCable(broker) as one:
        yield one


def test_a_broker_that_is_frozen_is_read_on_without_a_gap(
    kit: Kit, broker: Mock, tmp_path: Path
) -> None:
    with KafkaPlant(broker) as plant:
        line = WatchedLine(kit, tmp_path, plant, source_spec(broker.endpoint))

        async def script() -> None:
            with line.fault("stale"):
                broker.freeze()
                await asyncio.sleep(4)
                assert line.said("link-lost")
            broker.thaw()

        report = line.run(script)
    assert report.gaps == ()


def test_a_broker_that_restarts_is_read_on(
    kit: Kit, broker: Mock, cable: KafkaCable, tmp_path: Path
) -> None:
    """This one keeps nothing: its topic is empty, and our place lies beyond its end."""
    plant = KafkaPlant(broker)
    line = WatchedLine(kit, tmp_path, plant, source_spec(cable.endpoint))
    with plant:

        async def script() -> None:
            await line.grow(30)
            with line.fault("stale"):
                await aside(broker.stop)
                await asyncio.sleep(3)
                assert line.said("link-lost")
            await aside(broker.start)
            await aside(broker.create, "level")
            cable.lead_to(broker)
            plant.lead_to(broker)

        line.run(script)
    assert len(line.said("link-restored")) == 2


def test_a_cable_out_for_long_loses_nothing_that_the_brokers_keep(
    kit: Kit, broker: Mock, cable: KafkaCable, tmp_path: Path
) -> None:
    with KafkaPlant(broker) as plant:
        line = WatchedLine(kit, tmp_path, plant, source_spec(cable.endpoint))

        async def script() -> None:
            with line.fault("stale"):
                await aside(cable.cut)
                await asyncio.sleep(6)
            await aside(cable.mend)

        report = line.run(script)
    assert report.gaps == ()


@pytest.mark.parametrize("ways", [("up", "down"), ("down",)], ids=["both", "down"])
def test_a_half_open_link_turns_red_and_is_left(
    kit: Kit, broker: Mock, cable: KafkaCable, tmp_path: Path, ways: Any
) -> None:
    with KafkaPlant(broker) as plant:
        line = WatchedLine(kit, tmp_path, plant, source_spec(cable.endpoint))

        async def script() -> None:
            with line.fault("stale"):
                cable.hang(*ways)
                await asyncio.sleep(4)
                assert line.said("link-lost")
            await aside(cable.mend)

        report = line.run(script)
    assert report.gaps == ()


def test_connections_dropped_again_and_again_lose_nothing(
    kit: Kit, broker: Mock, cable: KafkaCable, tmp_path: Path
) -> None:
    with KafkaPlant(broker) as plant:
        line = WatchedLine(kit, tmp_path, plant, source_spec(cable.endpoint))

        async def script() -> None:
            with line.fault():
                for _ in range(8):
                    await aside(cable.cut)
                    await aside(cable.mend)
                    await asyncio.sleep(0.5)

        report = line.run(script)
    assert cable.connections > 8
    assert report.gaps == ()


@pytest.mark.parametrize("fault", ["bad", "type", "missing"])
def test_a_value_that_is_none_never_becomes_a_number(
    kit: Kit, broker: Mock, tmp_path: Path, fault: Any
) -> None:
    with KafkaPlant(broker) as plant:
        line = WatchedLine(kit, tmp_path, plant, source_spec(broker.endpoint))

        async def script() -> None:
            with line.fault("bad", within_s=0.2):
                plant.fault = fault
                await asyncio.sleep(2.5)
            plant.fault = ""

        report = line.run(script)
    assert report.abstained.get("bad-status", 0) >= 4
    assert len(line.said("link-restored")) == 1, "one tag ended the connection"


def test_a_tag_that_is_not_sent_any_more_turns_stale_and_heals_by_itself(
    kit: Kit, broker: Mock, tmp_path: Path
) -> None:
    with KafkaPlant(broker) as plant:
        line = WatchedLine(kit, tmp_path, plant, source_spec(broker.endpoint))

        async def script() -> None:
            with line.fault("stale"):
                plant.fault = "silent"
                await asyncio.sleep(3)
            plant.fault = ""

        report = line.run(script)
    assert all(gap.reason for gap in report.gaps)
    assert len(line.said("link-restored")) == 1


@pytest.mark.parametrize("by_s", [3600.0, -3600.0], ids=["forward", "back"])
def test_our_clock_that_jumps_is_shown_and_loses_nothing(
    kit: Kit, broker: Mock, tmp_path: Path, by_s: float
) -> None:
    clock = Jumping()
    with KafkaPlant(broker) as plant:
        spec = source_spec(broker.endpoint)
        line = WatchedLine(kit, tmp_path, plant, spec, clock=clock)

        async def script() -> None:
            with line.fault("stale" if by_s > 0 else "uncertain", within_s=0.5):
                clock.by_s = by_s
                await asyncio.sleep(2.5)
            clock.by_s = 0.0

        report = line.run(script)
    assert report.gaps == ()


def test_messages_that_are_hostile_or_huge_stop_nothing(
    kit: Kit, broker: Mock, tmp_path: Path
) -> None:
    """Somebody else writes into the topic: what is no value is bad, and the line goes on."""
    stranger = Talker(broker, "level")
    with KafkaPlant(broker) as plant:
        spec = source_spec(broker.endpoint, most_kb=64)
        line = WatchedLine(kit, tmp_path, plant, spec)

        async def script() -> None:
            with line.fault():
                for some in (None, b"", b"\0\0\0\0\1", b"[" * 60_000, b'{"t":1e999}'):
                    stranger.say(some)
                stranger.say(bytes(3_000_000))
                await aside(stranger.flush)
                await asyncio.sleep(1)

        report = line.run(script)
    assert report.gaps == ()
    assert not line.said("link-lost")


def _mounted(folder: Path) -> bool:
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid():
        return False
    command = [mount, "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_a_disk_that_is_really_full_ends_the_line_and_the_next_start_goes_on(
    kit: Kit, broker: Mock, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    if not _mounted(disk):
        pytest.skip("this user mounts no file system")
    spec = source_spec(broker.endpoint)
    try:
        with KafkaPlant(broker) as plant:
            answered = _fill(
                WatchedLine(kit, tmp_path, plant, spec, buffer=disk / "b"), disk
            )
            (disk / "filler").unlink()
            line = WatchedLine(kit, tmp_path, plant, spec, buffer=disk / "b")

            async def script() -> None:
                pass

            report = line.run(script)
        assert answered
        assert set(answered) <= set(line.answered)
        assert report.gaps == ()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def _fill(line: WatchedLine, disk: Path) -> list[int]:
    """Run a line until its disk is full; return the rows that it had answered."""

    async def job() -> None:
        running = asyncio.create_task(line.engine.run(asyncio.Event()))
        await line.grow()
        with (disk / "filler").open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                pass
        await asyncio.wait_for(running, 30)

    try:
        with pytest.raises(DiskFullError):
            asyncio.run(job())
        return line.rows()
    finally:
        line.buffer.close()


def test_five_thousand_tags_come(kit: Kit, broker: Mock) -> None:
    """One topic, a key for each tag."""
    count = 5000
    names = [f"t{number}" for number in range(count)]
    nodes = {one: {"node": "level", "options": {"key": one}} for one in names}

    async def job() -> dict[str, float]:
        spec = source_spec(broker.endpoint, nodes)
        spec = spec.model_copy(update={"options": PLACES})
        scenario = kit.scenario(periods=dict.fromkeys(names, 3.0))
        source = plugins.open_source(spec, scenario)
        await source.connect()
        talker = Talker(broker, "level")
        for n, name in enumerate(names):
            talker.say(payload(kit, 0, float(n)), name)
        await aside(talker.flush)
        found: dict[str, float] = {}
        try:
            async with asyncio.timeout(30):
                async for arrival in source.samples():
                    for sample in arrival.samples:
                        if sample.values is not None:
                            found[sample.signal] = float(sample.values[0])
                    if len(found) == count:
                        return found
        finally:
            await source.close()
        return found

    assert asyncio.run(job()) == {f"t{n}": float(n) for n in range(count)}
