"""Fuzz targets one after the other, and keep the sums: ``make fuzz``.

``python -m tests.fuzz.run [--seconds 1200] [--only NAME ...]``. Each target is fuzzed in
a process of its own (see ``worker``), on and on from where the last run ended, until it
has had its share of the seconds of its parser; what was spent and reached is added up in
``results.json``, from which ``docs/generate.py`` makes the page. Afterwards the corpus
is made small and kept (see ``keep``). Two runs may work side by side on different
targets. The exit code is 1 if a fault is open.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = HERE / "results.json"
WORK = ROOT / ".fuzz"
_LEAST_S, _SLICE_S = 5, 300  # a process of a fuzzer grows with time: it starts anew
_CRASHES_MOST = 40  # tried again: one fault of a native parser ends hundreds of workers
_NONE_S, _NONE_MOST = 0.5, 20  # a worker that spent less did nothing; so often in turn


class Sum(TypedDict):
    """What was spent on a target so far, and what its last run reached."""

    cpu_s: float
    wall_s: float
    executions: int
    edges: int
    features: int
    contained: int
    open: int


def results() -> dict[str, Sum]:
    """Return the sums of all runs."""
    found: dict[str, Sum] = json.loads(RESULTS.read_text("utf-8"))
    return found


def main() -> int:
    """Fuzz, add up, keep."""
    from tests.fuzz.targets import PARSERS, targets

    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--seconds",
        type=int,
        default=1200,
        help="processor time of each parser, in sum",
    )
    parser.add_argument("--only", nargs="*", default=[])
    given = parser.parse_args()
    known = list(targets())
    unknown = set(given.only) - set(known)
    if unknown:
        parser.error(f"there is no target {min(unknown)}; there are {', '.join(known)}")
    with _alone() as every:
        kept = {name: every.get(name, _nothing()) for name in known}
        every.clear()
        every.update(kept)
    still_open = 0
    # the parsers come in the order of trust; of one parser those that had least first
    for names in PARSERS.values():
        asked = [name for name in names if name in (given.only or known)]
        for name in sorted(asked, key=lambda one: kept[one]["cpu_s"]):
            one = _fuzzed(name, given.seconds / len(names))
            still_open += one["open"]
            print(f"{name}: {one}", flush=True)
    return 1 if still_open else 0


def _fuzzed(name: str, seconds: float) -> Sum:
    folder = WORK / name
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    for kept in (HERE / "corpus" / name, HERE / "regressions" / name):
        for path in kept.glob("*"):
            (folder / "corpus" / path.name).write_bytes(path.read_bytes())
    one = results()[name]
    nothing = 0
    while (left := seconds - one["cpu_s"]) > 0:
        start = time.monotonic()
        slice_s = min(max(round(left), _LEAST_S), _SLICE_S)
        cpu_s, log = _work(name, folder, slice_s)
        one["cpu_s"] = round(one["cpu_s"] + cpu_s, 1)
        one["wall_s"] = round(one["wall_s"] + time.monotonic() - start, 1)
        one["executions"] += _last(log, r"^#(\d+)\s")
        one["edges"] = max(one["edges"], _last(log, r" cov: (\d+)"))
        one["features"] = max(one["features"], _last(log, r" ft: (\d+)"))
        with _alone() as every:
            every[name] = one
        # a crash that a child would hold ends a worker at any moment: the next one goes on
        nothing = nothing + 1 if cpu_s < _NONE_S else 0
        if nothing == _NONE_MOST:
            print(log[-2000:], file=sys.stderr)
            break
    kept_cmd = [sys.executable, "-m", "tests.fuzz.keep", name, str(folder)]
    said = subprocess.run(
        kept_cmd, cwd=ROOT, capture_output=True, text=True, check=False
    )
    print(said.stdout + said.stderr[-2000:], end="")
    one["open"], one["contained"] = _open(name, folder)
    with _alone() as every:
        every[name] = one
    return one


def _nothing() -> Sum:
    return Sum(
        cpu_s=0, wall_s=0, executions=0, edges=0, features=0, contained=0, open=0
    )


@contextmanager
def _alone() -> Iterator[dict[str, Sum]]:
    """Give the sums to change, and write them: one run after the other."""
    WORK.mkdir(exist_ok=True)
    with (WORK / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sums = results() if RESULTS.exists() else {}
        yield sums
        text = json.dumps(sums, indent=1, sort_keys=True) + "\n"
        new = WORK / "results.json"
        new.write_text(text, "utf-8")
        new.replace(RESULTS)  # the other run may read at any moment


def _work(name: str, folder: Path, seconds: int) -> tuple[float, str]:
    """Run one worker and return its processor time, children included, and its words."""
    log = folder / "log"
    (folder / "loaded").unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "tests.fuzz.worker",
        name,
        str(folder),
        str(seconds),
    ]
    with log.open("wb") as stderr:
        running = subprocess.Popen(
            ["nice", "-n", "10", *command],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
        _, status, used = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    text = log.read_text("utf-8", errors="replace")
    with (folder / "every.log").open("a", encoding="utf-8") as stream:
        stream.writelines(f"{line}\n" for line in text.splitlines() if line[:1] != "#")
    return max(0.0, used.ru_utime + used.ru_stime - _loading_s(folder)), text


def _loading_s(folder: Path) -> float:
    """Return the processor time that a worker took before its first input."""
    path = folder / "loaded"
    return float(path.read_text()) if path.exists() else float("inf")


def _last(log: str, form: str) -> int:
    found = re.findall(form, log, re.MULTILINE)
    return int(found[-1]) if found else 0


def _open(name: str, folder: Path) -> tuple[int, int]:
    """Count what still ends in a fault, and what ended a process and is held by a child.

    Each input is tried in a process of its own, the crashing ones through the public
    door of the readers, which parses in a child.
    """
    still = contained = 0
    found = sorted((folder / "found").glob("*"))
    crashes = [path for path in found if path.name.startswith("crash-")]
    for path in found:
        idle = path.suffix == ".txt" or path.name.startswith("slow-unit")
        if idle or path in crashes[_CRASHES_MOST:]:
            continue
        command = [sys.executable, "-m", "tests.fuzz.again", name, str(path)]
        code = subprocess.run(
            command, cwd=ROOT, capture_output=True, check=False
        ).returncode
        contained += code == _CONTAINED
        still += code not in {0, _CONTAINED}
    return still, contained


_CONTAINED = 3

if __name__ == "__main__":
    sys.exit(main())
