"""Runs the protocols of the task families, each in a process of its own, and keeps rows.

A protocol is a module of this folder that can be run (``python -m bench.results.NAME``)
and prints its rows, one JSON object a line (``row.Row``).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from bench.results.row import Row
from tundish.kernel import canonical
from tundish.kernel.clock import SystemClock

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KEPT = HERE / "rows.jsonl"
LOGS = ROOT / "bench" / ".work" / "results"
RUNNABLE = 'if __name__ == "__main__":'
LIBRARIES = ("tundish", "numpy", "lightgbm", "onnxruntime", "scikit-learn", "optuna")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A row and how it came about.

    Attributes:
        family: Name of the protocol module.
        date: Day of the measurement, UTC.
        seconds: Seconds that the whole family took.
        versions: Versions of the libraries.
        row: The row.
    """

    family: str
    date: str
    seconds: float
    versions: dict[str, str]
    row: Row

    def line(self) -> str:
        """Return it as one line of JSON."""
        return canonical.dumps(asdict(self)).decode()


class RunFailedError(Exception):
    """A protocol ended with an error; its log says which."""


def protocols(folder: Path = HERE) -> list[str]:
    """Return the names of the modules that can be run, in order."""
    return sorted(
        path.stem
        for path in folder.glob("*.py")
        if path.stem != "__main__"
        and f"\n{RUNNABLE}" in path.read_text(encoding="utf-8")
    )


def run(family: str, arguments: tuple[str, ...] = (), logs: Path = LOGS) -> list[Kept]:
    """Run one protocol and return its rows.

    Args:
        family: Name of its module.
        arguments: What it is asked to do; nothing: everything.
        logs: Folder of the logs: one for what it prints, one for what it complains of.

    Raises:
        RunFailedError: if it ends with an error, or prints no row.
    """
    logs.mkdir(parents=True, exist_ok=True)
    printed, said = logs / f"{family}.jsonl", logs / f"{family}.log"
    begun = time.monotonic()
    with printed.open("wb") as out, said.open("wb") as err:
        code = subprocess.run(
            [sys.executable, "-m", f"bench.results.{family}", *arguments],
            cwd=ROOT, stdout=out, stderr=err, check=False,
        ).returncode  # fmt: skip
    took = round(time.monotonic() - begun, 1)
    lines = printed.read_text(encoding="utf-8").splitlines()
    rows = [Row(**json.loads(line)) for line in lines if line.startswith("{")]
    if code or not rows:
        msg = f"{family} ended with code {code} after {took} s and {len(rows)} rows; see {said}"
        raise RunFailedError(msg)
    day = SystemClock().now().date().isoformat()
    return [
        Kept(family=family, date=day, seconds=took, versions=_versions(), row=row)
        for row in rows
    ]


def merged(old: list[Kept], new: list[Kept], *, whole: bool) -> list[Kept]:
    """Return the old rows with those that were measured again replaced.

    Args:
        old: Rows of all families.
        new: Rows of one family.
        whole: Whether the family was run whole; if not, only its sets that were
            measured are replaced.
    """
    families = {item.family for item in new}
    sets = {item.row.set for item in new}
    left = [
        item
        for item in old
        if item.family not in families or (not whole and item.row.set not in sets)
    ]
    return sorted([*left, *new], key=lambda item: item.family)


def read(path: Path = KEPT) -> list[Kept]:
    """Return the rows that are kept; none if there is no file yet."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        found.append(Kept(**{**item, "row": Row(**item["row"])}))
    return found


def write(rows: list[Kept], path: Path = KEPT) -> None:
    """Keep the rows, one a line."""
    path.write_text("".join(f"{row.line()}\n" for row in rows), encoding="utf-8")


def _versions() -> dict[str, str]:
    have = {item.metadata["Name"].lower() for item in metadata.distributions()}
    return {name: metadata.version(name) for name in LIBRARIES if name in have}
