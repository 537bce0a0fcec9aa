"""Addresses of keys in tokens (RFC 7512), read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.kernel.errors import TundishError
from tundish.seal.token_errors import TokenUriError
from tundish.seal.token_uri import MAX_LENGTH, TokenUri

HOW = "?module-path=/usr/lib/softhsm/libsofthsm2.so"
PLAIN = f"pkcs11:token=plant;object=maker{HOW}"


def test_an_address_says_which_token_which_key_and_how() -> None:
    text = (
        "pkcs11:token=Werk%20S%C3%BCd;serial=0a1b;object=maker;id=%01%FF;type=private"
        f"{HOW}&pin-source=file:/run/secrets/pin"
    )
    found = TokenUri.parse(text)
    assert (found.token, found.serial, found.label) == ("Werk Süd", "0a1b", "maker")
    assert found.key_id == b"\x01\xff"
    assert found.module == Path("/usr/lib/softhsm/libsofthsm2.so")
    assert found.pin_source == Path("/run/secrets/pin")


labels = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), max_size=6)


@given(
    token=labels.filter(bool),
    label=labels,
    key_id=st.binary(min_size=1, max_size=64),
    name=labels.filter(lambda text: text not in ("", ".", "..") and "/" not in text),
)
def test_an_address_written_is_read_as_the_same(
    token: str, label: str, key_id: bytes, name: str
) -> None:
    made = TokenUri(token=token, label=label, key_id=key_id, module=Path("/lib", name))
    assert TokenUri.parse(made.to_text()) == made


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plant/maker",
        "pkcs11:",
        f"pkcs11:object=maker{HOW}",  # no token
        f"pkcs11:token=plant{HOW}",  # no key
        f"pkcs11:token=;object=maker{HOW}",
        "pkcs11:token=plant;object=maker",  # no module
        "pkcs11:token=plant;object=maker?module-path=lib.so",
        "pkcs11:token=plant;object=maker?module-path=/usr/../tmp/lib.so",
        "pkcs11:token=plant;object=maker?module-name=softhsm2",
        f"pkcs11:token=plant;token=other;object=maker{HOW}",
        f"pkcs11:token=plant;object=maker;x-color=red{HOW}",
        f"pkcs11:token=plant;object=maker;slot-id=1{HOW}",
        f"pkcs11:token=plant;object=maker;{HOW}",
        f"pkcs11:token=plant;object=maker;type=cert{HOW}",
        f"pkcs11:token=plant;object=ma ker{HOW}",
        f"pkcs11:token=plant;object=ma%2{HOW}",
        f"pkcs11:token=plant;object=ma%zz{HOW}",
        f"pkcs11:token=plant;object=ma%FFker{HOW}",  # no UTF-8
        f"pkcs11:token=plant;object=ma%1B%5Bker{HOW}",  # steers a terminal
        f"pkcs11:token={'p' * 33};object=maker{HOW}",
        f"pkcs11:token=plant;object=maker;id={'%00' * 65}{HOW}",
        f"{PLAIN}&pin-source=pin.txt",
        f"{PLAIN}&pin-source=|/usr/bin/cat",
        f"{PLAIN}&pin-source=https:/elsewhere",
        f"{PLAIN}&module-path=/tmp/other.so",
        PLAIN + "&" * MAX_LENGTH,
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_and_not_passed_over(text: str) -> None:
    with pytest.raises(TokenUriError):
        TokenUri.parse(text)


@pytest.mark.parametrize("between", ["?pin-value=", f"{HOW}&pin-value=", ";pin-value="])
def test_a_pin_in_an_address_is_refused_and_not_repeated(between: str) -> None:
    text = f"pkcs11:token=plant;object=maker{between}48151623"
    with pytest.raises(TokenUriError) as refusal:
        TokenUri.parse(text)
    assert "pin-value" in refusal.value.message
    assert "TUNDISH_PIN" in refusal.value.advice
    assert "48151623" not in refusal.value.one_line()


@given(st.text(max_size=60))
def test_any_text_ends_in_an_address_or_a_refusal(text: str) -> None:
    for whole in (text, f"pkcs11:{text}", f"{PLAIN}&{text}", f"pkcs11:{text}{HOW}"):
        try:
            found = TokenUri.parse(whole)
        except TundishError as error:
            assert isinstance(error, TokenUriError)  # noqa: PT017
        else:
            assert TokenUri.parse(found.to_text()) == found
