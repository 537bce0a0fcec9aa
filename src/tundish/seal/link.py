"""One X.509 certificate of a chain: read in its only form, and what it may be used for.

What its signature does not cover (the outer algorithm, the encoding around it) is
rebuilt and compared to the byte; the rest is covered. Source: RFC 5280, section 4; what
it leaves open is closed here: P-256 and P-384 only, no name constraints, no critical
extension but the three that are checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias, TypeVar

from cryptography import x509
from cryptography.exceptions import (
    InternalError,
    InvalidSignature,
    UnsupportedAlgorithm,
)
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

from tundish.seal import der as forms
from tundish.seal.errors import (
    ChainBrokenError,
    ChainMalformedError,
    ChainUnfitError,
    KeyUnreadableError,
    SignatureMalformedError,
    TermsInvalidError,
)
from tundish.seal.keys import VerifyKey

MAX_BYTES = 8 * 1024
MAX_SUBJECT = 400
ALGORITHMS = {
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: bytes.fromhex("300a06082a8648ce3d040302"),
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: bytes.fromhex("300a06082a8648ce3d040303"),
}
_CHECKED = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage)
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)
# what the library raises for bytes that are no certificate; a warning of an odd value
# may be turned into an exception by whoever calls
FAULTS = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    InternalError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    Warning,
)

Parts: TypeAlias = tuple[tuple[str, str], ...]
"""A name's attributes (OID, value), sorted: the order in which it is written is idle."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """One X.509 certificate.

    Attributes:
        der: Its bytes.
        parsed: As the library reads it.
        key: The key that it names.
        subject: Whom it names, as RFC 4514 writes it.
        parts: The same, to be compared.
        not_before: First moment at which it counts.
        ends_at: First moment at which it counts no more.
    """

    der: bytes
    parsed: x509.Certificate
    key: VerifyKey
    subject: str
    parts: Parts
    not_before: datetime
    ends_at: datetime

    @property
    def serial(self) -> int:
        """The number that its issuer gave it."""
        return self.parsed.serial_number

    def is_own_issuer(self) -> bool:
        """Tell whether it names itself as its issuer, as a root does."""
        return self.parsed.issuer == self.parsed.subject

    def extension(self, kind: type[_Extension]) -> _Extension | None:
        """Return an extension, if it has it."""
        try:
            return self.parsed.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            return None

    def check_signs_documents(self) -> None:
        """Refuse a certificate that was not issued to sign code or models.

        Raises:
            ChainUnfitError: naming what it lacks or has too much.
        """
        basic, usage = (
            self.extension(x509.BasicConstraints),
            self.extension(x509.KeyUsage),
        )
        if basic is not None and basic.ca:
            self._refuse("is a CA's own, and no signature may stand under it")
        if self.is_own_issuer():
            self._refuse("is signed by itself")
        if usage is None or not usage.digital_signature:
            self._refuse("lacks the key usage digitalSignature")
        if usage is not None and (usage.key_cert_sign or usage.crl_sign):
            self._refuse("may sign certificates or lists too, as only a CA may")
        purposes = self.extension(x509.ExtendedKeyUsage) or ()
        if ExtendedKeyUsageOID.CODE_SIGNING not in purposes:
            self._refuse("lacks the extended key usage codeSigning")

    def check_signs_certificates(self, below: int, *, anchor: bool = False) -> None:
        """Refuse a certificate that may not issue others.

        Args:
            below: How many CAs stand between it and the signer.
            anchor: Whether it is trusted here itself; then its key usage may be left
                out, as the root of many a plant does.

        Raises:
            ChainUnfitError: naming what it lacks.
        """
        basic, usage = (
            self.extension(x509.BasicConstraints),
            self.extension(x509.KeyUsage),
        )
        if basic is None or not basic.ca:
            self._refuse("is no CA's, and issued another one")
        elif basic.path_length is not None and basic.path_length < below:
            self._refuse(
                f"allows {basic.path_length} CAs below it, and there are {below}"
            )
        if usage is None and not anchor:
            self._refuse("is a CA's without key usage")
        if usage is not None and not usage.key_cert_sign:
            self._refuse("lacks the key usage keyCertSign")
        purposes = self.extension(x509.ExtendedKeyUsage)
        allowed = (
            ExtendedKeyUsageOID.CODE_SIGNING,
            ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
        )
        if purposes is not None and not any(one in purposes for one in allowed):
            self._refuse("is a CA's for other purposes than codeSigning")

    def check_issued_by(self, issuer: Link, *, exact: bool = True) -> None:
        """Refuse a certificate that its issuer did not sign.

        Args:
            issuer: Whose key must have signed.
            exact: Take the signature in its only form alone.

        Raises:
            ChainBrokenError: if the issuer's name or signature does not fit.
            ChainMalformedError: if the signature has another form.
        """
        try:
            self.parsed.verify_directly_issued_by(issuer.parsed)
        except (InvalidSignature, *FAULTS) as error:
            msg = f"The X.509 certificate of {self.subject!r} was not signed by {issuer.subject!r}."
            raise ChainBrokenError(msg) from error
        if exact and self.lowered(issuer).der != self.der:
            msg = f"The CA's signature for {self.subject!r} is not in its only form (strict DER, low s)."
            raise ChainMalformedError(msg)

    def lowered(self, issuer: Link) -> Link:
        """Return the same certificate with the issuer's signature in its only form.

        Raises:
            ChainMalformedError: if it is none.
        """
        try:
            signature = issuer.key.only_form(self.parsed.signature)
        except SignatureMalformedError as error:
            raise ChainMalformedError(error.message) from error
        data = _assembled(self.parsed, signature)
        return replace(self, der=data, parsed=x509.load_der_x509_certificate(data))

    def to_pem(self) -> bytes:
        """Write it in PEM form."""
        return self.parsed.public_bytes(serialization.Encoding.PEM)

    def _refuse(self, why: str) -> None:
        msg = f"The X.509 certificate of {self.subject!r} {why}."
        raise ChainUnfitError(msg)


def read(data: bytes) -> Link:
    """Read a certificate's DER in its only form; no signature is checked yet.

    Args:
        data: Untrusted bytes.

    Raises:
        ChainMalformedError: if it is none, or encoded otherwise.
        ChainUnfitError: if it has another kind of key or signature, a critical
            extension that is not known here, or name constraints.
    """
    if len(data) > MAX_BYTES:
        msg = (
            f"An X.509 certificate has {len(data)} bytes; at most {MAX_BYTES} are read."
        )
        raise ChainMalformedError(msg)
    return _read(lambda: x509.load_der_x509_certificate(data), data)


def _read(load: Callable[[], x509.Certificate], data: bytes) -> Link:
    try:
        parsed = load()
        subject, parts = _named(parsed.subject)
        _named(parsed.issuer)
        _check_kind(parsed, subject)
        if _assembled(parsed, parsed.signature) != data or parsed.serial_number <= 0:
            msg = f"The X.509 certificate of {subject!r} is not in its only form."
            raise ChainMalformedError(msg)
        return Link(
            der=data,
            parsed=parsed,
            key=_key(parsed, subject),
            subject=subject,
            parts=parts,
            not_before=parsed.not_valid_before_utc,
            ends_at=_after(parsed.not_valid_after_utc),
        )
    except FAULTS as error:
        msg = "An X.509 certificate in DER was expected, and something else was found."
        raise ChainMalformedError(msg) from error


def _after(last: datetime) -> datetime:
    """Return the first moment after the last second of a certificate."""
    return last + timedelta(seconds=1) if last.year < 9999 else last


def _assembled(parsed: x509.Certificate, signature: bytes) -> bytes:
    algorithm = ALGORITHMS[parsed.signature_algorithm_oid]
    return forms.sequence(
        parsed.tbs_certificate_bytes, algorithm, forms.bits(signature)
    )


def _check_kind(parsed: x509.Certificate, subject: str) -> None:
    if parsed.version is not x509.Version.v3:
        msg = f"The X.509 certificate of {subject!r} is of version {parsed.version.name}; expected v3."
        raise ChainUnfitError(msg)
    if parsed.signature_algorithm_oid not in ALGORITHMS:
        msg = f"The X.509 certificate of {subject!r} is not signed with ECDSA and SHA-256 or SHA-384."
        raise ChainUnfitError(msg)
    for extension in parsed.extensions:
        kind = type(extension.value)
        if kind is x509.NameConstraints or (
            extension.critical and kind not in _CHECKED
        ):
            msg = f"The X.509 certificate of {subject!r} has the extension {extension.oid.dotted_string}, which is not understood here."
            raise ChainUnfitError(msg)


def _key(parsed: x509.Certificate, subject: str) -> VerifyKey:
    public = parsed.public_key()
    msg = f"The X.509 certificate of {subject!r} is for no key of P-256 or P-384."
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise ChainUnfitError(msg)
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    try:
        return VerifyKey.from_pem(pem)
    except KeyUnreadableError as error:
        raise ChainUnfitError(msg) from error


def _named(name: x509.Name) -> tuple[str, Parts]:
    text = name.rfc4514_string()
    values = [attribute.value for attribute in name]
    plain = all(isinstance(value, str) and value.isprintable() for value in values)
    single = len(values) == len(name.rdns)
    if not values or not plain or not single or len(text) > MAX_SUBJECT:
        msg = "An X.509 certificate names nobody, or with signs that no name has."
        raise ChainMalformedError(msg)
    return text, _parts(name)


def _parts(name: x509.Name) -> Parts:
    return tuple(sorted((one.oid.dotted_string, str(one.value)) for one in name))


def parts_of(text: str) -> Parts:
    """Return the attributes of a name that a person wrote, such as ``CN=Li,O=Plant``.

    Raises:
        TermsInvalidError: if it is no name as RFC 4514 writes it.
    """
    name = to_name(text)
    return _parts(name)


def to_name(text: str) -> x509.Name:
    """Return a name that a person wrote.

    Raises:
        TermsInvalidError: as ``parts_of``.
    """
    try:
        name = x509.Name.from_rfc4514_string(text)
        _named(name)
    except (ChainMalformedError, *FAULTS) as error:
        msg = f"{text[:80]!r} is no name such as 'CN=Li Na,OU=Quality,O=Plant 7'."
        raise TermsInvalidError(msg) from error
    return name
