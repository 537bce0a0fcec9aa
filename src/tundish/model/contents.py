"""Which files a package holds: what was signed, the further signatures, nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tundish.model.errors import (
    PackageFileChangedError,
    PackageFileExtraError,
    PackageFileMissingError,
    PackageTooLargeError,
)
from tundish.seal import model_signature, revocation
from tundish.seal.model_signature import SignedManifest, facts_of
from tundish.seal.signers import SignedBy, Trusted

ALLOWED_ENDINGS = (".json", ".yaml", ".onnx", ".age", ".md", ".txt")
REVOCATIONS = "signatures/revocations.txt"


def is_further(name: str) -> bool:
    """Tell whether a file is a further signature, or the list beside them."""
    signature = re.fullmatch(r"signatures/[0-9a-f]{64}\.sig", name) is not None
    return signature or name == REVOCATIONS


def further_signers(
    files: Mapping[str, bytes], trusted: Trusted, manifest: SignedManifest
) -> tuple[SignedBy, ...]:
    """Return who has signed beside the maker.

    Raises:
        PackageTooLargeError, PackageFileExtraError: if there are too many signatures, or
            the maker's twice.
        SignatureMalformedError, SignatureInvalidError, SignerUntrustedError,
        RevocationsInvalidError: if one of the files does not hold.
    """
    if len(files) > model_signature.MAX_FURTHER:
        msg = f"A package carries {len(files)} further signatures; at most {model_signature.MAX_FURTHER}."
        raise PackageTooLargeError(msg)
    found = tuple(
        model_signature.verify_further(name, files[name], trusted, manifest.digest)
        for name in sorted(files)
        if name != REVOCATIONS
    )
    if REVOCATIONS in files:
        signers = [manifest.by.key, *(by.key for by in found)]
        revocation.read_exact(files[REVOCATIONS], signers)
    if any(by.key == manifest.by.key for by in found):
        msg = "A package carries its maker's signature twice."
        raise PackageFileExtraError(msg)
    return found


def check_signed(files: Mapping[str, bytes], manifest: SignedManifest) -> None:
    """Refuse files that are not exactly the signed ones.

    Raises:
        PackageFileExtraError, PackageFileMissingError, PackageFileChangedError.
    """
    extra = sorted(set(files) - set(manifest.files))
    if extra:
        msg = f"A package holds {extra[0][:80]!r}, which nobody has signed."
        raise PackageFileExtraError(msg)
    for name, facts in manifest.files.items():
        if name not in files:
            msg = f"A package lacks {name[:80]!r}, which was signed."
            raise PackageFileMissingError(msg)
        if "/" in name or not name.endswith(ALLOWED_ENDINGS):
            msg = f"A package holds {name[:80]!r}; such files are not allowed."
            raise PackageFileExtraError(msg)
        if facts_of(files[name]) != facts:
            msg = f"The file {name!r} of a package is not the one that was signed."
            raise PackageFileChangedError(msg)
