"""Measures what a line costs a small box: start-up, memory, bytes on disk.

    python bench/line_edge.py [--minutes 10] [--starts 5] [--page docs/reference/line-edge.md]

Two fresh environments are installed from Tundish's own wheel, each with one client library:
OPC UA (asyncua) and MQTT (orjson). In each, ``tundish line run`` opens a sealed model of
1,000 tags and gets each tag once a second, from a real asyncua server and a real Mosquitto.
Start-up is from exec to the first sample in the buffer on disk. Rows of bare interpreters
that import one library show the floor. ``make bench-edge`` writes the page.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import line_opcua
import line_page
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tundish.flows.workspace import Workspace
from tundish.kernel import canonical, digest, settings
from tundish.kernel.clock import to_text
from tundish.model import making
from tundish.model import package as packages
from tundish.model.bom import bill_of_materials
from tundish.model.card import ModelCard, TrainingFacts
from tundish.model.golden import Golden, Tensor
from tundish.seal import envelope
from tundish.seal.statement import make_statement

HERE = Path(__file__).resolve()
TAGS = 1000
AIM_S, AIM_MB = 2.0, 150.0
LIBRARIES = {"opcua": "asyncua", "mqtt": "orjson"}
FLOORS = {
    "nothing": "pass",
    "numpy": "import numpy",
    "onnxruntime (imports numpy)": "import onnxruntime",
    "onnxruntime and asyncua": "import onnxruntime, asyncua",
    "asyncua alone": "import asyncua",
}
SIZE = """
import pathlib, sysconfig
site = pathlib.Path(sysconfig.get_paths()["purelib"])
out = ("pip", "setuptools", "_distutils_hack", "pkg_resources", "distutils-precedence")
files = [f for f in site.rglob("*") if f.is_file() and not f.relative_to(site).parts[0].startswith(out)]
print(sum(f.stat().st_size for f in files if f.suffix != ".pyc"), sum(f.stat().st_size for f in files))
"""


def main() -> None:
    """Measure all and print or write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--keep", type=Path, help="folder that is kept and used again")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tundish-edge-") as name:
        folder = asked.keep or Path(name)
        if not (folder / "edge.grant").exists():
            folder.mkdir(exist_ok=True)
            prepare(folder)
        starts = {kind: start_ups(folder, kind, asked.starts) for kind in LIBRARIES}
        with (
            ThreadPoolExecutor() as both
        ):  # at the same time: memory is no matter of load
            runs = {
                kind: both.submit(client, folder, kind, asked.minutes)
                for kind in LIBRARIES
            }
            found = {
                kind: run.result() | {"start_s": starts[kind]}
                for kind, run in runs.items()
            }
        floors = {
            title: floor(folder / "venv-opcua/bin/python", code, asked.starts)
            for title, code in FLOORS.items()
        }
    text = table(found, floors, asked)
    print(text)
    if asked.page:
        line_page.write(
            asked.page, "edge", "1,000 tags on a small box", text, page_of="bench-edge"
        )


def graph() -> bytes:
    """Return a dense network 1000-32-1 with an interval."""
    rng = np.random.default_rng(1)
    shapes: dict[str, tuple[int, ...]] = {"w1": (TAGS, 32), "w2": (32, 1)}
    held = [
        numpy_helper.from_array((rng.normal(size=s) / 30.0).astype(np.float32), n)
        for n, s in shapes.items()
    ] + [
        numpy_helper.from_array(np.asarray(v, np.float32), n)
        for n, v in (("one", [1.0]), ("nought", [0.0]))
    ]
    held.append(numpy_helper.from_array(np.asarray([-1, TAGS], np.int64), "flat"))
    make = helper.make_node
    nodes = [
        make("Reshape", ["window", "flat"], ["row"]),
        make("MatMul", ["row", "w1"], ["h"]),
        make("Tanh", ["h"], ["t"]),
        make("MatMul", ["t", "w2"], ["estimate"]),
        make("Sub", ["estimate", "one"], ["lower"]),
        make("Add", ["estimate", "one"], ["upper"]),
        make("Mul", ["estimate", "nought"], ["applicability"]),
    ]
    given = helper.make_tensor_value_info("window", TensorProto.FLOAT, ["N", 1, TAGS])
    outputs = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 1])
        for n in ("estimate", "lower", "upper", "applicability")
    ]
    made = helper.make_graph(nodes, "edge", [given], outputs, held)
    opset = [helper.make_opsetid("", 17)]
    whole = helper.make_model(made, opset_imports=opset, ir_version=9)
    return bytes(whole.SerializeToString())


def prepare(folder: Path) -> None:
    """Install both environments; seal the model in the one and grant it to itself."""
    build = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "-w", folder]
    subprocess.run(
        [*build, "--no-build-isolation", HERE.parents[1]], check=True, cwd=folder
    )
    (wheel,) = folder.glob("tundish-*.whl")
    for extra in LIBRARIES:
        venv = folder / f"venv-{extra}"
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        words = ["-m", "pip", "install", "-qq", f"tundish[{extra}] @ {wheel.as_uri()}"]
        subprocess.run([venv / "bin/python", *words], check=True)
    tool = folder / "venv-mqtt/bin/tundish"
    run = {"cwd": folder, "check": True, "capture_output": True, "text": True}
    subprocess.run([tool, "init", "."], **run)  # type: ignore[call-overload]
    package = sealed(Workspace(folder))
    device = subprocess.run([tool, "device"], **run).stdout.strip()  # type: ignore[call-overload]
    words = ["grant", package, "--device", device, "--days", "2", "--to", "edge.grant"]
    subprocess.run([tool, *words], **run)  # type: ignore[call-overload]


def sealed(workspace: Workspace) -> Path:
    """Seal the network under a contract of 1,000 tags, one a second."""
    made, now = graph(), workspace.clock.now()
    contract = line_opcua._scenario(TAGS)
    window = np.zeros((1, 1, TAGS), np.float32)
    golden = Golden(window=Tensor.of(window), outputs=answers(made, window))
    card = ModelCard(
        product=contract.key, version=1, title="Edge", task=contract.task,
        scenario=contract.key, purpose="A measurement", not_for=("Any plant",),
        target="estimate", target_unit=contract.target.unit, graph=digest.of_bytes(made),
        data=(), metrics=(), limits=(), licence="Apache-2.0",
        training=TrainingFacts(recipe="pls", options={}, seed=0, trained_at=to_text(now)),
    )  # fmt: skip
    bom = bill_of_materials(
        card, libraries=[], tundish_version="0", created_at=to_text(now)
    )
    parts = making.PackageParts(
        graph=made, card=card, scenario_yaml=canonical.pretty(contract.to_json()),
        verdict={}, parity={}, golden=golden, envelope={}, bom=bom,
    )  # fmt: skip
    statement = make_statement(
        product=contract.key, version=1, created_at=to_text(now),
        not_after=to_text(now + timedelta(days=3)),
    )  # fmt: skip
    identity = envelope.new_identity()
    found = making.build(
        parts, statement=statement, key=workspace.key, encrypt_to=[identity.recipient]
    )
    workspace.keep_identity(found.digest, identity)
    path = workspace.packages / "edge.tar"
    packages.write_tar(found, path)
    return path


def answers(made: bytes, window: Any) -> dict[str, Tensor]:
    """Return what the graph says to a window."""
    settings.silence_onnxruntime()
    import onnxruntime

    session = onnxruntime.InferenceSession(made)
    names = [one.name for one in session.get_outputs()]
    given = session.run(names, {"window": window})
    return {n: Tensor.of(v) for n, v in zip(names, given, strict=True)}


def start_ups(folder: Path, kind: str, starts: int) -> list[float]:
    """Return how long a line took from exec to its first sample on disk, each time."""
    times = []
    with plant(kind, folder) as source:
        for _ in range(starts + 1):  # the first one writes caches
            running, took_s = begin(folder, kind, source)
            end(running)
            times.append(took_s)
    return times[1:]


def client(folder: Path, kind: str, minutes: float) -> dict[str, Any]:
    """Return what one client library costs."""
    python = folder / f"venv-{kind}/bin/python"
    size = subprocess.run(
        [python, "-c", SIZE], check=True, capture_output=True, text=True
    )
    plain, compiled = (int(one) / 1e6 for one in size.stdout.split())
    memory = {}
    with plant(kind, folder) as source:
        running, _ = begin(folder, kind, source)
        begun = time.monotonic()
        for after_s in (60.0, minutes * 60.0):
            time.sleep(max(0.0, begun + after_s - time.monotonic()))
            memory[after_s] = in_memory(running.pid)
        end(running)
        rows = held(folder / f"{kind}.db")
    return {
        "memory": memory, "rows": rows, "disk_mb": plain, "disk_compiled_mb": compiled,
    }  # fmt: skip


def begin(
    folder: Path, kind: str, source: dict[str, Any]
) -> tuple[subprocess.Popen[bytes], float]:
    """Start a line with an empty buffer; return it, and how long its first sample took."""
    file = folder / f"{kind}.line.yaml"
    for old in folder.glob(f"{kind}.db*"):
        old.unlink()
    line = {
        "format": "tundish.line", "version": 1, "name": kind, "mode": "shadow",
        "package": str(folder / ".tundish/packages/edge.tar"),
        "grant": str(folder / "edge.grant"), "buffer": {"path": f"{kind}.db"},
        "sources": [source], "sinks": [],
    }  # fmt: skip
    file.write_bytes(canonical.dumps(line))
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    begun = time.monotonic()
    log = (folder / f"{kind}.log").open("wb")
    running = subprocess.Popen(
        [folder / f"venv-{kind}/bin/tundish", "line", "run", file, "--json"],
        cwd=folder, env=kept, stdout=log, stderr=log,
        # a shell's background jobs ignore Ctrl-C, and so would their children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )  # fmt: skip
    while held(folder / f"{kind}.db") == 0:
        if running.poll() is not None or time.monotonic() - begun > 30.0:
            running.kill()
            sys.exit((folder / f"{kind}.log").read_text("utf-8"))
        time.sleep(0.01)
    return running, time.monotonic() - begun


def held(path: Path) -> int:
    """Return the number of samples in a buffer; the line has it locked, so in a copy."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / path.name
        for ending in ("", "-wal"):
            part = path.with_name(path.name + ending)
            if part.exists():
                shutil.copy(part, copy.with_name(copy.name + ending))
        if not copy.exists():
            return 0
        try:
            with closing(sqlite3.connect(copy)) as base:
                return int(base.execute("SELECT count(*) FROM samples").fetchone()[0])
        except sqlite3.DatabaseError:  # it is just being made, or was torn in copying
            return 0


def end(running: subprocess.Popen[bytes]) -> None:
    """Stop a line as Ctrl-C does."""
    running.send_signal(signal.SIGINT)
    running.wait(60)


def in_memory(pid: int) -> tuple[float, float]:
    """Return resident and proportional memory in MB (10^6 bytes)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    said = {line.split(":")[0]: line.split()[1] for line in text.splitlines()[1:]}
    return int(said["Rss"]) * 1024 / 1e6, int(said["Pss"]) * 1024 / 1e6


@contextmanager
def plant(kind: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Serve 1,000 tags, and give the source of a line file."""
    if kind == "opcua":
        words = [sys.executable, HERE, "--serve"]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            server.stdout.readline()
            try:
                yield {
                "kind": "opcua", "endpoint": f"opc.tcp://127.0.0.1:{line_opcua.PORT}",
                "nodes": {f"t{n}": f"ns=2;s=t{n}" for n in range(TAGS)},
                }  # fmt: skip
            finally:
                server.terminate()
        return
    port = _free_port()
    (folder / "mosquitto.conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\n"
    )
    program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, "Debian's mosquitto is needed"
    with subprocess.Popen([program, "-c", folder / "mosquitto.conf"]) as broker:
        stop = threading.Event()
        sender = threading.Thread(target=publish, args=(port, stop))
        sender.start()
        try:
            yield {
            "kind": "mqtt", "endpoint": f"mqtt://127.0.0.1:{port}",
            "nodes": {
                f"t{n}": {"node": f"plant/t{n}", "options": {"value": "/v"}}
                for n in range(TAGS)
            },
            "options": {"version": "3.1.1", "time": "/t", "time_unit": "us"},
            }  # fmt: skip
        finally:
            stop.set()
            sender.join()
            broker.terminate()


def publish(port: int, stop: threading.Event) -> None:
    """Publish each tag once a second, by hand: MQTT 3.1.1, QoS 0."""
    for _ in range(100):
        try:
            link = socket.create_connection(("127.0.0.1", port))
            break
        except OSError:
            time.sleep(0.05)
    link.sendall(b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04edge")
    link.recv(4)
    row = 0
    while not stop.wait(1.0 - time.time() % 1.0):
        row += 1
        body = json.dumps({"t": time.time_ns() // 1000, "v": float(row % 900)}).encode()
        out = bytearray()
        for number in range(TAGS):
            topic = f"plant/t{number}".encode()
            rest = len(topic).to_bytes(2, "big") + topic + body
            out += bytes([0x30, len(rest)]) + rest
        link.sendall(out)
    link.close()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def floor(python: Path, code: str, starts: int) -> tuple[float, float]:
    """Return time in s and resident memory in MB of an interpreter that runs this."""
    times, sizes = [], []
    said = f"{code}\nprint([l for l in open('/proc/self/status') if l.startswith('VmRSS')][0].split()[1])"
    for _ in range(starts + 1):
        begun = time.monotonic()
        done = subprocess.run(
            [python, "-I", "-c", said], check=True, capture_output=True, text=True
        )
        times.append(time.monotonic() - begun)
        sizes.append(int(done.stdout) * 1024 / 1e6)
    return statistics.median(times[1:]), statistics.median(sizes)


def table(
    found: dict[str, dict[str, Any]],
    floors: dict[str, tuple[float, float]],
    asked: argparse.Namespace,
) -> str:
    """Return the section of the page."""
    titles = {"opcua": "OPC UA (asyncua)", "mqtt": "MQTT (orjson)"}
    later_s = asked.minutes * 60.0

    def row(
        what: str, give: Callable[[dict[str, Any]], float], aim: float | None
    ) -> str:
        values = [give(found[kind]) for kind in titles]
        said = "-"
        if aim is not None:
            said = "yes" if max(values) < aim else "**no**"
        form = "{:.2f}" if what.startswith("start") else "{:,.0f}"
        cells = " | ".join(form.format(value) for value in values)
        return f"| {what} | {cells} | {'-' if aim is None else f'{aim:g}'} | {said} |"

    lines = [
        "",
        f"| {TAGS:,} tags, each once a second | {' | '.join(titles.values())} | aim below | held |",
        "|---|---|---|---|---|",
        row("start-up from exec to the first sample on disk, median, s",
            lambda one: statistics.median(one["start_s"]), AIM_S),
        row("start-up, slowest, s", lambda one: max(one["start_s"]), None),
    ]  # fmt: skip
    for after_s in (60.0, later_s):
        when = f"after {after_s / 60.0:g} min, MB"
        lines += [
            row(f"resident (RSS) {when}", lambda one, s=after_s: one["memory"][s][0], AIM_MB),
            row(f"proportional (PSS) {when}", lambda one, s=after_s: one["memory"][s][1], None),
        ]  # fmt: skip
    lines += [
        row("installed, without bytecode, MB", lambda one: one["disk_mb"], None),
        row("installed, with bytecode, MB", lambda one: one["disk_compiled_mb"], None),
        row("samples that came in", lambda one: one["rows"], None),
        "",
        "What an interpreter of the same environment takes that does nothing but import (median):",
        "",
        "| imports | s | RSS, MB |",
        "|---|---|---|",
        *(f"| {title} | {s:.2f} | {mb:.0f} |" for title, (s, mb) in floors.items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if "--serve" in sys.argv:
        asyncio.run(line_opcua.serve(TAGS, 1.0))
    else:
        main()
