"""What the archive costs per value, beside pyarrow writing the same rows by itself.

    python bench/archive.py [--values 400000] [--tags 20] [--repeats 5]

Messages of ``--tags`` values each are put into a line's buffer, once without and once
with an archive; then the spooled samples become one part. Beside them the least that
anybody can do: the same columns, in NumPy already, written by pyarrow with the same
compression, synced. CPU time of the process counts, since other work shares the machine; the runs take turns, and the median counts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tundish.line.archiver import Archiver
from tundish.line.buffer import LineBuffer
from tundish.line.contract import ListedSignal, SignalList
from tundish.line.linefile import SinkSpec
from tundish.line.samples import Sample
from tundish.line.sinks.archive import ArchiveOptions, ArchiveSink


def messages(values: int, tags: int) -> list[list[Sample]]:
    """Return messages as an MQTT source gives them: one row of an array per value."""
    rng = np.random.default_rng(1)
    found = []
    for row in range(values // tags):
        numbers = rng.normal(size=tags)
        at_us = 1_700_000_000_000_000 + row * 100_000
        found.append(
            [Sample(f"tag{n}", at_us, "good", numbers[n : n + 1]) for n in range(tags)]
        )
    return found


def store(
    folder: Path, work: list[list[Sample]], tags: int, *, archive: bool
) -> dict[str, float]:
    """Return CPU seconds of the commits and of the part; without an archive no part."""
    contract = SignalList(
        key="bench", signals=tuple(ListedSignal(name=f"tag{n}") for n in range(tags))
    )
    widths = {signal.name: 1 for signal in contract.signals}
    took = {}
    with LineBuffer(
        folder / "b.db", scenario="b", signals=widths, max_rows=10**9,
        durability="process",
    ) as buffer:  # fmt: skip
        spool = buffer.keep_for("kept", lambda: 0, 1e6) if archive else None
        begun_s = time.process_time()
        for message in work:
            buffer.store(message)
        took["commits"] = time.process_time() - begun_s
        if spool is not None:
            spec = SinkSpec(
                kind="archive", name="kept", endpoint=f"file://{folder}/kept"
            )
            options = ArchiveOptions(part_rows=10_000_000, part_mb=1000)
            sink = ArchiveSink(spec, contract, options)
            archiver = Archiver(sink, spool, contract, lambda *_: None, (1, 1))

            async def job() -> None:
                await archiver.connect()
                await archiver.write_next(now=True)

            begun_s = time.process_time()
            asyncio.run(job())
            took["part"] = time.process_time() - begun_s
            took["bytes"] = sum(p.stat().st_size for p in (folder / "kept").iterdir())
    return took


def plain(folder: Path, work: list[list[Sample]]) -> dict[str, float]:
    """Return CPU seconds in which pyarrow writes the same rows out of ready columns."""
    flat = [sample for message in work for sample in message]
    signals = pa.array([sample.signal for sample in flat]).dictionary_encode()
    at_us = np.array([sample.at_us for sample in flat])
    values = np.concatenate([s.values for s in flat if s.values is not None])
    begun_s = time.process_time()
    stamps = pa.array(at_us).cast(pa.timestamp("us", tz="UTC"))
    quality = pa.DictionaryArray.from_arrays(
        np.zeros(len(flat), np.int32), pa.array(["good"])
    )
    table = pa.table(
        {
            "signal": signals, "time": stamps, "received": stamps,
            "value": pa.array(values), "quality": quality,
        }
    )  # fmt: skip
    with (folder / "plain.parquet").open("wb") as file:
        pq.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    took = time.process_time() - begun_s
    return {"part": took, "bytes": (folder / "plain.parquet").stat().st_size}


def main() -> None:
    """Run it and print CPU microseconds per value."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--values", type=int, default=400_000)
    asked.add_argument("--tags", type=int, default=20)
    asked.add_argument("--repeats", type=int, default=5)
    said = asked.parse_args()
    work = messages(said.values, said.tags)
    rows: dict[str, list[float]] = {}
    for _ in range(said.repeats):
        for name in ("without", "with", "plain"):
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place)
                found = (
                    plain(folder, work)
                    if name == "plain"
                    else store(folder, work, said.tags, archive=name == "with")
                )
            for what, number in found.items():
                rows.setdefault(f"{what} {name}", []).append(number)
    for name, numbers in rows.items():
        middle = statistics.median(numbers)
        unit = "bytes" if name.startswith("bytes") else "us"
        per_value = middle / said.values * (1 if unit == "bytes" else 1e6)
        sys.stdout.write(f"{name:<18} {per_value:8.3f} {unit} per value\n")


if __name__ == "__main__":
    main()
