"""Certificates: a grade, signed over the digest of the data set that it was given to.

A certificate is an in-toto Statement (v1) in a DSSE envelope. Its subjects are the data
set under the digest of ``data.version`` (algorithm name ``tundishDataV1``) and, where
they are listed, the files under their plain SHA-256, so that other tools can check them.
What both formats leave open is closed here: bytes are canonical, and the subjects are
rebuilt from the predicate and compared.

Source: in-toto Attestation Framework, Statement v1 and DigestSet; DSSE v1.0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    Field,
    StringConstraints,
    model_validator,
)

from tundish.kernel import canonical, clock
from tundish.kernel import digest as digests
from tundish.kernel.canonical import Json
from tundish.kernel.digest import Digest, hex_part, short
from tundish.kernel.records import SignedRecord
from tundish.seal import base64s, dsse
from tundish.seal.errors import (
    CertificateDataChangedError,
    CertificateExpiredError,
    CertificateKindError,
    CertificateNotYetError,
    CertificateOlderError,
    CertificateOtherDataError,
    PackageForkedError,
    PackageOlderError,
    SignatureMalformedError,
)
from tundish.seal.fields import CheckedDigest, Moment
from tundish.seal.freshness import Freshness
from tundish.seal.keys import SigningKey, VerifyKey
from tundish.seal.statement import MAX_VERSION

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:tundish:grade-certificate:v1"
DATA_ALGORITHM = "tundishDataV1"
MAX_LISTED = 1000
_NAMED = 3

Line = Annotated[
    str, StringConstraints(max_length=4096, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")
]
"""Text without control characters: what is shown cannot steer a terminal."""


class CertifiedFile(SignedRecord):
    """One file: its name in the set, bytes, Merkle root and plain SHA-256."""

    name: Line
    size: Annotated[int, Field(ge=0)]
    root: CheckedDigest
    sha256: CheckedDigest


class CertifiedData(SignedRecord):
    """The data set that was graded.

    Attributes:
        name: What its owner calls it; no part of the digest.
        digest: Its version; see ``data.version``.
        size, count: Bytes and files in all.
        files: All of them, or none if there are more than ``MAX_LISTED``.
    """

    name: Line
    digest: CheckedDigest
    size: Annotated[int, Field(ge=0)]
    count: Annotated[int, Field(ge=1)]
    files: tuple[CertifiedFile, ...] = ()

    @model_validator(mode="after")
    def _all_or_none(self) -> CertifiedData:
        if self.files and len(self.files) != self.count:
            msg = f"{len(self.files)} of {self.count} files are listed"
            raise ValueError(msg)
        return self


class CertifiedGrade(SignedRecord):
    """The grade, and all that is needed to give it again.

    Attributes:
        letter: A to D.
        task, scenario: What it was graded for.
        why: What decided the letter.
        rule: Digest of the rule, its thresholds and the weights of findings.
        gates: Gate -> passed, failed or open.
        indicators: Id -> value.
        findings: Kind -> how many.
        options: Options of the grade, as they were given.
        report: Digest of the whole report's canonical JSON.
        whole: The report, or ``None`` if it is too long to travel.
    """

    letter: Literal["A", "B", "C", "D"]
    task: Line
    scenario: Line | None
    why: Line
    rule: CheckedDigest
    gates: dict[Line, Literal["passed", "failed", "open"]]
    indicators: dict[Line, float]
    findings: dict[Line, int]
    options: dict[str, Json]
    report: CheckedDigest
    whole: dict[str, Json] | None = None

    @model_validator(mode="after")
    def _whole_is_the_report(self) -> CertifiedGrade:
        if self.whole is not None and digests.of_json(self.whole) != self.report:
            msg = "the report is not the one that its digest names"
            raise ValueError(msg)
        return self


class CertificateBody(SignedRecord):
    """What is signed.

    Attributes:
        version: Counter of the certificates for one data set by one issuer, also
            under a new key; an older one is refused where a newer was seen.
        issuer: Id of the key that signs.
        tool: Program and version that graded.
        issued_at: When, ISO 8601 in UTC.
        not_after: Moment from which it is refused.
    """

    format: Literal["tundish.certificate"] = "tundish.certificate"
    form: Literal[1] = 1
    version: Annotated[int, Field(ge=1, le=MAX_VERSION)]
    issuer: CheckedDigest
    tool: Line
    issued_at: Moment
    not_after: Moment
    data: CertifiedData
    grade: CertifiedGrade

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> CertificateBody:
        if clock.from_text(self.not_after) <= clock.from_text(self.issued_at):
            msg = "not_after does not lie after issued_at"
            raise ValueError(msg)
        return self


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A certificate whose signature and form were checked, and nothing else.

    Attributes:
        body: What is signed.
        digest: Digest of the signed statement: its name in the ledger.
        signer: Id of the key that signed.
    """

    body: CertificateBody
    digest: Digest
    signer: Digest


def sign(body: CertificateBody, key: SigningKey) -> bytes:
    """Return a certificate; the body must name the key as its issuer.

    Raises:
        SignatureMalformedError: if it names another.
    """
    if body.issuer != key.public.key_id:
        msg = "A certificate names another issuer than the key that is to sign it."
        raise SignatureMalformedError(msg)
    return dsse.sign(PAYLOAD_TYPE, canonical.dumps(_statement(body)), key)


def read(data: bytes, trusted: Sequence[VerifyKey]) -> Certificate:
    """Return a certificate after checking its signature and form; no data is looked at.

    Args:
        data: Untrusted bytes.
        trusted: Keys that may certify.

    Raises:
        SignatureMalformedError: if any byte is not as ``sign`` would write it.
        SignatureInvalidError, SignerUntrustedError: as their names say.
        CertificateKindError: if it is a signed statement about something else.
    """
    payload, key = dsse.verify(data, trusted, payload_type=PAYLOAD_TYPE)
    found = _take_apart(payload)
    if found.issuer != key.key_id:
        msg = "A certificate is signed by another key than it names."
        raise SignatureMalformedError(msg)
    return Certificate(
        body=found, digest=digests.of_bytes(payload), signer=found.issuer
    )


def peek(data: bytes) -> CertificateBody:
    """Return what a certificate says of itself; NOTHING is proven by it.

    For showing a certificate of an unknown signer.

    Raises:
        SignatureMalformedError, CertificateKindError: as ``read``.
    """
    envelope = dsse.exact_object(
        dsse.read_canonical(data, what="certificate"),
        ("payload", "payloadType", "signatures"),
        "envelope",
    )
    return _take_apart(
        base64s.decode(envelope["payload"], what="payload of a certificate")
    )


def check_time(body: CertificateBody, now: datetime) -> None:
    """Refuse a certificate before its first and from its last moment on.

    Raises:
        CertificateNotYetError, CertificateExpiredError.
    """
    if now < clock.from_text(body.issued_at):
        msg = f"The certificate was issued at {body.issued_at}, which is yet to come."
        raise CertificateNotYetError(msg)
    if now >= clock.from_text(body.not_after):
        msg = f"The certificate for {body.data.name} expired at {body.not_after}."
        raise CertificateExpiredError(msg)


def check_data(
    body: CertificateBody, found: Digest, files: Mapping[str, Digest]
) -> None:
    """Refuse a certificate that was given to other data.

    Args:
        body: From ``read``.
        found: Digest of the data set that lies here.
        files: Name -> Merkle root of its files, for a sentence that helps.

    Raises:
        CertificateDataChangedError: if files of the same names have other bytes.
        CertificateOtherDataError: if it is another data set.
    """
    if found == body.data.digest:
        return
    certified = {file.name: file.root for file in body.data.files}
    head = f"The certificate is for {body.data.name} ({short(body.data.digest)})"
    changed = [name for name in certified if files.get(name, "") not in {"", certified[name]}]  # fmt: skip
    if changed:
        said = ", ".join(changed[:_NAMED])
        msg = f"{head}; here {said} has other bytes than were graded."
        raise CertificateDataChangedError(msg)
    if certified and sorted(certified.values()) == sorted(files.values()):
        msg = f"{head}; here are the same bytes under other names."
        advice = "Give the files the names that 'tundish certificate show' lists."
        raise CertificateOtherDataError(msg, advice=advice)
    kept = [name for name in certified if name in files]
    if kept:
        lost, more = len(certified) - len(kept), len(files) - len(kept)
        msg = f"{head}; here {lost} of its files are missing and {more} others lie."
        raise CertificateDataChangedError(msg)
    msg = f"{head}; the data set here is {short(found)}."
    raise CertificateOtherDataError(msg)


def remember(found: Certificate, seen: Freshness, line: Digest | None = None) -> None:
    """Remember a certificate, and refuse it if a newer one was seen for the same data.

    Args:
        found: The certificate.
        seen: What was seen before.
        line: First key of the issuer's line of rotated keys: it goes on counting under
            a new key. None: the issuer's own.

    Raises:
        CertificateOlderError.
    """
    body = found.body
    series = f"certificate:{line or body.issuer}:{body.data.digest}"
    try:
        seen.see_package(series, body.version, found.digest)
    except (PackageOlderError, PackageForkedError) as error:
        forked = isinstance(error, PackageForkedError)
        other = "another one of that number" if forked else "a newer one"
        msg = f"This is certificate {body.version} for {body.data.name}, and {other} was seen here."
        raise CertificateOlderError(msg) from error


def _statement(body: CertificateBody) -> Json:
    return {
        "_type": STATEMENT_TYPE,
        "subject": _subjects(body.data),
        "predicateType": PREDICATE_TYPE,
        "predicate": body.to_json(),
    }


def _subjects(data: CertifiedData) -> list[Json]:
    whole: Json = {
        "name": data.name,
        "digest": {DATA_ALGORITHM: hex_part(data.digest)},
    }
    files: list[Json] = [
        {"name": file.name, "digest": {"sha256": hex_part(file.sha256)}}
        for file in data.files
    ]
    return [whole, *files]


def _take_apart(payload: bytes) -> CertificateBody:
    value = dsse.read_canonical(payload, what="certificate")
    if not isinstance(value, dict) or value.get("predicateType") != PREDICATE_TYPE:
        kind = value.get("predicateType") if isinstance(value, dict) else None
        msg = f"A signed statement is no certificate of data: its type is {str(kind)[:80]!r}."
        raise CertificateKindError(msg)
    outer = dsse.exact_object(
        value, ("_type", "subject", "predicateType", "predicate"), "statement"
    )
    said = canonical.dumps(outer["predicate"])
    body = dsse.validated(said, CertificateBody, what="certificate")
    if (
        outer["_type"] != STATEMENT_TYPE
        or outer["subject"] != _subjects(body.data)
        or outer["predicate"] != body.model_dump(mode="json", exclude_unset=True)
    ):
        msg = "A certificate's subjects or fields are not those of its predicate."
        raise SignatureMalformedError(msg)
    return body
