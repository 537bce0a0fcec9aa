"""What a running line says of itself, on disk, every second or two.

Whoever reads it must not take a dead line for a living one: what is written carries the
process, the boot of the machine and the moment, and ``alive`` holds all three against the
present. Nothing in it is a value of the plant.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from tundish.kernel import canonical, paths
from tundish.kernel.clock import from_text
from tundish.kernel.errors import TundishError
from tundish.kernel.records import Record
from tundish.line.errors import StatusUnreadableError
from tundish.line.guard import Mode
from tundish.line.state import State
from tundish.line.versions import VersionsNow
from tundish.seal.fields import Moment

SUFFIX = ".status"
EVERY_S = 2.0
MISSED = 3
MOST_BYTES = 16 * 1024 * 1024
BOOT = Path("/proc/sys/kernel/random/boot_id")


class TagNow(Record):
    """One tag; ``at`` is its newest source time, empty if there is none."""

    signal: str
    state: State
    reason: str = ""
    at: str = ""


class SinkNow(Record):
    """One sink; ``waiting`` answers are on disk and not there yet."""

    name: str
    delivered: int
    refused: int
    waiting: int
    lost: str = ""


class LineStatus(Record):
    """See the module.

    Attributes:
        at: When this was written, on this machine's clock.
        every_s: Seconds until it is written again.
        state, signal, reason: Of the line as a whole.
        settled_until: Source time up to which everything has its answer.
        totals: Counts since the start.
        governed: What was asked of the plant, or would have been; empty without control.
        grant_until: When the line stops for its grant.
        versions: Which package stands where; None if none was ever staged.
        clocks: Each source's clock minus ours, and how well that is known, in seconds.
        paces: Of each source that says it: the slowest sampling and publishing interval
            and the shortest queue that its server gave.
        slow: Signals at which a server looks less often than the contract wants.
    """

    format: Literal["tundish.line-status"] = "tundish.line-status"
    version: Literal[1] = 1
    line: str
    mode: Mode
    model: str
    pid: int
    boot: str
    started: Moment
    at: Moment
    every_s: Annotated[float, Field(gt=0, le=3600)]
    state: State
    signal: str = ""
    reason: str = ""
    settled_until: str = ""
    tags: tuple[TagNow, ...] = ()
    sinks: tuple[SinkNow, ...] = ()
    totals: dict[str, int]
    governed: dict[str, int]
    latency_ms: dict[str, float]
    grant_until: str = ""
    clocks: dict[str, dict[str, float]] = Field(default_factory=dict)
    paces: dict[str, dict[str, float]] = Field(default_factory=dict)
    slow: tuple[str, ...] = ()
    versions: VersionsNow | None = None

    def alive(self, now: datetime) -> str:
        """Return why the line is not running; empty if it is.

        Args:
            now: This machine's time.
        """
        if self.boot != boot_id():
            return "the machine was started anew since"
        if not _exists(self.pid):
            return f"its process {self.pid} is gone"
        silent_s = (now - from_text(self.at)).total_seconds()
        if silent_s > MISSED * self.every_s:
            return f"it has said nothing for {silent_s:.0f} s"
        return ""


def status_path(buffer: Path) -> Path:
    """Return where a line with this buffer says what it does."""
    return buffer.with_name(buffer.name + SUFFIX)


def write_status(path: Path, status: LineStatus) -> None:
    """Write it, if it can be written: a full disk is told by the buffer."""
    try:
        data = canonical.pretty(status.to_json()).encode()
        paths.write_whole(path, data, durable=False)
    except TundishError:  # an old status shows its age
        return


def read_status(path: Path) -> LineStatus | None:
    """Return what was written last; None if nothing was.

    Raises:
        StatusUnreadableError: if it is none.
    """
    if not path.exists():
        return None
    data = paths.read_file(path, most=MOST_BYTES)
    try:
        return LineStatus.model_validate_json(data)
    except ValidationError as error:
        msg = f"The file {path} is no status of a line."
        raise StatusUnreadableError(msg) from error


def boot_id() -> str:
    """Return what changes with every start of the machine; empty if nobody says."""
    return BOOT.read_text("ascii").strip() if BOOT.exists() else ""


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
