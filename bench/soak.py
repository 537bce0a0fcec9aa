"""Let a line run for an hour against a noisy plant, and watch its memory.

The plant is a real OPC UA server that plays the Tennessee Eastman runs (52 tags, one row a
second), with bad statuses, missing and repeated values, cables that are pulled and a
historian that has holes. The line is ``tundish line run`` with the sealed package of that
scenario, in a process of its own. ``make soak`` writes docs/explain/line-soak.md.
Needs TUNDISH_DATA.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import numpy as np
from asyncua import ua

from tundish.catalog import library
from tundish.catalog.documents import parse_document
from tundish.catalog.scenario import Scenario
from tundish.flows import runs
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical, digest, settings
from tundish.kernel.clock import to_text
from tundish.line.recording import Recording, Track
from tundish.line.replay import ReplayServer
from tundish.line.samples import from_us
from tundish.line.status import read_status, status_path
from tundish.model import making
from tundish.model import package as packages
from tundish.model.bom import bill_of_materials
from tundish.model.card import ModelCard, TrainingFacts
from tundish.seal import envelope
from tundish.seal.statement import make_statement

HERE = Path(__file__).parent
ROWS = HERE / "soak.json"
PAGE = HERE.parent / "docs/explain/line-soak.md"
PORT = 48517
KEY, SITE = "C26.27.reactor-separator", "tennessee-eastman"
TUNDISH = [sys.executable, "-m", "tundish"]
SAMPLE_S = 5.0
BAD, MISSING, AGAIN = 0.01, 0.005, 0.01
CUT_EVERY_S, CUT_S, HOLE_ROWS = 300.0, (5.0, 40.0), 5


def main() -> int:
    """Run, or serve the plant, or write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--page-only", action="store_true")
    asked = parser.parse_args()
    if asked.serve:
        asyncio.run(serve(asked.serve, asked.minutes * 60.0))
        return 0
    if not asked.page_only:
        with tempfile.TemporaryDirectory(prefix="tundish-soak-") as folder:
            found = soak(Path(folder), asked.minutes)
        ROWS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    PAGE.write_text(page(json.loads(ROWS.read_text("utf-8"))), "utf-8")
    return 0


def soak(folder: Path, minutes: float) -> dict[str, object]:
    """Return what was seen."""
    package, grant = prepare(folder)
    names = [one.name for one in library.scenario(KEY).signals]
    line = {
        "format": "tundish.line", "version": 1, "name": "soak", "mode": "shadow",
        "package": str(package), "grant": str(grant), "buffer": {"path": "buffer.db"},
        "sources": [{
            "kind": "opcua", "endpoint": f"opc.tcp://127.0.0.1:{PORT}",
            "nodes": {name: f"ns=2;s={name}" for name in names},
        }],
        "sinks": [{
            "kind": "opcua", "endpoint": f"opc.tcp://127.0.0.1:{PORT}",
            "nodes": {n: f"ns=2;s=tundish.{n}" for n in ("state", "reason", "alarm")},
        }],
    }  # fmt: skip
    file = folder / "soak.line.yaml"
    file.write_bytes(canonical.dumps(line))
    told = folder / "plant.json"
    plant = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "bench.soak",
            "--serve",
            str(told),
            "--minutes",
            str(minutes),
        ]
    )
    time.sleep(10.0)
    out = (folder / "report.json").open("wb")
    running = subprocess.Popen(
        [*TUNDISH, "line", "run", str(file), "--json"],
        cwd=folder,
        stdout=out,
        # a shell's background jobs ignore Ctrl-C, and so would their children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    memory: list[tuple[float, float, float]] = []
    states: Counter[str] = Counter()
    begun = time.monotonic()
    while plant.poll() is None and running.poll() is None:
        time.sleep(SAMPLE_S)
        memory.append((time.monotonic() - begun, *usage(running.pid)))
        said = read_status(status_path(folder / "buffer.db"))
        states[said.state if said else "nothing said"] += 1
    running.send_signal(signal.SIGINT)
    code = running.wait(60)
    return {
        "minutes": minutes, "code": code, "tags": len(names),
        "memory_mb": [round(mb, 2) for _, mb, _ in memory],
        "cpu_s": memory[-1][2], "wall_s": memory[-1][0], "sample_s": SAMPLE_S,
        "states": dict(states), "plant": json.loads(told.read_text("utf-8")),
        "line": json.loads((folder / "report.json").read_text("utf-8")),
        "buffer_mb": (folder / "buffer.db").stat().st_size / 1e6,
    }  # fmt: skip


def prepare(folder: Path) -> tuple[Path, Path]:
    """Train and judge; seal the graph under a contract of a row a second; issue a grant."""

    def give(*words: str) -> str:
        done = subprocess.run(
            [*TUNDISH, *words], cwd=folder, check=True, capture_output=True, text=True
        )
        return done.stdout

    give("init", ".")
    give("run", str(data_folder()), "--scenario", KEY, "--site", SITE, "--no-seal")
    package = sealed(Workspace(folder))
    grant = folder / "model.grant"
    device = give("device").strip()
    give("grant", str(package), "--device", device, "--days", "30", "--to", str(grant))
    return package, grant


def sealed(workspace: Workspace) -> Path:
    """Seal the newest run's graph under a contract that differs in its times alone."""
    run, now = runs.find(workspace, ""), workspace.clock.now()
    said = run.scenario.model_dump(mode="json")
    said["stale_after_s"] = 5.0
    for one in said["signals"]:
        one["period_s"] = 1.0
    contract = parse_document(canonical.dumps(said), Scenario, "the soak's scenario")
    card = ModelCard(
        product=contract.key, version=1, title="Soak", task=contract.task,
        scenario=contract.key, purpose="A soak test", not_for=("Any plant",), target="score",
        target_unit="1", graph=digest.of_bytes(run.graph), data=(),
        training=TrainingFacts(
            recipe=run.record.recipe, options={}, seed=0, trained_at=to_text(now)
        ),
        metrics=(), limits=(), licence="Apache-2.0",
    )  # fmt: skip
    parts = making.PackageParts(
        graph=run.graph, card=card, scenario_yaml=canonical.pretty(contract.to_json()),
        verdict={}, parity={}, golden=run.golden, envelope={},
        bom=bill_of_materials(
            card, libraries=[], tundish_version="0", created_at=to_text(now)
        ),
    )  # fmt: skip
    statement = make_statement(
        product=contract.key, version=1, created_at=to_text(now),
        not_after=to_text(now + timedelta(days=30)),
    )  # fmt: skip
    identity = envelope.new_identity()
    found = making.build(
        parts, statement=statement, key=workspace.key, encrypt_to=[identity.recipient]
    )
    workspace.keep_identity(found.digest, identity)
    path = workspace.packages / "soak.tar"
    packages.write_tar(found, path)
    return path


def data_folder() -> Path:
    """Return the folder of the Tennessee Eastman files."""
    return (settings.data_dir() or HERE.parents[1] / "shared/data") / "tep-braatz"


def usage(pid: int) -> tuple[float, float]:
    """Return resident memory in MB and processor time in s of a process."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    kb = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    ticks = Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
    return kb / 1e3, (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")


async def serve(told: Path, seconds: float) -> None:
    """Serve the noisy plant for so long, and write what it did."""
    values = np.loadtxt(data_folder() / "d00_te.dat")
    names = [one.name for one in library.scenario(KEY).signals]
    one = Track(at_us=np.array([0]), values=np.zeros((1, 1)))
    server = ReplayServer(Recording(tracks=dict.fromkeys(names, one)), port=PORT)
    await server.start()
    rng = np.random.default_rng(1)
    did: Counter[str] = Counter()
    begun, row, mend_s, cut_s = time.monotonic(), 0, 0.0, CUT_EVERY_S
    holes = 0
    while (now_s := time.monotonic() - begun) < seconds:
        if server.connected and now_s > cut_s:
            await server.cut()
            did["cables pulled"] += 1
            mend_s = now_s + rng.uniform(*CUT_S)
            holes = HOLE_ROWS if did["cables pulled"] % 3 == 0 else 0
        elif not server.connected and now_s > mend_s:
            await server.mend()
            cut_s = now_s + rng.uniform(0.5, 1.5) * CUT_EVERY_S
        keep = holes <= 0 or server.connected
        holes -= not server.connected
        did["rows that the historian forgot"] += not keep
        await tell(
            server,
            dict(zip(names, values[row % len(values)], strict=True)),
            rng,
            did,
            keep=keep,
        )
        row += 1
        did["rows"] += 1
        await asyncio.sleep(max(0.0, begun + row - time.monotonic()))
    told.write_text(json.dumps({k: int(n) for k, n in did.items()}), "utf-8")
    await server.mend()
    await asyncio.sleep(15.0)
    await server.close()


async def tell(
    server: ReplayServer,
    values: dict[str, float],
    rng: np.random.Generator,
    did: Counter[str],
    *,
    keep: bool,
) -> None:
    """Let one row happen, with its noise."""
    at = from_us(int(time.time()) * 1_000_000)
    odd = rng.choice(list(values), 2, replace=False)
    chance = rng.uniform(size=3)
    for name, value in values.items():
        bad = name == odd[0] and chance[0] < BAD
        if name == odd[1] and chance[1] < MISSING:
            did["values missing"] += 1
            continue
        did["bad statuses"] += bad
        status = ua.StatusCodes.BadSensorFailure if bad else ua.StatusCodes.Good
        data = ua.DataValue(
            None if bad else ua.Variant(float(value), ua.VariantType.Double),
            StatusCode=ua.StatusCode(ua.UInt32(status)),
            SourceTimestamp=at,
        )
        await server.say(name, data, keep=keep)
        if name == odd[0] and chance[2] < AGAIN:
            did["values repeated"] += 1
            await server.say(name, data, keep=False)


def page(found: dict[str, object]) -> str:
    """Return the page that the figures make."""
    memory = np.array(found["memory_mb"])
    hours = np.arange(len(memory)) * float(found["sample_s"]) / 3600.0
    late = len(memory) // 6  # it grows into its caches first
    slope = float(np.polyfit(hours[late:], memory[late:], 1)[0])
    line, plant = found["line"], found["plant"]
    rows = [
        ("tags, one value a second each", found["tags"]),
        ("minutes", f"{float(found['wall_s']) / 60:.0f}"),
        *((f"plant: {name}", count) for name, count in sorted(plant.items())),
        ("samples received live", line["received"]),
        ("samples read from history", line["backfilled"]),
        ("answers", line["estimates"]),
        ("of these without a number, by reason", ", ".join(f"{n} {why}" for why, n in line["abstained"].items()) or "none"),
        ("gaps recorded", len(line["gaps"])),
        ("from receipt to answer on disk, p50 / p99, ms", f"{line['latency_ms']['p50']:.1f} / {line['latency_ms']['p99']:.1f}"),
        ("state, share of looks", ", ".join(f"{s} {n / sum(found['states'].values()):.1%}" for s, n in found["states"].items())),
        ("memory at the start, after a sixth, at the end, largest, MB", f"{memory[0]:.0f}, {memory[late]:.0f}, {memory[-1]:.0f}, {memory.max():.0f}"),
        ("slope of memory after the first sixth, MB an hour", f"{slope:+.2f}"),
        ("processor time, share of one core", f"{float(found['cpu_s']) / float(found['wall_s']):.1%}"),
        ("buffer on disk, MB", f"{float(found['buffer_mb']):.1f}"),
        ("exit code after Ctrl-C", found["code"]),
    ]  # fmt: skip
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"""# An hour on a noisy plant

Generated by `make soak` from `bench/soak.json`; do not edit. A real OPC UA server plays a Tennessee Eastman run, a row a second, and is a poor plant: statuses go bad, values are missing or come twice,
cables are pulled for up to 40 s and the historian has holes. The line is `tundish line run` with the sealed package of that scenario, under a contract of one second.

| what | measured |
|---|---|
{table}
"""


if __name__ == "__main__":
    sys.exit(main())
