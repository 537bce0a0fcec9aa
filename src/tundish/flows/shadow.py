"""The process of a staged package: opened by the same gates, asked last for everything.

It is started by a line (see ``line.shadow``) and ends with it. It verifies and opens the
package with its own grant, which counts one use, and its answers count against that
grant's budget. It asks nobody for a PIN: a device key in a token that wants one typed in
cannot be used here.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

from tundish.flows.open_package import open_package
from tundish.flows.versions import check_slot
from tundish.flows.workspace import Workspace
from tundish.kernel import clock
from tundish.kernel.errors import TundishError
from tundish.line.shadow import OPENED, REFUSED, Staged, say, serve
from tundish.model.hardening import die_with

SPARE_BYTES = 512 * 1024**2
NICE, OOM_FIRST = 19, "1000"


class _LineClock:
    """The clock of the line that started this process: its time, and ours since.

    Args:
        now: What it was there when this process was started.
    """

    def __init__(self, now: datetime) -> None:
        self._began = now
        self._began_s = time.monotonic()

    def now(self) -> datetime:
        """Return the moment, in UTC."""
        return self._began + timedelta(seconds=time.monotonic() - self._began_s)

    def monotonic_s(self) -> float:
        """Return seconds that only go up."""
        return time.monotonic()


def command(
    workspace: Workspace, package: Path, grant: Path | None, staged: str
) -> list[str]:
    """Return what starts this process for a package, which must have this digest."""
    return [
        *(sys.executable, "-m", "tundish.flows.shadow", str(os.getpid())),
        clock.to_text(workspace.clock.now()),
        *(str(workspace.root.absolute()), str(package.absolute())),
        str(grant.absolute()) if grant else "",
        staged,
    ]


def main(arguments: Sequence[str]) -> None:
    """Run until the line ends."""
    parent, now, root, package, grant, staged = arguments
    die_with(int(parent))
    _step_back()
    asked, out = sys.stdin.buffer, sys.stdout.buffer
    try:
        _run(asked, out, Workspace(Path(root), _LineClock(clock.from_text(now))),
             Path(package), Path(grant) if grant else None, staged)  # fmt: skip
    except TundishError as error:
        say(out, REFUSED, error.one_line().encode()[:500])
    except MemoryError:
        say(out, REFUSED, b"it took more memory than it may")


def _run(
    asked: IO[bytes],
    out: IO[bytes],
    workspace: Workspace,
    package: Path,
    grant: Path | None,
    wanted: str,
) -> None:
    model = open_package(workspace, package, grant)
    check_slot(model.package.digest, wanted)
    _bound_memory()
    say(out, OPENED)
    staged = Staged(
        scenario=model.scenario,
        model=model.package.digest,
        shape=(model.session.rows, model.session.channels),
        run=model.session.run,
        allow=model.meter.take,
    )
    serve(asked, out, staged)


def _step_back() -> None:
    """Take the processor only when nobody else wants it, and be the first to be ended."""
    os.nice(NICE)
    with contextlib.suppress(OSError, AttributeError):  # nice alone will do
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_FIRST, "ascii")


def _bound_memory() -> None:
    """Let the process grow by so much and no more."""
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        most = pages * resource.getpagesize() + SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main(sys.argv[1:])
