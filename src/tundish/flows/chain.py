"""A plant's own certificate authority: ask it, sign under it, trust it, hear it revoke."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from tundish.flows.authorities import SERIES, AuthorityNote
from tundish.flows.outputs import write_out
from tundish.flows.workspace import Workspace
from tundish.kernel import clock, digest, paths
from tundish.kernel.records import Record
from tundish.seal import chain as chains
from tundish.seal import crl, csr, link
from tundish.seal.chain import Certified
from tundish.seal.errors import (
    ChainOtherKeyError,
    PackageForkedError,
    PackageOlderError,
    RevocationsOlderError,
)
from tundish.seal.signers import SignedBy
from tundish.seal.trust import nobody_saw


class AuthorityReport(Record):
    """A CA under which signatures count here from now on."""

    key: str
    subject: str
    groups: tuple[str, ...]
    not_before: str
    not_after: str


class CrlReport(Record):
    """A CA's revocation list that counts here."""

    issuer: str
    number: int
    issued_at: str
    entries: int
    file: str


class RequestReport(Record):
    """A request to a CA."""

    key: str
    subject: str
    file: str


class ChainReport(Record):
    """A chain under which this workspace signs from now on.

    Attributes:
        subjects: Of its X.509 certificates, from the signer's upwards.
        authority: Subject of the CA that issued the last one.
    """

    key: str
    subjects: tuple[str, ...]
    authority: str
    not_before: str
    not_after: str


def trust_authority(
    workspace: Workspace,
    pem: Path,
    *,
    subjects: Sequence[str] = (),
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> AuthorityReport:
    """Trust a CA: packages open that are signed under an X.509 certificate of its.

    Args:
        workspace: Where it shall count.
        pem: The file of its own certificate.
        subjects: Parts of subjects, such as ``OU=Quality,O=Plant 7``; if there are any,
            a signer's subject must have every part of one.
        not_before: First moment.
        not_after: Moment from which on it counts no more.

    Raises:
        ChainMalformedError, ChainUnfitError, ChainBrokenError: if it is no CA's.
        TermsInvalidError: if a subject is no name.
    """
    data = paths.read_file(pem)
    note = AuthorityNote(
        subjects=tuple(subjects),
        not_before=clock.to_text(not_before) if not_before else None,
        not_after=clock.to_text(not_after) if not_after else None,
    )
    with workspace.refusals_kept("authority-trusted"):
        found = workspace.authorities.keep(data, note)
    own = found.link
    begins = max(one for one in (own.not_before, found.not_before) if one)
    ends = min(one for one in (own.ends_at, found.not_after) if one)
    workspace.record(
        "authority-trusted",
        inputs=[digest.of_bytes(own.der)],
        detail={
            "key": own.key.key_id,
            "subject": own.subject,
            "subjects": list(note.subjects),
            "not_after": clock.to_text(ends),
        },
    )
    return AuthorityReport(
        key=own.key.key_id,
        subject=own.subject,
        groups=note.subjects,
        not_before=clock.to_text(begins),
        not_after=clock.to_text(ends),
    )


def take_crl(workspace: Workspace, data: bytes) -> CrlReport:
    """Take the revocation list of a CA that is trusted here; from now on it counts.

    Raises:
        RevocationsInvalidError: if it was changed, or is only a part of one.
        RevocationsOlderError: if a newer one of this CA was seen.
        SignerUntrustedError: if its CA is not trusted here.
    """
    authorities = workspace.authorities
    with workspace.refusals_kept("crl-taken"):
        found = crl.read(data, authorities.known())
        crl.check_time(found, workspace.clock.now())
        try:
            workspace.freshness().see_package(
                SERIES + found.issuer, found.number, found.digest
            )
        except (PackageOlderError, PackageForkedError) as error:
            msg = f"Number {found.number} of this CA's revocation list is not the newest one seen here."
            raise RevocationsOlderError(msg) from error
    path = authorities.keep_crl(found, data)
    workspace.record(
        "crl-taken",
        inputs=[found.digest],
        detail={
            "issuer": found.issuer,
            "number": found.number,
            "entries": len(found.listed),
        },
    )
    return CrlReport(
        issuer=found.issuer,
        number=found.number,
        issued_at=clock.to_text(found.issued_at),
        entries=len(found.listed),
        file=str(path),
    )


def write_request(
    workspace: Workspace, to: Path, subject: str | None = None
) -> RequestReport:
    """Write a request to a CA for an X.509 certificate for this workspace's key.

    Args:
        workspace: Whose key.
        to: The file to write (PEM).
        subject: Whom it shall name; default: the workspace's name.

    Raises:
        TermsInvalidError: if the subject is no name.
    """
    said = subject if subject is not None else f"CN={workspace.name}"
    data = csr.make(workspace.key, said)
    write_out(to, data)
    key = workspace.key.public.key_id
    workspace.record("csr-written", detail={"key": key, "subject": said})
    return RequestReport(key=key, subject=said, file=str(to))


def attach(workspace: Workspace, file: Path) -> ChainReport:
    """Sign under a chain of X.509 certificates from now on.

    Args:
        workspace: Whose key was certified; it trusts the CA already.
        file: The chain (PEM), this key's certificate first; a root at its end is left
            out.

    Raises:
        ChainOtherKeyError: if it is for another key.
        ChainMalformedError, ChainUnfitError, ChainBrokenError, SignerUntrustedError,
        KeyNotYetError, KeyExpiredError, KeyRevokedError: if it does not hold here.
    """
    data = paths.read_file(file)
    with workspace.refusals_kept("chain-attached"):
        ders = chains.without_root(chains.read_pem(data))
        if link.read(ders[0]).key != workspace.key.public:
            msg = f"The first X.509 certificate in {file} is for another key than this workspace's."
            raise ChainOtherKeyError(msg)
        known = workspace.authorities.known()
        loose = chains.verify(ders, known, exact=False)
        exact = chains.verify(chains.lowered(ders, loose.authority.link), known)
        _check_standing(workspace, exact)
    paths.write_whole(workspace.chain_file, exact.to_pem())
    report = _told(exact)
    workspace.record(
        "chain-attached",
        inputs=[digest.of_bytes(one) for one in exact.ders],
        detail={"key": report.key, "subject": exact.subject},
    )
    return report


def held(workspace: Workspace) -> Certified | None:
    """Return the chain under which this workspace signs; None: it signs by its key.

    Raises:
        As ``attach``, if the chain no longer holds: nothing is signed then.
    """
    path = workspace.chain_file
    if not path.exists():
        return None
    with workspace.refusals_kept("chain-used"):
        found = chains.verify(
            chains.read_pem(path.read_bytes()), workspace.authorities.known()
        )
        _check_standing(workspace, found)
    return found


def _check_standing(workspace: Workspace, found: Certified) -> None:
    by = SignedBy(key=found.key, chain=found)
    trust = replace(workspace.standing(), witness=nobody_saw)  # it is yet to be signed
    trust.check_signer(by, digest.of_bytes(b""))


def _told(found: Certified) -> ChainReport:
    begins, ends = found.window
    return ChainReport(
        key=found.key.key_id,
        subjects=tuple(one.subject for one in found.links),
        authority=found.authority.link.subject,
        not_before=clock.to_text(begins),
        not_after=clock.to_text(ends),
    )
