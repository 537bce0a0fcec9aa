"""What plants do to a line over HTTP, asked or posted to, and what must hold.

The gateway is the standard library's server, the device posts with the standard library's
client, both in real time (``http_plant``). After every case ``WatchedLine.settle`` asks the
same, and an observer has read ``line status`` all along.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.line.http_plant import KEPT, TOKEN, Device, Gateway
from tests.line.lossy import HERE, THERE, LossyLink
from tests.line.mqttline import aside
from tests.line.proxy import Cable
from tests.line.test_mqtt_chaos import Jumping, _fill, _mounted
from tests.line.watched import WatchedLine
from tests.ports import free_port

from tundish.line import plugins
from tundish.line.linefile import SourceSpec
from tundish.line.security import SecretRef, SecuritySpec

Kit = Any
STAMPS: dict[str, Any] = {"time": "/t", "time_unit": "us", "quality": "/q"}
QUICK: dict[str, Any] = {
    "period_s": 0.2,
    "timeout_s": 1.0,
    "retry_first_s": 0.05,
    "retry_max_s": 0.3,
}

ALL = bool(os.environ.get("TUNDISH_CHAOS"))
VALUES = ["bad", "type", "missing"] if ALL else ["type"]
ANSWERS = ["503", "302", "torn"] if ALL else ["503"]
HANGS = [("down",), ("up", "down")] if ALL else [("down",)]
JUMPS = [3600.0, -3600.0] if ALL else [-3600.0]

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as one:
        yield one


def asked(port: int, host: str = "127.0.0.1") -> SourceSpec:
    return SourceSpec(
        kind="http",
        endpoint=f"http://{host}:{port}/rows",
        nodes={"level": "/v"},
        options=STAMPS | QUICK | {"rows": "/rows"},
    )


def posted(port: int, folder: Path) -> SourceSpec:
    secret = folder / "token"
    secret.write_text(TOKEN)
    return SourceSpec(
        kind="http-receive",
        endpoint=f"http://127.0.0.1:{port}/rows",
        security=SecuritySpec(token=SecretRef(file=str(secret))),
        nodes={"level": "/v"},
        options=STAMPS,
    )


def test_a_server_that_restarts_is_read_on(
    kit: Kit, gateway: Gateway, tmp_path: Path
) -> None:
    """What its next answer still holds is no gap."""
    line = WatchedLine(kit, tmp_path, gateway, asked(gateway.port))

    async def script() -> None:
        with line.fault("stale"):
            await aside(gateway.stop)
            await asyncio.sleep(3)
        await aside(gateway.start)

    report = line.run(script)
    assert line.said("link-lost")
    assert report.gaps == ()


def test_a_cable_out_for_longer_than_an_answer_reaches_back_is_a_gap(
    kit: Kit, gateway: Gateway, tmp_path: Path
) -> None:
    with Cable(gateway.port) as cable:
        line = WatchedLine(kit, tmp_path, gateway, asked(cable.port))

        async def script() -> None:
            with line.fault("stale"):
                await aside(cable.cut)
                await asyncio.sleep(KEPT * 0.1 + 2)
            await aside(cable.mend)

        report = line.run(script)
    assert len(report.gaps) == 1


@pytest.mark.parametrize("ways", HANGS)
def test_a_half_open_link_turns_red_and_is_left(
    kit: Kit, gateway: Gateway, tmp_path: Path, ways: Any
) -> None:
    with Cable(gateway.port) as cable:
        line = WatchedLine(kit, tmp_path, gateway, asked(cable.port))

        async def script() -> None:
            with line.fault("stale"):
                cable.hang(*ways)
                await asyncio.sleep(3)
                assert line.said("link-lost")
            await aside(cable.mend)

        report = line.run(script)
    assert report.gaps == ()


def test_connections_dropped_again_and_again_lose_nothing(
    kit: Kit, gateway: Gateway, tmp_path: Path
) -> None:
    with Cable(gateway.port) as cable:
        line = WatchedLine(kit, tmp_path, gateway, asked(cable.port))

        async def script() -> None:
            with line.fault():
                for _ in range(8):
                    await aside(cable.cut)
                    await aside(cable.mend)
                    await asyncio.sleep(0.4)

        report = line.run(script)
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
def test_five_percent_of_packets_lost_and_delay_lose_nothing(
    kit: Kit, lossy: LossyLink, tmp_path: Path
) -> None:
    with Gateway(host=HERE) as gateway:
        line = WatchedLine(kit, tmp_path, gateway, asked(gateway.port, THERE))

        async def script() -> None:
            with line.fault():
                lossy.loss, lossy.delay_s = 0.05, 0.02
                await asyncio.sleep(6)
                lossy.loss = lossy.delay_s = 0.0

        report = line.run(script)
    assert lossy.lost >= 2
    assert report.gaps == ()


@pytest.mark.parametrize("fault", VALUES)
def test_a_value_that_is_none_never_becomes_a_number(
    kit: Kit, gateway: Gateway, tmp_path: Path, fault: Any
) -> None:
    line = WatchedLine(kit, tmp_path, gateway, asked(gateway.port))

    async def script() -> None:
        with line.fault("bad", within_s=0.4):
            gateway.fault = fault
            await asyncio.sleep(2)
        gateway.fault = ""

    report = line.run(script)
    assert report.abstained.get("bad-status", 0) >= 4
    assert len(line.said("link-restored")) == 1


@pytest.mark.parametrize("fault", ANSWERS)
def test_an_answer_without_rows_is_bad_at_once_and_then_stale(
    kit: Kit, gateway: Gateway, tmp_path: Path, fault: Any
) -> None:
    line = WatchedLine(kit, tmp_path, gateway, asked(gateway.port))

    async def script() -> None:
        with line.fault("bad", "stale", within_s=0.4):
            gateway.fault = fault
            await asyncio.sleep(3)
        gateway.fault = ""

    report = line.run(script)
    assert {"bad", "stale"} <= set(line.states())
    assert report.gaps == ()


@pytest.mark.parametrize("fault", ["drip", "huge"])
def test_an_answer_that_does_not_end_or_is_too_large_stalls_nothing(
    kit: Kit, gateway: Gateway, tmp_path: Path, fault: Any
) -> None:
    line = WatchedLine(kit, tmp_path, gateway, asked(gateway.port))

    async def script() -> None:
        with line.fault("stale"):
            gateway.fault = fault
            await asyncio.sleep(3)
        gateway.fault = ""

    report = line.run(script)
    assert line.said("link-lost")
    assert report.gaps == ()


def test_an_answer_that_does_not_move_its_times_turns_stale(
    kit: Kit, gateway: Gateway, tmp_path: Path
) -> None:
    line = WatchedLine(kit, tmp_path, gateway, asked(gateway.port))

    async def script() -> None:
        with line.fault("stale"):
            gateway.fault = "silent"
            await asyncio.sleep(3)
        gateway.fault = ""

    line.run(script)
    assert gateway.unmoved >= 5, "it was asked with the mark of its last answer"
    assert not line.said("link-lost")


# posted to


def test_a_cable_out_loses_nothing_that_the_device_keeps(
    kit: Kit, tmp_path: Path
) -> None:
    port = free_port()
    with Cable(port) as cable, Device(cable.port) as device:
        line = WatchedLine(kit, tmp_path, device, posted(port, tmp_path))

        async def script() -> None:
            with line.fault("stale"):
                await aside(cable.cut)
                await asyncio.sleep(5)
            await aside(cable.mend)

        report = line.run(script)
    assert report.gaps == ()


@pytest.mark.parametrize("ways", HANGS)
def test_answers_that_do_not_come_back_double_nothing(
    kit: Kit, tmp_path: Path, ways: Any
) -> None:
    port = free_port()
    with Cable(port) as cable, Device(cable.port) as device:
        line = WatchedLine(kit, tmp_path, device, posted(port, tmp_path))

        async def script() -> None:
            with line.fault("stale"):
                cable.hang(*ways)
                await asyncio.sleep(3)
            await aside(cable.mend)

        report = line.run(script)
    assert report.gaps == ()
    assert len(set(device.acknowledged)) == len(device.acknowledged)


def test_connections_dropped_again_and_again_lose_nothing_that_was_posted(
    kit: Kit, tmp_path: Path
) -> None:
    port = free_port()
    with Cable(port) as cable, Device(cable.port) as device:
        line = WatchedLine(kit, tmp_path, device, posted(port, tmp_path))

        async def script() -> None:
            with line.fault():
                for _ in range(8):
                    await aside(cable.cut)
                    await aside(cable.mend)
                    await asyncio.sleep(0.4)

        report = line.run(script)
    assert report.gaps == ()


@pytest.mark.parametrize("fault", VALUES)
def test_a_posted_value_that_is_none_never_becomes_a_number(
    kit: Kit, tmp_path: Path, fault: Any
) -> None:
    port = free_port()
    with Device(port) as device:
        line = WatchedLine(kit, tmp_path, device, posted(port, tmp_path))

        async def script() -> None:
            with line.fault("bad", within_s=0.2):
                device.fault = fault
                await asyncio.sleep(2)
            device.fault = ""

        report = line.run(script)
    assert report.abstained.get("bad-status", 0) >= 4


def test_a_device_that_is_silent_turns_stale_and_heals_by_itself(
    kit: Kit, tmp_path: Path
) -> None:
    port = free_port()
    with Device(port) as device:
        line = WatchedLine(kit, tmp_path, device, posted(port, tmp_path))

        async def script() -> None:
            with line.fault("stale"):
                device.fault = "silent"
                await asyncio.sleep(3)
            device.fault = ""

        report = line.run(script)
    assert len(report.gaps) == 1


# both ways

WAYS = ["asked", "posted"]


@contextlib.contextmanager
def plant(way: str, folder: Path) -> Iterator[tuple[Any, SourceSpec]]:
    """Yield a gateway or a device, and the source that reads it."""
    if way == "asked":
        with Gateway() as gateway:
            yield gateway, asked(gateway.port)
    else:
        port = free_port()
        with Device(port) as device:
            yield device, posted(port, folder)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("by_s", JUMPS)
def test_our_clock_that_jumps_is_shown_and_loses_nothing(
    kit: Kit, tmp_path: Path, way: str, by_s: float
) -> None:
    clock = Jumping()
    with plant(way, tmp_path) as (source, spec):
        line = WatchedLine(kit, tmp_path, source, spec, clock=clock)

        async def script() -> None:
            with line.fault("stale" if by_s > 0 else "uncertain", within_s=0.5):
                clock.by_s = by_s
                await asyncio.sleep(2)
            clock.by_s = 0.0

        report = line.run(script)
    assert report.gaps == ()


@pytest.mark.parametrize("way", WAYS)
def test_a_source_whose_clock_is_set_back_is_stale_and_doubles_nothing(
    kit: Kit, tmp_path: Path, way: str
) -> None:
    """Its times were there before; when it is set right, the time between is a gap."""
    with plant(way, tmp_path) as (source, spec):
        line = WatchedLine(kit, tmp_path, source, spec)

        async def script() -> None:
            with line.fault("stale", within_s=1.5):
                source.offset_us = -90_000_000
                await asyncio.sleep(3.5)
            source.offset_us = 0

        report = line.run(script)
    assert report.gaps


@pytest.mark.parametrize("way", WAYS)
def test_a_disk_that_is_really_full_ends_the_line_and_the_next_start_goes_on(
    kit: Kit, tmp_path: Path, way: str
) -> None:
    """What was not on disk was not answered with 200, and is posted again."""
    disk = tmp_path / "disk"
    if not _mounted(disk):
        pytest.skip("this user mounts no file system")
    try:
        with plant(way, tmp_path) as (source, spec):
            answered = _fill(kit, tmp_path, disk, source, spec)
            (disk / "filler").unlink()
            line = WatchedLine(kit, tmp_path, source, spec, buffer=disk / "b")

            async def script() -> None:
                pass

            report = line.run(script)
            kept = set(getattr(source, "acknowledged", ()))
        assert answered
        assert set(answered) <= set(line.answered)
        assert {row for row in kept if row < line.answered[-1]} <= set(line.answered)
        assert report.gaps == ()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("way", WAYS)
def test_five_thousand_tags_come(kit: Kit, tmp_path: Path, way: str) -> None:
    names = [f"t{number}" for number in range(5000)]
    row = {"t": kit.START_US, "q": "good"} | {n: float(k) for k, n in enumerate(names)}
    with plant(way, tmp_path) as (source, spec):
        source.fault = "silent"
        if way == "asked":
            source._was = {0: row}
        wide = spec.model_copy(update={"nodes": {name: f"/{name}" for name in names}})
        scenario = kit.scenario(periods=dict.fromkeys(names, 3.0))
        many = plugins.open_source(wide, scenario)

        def post() -> None:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            data = json.dumps(row).encode()
            request = urllib.request.Request(spec.endpoint, data, headers)  # noqa: S310
            with contextlib.suppress(OSError):  # it is answered when it is on disk
                urllib.request.urlopen(request, timeout=2).close()  # noqa: S310

        async def job() -> dict[str, float]:
            await many.connect()
            found: dict[str, float] = {}
            posting: Any = None
            try:
                async with asyncio.timeout(30):
                    async for arrival in many.samples():
                        if arrival.link and way == "posted":
                            posting = asyncio.create_task(aside(post))
                        for sample in arrival.samples:
                            found[sample.signal] = float(sample.values[0])  # type: ignore[index]
                        if len(found) == len(names):
                            return found
            finally:
                await many.close()
                if posting is not None:
                    await posting
            return found

        assert asyncio.run(job()) == {name: float(k) for k, name in enumerate(names)}
