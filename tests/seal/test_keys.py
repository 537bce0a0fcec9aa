"""Laws of keys: kept private, never overwritten, one form per signature."""

from __future__ import annotations

import copy
import pickle
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from tundish.kernel.errors import PathMissingError
from tundish.ledger import note
from tundish.seal.errors import (
    DeviceTextError,
    EnvelopeClosedError,
    KeyExistsError,
    KeyExposedError,
    KeyPassphraseError,
    KeyUnreadableError,
    SignatureInvalidError,
    SignatureMalformedError,
)
from tundish.seal.keys import (
    CheckpointKey,
    CheckpointPublic,
    DeviceKey,
    DevicePublic,
    SigningKey,
    VerifyKey,
)
from tundish.seal.secret import SecretText

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
Kind = type[SigningKey] | type[CheckpointKey] | type[DeviceKey]
KINDS: list[Kind] = [SigningKey, CheckpointKey, DeviceKey]


def public_text(key: SigningKey | CheckpointKey | DeviceKey) -> bytes:
    public = key.public
    if isinstance(public, DevicePublic):
        return public.to_text().encode()
    return public.to_pem()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("passphrase", [None, "correct horse \u00fc"])
def test_a_saved_key_is_the_same_key(
    tmp_path: Path, kind: Kind, passphrase: str | None
) -> None:
    key = kind.generate()
    path = tmp_path / "key.pem"
    key.save(path, passphrase)
    assert path.stat().st_mode & 0o777 == 0o600
    assert public_text(kind.load(path, passphrase)) == public_text(key)
    assert (b"ENCRYPTED" in path.read_bytes()) == (passphrase is not None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_of_another_kind_is_refused(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / "key.pem"
    kind.generate().save(path)
    for other in KINDS:
        if other is not kind:
            with pytest.raises(KeyUnreadableError, match="another kind"):
                other.load(path)


def test_a_wrong_passphrase_is_said(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    SigningKey.generate().save(path, "right")
    for wrong in ("wrong", "", None):
        with pytest.raises(KeyPassphraseError):
            SigningKey.load(path, wrong)
    plain = tmp_path / "plain.pem"
    SigningKey.generate().save(plain)
    with pytest.raises(KeyPassphraseError, match="not encrypted"):
        SigningKey.load(plain, "some")
    with pytest.raises(KeyPassphraseError, match="empty"):
        SigningKey.generate().save(tmp_path / "new.pem", "")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key.pem"
    SigningKey.generate().save(path)
    path.chmod(mode)
    with pytest.raises(KeyExposedError) as caught:
        SigningKey.load(path)
    assert "chmod 600" in caught.value.advice


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    SigningKey.generate().save(path)
    before = path.read_bytes()
    with pytest.raises(KeyExistsError):
        SigningKey.generate().save(path)
    assert path.read_bytes() == before


def test_what_is_no_key_is_said(tmp_path: Path) -> None:
    with pytest.raises(PathMissingError):
        SigningKey.load(tmp_path / "none.pem")
    for content in (b"", b"hello", b"-----BEGIN PRIVATE KEY-----\nAAAA\n"):
        path = tmp_path / "bad.pem"
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(KeyUnreadableError):
            SigningKey.load(path)
        with pytest.raises(KeyUnreadableError):
            VerifyKey.from_pem(content)
        with pytest.raises(KeyUnreadableError, match=r"bad\.pem"):  # of several, which
            VerifyKey.load(path)


def test_other_curves_and_algorithms_are_refused(tmp_path: Path) -> None:
    makers: list[ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey] = [
        ec.generate_private_key(ec.SECP521R1()),
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
    ]
    for number, private in enumerate(makers):
        path = tmp_path / f"{number}.pem"
        path.write_bytes(
            private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        path.chmod(0o600)
        public = private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        with pytest.raises(KeyUnreadableError):
            SigningKey.load(path)
        with pytest.raises(KeyUnreadableError):
            VerifyKey.from_pem(public)
        with pytest.raises(KeyUnreadableError):
            CheckpointPublic.from_pem(public)


def test_a_signature_has_one_form_only() -> None:
    key = SigningKey.generate()
    for number in range(20):
        signature = key.sign(b"%d" % number)
        key.public.verify(b"%d" % number, signature)
        r, s = decode_dss_signature(signature)
        twin = encode_dss_signature(r, ORDER - s)
        key.public.verify_foreign(b"%d" % number, twin)
        with pytest.raises(SignatureMalformedError):
            key.public.verify(b"%d" % number, twin)


def test_no_changed_byte_of_a_signature_verifies() -> None:
    key = SigningKey.generate()
    signature = key.sign(b"data")
    for at in range(len(signature)):
        for bit in range(8):
            changed = bytearray(signature)
            changed[at] ^= 1 << bit
            with pytest.raises((SignatureMalformedError, SignatureInvalidError)):
                key.public.verify(b"data", bytes(changed))
    for longer in (signature + b"\x00", b"\x00" + signature, signature[:-1], b""):
        with pytest.raises((SignatureMalformedError, SignatureInvalidError)):
            key.public.verify(b"data", longer)


def test_der_with_padded_numbers_is_refused() -> None:
    key = SigningKey.generate()
    r, s = decode_dss_signature(key.sign(b"data"))
    numbers = b""
    for number in (r, s):
        body = b"\x00\x00" + number.to_bytes(32, "big")
        numbers += b"\x02" + bytes([len(body)]) + body
    padded = b"\x30" + bytes([len(numbers)]) + numbers
    with pytest.raises(SignatureMalformedError):
        key.public.verify(b"data", padded)


def test_the_names_of_a_key_are_stable() -> None:
    key = SigningKey.generate().public
    again = VerifyKey.from_pem(key.to_pem())
    assert (again.key_id, again.hint) == (key.key_id, key.hint)


def test_checkpoint_keys_are_named_as_c2sp_lays_down() -> None:
    """The vector of c2sp.org/signed-note."""
    public = CheckpointKey.generate().public
    text = public.to_note_text("example.com/foo")
    name, code, _ = text.split("+", 2)
    assert name == "example.com/foo"
    assert code == public.note_key_id("example.com/foo").hex()


def test_a_checkpoint_key_signs_notes_that_verify() -> None:
    key = CheckpointKey.generate()
    signer = note.NoteSigner(
        name="plant", key_id=key.public.note_key_id("plant"), sign=key.sign
    )
    signed = note.sign_note("text\n", signer)
    public = CheckpointPublic.from_pem(key.public.to_pem())
    verifier = note.NoteVerifier(
        name="plant", key_id=public.note_key_id("plant"), verify=public.verify
    )
    note.verify_note(signed, (verifier,))
    with pytest.raises(SignatureInvalidError):
        note.verify_note(signed.replace("text", "next"), (verifier,))


def test_a_device_line_survives_copying_and_shows_every_slip() -> None:
    device = DeviceKey.generate().public
    text = device.to_text()
    assert DevicePublic.from_text(f"  {text}\n").device_id == device.device_id
    for at in range(len(text)):
        for letter in "0aA:":
            changed = text[:at] + letter + text[at + 1 :]
            if changed != text:
                with pytest.raises(DeviceTextError):
                    DevicePublic.from_text(changed)
    with pytest.raises(DeviceTextError, match="begins with 'tundish-device-1:'"):
        DevicePublic.from_text("hello")
    for wrong in ("", "tundish-device-1", text[:-1], text + "0", text.upper()):
        with pytest.raises(DeviceTextError):
            DevicePublic.from_text(wrong)


def test_only_the_device_opens_what_was_closed_for_it() -> None:
    device, other = DeviceKey.generate(), DeviceKey.generate()
    sealed = device.public.encrypt(b"secret", b"terms")
    assert device.decrypt(sealed, b"terms") == b"secret"
    for key, data, info in [
        (other, sealed, b"terms"),
        (device, sealed, b"other terms"),
        (device, sealed[:-1], b"terms"),
        (device, b"", b"terms"),
    ]:
        with pytest.raises(EnvelopeClosedError):
            key.decrypt(data, info)


def test_a_secret_does_not_leak_by_printing_or_copying() -> None:
    secret = SecretText("hidden")
    assert "hidden" not in f"{secret} {secret!r} {[secret]}"
    assert secret == SecretText("hidden")
    assert secret != SecretText("other")
    assert secret != object()
    for act in (pickle.dumps, copy.copy, copy.deepcopy, hash):
        with pytest.raises(TypeError):
            act(secret)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_openssl_reads_an_encrypted_key(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    SigningKey.generate().save(path, "pass word")
    command = [
        "openssl",
        "pkey",
        "-in",
        str(path),
        "-passin",
        "pass:pass word",
        "-noout",
    ]
    subprocess.run(command, check=True, capture_output=True)
