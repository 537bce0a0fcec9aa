"""The version of a data set: one digest over its files' names and bytes.

A file is cut into chunks of one mebibyte; its root is the Merkle root of RFC 6962 over
them (``ledger.merkle``), so that a single chunk can be proven to belong to it. The set's
root is the same tree over one leaf per file, the canonical JSON of its name, size and
root, in the order of names. The digest is that of the canonical JSON that states the
form, the chunk size, the number of files and bytes, and the root. Neither the order in
which a disk lists files nor time stamps, modes or the folder's own name have a part in
it; names do (in Unicode form C).

Hidden files (a dot first) and the notes that Tundish writes beside a set are no part of
it. Links and special files are refused: what lies elsewhere is not in the set.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from tundish.kernel import canonical
from tundish.kernel import digest as digests
from tundish.kernel.digest import Digest
from tundish.kernel.errors import PathMissingError, UnsafePathError
from tundish.kernel.records import Record
from tundish.ledger import merkle

CHUNK = 1024 * 1024
MAX_FILES = 1_000_000
NOTES = ("fetched.json", "lineage.json")
_SAID_EVERY = 256 * CHUNK

Progress = Callable[[str], None]


class FileVersion(Record):
    """One file of a set.

    Attributes:
        name: Relative to the set's folder, with ``/``; Unicode form C.
        size: Bytes.
        root: Merkle root over its chunks, as a digest.
        sha256: Plain digest of its bytes, for other tools; empty if not asked for.
    """

    name: str
    size: int
    root: str
    sha256: str = ""


class DataVersion(Record):
    """The version of a data set.

    Attributes:
        digest: What names it in grades, runs, certificates and the ledger.
        root: Merkle root over its files.
        size: Bytes in all.
        chunk: Bytes in a chunk.
        files: In the order of their names.
    """

    digest: str
    root: str
    size: int
    chunk: int
    files: tuple[FileVersion, ...]


def version_of(
    path: Path, *, sha256: bool = False, progress: Progress | None = None
) -> DataVersion:
    """Return the version of a file or of a folder.

    Memory is bounded by one chunk and one record per file.

    Args:
        path: A file, or a folder with all that lies below it. Untrusted.
        sha256: Compute the plain digest of each file as well (as much work again).
        progress: Told every 256 MiB.

    Raises:
        PathMissingError: if there is nothing, or no file in it, or more than a million.
        UnsafePathError: for links, special files, and names that are no text.
    """
    if path.is_file():
        return version_of_files({path.name: path}, sha256=sha256, progress=progress)
    return version_of_files(files_below(path), sha256=sha256, progress=progress)


def version_of_files(
    files: Mapping[str, Path],
    *,
    sha256: bool = False,
    progress: Progress | None = None,
) -> DataVersion:
    """Return the version of files under the names that they have in the set."""
    tell = _Told(progress)
    read = [_file(name, path, tell, sha256=sha256) for name, path in files.items()]
    return combine(read)


def combine(files: Iterable[FileVersion]) -> DataVersion:
    """Return the version of a set from those of its files; their order does not count.

    Raises:
        UnsafePathError: if two have the same name.
    """
    ordered = tuple(sorted(files, key=lambda file: file.name))
    tree = merkle.Frontier()
    last = None
    for file in ordered:
        if file.name == last:
            msg = f"Two files of the data set have the name {last[:80]!r}."
            raise UnsafePathError(msg)
        last = file.name
        tree.push(merkle.leaf_hash(_leaf(file)))
    root = Digest(f"sha256:{tree.root().hex()}")
    size = sum(file.size for file in ordered)
    stated = digests.of_json(
        {
            "format": "tundish.data",
            "version": 1,
            "chunk": CHUNK,
            "files": len(ordered),
            "size": size,
            "root": root,
        }
    )
    return DataVersion(digest=stated, root=root, size=size, chunk=CHUNK, files=ordered)


def files_below(folder: Path) -> dict[str, Path]:
    """Return name -> path of all files of a set; see the module for what is left out."""
    found: dict[str, Path] = {}
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        if name in NOTES:
            continue
        found[name] = path
        if len(found) > MAX_FILES:
            msg = f"The folder {folder} has more than {MAX_FILES:,} files."
            raise PathMissingError(msg, advice="Name a smaller folder.")
    if not found:
        msg = f"The folder {folder} holds no file."
        raise PathMissingError(msg, advice="Name a folder with data in it.")
    return found


def _walk(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        msg = f"There is no file or folder at {folder}."
        raise PathMissingError(msg)
    todo = [folder]
    while todo:
        here = todo.pop()
        with os.scandir(here) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                mode = entry.stat(follow_symlinks=False).st_mode
                path = here / entry.name
                if stat.S_ISDIR(mode):
                    todo.append(path)
                elif stat.S_ISREG(mode):
                    yield path
                else:
                    msg = f"{path} is a link or a special file, no part of a data set."
                    advice = "Copy the file itself into the folder."
                    raise UnsafePathError(msg, advice=advice)


def _file(name: str, path: Path, tell: _Told, *, sha256: bool) -> FileVersion:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        msg = f"The name of the file {name!a:.80} is no text."
        raise UnsafePathError(msg) from error
    tree, plain, size = merkle.Frontier(), hashlib.sha256(), 0
    with _opened(path) as stream:
        while block := stream.read(CHUNK):
            tree.push(merkle.leaf_hash(block))
            if sha256:
                plain.update(block)
            size += len(block)
            tell.more(len(block))
    return FileVersion(
        name=unicodedata.normalize("NFC", name),
        size=size,
        root=f"sha256:{tree.root().hex()}",
        sha256=f"sha256:{plain.hexdigest()}" if sha256 else "",
    )


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        msg = f"The file {path} cannot be read: {error.strerror}."
        raise PathMissingError(msg, advice="See who may read it.") from error


def _leaf(file: FileVersion) -> bytes:
    return canonical.dumps({"name": file.name, "size": file.size, "root": file.root})


class _Told:
    """Says now and again how many bytes were read."""

    def __init__(self, progress: Progress | None) -> None:
        self._tell = progress
        self._read = self._next = 0

    def more(self, count: int) -> None:
        self._read += count
        if self._tell is not None and self._read >= self._next:
            self._tell(f"digest over {self._read / 1e6:,.0f} MB")
            self._next = self._read + _SAID_EVERY
