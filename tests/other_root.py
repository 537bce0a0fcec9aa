"""Run a command in a root folder of its own, without any network interface.

The folder is the other machine's disk: its own /tmp, /dev/shm and home. Only the
interpreter, the libraries and the sources under test are shown in it, read-only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

SYSTEM = ("/usr", "/bin", "/lib", "/lib64")
OWN = ("tmp", "dev/shm", "home/box", "carried", "var/tmp", "run")
SOURCES = Path(__file__).parents[1] / "src"


def why_not() -> str:
    """Return why no second root can be made here; empty if it can."""
    unshare = shutil.which("unshare")
    if sys.platform != "linux" or unshare is None:
        return "another root needs Linux and unshare"
    tried = subprocess.run([unshare, "-rnm", "true"], check=False, capture_output=True)
    return "" if tried.returncode == 0 else "namespaces are not allowed here"


def make(root: Path) -> Path:
    """Make the folders that belong to the other machine."""
    for name in (*OWN, *(place.lstrip("/") for place in _shown())):
        (root / name).mkdir(parents=True, exist_ok=True)
    return root


def run(
    root: Path, command: list[str], env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``python COMMAND`` inside the root, as if started on the other machine."""
    inside = {
        "HOME": "/home/box",
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(SOURCES),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": "/tmp",  # noqa: S108  (the other machine's)
        "LANG": "C.UTF-8",
        **(env or {}),
    }
    entering = ["unshare", "-rnm", sys.executable, __file__, str(root), sys.executable]
    return subprocess.run(
        [*entering, *command],
        check=False,
        capture_output=True,
        text=True,
        env=inside,
        timeout=120,
    )


def _shown() -> list[str]:
    python = {sys.prefix, sys.base_prefix, sysconfig.get_paths()["purelib"]}
    return [*SYSTEM, *sorted(python, key=len), str(SOURCES)]


def _show(place: str, root: Path) -> None:
    here = Path(place)
    there = root / place.lstrip("/")
    if not here.is_dir() or there.is_mount():
        return
    there.mkdir(parents=True, exist_ok=True)
    for how in ("bind", "remount,bind,ro"):
        subprocess.run(
            ["/bin/mount", "-o", how, str(here.resolve()), str(there)], check=True
        )


def _enter(root: Path, command: list[str]) -> None:
    for place in _shown():
        _show(place, root)
    for name in ("null", "urandom"):
        node = root / "dev" / name
        node.touch()
        subprocess.run(["/bin/mount", "--bind", f"/dev/{name}", str(node)], check=True)
    os.chroot(root)
    os.chdir("/home/box")
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    _enter(Path(sys.argv[1]), sys.argv[2:])
