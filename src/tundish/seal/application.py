"""Application-instance certificates of OPC UA: our own, and whether a server's counts.

Source: OPC UA part 4, 6.1.3 (which checks, in which order) and part 6, 6.2.2 (what such
a certificate says). Who is trusted is named by the plant: the server's own certificate,
or the authority that issued it; nothing is trusted because it was seen once.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tundish.kernel import clock, paths
from tundish.seal import keyfile
from tundish.seal.errors import KeyUnreadableError, ServerUntrustedError
from tundish.seal.link import FAULTS
from tundish.seal.secret import SecretText

MAX_BYTES = 64 * 1024
MAX_CHAIN = 4
LEAST_BITS = 2048
_DAY_BEFORE = timedelta(days=1)
_LONG_FORM = 0x82
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


@dataclass(frozen=True, kw_only=True)
class Application:
    """Our own application instance.

    Attributes:
        uri: Application URI that the certificate names; servers compare it.
        certificate: DER.
        key: DER of the private key, PKCS #8, in clear: kept in memory only.
    """

    uri: str
    certificate: bytes
    key: bytes


def make(
    uri: str, hosts: Sequence[str], *, days: float, bits: int, now: datetime
) -> tuple[bytes, bytes]:
    """Make a certificate that signed itself, as part 6 of OPC UA wants it, and its key.

    Args:
        uri: Application URI.
        hosts: Names or addresses of the box.
        days: How long it counts.
        bits: Length of the RSA key; OPC UA knows no other kind in these policies.
        now: It counts from a day before, since clocks in plants differ.

    Returns:
        The certificate and the private key, both PEM.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Tundish {hosts[0]}")])
    public = key.public_key()
    named: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)]
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY_BEFORE)
        .not_valid_after(now + timedelta(days=days))
    )
    extensions = (
        (x509.SubjectAlternativeName(named + [_host(one) for one in hosts]), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
        (identifier, False),
        (
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            False,
        ),
    )
    for extension, critical in extensions:
        made = made.add_extension(extension, critical=critical)
    signed = made.sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def load(certificate: Path, key: Path, password: SecretText | None) -> Application:
    """Read our own certificate and its key.

    Raises:
        PathMissingError, FileTooLargeError: if a file cannot be read.
        KeyExposedError: if others may read the key.
        KeyPassphraseError: if the password is wrong, missing or not needed.
        KeyUnreadableError: if they are not RSA, do not belong together, or the
            certificate names no application URI.
    """
    held = keyfile.load(key, password.reveal() if password else None)
    if not isinstance(held, rsa.RSAPrivateKey) or held.key_size < LEAST_BITS:
        msg = f"The private key {key} is no RSA key of {LEAST_BITS} bits or more."
        raise KeyUnreadableError(msg, advice=_MAKE)
    found = _one(paths.read_file(certificate, most=MAX_BYTES), f"file {certificate}")
    if found.public_key() != held.public_key():
        msg = f"The certificate {certificate} is not for the key {key}."
        raise KeyUnreadableError(msg, advice=_MAKE)
    uris = _named(found, x509.UniformResourceIdentifier)
    if not uris:
        msg = f"The certificate {certificate} names no application URI."
        raise KeyUnreadableError(msg, advice=_MAKE)
    return Application(
        uri=uris[0],
        certificate=found.public_bytes(serialization.Encoding.DER),
        key=held.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Whom a link trusts: certificates that the plant named.

    Attributes:
        origin: Where they stand, for messages.
        certificates: The server's own, or authorities'.
    """

    origin: str
    certificates: tuple[x509.Certificate, ...]

    @classmethod
    def read(cls, path: Path) -> Trust:
        """Read a file of certificates, PEM or DER.

        Raises:
            PathMissingError, FileTooLargeError: if the file cannot be read.
            ServerUntrustedError: if it holds no certificate.
        """
        data = paths.read_file(path, most=MAX_BYTES)
        return cls(origin=str(path), certificates=tuple(_many(data, f"file {path}")))

    def check(self, chain: bytes, host: str, now: datetime) -> bytes:
        """Check what a server showed; return its own certificate (DER).

        Args:
            chain: Untrusted DER, the server's certificate first.
            host: The host that the line file names.
            now: The moment at which it must count.

        Raises:
            ServerUntrustedError: naming what does not fit.
        """
        with _readable(host):
            return self._checked(_many(chain, "answer of the server"), host, now)

    def _checked(
        self, links: Sequence[x509.Certificate], host: str, now: datetime
    ) -> bytes:
        leaf = links[0]
        who = f"The certificate of the server at {host} ({_said(leaf)})"
        anchor = self._anchored(links, who)
        for one in anchor:
            _check_time(
                one, who if one is leaf else f"The certificate {_said(one)}", now
            )
        _check_use(leaf, who)
        _check_host(leaf, who, host)
        return leaf.public_bytes(serialization.Encoding.DER)

    def _anchored(
        self, links: Sequence[x509.Certificate], who: str
    ) -> list[x509.Certificate]:
        """Return the path from the leaf to what is trusted."""
        path = [links[0]]
        while path[-1] not in self.certificates:
            above = next(
                (
                    one
                    for one in (*self.certificates, *links[1:])
                    if one not in path and _issued(path[-1], one)
                ),
                None,
            )
            if above is None or len(path) > MAX_CHAIN:
                msg = (
                    f"{who} is not trusted: it is not in {self.origin}, and nobody "
                    "there issued it."
                )
                raise ServerUntrustedError(msg)
            path.append(above)
        return path


def thumbprint(certificate: bytes) -> str:
    """Return the SHA-1 of a certificate in hex, by which OPC UA servers list it."""
    return _one(certificate, "certificate").fingerprint(hashes.SHA1()).hex()  # noqa: S303


def check_uri(certificate: bytes, uri: str, host: str) -> None:
    """Refuse a server whose certificate names another application than it says.

    Args:
        certificate: DER, checked by ``Trust.check``.
        uri: Application URI as the server says it over the secured channel.
        host: For the message.

    Raises:
        ServerUntrustedError: if they differ.
    """
    with _readable(host):
        named = _named(_one(certificate, "server"), x509.UniformResourceIdentifier)
    if uri not in named:
        have = named[0] if named else "none"
        msg = (
            f"The server at {host} says that its application URI is {uri[:200]!r}, and its "
            f"certificate names {have[:200]!r}."
        )
        raise ServerUntrustedError(msg)


_MAKE = "Make both with 'tundish line certificate', or ask the plant's CA."


def _usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,  # part 6, table 36: one that signed itself says so
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


@contextmanager
def _readable(host: str) -> Iterator[None]:
    """Say clearly what a certificate is of which a part cannot be read.

    Keys, names and algorithms are parsed only when they are asked for.
    """
    try:
        yield
    except FAULTS as error:
        msg = f"The certificate of the server at {host} has parts that cannot be read."
        raise ServerUntrustedError(msg) from error


def _one(data: bytes, what: str) -> x509.Certificate:
    return _many(data, what)[0]


def _many(data: bytes, what: str) -> list[x509.Certificate]:
    """Return the certificates of a PEM or DER text, at least one."""
    try:
        if data.lstrip().startswith(b"-----BEGIN"):
            found = x509.load_pem_x509_certificates(data)
        else:
            found = [x509.load_der_x509_certificate(one) for one in _ders(data)]
    except (*FAULTS, IndexError) as error:
        msg = f"The {what} holds no X.509 certificate that can be read."
        raise ServerUntrustedError(msg) from error
    if not found:
        msg = f"The {what} holds no X.509 certificate."
        raise ServerUntrustedError(msg)
    return found


def _ders(data: bytes) -> list[bytes]:
    """Cut DER certificates that stand one behind the other; at most a few."""
    found: list[bytes] = []
    while data and len(found) <= MAX_CHAIN:
        size = 4 + int.from_bytes(data[2:4], "big") if data[1] == _LONG_FORM else 0
        if not size or len(data) < size:
            found.append(data)
            break
        found.append(data[:size])
        data = data[size:]
    return found


def _issued(below: x509.Certificate, above: x509.Certificate) -> bool:
    basic = _extension(above, x509.BasicConstraints)
    if basic is None or not basic.ca:
        return False
    try:
        below.verify_directly_issued_by(above)
    except (InvalidSignature, *FAULTS):
        return False
    return True


def _check_time(one: x509.Certificate, who: str, now: datetime) -> None:
    if now < one.not_valid_before_utc:
        msg = f"{who} counts from {clock.to_text(one.not_valid_before_utc)} on only."
        raise ServerUntrustedError(msg, advice=_CLOCK)
    if now > one.not_valid_after_utc:
        msg = f"{who} has expired on {clock.to_text(one.not_valid_after_utc)}."
        raise ServerUntrustedError(msg, advice=_CLOCK)


_CLOCK = "Have the server's certificate renewed; if it is right, mend this box's clock."


def _check_use(leaf: x509.Certificate, who: str) -> None:
    key = leaf.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < LEAST_BITS:
        msg = f"{who} is for no RSA key of {LEAST_BITS} bits or more."
        raise ServerUntrustedError(msg)
    weak = leaf.signature_hash_algorithm
    if weak is None or weak.digest_size < hashes.SHA256.digest_size:
        msg = f"{who} is signed with {weak.name if weak else 'nothing known'}, which is broken."
        raise ServerUntrustedError(msg)
    usage = _extension(leaf, x509.KeyUsage)
    if usage is not None and not (usage.digital_signature and usage.key_encipherment):
        msg = f"{who} may not be used to sign and to exchange keys."
        raise ServerUntrustedError(msg)
    purposes = _extension(leaf, x509.ExtendedKeyUsage)
    if purposes is not None and ExtendedKeyUsageOID.SERVER_AUTH not in purposes:
        msg = f"{who} is not for a server."
        raise ServerUntrustedError(msg)


def _check_host(leaf: x509.Certificate, who: str, host: str) -> None:
    names = [name.lower() for name in _named(leaf, x509.DNSName)]
    addresses = _named(leaf, x509.IPAddress)
    if host.lower() not in (*names, *addresses):
        have = ", ".join((*names, *addresses)) or "none"
        msg = f"{who} is for the hosts {have[:300]}, and the line file names {host}."
        raise ServerUntrustedError(msg, advice=_HOST)


_HOST = "Name the server in the line file as its certificate does."


def _named(one: x509.Certificate, kind: type[x509.GeneralName]) -> list[str]:
    names = _extension(one, x509.SubjectAlternativeName)
    return (
        []
        if names is None
        else [str(name.value) for name in names if isinstance(name, kind)]
    )


def _extension(one: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return one.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except FAULTS as error:
        msg = f"The certificate {_said(one)} has extensions that cannot be read."
        raise ServerUntrustedError(msg) from error


def _said(one: x509.Certificate) -> str:
    text = one.subject.rfc4514_string()
    return "".join(sign for sign in text if sign.isprintable())[:200] or "no name"
