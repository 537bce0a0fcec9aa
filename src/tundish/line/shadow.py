"""The staged package beside the serving one: the same windows, in a process of its own.

A graph that hangs, crashes or eats memory must not hold up the line. So it runs in a
child with the least claim on the processor, behind two pipes that never block here: what
does not fit into them is dropped and counted. Its answers never leave this module; figures
of them do. The child is not trusted: what it says is of fixed size and bounded.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.kernel.digest import Digest
from tundish.line import guard
from tundish.line.errors import ShadowNonsenseError
from tundish.line.estimates import Estimate
from tundish.line.guard import InputGate
from tundish.line.versions import Compared
from tundish.line.windows import Window

MOST_WAITING = 4096
MOST_FRAME = 16 * 1024 * 1024
MOST_SAID = 64 * 1024
HANGS_S = 30.0
PIPE_BYTES = 1024 * 1024
SHARE = 0.01

OPENED, REFUSED, ANSWERS = 1, 2, 3
HEAD, LENGTH = struct.Struct("<BI"), struct.Struct("<I")
SAID = np.dtype([("at", "<i8"), ("value", "<f8"), ("alarm", "u1")])
NO_ALARM_KIND, PER_FRAME = 2, 1024
TOOK = struct.Struct("<f")


def agree(
    scenario: Scenario,
    old: Estimate,
    value: float,
    alarm: bool | None,  # noqa: FBT001 -- as an estimate has it
) -> bool:
    """Return whether two answers to one window say the same.

    Alarms must be equal, and classes. An estimate agrees if it lies within the serving
    one's interval; where there is none, if it is no further than 1 % of the target's
    range away.
    """
    if old.value is None:
        return False
    if alarm is not None or old.alarm is not None:
        same_class = scenario.task != "diagnose" or value == old.value
        return alarm == old.alarm and same_class
    if old.lower is not None and old.upper is not None:
        return old.lower <= value <= old.upper
    low, high = scenario.target.range if scenario.target else (0.0, 0.0)
    return abs(value - old.value) <= SHARE * (high - low)


class Comparison:
    """Adds up what two packages did with the same windows.

    Args:
        scenario: The contract.
        before: Figures to go on from, after a restart.
    """

    def __init__(self, scenario: Scenario, before: Compared | None = None) -> None:
        self._scenario = scenario
        self._n = (before or Compared()).model_dump()
        both = self._n["agreed"] + self._n["disagreed"]
        self._sum = self._n["mean_difference"] * both

    def both(
        self, old: Estimate, said: tuple[float, int], ms: tuple[float, float]
    ) -> None:
        """Add one window: the serving answer, the staged number and alarm, both times."""
        n, (value, kind) = self._n, said
        alarm = None if kind == NO_ALARM_KIND else bool(kind)
        n["windows"] += 1
        for name, more in (("ms_old", ms[0]), ("ms_new", ms[1])):
            n[name] += (more - n[name]) / n["windows"]
        answered = bool(np.isfinite(value))
        n["abstained_old"] += old.abstained
        n["abstained_new"] += not answered
        n["alarms_old"] += bool(old.alarm) and not old.abstained
        n["alarms_new"] += bool(alarm) and answered
        if old.value is None or not answered:
            return
        n["agreed" if agree(self._scenario, old, value, alarm) else "disagreed"] += 1
        difference = min(abs(value - old.value), float(np.finfo(np.float32).max))
        self._sum += difference
        n["mean_difference"] = self._sum / (n["agreed"] + n["disagreed"])
        n["max_difference"] = max(n["max_difference"], difference)

    def dropped(self, windows: int) -> None:
        """Count windows that the staged one was not asked about."""
        self._n["dropped"] += windows

    def figures(self) -> Compared:
        """Return the figures so far."""
        return Compared(**self._n)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    old: Estimate
    ms: float
    at_s: float


class Shadow:
    """The line's end of a staged package's process.

    Args:
        command: Starts the process; it speaks as ``serve`` does.
        scenario: The contract.
        before: Figures to go on from.
    """

    def __init__(
        self, command: Sequence[str], scenario: Scenario, before: Compared | None = None
    ) -> None:
        self.comparison = Comparison(scenario, before)
        self.opened = False
        self.ended = ""
        self._rest = b""
        self._heard = bytearray()
        self._asked: dict[int, _Asked] = {}
        self._child = subprocess.Popen(  # noqa: S603 -- of our own flows
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        for pipe in (self._child.stdin, self._child.stdout):
            fd = _fd(pipe)
            os.set_blocking(fd, False)
            with contextlib.suppress(OSError):  # less is slower, not wrong
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._child.pid

    def offer(
        self, windows: Sequence[Window], given: Sequence[Estimate], took_s: float
    ) -> None:
        """Ask about windows that were answered; never waits."""
        self.look()
        full = len(self._asked) + len(windows) > MOST_WAITING
        if self.ended or not self.opened or self._rest or full:
            self.comparison.dropped(len(windows))
            return
        values = np.array([one.values for one in windows], "<f4")
        rows = np.empty(len(windows), item_of(values.shape[1:]))
        rows["at"], rows["values"] = [one.at_us for one in windows], values
        body = rows.tobytes()
        if len(body) > MOST_FRAME:
            self.comparison.dropped(len(windows))
            return
        now_s, ms = time.monotonic(), 1e3 * took_s / len(windows)
        for window, old in zip(windows, given, strict=True):
            self._asked[window.at_us] = _Asked(old=old, ms=ms, at_s=now_s)
        self._rest = LENGTH.pack(len(body)) + body
        self._push()

    def look(self) -> None:
        """Send what is left, take what was said, see whether it lives; never waits."""
        if self.ended:
            return
        self._push()
        try:
            while self._pull():
                pass
        except ShadowNonsenseError as error:
            self._end(error.message)
        self._see_whether_it_lives()

    def said(self) -> str:
        """Return what it does, in words."""
        if self.ended:
            return f"stopped: {self.ended}"
        if not self.opened:
            return "opening"
        oldest = next(iter(self._asked.values()), None)
        waits_s = time.monotonic() - oldest.at_s if oldest else 0.0
        if waits_s > HANGS_S:
            return f"it has not answered for {waits_s:.0f} s"
        return "answering"

    def close(self) -> None:
        """End the process."""
        self._end(self.ended or "the line has stopped")
        self._child.wait()

    def _end(self, why: str) -> None:
        self.ended = why
        self.comparison.dropped(len(self._asked))
        self._asked.clear()
        self._rest = b""
        self._child.kill()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()

    def _see_whether_it_lives(self) -> None:
        if not self.ended and self._child.poll() is not None:
            code = self._child.returncode
            how = f"signal {-code}" if code < 0 else f"code {code}"
            self._end(f"its process ended with {how}")

    def _push(self) -> None:
        if not self._rest:
            return
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            sent = os.write(_fd(self._child.stdin), self._rest)
            self._rest = self._rest[sent:]

    def _pull(self) -> bool:
        """Take in what lies in the pipe; tell whether there may be more."""
        try:
            got = os.read(_fd(self._child.stdout), MOST_SAID)
        except BlockingIOError:
            return False
        self._heard += got
        for kind, body in frames(self._heard):
            self._take(kind, body)
            if self.ended:
                return False
        return bool(got)

    def _take(self, kind: int, body: bytes) -> None:
        if kind == OPENED:
            self.opened = True
        elif kind == REFUSED:
            self._end(body.decode("utf-8", "replace")[:500])
        else:
            took_s, answers = answers_in(body)
            for at, value, alarm in answers:
                if (asked := self._asked.pop(at, None)) is not None:
                    ms = 1e3 * took_s / len(answers)
                    self.comparison.both(asked.old, (value, alarm), (asked.ms, ms))


def item_of(shape: tuple[int, ...]) -> np.dtype[np.void]:
    """Return the form in which a window of a shape is asked about."""
    return np.dtype([("at", "<i8"), ("values", "<f4", shape)])


def frames(heard: bytearray) -> list[tuple[int, bytes]]:
    """Take whole frames off what was heard.

    Args:
        heard: Untrusted; what is left of it is the beginning of the next frame.

    Raises:
        ShadowNonsenseError: if it has not the form that ``serve`` gives.
    """
    found: list[tuple[int, bytes]] = []
    while len(heard) >= HEAD.size:
        kind, length = HEAD.unpack_from(heard)
        if kind not in {OPENED, REFUSED, ANSWERS} or length > MOST_SAID:
            msg = f"The staged package's process sent a frame of kind {kind} and {length} bytes."
            raise ShadowNonsenseError(msg)
        if len(heard) < HEAD.size + length:
            break
        found.append((kind, bytes(heard[HEAD.size : HEAD.size + length])))
        del heard[: HEAD.size + length]
    return found


def answers_in(body: bytes) -> tuple[float, list[tuple[int, float, int]]]:
    """Return the seconds a batch took, and for each window time, number and alarm.

    Args:
        body: Of a frame. Untrusted.

    Raises:
        ShadowNonsenseError: if it is none.
    """
    if len(body) < TOOK.size or (len(body) - TOOK.size) % SAID.itemsize:
        msg = f"The staged package's process sent answers of {len(body)} bytes."
        raise ShadowNonsenseError(msg)
    (took_s,) = TOOK.unpack_from(body)
    if not 0 <= took_s < np.inf:
        msg = f"The staged package's process says that an answer took {took_s} s."
        raise ShadowNonsenseError(msg)
    rows: list[tuple[int, float, int]] = np.frombuffer(
        body, SAID, offset=TOOK.size
    ).tolist()
    return took_s, rows


Run = Callable[[NDArray[np.float32]], dict[str, NDArray[np.float32]]]


@dataclass(frozen=True, kw_only=True)
class Staged:
    """What the child opened.

    Attributes:
        scenario: The staged package's contract.
        model: Its digest.
        shape: Rows and columns of a window.
        run: Its graph.
        allow: Of so many wanted answers, how many its grant allows now.
    """

    scenario: Scenario
    model: Digest
    shape: tuple[int, int]
    run: Run
    allow: Callable[[int], int]


def serve(asked: IO[bytes], out: IO[bytes], staged: Staged) -> None:
    """Answer windows until nobody asks any more; runs in the child."""
    item = item_of(staged.shape)
    gate = InputGate(staged.scenario)
    while (head := _exactly(asked, LENGTH.size)) is not None:
        body = _exactly(asked, LENGTH.unpack(head)[0])
        if body is None:
            return
        rows = np.frombuffer(body, item)
        said = np.zeros(len(rows), SAID)
        said["at"], said["value"], said["alarm"] = rows["at"], np.nan, NO_ALARM_KIND
        broken = gate.broken(rows["values"])
        fit = [n for n in range(len(rows)) if n not in broken]
        fit = fit[: staged.allow(len(fit))] if fit else fit
        took_s = _answer(staged, said, rows["values"], fit) if fit else 0.0
        for start in range(0, len(said), PER_FRAME):
            part = said[start : start + PER_FRAME]
            share_s = took_s * len(part) / len(said)
            say(out, ANSWERS, TOOK.pack(share_s) + part.tobytes())


def say(out: IO[bytes], kind: int, body: bytes = b"") -> None:
    """Write one frame."""
    out.write(HEAD.pack(kind, len(body)) + body)
    out.flush()


def _answer(
    staged: Staged,
    said: NDArray[np.void],
    values: NDArray[np.float32],
    fit: Sequence[int],
) -> float:
    """Fill in the answers to windows that may be asked about; return how long it took."""
    began_s = time.perf_counter()
    outputs = staged.run(np.ascontiguousarray(values[fit]))
    took_s = time.perf_counter() - began_s
    windows = [
        Window(at_us=int(said["at"][n]), values=values[n], quality="good") for n in fit
    ]
    none = [staged.model] * len(fit)  # the digests of the windows are not kept
    given = guard.answers(staged.scenario, windows, outputs, staged.model, none)
    for n, one in zip(fit, given, strict=True):
        if one.value is not None:
            said["value"][n] = one.value
            said["alarm"][n] = NO_ALARM_KIND if one.alarm is None else one.alarm
    return took_s


def _exactly(stream: IO[bytes], size: int) -> bytes | None:
    found = stream.read(size)
    return found if len(found) == size else None


def _fd(pipe: IO[bytes] | None) -> int:
    if pipe is None:
        msg = "a pipe of the child was not made"
        raise ValueError(msg)
    return pipe.fileno()
