"""Approvals: a person's signed word that a line may ask a plant for something.

An approval names the line, the package and the digest of all that bounds the requests;
none of these can be changed under it. It is a small text that travels by mail or stick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import StringConstraints

from tundish.kernel import clock
from tundish.kernel.digest import Digest
from tundish.seal import signedtext
from tundish.seal.errors import (
    ApprovalInvalidError,
)
from tundish.seal.fields import CheckedDigest, Moment
from tundish.seal.keys import SigningKey, VerifyKey
from tundish.seal.signedtext import IssuedBody, TextForm

PAYLOAD_TYPE = "application/vnd.tundish.approval.v1+json"
KIND = "APPROVAL"


class ApprovalBody(IssuedBody):
    """What is signed.

    Attributes:
        line: Name of the line.
        package: Digest of the package that answers.
        bounds: Digest of everything that bounds the requests (see ``flows.control``).
        not_after: When it ends.
        note: In the words of who approves.
    """

    format: Literal["tundish.approval"] = "tundish.approval"
    form: Literal[1] = 1
    line: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    package: CheckedDigest
    bounds: CheckedDigest
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
    fields = {
        "line": asked.line,
        "package": asked.package,
        "bounds": asked.bounds,
        "not_after": clock.to_text(not_after),
        "note": note,
    }
    return signedtext.issue(FORM, fields, now=now, key=key)


def read(text: bytes, known: Sequence[VerifyKey]) -> Approval:
    """Return what an approval says, after its signature was checked.

    Args:
        text: Untrusted bytes of a file.
        known: Keys that are trusted here.

    Raises:
        ApprovalInvalidError: if it was changed.
        SignerUntrustedError: if its issuer is not trusted here.
    """
    found = signedtext.read_issued(text, known, FORM)
    return Approval(body=found.body, digest=found.digest)
