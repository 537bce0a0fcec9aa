"""Bytes changed one by one, and which refusals each change met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tundish.kernel.errors import RefusedError

FLIPS = (0x01, 0x80)
_Attempt = TypeVar("_Attempt")


def flipped(data: bytes, places: Iterable[int] | None = None) -> Iterator[bytes]:
    """Change every byte in its lowest and in its highest bit."""
    changed = bytearray(data)
    for at in places if places is not None else range(len(data)):
        for bits in FLIPS:
            changed[at] ^= bits
            yield bytes(changed)
            changed[at] ^= bits


def shifted(data: bytes, step: int = 1) -> Iterator[bytes]:
    """Leave one byte out, double one, put a zero before one, cut all after one."""
    for at in range(0, len(data), step):
        yield data[:at] + data[at + 1 :]
        yield data[: at + 1] + data[at:]
        yield data[:at] + b"\x00" + data[at:]
        yield data[:at]
    yield data + b"\x00"
    yield data + b"\n"
    yield data + data


def codes(
    attempts: Iterable[_Attempt], door: Callable[[_Attempt], object]
) -> Counter[str]:
    """Count the refusals by code; what passes is counted as ``accepted``."""
    found: Counter[str] = Counter()
    for attempt in attempts:
        try:
            door(attempt)
        except RefusedError as error:
            found[error.code] += 1
        else:
            found["accepted"] += 1
    return found
