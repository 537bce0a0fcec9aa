"""The cache of fetched sets: settled in one step, checked to the byte whenever used.

``datasets/KEY-PIN/`` holds the files of a set and ``fetched.json``, which says what they
were when they were fetched. ``halves/KEY-PIN/`` holds what came of a set that is not
whole yet, by digest.
"""

from __future__ import annotations

import errno
import fcntl
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from tundish.catalog.datasets import DatasetEntry, HandSource, Sha256
from tundish.data.version import DataVersion, version_of_files
from tundish.kernel import canonical, digest, paths
from tundish.kernel.digest import Digest
from tundish.kernel.errors import DiskFullError, TundishError
from tundish.kernel.records import Record

Told = Callable[[str, float], None]
"""Told in a few words what is being done, and which share of it is behind."""

MANIFEST = "fetched.json"


class Manifest(Record):
    """What ``fetched.json`` says of a set.

    Attributes:
        key: Of the set.
        source: Digest of the wheel, of the list of files, or of the entry's source.
        files: Name -> digest, as they were fetched.
        first_use: Names whose digest nobody had pinned: what came first is trusted.
    """

    format: Literal["tundish.fetched"] = "tundish.fetched"
    version: Literal[1] = 1
    key: str = ""  # older ones lack it
    source: Sha256
    files: dict[str, str]
    first_use: tuple[str, ...] = Field(default=())


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A data set on this machine, checked to the byte.

    Attributes:
        folder: Where its files are.
        files: Name in the set -> path.
        version: Its version; the digest in it is the set's identity.
        first_use: Names of files that nobody had pinned before.
        fresh: Whether it was fetched now, and not found in the cache.
    """

    folder: Path
    files: dict[str, Path]
    version: DataVersion
    first_use: tuple[str, ...] = ()
    fresh: bool = False

    @property
    def digest(self) -> Digest:
        """The set's identity; see ``data.version``."""
        return Digest(self.version.digest)


def source_digest(entry: DatasetEntry) -> str:
    """Return the hex digits of what the entry pins its source by."""
    if isinstance(entry.source, HandSource):
        return digest.hex_part(digest.of_json(entry.source.beyond_defaults()))
    return entry.source.sha256


def folder_name(entry: DatasetEntry) -> str:
    """Return the name of a set's folder in the cache: another pin, another folder."""
    members: list[canonical.Json] = [member.to_json() for member in entry.members]
    pin = digest.of_json({"source": source_digest(entry), "members": members})
    return f"{entry.key}-{digest.short(pin)}"


def home_of(entry: DatasetEntry, cache: Path) -> Path:
    """Return the folder of a set in the cache, whether it is there or not."""
    return cache / "datasets" / folder_name(entry)


def is_there(entry: DatasetEntry, cache: Path) -> bool:
    """Tell whether a set seems to be in the cache; ``look`` proves it."""
    manifest = manifest_of(home_of(entry, cache))
    return manifest is not None and manifest.source == source_digest(entry)


def look(
    entry: DatasetEntry, home: Path, wanted: Mapping[str, str | None]
) -> Fetched | None:
    """Return a cached set if every file still has its digest; else nothing.

    Args:
        entry: Whose it is.
        home: Its folder.
        wanted: Name -> pinned digest; ``None`` where only the manifest knows it: it was
            pinned through its archive, or nobody had pinned it before it came.
    """
    manifest = manifest_of(home)
    if manifest is None or manifest.source != source_digest(entry):
        return None
    sums = manifest.files
    if not sums or set(sums) != set(wanted):
        return None
    try:
        files = {name: paths.join(home, name) for name in sums}
    except TundishError:
        return None
    for name, path in files.items():
        if wanted[name] not in {None, sums[name]} or not path.is_file():
            return None
    version = version_of_files(files, sha256=True)
    if any(file.sha256 != sums[file.name] for file in version.files):
        return None
    return Fetched(
        folder=home, files=files, version=version, first_use=manifest.first_use
    )


def manifest_of(home: Path) -> Manifest | None:
    """Return what a folder says of itself; nothing if it has no readable manifest."""
    try:
        data = paths.read_file(home / MANIFEST)
        canonical.loads_canonical(data)
        return Manifest.model_validate_json(data)
    except (OSError, TundishError, ValidationError):
        return None


def write_manifest(made: Path, manifest: Manifest) -> None:
    """Write what a folder says of itself."""
    (made / MANIFEST).write_bytes(canonical.dumps(manifest.to_json()))


@contextmanager
def workplace(cache: Path) -> Iterator[Path]:
    """Give a folder in the cache that is gone at the end."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".fetching-") as name:
        yield Path(name)


@contextmanager
def room(place: Path) -> Iterator[None]:
    """Say in one sentence that the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            msg = f"There is no room on the disk below {place}."
            raise DiskFullError(msg) from error
        raise


@contextmanager
def alone(folder: Path, told: Told) -> Iterator[None]:
    """Keep other processes from the same half set; the lock goes with its process."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("wb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told("another command fetches it; waiting", 0.0)
            fcntl.flock(stream, fcntl.LOCK_EX)
        except OSError:  # some network disks have no locks; digests still hold
            told("this disk keeps no locks", 0.0)
        yield


def settle(made: Path, home: Path) -> None:
    """Put a finished folder in its place in one step; a damaged older one goes."""
    home.parent.mkdir(parents=True, exist_ok=True)
    if home.exists():
        home.rename(made.parent / "old")
    try:
        made.rename(home)
    except OSError:
        if not home.is_dir():  # else another process was quicker
            raise
