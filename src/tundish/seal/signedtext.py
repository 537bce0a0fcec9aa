"""Small signed texts that travel by mail or stick: an armour, an envelope, one record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from tundish.kernel.errors import RefusedError
from tundish.seal import armour, dsse
from tundish.seal.errors import SignatureInvalidError, SignatureMalformedError
from tundish.seal.keys import VerifyKey

Body = TypeVar("Body", bound=BaseModel)


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
        name = form.what.partition(" ")[2]
        return dsse.read_record(payload, form.body, what=name), payload, key
    except (SignatureMalformedError, SignatureInvalidError) as error:
        msg = f"{form.what} was changed on its way: {error.message}"
        raise form.error(msg) from error
