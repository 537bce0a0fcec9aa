"""Models that another tool signed, brought in by explicit import only.

Upstream's signature has no version, no end date and more than one form, so an imported
model is not a package: it must be judged and sealed here before it can run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tundish.kernel.digest import Digest
from tundish.model import folder, formats
from tundish.model.errors import (
    PackageFileChangedError,
    PackageFileExtraError,
    PackageFileMissingError,
    PackageUnsignedError,
)
from tundish.seal import foreign
from tundish.seal.signers import Trusted

SIGNATURE = "model.sig"
MAX_DEPTH = 4


@dataclass(frozen=True, kw_only=True)
class ForeignModel:
    """A verified model of another tool: its files, and who signed them."""

    name: str
    files: dict[str, bytes]
    digest: Digest
    signer: Digest


def import_folder(
    path: Path, *, trusted: Trusted, now: datetime | None = None
) -> ForeignModel:
    """Read a folder with an OpenSSF model-signing ``model.sig`` of another tool.

    Only signed files are given back. Files that its signer left out of the signature
    (git's, for instance) are refused unless they are ``model.sig`` or lie below a
    folder ``signatures``: what nobody signed does not come in. A signature makes no
    format harmless: each file must be of an allowed one (see ``formats``).

    Args:
        path: The untrusted folder.
        trusted: Keys and CAs whose signatures count.
        now: This machine's time; a signature under a chain is refused without it.

    Raises:
        PackageUnsignedError, PackageFileChangedError, PackageFileMissingError,
        PackageFileExtraError, ModelFormatError, and what ``seal.foreign.verify`` and
        ``graphcheck.check_graph`` refuse.
    """
    found = folder.read(path, depth=MAX_DEPTH)
    if SIGNATURE not in found:
        msg = f"The folder {path} has no {SIGNATURE}, so nobody has signed it."
        raise PackageUnsignedError(msg)
    manifest = foreign.verify(found[SIGNATURE], trusted, now)
    extra = [
        name
        for name in found
        if name not in manifest.files
        and name != SIGNATURE
        and not name.startswith("signatures/")
    ]
    if extra:
        msg = f"The folder holds {extra[0][:80]!r}, which nobody has signed."
        raise PackageFileExtraError(msg)
    for name, value in manifest.files.items():
        if name not in found:
            msg = f"The folder lacks {name[:80]!r}, which was signed."
            raise PackageFileMissingError(msg)
        if hashlib.sha256(found[name]).hexdigest() != value:
            msg = f"The file {name!r} is not the one that was signed."
            raise PackageFileChangedError(msg)
        formats.check_file(name, found[name])
    return ForeignModel(
        name=manifest.name,
        files={name: found[name] for name in manifest.files},
        digest=manifest.digest,
        signer=manifest.signer,
    )
