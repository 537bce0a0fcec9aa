"""A signing key that stays in its token (P-256 or P-384).

The token signs a digest (CKM_ECDSA, the one ECDSA mechanism that all tokens share);
each signature is checked against the key's public half before it is given out, so a
token that fails, or that was changed for another one, signs nothing wrong.
"""

from __future__ import annotations

from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    encode_dss_signature,
)
from pkcs11.constants import DEFAULT, Attribute, ObjectClass
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import KeyType, Mechanism
from pkcs11.types import Key, Session, SignMixin

from tundish.seal import token as tokens
from tundish.seal.keys import VerifyKey
from tundish.seal.pin import AskPin, nobody_asks
from tundish.seal.token_errors import (
    TokenFailedError,
    TokenMechanismError,
    TokenObjectMissingError,
    TokenOtherKeyError,
)
from tundish.seal.token_uri import TokenUri

CurveName = Literal["P-256", "P-384"]
_PARAMETERS: dict[CurveName, bytes] = {  # DER of the curve's object identifier
    "P-256": bytes.fromhex("06082a8648ce3d030107"),
    "P-384": bytes.fromhex("06052b81040022"),
}
_CURVES: dict[bytes, ec.EllipticCurve] = {
    _PARAMETERS["P-256"]: ec.SECP256R1(),
    _PARAMETERS["P-384"]: ec.SECP384R1(),
}
_MAKES = (Mechanism.ECDSA, Mechanism.EC_KEY_PAIR_GEN)


class TokenSigner:
    """Signs with a key in a token; see ``keys.RawSigner``.

    Attributes:
        uri: Where the key lies, with its id.
        made_inside: Whether it was made there and was never able to leave.
    """

    def __init__(self, uri: TokenUri, ask: AskPin = nobody_asks) -> None:
        self._ask = ask
        with tokens.opened(uri, ask, stay=True) as session:
            key = _private(session, uri)
            self.uri = uri.with_key_id(tokens.key_id(key))
            self.made_inside = tokens.was_made_inside(key)
            self._public = _public(session, key, self.uri)
        self.sign(b"tundish: does the token hold this key?", _algorithm(self._public))

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the public half."""
        return self._public

    def sign(
        self, data: bytes, signature_algorithm: ec.EllipticCurveSignatureAlgorithm
    ) -> bytes:
        """Return a DER signature over the data's hash.

        Raises:
            TokenAbsentError: if the token is gone.
            TokenFailedError: if what it gives does not fit the public key.
        """
        algorithm = signature_algorithm.algorithm
        if isinstance(algorithm, Prehashed):
            msg = "A key in a token signs data, not digests made elsewhere."
            raise TokenMechanismError(msg)
        hashed = hashes.Hash(algorithm)
        hashed.update(data)
        digest = hashed.finalize()
        with tokens.opened(self.uri, self._ask, stay=True) as session:
            key = _private(session, self.uri)
            raw = key.sign(digest, mechanism=Mechanism.ECDSA)
        half = len(raw) // 2
        r, s = (int.from_bytes(part, "big") for part in (raw[:half], raw[half:]))
        signature = encode_dss_signature(r, s)
        try:
            self._public.verify(signature, digest, ec.ECDSA(Prehashed(algorithm)))
        except InvalidSignature as error:
            msg = (
                f"A signature by the token {self.uri.token_name!r} does not fit the "
                f"public half of its key {self.uri.key_name}."
            )
            raise TokenFailedError(msg) from error
        return signature


def make(
    uri: TokenUri, ask: AskPin = nobody_asks, curve: CurveName = "P-256"
) -> TokenSigner:
    """Make a signing key in a token, which it can never leave.

    Raises:
        TokenObjectTakenError: if a key of that name is there.
        TokenMechanismError: if the token cannot make or use such a key.
    """
    named = uri.with_key_id(tokens.new_id(uri))
    with tokens.opened(uri, ask, write=True, stay=True) as session:
        if not tokens.offers(session, *_MAKES):
            msg = f"The token {uri.token_name!r} cannot make a key that signs (ECDSA)."
            raise TokenMechanismError(msg)
        tokens.check_free(session, uri)
        _generate(session, named, curve)
    return TokenSigner(named, ask)


def belonging(
    uri: TokenUri, public: VerifyKey, ask: AskPin = nobody_asks
) -> TokenSigner:
    """Return the signer of a public key that is known here.

    Raises:
        TokenOtherKeyError: if the token holds another key under that name.
    """
    signer = TokenSigner(uri, ask)
    if VerifyKey(signer.public_key()) != public:
        msg = (
            f"The key {uri.key_name} in the token {uri.token_name!r} is not the signing "
            "key of this workspace."
        )
        raise TokenOtherKeyError(msg)
    return signer


def _generate(session: Session, uri: TokenUri, curve: CurveName) -> None:
    parameters = session.create_domain_parameters(
        KeyType.EC, {Attribute.EC_PARAMS: _PARAMETERS[curve]}, local=True
    )
    parameters.generate_keypair(
        id=uri.key_id,
        label=uri.label,
        store=True,
        # a TPM's module refuses a public key that says what it is for
        public_template=dict.fromkeys(
            (Attribute.ENCRYPT, Attribute.WRAP, Attribute.VERIFY), DEFAULT
        ),
        private_template={
            Attribute.SIGN: True,
            Attribute.DECRYPT: False,
            Attribute.DERIVE: False,
            Attribute.UNWRAP: False,
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
        },
    )


class _Signing(Key, SignMixin):
    """What a private key of a token that may sign can do."""


def _private(session: Session, uri: TokenUri) -> _Signing:
    found = tokens.keys(session, uri, ObjectClass.PRIVATE_KEY, KeyType.EC)
    key = tokens.only(found, uri)
    if key is None:
        msg = f"The token {uri.token_name!r} holds no EC key {uri.key_name}."
        raise TokenObjectMissingError(msg)
    if not isinstance(key, SignMixin):
        msg = f"The key {uri.key_name} in the token {uri.token_name!r} may not sign."
        raise TokenMechanismError(msg)
    tokens.check_stays(key, uri)
    return key  # type: ignore[return-value]


def _public(session: Session, private: Key, uri: TokenUri) -> ec.EllipticCurvePublicKey:
    beside = tokens.keys(session, uri, ObjectClass.PUBLIC_KEY, KeyType.EC)
    for key in (*beside[:1], private):  # some tokens tell it of the private key only
        try:
            parameters = bytes(key[Attribute.EC_PARAMS])
            point = bytes(key[Attribute.EC_POINT])
        except PKCS11Error:
            continue
        curve = _CURVES.get(parameters)
        if curve is None:
            msg = f"The key {uri.key_name} is on another curve than P-256 or P-384."
            raise TokenMechanismError(msg)
        return _read_point(curve, point, uri)
    msg = (
        f"The token {uri.token_name!r} does not tell the public half of {uri.key_name}."
    )
    raise TokenObjectMissingError(msg)


def _read_point(
    curve: ec.EllipticCurve, point: bytes, uri: TokenUri
) -> ec.EllipticCurvePublicKey:
    size = 1 + 2 * ((curve.key_size + 7) // 8)
    # PKCS#11 wants the point inside a DER octet string; some tokens give it bare
    inner = point[2:] if len(point) == size + 2 and point[0] == 0x04 else point
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, inner)
    except ValueError as error:
        msg = f"The token {uri.token_name!r} gives a public key that is no point."
        raise TokenFailedError(msg) from error


def _algorithm(public: ec.EllipticCurvePublicKey) -> ec.ECDSA:
    large = public.curve.name == "secp384r1"
    return ec.ECDSA(hashes.SHA384() if large else hashes.SHA256())
