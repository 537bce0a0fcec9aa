"""A wheelhouse: a folder from which Tundish installs on a box that has no network.

Its manifest names every file with size and digest, and every wheel with its licence. A
signature over the manifest is a file beside it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tundish.flows.errors import WheelhouseChangedError
from tundish.flows.wheelfile import read_wheel
from tundish.flows.workspace import Workspace, digest_of
from tundish.kernel import digest as digests
from tundish.kernel import paths
from tundish.kernel.digest import Digest, hex_part
from tundish.kernel.errors import TundishError
from tundish.kernel.records import Record, SignedRecord
from tundish.kernel.texts import visible
from tundish.seal import armour, dsse, signedtext
from tundish.seal.errors import SignatureMalformedError
from tundish.seal.fields import Moment
from tundish.seal.signedtext import TextForm

WHEELS, MANIFEST, SIGNATURE = "wheels", "manifest.json", "manifest.sig"
REQUIREMENTS, SCRIPT, WINDOWS = "requirements.txt", "install.sh", "install-windows.txt"
UNFINISHED = "unfinished.json"
PAYLOAD_TYPE = "application/vnd.tundish.wheelhouse.v1+json"
KIND = "WHEELHOUSE"
MANIFEST_BYTES = 4 * 1024 * 1024
MOST_WHEELS = 2000

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Plain = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$")
]


class HeldFile(SignedRecord):
    """A file of the folder."""

    name: Plain
    size: Annotated[int, Field(ge=0)]
    sha256: Sha256


class HeldWheel(HeldFile):
    """A wheel of the folder ``wheels``.

    Attributes:
        distribution: Normalised name of what it installs.
        release: Its version.
        licence: As its metadata say.
    """

    distribution: Plain
    release: Plain
    licence: Annotated[str, StringConstraints(max_length=200)]


class Manifest(SignedRecord):
    """What a wheelhouse holds, and for which machines."""

    format: Literal["tundish.wheelhouse"] = "tundish.wheelhouse"
    version: Literal[1] = 1
    tundish: Plain
    extras: tuple[Plain, ...]
    python: Plain
    platforms: Annotated[tuple[Plain, ...], Field(min_length=1)]
    made_at: Moment
    wheels: Annotated[
        tuple[HeldWheel, ...], Field(min_length=1, max_length=MOST_WHEELS)
    ]
    files: Annotated[tuple[HeldFile, ...], Field(max_length=16)]


FORM = TextForm(
    kind=KIND,
    payload_type=PAYLOAD_TYPE,
    body=Manifest,
    what="A wheelhouse's manifest",
    error=WheelhouseChangedError,
)


class WheelhouseReport(Record):
    """A wheelhouse that was made or verified.

    Attributes:
        digest: Of the manifest; ``install.sh`` prints the same.
        signer: Key that signed it; None: nobody did.
        size: Bytes of all files.
        licences: Each licence, and the wheels under it.
    """

    folder: str
    tundish: str
    extras: tuple[str, ...]
    python: str
    platforms: tuple[str, ...]
    wheels: int
    size: int
    digest: str
    signer: str | None
    licences: dict[str, tuple[str, ...]]


def signed(manifest: bytes, workspace: Workspace) -> bytes:
    """Return the signature of the workspace's key over a manifest, as a text."""
    return armour.wrap(KIND, dsse.sign(PAYLOAD_TYPE, manifest, workspace.key))


def verify(
    folder: Path, workspace: Workspace | None, *, unsigned: bool = False
) -> WheelhouseReport:
    """Hold every file of a wheelhouse against its manifest, and that against its signer.

    Args:
        folder: The wheelhouse; nothing in it is trusted or run.
        workspace: Whose trusted keys may have signed; None only if ``unsigned``.
        unsigned: Accept one that nobody signed.

    Raises:
        WheelhouseChangedError: if a file is missing, was changed or is one too many, or
            if nobody signed.
        SignerUntrustedError, KeyRevokedError, ...: if the signature does not count here.
        WheelMalformedError: if a wheel is not what its name says.
    """
    paths.existing_folder(folder)
    data = paths.read_file(folder / MANIFEST, most=MANIFEST_BYTES)
    manifest = read_manifest(data)
    signer = _signer(folder, data, workspace, unsigned=unsigned)
    _require_same_files(folder, manifest)
    for wheel in manifest.wheels:
        _require_wheel(folder / WHEELS / wheel.name, wheel)
    for file in manifest.files:
        _require_same(folder / file.name, file)
    return describe(folder, manifest, digests.of_bytes(data), signer)


def read_manifest(data: bytes) -> Manifest:
    """Return a manifest.

    Args:
        data: Untrusted bytes.

    Raises:
        WheelhouseChangedError: if they are not canonical, or name a file twice.
    """
    try:
        found = dsse.read_record(data, Manifest, what="manifest of a wheelhouse")
    except SignatureMalformedError as error:
        raise WheelhouseChangedError(error.message) from error
    for names in (found.wheels, found.files):
        if len({item.name for item in names}) != len(names):
            msg = "The manifest of a wheelhouse names a file twice."
            raise WheelhouseChangedError(msg)
    return found


def describe(
    folder: Path, manifest: Manifest, digest: Digest, signer: str | None
) -> WheelhouseReport:
    """Return what there is to say of a wheelhouse."""
    licences: dict[str, tuple[str, ...]] = {}
    for wheel in manifest.wheels:
        said = f"{wheel.distribution} {wheel.release}"
        licences[wheel.licence] = (*licences.get(wheel.licence, ()), said)
    return WheelhouseReport(
        folder=str(folder),
        tundish=manifest.tundish,
        extras=manifest.extras,
        python=manifest.python,
        platforms=manifest.platforms,
        wheels=len(manifest.wheels),
        size=sum(item.size for item in (*manifest.wheels, *manifest.files)),
        digest=digest,
        signer=signer,
        licences=licences,
    )


def held(path: Path) -> HeldFile:
    """Return name, size and digest of a file."""
    sha256 = hex_part(digest_of(path))
    return HeldFile(name=path.name, size=path.stat().st_size, sha256=sha256)


def held_wheel(path: Path) -> HeldWheel:
    """Return what a manifest says of a wheel.

    Raises:
        WheelMalformedError: if it is not what its name says.
    """
    facts, file = read_wheel(path), held(path)
    return HeldWheel(
        name=file.name,
        size=file.size,
        sha256=file.sha256,
        distribution=facts.name,
        release=facts.version,
        licence=facts.licence,
    )


def _signer(
    folder: Path, manifest: bytes, workspace: Workspace | None, *, unsigned: bool
) -> str | None:
    path = folder / SIGNATURE
    if not path.exists() or workspace is None:
        if unsigned:
            return None
        msg = "Nobody signed this wheelhouse."
        advice = "Have it signed where it is made (--sign), or give --unsigned."
        raise WheelhouseChangedError(msg, advice=advice)
    text = paths.read_file(path, most=2 * MANIFEST_BYTES)
    trust = workspace.standing()
    known = [item.key for item in trust.known]
    _body, payload, key = signedtext.read(text, known, FORM)
    if payload != manifest:
        msg = "The signature of a wheelhouse is of another manifest."
        raise WheelhouseChangedError(msg)
    trust.check_key(key.key_id, digests.of_bytes(payload))
    return key.key_id


def _require_same_files(folder: Path, manifest: Manifest) -> None:
    """Refuse a file that the manifest does not name: pip might take it."""
    named = {MANIFEST, SIGNATURE, WHEELS, *(file.name for file in manifest.files)}
    _require_no_other(folder, named)
    wheels = paths.existing_folder(folder / WHEELS)
    _require_no_other(wheels, {wheel.name for wheel in manifest.wheels})


def _require_no_other(folder: Path, named: set[str]) -> None:
    if strange := sorted({entry.name for entry in os.scandir(folder)} - named):
        msg = f"The folder {folder} holds {visible(strange[0])[:100]}, which its manifest does not name."
        raise WheelhouseChangedError(msg)


def _require_wheel(path: Path, said: HeldWheel) -> None:
    _require_same(path, said)
    facts = read_wheel(path)
    if (facts.name, facts.version) != (said.distribution, said.release):
        msg = f"The manifest of a wheelhouse calls {said.name} {said.distribution} {said.release}."
        raise WheelhouseChangedError(msg)


def _require_same(path: Path, said: HeldFile) -> None:
    try:
        paths.existing_file(path)
        found = held(path)
    except (TundishError, OSError) as error:
        msg = f"The file {said.name} of a wheelhouse is missing or cannot be read."
        raise WheelhouseChangedError(msg) from error
    if (found.size, found.sha256) != (said.size, said.sha256) or path.is_symlink():
        msg = f"The file {said.name} of a wheelhouse was changed."
        raise WheelhouseChangedError(msg)
