"""Run a Python program under ``strace`` and tell what it made, wrote or connected.

The kernel's own account: files that are deleted at once or never had a name
(O_TMPFILE, memfd), shared memory and sockets are seen like any other.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "src"
WATCHED = (
    "%file,memfd_create,memfd_secret,shmget,mq_open,socket,ftruncate,io_uring_setup"
)
_LOOKS = re.compile(
    r"execve|f?access|faccessat2?|l?stat|newfstatat|statx|f?statfs|readlink(at)?|getcwd"
    r"|chdir|inotify_add_watch"
)
_LINE = re.compile(r"^\d+ +(?P<call>\w+)\((?P<rest>.*)$")


@dataclass(frozen=True, kw_only=True)
class Traced:
    """What a program did.

    Attributes:
        result: Its end and output.
        made: System calls that make, write, rename or remove anything, also those
            that failed; as ``strace`` writes them.
        looked: How many calls only looked: nought would mean that nothing was seen.
    """

    result: subprocess.CompletedProcess[str]
    made: tuple[str, ...]
    looked: int

    @property
    def paths(self) -> set[str]:
        """The paths in what was made."""
        return {path for line in self.made for path in re.findall(r'"([^"]*)"', line)}


def why_not() -> str:
    """Return why nothing can be traced here; empty if it can."""
    tool = shutil.which("strace")
    if sys.platform != "linux" or tool is None:
        return "the program strace is not installed here"
    tried = subprocess.run([tool, "-qq", "true"], check=False, capture_output=True)
    return "" if tried.returncode == 0 else "tracing is not allowed here"


def run(
    arguments: list[str],
    log: Path,
    *,
    env: Mapping[str, str],
    cwd: Path,
    said: str = "",
) -> Traced:
    """Run ``python ARGUMENTS`` and its children, traced.

    Args:
        arguments: For the interpreter.
        log: File for strace's own account.
        env: Its whole environment, beside the path to the sources.
        cwd: Its working folder.
        said: Its standard input.
    """
    strace = ["strace", "-f", "-qq", "--seccomp-bpf", "-s", "256", "-o", str(log)]
    result = subprocess.run(
        [*strace, "-e", f"trace={WATCHED}", sys.executable, "-B", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={"PYTHONPATH": str(SOURCES), "PATH": "/usr/bin:/bin", **env},
        input=said,
        timeout=120,
    )
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    made = tuple(line for line in lines if _makes(line))
    return Traced(result=result, made=made, looked=len(lines) - len(made))


def _makes(line: str) -> bool:
    found = _LINE.match(line)
    if found is None:  # a signal, or the second half of a call that was interrupted
        return False
    call, rest = found["call"], found["rest"]
    if call in {"open", "openat", "openat2"}:
        writes = re.search(r"O_(WRONLY|RDWR|CREAT|TMPFILE|TRUNC|APPEND)", rest)
        return writes is not None and '"/dev/null"' not in rest
    return _LOOKS.fullmatch(call) is None
