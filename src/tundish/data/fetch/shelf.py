"""Files by digest in one folder: what lies under a digest has it, or it is not taken.

Both the half sets of the cache and a mirror for a USB stick are such shelves.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tundish.data.errors import DigestMismatchError
from tundish.kernel import digest, paths

_BLOCK = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """A folder with ``sha256/ab/abcdef...`` below it."""

    root: Path

    def place(self, sha256: str) -> Path:
        """Return where a file of that digest lies or will lie."""
        return self.root / "sha256" / sha256[:2] / sha256

    def part(self, sha256: str) -> Path:
        """Return where what has come of it so far lies."""
        place = self.place(sha256)
        place.parent.mkdir(parents=True, exist_ok=True)
        return place.with_name(f"{sha256}.part")

    def has(self, sha256: str, size: int) -> bool:
        """Tell whether a file is there; one with other bytes is thrown away."""
        place = self.place(sha256)
        if not place.is_file():
            return False
        right = place.stat().st_size == size
        if right and digest.hex_part(digest.of_file(place)) == sha256:
            return True
        place.unlink()
        return False

    def take(self, sha256: str) -> None:
        """Put what has come in its place; its digest was seen."""
        self.part(sha256).replace(self.place(sha256))


@dataclass(frozen=True, kw_only=True)
class Pin:
    """What a file must be.

    Attributes:
        name: In messages.
        sha256: 64 hex digits.
        bytes: How many; ``None`` if only the digest is known.
    """

    name: str
    sha256: str
    bytes: int | None = None


def copy_pinned(source: Path, target: Path, pin: Pin) -> None:
    """Copy a plain file and check it on the way; more than it may have is not read.

    Args:
        source: Untrusted.
        target: Is removed again if the bytes are others.
        pin: What it must be.

    Raises:
        DigestMismatchError: if it is not.
    """
    found, count = copy(source, target, most=pin.bytes)
    if found != pin.sha256:
        target.unlink()
        much = f"more than {pin.bytes:,} bytes" if count == -1 else f"{found[:12]}..."
        msg = f"{pin.name} has {much}, and the catalogue pins {pin.sha256[:12]}...."
        raise DigestMismatchError(msg)


def copy(source: Path, target: Path, *, most: int | None = None) -> tuple[str, int]:
    """Copy a plain file; return the SHA-256 of what was written, and its bytes.

    Args:
        source: Untrusted.
        target: Where to.
        most: Stop above so many bytes; then an empty digest and -1 are returned.
    """
    sums, count = hashlib.sha256(), 0
    with _opened(source) as come, target.open("wb") as go:
        while block := come.read(_BLOCK):
            count += len(block)
            if most is not None and count > most:
                return "", -1
            go.write(block)
            sums.update(block)
    return sums.hexdigest(), count


def _opened(source: Path) -> BinaryIO:
    try:
        return paths.existing_file(source).open("rb")
    except OSError as error:
        raise paths.refused(error, source) from error


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name; where the disk has no links it is copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
