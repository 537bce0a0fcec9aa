"""The list of a data set's files: ``KEY.files.tsv``, strictly read.

An entry pins the list by its SHA-256, and the list pins every file. Bytes come in and
records go out; nothing is opened here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import urlsplit

from tundish.catalog.datasets import TreeSource
from tundish.catalog.errors import FileListRefusedError
from tundish.kernel import digest, paths
from tundish.kernel.errors import UnsafePathError
from tundish.kernel.texts import visible

HEADER = "file\tplace\tversion\tpath\tbytes\tsha256"
MOST_LIST_BYTES = 32 * 1024**2
MOST_FILES = 100_000
MOST_FILE_BYTES = 2**40
NOTES = frozenset({"fetched.json", "lineage.json"})

_HEX = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_COUNT = re.compile(r"0|[1-9][0-9]{0,12}")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}/[A-Za-z0-9._-]{1,100}")
_RECORD = re.compile(r"[1-9][0-9]{0,11}")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?(:[0-9]{1,5})?")
_FIELDS = 6


@dataclass(frozen=True, kw_only=True)
class PinnedFile:
    """One file of a set, known to the byte.

    Attributes:
        name: In the fetched folder; a safe relative name.
        place: See ``catalog.datasets.TreeSource``.
        version: Commit or revision; ``-`` if the place has none.
        path: Inside the place.
        bytes: How many.
        sha256: 64 hex digits.
    """

    name: str
    place: str
    version: str
    path: str
    bytes: int
    sha256: str


def parse_list(data: bytes, source: TreeSource, key: str) -> tuple[PinnedFile, ...]:
    """Return the files of a list that an entry pins.

    Args:
        data: The list's bytes. Untrusted until its digest was seen to be the entry's.
        source: What the entry says of it.
        key: The set's, for messages.

    Raises:
        FileListRefusedError: if it is not the list that the entry pins, a line is not
            of the form, a name is unsafe or stands twice, or the sums differ.
    """
    found = digest.hex_part(digest.of_bytes(data))
    if found != source.sha256:
        msg = (
            f"The list of files of {key} has the SHA-256 {found[:12]}..., and its "
            f"entry pins {source.sha256[:12]}...."
        )
        raise FileListRefusedError(msg)
    return read_list(data, source, key)


def read_list(data: bytes, source: TreeSource, key: str) -> tuple[PinnedFile, ...]:
    """Return the files of a list without a look at its digest; else as ``parse_list``."""
    lines = _lines(data, key)
    files = tuple(
        _file(line, source.kind, f"Line {number} of the list of {key}")
        for number, line in enumerate(lines, start=2)
    )
    _refuse_twins((file.name for file in files), key)
    stated = (source.files, source.bytes)
    sums = (len(files), sum(file.bytes for file in files))
    if sums != stated:
        msg = (
            f"The list of {key} has {sums[0]} files with {sums[1]} bytes, and its "
            f"entry says {stated[0]} with {stated[1]}."
        )
        raise FileListRefusedError(msg)
    return files


def _lines(data: bytes, key: str) -> list[str]:
    if len(data) > MOST_LIST_BYTES or data.count(b"\n") > MOST_FILES + 1:
        _refuse(f"The list of {key}", f"it is longer than {MOST_FILES:,} files need")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        _refuse(f"The list of {key}", "it is no UTF-8")
    head, _, rest = text.partition("\n")
    if head != HEADER or not rest.endswith("\n"):
        _refuse(f"The list of {key}", "its first line or its end is not of the form")
    return rest[:-1].split("\n")


def _file(line: str, kind: str, where: str) -> PinnedFile:
    fields = line.split("\t")
    if len(fields) != _FIELDS:
        _refuse(where, f"it has {len(fields)} fields, {_FIELDS} are needed")
    name, place, version, path, size, sha256 = fields
    try:
        paths.check_name(name)
    except UnsafePathError as error:
        _refuse(where, error.message.rstrip("."))
    if name.casefold() in NOTES:
        _refuse(where, f"{name} is the name of a note that Tundish writes itself")
    if not _COUNT.fullmatch(size) or int(size) > MOST_FILE_BYTES:
        _refuse(where, f"{size[:20]!r} is no number of bytes")
    if not _HEX.fullmatch(sha256):
        _refuse(where, f"{sha256[:70]!r} is no SHA-256")
    wrong = _why_no_place(kind, place, version) or _why_no_path(path)
    if wrong:
        _refuse(where, wrong)
    return PinnedFile(
        name=name,
        place=place,
        version=version,
        path=path,
        bytes=int(size),
        sha256=sha256,
    )


def _why_no_place(kind: str, place: str, version: str) -> str:
    """Say what is wrong with a place and its version; nothing if they are right."""
    pinned = kind in {"github", "huggingface"}
    if pinned and not _COMMIT.fullmatch(version):
        return f"{version[:50]!r} is no commit (a branch or a tag can be moved)"
    if not pinned and version != "-":
        return f"{version[:50]!r} stands for a version, and {kind} has none ('-')"
    return "" if _PLACES[kind](place) else f"{place[:80]!r} is no place of {kind}"


def _is_repository(place: str) -> bool:
    return _REPOSITORY.fullmatch(place) is not None and ".." not in place


def _is_record(place: str) -> bool:
    return _RECORD.fullmatch(place) is not None


def _is_folder_address(place: str) -> bool:
    """Tell whether it is ``https://host/folder/``, without user, query or fragment."""
    if not place.startswith("https://") or not place.endswith("/"):
        return False
    try:
        parts = urlsplit(place)
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or "?" in place or "#" in place)
    steps = parts.path[1:-1].split("/") if parts.path != "/" else []
    safe = all(re.fullmatch(r"[A-Za-z0-9._~%+-]+", step) for step in steps)
    up = any(
        step.replace("%2e", ".").replace("%2E", ".") in {".", ".."} for step in steps
    )
    return plain and safe and not up and _HOST.fullmatch(parts.netloc) is not None


_PLACES: dict[str, Callable[[str], bool]] = {
    "github": _is_repository,
    "huggingface": _is_repository,
    "zenodo": _is_record,
    "https": _is_folder_address,
}


def _why_no_path(path: str) -> str:
    """Say what is wrong with a path in a place; it is escaped before it is asked for."""
    if not path or len(path) > 1000 or "\\" in path or visible(path) != path:
        return f"{path[:80]!r} is no path"
    if any(part in {"", ".", ".."} for part in path.split("/")):
        return f"a part of the path {path[:80]!r} is empty, '.' or '..'"
    return ""


def _refuse_twins(names: Iterable[str], key: str) -> None:
    """Refuse two names for one place, also where a disk knows no capital letters."""
    seen: set[str] = set()
    folders: set[str] = set()
    for name in names:
        low = name.casefold()
        if low in seen:
            _refuse(f"The list of {key}", f"the name {name[:80]!r} stands twice")
        seen.add(low)
        while "/" in low:
            low = low.rpartition("/")[0]
            folders.add(low)
    both = sorted(seen & folders)
    if both:
        _refuse(f"The list of {key}", f"{both[0][:80]!r} is a file and a folder")


def _refuse(where: str, why: str) -> NoReturn:
    msg = f"{where} is not of the form: {why}."
    raise FileListRefusedError(msg)
