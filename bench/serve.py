"""Speed of ``tundish serve`` beside a bare ASGI application with the same inference.

Both run under uvicorn with httptools and uvloop, with one worker, and are asked in turns
by the same client (wrk, in C; for batches a blocking socket), so that a busy moment of
the machine meets both. The model is an ensemble of 100 trees with 31 leaves over 50
inputs; ours is sealed, encrypted and granted, asks for a token, holds each window
against its contract and takes out the numbers that may not be trusted.

    python bench/serve.py [--rounds 5] [--seconds 3] [--page FILE]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tundish.kernel import settings  # noqa: E402

settings.silence_onnxruntime()

import onnxruntime  # noqa: E402 -- only now is the runtime silent
from onnx import ModelProto, TensorProto, helper  # noqa: E402
from tests.flows.conftest import build, scenario  # noqa: E402

from tundish.catalog.scenario import Scenario  # noqa: E402
from tundish.flows import workspace as workspaces  # noqa: E402
from tundish.flows.clients import add_client  # noqa: E402
from tundish.flows.grant import GrantOrder, grant  # noqa: E402

TREES, DEPTH, INPUTS, BATCH = 100, 5, 50, 1000
CONNECTIONS = 16
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def make_graph() -> bytes:
    """Return 100 random trees of 32 leaves over 50 inputs, with an interval."""
    rng = np.random.default_rng(1)
    nodes: dict[str, list[object]] = {
        name: [] for name in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")
    }  # fmt: skip
    leaves: dict[str, list[object]] = {
        n: [] for n in ("treeids", "nodeids", "ids", "weights")
    }
    inner = 2**DEPTH - 1
    for tree in range(TREES):
        for node in range(2 * inner + 1):
            leaf = node >= inner
            row = (tree, node, int(rng.integers(INPUTS)), float(rng.standard_normal()), "LEAF" if leaf else "BRANCH_LEQ", 0 if leaf else 2 * node + 1, 0 if leaf else 2 * node + 2)  # fmt: skip
            for values, value in zip(nodes.values(), row, strict=True):
                values.append(value)
            if leaf:
                for values, value in zip(leaves.values(), (tree, node, 0, float(rng.standard_normal())), strict=True):  # fmt: skip
                    values.append(value)
    given = {f"nodes_{k}": v for k, v in nodes.items()} | {
        f"target_{k}": v for k, v in leaves.items()
    }
    made = [
        helper.make_node("Flatten", ["window"], ["flat"], axis=1),
        helper.make_node("TreeEnsembleRegressor", ["flat"], ["estimate"], domain="ai.onnx.ml", n_targets=1, **given),
        helper.make_node("Sub", ["estimate", "one"], ["lower"]),
        helper.make_node("Add", ["estimate", "one"], ["upper"]),
        helper.make_node("Mul", ["estimate", "nought"], ["applicability"]),
    ]  # fmt: skip
    window = helper.make_tensor_value_info(
        "window", TensorProto.FLOAT, ["N", 1, INPUTS]
    )
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1])
        for name in ("estimate", "lower", "upper", "applicability")
    ]
    constants = [
        helper.make_tensor(name, TensorProto.FLOAT, [1], [value])
        for name, value in (("one", 1.0), ("nought", 0.0))
    ]
    graph = helper.make_graph(made, "trees", [window], outputs, constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    whole: ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    return bytes(whole.SerializeToString())


def make_contract() -> Scenario:
    """Return a contract of 50 signals, one row a window."""
    base = scenario().model_dump()
    one = base["signals"][0] | {"range": (-100.0, 100.0)}
    signals = [one | {"name": f"p{place}"} for place in range(INPUTS)]
    changes = {"signals": signals, "window": {"rows": 1, "stride": 1}}
    return Scenario.model_validate(base | changes, strict=False)


@dataclass(frozen=True)
class Server:
    """How a server is started and asked.

    Attributes:
        command, environment, folder: Of its process.
        port: Where it listens.
        path: Of its inference.
        headers: That a request needs.
    """

    command: list[str]
    environment: dict[str, str]
    folder: Path
    port: int
    path: str
    headers: dict[str, str]


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def compiled(folder: Path) -> dict[str, str]:
    """Return an environment in which modules stay compiled, as an installation leaves them."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return kept | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
    }


def make_servers(folder: Path) -> dict[str, Server]:
    """Seal, grant and write down how each contestant is started."""
    graph = make_graph()
    (folder / "graph.onnx").write_bytes(graph)
    plant = workspaces.create(folder / "plant", "plant")
    package, _ = build(plant, datetime.now(UTC), of=(graph, make_contract()))
    box = workspaces.create(folder / "box", "box")
    key = folder / "owner.pub"
    key.write_bytes(plant.public_pem)
    box.trust(key)
    granted = folder / "model.grant"
    order = GrantOrder(device=box.device_text, purpose="bench", valid_s=3e6)
    grant(plant, package, order, granted)
    token = add_client(box, "bench").reveal()
    name = make_contract().key
    path = f"/v2/models/{name}/infer"
    ports = free_port(), free_port()
    python, environment = sys.executable, compiled(folder)
    ours = [python, "-m", "tundish", "serve", str(package), "--grant", str(granted), "--listen", f"127.0.0.1:{ports[0]}", "--json"]  # fmt: skip
    bare = [python, "-m", "uvicorn", "bench.contestants.bare_serve:app", "--port", str(ports[1]), "--http", "httptools", "--loop", "uvloop", "--lifespan", "off", "--no-access-log", "--log-level", "error"]  # fmt: skip
    return {
        "tundish": Server(ours, environment, folder / "box", ports[0], path, {"Authorization": f"Bearer {token}"}),
        "bare": Server(bare, environment | {"BARE_GRAPH": str(folder / "graph.onnx")}, ROOT, ports[1], path, {}),
    }  # fmt: skip


def json_body(rows: int) -> bytes:
    """Return a request in JSON."""
    data = [round(math.sin(place), 5) for place in range(rows * INPUTS)]
    one = {"name": "window", "shape": [rows, 1, INPUTS], "datatype": "FP32", "data": data}  # fmt: skip
    return json.dumps({"inputs": [one]}).encode()


def binary_request(server: Server, rows: int) -> bytes:
    """Return a whole HTTP request with a binary tensor, answered in binary."""
    raw = (
        np.random.default_rng(2)
        .standard_normal((rows, 1, INPUTS))
        .astype(np.float32)
        .tobytes()
    )
    one = {"name": "window", "shape": [rows, 1, INPUTS], "datatype": "FP32", "parameters": {"binary_data_size": len(raw)}}  # fmt: skip
    text = json.dumps(
        {"inputs": [one], "parameters": {"binary_data_output": True}}
    ).encode()
    return request(
        server, text + raw, {"Inference-Header-Content-Length": str(len(text))}
    )


def request(server: Server, body: bytes, more: dict[str, str]) -> bytes:
    """Return a whole HTTP request."""
    headers = (
        {"Host": "127.0.0.1", "Content-Length": str(len(body))} | server.headers | more
    )
    lines = [f"POST {server.path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def ask(connection: socket.socket, data: bytes) -> bytes:
    """Send a request and return the whole answer."""
    connection.sendall(data)
    got = connection.recv(1 << 20)
    while b"\r\n\r\n" not in got:
        got += connection.recv(1 << 20)
    head = got.index(b"\r\n\r\n") + 4
    found = re.search(rb"content-length: (\d+)", got[:head], re.IGNORECASE)
    whole = head + int(found.group(1)) if found else head
    while len(got) < whole:
        got += connection.recv(1 << 20)
    if not got.startswith(b"HTTP/1.1 200"):
        raise AssertionError(got[:300])
    return got


@contextmanager
def running(
    server: Server,
) -> Iterator[tuple[subprocess.Popen[bytes], tuple[float, float]]]:
    """Start a server; yield it, and seconds of wall and processor to its first answer."""
    data = request(server, json_body(1), {})
    start = time.perf_counter()
    with subprocess.Popen(server.command, cwd=server.folder, env=server.environment, stdout=subprocess.DEVNULL) as process:  # fmt: skip
        try:
            while True:
                try:
                    with socket.create_connection(("127.0.0.1", server.port)) as one:
                        ask(one, data)
                    break
                except OSError:
                    if process.poll() is not None:
                        raise
                    time.sleep(0.002)
            yield process, (time.perf_counter() - start, cpu_s(process))
        finally:
            process.terminate()
            process.wait(20)


def cpu_s(process: subprocess.Popen[bytes]) -> float:
    """Return the processor's seconds that a process has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def memory_mb(process: subprocess.Popen[bytes]) -> tuple[float, float]:
    """Return resident and proportional memory; the latter needs rights to see."""
    kb = {"Rss": 0, "Pss": 0}
    try:
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    except OSError:
        text = ""
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name in kb:
            kb[name] = int(rest.split()[0])
    return kb["Rss"] / 1024, kb["Pss"] / 1024


def storm(server: Server, process: subprocess.Popen[bytes], folder: Path, seconds: int, connections: int) -> dict[str, float]:  # fmt: skip
    """Ask with one row in JSON as fast as wrk can; requests a second, latency, CPU."""
    script = folder / f"{server.port}.lua"
    headers = "".join(f'wrk.headers["{k}"]="{v}"\n' for k, v in server.headers.items())
    script.write_text(
        f"wrk.method='POST'\nwrk.body='{json_body(1).decode()}'\n{headers}"
    )
    before = cpu_s(process)
    url = f"http://127.0.0.1:{server.port}{server.path}"
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), url],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    if "Non-2xx" in done or "Socket errors" in done:
        raise AssertionError(done)
    count = int(re.search(r"(\d+) requests in", done).group(1))  # type: ignore[union-attr]
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", done).group(1))  # type: ignore[union-attr]
    p50, unit = re.search(r"50%\s+([\d.]+)(us|ms|s)", done).groups()  # type: ignore[union-attr]
    scale = {"us": 1.0, "ms": 1e3, "s": 1e6}[unit]
    return {"rate": rate, "p50_us": float(p50) * scale, "cpu_us": (cpu_s(process) - before) / count * 1e6}  # fmt: skip


def batches(servers: dict[str, Server], rounds: int) -> dict[str, list[float]]:
    """Time batches of 1,000 rows in turns: both servers and the raw runtime, in ms."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    raw = onnxruntime.InferenceSession(make_graph(), options, providers=["CPUExecutionProvider"])  # fmt: skip
    names = [item.name for item in raw.get_outputs()]
    window = (
        np.random.default_rng(2).standard_normal((BATCH, 1, INPUTS)).astype(np.float32)
    )
    asked = {name: binary_request(server, BATCH) for name, server in servers.items()}
    open_ = {name: socket.create_connection(("127.0.0.1", s.port)) for name, s in servers.items()}  # fmt: skip
    for one in open_.values():
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    times: dict[str, list[float]] = {name: [] for name in (*servers, "raw")}
    for _ in range(60 * rounds):
        for name in times:
            start = time.perf_counter()
            if name == "raw":
                raw.run(names, {"window": window})
            else:
                ask(open_[name], asked[name])
            times[name].append((time.perf_counter() - start) * 1e3)
    for one in open_.values():
        one.close()
    return times


@dataclass(frozen=True)
class Row:
    """One row of the page; ``aim`` says what ``ratio`` should be."""

    what: str
    ours: str
    other: str
    ratio: str
    aim: str
    met: bool

    def __str__(self) -> str:
        met = "-" if self.aim == "-" else "yes" if self.met else "**no**"
        return f"| {self.what} | {self.ours} | {self.other} | {self.ratio} | {self.aim} | {met} |"


def measure(folder: Path, rounds: int, seconds: int) -> list[Row]:
    """Measure all of it, in turns."""
    servers = make_servers(folder)
    starts: dict[str, list[tuple[float, float]]] = {name: [] for name in servers}
    for server in servers.values():  # compiles the modules, and is not counted
        with running(server):
            pass
    for _ in range(rounds):
        for name, server in servers.items():
            with running(server) as (_, took_s):
                starts[name].append(took_s)
    found: dict[str, dict[int, list[dict[str, float]]]] = {n: {1: [], CONNECTIONS: []} for n in servers}  # fmt: skip
    with (
        running(servers["tundish"]) as (ours, _),
        running(servers["bare"]) as (bare, _),
    ):
        processes = {"tundish": ours, "bare": bare}
        for number in range(rounds):
            for name in list(servers) if number % 2 else reversed(list(servers)):
                for many in (CONNECTIONS, 1):
                    got = storm(servers[name], processes[name], folder, seconds, many)
                    found[name][many].append(got)
                    print(name, many, got, flush=True)
        times = batches(servers, rounds)
        memory = {name: memory_mb(process) for name, process in processes.items()}
    return rows_of(starts, found, times, memory)


def rows_of(
    starts: dict[str, list[tuple[float, float]]],
    found: dict[str, dict[int, list[dict[str, float]]]],
    times: dict[str, list[float]],
    memory: dict[str, tuple[float, float]],
) -> list[Row]:
    """Return the rows of the page; ratios are medians of the turns' own ratios."""
    rows = []
    for many, aim in ((CONNECTIONS, 0.7), (1, 0.7)):
        pairs = list(zip(found["tundish"][many], found["bare"][many], strict=True))
        ratio = statistics.median(a["rate"] / b["rate"] for a, b in pairs)
        middle = [statistics.median(p[k]["rate"] for p in pairs) for k in (0, 1)]
        rows.append(Row(f"one row in JSON, {many} connections: requests/s", f"{middle[0]:,.0f}", f"{middle[1]:,.0f}", f"{ratio:.2f} of the speed", f"at least {aim}", ratio >= aim))  # fmt: skip
        cpu = [statistics.median(p[k]["cpu_us"] for p in pairs) for k in (0, 1)]
        share = cpu[1] / cpu[0]
        rows.append(Row(f"the same: server's processor time, us a request", f"{cpu[0]:.0f}", f"{cpu[1]:.0f}", f"{share:.2f} of the speed", f"at least {aim}", share >= aim))  # fmt: skip
        p50 = [statistics.median(p[k]["p50_us"] for p in pairs) for k in (0, 1)]
        if many == 1:
            rows.append(Row("the same: median latency, us", f"{p50[0]:.0f}", f"{p50[1]:.0f}", f"{p50[0] / p50[1]:.2f} x the time", "-", True))  # fmt: skip
    for tenth, said in ((1, "quickest tenth"), (5, "median")):
        at = {name: sorted(values)[len(values) * tenth // 10] for name, values in times.items()}  # fmt: skip
        for name, what in (("raw", "the raw onnxruntime call"), ("bare", "the bare application")):  # fmt: skip
            ratio, judged = at["tundish"] / at[name], name == "raw" and tenth == 1
            aim = "at most 1.3" if judged else "-"
            rows.append(Row(f"1,000 rows in bytes, ms ({said}), beside {what}", f"{at['tundish']:.2f}", f"{at[name]:.2f}", f"{ratio:.2f} x the time", aim, not judged or ratio <= 1.3))  # fmt: skip
    for place, said in ((0, "wall"), (1, "processor")):
        middle_s = {n: statistics.median(v[place] for v in values) for n, values in starts.items()}  # fmt: skip
        judged = place == 0
        rows.append(Row(f"cold start, from exec to the first answer, s ({said})", f"{middle_s['tundish']:.2f}", f"{middle_s['bare']:.2f}", f"{middle_s['tundish'] / middle_s['bare']:.1f} x the time", "under 1 s" if judged else "-", not judged or middle_s["tundish"] < 1.0))  # fmt: skip
    for place, kind in ((1, "proportional (PSS)"), (0, "resident (RSS)")):
        ours, bare = memory["tundish"][place], memory["bare"][place]
        rows.append(Row(f"memory after all that, {kind}, MB", f"{ours:.0f}", f"{bare:.0f}", f"{ours / max(bare, 1):.2f} x", "under 100 MB", ours < 100))  # fmt: skip
    return rows


def page(rows: list[Row], rounds: int, seconds: int) -> str:
    """Return the page."""
    libraries = ("onnxruntime", "numpy", "uvicorn", "httptools", "uvloop", "msgspec")
    versions = ", ".join(f"{name} {version(name)}" for name in libraries)
    busy = f"{os.getloadavg()[0]:.0f} processes ran on {os.cpu_count()} cores meanwhile"
    head = [
        "# Speed of serving",
        "",
        "Written by `make bench-serve`. `tundish serve` beside a bare ASGI application with the same",
        "inference and none of the checks (`bench/contestants/bare_serve.py`), both under uvicorn with",
        "httptools and uvloop, one worker each, asked in turns in one run; the client is wrk 4.1 on the",
        "same two cores, for batches a blocking socket. Medians.",
        "",
        f"100 trees of 32 leaves over 50 inputs; {rounds} turns of {seconds} s; Python {platform.python_version()}, {platform.machine()}; {busy}; {versions}.",
        "",
        "| what | tundish serve | other | ratio | aim | met |",
        "|---|---|---|---|---|---|",
    ]
    notes = (ROOT / "bench/serve-notes.md").read_text("utf-8")
    return "\n".join([*head, *map(str, rows), "", notes])


def main() -> int:
    """Measure, print, write the page; exit code 1 if an aim is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--page", type=Path)
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is needed to ask fast enough (Debian: wrk)")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), given.rounds, given.seconds)
    print(*rows, sep="\n")
    if given.page:
        given.page.write_text(page(rows, given.rounds, given.seconds), "utf-8")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
