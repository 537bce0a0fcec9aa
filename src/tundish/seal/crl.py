"""Revocation lists of a CA (CRL): which X.509 certificates it issued count no more.

A list is whole, and the one with the highest number counts. Lists in parts, of other
issuers and of scopes are refused: half of a list would pass for the whole.
Source: RFC 5280, section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tundish.kernel import clock, digest
from tundish.kernel.digest import Digest
from tundish.seal import der
from tundish.seal.chain import Authority
from tundish.seal.errors import RevocationsInvalidError, SignerUntrustedError
from tundish.seal.freshness import TOLERANCE_S
from tundish.seal.link import ALGORITHMS, FAULTS, Link

MAX_BYTES = 4 * 1024 * 1024
MAX_NUMBER = 2**53 - 1  # the largest integer of canonical JSON
_PEM = b"-----BEGIN X509 CRL-----"


@dataclass(frozen=True, kw_only=True)
class Crl:
    """A verified list.

    Attributes:
        issuer: Id of the key of the CA that signed it.
        number: Counter of this CA's lists.
        issued_at: When, by the CA.
        digest: Digest of what is signed.
        listed: The list, as the library reads it.
    """

    issuer: Digest
    number: int
    issued_at: datetime
    digest: Digest
    listed: x509.CertificateRevocationList

    def since(self, one: Link) -> datetime | None:
        """Return since when a certificate of this CA counts no more, if it is listed.

        That is the date of which the CA says that the key was invalid from then on, or
        the date of the entry if it is earlier or the only one.
        """
        entry = self.listed.get_revoked_certificate_by_serial_number(one.serial)
        return None if entry is None else _moment(entry)


def _moment(entry: x509.RevokedCertificate) -> datetime:
    try:
        known = entry.extensions.get_extension_for_class(x509.InvalidityDate)
    except x509.ExtensionNotFound:
        return entry.revocation_date_utc
    return min(known.value.invalidity_date_utc, entry.revocation_date_utc)


def read(data: bytes, authorities: Sequence[Authority]) -> Crl:
    """Return what a CA revoked, after its signature and every entry were checked.

    Args:
        data: Untrusted bytes, DER or PEM.
        authorities: CAs that are trusted here.

    Raises:
        RevocationsInvalidError: if it is none, was changed, or is only a part.
        SignerUntrustedError: if no CA here has issued it.
    """
    if len(data) > MAX_BYTES:
        msg = f"A CA's revocation list has {len(data)} bytes; at most {MAX_BYTES}."
        raise RevocationsInvalidError(msg)
    try:
        listed = _load(data)
        issuer = _issuer(listed, authorities)
        _check_whole(listed)
        for entry in listed:
            _check_entry(entry)
        number = _number(listed)
    except FAULTS as error:
        msg = "A CA's revocation list was expected, and something else was found."
        raise RevocationsInvalidError(msg) from error
    return Crl(
        issuer=issuer.key.key_id,
        number=number,
        issued_at=listed.last_update_utc,
        digest=digest.of_bytes(listed.tbs_certlist_bytes),
        listed=listed,
    )


def check_time(found: Crl, now: datetime) -> None:
    """Refuse a list that was issued in the future, by this machine's clock.

    One whose next issue is overdue is taken: to know less would be no safer.

    Raises:
        RevocationsInvalidError.
    """
    if found.issued_at > now + timedelta(seconds=TOLERANCE_S):
        msg = f"A CA's revocation list was issued at {clock.to_text(found.issued_at)}, and it is {clock.to_text(now)} here."
        raise RevocationsInvalidError(msg, advice="Check this machine's clock.")


def _load(data: bytes) -> x509.CertificateRevocationList:
    if data.lstrip().startswith(_PEM):
        return x509.load_pem_x509_crl(data)
    return x509.load_der_x509_crl(data)


def _issuer(
    listed: x509.CertificateRevocationList, authorities: Sequence[Authority]
) -> Link:
    named = [
        one.link for one in authorities if one.link.parsed.subject == listed.issuer
    ]
    if not named:
        msg = "A CA's revocation list was issued by a CA that is not trusted here."
        raise SignerUntrustedError(msg, advice="Trust it: 'tundish trust --ca FILE'.")
    whole = _assembled(listed) == listed.public_bytes(serialization.Encoding.DER)
    for one in named:
        usage = one.extension(x509.KeyUsage)
        if usage is not None and not usage.crl_sign:
            continue
        if whole and listed.is_signature_valid(one.parsed.public_key()):  # type: ignore[arg-type]
            return one
    msg = "A CA's revocation list does not carry the signature of the CA that it names."
    raise RevocationsInvalidError(msg)


def _assembled(listed: x509.CertificateRevocationList) -> bytes:
    algorithm = ALGORITHMS.get(listed.signature_algorithm_oid, b"")
    return der.sequence(
        listed.tbs_certlist_bytes, algorithm, der.bits(listed.signature)
    )


def _check_whole(listed: x509.CertificateRevocationList) -> None:
    for extension in listed.extensions:
        part = isinstance(extension.value, x509.DeltaCRLIndicator)
        if part or extension.critical:
            msg = f"A CA's revocation list is only a part: it has the extension {extension.oid.dotted_string}."
            raise RevocationsInvalidError(msg, advice="Ask the CA for its whole list.")


def _check_entry(entry: x509.RevokedCertificate) -> None:
    for extension in entry.extensions:
        if extension.critical or isinstance(extension.value, x509.CertificateIssuer):
            msg = f"A CA's revocation list has an entry with the extension {extension.oid.dotted_string}."
            raise RevocationsInvalidError(msg)
        if (
            isinstance(extension.value, x509.CRLReason)
            and extension.value.reason is x509.ReasonFlags.remove_from_crl
        ):
            msg = (
                "A CA's revocation list takes an entry back, as only a part of one may."
            )
            raise RevocationsInvalidError(msg)


def _number(listed: x509.CertificateRevocationList) -> int:
    try:
        found = listed.extensions.get_extension_for_class(x509.CRLNumber)
    except x509.ExtensionNotFound as error:
        msg = "A CA's revocation list has no number, so an older one could replace it."
        raise RevocationsInvalidError(msg) from error
    number = found.value.crl_number
    if not 0 <= number <= MAX_NUMBER:
        msg = f"A CA's revocation list has a number beyond {MAX_NUMBER}."
        raise RevocationsInvalidError(msg)
    return number
