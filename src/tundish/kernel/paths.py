"""Names that stay inside their folder, and writes that are whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from tundish.kernel.errors import (
    DiskFullError,
    FileTooLargeError,
    MachineError,
    PathMissingError,
    PlaceRefusedError,
    UnsafePathError,
)

MAX_NAME_LENGTH = 240
DOCUMENT_BYTES = 16 * 1024**2
GRAPH_BYTES = 2**31 - 1
_RESERVED = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{d}{n}" for d in ("com", "lpt") for n in range(10)),
}
# control, format (zero width, bidi), surrogates, private use, line and paragraph ends
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
_STEPS = {"/", "\\", "..", "..."}
_LOOKALIKES = set("\uff0e\u2024\u2215\u2044\u29f8\u29f5\u2216\ufe68\uff3c\uff0f")
_BAD_LETTERS = set('\\:*?"<>|')


def check_name(name: str) -> str:
    """Return a relative ``/``-separated name if it is safe on every system.

    Raises:
        UnsafePathError: for absolute names, ``..``, empty parts, drive letters,
            control characters, letters that cannot be seen or that look like a dot or
            a slash, names reserved on Windows, trailing dots or spaces, and text
            that is not in Unicode form NFC.
    """
    reason = _why_unsafe(name)
    if reason:
        msg = f"The stored name {name[:80]!r} is not safe: {reason}."
        raise UnsafePathError(msg)
    return name


def join(folder: Path, name: str) -> Path:
    """Return ``folder/name`` for a safe name; the result lies inside ``folder``."""
    return folder.joinpath(*check_name(name).split("/"))


def existing_file(path: Path) -> Path:
    """Return the path if it is a regular file.

    Raises:
        PathMissingError: if it is not there or is a folder.
    """
    if path.is_file():
        return path
    msg = f"A file was expected at {path}, and {_what_is_at(path)} is there."
    raise PathMissingError(msg)


def read_file(path: Path, *, most: int = DOCUMENT_BYTES) -> bytes:
    """Return the bytes of a file of which one knows how large it may be.

    Args:
        path: What was named.
        most: Largest size; of a document (key, grant, list, YAML) by default.

    Raises:
        PathMissingError: if it is a folder or is not there.
        FileTooLargeError: if it is larger; it is not read then.
    """
    data = b""
    large = existing_file(path).stat().st_size > most
    if not large:
        with path.open("rb") as stream:
            data = stream.read(most + 1)  # it may have grown
    if large or len(data) > most:
        msg = f"The file {path} has more than {most} bytes, the most that are read of its kind."
        raise FileTooLargeError(msg)
    return data


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what changes with a file; nothing if it is not there just now."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def existing_folder(path: Path) -> Path:
    """Return the path if it is a folder.

    Raises:
        PathMissingError: if it is not there or is a file.
    """
    if path.is_dir():
        return path
    msg = f"A folder was expected at {path}, and {_what_is_at(path)} is there."
    raise PathMissingError(msg)


def _what_is_at(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    if path.is_file():
        return "a file"
    return "no plain file" if path.exists() else "nothing"


def write_whole(
    path: Path, data: bytes, *, mode: int = 0o644, durable: bool = True
) -> None:
    """Write a file so that a reader sees the old bytes or the new, never half.

    Args:
        path: Where; its folders are made.
        data: What.
        mode: Rights of the new file.
        durable: Whether it must survive a power cut that comes next.

    Raises:
        DiskFullError: if there is no room; the old file stands.
        PlaceRefusedError: if the system does not let it be written there, or if it is
            a device or a pipe, which a file would replace.
    """
    if _is_strange(path):
        msg = f"No file is written in place of {path}: it is a device, a pipe or a link to one."
        raise PlaceRefusedError(msg)
    with _refusal_said(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tundish-")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                os.fchmod(stream.fileno(), mode)
                stream.write(data)
                stream.flush()
                if durable:
                    os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def lock_stream(path: Path) -> TextIO:
    """Open the file that a lock is taken on; it is made if need be.

    Whoever may read a file may lock it, and hold everybody else up: so nobody else may.
    """
    stream = os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w")
    with suppress(OSError):  # another's, or a file system without rights
        os.fchmod(stream.fileno(), 0o600)
    return stream


def _is_strange(path: Path) -> bool:
    if path.is_symlink() and os.path.realpath(path.parent) == "/dev":
        return True  # /dev/stdout, wherever it leads
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def _refusal_said(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise refused(error, path) from error


def refused(error: OSError, path: Path | str) -> MachineError:
    """Return what the system's refusal of a place means to a person."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return DiskFullError(f"There is no room on the disk to write {path}.")
    why = error.strerror or type(error).__name__
    return PlaceRefusedError(f"The system refuses {path}: {why}.")


def _why_unsafe(name: str) -> str:
    if not name or len(name) > MAX_NAME_LENGTH:
        return f"it has {len(name)} characters (1 to {MAX_NAME_LENGTH} are allowed)"
    if not _BAD_LETTERS.isdisjoint(name) or min(name) < " ":
        return 'it holds a control character or one of \\ : * ? " < > |'
    plain = name.isascii() and name.isprintable()  # then no letter can deceive
    if not plain and (reason := _why_letters_unsafe(name)):
        return reason
    reasons = (_why_part_unsafe(part) for part in name.split("/"))
    return next((reason for reason in reasons if reason), "")


def _why_letters_unsafe(name: str) -> str:
    if unicodedata.normalize("NFC", name) != name:
        return "it is not in Unicode normal form C"
    if any(unicodedata.category(letter) in _UNSEEN for letter in name):
        return "it holds a letter that cannot be seen, or that turns the text around"
    if any(_looks_like_a_step(letter) for letter in name):
        return "it holds a letter that looks like a dot or a slash"
    return ""


def _looks_like_a_step(letter: str) -> bool:
    plain = unicodedata.normalize("NFKC", letter)
    return letter in _LOOKALIKES or (plain != letter and plain in _STEPS)


def _why_part_unsafe(part: str) -> str:
    if part in {"", ".", ".."}:
        return "a part of it is empty, '.' or '..'"
    if part[-1] in ". ":
        return "a part of it ends in a dot or a space"
    if part.split(".", maxsplit=1)[0].lower() in _RESERVED:
        return "a part of it is reserved on Windows"
    return ""
