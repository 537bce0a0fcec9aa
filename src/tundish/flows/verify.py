"""Verify a package: every byte, signer, end date, version."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pydantic import Field, JsonValue

from tundish.flows import policy
from tundish.flows.witness import signed_by
from tundish.flows.workspace import Workspace
from tundish.kernel.canonical import Json
from tundish.kernel.digest import Digest
from tundish.kernel.records import Record
from tundish.model import package as packages
from tundish.model.package import Package
from tundish.seal.freshness import LettingOlder


class PackageReport(Record):
    """What a verified package says of itself.

    Attributes:
        signer: Id of the key under ``model.sig``.
        signers: Ids of all keys that have signed it, that one first.
        subjects: Whom the X.509 certificate of a key names, for those that have one.
    """

    product: str
    version: int
    title: str
    digest: str
    signer: str
    not_after: str
    encrypted: bool
    accepted: bool
    files: tuple[str, ...]
    card: dict[str, Json]
    signers: tuple[str, ...] = ()
    subjects: dict[str, str] = Field(default_factory=dict)


def verify(workspace: Workspace, path: Path) -> PackageReport:
    """Verify a package against the signers that this workspace trusts.

    The product's version is remembered; an older one is refused from then on. A
    refusal is in the ledger.

    Raises:
        RefusedError: one of its kinds, naming what does not fit.
    """
    found = read(workspace, path)
    workspace.record(
        "package-verified",
        inputs=[found.digest],
        detail={
            "signer": found.signer,
            "version": found.statement.version,
            **named(found),
            **signed_by(found),
        },
    )
    return describe(found)


def read(workspace: Workspace, path: Path, older: Collection[Digest] = ()) -> Package:
    """Return a verified package; a refusal is written into the ledger.

    Args:
        workspace: This machine's.
        path: The package. Untrusted.
        older: Digests that pass although a newer version was seen here.
    """
    with workspace.refusals_kept("package-verified"):
        return packages.read(
            path,
            trusted=policy.signers(workspace),
            now=workspace.clock.now(),
            seen=LettingOlder(workspace.freshness(), older),
            admit=policy.admission(workspace),
        )


def describe(package: Package) -> PackageReport:
    """Return what a verified package says of itself."""
    return PackageReport(
        product=package.statement.product,
        version=package.statement.version,
        title=package.card.title,
        digest=package.digest,
        signer=package.signer,
        not_after=package.statement.not_after,
        encrypted=package.encrypted,
        accepted=package.verdict.get("accepted") is True,
        files=tuple(sorted(package.files)),
        card=package.card.to_json(),
        signers=tuple(by.key.key_id for by in package.by),
        subjects=subjects(package),
    )


def named(package: Package) -> dict[str, JsonValue]:
    """Return the same for the ledger; nothing if all signed by bare keys."""
    found = subjects(package)
    return {"subjects": {**found}} if found else {}


def subjects(package: Package) -> dict[str, str]:
    """Return whom the X.509 certificates of a package's signers name, by key."""
    return {by.key.key_id: by.subject for by in package.by if by.chain is not None}
