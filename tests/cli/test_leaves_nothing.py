"""The verbs write into their workspace, to the place named and to the cache: nowhere else.

``CI`` is not set: libraries that hide there what they do elsewhere show it here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.data.formats import write_sample

import tundish
from tundish.kernel import settings

SOURCE = str(Path(tundish.__file__).parents[1])
WATCH = """
import os, socket, sys
def watch(event, arguments):
    if event == "socket.connect":
        text = repr(arguments[1])
        print("CONNECT " + text, file=sys.stderr)
    if event == "socket.getaddrinfo":
        print("NAME " + repr(arguments[0]), file=sys.stderr)
sys.addaudithook(watch)
from tundish.__main__ import run
sys.argv = ["tundish", *sys.argv[1:]]
run()
"""


def run(folder: Path, *arguments: str) -> str:
    """Run a verb with an empty home and temporary folder; what it said to stderr."""
    for name in ("home", "scratch", "work"):
        (folder / name).mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-B", "-c", WATCH, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder / "work",
        env={
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "scratch"),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": SOURCE,
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return done.stderr


def left(folder: Path) -> set[str]:
    """Return files in the home and the temporary folder, but for the declared cache."""
    found = [
        path.relative_to(folder)
        for place in ("home", "scratch")
        for path in (folder / place).rglob("*")
        if path.is_file()
    ]
    own = Path("home/.cache/tundish")
    return {str(path) for path in found if not path.is_relative_to(own)}


@pytest.mark.integration
@pytest.mark.parametrize("sample", ["t.csv", "t.parquet"])
def test_a_grade_leaves_nothing_behind_and_asks_nobody(
    sample: str, tmp_path: Path
) -> None:
    path = write_sample(sample, tmp_path)
    said = run(tmp_path, "grade", str(path), "--quick", "--html", "page.html")
    assert "CONNECT" not in said
    assert "NAME" not in said
    assert left(tmp_path) == set()
    assert {p.name for p in (tmp_path / "work").iterdir()} == {"page.html"}


def test_what_numba_compiles_lies_in_our_cache_if_the_source_is_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")  # so that it is as before afterwards
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setenv("TUNDISH_CACHE", str(tmp_path))
    settings.keep_numba_cache(tmp_path)
    assert "NUMBA_CACHE_DIR" not in os.environ
    settings.keep_numba_cache(tmp_path / "absent")
    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path / "compiled")
