"""Put one more signature into a package: the second pair of eyes."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from tundish.flows import chain, policy
from tundish.flows.verify import subjects
from tundish.flows.witness import signed_by
from tundish.flows.workspace import Workspace
from tundish.kernel.records import Record
from tundish.model import making
from tundish.model import package as packages
from tundish.model.errors import PackagePlaceTakenError
from tundish.seal.freshness import MemoryFreshness


class SignReport(Record):
    """A package that was signed once more.

    Attributes:
        package: Its digest, which further signatures do not change.
        signers: Ids of all keys that have signed it.
        subjects: Whom the X.509 certificate of a key names, for those that have one.
        file: Where it was written.
    """

    product: str
    version: int
    package: str
    key: str
    signers: tuple[str, ...]
    file: str
    subjects: dict[str, str] = Field(default_factory=dict)


def sign(workspace: Workspace, path: Path, to: Path | None = None) -> SignReport:
    """Verify a package and add the signature of this workspace's key.

    The package's digest stays, so grants for it stay valid, and so does the first
    signature. What a policy demands beyond is not asked for here: somebody must be the
    second of three.

    Args:
        workspace: The signer's.
        path: The package; a tar is replaced whole.
        to: Where to write it instead: a tar if it ends in ``.tar``, else a new folder.

    Raises:
        SignedAlreadyError: if this key has signed it.
        PackagePlaceTakenError: if it is a folder and no other place is named.
        PackageRevokedError, KeyRevokedError, KeyExpiredError: if it was revoked, or
            nobody who signed it counts here any more: this signature would stand alone.
        RefusedError: one of its kinds, if the package does not verify.
    """
    if to is None and path.is_dir():
        msg = f"{path} is a folder, and folders are written whole."
        raise PackagePlaceTakenError(msg, advice="Name a new place with --to.")
    with workspace.refusals_kept("package-signed"):
        found = packages.read(
            path,
            trusted=policy.signers(workspace),
            now=workspace.clock.now(),
            seen=MemoryFreshness(),
            admit=policy.counting(workspace),
        )
    signed = making.sign_further(found, workspace.key, chain.held(workspace))
    place = to or path
    if place.suffix == ".tar":
        packages.write_tar(signed, place)
    else:
        packages.write_folder(signed, place)
    key = workspace.key.public.key_id
    workspace.record(
        "package-signed",
        inputs=[signed.digest],
        detail={"key": key, **signed_by(signed)},
    )
    return SignReport(
        product=signed.statement.product,
        version=signed.statement.version,
        package=signed.digest,
        key=key,
        signers=tuple(by.key.key_id for by in signed.by),
        file=str(place),
        subjects=subjects(signed),
    )
