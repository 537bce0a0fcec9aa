"""What plants do to a line on MQTT 3.1.1, MQTT 5 and Sparkplug B, and what must hold.

A real Mosquitto in a process of its own, a device in real time (``mqtt_plant``), links
that are cut, go half open, lose packets (``proxy``, ``lossy``). After every case
``WatchedLine.settle`` asks the same, and an observer has read ``line status`` all along.
MQTT 3.1.1 takes its turn with ``make chaos``: its session differs in CONNECT alone.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.line import mosquitto
from tests.line.lossy import HERE, THERE, LossyLink
from tests.line.mosquitto import Mosquitto, running
from tests.line.mqtt_plant import MqttPlant
from tests.line.mqttline import PLACES, QUICK, aside
from tests.line.proxy import Cable
from tests.line.watched import WatchedLine

from tundish.kernel.clock import SystemClock
from tundish.kernel.errors import DiskFullError
from tundish.line import mqttpackets, plugins, sparkplug
from tundish.line.linefile import SourceSpec

Kit = Any
MQTT = ["3.1.1", "5"] if os.environ.get("TUNDISH_CHAOS") else ["5"]
ALL = [*MQTT, "sparkplug"]

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(mosquitto.MISSING, reason="mosquitto is not installed"),
]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with running(tmp_path / "broker") as one:
        yield one


@pytest.fixture
def cable(broker: Mosquitto) -> Iterator[Cable]:
    with Cable(broker.port) as one:
        yield one


def _plant(broker: Mosquitto, kind: str) -> MqttPlant:
    edge = kind == "sparkplug"
    topic = "E" if edge else "plant/level"
    return MqttPlant(broker.port, topic, host=broker.host, sparkplug=edge)


def _spec(endpoint: str, kind: str) -> SourceSpec:
    edge = kind == "sparkplug"
    more: dict[str, Any] = (
        {"rebirth_s": 0.2} if edge else PLACES | {"version": kind, "client_id": "chaos"}
    )
    return SourceSpec(
        kind="sparkplug" if edge else "mqtt",
        endpoint=endpoint,
        nodes={"level": "G/E:level" if edge else "plant/level"},
        options=QUICK | more,
    )


def _through(cable: Cable) -> str:
    return f"mqtt://127.0.0.1:{cable.port}"


def _no_gap_but_of_sparkplug(kind: str, report: Any) -> None:
    """A broker keeps what QoS 1 brings; Sparkplug is QoS 0 in a clean session."""
    assert bool(report.gaps) == (kind == "sparkplug")


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_broker_that_restarts_is_read_on(
    kit: Kit, broker: Mosquitto, tmp_path: Path, kind: str, how: signal.Signals
) -> None:
    """A device that keeps what no broker acknowledged loses nothing by a clean stop."""
    with _plant(broker, kind) as plant:
        line = WatchedLine(kit, tmp_path, plant, _spec(broker.endpoint, kind))

        async def script() -> None:
            with line.fault("stale"):
                await aside(broker.stop, how)
                await asyncio.sleep(3)
            await aside(broker.start)

        report = line.run(script)
    if kind != "sparkplug" and how == signal.SIGTERM:
        assert report.gaps == ()


@pytest.mark.parametrize("kind", ALL)
def test_a_cable_out_for_long_loses_nothing_that_the_broker_keeps(
    kit: Kit, broker: Mosquitto, cable: Cable, tmp_path: Path, kind: str
) -> None:
    """Ten minutes of one value in ten seconds, at a hundred times the speed."""
    with _plant(broker, kind) as plant:
        line = WatchedLine(kit, tmp_path, plant, _spec(_through(cable), kind))

        async def script() -> None:
            with line.fault("stale"):
                await aside(cable.cut)
                await asyncio.sleep(6)
            await aside(cable.mend)

        report = line.run(script)
    _no_gap_but_of_sparkplug(kind, report)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("ways", [("up", "down"), ("down",)], ids=["both", "down"])
def test_a_half_open_link_turns_red_and_is_left(
    kit: Kit, broker: Mosquitto, cable: Cable, tmp_path: Path, kind: str, ways: Any
) -> None:
    with _plant(broker, kind) as plant:
        line = WatchedLine(kit, tmp_path, plant, _spec(_through(cable), kind))

        async def script() -> None:
            with line.fault("stale"):
                cable.hang(*ways)
                await asyncio.sleep(4)
                assert line.said("link-lost")
            await aside(cable.mend)

        report = line.run(script)
    _no_gap_but_of_sparkplug(kind, report)


@pytest.mark.parametrize("kind", ALL)
def test_connections_dropped_again_and_again_lose_nothing(
    kit: Kit, broker: Mosquitto, cable: Cable, tmp_path: Path, kind: str
) -> None:
    with _plant(broker, kind) as plant:
        line = WatchedLine(kit, tmp_path, plant, _spec(_through(cable), kind))

        async def script() -> None:
            with line.fault():
                for _ in range(8):
                    await aside(cable.cut)
                    await aside(cable.mend)
                    await asyncio.sleep(0.5)

        report = line.run(script)
    assert len(line.said("link-lost")) >= 6
    if kind != "sparkplug":
        assert report.gaps == ()


@pytest.fixture
def lossy() -> Iterator[LossyLink]:
    try:
        made = LossyLink()
    except OSError as error:
        pytest.skip(f"this machine makes no TUN device: {error.strerror}")
    with made as one:
        yield one


@pytest.mark.allow_hosts(["127.0.0.1", HERE, THERE])
@pytest.mark.parametrize("kind", ALL)
def test_five_percent_of_packets_lost_and_delay_lose_nothing(
    kit: Kit, lossy: LossyLink, tmp_path: Path, kind: str
) -> None:
    """Real packets, really lost below TCP, in both directions."""
    with (
        running(tmp_path / "broker", host=HERE) as broker,
        _plant(broker, kind) as plant,
    ):
        endpoint = f"mqtt://{THERE}:{broker.port}"
        line = WatchedLine(kit, tmp_path, plant, _spec(endpoint, kind))

        async def script() -> None:
            with line.fault():
                lossy.loss, lossy.delay_s = 0.05, 0.02
                await asyncio.sleep(8)
                lossy.loss = lossy.delay_s = 0.0

        report = line.run(script)
    assert lossy.lost >= 3
    if kind != "sparkplug":
        assert report.gaps == ()


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("fault", ["bad", "type", "missing"])
def test_a_value_that_is_none_never_becomes_a_number(
    kit: Kit, broker: Mosquitto, tmp_path: Path, kind: str, fault: Any
) -> None:
    if (kind, fault) == ("sparkplug", "bad"):
        pytest.skip("test_sparkplug_edge.py: test_the_quality_property_counts")
    with _plant(broker, kind) as plant:
        line = WatchedLine(kit, tmp_path, plant, _spec(broker.endpoint, kind))

        async def script() -> None:
            with line.fault("bad", within_s=0.2):
                plant.fault = fault
                await asyncio.sleep(2.5)
            plant.fault = ""

        report = line.run(script)
    assert report.abstained.get("bad-status", 0) >= 4
    assert len(line.said("link-restored")) == 1, "one tag ended the connection"


@pytest.mark.parametrize("kind", ALL)
def test_a_tag_that_is_not_sent_any_more_turns_stale_and_heals_by_itself(
    kit: Kit, broker: Mosquitto, tmp_path: Path, kind: str
) -> None:
    with _plant(broker, kind) as plant:
        line = WatchedLine(kit, tmp_path, plant, _spec(broker.endpoint, kind))

        async def script() -> None:
            with line.fault("stale"):
                plant.fault = "silent"
                await asyncio.sleep(3)
            plant.fault = ""

        report = line.run(script)
    assert report.gaps == () or all(gap.reason for gap in report.gaps)
    assert len(line.said("link-restored")) == 1


def test_a_birth_of_itself_and_a_left_out_message_change_no_value(
    kit: Kit, broker: Mosquitto, tmp_path: Path
) -> None:
    with _plant(broker, "sparkplug") as plant:
        line = WatchedLine(kit, tmp_path, plant, _spec(broker.endpoint, "sparkplug"))

        async def script() -> None:
            with line.fault():
                plant.rebirth(alias=11)
                await asyncio.sleep(0.5)
                births = plant.births
                plant.skip_number()
                await line.until(lambda: plant.births > births)
                plant.die()
                await asyncio.sleep(0.5)

        line.run(script)


class Jumping(SystemClock):
    """The machine's clock, which somebody sets; monotonic time goes on."""

    def __init__(self) -> None:
        self.by_s = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.by_s)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("by_s", [3600.0, -3600.0], ids=["forward", "back"])
def test_our_clock_that_jumps_is_shown_and_loses_nothing(
    kit: Kit, broker: Mosquitto, tmp_path: Path, kind: str, by_s: float
) -> None:
    """Source times are the device's: answers stay the same whatever our clock says."""
    clock = Jumping()
    with _plant(broker, kind) as plant:
        spec = _spec(broker.endpoint, kind)
        line = WatchedLine(kit, tmp_path, plant, spec, clock=clock)

        async def script() -> None:
            with line.fault("stale" if by_s > 0 else "uncertain", within_s=0.5):
                clock.by_s = by_s
                await asyncio.sleep(2.5)
            clock.by_s = 0.0

        report = line.run(script)
    assert report.gaps == ()


def _mounted(folder: Path) -> bool:
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid():
        return False
    command = [mount, "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("kind", MQTT)
def test_a_disk_that_is_really_full_ends_the_line_and_the_next_start_goes_on(
    kit: Kit, broker: Mosquitto, tmp_path: Path, kind: str
) -> None:
    """A file system of 2 MB that another program fills; what was on disk stays."""
    disk = tmp_path / "disk"
    if not _mounted(disk):
        pytest.skip("this user mounts no file system")
    try:
        with _plant(broker, kind) as plant:
            acknowledged = _fill(
                kit, tmp_path, disk, plant, _spec(broker.endpoint, kind)
            )
            (disk / "filler").unlink()
            line = WatchedLine(
                kit, tmp_path, plant, _spec(broker.endpoint, kind), buffer=disk / "b"
            )

            async def script() -> None:
                pass

            report = line.run(script)
        assert acknowledged
        assert set(acknowledged) <= set(line.answered)
        assert report.gaps == ()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def _fill(
    kit: Kit, folder: Path, disk: Path, plant: Any, spec: SourceSpec
) -> list[int]:
    """Run a line until its disk is full; return the rows that it had answered."""
    line = WatchedLine(kit, folder, plant, spec, buffer=disk / "b")

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


async def _many_tags(kit: Kit, broker: Mosquitto, kind: str, names: list[str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    hello = mqttpackets.Hello(version=5, client_id="many", clean=True, keep_alive_s=0)
    writer.write(mqttpackets.connect(hello))
    await reader.read(100)
    if kind == "sparkplug":
        some = tuple(
            sparkplug.metric(float(n), sparkplug.DOUBLE, name=name, alias=n,
                             time_ms=kit.START_US // 1000)
            for n, name in enumerate(names)
        )  # fmt: skip
        payload = sparkplug.Payload(time_ms=0, seq=0, metrics=some)
        data = sparkplug.encode(payload)
        writer.write(mqttpackets.publish(5, "spBv1.0/G/NBIRTH/E", data))
    else:
        for n, name in enumerate(names):
            body = f'{{"t": {kit.START_US}, "v": {n}, "q": "good"}}'.encode()
            writer.write(mqttpackets.publish(5, f"many/{name}", body))
    try:
        await writer.drain()
        await asyncio.sleep(30)
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("kind", ["5", "sparkplug"])
def test_five_thousand_tags_come(kit: Kit, broker: Mosquitto, kind: str) -> None:
    count = 5000
    names = [f"t{number}" for number in range(count)]

    async def job() -> dict[str, float]:
        edge = kind == "sparkplug"
        options: dict[str, Any] = {"timeout_s": 10.0} | ({} if edge else PLACES)
        spec = SourceSpec(
            kind="sparkplug" if edge else "mqtt", endpoint=broker.endpoint,
            nodes={n: f"G/E:{n}" if edge else f"many/{n}" for n in names},
            options=options,
        )  # fmt: skip
        scenario = kit.scenario(periods=dict.fromkeys(names, 3.0))
        source = plugins.open_source(spec, scenario)
        await source.connect()
        talking = asyncio.create_task(_many_tags(kit, broker, kind, names))
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
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)
            await source.close()
        return found

    assert asyncio.run(job()) == {f"t{n}": float(n) for n in range(count)}
