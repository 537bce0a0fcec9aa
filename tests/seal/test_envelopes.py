"""Laws of DSSE and age envelopes: one form, and no changed byte."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.kernel import canonical
from tundish.kernel.errors import RefusedError
from tundish.seal import base64s, dsse, envelope
from tundish.seal.errors import (
    EnvelopeClosedError,
    RecipientInvalidError,
    SignatureMalformedError,
    SignerUntrustedError,
)
from tundish.seal.keys import SigningKey
from tundish.seal.secret import SecretText

KEY = SigningKey.generate()
KIND = "application/vnd.tundish.test+json"


def test_the_pre_authentication_encoding_is_the_standards() -> None:
    """The vector of the DSSE protocol."""
    assert (
        dsse.encode_for_signing("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@given(st.binary(max_size=200))
def test_an_envelope_gives_back_its_payload_and_signer(payload: bytes) -> None:
    signed = dsse.sign(KIND, payload, KEY)
    found, key = dsse.verify(signed, [KEY.public], payload_type=KIND)
    assert (found, key.key_id) == (payload, KEY.public.key_id)


def test_no_changed_byte_of_an_envelope_verifies() -> None:
    signed = dsse.sign(KIND, b'{"a":1}', KEY)
    for at in range(len(signed)):
        for bit in (0, 1, 5):
            changed = bytearray(signed)
            changed[at] ^= 1 << bit
            with pytest.raises(RefusedError):
                dsse.verify(bytes(changed), [KEY.public], payload_type=KIND)


@pytest.mark.parametrize("extra", [b" ", b"\n", b"\x00", b"{}"])
def test_bytes_before_or_after_are_refused(extra: bytes) -> None:
    signed = dsse.sign(KIND, b"x", KEY)
    for changed in (signed + extra, extra + signed, signed.replace(b",", b", ", 1)):
        with pytest.raises(SignatureMalformedError):
            dsse.verify(changed, [KEY.public], payload_type=KIND)


def test_a_second_signature_or_field_is_refused() -> None:
    value = canonical.loads(dsse.sign(KIND, b"x", KEY))
    assert isinstance(value, dict)
    lines = value["signatures"]
    assert isinstance(lines, list)
    wrong: list[canonical.Json] = [
        {**value, "more": 1},
        {**value, "signatures": lines * 2},
        {**value, "signatures": []},
        {**value, "signatures": {}},
        {**value, "payload": 5},
        [],
    ]
    for changed in wrong:
        with pytest.raises(SignatureMalformedError):
            dsse.verify(canonical.dumps(changed), [KEY.public], payload_type=KIND)


def test_another_payload_type_is_refused() -> None:
    signed = dsse.sign(KIND, b"x", KEY)
    with pytest.raises(SignatureMalformedError, match="type"):
        dsse.verify(signed, [KEY.public], payload_type="other")


def test_an_unknown_signer_is_refused() -> None:
    signed = dsse.sign(KIND, b"x", KEY)
    for trusted in ([], [SigningKey.generate().public]):
        with pytest.raises(SignerUntrustedError):
            dsse.verify(signed, trusted, payload_type=KIND)


@given(st.binary(max_size=40))
def test_base64_has_one_form(data: bytes) -> None:
    text = base64s.encode(data)
    assert base64s.decode(text, what="test") == data
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body = text.rstrip("=")
    for last in letters if text.endswith("=") else "":
        other = body[:-1] + last + text[len(body) :]
        if other != text and base64.b64decode(other) == data:
            with pytest.raises(SignatureMalformedError):
                base64s.decode(other, what="test")


@pytest.mark.parametrize(
    "text", ["QQ", "QQ==\n", " QQ==", "QR==", "Q-==", None, 5, "\u00e9"]
)
def test_other_forms_of_base64_are_refused(text: object) -> None:
    with pytest.raises(SignatureMalformedError):
        base64s.decode(text, what="test")


@given(st.binary(max_size=2000))
def test_what_is_closed_opens_for_its_recipients_only(data: bytes) -> None:
    mine, other = envelope.new_identity(), envelope.new_identity()
    sealed = envelope.encrypt(data, [mine.recipient])
    assert sealed.startswith(envelope.MAGIC)
    assert envelope.decrypt(sealed, mine) == data
    with pytest.raises(EnvelopeClosedError):
        envelope.decrypt(sealed, other)


def test_no_changed_byte_of_an_age_file_opens() -> None:
    mine = envelope.new_identity()
    sealed = envelope.encrypt(b"x" * 100, [mine.recipient])
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(EnvelopeClosedError):
            envelope.decrypt(bytes(changed), mine)
    for cut in range(len(sealed)):
        with pytest.raises(EnvelopeClosedError):
            envelope.decrypt(sealed[:cut], mine)


def test_recipients_and_identities_of_the_wrong_form_are_refused() -> None:
    for wrong in ([], ["age1xyz"], ["ssh-ed25519 AAAA"]):
        with pytest.raises(RecipientInvalidError):
            envelope.encrypt(b"x", wrong)
    with pytest.raises(RecipientInvalidError):
        envelope.identity_from_secret(SecretText("AGE-SECRET-KEY-1"))
    mine = envelope.new_identity()
    assert envelope.identity_from_secret(mine.secret).recipient == mine.recipient
