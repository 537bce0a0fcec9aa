"""Verify a certificate against a data set, or show what it says.

Nothing here needs a network, the grading libraries or any data but the set itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tundish.flows.errors import TrustMissingError
from tundish.flows.fetch import Located, Progress, locate
from tundish.flows.workspace import Workspace
from tundish.kernel import paths
from tundish.kernel.canonical import Json
from tundish.kernel.clock import SystemClock
from tundish.kernel.digest import Digest
from tundish.kernel.records import Record
from tundish.seal import certificate as certificates
from tundish.seal import dsse
from tundish.seal.certificate import Certificate, CertificateBody
from tundish.seal.errors import SignatureMalformedError, SignerUntrustedError
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.keys import VerifyKey

Proof = Literal["verified", "signed", "unknown-signer"]


class CertificateReport(Record):
    """What a certificate says, and how much of it was proven.

    Attributes:
        proof: ``verified``: signature, dates and data fit. ``signed``: the signature of
            a trusted key fits; dates and data were not looked at. ``unknown-signer``:
            nothing was proven.
        letter: The grade.
        why: What decided it.
        version: Number of the certificate for this data set.
        grade: The whole report, if the certificate carries it.
    """

    proof: Proof
    name: str
    data: str
    files: int
    size: int
    letter: str
    task: str
    scenario: str | None
    why: str
    gates: dict[str, str]
    indicators: dict[str, float]
    findings: dict[str, int]
    version: int
    issuer: str
    tool: str
    issued_at: str
    not_after: str
    digest: str = ""
    listed: tuple[str, ...] = ()
    grade: dict[str, Json] | None = None


def verify_certificate(
    file: Path,
    data: str,
    *,
    workspace: Workspace | None = None,
    keys: Sequence[Path] = (),
    mirror: Path | None = None,
    progress: Progress | None = None,
) -> CertificateReport:
    """Verify that a trusted key signed this certificate for exactly this data.

    With a workspace, its trusted keys count, its ledger keeps the act (a refusal too)
    and newer certificates that it saw before are remembered. Without one, ``keys`` must
    be named, and an older certificate or a clock set back is not noticed.

    Args:
        file: The certificate. Untrusted.
        data: The data set: a path, or a key of the catalogue. Untrusted.
        workspace: Who verifies.
        keys: Files with further public keys that may certify.
        mirror: Where to take a catalogue set from without a network.
        progress: Told what is being done.

    Raises:
        RefusedError: one of its kinds, naming what does not fit.
        TrustMissingError: if there is nobody whose signature would count.
    """
    trusted = _trusted(workspace, keys)
    sealed = _bytes(file)
    if workspace is None:
        located = locate(data, mirror=mirror, progress=progress)
        return _verify(sealed, located, trusted, None)
    with workspace.refusals_kept("certificate-verified"):
        data = _registered(workspace, data)
        located = locate(data, mirror=mirror, progress=progress)
        report = _verify(sealed, located, trusted, workspace)
    workspace.record(
        "certificate-verified",
        inputs=[Digest(report.digest), Digest(report.data)],
        names={Digest(report.data): located.name},
        detail={"letter": report.letter, "signer": report.issuer},
    )
    return report


def show_certificate(
    file: Path, *, workspace: Workspace | None = None, keys: Sequence[Path] = ()
) -> CertificateReport:
    """Return what a certificate says; ``proof`` says how much of it counts.

    Raises:
        SignatureMalformedError, SignatureInvalidError, CertificateKindError: if it is no
            whole certificate. An unknown signer is said, not refused.
    """
    sealed = _bytes(file)
    try:
        trusted = _trusted(workspace, keys)
        found = certificates.read(sealed, trusted)
    except (SignerUntrustedError, TrustMissingError):
        return describe(certificates.peek(sealed), "unknown-signer")
    return describe(found.body, "signed", found.digest)


def describe(
    body: CertificateBody, proof: Proof, digest: str = ""
) -> CertificateReport:
    """Return what a certificate says of itself."""
    return CertificateReport(
        proof=proof,
        name=body.data.name,
        data=body.data.digest,
        files=body.data.count,
        size=body.data.size,
        letter=body.grade.letter,
        task=body.grade.task,
        scenario=body.grade.scenario,
        why=body.grade.why,
        gates=dict(body.grade.gates),
        indicators=dict(body.grade.indicators),
        findings=dict(body.grade.findings),
        version=body.version,
        issuer=body.issuer,
        tool=body.tool,
        issued_at=body.issued_at,
        not_after=body.not_after,
        digest=digest,
        listed=tuple(file.name for file in body.data.files),
        grade=body.grade.whole,
    )


def _verify(
    sealed: bytes,
    located: Located,
    trusted: Sequence[VerifyKey],
    workspace: Workspace | None,
) -> CertificateReport:
    found: Certificate = certificates.read(sealed, trusted)
    line: Digest | None = None
    if workspace is not None:
        trust = workspace.standing()
        trust.check_key(found.signer, found.digest)
        line = trust.origin(found.signer)
    clock = workspace.clock if workspace else SystemClock()
    seen = workspace.freshness() if workspace else MemoryFreshness()
    now = clock.now()
    seen.see_time(now)
    certificates.check_time(found.body, now)
    version = located.version
    roots = {file.name: Digest(file.root) for file in version.files}
    certificates.check_data(found.body, located.digest, roots)
    certificates.remember(found, seen, line)
    return describe(found.body, "verified", found.digest)


def _registered(workspace: Workspace, data: str) -> str:
    """Return where a registered set lies; an edge box has none, nor the library for it."""
    if not (workspace.inner / "sets").is_dir():
        return data
    from tundish.flows.own_sets import path_of  # noqa: PLC0415

    return path_of(workspace, data)


def _trusted(
    workspace: Workspace | None, keys: Sequence[Path]
) -> tuple[VerifyKey, ...]:
    named = tuple(VerifyKey.load(path) for path in keys)
    own = workspace.keyring.known() if workspace is not None else ()
    if not named and not own:
        msg = "No key is known here whose signature would count."
        raise TrustMissingError(msg)
    return (*own, *named)


def _bytes(file: Path) -> bytes:
    with paths.existing_file(file).open("rb") as stream:
        data = stream.read(dsse.MAX_BYTES + 1)
    if len(data) > dsse.MAX_BYTES:
        msg = f"{file.name} has more than {dsse.MAX_BYTES} bytes: no certificate."
        raise SignatureMalformedError(msg)
    return data
