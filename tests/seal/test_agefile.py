"""Our opening of age files beside pyrage's: the same bytes, or a refusal.

pyrage (the age library in Rust) is the peer; ``test_age`` holds both against the
upstream program.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

import pyrage  # type: ignore[import-untyped]  # ships no types
import pyrage.x25519  # type: ignore[import-untyped]
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from tundish.seal import agefile, envelope
from tundish.seal.envelope import Identity
from tundish.seal.errors import EnvelopeClosedError
from tundish.seal.secret import SecretText

CHUNK = agefile.CHUNK
OWN = envelope.new_identity()
STRANGER = envelope.new_identity()
FILE_KEY = bytes(range(16))


def peer(data: bytes, identity: Identity = OWN) -> bytes | None:
    """Return what pyrage opens, or nothing if it refuses."""
    key = pyrage.x25519.Identity.from_str(identity.secret.reveal())
    try:
        return bytes(pyrage.decrypt(data, [key]))
    except pyrage.DecryptError:
        return None


def ours(data: bytes, identity: Identity = OWN) -> bytes | None:
    try:
        return envelope.decrypt(data, identity)
    except EnvelopeClosedError:
        return None


# --- a writer of age files that can be told to write wrong ones -----------------------


def derive(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, info).derive(key)


def b64(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def stanza(recipient: bytes, file_key: bytes = FILE_KEY) -> list[bytes]:
    """Return the lines of an X25519 stanza."""
    once = X25519PrivateKey.generate()
    share = once.public_key().public_bytes_raw()
    shared = once.exchange(X25519PublicKey.from_public_bytes(recipient))
    wrap = derive(shared, share + recipient, b"age-encryption.org/v1/X25519")
    body = ChaCha20Poly1305(wrap).encrypt(bytes(12), file_key, None)
    return [b"-> X25519 " + b64(share), b64(body)]


def header(lines: Sequence[bytes], file_key: bytes = FILE_KEY) -> bytes:
    start = b"\n".join([b"age-encryption.org/v1", *lines, b"---"])
    code = hmac.digest(derive(file_key, b"", b"header"), start, hashlib.sha256)
    return start + b" " + b64(code) + b"\n"


def chunk(number: int, clear: bytes, *, last: bool, nonce: bytes = bytes(16)) -> bytes:
    cipher = ChaCha20Poly1305(derive(FILE_KEY, nonce, b"payload"))
    return cipher.encrypt(number.to_bytes(11, "big") + bytes([last]), clear, None)


def raw_public() -> bytes:
    return (
        X25519PrivateKey.from_private_bytes(bytes(agefile._raw_secret(OWN.secret)))
        .public_key()
        .public_bytes_raw()
    )


GOOD = stanza(raw_public())
FULL = bytes(CHUNK)
BODIES = {
    "nothing": [(b"", True)],
    "one byte": [(b"x", True)],
    "a full chunk": [(FULL, True)],
    "two chunks": [(FULL, False), (b"y", True)],
    "two full chunks": [(FULL, False), (FULL, True)],
    "an empty chunk in the end": [(FULL, False), (b"", True)],
    "no last chunk": [(FULL, False)],
    "a short chunk that is not the last": [(b"short", False), (b"y", True)],
    "two last chunks": [(FULL, True), (b"y", True)],
    "only a first chunk, empty": [(b"", False)],
    "no chunk at all": [],
}
OPEN = {"nothing", "one byte", "a full chunk", "two chunks", "two full chunks"}


@pytest.mark.parametrize("name", BODIES)
def test_a_stream_has_one_last_chunk_and_no_empty_one(name: str) -> None:
    parts = BODIES[name]
    body = b"".join(chunk(i, clear, last=last) for i, (clear, last) in enumerate(parts))
    data = header(GOOD) + bytes(16) + body
    clear = b"".join(clear for clear, _ in parts) if name in OPEN else None
    assert ours(data) == clear
    assert peer(data) == clear


@pytest.mark.parametrize("order", [(1, 0), (0, 0), (0, 2), (1,)])
def test_chunks_in_another_order_are_refused(order: tuple[int, ...]) -> None:
    clear = [bytes([i]) * CHUNK for i in range(3)]
    last = len(order) - 1
    sealed = [chunk(i, clear[i], last=at == last) for at, i in enumerate(order)]
    data = header(GOOD) + bytes(16) + b"".join(sealed)
    assert ours(data) is None
    assert peer(data) is None


GREASE = [b"-> 7-grease a b c", b64(bytes(40)), b""]
HEADERS: dict[str, tuple[list[bytes], bool]] = {
    "ours": (GOOD, True),
    "a stranger's before ours": ([*stanza(raw_public()[::-1]), *GOOD], True),
    "another kind before ours": ([b"-> other", b"", *GOOD], True),
    "a long body of another kind": ([b"-> o x", b64(bytes(48)), b"", *GOOD], True),
    "none": ([], False),
    "a stranger's only": (stanza(raw_public()[::-1]), False),
    "one word more": ([GOOD[0] + b" x", GOOD[1]], False),
    "no share": ([b"-> X25519", GOOD[1]], False),
    "a short share": ([b"-> X25519 " + b64(bytes(31)), GOOD[1]], False),
    "a padded share": ([GOOD[0] + b"=", GOOD[1]], False),
    "a share of low order": ([b"-> X25519 " + b64(bytes(32)), GOOD[1]], False),
    "a short body": ([GOOD[0], b64(bytes(31))], False),
    "a long file key": (stanza(raw_public(), bytes(17)), False),
    "two spaces": ([GOOD[0].replace(b"> ", b">  "), GOOD[1]], False),
    "a space in the end": ([GOOD[0] + b" ", GOOD[1]], False),
    "a carriage return": ([GOOD[0] + b"\r", GOOD[1]], False),
    "a body that is cut": ([GOOD[0]], False),
    "a line that is too long": ([b"-> o x", b64(bytes(51)), *GOOD], False),
    "a line too short, then more": ([b"-> o", b"AAAA", b"AAAA", *GOOD], False),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_opens_in_its_one_form_only(name: str) -> None:
    lines, opens = HEADERS[name]
    data = header(lines) + bytes(16) + chunk(0, b"graph", last=True)
    assert ours(data) == (b"graph" if opens else None)
    assert peer(data) in ({b"graph"} if opens else {None})


@pytest.mark.parametrize("size", [0, 200, CHUNK + 1])
def test_no_changed_byte_opens(size: int) -> None:
    """Whatever byte is changed: neither we nor the peer open it."""
    clear = bytes(i % 251 for i in range(size))
    sealed = envelope.encrypt(clear, [STRANGER.recipient, OWN.recipient])
    assert ours(sealed) == clear
    body = len(sealed) - size
    places = {*range(min(body, len(sealed))), *range(body, len(sealed), 4999)}
    for at in places:
        changed = bytearray(sealed)
        changed[at] ^= 1 << (at % 7)
        assert ours(bytes(changed)) is None, at
        assert peer(bytes(changed)) is None, at


@pytest.mark.parametrize("size", [0, 5, CHUNK])
def test_no_cut_or_longer_file_opens(size: int) -> None:
    sealed = envelope.encrypt(bytes(size), [OWN.recipient])
    step = 1 if size < CHUNK else 4999
    for end in range(0, len(sealed), step):
        assert ours(sealed[:end]) is None, end
    for more in (b"\0", bytes(16), bytes(17), sealed):
        assert ours(sealed + more) is None


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_and_nothing_else_happens(data: bytes) -> None:
    for text in (data, agefile._VERSION + b"\n" + data, header(GOOD)[:-1] + data):
        with pytest.raises(EnvelopeClosedError):
            envelope.decrypt(text, OWN)


def test_a_header_without_an_end_is_not_read_without_an_end() -> None:
    endless = agefile._VERSION + b"\n" + b"-> a\n\n" * 2_000_000
    with pytest.raises(EnvelopeClosedError):
        agefile.read_header(endless)


def test_a_refused_file_leaves_only_zeros_in_the_buffer() -> None:
    """Also what was right before the first wrong chunk."""
    clear = b"\xab" * (3 * CHUNK)
    sealed = bytearray(envelope.encrypt(clear, [OWN.recipient]))
    sealed[-1] ^= 1
    out = bytearray(len(clear))
    with pytest.raises(EnvelopeClosedError):
        agefile.open_into(bytes(sealed), OWN.secret, memoryview(out))
    assert not any(out)


def test_a_buffer_of_another_size_is_not_filled() -> None:
    sealed = envelope.encrypt(b"graph", [OWN.recipient])
    for size in (0, 4, 6):
        with pytest.raises(ValueError, match="5"):
            agefile.open_into(sealed, OWN.secret, memoryview(bytearray(size)))


def test_the_secret_of_an_identity_is_decoded_as_the_peer_does() -> None:
    for _ in range(20):
        made = envelope.new_identity()
        raw = bytes(agefile._raw_secret(made.secret))
        assert len(raw) == 32
        sealed = envelope.encrypt(b"x", [made.recipient])
        assert ours(sealed, made) == peer(sealed, made) == b"x"
        lower = SecretText(made.secret.reveal().lower())
        assert bytes(agefile._raw_secret(lower)) == raw


def test_a_secret_that_was_forgotten_opens_nothing_and_is_zeros() -> None:
    made = envelope.new_identity()
    sealed = envelope.encrypt(b"x", [made.recipient])
    held = made.secret.view()
    made.secret.forget()
    assert not any(held)
    for use in (made.secret.reveal, made.secret.view):
        with pytest.raises(ValueError, match="forgotten"):
            use()
    with pytest.raises(ValueError, match="forgotten"):
        envelope.decrypt(sealed, made)
