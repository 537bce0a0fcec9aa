"""Sets that their makers give out to people only: files in a folder, pinned at first use.

Where the catalogue knows a file's digest it is checked. Else what came first is trusted
and written down, and other bytes under its name are refused from then on.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from tundish.catalog.datasets import DatasetEntry, HandFile, HandSource
from tundish.data.errors import ByHandError, DigestMismatchError, FetchTooLargeError
from tundish.data.fetch.cache import Told
from tundish.data.fetch.mirror import Mirror, MirroredSet
from tundish.data.fetch.shelf import Pin, copy, copy_pinned
from tundish.data.version import files_below
from tundish.kernel import canonical, paths
from tundish.kernel.errors import TundishError
from tundish.kernel.records import Record

MOST_FILES = 100_000


class FirstUse(Record):
    """What was first taken for a set: ``pins/KEY.json`` in the cache."""

    format: Literal["tundish.first-use"] = "tundish.first-use"
    version: Literal[1] = 1
    key: str
    files: dict[str, str] = Field(default_factory=dict)


def import_folder(
    entry: DatasetEntry, folder: Path, made: Path, told: Told, *, most_bytes: int
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Copy the files of a set out of a folder that a person filled.

    Args:
        entry: The set's.
        folder: Untrusted. Files that the entry does not name are left alone.
        made: Where to; empty.
        told: Told which file comes.
        most_bytes: More than these together are not copied.

    Returns:
        Name -> digest, and the names that the catalogue does not pin.

    Raises:
        ByHandError: if a file that the entry names is not there.
        DigestMismatchError: if one that is pinned has other bytes.
        FetchTooLargeError: if they are too many or too large.
    """
    below = files_below(folder)
    chosen = _chosen(entry, below, folder)
    size = sum(below[name].stat().st_size for name in chosen)
    if size > most_bytes:
        msg = f"The files of {entry.key} in {folder} have {size:,} bytes; {most_bytes:,} are allowed."
        raise FetchTooLargeError(msg)
    sums: dict[str, str] = {}
    unpinned = []
    for number, (name, wanted) in enumerate(chosen.items()):
        told(f"copying {name}", number / len(chosen))
        target = paths.join(made, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        come = paths.join(folder, name)
        if wanted.sha256 is None:
            found, _ = copy(come, target)
            unpinned.append(name)
        else:
            found = wanted.sha256
            pin = Pin(name=name, sha256=wanted.sha256, bytes=wanted.bytes)
            copy_pinned(come, target, pin)
        sums[name] = f"sha256:{found}"
    return sums, tuple(unpinned)


def from_mirror(
    entry: DatasetEntry, mirror: Mirror, made: Path
) -> tuple[dict[str, str], tuple[str, ...]] | None:
    """Copy a set out of a mirror whose index lists it; nothing if it does not.

    Returns and raises as ``import_folder``.
    """
    held: MirroredSet | None = (
        mirror.index.sets.get(entry.key) if mirror.index else None
    )
    if held is None:
        return None
    chosen = _chosen(entry, held.files, mirror.root)
    sums: dict[str, str] = {}
    for name, wanted in chosen.items():
        file = held.files[name]
        target = paths.join(made, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        pinned = wanted.sha256 or file.sha256
        pin = Pin(name=name, sha256=pinned, bytes=wanted.bytes or file.bytes)
        mirror.take(entry, pin, target)
        sums[name] = f"sha256:{pinned}"
    return sums, tuple(name for name in chosen if chosen[name].sha256 is None)


def remember(entry: DatasetEntry, sums: Mapping[str, str], cache: Path) -> None:
    """Hold the files against what came first, and write down those that are new.

    Args:
        entry: The set's.
        sums: Digests of the files that the catalogue does not pin.
        cache: Where it is written down.

    Raises:
        DigestMismatchError: if a file is not the one that came first.
    """
    place = cache / "pins" / f"{entry.key}.json"
    before = _first_use(place, entry.key)
    for name, found in sums.items():
        if before.get(name, found) != found:
            msg = f"{name} of {entry.key} is not the file that was imported here first."
            advice = f"If its maker published it anew, remove {place} and import again."
            raise DigestMismatchError(msg, advice=advice)
    kept = FirstUse(key=entry.key, files=before | dict(sums))
    if kept.files != before:
        paths.write_whole(place, canonical.dumps(kept.to_json()))


def known_digests(entry: DatasetEntry, names: Iterable[str]) -> dict[str, str]:
    """Return name -> hex digest for those that the entry pins."""
    source = _source(entry)
    return {
        name: file.sha256
        for name in names
        for file in source.files
        if file.sha256 is not None and _fits(name, file.name)
    }


def is_named(entry: DatasetEntry, name: str) -> bool:
    """Tell whether a file is one of the set."""
    return any(_fits(name, file.name) for file in _source(entry).files)


def _source(entry: DatasetEntry) -> HandSource:
    if not isinstance(entry.source, HandSource):
        msg = f"{entry.key} is no set that is fetched by hand"
        raise TypeError(msg)
    return entry.source


def _first_use(place: Path, key: str) -> dict[str, str]:
    if not place.exists():
        return {}
    try:
        data = paths.read_file(place)
        canonical.loads_canonical(data)
        found = FirstUse.model_validate_json(data)
    except (TundishError, ValidationError) as error:
        msg = f"{place} cannot be read, which says what was first imported of {key}."
        advice = "See who changed it; remove it only if you trust the new files."
        raise DigestMismatchError(msg, advice=advice) from error
    return found.files


def _chosen(
    entry: DatasetEntry, names: Mapping[str, object], folder: Path
) -> dict[str, HandFile]:
    """Return name -> what the entry says of it, in the order of names."""
    chosen: dict[str, HandFile] = {}
    for wanted in sorted(_source(entry).files, key=lambda file: file.sha256 is None):
        fits = [name for name in names if _fits(name, wanted.name)]
        if not fits:
            msg = f"{folder} holds no {wanted.name} ({wanted.what}), which {entry.key} needs."
            raise ByHandError(msg)
        if wanted.sha256 is not None and len(fits) > 1:
            msg = (
                f"{folder} holds {len(fits)} files {wanted.name}; {entry.key} has one."
            )
            raise ByHandError(msg)
        for name in fits:
            chosen.setdefault(name, wanted)
    if len(chosen) > MOST_FILES:
        msg = f"{folder} holds {len(chosen):,} files of {entry.key}; at most {MOST_FILES:,}."
        raise FetchTooLargeError(msg, advice="Name a smaller folder.")
    for name in chosen:
        paths.check_name(name)
    return dict(sorted(chosen.items()))


def _fits(name: str, pattern: str) -> bool:
    """Tell whether a name fits; a pattern without ``/`` speaks of the last part."""
    seen = name if "/" in pattern else name.rpartition("/")[2]
    return fnmatch.fnmatchcase(seen, pattern)
