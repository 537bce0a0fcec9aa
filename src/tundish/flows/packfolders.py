"""Folders of packs on a disk: read whole, and kept so that one release is always there.

A workspace keeps a release as ``NAME.RELEASE``. A new one is put beside the old one under
its own name, in one step, and the old one is taken out afterwards: whatever breaks off in
between, the newest folder that is there is whole. An older one never stands in for it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from tundish.catalog.errors import PackMalformedError
from tundish.kernel import paths
from tundish.seal.packsignature import MOST_FILES

_MOST_BYTES = 64 * 1024**2  # of all files together
_KEPT = re.compile(r"([a-z0-9][a-z0-9-]{0,49})\.([1-9][0-9]{0,9})", re.ASCII)
_LOCK = ".lock"


def read(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder; links are refused, so that none leads outside.

    Args:
        folder: Untrusted.

    Raises:
        PackMalformedError: if it holds a link, folders in a folder, or too much.
        PathMissingError: if it is none, or holds what is no plain file.
        PlaceRefusedError: if a part of it may not be read.
    """
    try:
        return _read(paths.existing_folder(folder))
    except OSError as error:
        raise paths.refused(error, folder) from error


def _read(folder: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    room = _MOST_BYTES
    for name in _files_in(folder):
        if len(files) > MOST_FILES or room <= 0:  # one of them is the signature
            msg = f"{folder} holds more than a pack may: {MOST_FILES} files and {_MOST_BYTES} bytes."
            raise PackMalformedError(msg)
        place = paths.join(folder, name)
        files[name] = paths.read_file(place, most=min(room, paths.DOCUMENT_BYTES))
        room -= len(files[name])
    return files


def _files_in(folder: Path) -> Iterator[str]:
    """Give the names of files; what may not be looked into is an error, not left out."""
    for root, folders, files in os.walk(folder, onerror=_stop):
        here = Path(root)
        for name in sorted((*folders, *files)):
            if (here / name).is_symlink():
                msg = f"{here / name} is a link; a pack holds plain files."
                raise PackMalformedError(msg)
        if folders and here != folder:  # also: nobody walks down a thousand of them
            msg = f"{here / min(folders)} is a folder in a folder; a pack has none."
            raise PackMalformedError(msg)
        folders.sort()
        for name in sorted(files):
            yield (here / name).relative_to(folder).as_posix()


def _stop(error: OSError) -> NoReturn:
    raise error


def kept(root: Path) -> dict[str, Path]:
    """Return the name of each pack of a workspace -> the folder of its newest release.

    Raises:
        PlaceRefusedError: if the system does not let it be read.
    """
    rising = sorted(_releases(root))  # so that the newest one stays
    return {name: _place(root, name, release) for name, release in rising}


def keep(
    place: Path, release: int, files: Mapping[str, bytes], note: Callable[[], None]
) -> None:
    """Keep a release in place of the one of before, or change nothing.

    Args:
        place: Folder of the packs and name of this one.
        release: Its number.
        files: All of them.
        note: Called when all is written and nothing counts yet; may refuse.

    Raises:
        DiskFullError, PlaceRefusedError: the old release stands.
    """
    root, name = place.parent, place.name
    with _passing(root) as temporary:
        fresh = temporary / "fresh"
        for file, data in files.items():
            paths.write_whole(paths.join(fresh, file), data)
        note()
        new = _place(root, name, release)
        if new.exists():  # the same one again: it may have been changed where it lies
            new.rename(temporary / "old")
        fresh.rename(new)
        _take_out(root, name, temporary, but=release)


def take_out(root: Path, name: str) -> None:
    """Remove all releases of a pack.

    Raises:
        PlaceRefusedError: if the system does not let them be removed.
    """
    with _passing(root) as temporary:
        _take_out(root, name, temporary)


def _take_out(root: Path, name: str, into: Path, but: int = 0) -> None:
    for there, release in _releases(root):
        if there == name and release != but:
            _place(root, name, release).rename(into / str(release))


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Let no other process add a pack meanwhile: two may not take one name.

    Raises:
        PlaceRefusedError: if the system does not let anything be written there.
    """
    try:
        root.mkdir(exist_ok=True)
        stream = paths.lock_stream(root / _LOCK)
    except OSError as error:
        raise paths.refused(error, root) from error
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextmanager
def _passing(root: Path) -> Iterator[Path]:
    """Give a folder that is gone afterwards, with all that was moved into it."""
    try:
        temporary = Path(tempfile.mkdtemp(dir=root, prefix="."))
        try:
            yield temporary
        finally:
            with suppress(OSError):  # what counts was done, or was not
                shutil.rmtree(temporary)
    except OSError as error:
        raise paths.refused(error, root) from error


def _releases(root: Path) -> list[tuple[str, int]]:
    try:
        named = [_KEPT.fullmatch(one.name) for one in root.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise paths.refused(error, root) from error
    return [(found[1], int(found[2])) for found in named if found]


def _place(root: Path, name: str, release: int) -> Path:
    return root / f"{name}.{release}"
