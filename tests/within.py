"""Whether a secret stands in a file, also below the base64 in which documents carry others."""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

_CODED = re.compile(rb"[A-Za-z0-9+/\r\n]{24,}")


def holds(path: Path, secret: bytes) -> bool:
    """Tell whether a file holds a secret in any layer."""
    return any(secret in layer for layer in layers(path.read_bytes()))


def layers(data: bytes) -> Iterator[bytes]:
    """Give the bytes, and what each piece of base64 in them stands for, and so on.

    A word before a piece may look like its beginning, so each of the four places that a
    group can begin at is tried.
    """
    yield data
    for piece in _CODED.findall(data):
        letters = b"".join(piece.split())
        for start in range(4):
            whole = letters[start : start + (len(letters) - start) // 4 * 4]
            rest = letters[start + len(whole) :]
            padded = whole + (rest + b"==")[:4] if len(rest) > 1 else whole
            with contextlib.suppress(binascii.Error):
                yield from layers(base64.b64decode(padded))
