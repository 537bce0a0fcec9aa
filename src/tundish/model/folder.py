"""Folders read once into memory: plain files only, and no way out.

Every file is opened relative to its folder without following links, and what was
opened is what is checked: nothing is looked at twice.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from tundish.kernel import paths
from tundish.model.errors import (
    PackageFileExtraError,
    PackagePlaceTakenError,
    PackageTooLargeError,
)

MAX_FILES = 1000
MAX_DEPTH = 8
MAX_BYTES = 4 * 1024**3
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def read(
    folder: Path, *, depth: int = 0, only: frozenset[str] | None = None
) -> dict[str, bytes]:
    """Return the files below a folder by name.

    Args:
        folder: Untrusted folder.
        depth: How many levels of folders may lie in it.
        only: Folders that may lie in it, instead of any down to ``depth``; they hold
            no folders themselves.

    Raises:
        PathMissingError: if there is no folder.
        PackageFileExtraError: for links, devices, pipes and folders too deep.
        PackageTooLargeError: if there are too many files or bytes.
        UnsafePathError: if a name is not safe on every system.
    """
    handle = os.open(paths.existing_folder(folder), os.O_RDONLY | os.O_DIRECTORY)
    try:
        files: dict[str, bytes] = {}
        _read_into(files, handle, "", 1 if only else min(depth, MAX_DEPTH), only)
        return files
    finally:
        os.close(handle)


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files as a new folder: all of them, or nothing.

    Raises:
        PackagePlaceTakenError: if something is there, unless an empty folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        msg = f"A package was to be written to {folder}, and something is there."
        raise PackagePlaceTakenError(msg)
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.parent / f".{folder.name}.{os.getpid()}"
    fresh.mkdir()
    try:
        for name, data in files.items():
            paths.write_whole(paths.join(fresh, name), data)
        fresh.rename(folder)
    except BaseException:
        shutil.rmtree(fresh)
        raise


def _read_into(
    files: dict[str, bytes],
    handle: int,
    above: str,
    depth: int,
    only: frozenset[str] | None = None,
) -> None:
    for entry in sorted(os.listdir(handle)):
        name = paths.check_name(f"{above}{entry}")
        status = os.stat(entry, dir_fd=handle, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode) and depth > 0 and (not only or name in only):
            inner = os.open(entry, _FLAGS | os.O_DIRECTORY, dir_fd=handle)
            try:
                _read_into(files, inner, f"{name}/", depth - 1)
            finally:
                os.close(inner)
            if only and not any(item.startswith(f"{name}/") for item in files):
                msg = f"The package holds the empty folder {name!r}."
                raise PackageFileExtraError(msg)
            continue
        if not stat.S_ISREG(status.st_mode):
            msg = f"The package holds {name!r}, which is no plain file."
            raise PackageFileExtraError(msg)
        if len(files) >= MAX_FILES:
            msg = f"A package has more than {MAX_FILES} files."
            raise PackageTooLargeError(msg)
        files[name] = _read_file(handle, entry, name)


def _read_file(handle: int, entry: str, name: str) -> bytes:
    try:
        opened = os.open(entry, _FLAGS, dir_fd=handle)
    except OSError as error:
        msg = f"The package holds {name!r}, which cannot be opened as a plain file."
        raise PackageFileExtraError(msg) from error
    with os.fdopen(opened, "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            msg = f"The package holds {name!r}, which is no plain file."
            raise PackageFileExtraError(msg)
        if status.st_size > MAX_BYTES:
            msg = f"The file {name!r} has {status.st_size} bytes; at most {MAX_BYTES}."
            raise PackageTooLargeError(msg)
        return stream.read(status.st_size + 1)
