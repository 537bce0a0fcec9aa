"""Speed of the line on MQTT against a hand-written decoder and client libraries.

One process sends preformatted PUBLISH packets of QoS 0 as fast as they are taken, each
a JSON message of 20 values with its time; every contestant takes the same bytes over
loopback, reads the JSON, and scores new rows in one call every few milliseconds. The
hand-written decoder is forty lines with no checks, no buffer and no state: what the
interpreter can do at best. Ratios are to it, in the same run; CPU time of the client
counts, since the sender shares the machine.

    python bench/line_mqtt.py [--page docs/reference/line-speed.md]

paho, gmqtt and aiomqtt are measured if they are installed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import line_page
import numpy as np
import orjson
from numpy.typing import NDArray

from tundish.catalog import library
from tundish.catalog.scenario import Scenario
from tundish.kernel.digest import of_bytes
from tundish.line import mqttpackets as packets
from tundish.line import plugins
from tundish.line.engine import LineEngine
from tundish.line.linefile import SourceSpec
from tundish.line.parts import EngineOptions, LineParts
from tundish.line.buffer import Settled
from tundish.line.estimates import Estimate
from tundish.line.samples import Sample, to_us
from tundish.kernel.clock import SystemClock

VALUES = 20
PERIOD_US = 1000
TOPIC = "bench/values"
SECONDS = 3.0
BATCH_S = 0.005
NOTE = """\
The ratios of CPU time count, since the sender shares the machine. The hand-written decoder
keeps nothing and checks nothing; *keeps what the line keeps* is the same decoder that also
writes each value and each answer, with the digests of model and input, into SQLite in memory:
what a line costs that does nothing but its duty. The aim was 0.6 of the decoder that keeps
nothing. It is missed, and no line that writes a row for each value can reach it; held against
the decoder that keeps the same, see the last column."""


class Model:
    """A dense network 20-64-8-64-20 in numpy, as small as the one of the figures."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        sizes = (VALUES, 64, 8, 64, VALUES)
        self._layers = [
            rng.normal(size=(a, b)).astype(np.float32) / np.sqrt(np.float32(a))
            for a, b in zip(sizes, sizes[1:], strict=False)
        ]
        self.scored = 0

    def run(self, window: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        """Score windows of shape [N, 1, 20]."""
        _begin()
        values = window.reshape(len(window), VALUES)
        for layer in self._layers:
            values = np.tanh(values @ layer)
        score = values.mean(axis=1, keepdims=True)
        self.scored += len(window)
        return {
            "estimate": score,
            "lower": score - 1,
            "upper": score + 1,
            "applicability": np.zeros_like(score),
        }


def stream(first_us: int, count: int, *, many: bool) -> bytes:
    """Return packets; ``many``: 20 named values instead of one list."""
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(500, VALUES)).round(6).tolist()
    found = []
    for number in range(count):
        row = rows[number % 500]
        values: Any = {f"s{n}": v for n, v in enumerate(row)} if many else row
        message = orjson.dumps({"t": first_us + number * PERIOD_US, "v": values})
        found.append(packets.publish(4, TOPIC, message))
    return b"".join(found)


def send(listener: socket.socket, data: bytes) -> None:
    """Be a broker: say yes to everything, then send until the other side is gone."""
    while True:
        peer, _ = listener.accept()
        try:
            peer.recv(4096)
            peer.sendall(b"\x20\x02\x00\x00")
            asked = peer.recv(4096)
            peer.sendall(b"\x90\x03" + asked[2:4] + b"\x00")
            time.sleep(0.1)
            peer.sendall(data)
            while peer.recv(4096):
                pass
        except OSError:
            pass
        peer.close()


class Hand(asyncio.Protocol):
    """The hand-written decoder: only what the stream needs, nothing checked."""

    def __init__(self, take: Callable[[list[bytes]], None]) -> None:
        self._rest = b""
        self._take = take

    def connection_made(self, transport: Any) -> None:
        """Say hello and ask for the topic."""
        hello = packets.Hello(version=4, client_id="b", clean=True, keep_alive_s=60)
        transport.write(packets.connect(hello))
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, transport.write, packets.subscribe(4, 1, [TOPIC], 0))

    def data_received(self, data: bytes) -> None:
        """Cut the stream into messages."""
        data = self._rest + data
        place, end, found = 0, len(data), []
        while end - place >= 5:
            length, start = data[place + 1], place + 2
            if length & 0x80:
                length, start = length & 0x7F | data[start] << 7, start + 1
            stop = start + length
            if stop > end:
                break
            if data[place] == 0x30:
                found.append(data[start + 2 + data[start + 1] : stop])
            place = stop
        self._rest = data[place:]
        self._take(found)


class Scoring:
    """Reads JSON of a contestant's messages and scores them every few milliseconds."""

    def __init__(self, *, many: bool) -> None:
        self.model = Model()
        self.messages = 0
        self._many = many
        self._rows = np.empty((100_000, VALUES), np.float32)
        self._filled = 0
        self._due_s = 0.0

    def take(self, payloads: list[bytes]) -> None:
        """Take messages; score if it is time."""
        _begin()
        for payload in payloads:
            values = orjson.loads(payload)["v"]
            self._rows[self._filled] = list(values.values()) if self._many else values
            self._filled += 1
            self.messages += 1
        now_s = time.perf_counter()
        if self._filled and (now_s >= self._due_s or self._filled > 50_000):
            self.model.run(self._rows[: self._filled].reshape(-1, 1, VALUES).copy())
            self._filled, self._due_s = 0, now_s + BATCH_S


def by_hand(port: int, count: int, many: bool) -> int:
    """Run the hand-written decoder; return how many messages it took."""
    scoring = Scoring(many=many)

    async def job() -> None:
        loop = asyncio.get_running_loop()
        hand = lambda: Hand(scoring.take)  # noqa: E731
        transport, _ = await loop.create_connection(hand, "127.0.0.1", port)
        await _until(lambda: scoring.messages >= count)
        transport.close()

    asyncio.run(job())
    return scoring.messages


def by_hand_kept(port: int, count: int, many: bool) -> int:
    """Run the hand-written decoder, and keep each value and each answer in SQLite."""
    scenario = contract(many=many)
    model = of_bytes(b"bench")
    names = [signal.name for signal in scenario.signals]
    buffer = plugins.LineBuffer(
        Path("/dev/shm") / f"bench-{os.getpid()}", scenario=scenario.key,  # noqa: S108
        signals={s.name: s.channels for s in scenario.signals},
        max_rows=10_000_000, durability="process",
    )  # fmt: skip

    class Keeping(Scoring):
        def take(self, payloads: list[bytes]) -> None:
            _begin()
            samples, rows, times = [], [], []
            for payload in payloads:
                document = orjson.loads(payload)
                values, at_us = document["v"], document["t"]
                row = np.array(list(values.values()) if many else values)
                parts = row.reshape(len(names), -1)
                samples += [
                    Sample(n, at_us, "good", v)
                    for n, v in zip(names, parts, strict=True)
                ]
                rows.append(row)
                times.append(at_us)
            self.messages += len(payloads)
            if not rows:
                return
            buffer.store(samples)
            windows = np.array(rows, np.float32).reshape(-1, 1, VALUES)
            scores = self.model.run(windows)["estimate"][:, 0].tolist()
            buffer.settle(
                [
                    Estimate(
                        at_us=at_us, quality="good", value=score, model=model,
                        input=of_bytes(window.tobytes()),
                    )
                    for at_us, score, window in zip(times, scores, windows, strict=True)
                ],
                Settled(at_us=times[-1], segment_rows=1),
            )  # fmt: skip

    keeping = Keeping(many=many)

    async def job() -> None:
        loop = asyncio.get_running_loop()
        hand = lambda: Hand(keeping.take)  # noqa: E731
        transport, _ = await loop.create_connection(hand, "127.0.0.1", port)
        await _until(lambda: keeping.messages >= count)
        transport.close()

    asyncio.run(job())
    buffer.close()
    for file in Path("/dev/shm").glob(f"bench-{os.getpid()}*"):  # noqa: S108
        file.unlink()
    return keeping.messages


def by_paho(port: int, count: int, many: bool) -> int:
    """Run paho."""
    import paho.mqtt.client as paho  # type: ignore[import-not-found,unused-ignore]

    scoring = Scoring(many=many)
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_connect = lambda c, *rest: c.subscribe(TOPIC)

    def took(client: Any, data: Any, message: Any) -> None:
        scoring.take([message.payload])
        if scoring.messages >= count:
            client.disconnect()

    client.on_message = took
    client.connect("127.0.0.1", port)
    client.loop_forever()
    return scoring.messages


def by_gmqtt(port: int, count: int, many: bool) -> int:
    """Run gmqtt."""
    import gmqtt  # type: ignore[import-not-found,unused-ignore]

    scoring = Scoring(many=many)

    async def job() -> None:
        client = gmqtt.Client("b")
        client.on_connect = lambda c, *rest: c.subscribe(TOPIC)

        def took(client: Any, topic: Any, payload: bytes, *rest: Any) -> int:
            scoring.take([payload])
            return 0

        client.on_message = took
        await client.connect("127.0.0.1", port, version=gmqtt.constants.MQTTv311)
        await _until(lambda: scoring.messages >= count)
        os._exit(_said(scoring.messages))

    asyncio.run(job())
    return scoring.messages


def by_aiomqtt(port: int, count: int, many: bool) -> int:
    """Run aiomqtt."""
    import aiomqtt  # type: ignore[import-not-found,unused-ignore]

    scoring = Scoring(many=many)

    async def job() -> None:
        async with aiomqtt.Client("127.0.0.1", port) as client:
            await client.subscribe(TOPIC)
            async for message in client.messages:
                scoring.take([bytes(message.payload)])
                if scoring.messages >= count:
                    os._exit(_said(scoring.messages))

    asyncio.run(job())
    return scoring.messages


def by_source(port: int, count: int, many: bool) -> int:
    """Run the source alone: everything is read and checked, nothing is stored."""
    scenario = contract(many=many)
    source = plugins.open_source(spec(port, many=many), scenario)
    model, taken = Model(), 0

    async def job() -> None:
        nonlocal taken
        await source.connect()
        async for arrival in source.samples():
            samples = arrival.samples
            taken += len(samples)
            if samples and not many:
                rows = np.stack([s.values for s in samples if s.values is not None])
                model.run(rows.astype(np.float32).reshape(-1, 1, VALUES))
            elif samples:
                rows = np.concatenate(
                    [s.values for s in samples if s.values is not None]
                )
                model.run(rows.astype(np.float32).reshape(-1, 1, VALUES))
            if taken >= count * (VALUES if many else 1):
                break
        await source.close()

    asyncio.run(job())
    return taken // (VALUES if many else 1)


def by_line(durability: str) -> Callable[[int, int, bool], int]:
    """Return a contestant: the whole line, with its buffer on disk or in memory."""

    def run(port: int, count: int, many: bool) -> int:
        scenario = contract(many=many)
        model = Model()
        folder = Path("/dev/shm") if durability == "memory" else None  # noqa: S108
        with tempfile.TemporaryDirectory(dir=folder) as place:
            buffer = plugins.LineBuffer(
                Path(place) / "b", scenario=scenario.key,
                signals={s.name: s.channels for s in scenario.signals},
                max_rows=10_000_000,
                durability="power" if durability == "power" else "process",
            )  # fmt: skip
            engine = LineEngine(
                LineParts(
                    scenario=scenario, scorer=model, model=of_bytes(b"bench"),
                    sources=(plugins.open_source(spec(port, many=many), scenario),),
                    buffer=buffer,
                ),
                options=EngineOptions(tick_s=0.05, report_rows=1),
            )  # fmt: skip

            async def job() -> None:
                stop = asyncio.Event()
                running = asyncio.create_task(engine.run(stop))
                await _until(lambda: model.scored >= count or running.done())
                stop.set()
                report = await running
                sys.stderr.write(f"    {durability} {report.latency_ms}\n")

            asyncio.run(job())
            buffer.close()
        return model.scored

    return run


def contract(*, many: bool) -> Scenario:
    """Return a contract of 20 scalars, or of one signal with 20 channels."""
    base = library.scenario("C25.21.fermentation-glucose").model_dump()
    base |= {"simulation": None, "failure_modes": ()}
    axis = {
        "quantity": "wavenumber", "unit": "1/cm", "first": 1.0, "last": 2.0,
        "points": VALUES,
    }  # fmt: skip
    signals = [
        {
            "name": name, "description": name, "unit": "1", "range": (-100.0, 100.0),
            "period_s": PERIOD_US / 1e6, "axis": None if many else axis,
        }
        for name in ([f"s{n}" for n in range(VALUES)] if many else ["s"])
    ]  # fmt: skip
    target = {**base["target"], "range": (-1000.0, 1000.0)}
    changes = {"signals": signals, "target": target, "window": {"rows": 1, "stride": 1}}
    return Scenario.model_validate(
        base | changes | {"stale_after_s": 30.0}, strict=False
    )


def spec(port: int, *, many: bool) -> SourceSpec:
    """Return the source of a line file."""
    nodes: dict[str, Any] = {"s": {"node": TOPIC, "options": {"value": "/v"}}}
    if many:
        nodes = {
            f"s{n}": {"node": TOPIC, "options": {"value": f"/v/s{n}"}}
            for n in range(VALUES)
        }
    return SourceSpec.model_validate(
        {
            "kind": "mqtt",
            "endpoint": f"mqtt://127.0.0.1:{port}",
            "nodes": nodes,
            "options": {"version": "3.1.1", "time": "/t", "time_unit": "us"},
        }
    )


CONTESTANTS: dict[str, tuple[Callable[[int, int, bool], int], int]] = {
    "hand-written decoder": (by_hand, 400_000),
    "hand-written, keeps what the line keeps": (by_hand_kept, 40_000),
    "Tundish, source only": (by_source, 300_000),
    "Tundish, whole line, buffer in memory": (by_line("memory"), 40_000),
    "Tundish, whole line, on disk (process)": (by_line("process"), 40_000),
    "Tundish, whole line, on disk (power)": (by_line("power"), 40_000),
    "gmqtt": (by_gmqtt, 200_000),
    "paho": (by_paho, 100_000),
    "aiomqtt": (by_aiomqtt, 30_000),
}


def measure(name: str, *, many: bool) -> tuple[float, float] | None:
    """Return messages per second, and microseconds of CPU time per message."""
    run, count = CONTESTANTS[name]
    if many and name.startswith("Tundish"):
        count //= 8
    if many and "keeps" in name:
        count //= 8
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    first_us = to_us(SystemClock().now()) - count * PERIOD_US
    data = stream(first_us, count, many=many)
    sender = multiprocessing.Process(target=send, args=(listener, data), daemon=True)
    sender.start()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _CHILD.append(write)
        try:
            run(port, count, many)
            os._exit(_said(count))
        except BaseException as error:  # noqa: BLE001
            sys.stderr.write(f"    {name}: {error!r}\n")
            os._exit(1)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    sender.kill()
    sender.join()
    listener.close()
    if not text:
        return None
    wall_s, cpu_s = json.loads(text)
    return count / wall_s, cpu_s / count * 1e6


_CHILD: list[int] = []
_BEGUN: list[float] = []


def _begin() -> None:
    if not _BEGUN:
        _BEGUN.extend((time.perf_counter(), time.process_time()))


def _said(count: int) -> int:
    """Tell the parent the time since the first message; the exit code."""
    del count
    wall_s = time.perf_counter() - _BEGUN[0]
    cpu_s = time.process_time() - _BEGUN[1]
    os.write(_CHILD[0], json.dumps([wall_s, cpu_s]).encode())
    return 0


async def _until(done: Callable[[], bool]) -> None:
    while not done():  # noqa: ASYNC110  (the condition lives elsewhere)
        await asyncio.sleep(0.002)


def main() -> None:
    """Measure all contestants, some rounds, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    chosen = parser.parse_args()
    tables = [table(chosen, many=many) for many in (False, True)]
    print("\n\n".join(tables))
    if chosen.page:
        text = NOTE + "\n\n" + "\n\n".join(tables)
        line_page.write(chosen.page, "mqtt", "MQTT", text)


def table(chosen: argparse.Namespace, *, many: bool) -> str:
    """Return one table of medians."""
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(chosen.rounds):
        for name in CONTESTANTS:
            if chosen.only in name or name == "hand-written decoder":
                result = measure(name, many=many)
                if result:
                    found.setdefault(name, []).append(result)
    form = "20 signals, one object" if many else "one signal of 20 channels, one list"
    best = statistics.median(cpu for _, cpu in found["hand-written decoder"])
    lines = [
        f"Messages of 20 values in JSON ({form}):",
        "",
        "| contestant | messages/s | CPU us/message | ratio to hand-written (CPU) | to one that keeps the same |",
        "|---|---:|---:|---:|---:|",
    ]
    kept = [cpu for _, cpu in found.get("hand-written, keeps what the line keeps", [])]
    for name, rounds in found.items():
        rate = statistics.median(rate for rate, _ in rounds)
        cpu = statistics.median(cpu for _, cpu in rounds)
        same = (
            f"{statistics.median(kept) / cpu:.2f}" if kept and "whole" in name else ""
        )
        lines.append(
            f"| {name} | {rate:,.0f} | {cpu:.1f} | {best / cpu:.2f} | {same} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
