"""Rehearse a line: a replayed plant in a child process, and a clock that runs along.

The replay has a process of its own, so that the plant does not slow the line down;
it ends with its parent, whatever happens to that one. Loads no protocol client.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from tundish.kernel import canonical
from tundish.kernel.clock import Clock, SystemClock
from tundish.kernel.errors import DocumentMalformedError
from tundish.line.errors import ReplayFailedError
from tundish.line.linefile import NodeSpec
from tundish.line.recording import Recording, Stretch, write_recording
from tundish.line.samples import from_us

_LEAD_S = 0.05
_TRANSPORT_S = 0.25


class ReplayClock:
    """A clock that runs along the replayed time, ``speed`` times as fast as a wall's.

    Stands at the run's start until it is begun. Both faces run alike, so that what
    is stale after 225 s of the plant is stale after 225 s of this clock.

    Args:
        start: First source time of the run.
        speed: Seconds of the run per second of the wall clock.
        wall: The wall clock.
    """

    def __init__(
        self, start: datetime, speed: float, wall: Clock | None = None
    ) -> None:
        self._start = start
        self._speed = speed
        self._wall = wall or SystemClock()
        self._begin_s: float | None = None

    def begin(self, begin_s: float) -> None:
        """Run from a monotonic second of the wall clock on."""
        self._begin_s = begin_s

    def now(self) -> datetime:
        """Return the replayed moment in UTC."""
        return self._start + timedelta(seconds=self.monotonic_s())

    def monotonic_s(self) -> float:
        """Return replayed seconds since the run's start."""
        if self._begin_s is None:
            return 0.0
        return max(0.0, self._wall.monotonic_s() - self._begin_s) * self._speed


class ReplayProcess:
    """A replayed plant in a child process. Use as a context manager.

    Attributes:
        endpoint: Where it listens, on loopback.
        clock: Runs along the replayed time, for the engine.
        stale_grace_s: For ``EngineOptions``: a quarter of a second of the wall
            clock for transport, in seconds of the replayed time.

    Args:
        recording: What happened.
        folder: Where the recording is put for the child.
        speed: Seconds of the run per second of the wall clock.
        cuts: Rows during which nobody can connect; the historian keeps them.
        forgets: Rows that the historian does not keep.

    Raises:
        ReplayFailedError: if the child is not ready in time.
    """

    def __init__(
        self,
        recording: Recording,
        folder: Path,
        *,
        speed: float,
        cuts: Sequence[Stretch] = (),
        forgets: Sequence[Stretch] = (),
    ) -> None:
        path = folder / "replay.npz"
        write_recording(path, recording)
        command = [sys.executable, "-m", "tundish.line.replay", str(path)]
        command += ["--speed", str(speed)]
        for name, stretches in (("--cut", cuts), ("--forget", forgets)):
            for stretch in stretches:
                command += [name, stretch.to_text()]
        self.clock = ReplayClock(from_us(recording.start_us), speed)
        self.stale_grace_s = _TRANSPORT_S * speed
        self._wall = SystemClock()
        self._child = subprocess.Popen(  # noqa: S603  (our own module, no shell)
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the line; the plant goes on
        )
        try:
            self.endpoint = self._ready()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self.close()

    def begin(self) -> None:
        """Let the run begin; call it when the line is listening."""
        begin_s = self._wall.monotonic_s() + _LEAD_S
        self.clock.begin(begin_s)
        if self._child.stdin is not None:
            self._child.stdin.write(f"begin {begin_s!r}\n".encode())
            self._child.stdin.flush()

    def source_nodes(self, signals: Sequence[str]) -> dict[str, str | NodeSpec]:
        """Return the node of each signal, for a line file."""
        return {name: f"ns=2;s={name}" for name in signals}

    def sink_nodes(self, *names: str) -> dict[str, str]:
        """Return nodes that take answers, such as ``estimate`` and ``state``."""
        return {name: f"ns=2;s=tundish.{name}" for name in names}

    def close(self) -> None:
        """End it; safe to call twice."""
        child = self._child
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream is not None:
                stream.close()
        try:
            child.wait(timeout=3)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _ready(self, limit_s: float = 30.0) -> str:
        child = self._child
        alarm = threading.Timer(limit_s, child.kill)
        alarm.start()
        try:
            line = child.stdout.readline() if child.stdout else b""
        finally:
            alarm.cancel()
        try:
            said = canonical.loads(line)
        except DocumentMalformedError as error:
            child.kill()
            last = (child.stderr.read() if child.stderr else b"").decode().strip()
            said_last = last.splitlines()[-1] if last else "nothing"
            msg = f"The replayed plant did not get ready; it said: {said_last}"
            raise ReplayFailedError(msg) from error
        if not isinstance(said, dict):
            msg = f"The replayed plant said {line[:80]!r}, expected that it is ready."
            raise ReplayFailedError(msg)
        return str(said.get("endpoint"))
