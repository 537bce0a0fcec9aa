"""Encryption to recipients in the age format (age-encryption.org/v1), in memory.

A package has an identity of its own; whoever gets that identity can open it, with
Tundish or with the ``age`` program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyrage  # type: ignore[import-untyped]  # ships no types
import pyrage.x25519  # type: ignore[import-untyped]

from tundish.seal import agefile
from tundish.seal.errors import RecipientInvalidError
from tundish.seal.secret import SecretText

MAGIC = b"age-encryption.org/v1\n"
_GREASE = (
    b"-grease"  # ends what the library writes for nobody, to keep readers tolerant
)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A pair that opens (secret) and closes (recipient) envelopes."""

    secret: SecretText
    recipient: str


def new_identity() -> Identity:
    """Make a new X25519 identity from the system's randomness."""
    made = pyrage.x25519.Identity.generate()
    return Identity(secret=SecretText(str(made)), recipient=str(made.to_public()))


def identity_from_secret(secret: SecretText) -> Identity:
    """Return the identity of an ``AGE-SECRET-KEY-1...`` text.

    Raises:
        RecipientInvalidError: if it is no such text.
    """
    try:
        found = pyrage.x25519.Identity.from_str(secret.reveal())
    except pyrage.IdentityError as error:
        msg = "A text that should be an age identity is none."
        raise RecipientInvalidError(msg) from error
    return Identity(secret=secret, recipient=str(found.to_public()))


def encrypt(data: bytes, recipients: Sequence[str]) -> bytes:
    """Encrypt for one or more ``age1...`` recipients; random, never twice the same.

    Raises:
        RecipientInvalidError: if there is none, or one is no age recipient.
    """
    if not recipients:
        msg = "An envelope needs at least one recipient."
        raise RecipientInvalidError(msg)
    sealed: bytes = pyrage.encrypt(data, [_recipient(text) for text in recipients])
    return sealed


def decrypt(data: bytes, identity: Identity) -> bytes:
    """Open an envelope; nothing touches the disk.

    Raises:
        EnvelopeClosedError: if it is for somebody else, or was changed.
    """
    clear = bytearray(clear_size(data))
    decrypt_into(data, identity, memoryview(clear))
    return bytes(clear)


def clear_size(data: bytes) -> int:
    """Return how many clear bytes an envelope holds.

    Raises:
        EnvelopeClosedError: if it is none.
    """
    return agefile.clear_size(data)


def decrypt_into(data: bytes, identity: Identity, out: memoryview) -> None:
    """Open an envelope into memory of the caller's; zeros stand there if it fails.

    Args:
        data: The envelope.
        identity: Who opens it.
        out: As many writable bytes as ``clear_size`` says.

    Raises:
        EnvelopeClosedError: if it is for somebody else, or was changed.
    """
    agefile.open_into(data, identity.secret, out)


def recipients(data: bytes) -> int:
    """Return for how many recipients an envelope was closed, by its header.

    What is no envelope has none. The header of one that opens is authentic: its MAC is
    made with the file's key (age-encryption.org/v1, "Header MAC").
    """
    header = data.partition(b"\n--- ")[0]
    if not header.startswith(MAGIC):
        return 0
    stanzas = [line for line in header.split(b"\n") if line.startswith(b"-> ")]
    return sum(not line.split(b" ")[1].endswith(_GREASE) for line in stanzas)


def _recipient(text: str) -> object:
    try:
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError as error:
        msg = f"The text {text[:12]!r} is no age recipient."
        raise RecipientInvalidError(msg) from error
