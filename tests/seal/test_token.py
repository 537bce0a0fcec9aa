"""Keys in a token (SoftHSM): what they sign, that they stay, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from tests.softhsm import MODULE, PIN, SoftHsm, empty, uri, use

from tundish.kernel.errors import RefusedError
from tundish.seal import keys
from tundish.seal.errors import KeyExposedError, KeyUnreadableError
from tundish.seal.keys import DeviceKey, SigningKey, VerifyKey
from tundish.seal.secret import SecretText
from tundish.seal.token_errors import (
    TokenAbsentError,
    TokenAmbiguousError,
    TokenFailedError,
    TokenKeyExtractableError,
    TokenLastTryError,
    TokenMechanismError,
    TokenModuleError,
    TokenModuleUnsafeError,
    TokenObjectMissingError,
    TokenObjectTakenError,
    TokenOtherKeyError,
    TokenPinLockedError,
    TokenPinMissingError,
    TokenPinWrongError,
)
from tundish.seal.token_uri import TokenUri

pkcs11 = pytest.importorskip("pkcs11")

from tundish.seal import token as tokens  # noqa: E402  (needs the library)
from tundish.seal import token_sign, token_wrap  # noqa: E402
from tundish.seal.pin import Pin  # noqa: E402

A = pkcs11.Attribute
MAKER = TokenUri.parse(uri("maker"))
BOX = TokenUri.parse(uri("box"))


def objects(hsm: SoftHsm, kind: Any, label: str = "maker") -> list[Any]:
    found = hsm.session().get_objects({A.CLASS: kind, A.LABEL: label})
    return list(found)


@pytest.mark.parametrize("curve", ["P-256", "P-384"])
def test_signatures_of_a_token_have_the_one_form(
    hsm: SoftHsm, curve: Literal["P-256", "P-384"]
) -> None:
    signer = token_sign.make(MAKER, curve=curve)
    key = SigningKey(signer)
    public = VerifyKey.from_pem(key.public.to_pem())
    name = signer.public_key().curve.name
    assert name == {"P-256": "secp256r1", "P-384": "secp384r1"}[curve]
    algorithm = ec.ECDSA(hashes.SHA256() if curve == "P-256" else hashes.SHA384())
    high = 0
    for number in range(40):
        data = b"grant %d" % number
        public.verify(data, key.sign(data))  # strict DER, low s, or it raises
        _, s = decode_dss_signature(signer.sign(data, algorithm))
        high += s > keys._ORDERS[name] // 2
    assert high > 0  # so the token gives both forms, and one is turned


def test_a_key_made_in_a_token_never_leaves_it(hsm: SoftHsm, tmp_path: Path) -> None:
    signer = token_sign.make(MAKER)
    assert signer.made_inside
    with pytest.raises(KeyUnreadableError):
        SigningKey(signer).save(tmp_path / "key.pem")
    wrapping = token_wrap.make(BOX)
    assert wrapping.made_inside
    assert wrapping.method == "aes-gcm"
    for kind, label, value in (
        (pkcs11.ObjectClass.PRIVATE_KEY, "maker", A.VALUE),
        (pkcs11.ObjectClass.SECRET_KEY, "box", A.VALUE),
    ):
        [key] = objects(hsm, kind, label)
        assert key[A.SENSITIVE]
        assert key[A.ALWAYS_SENSITIVE]
        assert not key[A.EXTRACTABLE]
        assert key[A.NEVER_EXTRACTABLE]
        assert key[A.LOCAL]
        assert key[A.PRIVATE]
        with pytest.raises(pkcs11.AttributeSensitive):
            key[value]
        thief = key.session.generate_key(pkcs11.KeyType.AES, 256)
        with pytest.raises(pkcs11.KeyUnextractable):
            thief.wrap_key(key)
    [signing] = objects(hsm, pkcs11.ObjectClass.PRIVATE_KEY)
    assert signing[A.SIGN]
    for may in (A.DECRYPT, A.DERIVE, A.UNWRAP):
        assert not signing[may]


def make_pair(hsm: SoftHsm, label: str, key_id: bytes, **private: bool) -> Any:
    session = hsm.session()
    parameters = session.create_domain_parameters(
        pkcs11.KeyType.EC,
        {A.EC_PARAMS: token_sign._PARAMETERS["P-256"]},
        local=True,
    )
    return parameters.generate_keypair(
        label=label,
        id=key_id,
        store=True,
        private_template={getattr(A, name): value for name, value in private.items()},
    )


@pytest.mark.parametrize("may", [{"EXTRACTABLE": True}, {"SENSITIVE": False}])
def test_a_key_that_could_leave_its_token_is_refused(
    hsm: SoftHsm, may: dict[str, bool]
) -> None:
    make_pair(hsm, "maker", b"\x01", **may)
    hsm.again()
    with pytest.raises(TokenKeyExtractableError):
        token_sign.TokenSigner(MAKER)
    hsm.session().generate_key(
        pkcs11.KeyType.AES,
        256,
        label="box",
        store=True,
        template={getattr(A, name): value for name, value in may.items()},
    )
    hsm.again()
    with pytest.raises(TokenKeyExtractableError):
        token_wrap.use(BOX)


def test_a_key_that_was_outside_once_is_told(hsm: SoftHsm) -> None:
    hsm.session().create_object(
        {
            A.CLASS: pkcs11.ObjectClass.SECRET_KEY,
            A.KEY_TYPE: pkcs11.KeyType.AES,
            A.VALUE: bytes(range(32)),
            A.LABEL: "box",
            A.TOKEN: True,
            A.PRIVATE: True,
            A.SENSITIVE: True,
            A.EXTRACTABLE: False,
            A.ENCRYPT: True,
            A.DECRYPT: True,
        }
    )
    hsm.again()
    key = token_wrap.use(BOX)
    assert not key.made_inside
    device = DeviceKey.generate()
    assert not token_wrap.wrap(device, key).made_inside


def test_a_missing_a_taken_and_an_ambiguous_key_are_refused(hsm: SoftHsm) -> None:
    with pytest.raises(TokenObjectMissingError):
        token_sign.TokenSigner(MAKER)
    with pytest.raises(TokenObjectMissingError):
        token_wrap.use(BOX)
    first = token_sign.make(MAKER)
    with pytest.raises(TokenObjectTakenError):
        token_sign.make(MAKER)
    with pytest.raises(TokenObjectTakenError):
        token_wrap.make(MAKER)
    make_pair(hsm, "maker", b"\x01")
    hsm.again()
    with pytest.raises(TokenAmbiguousError) as refusal:
        token_sign.TokenSigner(MAKER)
    assert first.uri.key_id.hex() in refusal.value.message
    assert token_sign.TokenSigner(first.uri).public_key() == first.public_key()


def test_two_tokens_of_one_name_are_told_apart_by_their_serial(hsm: SoftHsm) -> None:
    hsm.add("plant")
    hsm.again()
    with pytest.raises(TokenAmbiguousError) as refusal:
        token_sign.make(MAKER)
    serial = refusal.value.message.rsplit("'", 2)[1]
    named = TokenUri.parse(uri("maker").replace(";", f";serial={serial};"))
    SigningKey(token_sign.make(named)).sign(b"this one")


def test_another_key_of_the_same_name_is_not_the_workspaces(hsm: SoftHsm) -> None:
    make_pair(hsm, "maker", b"\x01")
    hsm.again()
    other = SigningKey.generate().public
    with pytest.raises(TokenOtherKeyError):
        token_sign.belonging(MAKER, other)


def test_a_public_half_that_does_not_fit_signs_nothing(hsm: SoftHsm) -> None:
    public, _ = make_pair(hsm, "maker", b"\x01")
    public.destroy()
    wrong, _ = make_pair(hsm, "other", b"\x02")
    wrong[A.LABEL], wrong[A.ID] = "maker", b"\x01"
    hsm.again()
    with pytest.raises(TokenFailedError):
        token_sign.TokenSigner(MAKER)


def test_a_key_on_another_curve_or_too_short_is_refused(hsm: SoftHsm) -> None:
    session = hsm.session()
    curve = bytes.fromhex("06052b81040023")  # P-521
    session.create_domain_parameters(
        pkcs11.KeyType.EC, {A.EC_PARAMS: curve}, local=True
    ).generate_keypair(label="maker", store=True)
    session.generate_key(pkcs11.KeyType.AES, 128, label="box", store=True)
    hsm.again()
    with pytest.raises(TokenMechanismError):
        token_sign.TokenSigner(MAKER)
    with pytest.raises(TokenMechanismError):
        token_wrap.use(BOX)


def test_a_token_that_cannot_do_what_a_key_needs_is_refused(hsm: SoftHsm) -> None:
    """SoftHSM opens RSA-OAEP with SHA-1 only: seen when the key is wrapped, not later."""
    hsm.session().generate_keypair(pkcs11.KeyType.RSA, 2048, label="box", store=True)
    hsm.again()
    key = token_wrap.use(BOX)
    assert key.method == "rsa-oaep"
    with pytest.raises(TokenMechanismError):
        token_wrap.wrap(DeviceKey.generate(), key)


@pytest.mark.parametrize(
    "offered", ["CKM_SHA256", "CKM_EC_KEY_PAIR_GEN,CKM_AES_KEY_GEN"]
)
def test_a_token_that_offers_no_mechanism_makes_no_key(
    hsm: SoftHsm, offered: str
) -> None:
    with hsm.conf.open("a") as stream:
        stream.write(f"slots.mechanisms = {offered}\n")
    hsm.again()
    with pytest.raises(TokenMechanismError):
        token_sign.make(MAKER)
    with pytest.raises(TokenMechanismError):
        token_wrap.make(BOX)
    assert not list(hsm.session().get_objects())


def test_a_key_that_wants_its_pin_for_each_use_is_refused(hsm: SoftHsm) -> None:
    make_pair(hsm, "maker", b"\x01", ALWAYS_AUTHENTICATE=True)
    hsm.again()
    with pytest.raises(TokenMechanismError, match="for each use"):
        token_sign.TokenSigner(MAKER)


def test_a_wrong_pin_is_tried_once_and_not_again(
    hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    token_sign.make(MAKER)
    hsm.again()
    monkeypatch.setenv("TUNDISH_PIN", "another")
    with pytest.raises(TokenPinWrongError) as refusal:
        token_sign.TokenSigner(MAKER)
    with pytest.raises(TokenPinWrongError, match="not tried again"):
        token_sign.TokenSigner(MAKER)
    assert "another" not in refusal.value.one_line()
    monkeypatch.setenv("TUNDISH_PIN", PIN)
    token_sign.TokenSigner(MAKER)


def test_no_pin_that_nobody_typed_is_given_to_a_token_at_its_last_try() -> None:
    flags = pkcs11.TokenFlag
    from_file = Pin(text=SecretText("1"), typed=False)
    by_hand = Pin(text=SecretText("1"), typed=True)
    for pin in (from_file, by_hand):
        tokens.check_tries(flags(0), pin, "plant")
        tokens.check_tries(flags.USER_PIN_COUNT_LOW, pin, "plant")
        with pytest.raises(TokenPinLockedError):
            tokens.check_tries(flags.USER_PIN_LOCKED, pin, "plant")
    tokens.check_tries(flags.USER_PIN_FINAL_TRY, by_hand, "plant")
    with pytest.raises(TokenLastTryError):
        tokens.check_tries(flags.USER_PIN_FINAL_TRY, from_file, "plant")


def test_a_pin_comes_from_its_file_then_the_environment_then_a_person(
    hsm: SoftHsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token_sign.make(MAKER)
    file = tmp_path / "pin"
    file.write_text(f"{PIN}\n")
    file.chmod(0o600)
    named = TokenUri.parse(uri("maker", more=f"&pin-source=file:{file}"))
    hsm.again()
    monkeypatch.setenv("TUNDISH_PIN", "the PIN of another token")
    token_sign.TokenSigner(named)
    hsm.again()
    file.chmod(0o644)
    with pytest.raises(KeyExposedError):
        token_sign.TokenSigner(named)
    file.chmod(0o600)
    file.write_bytes(b"")
    with pytest.raises(TokenPinMissingError):
        token_sign.TokenSigner(named)
    monkeypatch.setenv("TUNDISH_PIN", "")
    with pytest.raises(TokenPinMissingError):
        token_sign.TokenSigner(MAKER)
    asked: list[str] = []

    def person(token: str) -> str:
        asked.append(token)
        return PIN

    SigningKey(token_sign.TokenSigner(MAKER, person)).sign(b"asked once")
    assert asked == ["plant"]


def test_a_module_that_is_missing_or_none_is_refused(
    hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("/usr/lib/no-such-module.so", "/usr/lib", "/etc/passwd"):
        named = TokenUri.parse(uri("maker").replace(str(MODULE), path))
        with pytest.raises(TokenModuleError):
            token_sign.TokenSigner(named)


def test_a_module_that_others_could_change_is_not_loaded(
    hsm: SoftHsm, tmp_path: Path
) -> None:
    copy = tmp_path / "module.so"
    copy.write_bytes(MODULE.read_bytes())
    link = tmp_path / "link.so"
    link.symlink_to(copy)
    for path in (copy, link):
        named = TokenUri.parse(uri("maker").replace(str(MODULE), str(path)))
        with pytest.raises(TokenModuleUnsafeError):
            token_sign.TokenSigner(named)
    assert tokens.safe_module(MODULE) == MODULE.resolve()


def test_a_token_that_is_pulled_out_is_told_and_taken_up_again(
    hsm: SoftHsm, tmp_path: Path
) -> None:
    key = SigningKey(token_sign.make(MAKER))
    hsm.pull(tmp_path / "away")
    with pytest.raises(TokenAbsentError):
        key.sign(b"no token")
    hsm.put_back(tmp_path / "away")
    hsm.again()
    key.public.verify(b"there again", key.sign(b"there again"))


@pytest.fixture
def wrapped(hsm: SoftHsm) -> Any:
    return token_wrap.wrap(DeviceKey.generate(), token_wrap.make(BOX))


def test_a_wrapped_device_key_opens_with_its_token_only(
    hsm: SoftHsm, wrapped: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = token_wrap.unwrap(wrapped)
    assert device.public.to_text() == wrapped.device
    sealed = device.public.encrypt(b"grant", b"terms")
    assert token_wrap.unwrap(wrapped).decrypt(sealed, b"terms") == b"grant"
    there = TokenUri.parse(wrapped.token)
    other = empty(tmp_path / "other")
    use(other, monkeypatch)
    with pytest.raises(TokenAbsentError):
        token_wrap.unwrap(wrapped)
    other.add("plant")  # the same label and PIN
    other.again()
    with pytest.raises(TokenObjectMissingError):
        token_wrap.unwrap(wrapped)
    token_wrap.make(there)  # the same name and id too
    with pytest.raises(TokenOtherKeyError):
        token_wrap.unwrap(wrapped)


def test_no_changed_letter_of_a_wrapped_device_key_opens(wrapped: Any) -> None:
    for field in ("body", "nonce", "device"):
        text = getattr(wrapped, field)
        for place in range(0, len(text), max(1, len(text) // 16)):
            letter = "B" if text[place] != "B" else "C"
            changed = text[:place] + letter + text[place + 1 :]
            with pytest.raises(RefusedError):
                token_wrap.unwrap(wrapped.model_copy(update={field: changed}))
    with pytest.raises(RefusedError):
        token_wrap.unwrap(wrapped.model_copy(update={"method": "rsa-oaep"}))


def test_the_pin_is_written_nowhere(hsm: SoftHsm, wrapped: Any) -> None:
    signer = token_sign.make(MAKER)
    assert PIN in os.environ["TUNDISH_PIN"]
    assert PIN not in signer.uri.to_text()
    assert PIN not in str(wrapped)
    assert PIN not in repr(signer.__dict__)
