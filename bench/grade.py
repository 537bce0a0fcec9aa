"""Speed of grading a table, side by side with a hand-written pass and with profilers.

Makes a table of 1,000,500 rows (50 numbers, 3 texts, a time; 1 % empty cells, three
5,000-row frozen stretches and 50 spikes per column, 500 doubled rows, 9 gaps), lets
each contestant read and judge it in a process of its own, in turns, and writes the
medians as a page. Profilers are installed in throw-away environments; those that do not
install or run are named with the reason.

    python bench/grade.py [--rounds 3] [--work DIR] [--page FILE] [--without-profilers]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS, COLUMNS = 1_000_000, 50
HERE = Path(__file__).resolve().parent
CONTEST = HERE / "contestants"
TIMEOUT_S = 900


@dataclass(frozen=True)
class Contestant:
    """Someone who reads and judges the table.

    Attributes:
        name: For the page.
        script: File below ``contestants``.
        does: What it does with the table.
        needs: Packages of a throw-away environment; none: those of this one.
        profiler: One of the four profilers: slow, so run once.
    """

    name: str
    script: str
    does: str
    needs: tuple[str, ...] = ()
    profiler: bool = False


CONTESTANTS = (
    Contestant(
        "hand-written kernel",
        "kernel.py",
        "pyarrow and one fused numba loop: nulls, moments, extremes, quantiles, longest "
        "run, spikes, gaps, doubled times",
    ),
    Contestant("Tundish", "tundish_grade.py", "all column and time indicators"),
    Contestant(
        "pyarrow + numpy",
        "arrow_numpy.py",
        "as the kernel; quantiles on a 10 % sample",
    ),
    Contestant(
        "Polars", "polars_select.py", "moments, exact quantiles, runs, spikes, copies"
    ),
    Contestant(
        "DuckDB SUMMARIZE",
        "duckdb_summary.py",
        "built-in profile",
        ("duckdb", "pyarrow"),
    ),
    Contestant(
        "Great Expectations",
        "gx.py",
        "252 expectations, pandas",
        ("great_expectations", "pyarrow", "pandas<3"),
        profiler=True,
    ),
    Contestant(
        "ydata-profiling",
        "ydata.py",
        "minimal profile, no page",
        ("ydata-profiling", "pyarrow", "setuptools<81"),
        profiler=True,
    ),
    Contestant(
        "whylogs",
        "why.py",
        "sketches",
        ("whylogs", "numpy<2", "pandas<2.3", "pyarrow<19", "setuptools<81"),
        profiler=True,
    ),
    Contestant(
        "evidently",
        "evident.py",
        "DataSummaryPreset",
        ("evidently", "pandas<3", "pyarrow"),
        profiler=True,
    ),
)


@dataclass
class Runs:
    """What was measured of one contestant; seconds and gigabytes."""

    import_s: list[float] = field(default_factory=list)
    total_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    peak_gb: list[float] = field(default_factory=list)
    version: str = ""
    failed: str = ""


def make_table(path: Path, rows: int = ROWS, seed: int = 7) -> None:
    """Write the table; the same for the same seed."""
    rng = np.random.default_rng(seed)
    at = np.arange(rows)
    step = np.ones(rows, dtype=np.int64)
    step[rng.choice(rows - 1, 9, replace=False) + 1] = rng.integers(20, 400, 9)
    us = 1_735_689_600_000_000 + np.cumsum(step) * 1_000_000
    order = np.sort(np.concatenate([at, rng.choice(rows, 500, replace=False)]))
    table = {"timestamp": pa.array(us[order], pa.timestamp("us", tz="UTC"))}
    for i in range(COLUMNS):
        level, amplitude = rng.uniform(10, 500), rng.uniform(1, 50)
        wave = np.sin(at / rng.uniform(3000, 90000) * 6.28 + rng.uniform(0, 6))
        values = level + amplitude * (wave + 0.1 * rng.normal(size=rows))
        spikes = rng.choice(rows, 50, replace=False)
        signs = rng.choice([-1, 1], 50)
        values[spikes] += signs * amplitude * rng.uniform(6, 12, 50)
        blocks = rng.choice(rows // 5000 - 2, 3, replace=False)
        for start in blocks * 5000 + rng.integers(0, 2500, 3):
            values[start : start + 5000] = values[start]
        empty = rng.random(rows) < 0.01
        table[f"tag_{i:02d}"] = pa.array(np.round(values[order], 5), mask=empty[order])
    for name, levels in (("product", 12), ("shift", 3), ("operator", 40)):
        names = np.array([f"{name}-{k}" for k in range(levels)])
        drawn = np.repeat(rng.integers(0, levels, rows // 1000 + 1), 1000)[:rows]
        table[name] = pa.array(names[drawn][order])
    pq.write_table(pa.table(table), path, compression="zstd")


def python_for(contestant: Contestant, work: Path) -> Path:
    """Return the interpreter of a contestant, its environment made if need be."""
    if not contestant.needs:
        return Path(sys.executable)
    home = work / contestant.script.removesuffix(".py")
    python = home / "bin" / "python"
    if not (home / ".ready").exists():
        venv.create(home, with_pip=True)
        subprocess.run(
            [python, "-m", "pip", "install", "-qq", *contestant.needs],
            check=True,
            capture_output=True,
            timeout=TIMEOUT_S,
        )
        (home / ".ready").touch()
    return python


def run(contestant: Contestant, work: Path, table: Path, runs: Runs) -> None:
    """Let a contestant judge the table once."""
    try:
        python = python_for(contestant, work)
    except subprocess.SubprocessError as error:
        told = getattr(error, "stderr", b"") or b""
        runs.failed = "does not install: " + told.decode().strip().split("\n")[-1][:150]
        return
    out = work / "said.json"
    out.unlink(missing_ok=True)
    log = work / "log.txt"
    started = time.perf_counter()
    with log.open("wb") as stream:
        child = subprocess.Popen(
            [python, CONTEST / contestant.script, table, out],
            stdout=stream,
            stderr=stream,
        )
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if status or not out.exists():
        last = log.read_text(errors="replace").strip().split("\n")[-1]
        runs.failed = f"ends with: {last[:150]}"
        return
    said = json.loads(out.read_text())
    runs.import_s.append(said["import_s"])
    runs.total_s.append(said["total_s"])
    runs.cpu_s.append(said["cpu_s"])
    runs.peak_gb.append(usage.ru_maxrss / 1e6)
    runs.version = said["version"]
    took = time.perf_counter() - started
    print(f"{contestant.name}: {said['total_s']:.2f} s of {took:.1f} s", flush=True)


def page(results: dict[str, Runs], table: Path, rounds: int) -> str:
    """Write the page: medians, ratios, versions."""
    kernel = results["hand-written kernel"]
    base, base_cpu = statistics.median(kernel.total_s), statistics.median(kernel.cpu_s)
    values_gb = (ROWS + 500) * (COLUMNS + 1) * 8 / 1e9
    lines = [
        "# How fast a table is graded",
        "",
        "Generated by `make bench-grade`; do not edit. A table of 1,000,500 rows, 50 numbers, 3",
        f"texts and a time (Parquet, zstd, {table.stat().st_size / 1e6:.0f} MB; {values_gb:.2f} GB of numbers in memory)",
        f"is read and judged; medians of {rounds} runs in turns (profilers: one), without",
        f"the import of libraries. {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}. Ratios are",
        "what carries over to another machine; CPU time is steadier than seconds when the machine is shared.",
        f"The load of the machine was {os.getloadavg()[2]:.1f} over the last quarter of an hour (1 per core is full).",
        "",
        "| contestant | what it does | total s | ratio | CPU s | CPU ratio | peak GB | import s |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for contestant in CONTESTANTS:
        runs = results.get(contestant.name)
        if runs is None:
            continue
        if runs.failed:
            lines.append(
                f"| {contestant.name} | {contestant.does} | {runs.failed} | | | | | |"
            )
            continue
        total, cpu = statistics.median(runs.total_s), statistics.median(runs.cpu_s)
        lines.append(
            f"| {contestant.name} {runs.version} | {contestant.does} | {total:.2f} | "
            f"{total / base:.1f} | {cpu:.2f} | {cpu / base_cpu:.1f} | "
            f"{statistics.median(runs.peak_gb):.2f} | {statistics.median(runs.import_s):.1f} |"
        )
    lines += ["", *_verdict(results), ""]
    notes = HERE / "grade-notes.md"
    return "\n".join(lines) + (notes.read_text() if notes.exists() else "")


def _verdict(results: dict[str, Runs]) -> list[str]:
    ours = results["Tundish"]
    if ours.failed:
        return []
    total, cpu = statistics.median(ours.total_s), statistics.median(ours.cpu_s)
    profilers = [
        (statistics.median(r.total_s), statistics.median(r.cpu_s), c.name)
        for c in CONTESTANTS
        if c.profiler and (r := results.get(c.name)) and r.total_s
    ]
    if not profilers:
        return ["No profiler was measured."]
    slow, slow_cpu, name = min(profilers)
    return [
        f"The fastest profiler that ran, {name}, takes {slow / total:.0f} times as long as Tundish",
        f"(CPU: {slow_cpu / cpu:.0f} times).",
    ]


def main(arguments: Sequence[str]) -> None:
    """Make the table, run everybody in turns, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=HERE / ".work")
    parser.add_argument("--page", type=Path, default=None)
    parser.add_argument("--without-profilers", action="store_true")
    chosen = parser.parse_args(arguments)
    chosen.work.mkdir(parents=True, exist_ok=True)
    table = chosen.work / "table.parquet"
    if not table.exists():
        make_table(table)
    asked = [c for c in CONTESTANTS if not (c.profiler and chosen.without_profilers)]
    results = {contestant.name: Runs() for contestant in asked}
    for number in range(chosen.rounds + 1):  # the first round fills caches
        for contestant in asked:
            runs = results[contestant.name]
            if runs.failed or (contestant.profiler and number != 1):
                continue
            run(contestant, chosen.work, table, Runs() if number == 0 else runs)
    text = page(results, table, chosen.rounds)
    print(text)
    if chosen.page is not None:
        chosen.page.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
