"""Take whole files out of a folder, each once, whatever is killed at whatever moment.

A file is moved three times, each time in one step: from the folder to ``.taking`` under
its source time, and when it is on disk in the line's buffer to ``taken`` or ``refused``.
What lies in ``.taking`` at a start was taken before and may not be in the buffer yet: it
is given again under the same time.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from tundish.kernel.clock import Clock
from tundish.kernel.paths import existing_folder
from tundish.line.samples import to_us

Ready = Literal["settled", "renamed", "marker"]

TAKING, TAKEN, REFUSED = ".taking", "taken", "refused"
MARKER = ".done"
_UNFINISHED = (".tmp", ".part", "~")
_CLAIMED = re.compile(r"(\d{17})-(.+)", re.DOTALL)
_LONGEST_BYTES = 200  # of a name; the time comes before it, and 255 is the most
_PRUNE_EVERY = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeRules:
    """Which files are taken, when, and in which order.

    Attributes:
        pattern: Of their names.
        ready: How a whole file is known.
        settle_s: For ``settled``: seconds without a change.
        by_name: In the order of names instead of times.
        seen_time: The source time is the moment of taking, not the file's.
        most_bytes: Larger files are not read.
        keep_files: Files kept in ``taken`` and in ``refused``.
    """

    pattern: str = "*"
    ready: Ready = "settled"
    settle_s: float = 0.5
    by_name: bool = False
    seen_time: bool = False
    most_bytes: int = 64 * 2**20
    keep_files: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A file that was taken.

    Attributes:
        path: Where it lies now.
        name: What it was called; any text.
        at_us: Its source time.
        problem: Why it is not to be read; empty if it may be.
    """

    path: Path
    name: str
    at_us: int
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    name: str
    size: int
    changed_ns: int


class Intake:
    """One folder; see the module. Every call may wait for a slow disk.

    Args:
        folder: Where the other program writes.
        rules: What is taken.
        clock: For source times, and for how long a file has not changed.
    """

    def __init__(self, folder: Path, rules: IntakeRules, clock: Clock) -> None:
        self.folder = folder
        self._rules = rules
        self._clock = clock
        self._last_us = 0
        self._settling: dict[str, tuple[_Seen, float]] = {}
        self._done = 0

    def begin(self) -> list[Claimed]:
        """Make the folders; return what an earlier run took and did not finish.

        Raises:
            PathMissingError: if the folder is not there.
            OSError: if it cannot be written.
        """
        existing_folder(self.folder)
        for name in (TAKING, TAKEN, REFUSED):
            (self.folder / name).mkdir(exist_ok=True)
        times = [at_us for name in (TAKEN, REFUSED) for at_us, _ in self._in(name)]
        left = sorted(self._in(TAKING))
        self._last_us = max([0, *times, *(at_us for at_us, _ in left)])
        return [self._claimed(at_us, name) for at_us, name in left]

    def claim(self) -> list[Claimed]:
        """Take what is whole by now, in order.

        Raises:
            OSError: if the folder cannot be read or written.
        """
        ready = sorted(self._ready(), key=self._order)
        return [claimed for seen in ready if (claimed := self._claim(seen))]

    def peek(self) -> Claimed | None:
        """Return the newest file whose name fits, where it lies; nothing is moved.

        Raises:
            PathMissingError: if the folder is not there.
            OSError: if it cannot be read.
        """
        existing_folder(self.folder)
        fit = [seen for seen in self._entries() if self._fits(seen.name)]
        newest = max(fit, key=lambda seen: seen.changed_ns, default=None)
        if newest is None:
            return None
        problem = ""
        if newest.size > self._rules.most_bytes:
            problem = f"it has {newest.size:,} bytes, at most {self._rules.most_bytes:,} are read"
        path = self.folder / newest.name
        at_us = newest.changed_ns // 1000
        return Claimed(path=path, name=newest.name, at_us=at_us, problem=problem)

    def finish(self, claimed: Claimed, *, refused: bool) -> None:
        """Put a file away when it is on disk in the buffer.

        Raises:
            OSError: if it cannot be moved; it is given again at the next start.
        """
        place = REFUSED if refused else TAKEN
        claimed.path.replace(self.folder / place / claimed.path.name)
        self._done += 1
        if self._done % _PRUNE_EVERY == 1:
            self._prune(TAKEN)
            self._prune(REFUSED)

    def free_bytes(self) -> int:
        """Return how much room the disk has left."""
        return shutil.disk_usage(self.folder).free

    def _order(self, seen: _Seen) -> tuple[int, str]:
        return (0 if self._rules.by_name else seen.changed_ns), seen.name

    def _ready(self) -> list[_Seen]:
        rules = self._rules
        found = {seen.name: seen for seen in self._entries()}
        fit = [s for s in found.values() if self._fits(s.name)]
        if rules.ready == "marker":
            return [s for s in fit if s.name + MARKER in found]
        if rules.ready == "renamed":
            return [s for s in fit if not s.name.endswith(_UNFINISHED)]
        return self._settled(fit)

    def _settled(self, fit: list[_Seen]) -> list[_Seen]:
        now_s, before, ready = self._clock.monotonic_s(), self._settling, []
        self._settling = {}
        for seen in fit:
            known, since_s = before.get(seen.name, (None, now_s))
            if known != seen:
                since_s = now_s
            self._settling[seen.name] = (seen, since_s)
            if now_s - since_s >= self._rules.settle_s:
                ready.append(seen)
        return ready

    def _fits(self, name: str) -> bool:
        hidden = name.startswith(".") or name.endswith(MARKER)
        return not hidden and fnmatchcase(name, self._rules.pattern)

    def _entries(self) -> Iterator[_Seen]:
        with os.scandir(self.folder) as entries:
            for entry in entries:
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # it was taken away meanwhile
                    continue
                if stat.S_ISREG(found.st_mode):
                    yield _Seen(
                        name=entry.name,
                        size=found.st_size,
                        changed_ns=found.st_mtime_ns,
                    )

    def _claim(self, seen: _Seen) -> Claimed | None:
        now_us = to_us(self._clock.now())
        own_us = now_us if self._rules.seen_time else seen.changed_ns // 1000
        at_us = max(min(own_us, now_us), self._last_us + 1)
        path = self.folder / TAKING / f"{at_us:017d}-{_short(seen.name)}"
        try:
            (self.folder / seen.name).rename(path)
        except FileNotFoundError:  # it was taken away meanwhile
            return None
        self._last_us = at_us
        self._settling.pop(seen.name, None)
        if self._rules.ready == "marker":
            (self.folder / (seen.name + MARKER)).unlink(missing_ok=True)
        return self._claimed(at_us, path.name)

    def _claimed(self, at_us: int, name: str) -> Claimed:
        path = self.folder / TAKING / name
        found, most = path.lstat(), self._rules.most_bytes
        size, problem = found.st_size, ""
        if not stat.S_ISREG(found.st_mode):
            problem = "it is no regular file"
        if size > most:
            problem = f"it has {size / 2**20:.0f} MB, expected at most {most / 2**20:g}"
        return Claimed(path=path, name=name[18:], at_us=at_us, problem=problem)

    def _in(self, place: str) -> Iterator[tuple[int, str]]:
        for path in (self.folder / place).iterdir():
            if found := _CLAIMED.fullmatch(path.name):
                yield int(found[1]), path.name

    def _prune(self, place: str) -> None:
        kept = sorted(self._in(place))
        for _, name in kept[: max(0, len(kept) - self._rules.keep_files)]:
            (self.folder / place / name).unlink(missing_ok=True)


def _short(name: str) -> str:
    """Return the end of a name, as many bytes as fit behind a time."""
    return os.fsdecode(os.fsencode(name)[-_LONGEST_BYTES:])
