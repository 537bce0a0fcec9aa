"""The one digest: SHA-256, written ``sha256:<64 hex digits>``."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NewType

from tundish.kernel import canonical

Digest = NewType("Digest", str)

_FORM = re.compile(r"sha256:[0-9a-f]{64}")


def of_bytes(data: bytes | memoryview) -> Digest:
    """Return the digest of bytes."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def of_file(path: Path) -> Digest:
    """Return the digest of a file, read in blocks."""
    with path.open("rb") as stream:
        return Digest("sha256:" + hashlib.file_digest(stream, "sha256").hexdigest())


def of_json(value: canonical.Json) -> Digest:
    """Return the digest of a value's canonical JSON."""
    return of_bytes(canonical.dumps(value))


def is_digest(text: str) -> bool:
    """Tell whether a text has the form of a digest."""
    return _FORM.fullmatch(text) is not None


def hex_part(digest: str) -> str:
    """Return the 64 hex digits of a digest."""
    return digest.removeprefix("sha256:")


def short(digest: str) -> str:
    """Return the first 12 hex digits, for people."""
    return hex_part(digest)[:12]
