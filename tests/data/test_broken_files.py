"""Every broken file ends in a grade or in one clear error: soon, and in little memory."""

from __future__ import annotations

import functools
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.data import broken
from tests.data.formats import SAMPLES, VALUES, write_sample

from tundish.data.errors import TableTooLargeError, TableUnreadableError
from tundish.data.folder import read_folder
from tundish.data.grade.file import grade_file
from tundish.data.readers import read_tables
from tundish.data.readers.confine import Limits, read_alone
from tundish.data.table import Table
from tundish.kernel.errors import InternalError, TundishError

SECONDS = 60
MEMORY = 4 * 1024**3
ROOT = Path(__file__).parents[2]


def ended(path: Path, now: datetime) -> str:
    """Grade a file and return how that ended; anything unexpected is raised."""
    try:
        return "grade " + grade_file(path, now=now).letter
    except TundishError as error:
        refused = error
    line = refused.one_line()
    assert not isinstance(refused, InternalError)
    assert refused.code
    assert len(line) < 1_500
    assert "Traceback" not in line
    return refused.code


MAKERS: dict[str, Callable[[], Iterable[broken.File]]] = {
    "texts": broken.odd_texts,
    "records": broken.odd_records,
    "bombs": broken.bombs,
    "tricks": broken.tricks,
}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("maker", MAKERS)
def test_hostile_files_end_in_time(maker: str, tmp_path: Path, now: datetime) -> None:
    for name, data in MAKERS[maker]():
        path = tmp_path / name
        path.write_bytes(data)
        start = time.perf_counter()
        ended(path, now)
        assert time.perf_counter() - start < SECONDS, name
    assert not (tmp_path.parent / "escape.csv").exists()


def test_every_tenth_of_every_kind_ends_well(tmp_path: Path, now: datetime) -> None:
    quick = (f for f in broken.truncated(tmp_path) if f[0] not in _ALONE)
    for i, (name, data) in enumerate(quick):
        path = tmp_path / f"{i}-{name}"
        path.write_bytes(data)
        ended(path, now)


_ALONE = ("t.parquet", "t.xlsx", "t.mat", "t.h5", "t.npz", "t.npy", "t.xes", "t.wav")


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_changed_bytes_of_every_kind_end_well(
    name: str, tmp_path: Path, now: datetime
) -> None:
    data = write_sample(name, tmp_path).read_bytes()
    rng = np.random.default_rng(20260601)
    for i in range(3 if name in _ALONE else 60):
        path = tmp_path / f"{i}-{name}"
        path.write_bytes(broken.mutate(data, rng))
        ended(path, now)


@functools.cache
def _made() -> dict[str, bytes]:
    made = [file for maker in MAKERS.values() for file in maker()]
    return dict(reversed(made))  # the first of a name counts


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("laughs.xes", "table-unreadable"),
        ("outside.xes", "table-unreadable"),
        ("deep.json", "table-unreadable"),
        ("bomb.xlsx", "archive-unsafe"),
        ("bomb.csv.gz", "table-too-large"),
        ("bomb.zip", "archive-unsafe"),
        ("lies.npy", "table-too-large"),
        ("path.zip", "archive-unsafe"),
        ("path.tar", "archive-unsafe"),
        ("kinds.tar", "table-unreadable"),
        ("too_wide.csv", "table-too-large"),
    ],
)
def test_what_is_hostile_is_refused_for_the_right_reason(
    name: str, code: str, tmp_path: Path, now: datetime
) -> None:
    (tmp_path / name).write_bytes(_made()[name])
    assert ended(tmp_path / name, now) == code


_PROBE = """
import resource, sys
from pathlib import Path
from tundish.data.readers import read_tables
from tundish.kernel.errors import TundishError
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        read_tables(path)
    except TundishError as error:
        print(error.code)
"""


def test_bombs_stay_within_memory(tmp_path: Path) -> None:
    for i, (name, data) in enumerate(broken.bombs()):
        (tmp_path / f"{i:02d}-{name}").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", _PROBE.format(memory=MEMORY), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    assert done.stdout.count("\n") >= 9


class HungryReader:
    """Asks for more memory than any file is worth."""

    name = "hunger"
    alone_above = 0

    def claims(self, name: str, head: bytes) -> bool:
        return True

    def read(self, path: Path, name: str) -> list[Table]:
        hoard = [np.empty(2**27) for _ in range(64)]
        return [Table(name=name, frame=pl.DataFrame({"a": hoard[0]}))]


class SleepyReader(HungryReader):
    """Never ends."""

    name = "sleep"

    def read(self, path: Path, name: str) -> list[Table]:
        while True:
            pass


class CrashingReader(HungryReader):
    """Ends its process, as a fault in a parser's machine code does."""

    name = "crash"

    def read(self, path: Path, name: str) -> list[Table]:
        os.abort()


class OpeningReader(HungryReader):
    """Opens files and never closes them."""

    name = "doors"

    def read(self, path: Path, name: str) -> list[Table]:
        doors = [path.open("rb") for _ in range(500)]
        return [Table(name=name, frame=pl.DataFrame({"a": [float(len(doors))]}))]


class TellingReader(HungryReader):
    """Says which limits its process has."""

    name = "told"

    def read(self, path: Path, name: str) -> list[Table]:
        limits = [
            float(resource.getrlimit(what)[0])
            for what in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_CORE)
        ]
        frame = pl.DataFrame({"limit": limits, "pid": [float(os.getpid())] * 3})
        return [Table(name=name, frame=frame, places={"a": {"x": np.array([2])}})]


@pytest.fixture
def findable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the child process find the readers of this file."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))


LIMITS = Limits(memory_bytes=2 * 1024**3, cpu_s=4, wall_s=40, files=64)


@pytest.mark.usefixtures("findable")
@pytest.mark.parametrize(
    ("reader", "kind", "said"),
    [
        (HungryReader(), TableTooLargeError, "2048 MiB"),
        (SleepyReader(), TableUnreadableError, "within 4 s"),
        (CrashingReader(), TableUnreadableError, "parser stopped"),
        (OpeningReader(), TableUnreadableError, "Too many open files"),
    ],
)
def test_a_parser_that_runs_wild_is_one_clear_error(
    reader: HungryReader, kind: type[TundishError], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.bin"
    path.write_bytes(b"x")
    with pytest.raises(kind, match=said):
        read_alone(reader, path, "t.bin", LIMITS)


@pytest.mark.usefixtures("findable")
def test_a_parser_works_in_another_process_with_limits(tmp_path: Path) -> None:
    path = tmp_path / "t.bin"
    path.write_bytes(b"x")
    (table,) = read_alone(TellingReader(), path, "t.bin", LIMITS)
    assert table.frame["limit"].to_list() == [2.0 * 1024**3, 4.0, 0.0]
    assert table.frame["pid"][0] != os.getpid()
    assert table.places["a"]["x"].tolist() == [2]


def test_nothing_is_imported_from_the_folder_of_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = write_sample("t.npy", tmp_path)
    for module in ("numpy", "polars", "struct", "scipy"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit(9)", "utf-8")
    monkeypatch.chdir(tmp_path)
    assert read_tables(sample)[0].frame.shape == VALUES.shape


def test_a_folder_of_broken_files_names_what_it_left(tmp_path: Path) -> None:
    for i, (name, data) in enumerate(broken.tricks()):
        (tmp_path / f"{i:02d}-{name}").write_bytes(data)
    write_sample("t.csv", tmp_path)
    folder = read_folder(tmp_path)
    assert any(table.part == "t.csv" for table in folder.tables)
    assert len(folder.left) >= 10
