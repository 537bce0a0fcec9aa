"""A plant's certificate authority for tests: it issues what it is told, right or wrong."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from tundish.seal import chain
from tundish.seal.chain import Authority, Certified
from tundish.seal.keys import SigningKey

START = datetime(2026, 5, 1, tzinfo=UTC)
_SERIALS = itertools.count(1000)
CODE_SIGNING = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
Extensions = list[tuple[x509.ExtensionType, bool]]


def usage(**said: bool) -> x509.KeyUsage:
    """Return a key usage with only what is said."""
    names = (
        "digital_signature", "content_commitment", "key_encipherment",
        "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
        "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: said.get(name, False) for name in names})


def of_leaf() -> Extensions:
    """Return the extensions of a signer's certificate."""
    return [(usage(digital_signature=True), True), (CODE_SIGNING, False)]


def of_ca(path_length: int | None = None) -> Extensions:
    """Return the extensions of a CA's certificate."""
    return [
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (usage(key_cert_sign=True, crl_sign=True), True),
    ]


@dataclass(frozen=True)
class Ca:
    """A CA with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    above: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> bytes:
        """Its own certificate."""
        return pem(self.certificate)

    @property
    def authority(self) -> Authority:
        """The CA as a workspace trusts it."""
        return Authority(link=chain.read_authority(self.pem))

    def issue(
        self,
        public: ec.EllipticCurvePublicKey | object,
        subject: str = "CN=Li Na,OU=Quality,O=Plant 7",
        extensions: Extensions | None = None,
        *,
        start: datetime = START,
        days: float = 365,
    ) -> x509.Certificate:
        """Issue a certificate."""
        return _built(
            public, subject, self.certificate.subject, self.key,
            of_leaf() if extensions is None else extensions, start, days,
        )  # fmt: skip

    def below(
        self,
        subject: str = "CN=Plant 7 Issuing CA",
        *,
        extensions: Extensions | None = None,
    ) -> Ca:
        """Return a CA under this one."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = of_ca(0) if extensions is None else extensions
        certificate = self.issue(key.public_key(), subject, made, days=3650)
        return Ca(certificate, key, (certificate, *self.above))

    def chain(
        self, key: SigningKey, root: Ca | None = None, **options: object
    ) -> Certified:
        """Return a chain for a signing key, in its only form."""
        made = [self.issue(public(key), **options), *self.above]  # type: ignore[arg-type]
        authority = (root or self).authority
        ders = chain.lowered([der(one) for one in made], authority.link)
        return chain.verify(ders, [authority])

    def crl(
        self,
        number: int,
        revoked: list[tuple[int, datetime]],
        *,
        at: datetime = START,
        extra: Extensions | None = None,
    ) -> bytes:
        """Return a revocation list in PEM form."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(at)
            .next_update(at + timedelta(days=30))
        )
        listed = [(x509.CRLNumber(number), False)] if extra is None else extra
        for extension, critical in listed:
            builder = builder.add_extension(extension, critical)
        for serial, since in revoked:
            entry = x509.RevokedCertificateBuilder(serial, since)
            builder = builder.add_revoked_certificate(entry.build())
        done = builder.sign(self.key, hashes.SHA256())
        return done.public_bytes(serialization.Encoding.PEM)


def root(
    subject: str = "CN=Plant 7 Root CA,O=Plant 7",
    *,
    extensions: Extensions | None = None,
    curve: ec.EllipticCurve | None = None,
    days: float = 7300,
    start: datetime = START,
) -> Ca:
    """Return a root CA."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    name = x509.Name.from_rfc4514_string(subject)
    made = of_ca() if extensions is None else extensions
    return Ca(_built(key.public_key(), subject, name, key, made, start, days), key)


def public(key: SigningKey) -> ec.EllipticCurvePublicKey:
    """Return the library's public key of a signing key."""
    found = serialization.load_pem_public_key(key.public.to_pem())
    assert isinstance(found, ec.EllipticCurvePublicKey)
    return found


def der(certificate: x509.Certificate) -> bytes:
    """Return a certificate's DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def pem(*certificates: x509.Certificate) -> bytes:
    """Return certificates in PEM form."""
    return b"".join(
        one.public_bytes(serialization.Encoding.PEM) for one in certificates
    )


def _built(  # noqa: PLR0913  (what a certificate has)
    public_key: object,
    subject: str,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    extensions: Extensions,
    start: datetime,
    days: float,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name.from_rfc4514_string(subject))
        .issuer_name(issuer)
        .public_key(public_key)  # type: ignore[arg-type]
        .serial_number(next(_SERIALS))
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256())
