"""Tar archives in one form only, read and written here.

Python's own extractor is not used: its ``data`` filter let members out of the folder on
3.11.7. This reader writes nothing to the disk: it gives names and bytes. It accepts
only the bytes that this writer would make: plain files, sorted, no owner, no time, no
links, zero padding, and nothing after the end. Source: POSIX.1-1988 (ustar).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tundish.kernel import paths
from tundish.kernel.errors import UnsafePathError
from tundish.model.errors import PackageMalformedError, PackageTooLargeError

BLOCK = 512
MAX_FILES = 1000
MAX_BYTES = 4 * 1024**3
_MAX_NAME = 100
_MAX_SIZE = 8**11 - 1
_END = bytes(2 * BLOCK)


def write(files: Mapping[str, bytes]) -> bytes:
    """Return the archive of these files.

    Raises:
        PackageTooLargeError: if there are too many files, or one is too large.
        UnsafePathError: if a name is not safe on every system.
    """
    if not 1 <= len(files) <= MAX_FILES:
        msg = f"An archive has {len(files)} files; 1 to {MAX_FILES} are written."
        raise PackageTooLargeError(msg)
    return b"".join(_blocks(files))


def read(data: bytes) -> dict[str, bytes]:
    """Return the files of an archive that ``write`` made.

    Args:
        data: Untrusted bytes.

    Raises:
        PackageMalformedError: if any byte is not as ``write`` would make it.
        PackageTooLargeError: if it has too many files or bytes.
    """
    if len(data) > MAX_BYTES:
        msg = f"A package has {len(data)} bytes; at most {MAX_BYTES} are read."
        raise PackageTooLargeError(msg)
    if data[257:262] != b"ustar":
        msg = f"The file holds no package: its {len(data)} bytes do not begin as an archive does."
        raise PackageMalformedError(msg, advice="Give the package's own .tar file.")
    files: dict[str, bytes] = {}
    at, last = 0, ""
    while data[at : at + BLOCK] != _END[:BLOCK]:
        name, size = _read_header(data[at : at + BLOCK])
        if name <= last:
            msg = f"The file {name!r} of a package is twice there, or out of order."
            raise PackageMalformedError(msg)
        start, last = at + BLOCK, name
        end = start + size
        at = end + -size % BLOCK
        if at > len(data) or data[end:at].strip(b"\x00"):
            msg = f"The file {name!r} of a package is cut off or badly padded."
            raise PackageMalformedError(msg)
        files[name] = data[start:end]
        if len(files) > MAX_FILES:
            msg = f"A package has more than {MAX_FILES} files."
            raise PackageTooLargeError(msg)
    if data[at:] != _END or not files:
        msg = "A package does not end as an archive must."
        raise PackageMalformedError(msg)
    return files


def _blocks(files: Mapping[str, bytes]) -> Iterator[bytes]:
    for name in sorted(files):
        body = files[name]
        yield _header(name, len(body))
        yield body
        yield bytes(-len(body) % BLOCK)
    yield _END


def _header(name: str, size: int) -> bytes:
    encoded = paths.check_name(name).encode("ascii")
    if len(encoded) > _MAX_NAME or size > _MAX_SIZE:
        msg = f"The file {name!r} has too long a name, or too many bytes ({size})."
        raise PackageTooLargeError(msg)
    head = encoded.ljust(100, b"\x00") + b"0000644\x00" + b"0000000\x00" * 2
    head += b"%011o\x00" % size + b"%011o\x00" % 0
    tail = b"0" + bytes(100) + b"ustar\x0000" + bytes(64)
    tail += b"0000000\x00" * 2 + bytes(155 + 12)
    total = sum(head) + sum(b" " * 8) + sum(tail)
    return head + b"%06o\x00 " % total + tail


def _read_header(block: bytes) -> tuple[str, int]:
    try:
        name = block[:100].rstrip(b"\x00").decode("ascii")
        size = int(block[124:135], 8) if block[124:135].isdigit() else -1
        # a size below zero would be written, and would read what lies before it
        right = len(block) == BLOCK and size >= 0 and _header(name, size) == block
    except (ValueError, UnsafePathError, PackageTooLargeError) as error:
        msg = "A package holds a member that is no plain file with a safe name."
        raise PackageMalformedError(msg) from error
    if not right:
        msg = f"The archive's entry for {name!r} is not written as Tundish writes it."
        raise PackageMalformedError(msg)
    return name, size
