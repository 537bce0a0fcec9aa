"""The kinds of key: P-256 or P-384 signs, Ed25519 signs checkpoints, X25519 receives.

A private key can sign or open and hand out its public half; it has no way to print
itself. Signatures of these curves are accepted in one form only (strict DER, low s), since
``(r, s)`` and ``(r, n - s)`` both fit the same text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import (
    InternalError,
    InvalidSignature,
    InvalidTag,
    UnsupportedAlgorithm,
)
from cryptography.hazmat.primitives import hashes, hpke, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from tundish.kernel import digest, paths
from tundish.kernel.digest import Digest
from tundish.seal import base64s, keyfile
from tundish.seal.errors import (
    DeviceTextError,
    EnvelopeClosedError,
    KeyUnreadableError,
    SignatureInvalidError,
    SignatureMalformedError,
)

_ORDERS = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
}
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "secp256r1": hashes.SHA256,
    "secp384r1": hashes.SHA384,
}
SIGNS = "P-256 or P-384"
_DEVICE_PREFIX = "tundish-device-1"
_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_ED25519_NOTE = b"\x01"


class RawSigner(Protocol):
    """What holds a private key and signs with it: memory, or a token."""

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the public half."""
        ...

    def sign(
        self, data: bytes, signature_algorithm: ec.EllipticCurveSignatureAlgorithm
    ) -> bytes:
        """Return a DER signature over the data's hash."""
        ...


class VerifyKey:
    """The public half of a signing key (P-256 with SHA-256, P-384 with SHA-384).

    Two of them are equal if they are the same key.
    """

    def __init__(self, public: ec.EllipticCurvePublicKey) -> None:
        self._public = public
        self._curve = public.curve.name
        self._pem = _public_pem(public)
        self._key_id = digest.of_bytes(_public_der(public))

    @classmethod
    def from_pem(cls, data: bytes) -> VerifyKey:
        """Read a public key in PEM form.

        Raises:
            KeyUnreadableError: if it is no public key of P-256 or P-384.
        """
        key = _load_public(data)
        if not isinstance(key, ec.EllipticCurvePublicKey) or not _is_known(key):
            raise _wrong_kind(expected=SIGNS)
        return cls(key)

    @classmethod
    def load(cls, path: Path) -> VerifyKey:
        """Read a public key from a PEM file.

        Raises:
            KeyUnreadableError: naming the file, if it is no public key of P-256 or P-384.
        """
        try:
            return cls.from_pem(paths.read_file(path))
        except KeyUnreadableError as error:
            msg = f"{path} is no key that signs: {error.message}"
            advice = "'tundish key' prints the public key of a workspace."
            raise KeyUnreadableError(msg, advice=advice) from error

    def to_pem(self) -> bytes:
        """Write the public key in PEM form."""
        return self._pem

    @property
    def key_id(self) -> Digest:
        """Digest of the key (DER of its SubjectPublicKeyInfo)."""
        return self._key_id

    def __eq__(self, other: object) -> bool:
        """Tell whether it is the same key."""
        return isinstance(other, VerifyKey) and other.key_id == self.key_id

    def __hash__(self) -> int:
        """Hash by the key's id."""
        return hash(self.key_id)

    @property
    def hint(self) -> str:
        """Return the hex digest of the PEM text: how model-signing names a key."""
        return hashlib.sha256(self._pem).hexdigest()

    def verify(self, data: bytes, signature: bytes) -> None:
        """Check a signature in its only form.

        Raises:
            SignatureMalformedError: if it is not strict DER with low s.
            SignatureInvalidError: if it does not fit the data.
        """
        if self.only_form(signature) != signature:
            msg = "A signature is not in its only form (strict DER, low s)."
            raise SignatureMalformedError(msg)
        self.verify_foreign(data, signature)

    def only_form(self, signature: bytes) -> bytes:
        """Return a signature of this key in strict DER with low s.

        Raises:
            SignatureMalformedError: if it is no DER sequence of two such numbers.
        """
        try:
            r, s = decode_dss_signature(signature)
        except ValueError as error:
            msg = "A signature is no DER sequence of two numbers."
            raise SignatureMalformedError(msg) from error
        order = _ORDERS[self._curve]
        if not (0 < r < order and 0 < s < order):
            msg = "A signature holds a number that its curve does not have."
            raise SignatureMalformedError(msg)
        return encode_dss_signature(r, min(s, order - s))

    def verify_foreign(self, data: bytes, signature: bytes) -> None:
        """Check a signature in whatever form another tool wrote it (import only).

        Raises:
            SignatureInvalidError: if it does not fit the data.
        """
        try:
            self._public.verify(signature, data, ec.ECDSA(_HASHES[self._curve]()))
        except InvalidSignature as error:
            msg = "A signature does not fit what it stands under."
            raise SignatureInvalidError(msg) from error


class SigningKey:
    """A key that signs packages, grants and certificates (P-256 or P-384)."""

    def __init__(self, private: ec.EllipticCurvePrivateKey | RawSigner) -> None:
        self._private = private

    @classmethod
    def generate(cls) -> SigningKey:
        """Make a new key from the system's randomness."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def load(cls, path: Path, passphrase: str | None = None) -> SigningKey:
        """Read a key from its file; see ``keyfile.load`` for the refusals."""
        key = keyfile.load(path, passphrase)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not _is_known(key):
            raise _wrong_kind(expected=SIGNS, path=path)
        return cls(key)

    def save(self, path: Path, passphrase: str | None = None) -> None:
        """Write the key to a new file of mode 0600, encrypted if so asked.

        Raises:
            KeyUnreadableError: if it lies in a token, which it never leaves.
        """
        if not isinstance(self._private, ec.EllipticCurvePrivateKey):
            msg = "A key in a token cannot be written to a file: it never leaves it."
            raise KeyUnreadableError(msg, advice="Keep using it in its token.")
        keyfile.save(path, self._private, passphrase)

    @cached_property
    def public(self) -> VerifyKey:
        """The half that everybody may have."""
        return VerifyKey(self._private.public_key())

    def sign(self, data: bytes) -> bytes:
        """Return a signature in strict DER with low s."""
        curve = self._private.public_key().curve.name
        raw = self._private.sign(data, ec.ECDSA(_HASHES[curve]()))
        r, s = decode_dss_signature(raw)
        return encode_dss_signature(r, min(s, _ORDERS[curve] - s))


class CheckpointPublic:
    """The public half of a checkpoint key (Ed25519)."""

    def __init__(self, public: ed25519.Ed25519PublicKey) -> None:
        self._public = public

    @classmethod
    def from_pem(cls, data: bytes) -> CheckpointPublic:
        """Read a public key in PEM form."""
        key = _load_public(data)
        if not isinstance(key, ed25519.Ed25519PublicKey):
            raise _wrong_kind(expected="Ed25519")
        return cls(key)

    @classmethod
    def load(cls, path: Path) -> CheckpointPublic:
        """Read a public key from a PEM file."""
        return cls.from_pem(paths.read_file(path))

    def to_pem(self) -> bytes:
        """Write the public key in PEM form."""
        return _public_pem(self._public)

    def note_key_id(self, name: str) -> bytes:
        """Return the four bytes by which C2SP notes name this key under ``name``."""
        named = name.encode() + b"\n" + _ED25519_NOTE + self._public.public_bytes_raw()
        return hashlib.sha256(named).digest()[:4]

    def to_note_text(self, name: str) -> str:
        """Write the key as C2SP verifier keys are written: ``name+id+base64``."""
        code = base64s.encode(_ED25519_NOTE + self._public.public_bytes_raw())
        return f"{name}+{self.note_key_id(name).hex()}+{code}"

    def verify(self, data: bytes, signature: bytes) -> None:
        """Check a signature.

        Raises:
            SignatureInvalidError: if it does not fit the data.
        """
        try:
            self._public.verify(signature, data)
        except InvalidSignature as error:
            msg = "A checkpoint's signature does not fit its text."
            raise SignatureInvalidError(msg) from error


class CheckpointKey:
    """An Ed25519 key that signs ledger checkpoints."""

    def __init__(self, private: ed25519.Ed25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def generate(cls) -> CheckpointKey:
        """Make a new key from the system's randomness."""
        return cls(ed25519.Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path, passphrase: str | None = None) -> CheckpointKey:
        """Read a key from its file; see ``keyfile.load`` for the refusals."""
        key = keyfile.load(path, passphrase)
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            raise _wrong_kind(expected="Ed25519", path=path)
        return cls(key)

    def save(self, path: Path, passphrase: str | None = None) -> None:
        """Write the key to a new file of mode 0600, encrypted if so asked."""
        keyfile.save(path, self._private, passphrase)

    @property
    def public(self) -> CheckpointPublic:
        """The half that everybody may have."""
        return CheckpointPublic(self._private.public_key())

    def sign(self, data: bytes) -> bytes:
        """Return the signature of a checkpoint's text."""
        return self._private.sign(data)


class DevicePublic:
    """Where a device can be reached: the public half of its key (X25519)."""

    def __init__(self, public: x25519.X25519PublicKey) -> None:
        self._public = public

    @classmethod
    def from_text(cls, text: str) -> DevicePublic:
        """Read the one-line form; white space around it is cut off.

        Raises:
            DeviceTextError: if a letter is missing or wrong.
        """
        code = text.strip().split(":")
        try:
            public = x25519.X25519PublicKey.from_public_bytes(bytes.fromhex(code[1]))
            # a point of low order gives everybody the same secret: it is nobody's key
            x25519.X25519PrivateKey.generate().exchange(public)
            found = cls(public)
        except (IndexError, ValueError) as error:
            msg = (
                f"The line {text.strip()[:24]!r} is no device's line: one begins with "
                f"'{_DEVICE_PREFIX}:'."
            )
            raise DeviceTextError(msg) from error
        if found.to_text() != text.strip():
            msg = "A device's line does not fit its checksum."
            raise DeviceTextError(msg)
        return found

    def to_text(self) -> str:
        """Write ``tundish-device-1:<64 hex digits>:<checksum>``."""
        return f"{_DEVICE_PREFIX}:{self._raw().hex()}:{self._checksum()}"

    @property
    def device_id(self) -> Digest:
        """Digest that names the device in grants and in the ledger."""
        return digest.of_bytes(f"{_DEVICE_PREFIX}:".encode() + self._raw())

    def encrypt(self, data: bytes, info: bytes) -> bytes:
        """Encrypt for the device alone (HPKE base mode, RFC 9180), bound to ``info``."""
        return _SUITE.encrypt(data, self._public, info)

    def _raw(self) -> bytes:
        return self._public.public_bytes_raw()

    def _checksum(self) -> str:
        return digest.short(self.device_id)[:8]


class DeviceKey:
    """A device's X25519 key: what grants are encrypted for."""

    def __init__(self, private: x25519.X25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def generate(cls) -> DeviceKey:
        """Make a new key from the system's randomness."""
        return cls(x25519.X25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path, passphrase: str | None = None) -> DeviceKey:
        """Read a key from its file; see ``keyfile.load`` for the refusals."""
        key = keyfile.load(path, passphrase)
        if not isinstance(key, x25519.X25519PrivateKey):
            raise _wrong_kind(expected="X25519", path=path)
        return cls(key)

    def save(self, path: Path, passphrase: str | None = None) -> None:
        """Write the key to a new file of mode 0600, encrypted if so asked."""
        keyfile.save(path, self._private, passphrase)

    @classmethod
    def from_raw(cls, data: bytes) -> DeviceKey:
        """Return the key of 32 bytes that ``closed`` gave away.

        Raises:
            KeyUnreadableError: if it is not so long.
        """
        try:
            return cls(x25519.X25519PrivateKey.from_private_bytes(data))
        except ValueError as error:
            raise _wrong_kind(expected="X25519") from error

    def closed(self, close: Callable[[bytes], bytes]) -> bytes:
        """Return the key as ``close`` encrypts it; its clear bytes go nowhere else."""
        return close(self._private.private_bytes_raw())

    @property
    def public(self) -> DevicePublic:
        """The half that goes to the owner of a package."""
        return DevicePublic(self._private.public_key())

    def decrypt(self, data: bytes, info: bytes) -> bytes:
        """Open what was encrypted for this device with exactly this ``info``.

        Raises:
            EnvelopeClosedError: for another device, other terms or changed bytes.
        """
        try:
            return _SUITE.decrypt(data, self._private, info)
        except (InvalidTag, ValueError) as error:
            msg = "A sealed key does not open with this device's key and these terms."
            raise EnvelopeClosedError(msg) from error


def _public_pem(
    key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey,
) -> bytes:
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _public_der(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _load_public(data: bytes) -> object:
    try:
        return serialization.load_pem_public_key(data[: keyfile.MAX_BYTES])
    except (ValueError, UnsupportedAlgorithm, InternalError) as error:
        msg = "A public key in PEM form was expected, and something else was found."
        raise KeyUnreadableError(msg) from error


def _is_known(key: ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey) -> bool:
    return key.curve.name in _ORDERS


def _wrong_kind(*, expected: str, path: Path | None = None) -> KeyUnreadableError:
    what = "A public key" if path is None else f"The private key {path}"
    return KeyUnreadableError(f"{what} is of another kind; expected {expected}.")
