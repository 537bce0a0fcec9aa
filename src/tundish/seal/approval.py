"""Approvals: a person's signed word that a line may ask a plant for something.

An approval names the line, the package and the digest of all that bounds the requests;
none of these can be changed under it. It is a small text that travels by mail or stick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import StringConstraints, ValidationError

from tundish.kernel import canonical, clock, digest
from tundish.kernel.digest import Digest
from tundish.kernel.records import SignedRecord
from tundish.seal import armour, dsse, signedtext
from tundish.seal.errors import (
    ApprovalInvalidError,
    TermsInvalidError,
)
from tundish.seal.fields import CheckedDigest, Moment
from tundish.seal.keys import SigningKey, VerifyKey
from tundish.seal.signedtext import TextForm
from tundish.seal.statement import first_fault

PAYLOAD_TYPE = "application/vnd.tundish.approval.v1+json"
KIND = "APPROVAL"


class ApprovalBody(SignedRecord):
    """What is signed.

    Attributes:
        issuer: Id of the key that signs.
        line: Name of the line.
        package: Digest of the package that answers.
        bounds: Digest of everything that bounds the requests (see ``flows.control``).
        not_after: When it ends.
        note: In the words of who approves.
    """

    format: Literal["tundish.approval"] = "tundish.approval"
    form: Literal[1] = 1
    issuer: CheckedDigest
    line: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    package: CheckedDigest
    bounds: CheckedDigest
    issued_at: Moment
    not_after: Moment
    note: Annotated[str, StringConstraints(max_length=300)] = ""


FORM = TextForm(
    kind=KIND,
    payload_type=PAYLOAD_TYPE,
    body=ApprovalBody,
    what="An approval",
    error=ApprovalInvalidError,
)


@dataclass(frozen=True, kw_only=True)
class Approval:
    """A verified approval and the digest of its signed words."""

    body: ApprovalBody
    digest: Digest

    @property
    def not_after(self) -> datetime:
        """When it ends."""
        return clock.from_text(self.body.not_after)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What an approval is for; attributes as in ``ApprovalBody``."""

    line: str
    package: Digest
    bounds: Digest


def sign(
    asked: Asked, *, now: datetime, not_after: datetime, note: str, key: SigningKey
) -> bytes:
    """Return an approval as a small text.

    Raises:
        TermsInvalidError: naming the field that has the wrong form.
    """
    try:
        body = ApprovalBody(
            issuer=key.public.key_id,
            line=asked.line,
            package=asked.package,
            bounds=asked.bounds,
            issued_at=clock.to_text(now),
            not_after=clock.to_text(not_after),
            note=note,
        )
    except ValidationError as error:
        raise TermsInvalidError(first_fault("approval", error)) from error
    payload = canonical.dumps(body.to_json())
    return armour.wrap(KIND, dsse.sign(PAYLOAD_TYPE, payload, key))


def read(text: bytes, known: Sequence[VerifyKey]) -> Approval:
    """Return what an approval says, after its signature was checked.

    Args:
        text: Untrusted bytes of a file.
        known: Keys that are trusted here.

    Raises:
        ApprovalInvalidError: if it was changed.
        SignerUntrustedError: if its issuer is not trusted here.
    """
    body, payload, key = signedtext.read(text, known, FORM)
    if body.issuer != key.key_id:
        msg = "An approval is signed by another key than it names."
        raise ApprovalInvalidError(msg)
    return Approval(body=body, digest=digest.of_bytes(payload))
