"""Damage files of every kind for as long as is asked, and grade them.

Run by ``make fuzz``: ``python -m tests.fuzz_readers [--seconds 600] [--seed 1]
[--data FOLDER]``. Real files of a folder are damaged as well. A file that ends in
anything but a grade or an error of Tundish, or takes longer than a minute, is kept and
named, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from tests.data import broken
from tests.data.formats import SAMPLES, write_sample

from tundish.data.grade.file import grade_file
from tundish.kernel.errors import TundishError

SLOW_S = 60
MOST_BYTES = 200_000
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def bases(folder: Path, data: Path | None) -> list[tuple[str, bytes]]:
    """Return the whole files that are damaged."""
    found = [(n, write_sample(n, folder).read_bytes()) for n in SAMPLES]
    real = [p for p in sorted(data.rglob("*")) if p.is_file()] if data else []
    real = [p for p in real if p.suffix not in {".jpg", ".png"}]
    return found + [(p.name, p.read_bytes()[:MOST_BYTES]) for p in real]


def damaged(
    files: list[tuple[str, bytes]], rng: np.random.Generator, until: float
) -> Iterator[tuple[str, bytes]]:
    """Return damaged files until the time is over."""
    while time.monotonic() < until:
        name, data = files[int(rng.integers(len(files)))]
        for _ in range(int(rng.integers(1, 4))):
            data = broken.mutate(data, rng)
        if rng.integers(8) == 0:
            data = data[: int(rng.integers(len(data) + 1))]
        yield name, data


def fault(path: Path) -> str:
    """Grade one file and return what went wrong with that; empty if nothing did."""
    start = time.monotonic()
    try:
        grade_file(path, now=NOW)
    except TundishError:
        pass
    except BaseException:  # noqa: BLE001  (this is the question)
        return traceback.format_exc(limit=-3)
    took = time.monotonic() - start
    return f"took {took:.0f} s" if took > SLOW_S else ""


def main() -> int:
    """Fuzz, tell, and return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--keep", type=Path, default=Path("fuzzed"))
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    faults = count = 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        files = bases(folder, given.data)
        for name, data in damaged(files, rng, time.monotonic() + given.seconds):
            count += 1
            path = folder / name
            path.write_bytes(data)
            what = fault(path)
            if what:
                faults += 1
                given.keep.mkdir(exist_ok=True)
                (given.keep / f"{count}-{name}").write_bytes(data)
                print(f"{count}-{name}: {what}")
    print(f"{count} damaged files, {faults} faults (seed {given.seed})")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
