"""Making a mirror: the files of sets by digest in a folder that a USB stick carries."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tundish.catalog.datasets import DatasetEntry, HandSource, WheelSource
from tundish.catalog.filelist import PinnedFile
from tundish.data.errors import ByHandError
from tundish.data.fetch import tree, wheel
from tundish.data.fetch.cache import Fetched, room, source_digest
from tundish.data.fetch.mirror import (
    INDEX,
    MOST_INDEX_BYTES,
    Mirror,
    MirroredFile,
    MirroredSet,
    MirrorIndex,
    parse_index,
)
from tundish.data.fetch.obtain import How, cached, refuse_network
from tundish.data.fetch.shelf import Pin, Shelf, copy_pinned
from tundish.kernel import canonical, digest, paths


def add(
    entry: DatasetEntry, files: tuple[PinnedFile, ...], out: Path, cache: Path, how: How
) -> MirroredSet:
    """Put every file of a set into a mirror; what is there already stays.

    Args:
        entry: The set.
        files: Its list.
        out: The mirror.
        cache: Sets that are here are copied, and no host is asked.
        how: Where the others come from.

    Returns:
        What its index has to say of the set.

    Raises:
        As ``obtain.fetch``; what came is kept.
    """
    shelf = Shelf(root=out)
    with room(out):
        if isinstance(entry.source, WheelSource):
            held = _wheel(entry, entry.source, shelf, how)
        elif isinstance(entry.source, HandSource):
            held = _hand(entry, shelf, cache)
        else:
            held = _tree(entry, files, shelf, cache, how)
    return MirroredSet(
        source=source_digest(entry),
        licence=entry.licence.name,
        licence_class=entry.licence.kind,
        files=held,
    )


def note(out: Path, key: str, held: MirroredSet) -> MirrorIndex:
    """Write a set into the index of a mirror; the sets that it has stay.

    Raises:
        MirrorInvalidError: if the index that is there is none.
    """
    index = MirrorIndex(sets={**sets_in(out), key: held})
    paths.write_whole(out / INDEX, canonical.dumps(index.to_json()))
    return index


def sets_in(out: Path) -> dict[str, MirroredSet]:
    """Return what the index of a mirror lists; nothing if there is none yet.

    Raises:
        MirrorInvalidError: if the index that is there is none of a mirror.
    """
    place = out / INDEX
    if not place.is_file():
        return {}
    data = paths.read_file(place, most=MOST_INDEX_BYTES)
    return dict(parse_index(data, str(place)).sets)


def _tree(
    entry: DatasetEntry,
    files: tuple[PinnedFile, ...],
    shelf: Shelf,
    cache: Path,
    how: How,
) -> dict[str, MirroredFile]:
    here: Fetched | None = cached(entry, files, cache)
    source = None if how.mirror is None else Mirror.at(how.mirror)
    if here is not None:
        source = Mirror(root=cache)
    elif source is None:
        refuse_network(entry, how)
    tree.gather(entry, files, shelf, how.told, mirror=source, patience=how.patience)
    return {
        file.name: MirroredFile(sha256=file.sha256, bytes=file.bytes) for file in files
    }


def _wheel(
    entry: DatasetEntry, source: WheelSource, shelf: Shelf, how: How
) -> dict[str, MirroredFile]:
    """Put the wheel in: the cache holds only what was taken out of it."""
    if not shelf.has(source.sha256, source.bytes):
        mirror = None if how.mirror is None else Mirror.at(how.mirror)
        refuse_network(entry, how)
        shelf.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=shelf.root, prefix=".fetching-") as work:
            got = wheel.bring(entry, source, Path(work), how.told, mirror)
            got.replace(shelf.part(source.sha256))
        shelf.take(source.sha256)
    return {source.file: MirroredFile(sha256=source.sha256, bytes=source.bytes)}


def _hand(entry: DatasetEntry, shelf: Shelf, cache: Path) -> dict[str, MirroredFile]:
    here = cached(entry, (), cache)
    if here is None:
        msg = f"{entry.key} was not imported yet, and only people are given it."
        raise ByHandError(msg)
    held = {}
    for file in here.version.files:
        sha256 = digest.hex_part(file.sha256)
        if not shelf.has(sha256, file.size):
            pin = Pin(name=file.name, sha256=sha256, bytes=file.size)
            copy_pinned(here.files[file.name], shelf.part(sha256), pin)
            shelf.take(sha256)
        held[file.name] = MirroredFile(sha256=sha256, bytes=file.size)
    return held
