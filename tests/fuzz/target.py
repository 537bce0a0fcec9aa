"""A parser that reads foreign bytes, as the fuzzer sees it: bytes in, one verdict out.

The law of every target: foreign bytes end in a value, or in an error of Tundish whose
sentence is short and printable; within ``SLOW_S`` and without ``LARGE_KB`` more memory.
"""

from __future__ import annotations

import ast
import functools
import inspect
import json
import os
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from tundish.kernel import canonical
from tundish.kernel.canonical import Json
from tundish.kernel.errors import InternalError, TundishError

SLOW_S, LARGE_KB = 5.0, 500_000
LONGEST_MESSAGE = 2000

ODD: tuple[Json, ...] = (
    None, True, False, -1, 0, 2**53 - 1, -(2**53) + 1, 1e308, -0.0, 0.5, "", "\x00",
    "../x", "2026-13-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59", "sha256:" + "0" * 64, [], {}, [[]], "=1+1", "a" * 5000,
    "<script>", "\u202e", "\x1b[31m", "age1", [None] * 50, "e\u0301", "\u212b", "A" * 44,
    "Europe/Berlin", "America", "x > 1", "*" * 40, "[z-a]",
)  # fmt: skip
KEYS = ("extra", "", "\x1b[31m", "../x", "a" * 3000, "line\nbreak", "\u202e", "version")


@dataclass(frozen=True, kw_only=True)
class Target:
    """One parser.

    Attributes:
        name: Of the folder of its corpus, and of its row on the page.
        doors: The public doors of the code that it goes through, ``module:qualname``;
            a test holds that the kept corpus reaches each of them.
        parse: Takes foreign bytes.
        seeds: Makes valid examples.
        json: Whether its bytes are JSON, changed as such half of the time.
        alone: Whether the code runs this parser in a child with limits: then running
            out of memory is the child's end, and no fault.
        meant: What else its doors say that they raise.
        most: Longest input.
    """

    name: str
    doors: tuple[str, ...]
    parse: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]
    json: bool = False
    alone: bool = False
    meant: tuple[type[Exception], ...] = ()
    most: int = 64 * 1024


def fault(target: Target, data: bytes) -> str:
    """Parse once and return what went wrong with that; empty if nothing did."""
    before, start, cpu = _peak_kb(), time.monotonic(), time.process_time()
    try:
        target.parse(data)
    except KeyboardInterrupt:
        raise
    except TundishError as error:
        said = error.message
        if isinstance(error, InternalError):
            return f"an internal error: {said}"
        if len(said) > LONGEST_MESSAGE or not said.isprintable():
            return f"a message of {len(said)} characters: {said[:400]!r}"
    except target.meant:
        pass
    except BaseException as error:
        if not (target.alone and _is_memory(error)):
            return "".join(traceback.format_exception(error, limit=-4))
    # on a busy machine the wall's time says little, with many threads the processor's
    took = min(time.monotonic() - start, time.process_time() - cpu)
    more = _peak_kb() - before
    if took > SLOW_S:
        return f"took {took:.0f} s"
    return f"took {more // 1000} MB" if more > LARGE_KB else ""


def _is_memory(error: BaseException) -> bool:
    words = ("MemoryError", "memory allocation", "bad_alloc", "Unable to allocate")
    said = f"{type(error).__name__}: {error}"
    return any(word in said for word in words)


def _peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@functools.cache
def room() -> Path:
    """Return this process's folder, in memory where there is such a place."""
    shared = Path("/dev/shm")  # noqa: S108
    return Path(
        tempfile.mkdtemp(
            prefix=f"tundish-fuzz-{os.getpid()}-",
            dir=shared if shared.is_dir() else None,
        )
    )


def at_file(name: str, data: bytes, mode: int = 0o644) -> Path:
    """Write bytes to a file of this process and return its path."""
    path = room() / name
    path.write_bytes(data)
    path.chmod(mode)
    return path


def words_of(target: Target) -> set[bytes]:
    """Return the short texts that stand in the modules of a target's doors."""
    found: set[bytes] = set()
    for module in {door.partition(":")[0] for door in target.doors}:
        __import__(module)
        tree = ast.parse(inspect.getsource(sys.modules[module]))
        for node in ast.walk(tree):
            value = node.value if isinstance(node, ast.Constant) else None
            body = value.encode() if isinstance(value, str) else value
            if isinstance(body, bytes) and 1 < len(body) <= 40 and b" " not in body:
                found.add(body)
    return found


def twisted(value: Json, rng: np.random.Generator) -> Json:
    """Return a JSON value with one place changed."""
    items: list[tuple[object, Json]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    if not items or rng.integers(6) == 0:
        return _odd(value, rng)
    place, inner = items[int(rng.integers(len(items)))]
    kind = int(rng.integers(12))
    if isinstance(value, dict):
        made = dict(value)
        if kind == 0:
            del made[cast("str", place)]
        elif kind == 1:
            made[KEYS[int(rng.integers(len(KEYS)))]] = inner
        else:
            made[cast("str", place)] = twisted(inner, rng)
        return made
    row = list(cast("list[Json]", value))
    at = cast("int", place)
    if kind == 0:
        del row[at]
    elif kind == 1:
        row = row + [inner] * int(rng.integers(1, 4))
    else:
        row[at] = twisted(inner, rng)
    return row


def _odd(value: Json, rng: np.random.Generator) -> Json:
    """Return an odd value, or a text with one letter changed."""
    if isinstance(value, str) and value and rng.integers(2):
        at = int(rng.integers(len(value)))
        return value[:at] + chr(int(rng.integers(32, 0x2100))) + value[at + 1 :]
    return ODD[int(rng.integers(len(ODD)))]


def changed(data: bytes, rng: np.random.Generator) -> bytes:
    """Return JSON bytes with one to three places changed, in canonical form.

    Raises:
        ValueError, RecursionError: if they are no JSON.
        TundishError: if the result has no canonical form.
    """
    value: Json = json.loads(data)
    for _ in range(int(rng.integers(1, 4))):
        value = twisted(value, rng)
    return canonical.dumps(value)
