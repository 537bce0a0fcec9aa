"""The signature beside a provider's card: whose card it is.

A card names evidence that its provider has signed. Without this signature anybody could
put another one's packages beside a card of his own. It is a small text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tundish.kernel import clock, digest
from tundish.kernel.digest import Digest
from tundish.seal import signedtext
from tundish.seal.errors import ProviderCardInvalidError
from tundish.seal.fields import CheckedDigest, Moment
from tundish.seal.keys import SigningKey, VerifyKey
from tundish.seal.signedtext import IssuedBody, TextForm

PAYLOAD_TYPE = "application/vnd.tundish.provider.v1+json"
KIND = "PROVIDER"


class CardBody(IssuedBody):
    """What is signed.

    Attributes:
        card: Digest of the card's bytes.
        not_after: When the card ends.
    """

    format: Literal["tundish.provider-card"] = "tundish.provider-card"
    form: Literal[1] = 1
    card: CheckedDigest
    not_after: Moment


FORM = TextForm(
    kind=KIND,
    payload_type=PAYLOAD_TYPE,
    body=CardBody,
    what="The signature of a provider's card",
    error=ProviderCardInvalidError,
)


@dataclass(frozen=True, kw_only=True)
class CardSignature:
    """A verified signature of a card, and the key that made it."""

    body: CardBody
    signer: Digest


def sign(card: bytes, *, now: datetime, not_after: datetime, key: SigningKey) -> bytes:
    """Return the signature of a card as a small text."""
    fields = {"card": digest.of_bytes(card), "not_after": clock.to_text(not_after)}
    return signedtext.issue(FORM, fields, now=now, key=key)


def read(
    text: bytes, card: bytes, known: Sequence[VerifyKey], *, now: datetime
) -> CardSignature:
    """Return the signature of a card after it was checked.

    Args:
        text: Untrusted bytes of the signature.
        card: Untrusted bytes of the card.
        known: Keys that are trusted here.
        now: The present.

    Raises:
        ProviderCardInvalidError: if either was changed, or the card has run out.
        SignerUntrustedError: if its signer is not trusted here.
    """
    body = signedtext.read_issued(text, known, FORM).body
    if body.card != digest.of_bytes(card):
        msg = "The provider's card has other bytes than were signed."
        raise ProviderCardInvalidError(msg)
    if clock.from_text(body.not_after) <= now:
        msg = f"The provider's card ended at {body.not_after}."
        raise ProviderCardInvalidError(msg)
    return CardSignature(body=body, signer=body.issuer)
