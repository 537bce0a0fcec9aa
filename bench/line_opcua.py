"""Measures the OPC UA source beside a bare asyncua subscription on the same server.

    python bench/line_opcua.py [--seconds 6] [--tags 1000] [--page docs/reference/line-speed.md]

Three clients, one after the other, each in a process of its own, against one asyncua
server with 1,000 doubles written as fast as it can: a bare subscription of asyncua
(handler counts), the source of a line, and a whole line (buffer on disk, alignment, one
model call a row) at 10,000 values a second. Prints updates per second, CPU per update,
and for the line the time from receipt to the answer on disk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import line_page

HERE = Path(__file__).resolve()
PORT = 48_431


async def serve(tags: int, period_s: float) -> None:
    """Write all values again and again; at most every ``period_s``."""
    from asyncua import Server, ua

    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{PORT}")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace("urn:bench")
    nodes = []
    for number in range(tags):
        if number % 100 == 0:
            area = await server.nodes.objects.add_folder(
                ua.NodeId(f"a{number}", index), f"a{number}"
            )
        node = await area.add_variable(
            ua.NodeId(f"t{number}", index), f"t{number}", 0.0
        )
        nodes.append(node.nodeid)
    async with server:
        print("ready", flush=True)
        row, due = 0, time.monotonic()
        while True:
            row += 1
            at = datetime.now(UTC)
            value = ua.DataValue(
                ua.Variant(float(row % 900), ua.VariantType.Double),
                StatusCode=ua.StatusCode(0),
                SourceTimestamp=at,
                ServerTimestamp=at,
            )
            for node in nodes:
                await server.write_attribute_value(node, value)
            due = max(due + period_s, time.monotonic())
            await asyncio.sleep(max(0.0, due - time.monotonic()))


def _spent_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def bare(tags: int, seconds: float) -> dict[str, float]:
    """Count what asyncua's own subscription hands to its handler."""
    from asyncua import Client

    class Handler:
        count = 0

        def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
            self.count += 1

    handler = Handler()
    async with Client(f"opc.tcp://127.0.0.1:{PORT}", timeout=30) as client:
        subscription = await client.create_subscription(50, handler)
        nodes = [client.get_node(f"ns=2;s=t{number}") for number in range(tags)]
        await subscription.subscribe_data_change(nodes, queuesize=100)
        return await _counted(lambda: handler.count, seconds)


async def source(tags: int, seconds: float) -> dict[str, float]:
    """Count the samples that the source of a line hands over."""
    made = _source(tags)
    count = 0

    async def take() -> None:
        nonlocal count
        async for arrival in made.samples():
            count += len(arrival.samples)

    await made.connect()
    taking = asyncio.create_task(take())
    try:
        return await _counted(lambda: count, seconds)
    finally:
        taking.cancel()
        await made.close()


async def line(tags: int, seconds: float) -> dict[str, float]:
    """Run a whole line; latencies are from receipt to the answer on disk."""
    import numpy as np

    from tundish.kernel.digest import of_bytes
    from tundish.line.buffer import LineBuffer
    from tundish.line.engine import LineEngine
    from tundish.line.parts import EngineOptions, LineParts

    class Scorer:
        def run(self, windows: Any) -> dict[str, Any]:
            mean = windows.mean(axis=(1, 2)).reshape(-1, 1)
            return {
                "estimate": mean,
                "lower": mean - 1,
                "upper": mean + 1,
                "applicability": np.zeros_like(mean),
            }

    scenario = _scenario(tags)
    with tempfile.TemporaryDirectory() as folder:
        buffer = LineBuffer(
            Path(folder) / "b",
            scenario=scenario.key,
            signals={signal.name: 1 for signal in scenario.signals},
            durability="process",
        )
        parts = LineParts(
            scenario=scenario,
            scorer=Scorer(),
            model=of_bytes(b"m"),
            sources=(_source(tags),),
            buffer=buffer,
        )
        stop = asyncio.Event()
        engine = LineEngine(parts, options=EngineOptions())
        running = asyncio.create_task(engine.run(stop))
        await asyncio.sleep(3)
        found = await _counted(lambda: engine.report().received, seconds)
        stop.set()
        report = await running
        buffer.close()
    return {
        **found,
        **{f"ms_{name}": value for name, value in report.latency_ms.items()},
    }


async def _counted(count: Any, seconds: float) -> dict[str, float]:
    await asyncio.sleep(1)
    first, spent_s, begin_s = count(), _spent_s(), time.monotonic()
    await asyncio.sleep(seconds)
    updates, took_s = count() - first, time.monotonic() - begin_s
    return {
        "updates_per_s": round(updates / took_s),
        "cpu_us": round((_spent_s() - spent_s) / max(1, updates) * 1e6, 2),
    }


def _scenario(tags: int) -> Any:
    from tundish.catalog import library
    from tundish.catalog.scenario import Scenario

    base = library.scenario("C25.21.fermentation-glucose").model_dump()
    base |= {"simulation": None, "failure_modes": ()}
    signals = [
        {
            "name": f"t{number}",
            "description": "d",
            "unit": "1",
            "range": (-1000.0, 1000.0),
            "period_s": 1.0,  # slower than the values come: a busy machine makes no holes
        }
        for number in range(tags)
    ]
    target = {**base["target"], "range": (-1000.0, 1000.0)}
    changed = {
        "signals": signals,
        "target": target,
        "window": {"rows": 1, "stride": 1},
        "stale_after_s": 5.0,
    }
    return Scenario.model_validate(base | changed, strict=False)


def _source(tags: int) -> Any:
    from tundish.line import plugins
    from tundish.line.linefile import SourceSpec

    spec = SourceSpec(
        kind="opcua",
        endpoint=f"opc.tcp://127.0.0.1:{PORT}",
        nodes={f"t{number}": f"ns=2;s=t{number}" for number in range(tags)},
        options={"publishing_ms": 50, "queue_size": 100, "timeout_s": 30.0},
    )
    return plugins.open_source(spec, _scenario(tags))


def _measured(
    which: str, tags: int, seconds: float, period_s: float
) -> dict[str, float]:
    """Measure one client on a server of its own."""
    serving = [sys.executable, str(HERE), "serve", str(tags), str(period_s)]
    with subprocess.Popen(serving, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            server.stdout.readline()
            asking = [sys.executable, str(HERE), which, str(tags), str(seconds)]
            done = subprocess.run(asking, check=True, capture_output=True, text=True)
        finally:
            server.kill()
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure, or be one of the processes of a measurement."""
    if len(sys.argv) > 1 and sys.argv[1] in {"serve", "bare", "source", "line"}:
        job = {"serve": serve, "bare": bare, "source": source, "line": line}[
            sys.argv[1]
        ]
        found = asyncio.run(job(int(sys.argv[2]), float(sys.argv[3])))
        print(json.dumps(found))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--tags", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--page", type=Path)
    asked = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(asked.rounds):
        for name, (which, period_s) in CLIENTS.items():
            one = _measured(which, asked.tags, asked.seconds, period_s)
            found.setdefault(name, []).append(one)
            print(name, one, flush=True)
    text = _table(found, asked.tags)
    print(text)
    if asked.page:
        line_page.write(asked.page, "opcua", "OPC UA", text)


CLIENTS = {
    "bare asyncua subscription": ("bare", 0.0),
    "Tundish, source only": ("source", 0.0),
    "Tundish, whole line, buffer on disk": ("line", 0.1),
}


def _table(found: dict[str, list[dict[str, float]]], tags: int) -> str:
    """Return medians; ratios are those of CPU time."""
    middle = {
        name: {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        for name, rounds in found.items()
    }
    best = middle["bare asyncua subscription"]["cpu_us"]
    lines = [
        f"One asyncua server with {tags:,} doubles on the other core, in clear, 50 ms publishing.",
        "The first two take what it can write; the line is given all values ten times a second.",
        "",
        "| client | values/s | CPU us/value | ratio to bare (CPU) | receipt to answer, p50 | p99 |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, one in middle.items():
        times = [
            f"{one[key]:.0f} ms" if key in one else "" for key in ("ms_p50", "ms_p99")
        ]
        lines.append(
            f"| {name} | {one['updates_per_s']:,.0f} | {one['cpu_us']:.1f} | "
            f"{best / one['cpu_us']:.1f} | {times[0]} | {times[1]} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
