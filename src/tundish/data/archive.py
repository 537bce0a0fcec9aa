"""One named file out of a zip archive, with limits and without trust.

Only the member that was asked for is ever written, under a name that the caller chose;
stored names, modes and links are not followed.
"""

from __future__ import annotations

import errno
import hashlib
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tundish.data.errors import ArchiveUnsafeError
from tundish.kernel import paths
from tundish.kernel.digest import Digest

BLOCK = 1024 * 1024
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    """How far an archive may go.

    Attributes:
        members: Most entries in one archive.
        member_bytes: Largest size of one unpacked member.
        ratio: Largest unpacked size per packed byte, beyond a first megabyte (text
            tables pack 3 to 20 times; deflate cannot exceed 1,032).
    """

    members: int = 100_000
    member_bytes: int = 4 * 1024**3
    ratio: float = 300.0


@contextmanager
def opened(source: Path, limits: ArchiveLimits) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive of untrusted origin.

    Raises:
        ArchiveUnsafeError: if it is no zip, is damaged or has too many entries.
    """
    with _said(source), zipfile.ZipFile(source) as archive:
        count = len(archive.infolist())
        if count > limits.members:
            msg = (
                f"{source.name} has {count} entries; at most {limits.members} are read."
            )
            raise ArchiveUnsafeError(msg)
        if not all(info.filename for info in archive.infolist()):
            msg = f"{source.name} has an entry without a name."
            raise ArchiveUnsafeError(msg)
        yield archive


def file_names(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the regular files in an archive, Mac litter left out."""
    infos = (info for info in archive.infolist() if not _why_not_regular(info))
    return [info.filename for info in infos if not _litter(info.filename)]


def _litter(name: str) -> bool:
    return name.startswith("__MACOSX") or name.rpartition("/")[2] == ".DS_Store"


def extract(
    archive: zipfile.ZipFile, name: str, target: Path, limits: ArchiveLimits
) -> Digest:
    """Write one member to a new file and return the digest of what was written.

    Args:
        archive: From ``opened``. Untrusted.
        name: The member's name, exactly as stored; checked by ``paths.check_name``.
        target: The file to write; must not exist.
        limits: See ``ArchiveLimits``.

    Raises:
        ArchiveUnsafeError: if the member is absent, there twice, no regular file,
            encrypted, too large or damaged.
        UnsafePathError: if the name is not safe.
    """
    return unpack(archive, paths.check_name(name), target, limits)


def unpack(
    archive: zipfile.ZipFile, name: str, target: Path, limits: ArchiveLimits
) -> Digest:
    """Do as ``extract`` for a name of any form: the caller never uses it as a path."""
    info = _member(archive, name, limits)
    sha = hashlib.sha256()
    origin = Path(archive.filename or "the archive")
    with _said(origin), archive.open(info) as stream, target.open("xb") as out:
        _copy(stream, out, sha, info.file_size)
    return Digest("sha256:" + sha.hexdigest())


def refuse_bomb(path: Path, name: str, limits: ArchiveLimits) -> None:
    """Look at the sizes that a zip's directory states, before a library unpacks it.

    A directory that lies is the library's to notice, in a process with limits.

    Raises:
        ArchiveUnsafeError: if it is no zip, has too many entries, or would grow beyond
            the limits, all entries together.
    """
    with opened(path, limits) as archive:
        infos = archive.infolist()
    total = sum(info.file_size for info in infos)
    packed = sum(info.compress_size for info in infos)
    if total > min(limits.member_bytes, BLOCK + limits.ratio * packed):
        msg = (
            f"{name} unpacks to {total} bytes; at most {limits.member_bytes} bytes and "
            f"{limits.ratio:g} times its size are read."
        )
        raise ArchiveUnsafeError(msg)


def why_none(archive: zipfile.ZipFile) -> str:
    """Return why the first entry that is no folder is not read; empty if there is none."""
    infos = (info for info in archive.infolist() if not info.is_dir())
    return next((_why_not_regular(info) for info in infos), "")


def _member(
    archive: zipfile.ZipFile, name: str, limits: ArchiveLimits
) -> zipfile.ZipInfo:
    origin = Path(archive.filename or "the archive").name
    found = [info for info in archive.infolist() if info.filename == name]
    if len(found) != 1:
        msg = f"{origin} holds {name} {len(found)} times; it was expected once."
        raise ArchiveUnsafeError(msg)
    info = found[0]
    why = _why_not_regular(info) or _why_too_large(info, limits)
    if why:
        msg = f"{name} in {origin} is not read: {why}."
        raise ArchiveUnsafeError(msg)
    return info


def _why_not_regular(info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.is_dir() or kind not in {0, stat.S_IFREG}:
        return "it is no regular file"
    if info.flag_bits & 0x1:
        return "it is encrypted"
    if info.compress_type not in _METHODS:
        return f"its compression method {info.compress_type} is not allowed"
    return ""


def _why_too_large(info: zipfile.ZipInfo, limits: ArchiveLimits) -> str:
    if info.file_size > limits.member_bytes:
        return f"it unpacks to {info.file_size} bytes ({limits.member_bytes} allowed)"
    if info.file_size > BLOCK + limits.ratio * info.compress_size:
        return (
            f"it unpacks {info.compress_size} to {info.file_size} bytes "
            f"({limits.ratio:g} times are allowed)"
        )
    return ""


def _copy(stream: IO[bytes], out: IO[bytes], sha: hashlib._Hash, size: int) -> None:
    left = size
    while block := stream.read(min(BLOCK, left + 1)):
        left -= len(block)
        if left < 0:
            msg = f"a member is larger than the {size} bytes it declares"
            raise zipfile.BadZipFile(msg)
        sha.update(block)
        out.write(block)


@contextmanager
def _said(source: Path) -> Iterator[None]:
    damaged = (
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        EOFError,
        RuntimeError,
        ValueError,
        OSError,
    )
    try:
        yield
    except damaged as error:
        if isinstance(error, OSError) and error.errno not in {None, errno.EINVAL}:
            raise  # the disk's trouble, not the archive's
        msg = f"{source.name} cannot be read as a zip archive ({str(error)[:120]})."
        raise ArchiveUnsafeError(msg) from error
