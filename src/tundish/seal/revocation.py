"""Lists of what counts no more: keys, packages, grants, devices.

A list is whole: the newer one replaces the older, by its version. It is a small signed
text that travels by mail, by stick, or inside a package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import (
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from tundish.kernel import clock
from tundish.kernel.digest import Digest, is_digest
from tundish.kernel.records import SignedRecord
from tundish.seal import armour, signedtext
from tundish.seal.errors import (
    RevocationsInvalidError,
    TermsInvalidError,
)
from tundish.seal.fields import Moment
from tundish.seal.keys import SigningKey, VerifyKey
from tundish.seal.signedtext import IssuedBody, TextForm
from tundish.seal.statement import MAX_VERSION, first_fault

PAYLOAD_TYPE = "application/vnd.tundish.revocations.v1+json"
KIND = "REVOCATIONS"
MAX_ENTRIES = 500

Kind: TypeAlias = Literal["key", "package", "grant", "device"]


class Revoked(SignedRecord):
    """One thing that counts no more.

    Attributes:
        kind: What it is.
        name: Id of the key or device, digest of the package, name of the grant.
        since: From when on; for a key, what it signed before may still count.
        reason: In its owner's words.
    """

    kind: Kind
    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    since: Moment
    reason: Annotated[str, StringConstraints(max_length=300)] = ""

    @model_validator(mode="after")
    def _named_rightly(self) -> Revoked:
        right = (
            self.name.startswith("grant-")
            if self.kind == "grant"
            else is_digest(self.name)
        )
        if not right:
            msg = f"{self.name[:80]!r} names no {self.kind}"
            raise ValueError(msg)
        return self

    def moment(self) -> datetime:
        """Return since when it counts no more."""
        return clock.from_text(self.since)


class ListBody(IssuedBody):
    """What is signed."""

    format: Literal["tundish.revocations"] = "tundish.revocations"
    form: Literal[1] = 1
    version: Annotated[int, Field(ge=1, le=MAX_VERSION)]
    entries: Annotated[tuple[Revoked, ...], Field(max_length=MAX_ENTRIES)]


FORM = TextForm(
    kind=KIND,
    payload_type=PAYLOAD_TYPE,
    body=ListBody,
    what="A revocation list",
    error=RevocationsInvalidError,
)


@dataclass(frozen=True, kw_only=True)
class RevocationList:
    """A verified list.

    Attributes:
        issuer: Id of the key that signed it.
        version: Counter of this issuer's lists.
        entries: All that this issuer revoked.
        digest: Digest of the signed words.
    """

    issuer: Digest
    version: int
    issued_at: datetime
    entries: tuple[Revoked, ...]
    digest: Digest


def entry(kind: Kind, name: str, since: datetime, reason: str) -> Revoked:
    """Build an entry from a caller's values.

    Raises:
        TermsInvalidError: naming the field that has the wrong form.
    """
    try:
        return Revoked(kind=kind, name=name, since=clock.to_text(since), reason=reason)
    except ValidationError as error:
        raise TermsInvalidError(first_fault("revocation", error)) from error


def sign(
    entries: Sequence[Revoked], *, version: int, now: datetime, key: SigningKey
) -> bytes:
    """Return a list as a small text.

    Raises:
        TermsInvalidError: if it has too many entries.
    """
    fields = {"version": version, "entries": tuple(entries)}
    return signedtext.issue(FORM, fields, now=now, key=key)


def read_exact(text: bytes, known: Sequence[VerifyKey]) -> RevocationList:
    """Read a list inside a package: not even what mail changes may differ.

    Raises:
        As ``read``.
    """
    found = read(text, known)
    if armour.wrap(KIND, armour.unwrap(KIND, text)) != text:
        msg = "The revocation list in a package is not in its only form."
        raise RevocationsInvalidError(msg)
    return found


def read(text: bytes, known: Sequence[VerifyKey]) -> RevocationList:
    """Return what a list says, after its signature was checked.

    Whether its issuer still counts, and for what, is decided by ``trust``.

    Args:
        text: Untrusted bytes of a file.
        known: Keys that are trusted here.

    Raises:
        RevocationsInvalidError: if it was changed.
        SignerUntrustedError: if its issuer is not trusted here.
    """
    found = signedtext.read_issued(text, known, FORM)
    body = found.body
    return RevocationList(
        issuer=body.issuer,
        version=body.version,
        issued_at=clock.from_text(body.issued_at),
        entries=body.entries,
        digest=found.digest,
    )
