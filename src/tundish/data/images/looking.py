"""Have many pictures looked at by children, so that none of them can harm the grade."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from tundish.kernel import canonical
from tundish.kernel.canonical import Json
from tundish.kernel.errors import DocumentMalformedError

CHILDREN = 4
SECONDS = 40
_PROGRAM = "tundish.data.images.look"
_SHRINKS = "tundish.data.images.shrink"

Told = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one picture looks like.

    Attributes:
        path: The file.
        error: Why it cannot be read; empty if it can, and then all else is set.
        format, mode, width, height: As its header says.
        header: What the file says beside its pixels, by name.
        personal: Personal facts in its header.
        digest: Of the pixels: equal for equal pictures in whatever format.
        mean, std: Of the grey values, 0 to 255.
        low, high: Grey values below which 1 % and 99 % of the pixels lie.
        black, white: Share of pixels at 0 and at 255.
        levels: Number of grey values in use.
        sharp: Variance of the Laplacian.
        noise: Standard deviation of the noise, in grey levels.
        snr_db: Contrast over noise.
        thumb: The picture at 32 x 32, grey, shape [1024].
    """

    path: Path
    error: str = ""
    format: str = ""
    mode: str = ""
    width: int = 0
    height: int = 0
    header: dict[str, str] = field(default_factory=dict)
    personal: tuple[str, ...] = ()
    digest: str = ""
    mean: float = 0.0
    std: float = 0.0
    low: int = 0
    high: int = 0
    black: float = 0.0
    white: float = 0.0
    levels: int = 0
    sharp: float = 0.0
    noise: float = 0.0
    snr_db: float = 0.0
    thumb: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How far two pictures are one and the same shot.

    Attributes:
        alike: Correlation of their fine detail; 0 if they could not be compared.
        local: Largest difference of a patch over the usual one.
    """

    alike: float = 0.0
    local: float = 0.0


def look_at(paths: Sequence[Path], *, told: Told | None = None) -> list[Look]:
    """Look at pictures in child processes; the answers are in the order of the paths.

    Args:
        paths: Regular files. Untrusted: a file that crashes a decoder or hangs it gives
            a ``Look`` with an error.
        told: Called with the number of pictures done, now and then.
    """
    looks: list[Look] = []
    answers = _answers([[path] for path in paths])
    for path, said in zip(paths, answers, strict=True):
        looks.append(_parsed(path, said))
        if told is not None and len(looks) % 200 == 0:
            told(len(looks))
    return looks


def compare(pairs: Sequence[tuple[Path, Path]]) -> list[Likeness]:
    """Compare pairs of pictures in child processes, in their order."""
    return [
        Likeness(alike=_number(said["alike"]), local=_number(said["local"]))
        if "alike" in said
        else Likeness()
        for said in _answers(pairs)
    ]


@dataclass(frozen=True, kw_only=True)
class Shrunk:
    """A picture's pixels at the size asked for.

    Attributes:
        error: Why it cannot be read; empty if it can, and then all else is set.
        width, height: Of the file.
        pixels: Grey values or colours, uint8 [height, width, colours].
    """

    error: str = ""
    width: int = 0
    height: int = 0
    pixels: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))


def shrink(
    paths: Sequence[Path], height: int, width: int, colours: int
) -> Iterator[Shrunk]:
    """Give the pixels of pictures, decoded in child processes, in order of the paths.

    Args:
        paths: Regular files. Untrusted: see ``look_at``.
        height: Rows wanted of each; see ``shrink.py`` for how.
        width: Columns wanted.
        colours: 1 or 3.
    """
    size = (height, width, colours)
    tasks = [_to_task(path, size) for path in paths]
    for said in _answered(tasks, _SHRINKS):
        yield _shrunk(said, size)


class Shrinker:
    """Gives the pixels of one picture after the other; one child stays for all of them.

    Args:
        size: Height, width and colours (1 or 3) wanted.
    """

    def __init__(self, size: tuple[int, int, int]) -> None:
        self._size = size
        self._child = _Child(_SHRINKS)

    def shrink(self, path: Path) -> Shrunk:
        """Decode a picture in the child; waits for it, at most ``SECONDS``.

        Args:
            path: A regular file. Untrusted: see ``look_at``.
        """
        return _shrunk(self._child.answer(_to_task(path, self._size)), self._size)

    def stop(self) -> None:
        """End the child; the next picture gets another one."""
        self._child.stop()


def _to_task(path: Path, size: tuple[int, int, int]) -> bytes:
    height, width, colours = size
    return f"{height} {width} {colours} ".encode("ascii") + _hex([path])


def _shrunk(said: dict[str, Json], size: tuple[int, int, int]) -> Shrunk:
    if "error" in said:
        return Shrunk(error=str(said["error"]))
    pixels = np.frombuffer(bytes.fromhex(str(said["pixels"])), dtype=np.uint8)
    return Shrunk(
        width=int(_number(said["width"])),
        height=int(_number(said["height"])),
        pixels=pixels.reshape(size),
    )


def _answers(tasks: Sequence[Sequence[Path]]) -> Iterator[dict[str, Json]]:
    return _answered([_hex(task) for task in tasks], _PROGRAM)


def _hex(paths: Sequence[Path]) -> bytes:
    return b" ".join(os.fsencode(path).hex().encode("ascii") for path in paths)


def _answered(tasks: Sequence[bytes], program: str) -> Iterator[dict[str, Json]]:
    number = max(1, min(CHILDREN, os.cpu_count() or 1, len(tasks) // 8 + 1))
    free: SimpleQueue[_Child] = SimpleQueue()
    every = [_Child(program) for _ in range(number)]
    for child in every:
        free.put(child)
    try:
        with ThreadPoolExecutor(number) as pool:
            yield from pool.map(lambda task: _one(free, task), tasks)
    finally:
        for child in every:
            child.stop()


def _one(free: SimpleQueue[_Child], task: bytes) -> dict[str, Json]:
    with _borrowed(free) as child:
        return child.answer(task)


@contextmanager
def _borrowed(children: SimpleQueue[_Child]) -> Iterator[_Child]:
    child = children.get()
    try:
        yield child
    finally:
        children.put(child)


class _Child:
    """One process that looks at pictures; started again after a crash or a hang."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    def answer(self, task: bytes) -> dict[str, Json]:
        process = self._running()
        if process.stdin is None or process.stdout is None:
            return {"error": "it could not be looked at"}
        try:
            process.stdin.write(task + b"\n")
            process.stdin.flush()
        except OSError:
            self.stop()
            return {"error": "its decoder crashed"}
        ready, _, _ = select.select([process.stdout], [], [], SECONDS)
        line = process.stdout.readline() if ready else b""
        if line.endswith(b"\n"):
            return _said(line)
        self.stop()
        return {"error": "its decoder crashed" if ready else "its decoder hangs"}

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                _closed(stream)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            # -P: a folder of data must not be looked for modules
            self._process = subprocess.Popen(  # noqa: S603  (our own module, no shell)
                [sys.executable, "-P", "-m", self._program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self._process


def _closed(stream: object) -> None:
    close = getattr(stream, "close", None)
    try:
        if close is not None:
            close()
    except OSError:
        return


def _said(line: bytes) -> dict[str, Json]:
    try:
        said = canonical.loads(line)
    except DocumentMalformedError:
        said = None
    return said if isinstance(said, dict) else {"error": "its decoder gave no answer"}


def _parsed(path: Path, said: dict[str, Json]) -> Look:
    if "error" in said:
        return Look(path=path, error=str(said["error"]))
    header, personal = said["header"], said["personal"]
    return Look(
        path=path,
        format=str(said["format"]),
        mode=str(said["mode"]),
        width=int(_number(said["width"])),
        height=int(_number(said["height"])),
        header={k: str(v) for k, v in header.items()}
        if isinstance(header, dict)
        else {},
        personal=tuple(map(str, personal)) if isinstance(personal, list) else (),
        digest=str(said["digest"]),
        mean=_number(said["mean"]),
        std=_number(said["std"]),
        low=int(_number(said["low"])),
        high=int(_number(said["high"])),
        black=_number(said["black"]),
        white=_number(said["white"]),
        levels=int(_number(said["levels"])),
        sharp=_number(said["sharp"]),
        noise=_number(said["noise"]),
        snr_db=_number(said["snr_db"]),
        thumb=np.frombuffer(bytes.fromhex(str(said["thumb"])), dtype=np.uint8),
    )


def _number(value: Json) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
