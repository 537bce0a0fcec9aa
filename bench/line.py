"""Speed of the line against a bare asyncua subscription, and its latency.

One child process serves ``TAGS`` scalar nodes that change together every
``PERIOD_S``; the same updates are taken once by a bare asyncua subscription whose
handler only counts, and once by a line that stores, aligns, scores and answers. The
measure is CPU time of the client process per update, since the server shares the
machine; the ratio is what carries over to another machine.

    python bench/line.py
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Mapping
from multiprocessing.synchronize import Event as ProcessEvent
from pathlib import Path

import numpy as np
from asyncua import ua
from asyncua.client.client import Client
from asyncua.server.server import Server
from numpy.typing import NDArray

from tundish.catalog import library
from tundish.catalog.scenario import Scenario
from tundish.kernel.digest import of_bytes
from tundish.line import plugins
from tundish.line.engine import LineEngine
from tundish.line.events import Event
from tundish.line.linefile import LineFile, SourceSpec
from tundish.line.parts import EngineOptions, LineParts
from tundish.line.uaclient import quiet_asyncua

TAGS = 100
PERIOD_S = 0.02
SECONDS = 6.0
PORT = 48499
ENDPOINT = f"opc.tcp://127.0.0.1:{PORT}"
NAMES = [f"tag{number}" for number in range(TAGS)]


class Mean:
    """The cheapest model there is: the line itself is measured."""

    def run(self, window: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        """Return the mean of each window as every output."""
        mean = window.mean(axis=(1, 2)).reshape(-1, 1)
        names = ("estimate", "lower", "upper", "applicability")
        return dict.fromkeys(names, mean)


def serve(ready: ProcessEvent) -> None:
    """Serve the tags until killed."""
    quiet_asyncua()
    asyncio.run(_serve(ready))


async def _serve(ready: ProcessEvent) -> None:
    server = Server()
    await server.init()
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    server.set_endpoint(ENDPOINT)
    index = await server.register_namespace("urn:bench")
    nodes = []
    for name in NAMES:
        node_id = ua.NodeId(ua.String(name), ua.Int16(index))
        value = ua.Variant(0.0, ua.VariantType.Double)
        nodes.append(await server.nodes.objects.add_variable(node_id, name, value))
    await server.start()
    ready.set()
    due = time.monotonic()
    while True:
        at = ua.DateTime.utcnow()
        number = (time.monotonic() % 1000) / 1000
        for node in nodes:
            now = ua.DataValue(
                ua.Variant(number, ua.VariantType.Double),
                StatusCode=ua.StatusCode(),
                SourceTimestamp=at,
            )
            await server.write_attribute_value(node.nodeid, now)
        due += PERIOD_S
        await asyncio.sleep(max(0.0, due - time.monotonic()))


class Counter:
    """A handler that only counts."""

    updates = 0

    def datachange_notification(
        self, node: object, value: object, data: object
    ) -> None:
        """Count."""
        del node, value, data
        self.updates += 1


async def bare() -> tuple[int, float]:
    """Return updates and CPU seconds of a bare asyncua subscription."""
    counter = Counter()
    async with Client(ENDPOINT) as client:
        subscription = await client.create_subscription(20, counter)
        nodes = [client.get_node(f"ns=2;s={name}") for name in NAMES]
        await subscription.subscribe_data_change(nodes, queuesize=1000)
        await asyncio.sleep(1.0)
        updates, cpu_s = counter.updates, time.process_time()
        await asyncio.sleep(SECONDS)
        return counter.updates - updates, time.process_time() - cpu_s


def _scenario() -> Scenario:
    base = library.scenario("D46.27.pipeline-flow").model_dump()
    signals = [
        {
            "name": name,
            "description": name,
            "unit": "1",
            "range": (-10.0, 10.0),
            "period_s": PERIOD_S * 4,
        }
        for name in NAMES
    ]
    target = {"name": "y", "description": "y", "unit": "1", "range": (-10.0, 10.0)}
    acceptance = base["acceptance"] | {"tolerance": 1.0}
    changed = {"task": "regress", "signals": signals, "target": target}
    changed |= {"acceptance": acceptance, "window": {"rows": 1, "stride": 1}}
    return Scenario.model_validate(base | changed, strict=False)


def _received(event: Event) -> int:
    count = event.detail.get("received", 0)
    return count if isinstance(count, int) else 0


async def line(folder: Path) -> tuple[int, float, Mapping[str, float]]:
    """Return updates, CPU seconds and latency of a line."""
    scenario = _scenario()
    spec = SourceSpec(
        kind="opcua",
        endpoint=ENDPOINT,
        nodes={name: f"ns=2;s={name}" for name in NAMES},
        options={"publishing_ms": 20},
    )
    file = LineFile.model_validate(
        {
            "format": "tundish.line",
            "version": 1,
            "name": "bench",
            "sources": (spec,),
            "package": "none",
            "buffer": {"path": "buffer.db"},
        }
    )
    parts = LineParts(
        scenario=scenario,
        scorer=Mean(),
        model=of_bytes(b"m"),
        sources=plugins.open_sources(file, scenario),
        sinks=(),
        buffer=plugins.open_buffer(file, scenario, folder),
    )
    received: list[int] = []
    engine = LineEngine(
        parts,
        options=EngineOptions(progress_s=0.1),
        on_event=lambda event: received.append(_received(event)),
    )
    stop = asyncio.Event()
    with parts.buffer:
        running = asyncio.create_task(engine.run(stop))
        await asyncio.sleep(1.0)
        updates, cpu_s = received[-1], time.process_time()
        await asyncio.sleep(SECONDS)
        updates = received[-1] - updates
        cpu_s = time.process_time() - cpu_s
        stop.set()
        report = await running
    return updates, cpu_s, report.latency_ms


def main() -> None:
    """Measure and print."""
    quiet_asyncua()
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    server = context.Process(target=serve, args=(ready,), daemon=True)
    server.start()
    ready.wait(30)
    try:
        bare_n, bare_s = asyncio.run(bare())
        with tempfile.TemporaryDirectory() as folder:
            line_n, line_s, latency = asyncio.run(line(Path(folder)))
    finally:
        server.kill()
        server.join()
    bare_us, line_us = bare_s / bare_n * 1e6, line_s / line_n * 1e6
    out = sys.stdout.write
    out(f"bare asyncua subscription: {bare_n} updates, {bare_us:.1f} us CPU each\n")
    out(f"the line (stored, scored): {line_n} updates, {line_us:.1f} us CPU each\n")
    out(f"ratio of speed, line / bare: {bare_us / line_us:.2f}\n")
    out(
        f"receipt to answer on disk: p50 {latency.get('p50', 0):.1f} ms, "
        f"p99 {latency.get('p99', 0):.1f} ms (n = {latency['n']:.0f})\n"
    )


if __name__ == "__main__":
    main()
