"""Sets that a Python package carries: the pinned wheel, through pip's own configuration.

pip is asked for exactly the pinned file (no dependencies, nothing built); the wheel is
then read as a zip and never imported. Each member is checked.
"""

from __future__ import annotations

import csv
import io
import subprocess
import sys
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
from tundish.data.fetch.cache import Told
from tundish.data.fetch.mirror import Mirror
from tundish.data.fetch.shelf import Pin
from tundish.kernel import canonical, digest, paths
from tundish.kernel.canonical import Json
from tundish.kernel.digest import Digest
from tundish.kernel.errors import DiskFullError, TundishError

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


def names_of(entry: DatasetEntry) -> dict[str, str | None]:
    """Return file name -> pinned digest (``None``: pinned through its archive)."""
    names: dict[str, str | None] = {}
    for member in entry.members:
        if member.parts:
            names.update(dict.fromkeys(member.parts.values()))
        else:
            names[member.save_as] = f"sha256:{member.sha256}"
    return names


def pin_of(source: WheelSource) -> Pin:
    """Return what the wheel must be."""
    return Pin(name=source.file, sha256=source.sha256, bytes=source.bytes)


def bring(
    entry: DatasetEntry,
    source: WheelSource,
    work: Path,
    told: Told,
    mirror: Mirror | None = None,
) -> Path:
    """Bring the pinned wheel into a folder, from a mirror or through pip.

    Raises:
        IndexUnreachableError, SourceAbsentError, PipMissingError: it was not had.
        DigestMismatchError: it is not the pinned one.
    """
    if mirror is not None:
        told(f"taking {source.file} from {mirror.root}", 0.0)
        wheel = work / source.file
        mirror.take(entry, pin_of(source), wheel)
        return wheel
    told(f"asking pip for {source.package} {source.version}", 0.0)
    wheel = _by_pip(source, work)
    found = digest.hex_part(digest.of_file(wheel))
    if found != source.sha256:
        msg = (
            f"{wheel.name} has the SHA-256 {found[:12]}..., and the catalogue pins "
            f"{source.sha256[:12]}...."
        )
        raise DigestMismatchError(msg)
    return wheel


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


def unpack(
    entry: DatasetEntry, wheel: Path, made: Path, work: Path
) -> dict[str, Digest]:
    """Take the members of a set out of its wheel; return name -> digest.

    Raises:
        DigestMismatchError, ArchiveUnsafeError: a member is not the pinned one.
    """
    limits = ArchiveLimits()
    sums: dict[str, Digest] = {}
    with archive.opened(wheel, limits) as opened:
        for member in entry.members:
            target = work / "inner"
            if not member.parts:
                target = paths.join(made, member.save_as)
                target.parent.mkdir(parents=True, exist_ok=True)
            found = archive.extract(opened, member.path, target, limits)
            _same(member, found)
            if member.parts:
                take = _unpack_inner if member.inner else _cut_tables
                sums |= take(target, member, made, limits)
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


def _cut_tables(
    source: Path, member: Member, made: Path, limits: ArchiveLimits
) -> dict[str, Digest]:
    """Write tables of a JSON file as CSV; the file was checked, its form is not."""
    whole = canonical.loads(
        paths.read_file(source, most=limits.member_bytes),
        max_bytes=limits.member_bytes,
    )
    sums = {}
    for way, save_as in member.tables.items():
        columns, rows = _table_at(whole, way, member)
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
        target = paths.join(made, save_as)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.getvalue(), encoding="utf-8", newline="")
        sums[save_as] = digest.of_file(target)
    return sums


def _table_at(
    value: Json, way: str, member: Member
) -> tuple[list[Json], list[list[Json]]]:
    for step in way.split("/"):
        value = _step(value, step)
    if isinstance(value, dict):
        columns, rows = value.get("columns"), value.get("rows")
        if (
            isinstance(columns, list)
            and isinstance(rows, list)
            and all(isinstance(r, list) and len(r) == len(columns) for r in rows)
        ):
            return columns, [row for row in rows if isinstance(row, list)]
    msg = f"{member.path} has no table of columns and rows at {way}."
    raise SourceAbsentError(msg)


def _step(value: Json, step: str) -> Json:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list):
        named = [v for v in value if isinstance(v, dict) and v.get("name") == step]
        return named[0] if len(named) == 1 else None
    return None


def _same(member: Member, found: Digest) -> None:
    if digest.hex_part(found) != member.sha256:
        msg = (
            f"{member.path} has the SHA-256 {digest.short(found)}..., and the catalogue "
            f"pins {member.sha256[:12]}...."
        )
        raise DigestMismatchError(msg)
