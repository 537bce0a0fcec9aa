"""A device's key that only a token can open.

The device's key (X25519, for HPKE) stays what it is; its file is encrypted under a key
that cannot leave a token. Two ways, by what the token offers: ``aes-gcm``, AES-256-GCM
inside the token; or ``rsa-oaep``, for a TPM 2.0, whose modules offer no authenticated
cipher: a fresh AES-256-GCM key, itself encrypted to an RSA key of the token (OAEP with
SHA-256, RFC 8017). Both are bound to the device's public line.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pkcs11.constants import DEFAULT, Attribute, MechanismFlag, ObjectClass
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import MGF, GCMParams, KeyType, Mechanism
from pkcs11.types import DecryptMixin, EncryptMixin, Key, Session

from tundish.seal import base64s
from tundish.seal import token as tokens
from tundish.seal.errors import KeyUnreadableError
from tundish.seal.keys import DeviceKey
from tundish.seal.pin import AskPin, nobody_asks
from tundish.seal.token_errors import (
    TokenMechanismError,
    TokenObjectMissingError,
    TokenOtherKeyError,
)
from tundish.seal.token_uri import TokenUri
from tundish.seal.wrapped import WrappedDevice

RSA_BITS = 2048  # what every TPM 2.0 has
_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
_OAEP_PARAMETERS = (Mechanism.SHA256, MGF.SHA256, None)
_NONCE_BYTES = 12


@dataclass(frozen=True, kw_only=True)
class WrappingKey:
    """A key in a token that keeps a device's key.

    Attributes:
        uri: Where it lies, with its id.
        method: How it is used.
        made_inside: Whether it was made there and was never able to leave.
    """

    uri: TokenUri
    method: Literal["aes-gcm", "rsa-oaep"]
    made_inside: bool


def keep(
    device: DeviceKey, uri: TokenUri, ask: AskPin = nobody_asks, *, new: bool
) -> WrappedDevice:
    """Have a token keep a device's key; the PIN is needed once.

    Args:
        device: The key.
        uri: The key in the token that shall keep it.
        ask: Asks a person for the PIN.
        new: Have that key made.

    Raises:
        As ``make``, ``use`` and ``wrap``.
    """
    with tokens.opened(uri, ask):
        key = make(uri, ask) if new else use(uri, ask)
        return wrap(device, key, ask)


def use(uri: TokenUri, ask: AskPin = nobody_asks) -> WrappingKey:
    """Return the key of an address, if it can keep a device's key.

    Raises:
        TokenObjectMissingError: if the token holds no AES or RSA key of that name.
        TokenKeyExtractableError: if it could leave the token.
        TokenMechanismError: if it is too short, or may not decrypt.
    """
    with tokens.opened(uri, ask) as session:
        key, method = _find(session, uri)
        named = uri.with_key_id(tokens.key_id(key))
        inside = tokens.was_made_inside(key)
    return WrappingKey(uri=named, method=method, made_inside=inside)


def make(uri: TokenUri, ask: AskPin = nobody_asks) -> WrappingKey:
    """Make such a key in a token: AES if the token has AES-GCM, else RSA.

    Raises:
        TokenObjectTakenError: if a key of that name is there.
        TokenMechanismError: if the token offers neither.
    """
    named = uri.with_key_id(tokens.new_id(uri))
    with tokens.opened(uri, ask, write=True) as session:
        tokens.check_free(session, uri)
        if tokens.offers(session, Mechanism.AES_KEY_GEN, Mechanism.AES_GCM):
            _make_aes(session, named)
        elif tokens.offers(
            session, Mechanism.RSA_PKCS_KEY_PAIR_GEN, Mechanism.RSA_PKCS_OAEP
        ):
            _make_rsa(session, named)
        else:
            msg = f"The token {uri.token_name!r} offers neither AES-GCM nor RSA-OAEP."
            raise TokenMechanismError(msg)
    return use(named, ask)


def wrap(
    device: DeviceKey, key: WrappingKey, ask: AskPin = nobody_asks
) -> WrappedDevice:
    """Encrypt a device's key under a key in a token, and see that it opens again.

    Raises:
        TokenMechanismError: if the token cannot do it.
    """
    made = WrappedDevice(
        device=device.public.to_text(),
        token=key.uri.to_text(),
        made_inside=key.made_inside,
        method=key.method,
        nonce="",
        key="",
        body="",
    )
    with tokens.opened(key.uri, ask) as session:
        found, _ = _find(session, key.uri)
        close = _close_aes if key.method == "aes-gcm" else _close_rsa
        nonce = secrets.token_bytes(_NONCE_BYTES)
        try:
            inner, body = close(found, device, nonce, made.bound())
        except tokens.GONE:
            raise
        except PKCS11Error as error:
            msg = f"The token {key.uri.token_name!r} does not encrypt with its key."
            raise TokenMechanismError(msg) from error
    wrapped = made.model_copy(
        update={
            "nonce": base64s.encode(nonce),
            "key": base64s.encode(inner),
            "body": base64s.encode(body),
        }
    )
    try:
        unwrap(wrapped, ask)
    except TokenOtherKeyError as error:
        msg = (
            f"The token {key.uri.token_name!r} does not open what its key closed "
            f"({key.method})."
        )
        raise TokenMechanismError(msg) from error
    return wrapped


def unwrap(wrapped: WrappedDevice, ask: AskPin = nobody_asks) -> DeviceKey:
    """Open a device's key with the token that keeps it.

    Raises:
        TokenOtherKeyError: if the token's key is another one, or the file was changed.
        TokenAbsentError, TokenPinWrongError and their like: see ``token.opened``.
    """
    uri = TokenUri.parse(wrapped.token)
    nonce = base64s.decode(wrapped.nonce, what="nonce of a wrapped key")
    body = base64s.decode(wrapped.body, what="body of a wrapped key")
    inner = base64s.decode(wrapped.key, what="key of a wrapped key")
    with tokens.opened(uri, ask) as session:
        found, method = _find(session, uri)
        if method != wrapped.method:
            raise _other(uri)
        try:
            if method == "aes-gcm":
                raw = _open_aes(found, nonce, wrapped.bound(), body)
            else:
                raw = _open_rsa(found, inner, nonce, wrapped.bound(), body)
        except tokens.GONE:
            raise
        except (PKCS11Error, InvalidTag, ValueError) as error:
            raise _other(uri) from error
    try:
        device = DeviceKey.from_raw(raw)
    except KeyUnreadableError as error:
        raise _other(uri) from error
    if device.public.to_text() != wrapped.device:
        raise _other(uri)
    return device


def _other(uri: TokenUri) -> TokenOtherKeyError:
    msg = (
        f"The key {uri.key_name} in the token {uri.token_name!r} does not open the key "
        "of this device."
    )
    return TokenOtherKeyError(msg)


def _find(
    session: Session, uri: TokenUri
) -> tuple[Key, Literal["aes-gcm", "rsa-oaep"]]:
    key = tokens.only(
        tokens.keys(session, uri, ObjectClass.SECRET_KEY, KeyType.AES), uri
    )
    if key is not None:
        tokens.check_stays(key, uri)
        if int(key[Attribute.VALUE_LEN]) < 32 or not isinstance(key, DecryptMixin):
            msg = f"The key {uri.key_name} must be an AES key of 256 bits that may decrypt."
            raise TokenMechanismError(msg)
        return key, "aes-gcm"
    key = tokens.only(
        tokens.keys(session, uri, ObjectClass.PRIVATE_KEY, KeyType.RSA), uri
    )
    if key is None:
        msg = f"The token {uri.token_name!r} holds no AES or RSA key {uri.key_name}."
        raise TokenObjectMissingError(msg)
    tokens.check_stays(key, uri)
    if _rsa_public(key).key_size < RSA_BITS or not isinstance(key, DecryptMixin):
        msg = f"The key {uri.key_name} must have {RSA_BITS} bits and may decrypt."
        raise TokenMechanismError(msg)
    return key, "rsa-oaep"


def _make_aes(session: Session, uri: TokenUri) -> None:
    session.generate_key(
        KeyType.AES,
        256,
        id=uri.key_id,
        label=uri.label,
        store=True,
        capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
        template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
    )


def _make_rsa(session: Session, uri: TokenUri) -> None:
    session.generate_keypair(
        KeyType.RSA,
        RSA_BITS,
        id=uri.key_id,
        label=uri.label,
        store=True,
        # a TPM's module refuses a public key that says what it is for
        public_template=dict.fromkeys(
            (Attribute.ENCRYPT, Attribute.WRAP, Attribute.VERIFY), DEFAULT
        ),
        private_template={
            Attribute.DECRYPT: True,
            Attribute.SIGN: False,
            Attribute.DERIVE: DEFAULT,
            Attribute.UNWRAP: DEFAULT,
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
        },
    )


def _close_aes(
    key: Key, device: DeviceKey, nonce: bytes, bound: bytes
) -> tuple[bytes, bytes]:
    if not isinstance(key, EncryptMixin):
        msg = "The AES key that shall keep the device's key may not encrypt."
        raise TokenMechanismError(msg)
    parameters = GCMParams(nonce=nonce, aad=bound)
    body = device.closed(
        lambda data: _whole(
            key.encrypt(data, mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
        )
    )
    return b"", body


def _close_rsa(
    key: Key, device: DeviceKey, nonce: bytes, bound: bytes
) -> tuple[bytes, bytes]:
    fresh = AESGCM.generate_key(256)
    body = device.closed(lambda data: AESGCM(fresh).encrypt(nonce, data, bound))
    return _rsa_public(key).encrypt(fresh, _OAEP), body


def _open_aes(key: Key, nonce: bytes, bound: bytes, body: bytes) -> bytes:
    assert isinstance(key, DecryptMixin)  # noqa: S101  (found so by _find)
    parameters = GCMParams(nonce=nonce, aad=bound)
    return _whole(
        key.decrypt(body, mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
    )


def _open_rsa(key: Key, inner: bytes, nonce: bytes, bound: bytes, body: bytes) -> bytes:
    assert isinstance(key, DecryptMixin)  # noqa: S101  (found so by _find)
    fresh = key.decrypt(
        inner, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=_OAEP_PARAMETERS
    )
    return AESGCM(_whole(fresh)).decrypt(nonce, body, bound)


def _whole(data: bytes | Iterator[bytes]) -> bytes:
    return data if isinstance(data, bytes) else b"".join(data)


def _rsa_public(key: Key) -> rsa.RSAPublicKey:
    modulus = int.from_bytes(key[Attribute.MODULUS], "big")
    exponent = int.from_bytes(key[Attribute.PUBLIC_EXPONENT], "big")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()
