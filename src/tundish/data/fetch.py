"""Fetch a pinned public data set, through pip's own configuration or from a mirror.

The source is a wheel in a Python package index. pip is asked for exactly the pinned
file (no dependencies, nothing built); the wheel is then read as a zip and never
imported. What ends in the cache was checked member by member.
"""

from __future__ import annotations

import errno
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tundish.catalog.datasets import DatasetEntry, Member, WheelSource
from tundish.data import archive
from tundish.data.archive import ArchiveLimits
from tundish.data.errors import (
    DigestMismatchError,
    IndexUnreachableError,
    PipMissingError,
    SourceAbsentError,
)
from tundish.data.version import DataVersion, version_of_files
from tundish.kernel import canonical, digest, paths
from tundish.kernel.digest import Digest
from tundish.kernel.errors import AirGappedError, DiskFullError, TundishError

Progress = Callable[[str], None]

MANIFEST = "fetched.json"
_NO_NETWORK = (
    "NewConnectionError",
    "ConnectTimeoutError",
    "Failed to establish a new connection",
    "Name or service not known",
    "Temporary failure in name resolution",
    "getaddrinfo failed",
    "Connection refused",
    "Connection aborted",
    "ReadTimeoutError",
    "ProxyError",
    "SSLError",
    "Network is unreachable",
    "Max retries exceeded",
    "ConnectionResetError",
)


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A data set on this machine, checked to the byte.

    Attributes:
        folder: Where its files are.
        files: Name in the set -> path.
        version: Its version; the digest in it is the set's identity.
    """

    folder: Path
    files: dict[str, Path]
    version: DataVersion

    @property
    def digest(self) -> Digest:
        """The set's identity; see ``data.version``."""
        return Digest(self.version.digest)


def fetch(
    entry: DatasetEntry,
    *,
    cache: Path,
    mirror: Path | None = None,
    progress: Progress | None = None,
    offline: bool = False,
) -> Fetched:
    """Return the files of a catalogue entry, from the cache if they are there.

    Args:
        entry: What is pinned. Its digests are trusted; everything fetched is not.
        cache: Folder of fetched sets; made if absent. A set that was fetched once is
            checked and returned without a network.
        mirror: Folder that holds the wheel under its file name or under the hex digits
            of its SHA-256; then no network is used.
        progress: Is told in a few words what is being done.
        offline: Ask no package index: pip would resolve its name.

    Raises:
        AirGappedError: if it is not in the cache, and neither mirror nor index may help.
        IndexUnreachableError, SourceAbsentError, PipMissingError: no wheel was had.
        DigestMismatchError, ArchiveUnsafeError: it is not the pinned one.
        DiskFullError: there is no room in the cache; nothing was changed.
    """
    tell = progress or _silent
    home = cache / "datasets" / f"{entry.key}-{digest.short(_pin(entry))}"
    cached = _from_cache(entry, home)
    if cached:
        tell(f"{entry.key} is in the cache")
        return cached
    if offline and mirror is None:
        msg = f"{entry.key} is not in the cache, and an air-gapped workspace asks no index."
        raise AirGappedError(msg, advice="Name a folder with the wheel by --mirror.")
    with _room(cache), _workplace(cache) as work:
        wheel = _wheel(entry.source, work, mirror, tell)
        tell(f"checking {len(entry.members)} members of {entry.source.file}")
        made = work / "files"
        made.mkdir()
        sums = _unpack(entry, wheel, made, work)
        manifest: canonical.Json = {"files": dict(sums), "source": entry.source.sha256}
        (made / MANIFEST).write_bytes(canonical.dumps(manifest))
        _settle(made, home)
    fetched = _from_cache(entry, home)
    if fetched is None:
        msg = f"The files of {entry.key} changed in {home} while they were fetched."
        raise DigestMismatchError(msg)
    return fetched


def _silent(_: str) -> None:
    return


def _pin(entry: DatasetEntry) -> Digest:
    members: list[canonical.Json] = [member.to_json() for member in entry.members]
    return digest.of_json({"source": entry.source.sha256, "members": members})


def _names(entry: DatasetEntry) -> dict[str, str | None]:
    """Return file name -> pinned digest (``None``: pinned through its archive)."""
    names: dict[str, str | None] = {}
    for member in entry.members:
        if member.inner:
            names.update(dict.fromkeys(member.inner.values()))
        else:
            names[member.save_as] = f"sha256:{member.sha256}"
    return names


def _from_cache(entry: DatasetEntry, home: Path) -> Fetched | None:
    """Return a cached set if every file still has its digest; else nothing."""
    sums = _manifest(home)
    wanted = _names(entry)
    if sums is None or set(sums) != set(wanted):
        return None
    files = {name: paths.join(home, name) for name in sums}
    for name, path in files.items():
        if wanted[name] not in {None, sums[name]} or not path.is_file():
            return None
    version = version_of_files(files, sha256=True)
    if any(file.sha256 != sums[file.name] for file in version.files):
        return None
    return Fetched(folder=home, files=files, version=version)


def _manifest(home: Path) -> dict[str, str] | None:
    try:
        value = canonical.loads_canonical((home / MANIFEST).read_bytes())
    except (OSError, TundishError):
        return None
    files = value.get("files") if isinstance(value, dict) else None
    if not isinstance(files, dict):
        return None
    return {name: text for name, text in files.items() if isinstance(text, str)}


@contextmanager
def _workplace(cache: Path) -> Iterator[Path]:
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".fetching-") as name:
        yield Path(name)


@contextmanager
def _room(cache: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            msg = f"There is no room on the disk below {cache}."
            raise DiskFullError(msg) from error
        raise


def _settle(made: Path, home: Path) -> None:
    """Put a finished folder in its place in one step; a damaged older one goes."""
    home.parent.mkdir(parents=True, exist_ok=True)
    if home.exists():
        home.rename(made.parent / "old")
    try:
        made.rename(home)
    except OSError:
        if not home.is_dir():  # else another process was quicker
            raise


def _wheel(
    source: WheelSource, work: Path, mirror: Path | None, tell: Progress
) -> Path:
    if mirror is None:
        tell(f"asking pip for {source.package} {source.version}")
        wheel = _by_pip(source, work)
    else:
        tell(f"taking {source.file} from {mirror}")
        wheel = _by_mirror(source, mirror)
    found = digest.hex_part(digest.of_file(wheel))
    if found != source.sha256:
        msg = (
            f"{wheel.name} has the SHA-256 {found[:12]}..., and the catalogue pins "
            f"{source.sha256[:12]}...."
        )
        raise DigestMismatchError(msg)
    return wheel


def _by_mirror(source: WheelSource, mirror: Path) -> Path:
    folder = paths.existing_folder(mirror)
    names = (source.file, source.sha256, f"{source.sha256}.whl")
    for name in names:
        if (folder / name).is_file():
            return folder / name
    msg = f"The mirror {mirror} has neither {source.file} nor {source.sha256}."
    raise SourceAbsentError(msg)


def _by_pip(source: WheelSource, work: Path) -> Path:
    """Let pip download the pinned wheel; its output is read and never passed on.

    ``-P`` keeps a ``pip.py`` in the current folder from being run as pip.
    """
    wanted = work / "requirements.txt"
    wanted.write_text(
        f"{source.package}=={source.version} --hash=sha256:{source.sha256}\n"
    )
    into = work / "wheel"
    options = {
        "--requirement": str(wanted),
        "--dest": str(into),
        "--implementation": source.implementation,
        "--abi": source.abi,
        "--platform": source.platform,
        "--python-version": source.python_version,
    }
    flat = [part for pair in options.items() for part in pair]
    fixed = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--no-input"]
    quiet = ["--disable-pip-version-check", "--progress-bar", "off"]
    command = [sys.executable, "-P", "-m", "pip", "download", *fixed, *quiet, *flat]
    try:
        done = subprocess.run(  # noqa: S603  (a fixed command; values come from the catalogue)
            command, capture_output=True, text=True, errors="replace", check=False
        )
    except FileNotFoundError as error:
        msg = f"Python could not be started again ({sys.executable})."
        raise PipMissingError(msg) from error
    if done.returncode:
        raise _why_pip_failed(source, done.stdout + done.stderr)
    wheel = into / source.file
    if not wheel.is_file():
        have = ", ".join(sorted(path.name for path in into.glob("*"))) or "nothing"
        msg = f"pip was asked for {source.file} and brought {have}."
        raise SourceAbsentError(msg)
    return wheel


def _why_pip_failed(source: WheelSource, said: str) -> TundishError:
    if "No module named pip" in said:
        return PipMissingError("This Python has no pip, which fetches public sets.")
    if "No space left on device" in said or "Disk quota exceeded" in said:
        return DiskFullError("There is no room on the disk for what pip fetches.")
    if "DO NOT MATCH THE HASHES" in said:
        msg = f"The index's {source.file} is not the file that the catalogue pins."
        return DigestMismatchError(msg)
    if any(sign in said for sign in _NO_NETWORK):
        msg = f"No package index could be reached for {source.file}."
        return IndexUnreachableError(msg)
    msg = f"None of the package indexes that pip knows offered {source.file}."
    return SourceAbsentError(msg)


def _unpack(
    entry: DatasetEntry, wheel: Path, made: Path, work: Path
) -> dict[str, Digest]:
    limits = ArchiveLimits()
    sums: dict[str, Digest] = {}
    with archive.opened(wheel, limits) as opened:
        for member in entry.members:
            target = work / "inner.zip"
            if not member.inner:
                target = paths.join(made, member.save_as)
                target.parent.mkdir(parents=True, exist_ok=True)
            found = archive.extract(opened, member.path, target, limits)
            _same(member, found)
            if member.inner:
                sums |= _unpack_inner(target, member, made, limits)
                target.unlink()
            else:
                sums[member.save_as] = found
    return sums


def _unpack_inner(
    zipped: Path, member: Member, made: Path, limits: ArchiveLimits
) -> dict[str, Digest]:
    sums = {}
    with archive.opened(zipped, limits) as opened:
        for name, save_as in member.inner.items():
            target = paths.join(made, save_as)
            target.parent.mkdir(parents=True, exist_ok=True)
            sums[save_as] = archive.extract(opened, name, target, limits)
    return sums


def _same(member: Member, found: Digest) -> None:
    if digest.hex_part(found) != member.sha256:
        msg = (
            f"{member.path} has the SHA-256 {digest.short(found)}..., and the catalogue "
            f"pins {member.sha256[:12]}...."
        )
        raise DigestMismatchError(msg)
