"""Certificates of a server and of a line under one authority, and a strange authority."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """Where they lie, as PEM."""

    ca: Path
    other_ca: Path
    server: Path
    server_key: Path
    line: Path
    line_key: Path


def make_certificates(folder: Path) -> Certificates:
    """Make all of them, for 127.0.0.1, valid from yesterday to tomorrow."""
    key, ca = _ca("plant")
    _, other = _ca("stranger")
    server_key, server = _leaf("server", key, ca)
    line_key, line = _leaf("line", key, ca)
    return Certificates(
        ca=_kept(folder / "ca.pem", ca),
        other_ca=_kept(folder / "other.pem", other),
        server=_kept(folder / "server.pem", server),
        server_key=_kept(folder / "server.key", server_key),
        line=_kept(folder / "line.pem", line),
        line_key=_kept(folder / "line.key", line_key),
    )


def _ca(name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    found = _builder(name, name, key.public_key()).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    return key, found.sign(key, hashes.SHA256())


def _leaf(
    name: str, ca_key: ec.EllipticCurvePrivateKey, ca: x509.Certificate
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = ca.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    place = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    found = _builder(name, str(issuer), key.public_key()).add_extension(
        x509.SubjectAlternativeName([place]), critical=False
    )
    return key, found.sign(ca_key, hashes.SHA256())


def _builder(
    subject: str, issuer: str, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    names = [
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        for name in (subject, issuer)
    ]
    return (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )


def _kept(path: Path, what: ec.EllipticCurvePrivateKey | x509.Certificate) -> Path:
    if isinstance(what, x509.Certificate):
        path.write_bytes(what.public_bytes(serialization.Encoding.PEM))
    else:
        path.write_bytes(
            what.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    return path
