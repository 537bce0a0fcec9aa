"""Codes for spare devices: what is sealed in an envelope until the night it is needed.

A code has 24 letters at random (120 bits) and one that checks them, in the letters of
Crockford's base 32, which knows neither I, L, O nor U. The key comes from the code by
HKDF-SHA256 (RFC 5869); so many random bits need no slow derivation.
"""

from __future__ import annotations

import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tundish.seal.errors import SpareCodeError
from tundish.seal.secret import SecretText

LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 24
GROUP = 5
SALT_SIZE, NONCE_SIZE = 16, 12
_LABEL = b"tundish.spare/1\n"


def new_code() -> SecretText:
    """Make a code, written in five groups of five."""
    letters = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
    whole = letters + _check(letters)
    groups = [whole[at : at + GROUP] for at in range(0, len(whole), GROUP)]
    return SecretText("-".join(groups))


def close(secret: bytes, code: SecretText, info: bytes) -> bytes:
    """Encrypt a secret under a code, bound to ``info``."""
    salt, nonce = secrets.token_bytes(SALT_SIZE), secrets.token_bytes(NONCE_SIZE)
    return salt + nonce + AESGCM(_key(code, salt)).encrypt(nonce, secret, info)


def open_closed(sealed: bytes, code: SecretText, info: bytes) -> bytes:
    """Return a secret that was closed with this code and this ``info``.

    Raises:
        SpareCodeError: if the code was mistyped or is another one's.
    """
    salt, rest = sealed[:SALT_SIZE], sealed[SALT_SIZE:]
    nonce, body = rest[:NONCE_SIZE], rest[NONCE_SIZE:]
    try:
        return AESGCM(_key(code, salt)).decrypt(nonce, body, info)
    except (InvalidTag, ValueError) as error:
        msg = "The code is not the one of this spare's grant."
        raise SpareCodeError(msg) from error


def _key(code: SecretText, salt: bytes) -> bytes:
    derive = HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=_LABEL)
    return derive.derive(_plain(code).encode())


def _plain(code: SecretText) -> str:
    """Return the letters of a code as it was typed.

    Raises:
        SpareCodeError: if one is missing, unknown or wrong.
    """
    text = code.reveal().upper().replace("O", "0").replace("I", "1").replace("L", "1")
    letters = "".join(letter for letter in text if letter not in "- \t\r\n")
    body, check = letters[:LENGTH], letters[LENGTH:]
    if set(letters) - set(LETTERS) or check != _check(body):
        msg = f"The code was mistyped: {LENGTH + 1} letters and digits that check."
        raise SpareCodeError(msg)
    return body


def _check(letters: str) -> str:
    return LETTERS[hashlib.sha256(letters.encode()).digest()[0] % len(LETTERS)]
