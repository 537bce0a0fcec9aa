"""Packed files (gzip, bz2, xz) and archives (zip, tar): unpacked with limits, then read.

Only bytes are taken out, under names chosen here; links, devices, modes and stored
paths are not followed.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import IO

from tundish.data import archive
from tundish.data.errors import (
    ArchiveUnsafeError,
    TableTooLargeError,
    TableUnreadableError,
)
from tundish.data.readers.reader import Reader, readers
from tundish.data.readers.reading import read_named
from tundish.data.readers.size import MAX_TEXT_BYTES, limit_bytes
from tundish.data.readers.together import bind
from tundish.data.table import Table
from tundish.kernel.errors import TundishError

MAX_DEPTH = 2
MAX_MEMBERS = 10_000
RATIO = archive.ArchiveLimits().ratio

_BLOCK = 1024**2
_OFFICE = {".xlsx", ".xlsm", ".xlsb", ".xls", ".docx", ".pptx", ".ods", ".odt", ".npz"}
_Opened = gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile
_PACKED: tuple[tuple[bytes, str, Callable[[Path], _Opened]], ...] = (
    (b"\x1f\x8b", "gzip", gzip.GzipFile),
    (b"BZh", "bz2", bz2.BZ2File),
    (b"\xfd7zXZ\x00", "xz", lzma.LZMAFile),
)
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)


class _Nested:
    """What packed readers share: how deep they stand in one another."""

    alone_above = None

    def __init__(self, depth: int = 0) -> None:
        self.depth = depth

    def inner(self) -> list[Reader]:
        """Return the readers for what is inside; packed ones know that they are."""
        deeper = self.depth + 1
        found: list[Reader] = []
        for reader in readers():
            if not isinstance(reader, _Nested):
                found.append(reader)
            elif deeper <= MAX_DEPTH:
                found.append(type(reader)(deeper))
        return found


class PackedReader(_Nested):
    """One file packed with gzip, bz2 or xz."""

    name = "a packed file"

    def claims(self, name: str, head: bytes) -> bool:  # noqa: ARG002  (the mark decides)
        """Claim files that begin with the mark of a packer."""
        return any(head.startswith(mark) for mark, _, _ in _PACKED)

    def read(self, path: Path, name: str) -> Sequence[Table]:
        """Unpack with a limit and read what is inside under the same name."""
        with path.open("rb") as stream:
            head = stream.read(8)
        found = [p[1:] for p in _PACKED if head.startswith(p[0])]
        if not found:
            msg = f"{name} is not packed with gzip, bz2 or xz."
            raise TableUnreadableError(msg)
        packer, opened = found[0]
        most = min(MAX_TEXT_BYTES, int(_BLOCK + RATIO * path.stat().st_size))
        inside = re.sub(r"(?i)\.(gz|gzip|bz2|xz)$", "", name)
        inside = re.sub(r"(?i)\.(tgz|tbz2?|txz)$", ".tar", inside)
        with _room(inside) as target:
            try:
                with opened(path) as stream, target.open("xb") as out:
                    _copy(stream, out, name, most)
            except _DAMAGE as error:
                msg = f"{name} is damaged: {packer} says {str(error)[:120]}."
                raise TableUnreadableError(msg) from error
            return read_named(target, name, self.inner(), kind_of=inside)


class ArchiveReader(_Nested):
    """A zip or tar archive of files with tables."""

    name = "an archive"

    def claims(self, name: str, head: bytes) -> bool:
        """Claim zip and tar archives that are no office documents."""
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            return PurePosixPath(name.lower()).suffix not in _OFFICE
        return head[257:262] == b"ustar" or name.lower().endswith(".tar")

    def read(self, path: Path, name: str) -> Sequence[Table]:
        """Read every table inside; those of the same columns come as one table."""
        with path.open("rb") as stream:
            zipped = stream.read(2) == b"PK"
        found: list[Table] = []
        refused: list[TundishError] = []
        total = 0
        for member, target in (_zip_files if zipped else _tar_files)(path, name):
            total += target.stat().st_size
            limit_bytes(name, total)
            try:
                found += self._member(target, member, name)
            except (TableUnreadableError, TableTooLargeError) as error:
                refused.append(error)
        if not found:
            raise _nothing(name, refused)
        if len(found) == 1:
            return [replace(found[0], part="")]
        return bind(name, found)

    def _member(self, target: Path, member: str, name: str) -> list[Table]:
        read = read_named(target, f"{name}/{member}", self.inner(), kind_of=member)
        return [
            replace(table, part="/".join(filter(None, (member, table.part))))
            for table in read
        ]


def _nothing(name: str, refused: list[TundishError]) -> TundishError:
    if len(refused) == 1:
        return refused[0]
    if not refused:
        return TableUnreadableError(f"{name} holds no regular file.")
    first = refused[0].message
    msg = f"None of the {len(refused)} files in {name} is a table; the first: {first}"
    return TableUnreadableError(msg.rstrip(".") + ".")


def _copy(stream: _Opened | IO[bytes], out: IO[bytes], name: str, most: int) -> None:
    left = most
    while block := stream.read(_BLOCK):
        left -= len(block)
        if left < 0:
            msg = (
                f"{name} unpacks to more than {most} bytes; at most {RATIO:g} times its "
                f"size and {MAX_TEXT_BYTES} bytes are unpacked."
            )
            raise TableTooLargeError(msg)
        out.write(block)


@contextmanager
def _room(name: str) -> Iterator[Path]:
    """Give a file of its own in a new folder; only the ending of the name is kept."""
    ending = re.sub(r"[^a-z0-9.]", "", PurePosixPath(name.lower()).suffix)[:12]
    with tempfile.TemporaryDirectory(prefix="tundish-") as folder:
        yield Path(folder) / f"inside{ending}"


def _zip_files(path: Path, name: str) -> Iterator[tuple[str, Path]]:
    limits = archive.ArchiveLimits(members=MAX_MEMBERS, member_bytes=MAX_TEXT_BYTES)
    with archive.opened(path, limits) as opened:
        names = archive.file_names(opened)
        if not names and (why := archive.why_none(opened)):
            msg = f"{name} holds nothing that can be read: {why}."
            raise ArchiveUnsafeError(msg)
        for member in names:
            _refuse_tricks(member, name)
        for member in names:
            with _room(member) as target:
                archive.unpack(opened, member, target, limits)
                yield member, target


def _tar_files(path: Path, name: str) -> Iterator[tuple[str, Path]]:
    damaged = (tarfile.TarError, RecursionError, OverflowError, *_DAMAGE)
    try:
        with tarfile.open(path, "r:") as opened:
            for count, info in enumerate(opened):
                if count >= MAX_MEMBERS:
                    msg = f"{name} has more than {MAX_MEMBERS} entries."
                    raise ArchiveUnsafeError(msg)
                if not info.isreg() or info.issparse():
                    continue
                _refuse_tricks(info.name, name)
                stream = opened.extractfile(info)
                if stream is None or _litter(info.name):
                    continue
                with _room(info.name) as target:
                    with target.open("xb") as out:
                        _copy(stream, out, name, MAX_TEXT_BYTES)
                    yield info.name, target
    except damaged as error:
        msg = f"{name} cannot be read as a tar archive ({str(error)[:120]})."
        raise ArchiveUnsafeError(msg) from error


def _litter(member: str) -> bool:
    return PurePosixPath(member).name.startswith("._") or member.startswith("__MACOSX")


def _refuse_tricks(member: str, name: str) -> None:
    parts = member.replace("\\", "/").split("/")
    if ".." in parts or not parts[0] or "\x00" in member or parts[0][1:2] == ":":
        msg = f"{name} holds a file whose name leads outside: {member[:80]!r}."
        advice = "Do not use this file; ask its maker for a clean one."
        raise ArchiveUnsafeError(msg, advice=advice)
