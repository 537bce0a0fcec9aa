"""Small signed texts that travel by mail or stick: an armour, an envelope, one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from tundish.kernel import canonical, clock, digest
from tundish.kernel.digest import Digest
from tundish.kernel.errors import RefusedError
from tundish.kernel.records import SignedRecord
from tundish.seal import armour, dsse
from tundish.seal.errors import (
    SignatureInvalidError,
    SignatureMalformedError,
    TermsInvalidError,
)
from tundish.seal.fields import CheckedDigest, Moment
from tundish.seal.keys import SigningKey, VerifyKey
from tundish.seal.statement import first_fault

Body = TypeVar("Body", bound=BaseModel)


class IssuedBody(SignedRecord):
    """A record that names the key it is signed with.

    Attributes:
        issuer: Id of that key.
        issued_at: When, by the clock of who signed.
    """

    issuer: CheckedDigest
    issued_at: Moment


IssuedForm = TypeVar("IssuedForm", bound=IssuedBody)


@dataclass(frozen=True, kw_only=True)
class TextForm(Generic[Body]):
    """What one kind of text is.

    Attributes:
        kind: Of its armour.
        payload_type: Of its envelope.
        body: The record that is signed.
        what: How it is called in a sentence, with its article.
        error: What a text that was changed is refused with.
    """

    kind: str
    payload_type: str
    body: type[Body]
    what: str
    error: type[RefusedError]

    @property
    def name(self) -> str:
        """How it is called, without an article."""
        return self.what.partition(" ")[2]


@dataclass(frozen=True, kw_only=True)
class Issued(Generic[IssuedForm]):
    """A verified record, signed by the key that it names.

    Attributes:
        body: The record.
        digest: Of its signed bytes.
    """

    body: IssuedForm
    digest: Digest


def issue(
    form: TextForm[IssuedForm],
    fields: Mapping[str, object],
    *,
    now: datetime,
    key: SigningKey,
) -> bytes:
    """Return a signed text.

    Args:
        form: What it is.
        fields: Of its record, but for issuer and time.
        now: The present.
        key: Signs it.

    Raises:
        TermsInvalidError: naming the field that has the wrong form.
    """
    issued = {"issuer": key.public.key_id, "issued_at": clock.to_text(now)}
    try:
        body = form.body.model_validate({**fields, **issued})
    except ValidationError as error:
        raise TermsInvalidError(first_fault(form.name, error)) from error
    payload = canonical.dumps(body.to_json())
    return armour.wrap(form.kind, dsse.sign(form.payload_type, payload, key))


def read_issued(
    text: bytes, known: Sequence[VerifyKey], form: TextForm[IssuedForm]
) -> Issued[IssuedForm]:
    """Return the record of a text that is signed by the key it names.

    Args:
        text: Untrusted bytes of a file.
        known: Keys that are trusted here.
        form: What it must be.

    Raises:
        SignerUntrustedError: if its issuer is not trusted here.
        RefusedError: the form's own error, if it was changed.
    """
    body, payload, key = read(text, known, form)
    if body.issuer != key.key_id:
        msg = f"{form.what} is signed by another key than it names."
        raise form.error(msg)
    return Issued(body=body, digest=digest.of_bytes(payload))


def read(
    text: bytes, known: Sequence[VerifyKey], form: TextForm[Body]
) -> tuple[Body, bytes, VerifyKey]:
    """Return the record of a text, its signed bytes and the key that signed them.

    Args:
        text: Untrusted bytes of a file.
        known: Keys that are trusted here.
        form: What it must be.

    Raises:
        SignerUntrustedError: if its signer is not trusted here.
        RefusedError: the form's own error, if it was changed.
    """
    try:
        data = armour.unwrap(form.kind, text)
        payload, key = dsse.verify(data, known, payload_type=form.payload_type)
        return dsse.read_record(payload, form.body, what=form.name), payload, key
    except (SignatureMalformedError, SignatureInvalidError) as error:
        msg = (
            armour.stray(form.kind, text)
            or f"{form.what} was changed on its way: {error.message}"
        )
        raise form.error(msg) from error
