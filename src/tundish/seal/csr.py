"""A request to a CA (CSR) for an X.509 certificate: for code signing, and nothing else.

It is put together here, since the key may lie in a token that signs and shows nothing.
Source: PKCS #10 (RFC 2986) with the attribute ``extensionRequest`` (RFC 2985, 5.4.2).
"""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

from tundish.seal import der, link
from tundish.seal.keys import SigningKey

_EXTENSION_REQUEST = bytes.fromhex("06092a864886f70d01090e")
_KEY_USAGE = bytes.fromhex("0603551d0f")
_EXTENDED_KEY_USAGE = bytes.fromhex("0603551d25")
_TRUE = bytes.fromhex("0101ff")
_SET, _ATTRIBUTES = 0x31, 0xA0


def make(key: SigningKey, subject: str) -> bytes:
    """Return a request in PEM form, signed with the key that it is for.

    Args:
        key: The signing key.
        subject: Whom the certificate shall name, such as ``CN=Li Na,O=Plant 7``.

    Raises:
        TermsInvalidError: if the subject is no name.
    """
    name = link.to_name(subject)
    public = serialization.load_pem_public_key(key.public.to_pem())
    spki = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    info = der.sequence(der.integer(0), name.public_bytes(), spki, _attributes())
    wide = isinstance(public, ec.EllipticCurvePublicKey) and public.key_size > 256
    algorithm = link.ALGORITHMS[
        SignatureAlgorithmOID.ECDSA_WITH_SHA384
        if wide
        else SignatureAlgorithmOID.ECDSA_WITH_SHA256
    ]
    whole = der.sequence(info, algorithm, der.bits(key.sign(info)))
    return x509.load_der_x509_csr(whole).public_bytes(serialization.Encoding.PEM)


def _attributes() -> bytes:
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
    wanted = der.sequence(
        der.sequence(_KEY_USAGE, _TRUE, der.octets(usage.public_bytes())),
        der.sequence(_EXTENDED_KEY_USAGE, der.octets(purposes.public_bytes())),
    )
    asked = der.sequence(_EXTENSION_REQUEST, der.tagged(_SET, wanted))
    return der.tagged(_ATTRIBUTES, asked)
