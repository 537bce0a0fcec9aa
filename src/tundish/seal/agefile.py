"""Opening an age file into a buffer of the caller's (age-encryption.org/v1, X25519).

pyrage returns the clear bytes in memory that nobody can lock or wipe, and takes five
times as long. So opening is done here, with the ciphers of ``cryptography``, into
memory that the caller has chosen; files are still written by pyrage. What is opened
here, pyrage and the ``age`` program open to the same bytes; other kinds of recipients
than X25519 are passed over, as the format demands. Source: C2SP, the age format.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tundish.seal.errors import EnvelopeClosedError
from tundish.seal.secret import SecretText, wipe

MAX_HEADER = 1 << 16
CHUNK = 1 << 16

_TAG, _NONCE, _FILE_KEY = 16, 16, 16
_VERSION = b"age-encryption.org/v1"
_LABEL_X25519 = b"age-encryption.org/v1/X25519"
_ARGUMENTS = re.compile(rb"-> ([\x21-\x7e]+(?: [\x21-\x7e]+)*)")
_MAC = re.compile(rb"--- ([A-Za-z0-9+/]{43})")
_LETTERS = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"  # Bech32's alphabet


@dataclass(frozen=True, kw_only=True)
class AgeHeader:
    """What stands before the encrypted bytes.

    Attributes:
        stanzas: Arguments and body of each recipient's stanza.
        authenticated: The bytes that the header's code speaks for.
        code: That code, 32 bytes.
        size: Bytes of the whole header.
    """

    stanzas: tuple[tuple[tuple[bytes, ...], bytes], ...]
    authenticated: bytes
    code: bytes
    size: int


def clear_size(data: bytes) -> int:
    """Return how many clear bytes an age file holds, if it is whole.

    Raises:
        EnvelopeClosedError: if it is no age file.
    """
    return _clear_size(len(data) - read_header(data).size)


def open_into(data: bytes, secret: SecretText, out: memoryview) -> None:
    """Open an age file into a buffer; on any refusal the buffer holds zeros only.

    Args:
        data: Untrusted bytes of the file.
        secret: An ``AGE-SECRET-KEY-1...`` text, already known to be one.
        out: As many bytes as ``clear_size`` says, writable.

    Raises:
        EnvelopeClosedError: if it is for somebody else, or was changed.
    """
    header = read_header(data)
    size = _clear_size(len(data) - header.size)
    if len(out) != size:
        msg = f"a buffer of {len(out)} bytes was given for {size}"
        raise ValueError(msg)
    file_key, payload_key = bytearray(_FILE_KEY), bytearray(32)
    try:
        _unwrap(header, secret, file_key)
        _check_header(header, file_key)
        body = memoryview(data)[header.size :]
        _derive(file_key, bytes(body[:_NONCE]), b"payload", payload_key)
        _open_chunks(ChaCha20Poly1305(payload_key), body[_NONCE:], out)
    except BaseException:
        wipe(out)
        raise
    finally:
        wipe(file_key)
        wipe(payload_key)


def read_header(data: bytes) -> AgeHeader:
    """Take a header apart; only its one form is read.

    Raises:
        EnvelopeClosedError: if anything in it is not as the format says.
    """
    lines = _lines(data)
    if next(lines) != _VERSION:
        raise _changed()
    stanzas, at, body = [], len(_VERSION) + 1, b""
    for line in lines:
        code = _MAC.fullmatch(line)
        if code is not None:
            break
        words = _ARGUMENTS.fullmatch(line)
        if words is None:
            raise _changed()
        body, used = _read_body(lines)
        stanzas.append((tuple(words[1].split(b" ")), body))
        at += len(line) + 1 + used
    else:
        raise _changed()
    if not stanzas:
        raise _changed()
    return AgeHeader(
        stanzas=tuple(stanzas),
        authenticated=data[: at + 3],
        code=_base64(code[1]),
        size=at + len(code[0]) + 1,
    )


def _lines(data: bytes) -> Iterator[bytes]:
    at = 0
    while True:
        end = data.find(b"\n", at, MAX_HEADER)
        if end < 0:
            raise _changed()
        yield data[at:end]
        at = end + 1


def _read_body(lines: Iterator[bytes]) -> tuple[bytes, int]:
    parts: list[bytes] = []
    for line in lines:
        if len(line) > 64:
            raise _changed()
        parts.append(line)
        if len(line) < 64:  # the last line is shorter, if need be empty
            break
    return _base64(b"".join(parts)), sum(len(part) + 1 for part in parts)


def _base64(text: bytes) -> bytes:
    """Decode base64 without padding, in its only form."""
    try:
        found = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise _changed() from error
    if base64.b64encode(found).rstrip(b"=") != text:
        raise _changed()
    return found


def _unwrap(header: AgeHeader, secret: SecretText, file_key: bytearray) -> None:
    """Find the stanza that is for this identity; fill in the file's key."""
    raw = _raw_secret(secret)
    try:
        key = X25519PrivateKey.from_private_bytes(raw)
    finally:
        wipe(raw)
    own = key.public_key().public_bytes_raw()
    found = False
    for words, body in header.stanzas:
        if words[0] != b"X25519":
            continue
        share = _base64(words[1]) if len(words) == 2 else b""
        if len(share) != 32 or len(body) != _FILE_KEY + _TAG:
            raise _changed()
        found = found or _unwrap_one(key, own, (share, body), file_key)
    if not found:
        msg = "An encrypted file does not open with the identity that was given."
        raise EnvelopeClosedError(msg)


def _unwrap_one(
    key: X25519PrivateKey, own: bytes, stanza: tuple[bytes, bytes], out: bytearray
) -> bool:
    share, body = stanza
    wrap = bytearray(32)
    try:
        shared = key.exchange(X25519PublicKey.from_public_bytes(share))
        _derive(shared, share + own, _LABEL_X25519, wrap)
        ChaCha20Poly1305(wrap).decrypt_into(bytes(12), body, None, out)
    except ValueError as error:  # a point of low order: the shared secret is zero
        raise _changed() from error
    except InvalidTag:
        return False
    finally:
        wipe(wrap)
    return True


def _check_header(header: AgeHeader, file_key: bytearray) -> None:
    key = bytearray(32)
    try:
        _derive(file_key, b"", b"header", key)
        expected = hmac.new(key, header.authenticated, hashlib.sha256).digest()
    finally:
        wipe(key)
    if not hmac.compare_digest(expected, header.code):
        raise _changed()


def _open_chunks(cipher: ChaCha20Poly1305, body: memoryview, out: memoryview) -> None:
    count = max(1, -(-len(body) // (CHUNK + _TAG)))
    for number in range(count):
        last = b"\x01" if number == count - 1 else b"\x00"
        sealed = body[number * (CHUNK + _TAG) : (number + 1) * (CHUNK + _TAG)]
        clear = out[number * CHUNK : (number + 1) * CHUNK]
        try:
            cipher.decrypt_into(number.to_bytes(11, "big") + last, sealed, None, clear)
        except InvalidTag as error:
            raise _changed() from error


def _clear_size(rest: int) -> int:
    """Return the clear bytes of what follows a header: a nonce, then chunks."""
    sealed = rest - _NONCE
    count = max(1, -(-sealed // (CHUNK + _TAG)))
    size = sealed - count * _TAG
    # an empty last chunk is allowed only where nothing was encrypted at all
    if size < 0 or (count > 1 and size <= (count - 1) * CHUNK):
        raise _changed()
    return size


def _derive(key: bytes | bytearray, salt: bytes, info: bytes, out: bytearray) -> None:
    HKDF(algorithm=SHA256(), length=len(out), salt=salt, info=info).derive_into(
        key, out
    )


def _raw_secret(secret: SecretText) -> bytearray:
    """Return the 32 bytes of an identity; its checksum was looked at before."""
    letters = bytes(secret.view()).lower().rpartition(b"1")[2][:-6]
    raw, held, bits = bytearray(), 0, 0
    for letter in letters:
        held, bits = held << 5 | _LETTERS.index(letter), bits + 5
        if bits >= 8:
            bits -= 8
            raw.append(held >> bits)
            held &= (1 << bits) - 1
    return raw


def _changed() -> EnvelopeClosedError:
    return EnvelopeClosedError("An encrypted file is no age file, or was changed.")
