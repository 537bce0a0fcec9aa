"""Private keys as PEM files: mode 0600, and encrypted when a passphrase is given.

The encryption is PBES2 (RFC 8018) with scrypt (RFC 7914) and AES-256-CBC, which
OpenSSL and other tools read. The usual library call derives the key with 2,048
rounds of PBKDF2, too few for a passphrase that a person can remember, so the small
envelope is written here. Parameters: N=2^14, r=8, p=5 (an OWASP setting, 16 MiB).
"""

from __future__ import annotations

import base64
import math
import re
import secrets
import stat
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import padding, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from tundish.kernel import paths
from tundish.seal import base64s, der
from tundish.seal.errors import (
    KeyExistsError,
    KeyExposedError,
    KeyPassphraseError,
    KeyUnreadableError,
)

PrivateKey: TypeAlias = (
    ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | x25519.X25519PrivateKey
)

MAX_BYTES = 64 * 1024
MAX_EFFORT = 2**26  # scrypt with 256 MB, or two million rounds of PBKDF2
_N, _R, _P = 2**14, 8, 5
_ENCRYPTED = re.compile(
    rb"-----BEGIN ENCRYPTED PRIVATE KEY-----(.*?)-----END", re.DOTALL
)
_INTEGER, _NESTED, _MAX_DEPTH = 0x02, 0x20, 8
_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_SCRYPT = bytes.fromhex("06092b06010401da47040b")
_AES256_CBC = bytes.fromhex("060960864801650304012a")


def save(path: Path, key: PrivateKey, passphrase: str | None) -> None:
    """Write a private key with mode 0600; an existing file is never replaced.

    Raises:
        KeyExistsError: if something is there already.
        KeyPassphraseError: if the passphrase is empty.
    """
    if path.exists() or path.is_symlink():
        msg = f"A key was to be written to {path}, and a file is there already."
        raise KeyExistsError(msg)
    paths.write_whole(path, _to_pem(key, passphrase), mode=0o600)


def load(path: Path, passphrase: str | None) -> object:
    """Read a private key of any kind; the caller checks which.

    Raises:
        PathMissingError: if there is no file.
        KeyExposedError: if others may read it.
        KeyPassphraseError: if the passphrase is wrong, missing or not needed.
        KeyUnreadableError: if it is no PEM key.
    """
    mode = stat.S_IMODE(paths.existing_file(path).stat().st_mode)
    if mode & 0o077:
        msg = f"The private key {path} has mode {mode:04o}; expected 0600."
        raise KeyExposedError(msg)
    data = path.read_bytes()
    if len(data) > MAX_BYTES or b"PRIVATE KEY-----" not in data:
        msg = f"The file {path} holds no private key in PEM form."
        raise KeyUnreadableError(msg)
    passphrase = passphrase or None
    _check_passphrase(path, data, passphrase)
    _check_effort(path, data)
    secret = None if passphrase is None else passphrase.encode()
    try:
        return serialization.load_pem_private_key(data, secret)
    except ValueError as error:
        if passphrase is not None:
            msg = f"The passphrase does not open the private key {path}."
            raise KeyPassphraseError(msg) from error
        msg = f"The private key {path} is damaged."
        raise KeyUnreadableError(msg) from error
    except (TypeError, UnsupportedAlgorithm, InternalError) as error:
        msg = f"The private key {path} is of a kind that Tundish does not use."
        raise KeyUnreadableError(msg) from error


def _check_passphrase(path: Path, data: bytes, passphrase: str | None) -> None:
    encrypted = b"ENCRYPTED" in data
    if encrypted and passphrase is None:
        msg = f"The private key {path} is encrypted, and no passphrase was given."
        raise KeyPassphraseError(msg)
    if not encrypted and passphrase is not None:
        msg = f"A passphrase was given, but the private key {path} is not encrypted."
        raise KeyPassphraseError(msg)


def _check_effort(path: Path, data: bytes) -> None:
    """Refuse a file that asks for days or gigabytes to derive its key.

    The product of the numbers of a derivation (rounds, block size, parallelism, length
    of the key) is a measure of both, for scrypt and for PBKDF2.
    """
    for block in _ENCRYPTED.findall(data):
        try:
            whole = _element(base64.b64decode(block), 0)[1]
            numbers = _integers(_element(whole, 0)[1], 0)
            effort = math.prod(max(1, number) for number in numbers)
        except (IndexError, ValueError) as error:
            msg = f"The private key {path} is damaged."
            raise KeyUnreadableError(msg) from error
        if effort > MAX_EFFORT:
            msg = (
                f"The private key {path} asks for more work to be opened than is done."
            )
            raise KeyUnreadableError(msg)


def _integers(encoded: bytes, depth: int) -> Iterator[int]:
    """Yield the numbers in some DER elements, at any depth."""
    at = 0
    while at < len(encoded):
        tag, body, at = _element(encoded, at)
        if tag == _INTEGER:
            yield int.from_bytes(body, "big")
        elif tag & _NESTED and depth < _MAX_DEPTH:
            yield from _integers(body, depth + 1)


def _element(encoded: bytes, at: int) -> tuple[int, bytes, int]:
    """Return tag and body of the DER element at a place, and the place after it."""
    tag, size, at = encoded[at], encoded[at + 1], at + 2
    if size >= 128:
        digits = size - 128
        size, at = int.from_bytes(encoded[at : at + digits], "big"), at + digits
    if at + size > len(encoded):
        msg = "an element is cut off"
        raise ValueError(msg)
    return tag, encoded[at : at + size], at + size


def _to_pem(key: PrivateKey, passphrase: str | None) -> bytes:
    if passphrase is None:
        return key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    if not passphrase:
        msg = "The passphrase for a new key is empty."
        raise KeyPassphraseError(msg, advice="Give a passphrase, or none at all.")
    clear = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    body = "\n".join(textwrap.wrap(base64s.encode(_encrypted(clear, passphrase)), 64))
    label = "ENCRYPTED PRIVATE KEY-----"
    return f"-----BEGIN {label}\n{body}\n-----END {label}\n".encode()


def _encrypted(clear: bytes, passphrase: str) -> bytes:
    salt, iv = secrets.token_bytes(16), secrets.token_bytes(16)
    key = Scrypt(salt=salt, length=32, n=_N, r=_R, p=_P).derive(passphrase.encode())
    padder = padding.PKCS7(128).padder()
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    body = cipher.update(padder.update(clear) + padder.finalize()) + cipher.finalize()
    numbers = b"".join(der.integer(number) for number in (_N, _R, _P, 32))
    derivation = der.sequence(_SCRYPT, der.sequence(der.octets(salt), numbers))
    encryption = der.sequence(_AES256_CBC, der.octets(iv))
    scheme = der.sequence(_PBES2, der.sequence(derivation, encryption))
    return der.sequence(scheme, der.octets(body))
