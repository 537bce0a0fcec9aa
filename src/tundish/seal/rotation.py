"""A key and its successor: the new key, signed by the old one.

Both keys sign: the old one says who takes over, the new one that it is really held by
whoever says so. Otherwise somebody could name another's key as a successor of his own
and so gain a say over what that one signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import StringConstraints

from tundish.kernel import canonical, clock, digest
from tundish.kernel.digest import Digest
from tundish.kernel.records import SignedRecord
from tundish.seal import armour, base64s, dsse
from tundish.seal.errors import (
    KeyUnreadableError,
    RotationInvalidError,
    SignatureInvalidError,
    SignatureMalformedError,
)
from tundish.seal.fields import Moment
from tundish.seal.keys import SigningKey, VerifyKey

PAYLOAD_TYPE = "application/vnd.tundish.rotation.v1+json"
KIND = "ROTATION"
_HELD = b"tundish.rotation/1 held\n"


class RotationBody(SignedRecord):
    """What is signed.

    Attributes:
        old: Id of the key that hands over.
        new: The public half of the key that takes over (PEM).
        at: When.
        old_until: When the old key's signatures cease to count.
    """

    format: Literal["tundish.rotation"] = "tundish.rotation"
    form: Literal[1] = 1
    old: str
    new: Annotated[str, StringConstraints(max_length=1000)]
    at: Moment
    old_until: Moment


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """A verified rotation."""

    old: Digest
    new: VerifyKey
    at: datetime
    old_until: datetime
    digest: Digest


def sign(old: SigningKey, new: SigningKey, *, at: datetime, until: datetime) -> bytes:
    """Return a small text that says which key takes over."""
    body = RotationBody(
        old=old.public.key_id,
        new=new.public.to_pem().decode(),
        at=clock.to_text(at),
        old_until=clock.to_text(until),
    )
    words = body.to_json()
    held = base64s.encode(new.sign(_HELD + canonical.dumps(words)))
    payload = canonical.dumps({**words, "held": held})
    return armour.wrap(KIND, dsse.sign(PAYLOAD_TYPE, payload, old))


def read(text: bytes, known: Sequence[VerifyKey]) -> Rotation:
    """Return what a rotation says, after both signatures were checked.

    Args:
        text: Untrusted bytes of a file.
        known: Keys that are trusted here; one of them is the old key.

    Raises:
        RotationInvalidError: if it was changed, or the new key did not sign.
        SignerUntrustedError: if the old key is not trusted here.
    """
    try:
        data = armour.unwrap(KIND, text)
        payload, key = dsse.verify(data, known, payload_type=PAYLOAD_TYPE)
        return _take_apart(payload, key)
    except (
        SignatureMalformedError,
        SignatureInvalidError,
        KeyUnreadableError,
    ) as error:
        msg = f"A rotation of keys does not hold: {error.message}"
        raise RotationInvalidError(msg) from error


def _take_apart(payload: bytes, key: VerifyKey) -> Rotation:
    body, words, signed = dsse.read_apart(
        payload, RotationBody, beside="held", what="rotation"
    )
    new = VerifyKey.from_pem(body.new.encode())
    if body.old != key.key_id or new == key or new.to_pem() != body.new.encode():
        msg = "A rotation names another key than the one that signed it, or itself."
        raise SignatureMalformedError(msg)
    held = base64s.decode(signed, what="new key's signature")
    new.verify(_HELD + canonical.dumps(words), held)
    return Rotation(
        old=key.key_id,
        new=new,
        at=clock.from_text(body.at),
        old_until=clock.from_text(body.old_until),
        digest=digest.of_bytes(payload),
    )
