"""A chain of X.509 certificates up to an authority (CA) that is trusted here.

The chain is a straight line: the signer's certificate, then the one above it, and so on;
the authority itself is not in it. So nothing has to be searched, and nothing may be
added. What holds here does not depend on the time: whether each certificate counts at a
moment, and whether one was revoked, is decided by ``trust``, as for other keys.
Source: RFC 5280, section 6, without policies and name constraints.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TypeAlias

from tundish.kernel import clock, digest
from tundish.kernel.canonical import Json
from tundish.kernel.digest import Digest
from tundish.kernel.errors import RefusedError
from tundish.seal import base64s, link
from tundish.seal.errors import (
    ChainBrokenError,
    ChainMalformedError,
    KeyExpiredError,
    KeyNotYetError,
    SignatureMalformedError,
    SignerUntrustedError,
)
from tundish.seal.keys import VerifyKey
from tundish.seal.link import Link, Parts

Fault: TypeAlias = tuple[RefusedError, datetime | None]
"""Why a key does not count, and since when it does not; None: it has not begun."""
MAX_LINKS = 4
MAX_PEM = 64 * 1024
_BLOCK = re.compile(
    rb"-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=\n]+)-----END CERTIFICATE-----\n"
)


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A CA under which signatures count here.

    Attributes:
        link: Its own X.509 certificate.
        groups: If there are any: a signer's subject must have every part of one.
        key: If there is one: the only key that counts under it.
        not_before: From when on it is trusted here.
        not_after: Until when.
    """

    link: Link
    groups: tuple[Parts, ...] = ()
    key: Digest | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None

    def admits(self, leaf: Link) -> bool:
        """Tell whether a signer under this CA counts here."""
        if self.key is not None and self.key != leaf.key.key_id:
            return False
        have = set(leaf.parts)
        return not self.groups or any(have.issuperset(group) for group in self.groups)


@dataclass(frozen=True, kw_only=True)
class Certified:
    """A chain that leads to an authority.

    Attributes:
        links: From the signer's certificate upwards, without the authority's.
        authority: The CA.
    """

    links: tuple[Link, ...]
    authority: Authority

    @property
    def key(self) -> VerifyKey:
        """The signer's key."""
        return self.links[0].key

    @property
    def subject(self) -> str:
        """Whom the signer's certificate names."""
        return self.links[0].subject

    @property
    def ders(self) -> tuple[bytes, ...]:
        """The bytes of the chain, as a signature carries them."""
        return tuple(one.der for one in self.links)

    @property
    def person(self) -> Digest:
        """Digest of the authority's key and the subject: whoever holds it."""
        return person(self.authority.link.key.key_id, self.links[0].parts)

    @property
    def above(self) -> tuple[Link, ...]:
        """The certificates above the signer's, with the authority's."""
        return (*self.links[1:], self.authority.link)

    @property
    def window(self) -> tuple[datetime, datetime]:
        """From when on and until when all of it counts."""
        every = (*self.links, self.authority.link)
        begins = [one.not_before for one in every]
        ends = [one.ends_at for one in every]
        begins += [self.authority.not_before] if self.authority.not_before else []
        ends += [self.authority.not_after] if self.authority.not_after else []
        return max(begins), min(ends)

    def fault(self, now: datetime) -> Fault | None:
        """Return why it does not count at a moment, and since when it does not."""
        begins, ends = self.window
        if now < begins:
            msg = (
                f"The chain of {self.subject!r} counts from {clock.to_text(begins)} on."
            )
            return KeyNotYetError(msg), None
        if now >= ends:
            msg = f"The chain of {self.subject!r} counted until {clock.to_text(ends)}."
            return KeyExpiredError(msg), ends
        return None

    def to_pem(self) -> bytes:
        """Write the chain in PEM form."""
        return b"".join(one.to_pem() for one in self.links)


def person(authority: Digest, parts: Parts) -> Digest:
    """Return what names a subject under an authority, whatever key is certified."""
    said: list[Json] = [list(part) for part in parts]
    return digest.of_json({"authority": authority, "subject": said})


def verify(
    ders: Sequence[bytes], authorities: Sequence[Authority], *, exact: bool = True
) -> Certified:
    """Return the chain up to an authority that is trusted here.

    Args:
        ders: Untrusted certificates, the signer's first.
        authorities: CAs that are trusted here.
        exact: Take a CA's signature in its only form alone (see ``link``).

    Raises:
        ChainMalformedError: if it is too long, or not in its only form.
        ChainUnfitError: if a certificate may not be used so.
        ChainBrokenError: if one was not signed by the next.
        SignerUntrustedError: if no CA here has issued the last one, or it counts here
            for others only.
    """
    if not 1 <= len(ders) <= MAX_LINKS:
        msg = f"A chain has {len(ders)} X.509 certificates; 1 to {MAX_LINKS} are read."
        raise ChainMalformedError(msg)
    links = tuple(link.read(one) for one in ders)
    links[0].check_signs_documents()
    for below, one in enumerate(links[1:]):
        if one.is_own_issuer():
            msg = f"A chain goes on to {one.subject!r}, which signed itself; it ends below the CA."
            raise ChainMalformedError(msg)
        one.check_signs_certificates(below)
    for one, issuer in pairwise(links):
        one.check_issued_by(issuer, exact=exact)
    return _anchored(links, authorities, exact=exact)


def _anchored(
    links: tuple[Link, ...], authorities: Sequence[Authority], *, exact: bool
) -> Certified:
    last = links[-1]
    named = [
        one for one in authorities if one.link.parsed.subject == last.parsed.issuer
    ]
    if not named:
        msg = f"No CA is trusted here that issues for {last.subject!r}."
        raise SignerUntrustedError(msg, advice=_ADVICE)
    broken: ChainBrokenError | None = None
    found = False
    for one in named:
        try:
            last.check_issued_by(one.link, exact=exact)
        except ChainBrokenError as error:
            broken = error
            continue
        one.link.check_signs_certificates(len(links) - 1, anchor=True)
        found = True
        if one.admits(links[0]):
            return Certified(links=links, authority=one)
    if broken is not None and not found:
        raise broken
    msg = f"The CA {named[0].link.subject!r} counts here, but not for {links[0].subject!r}."
    raise SignerUntrustedError(msg, advice=_ADVICE)


_ADVICE = "If the signer belongs to your plant: 'tundish trust --ca FILE'."


def without_root(ders: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return a chain without the root that other tools put at its end.

    Raises:
        ChainMalformedError, ChainUnfitError: if its last one is no certificate.
    """
    more = len(ders) > 1 and link.read(ders[-1]).is_own_issuer()
    return tuple(ders[:-1] if more else ders)


def lowered(ders: Sequence[bytes], authority: Link) -> tuple[bytes, ...]:
    """Return a chain with every CA's signature in its only form.

    Raises:
        ChainMalformedError, ChainUnfitError: if one of them is no certificate.
    """
    links = [*(link.read(one) for one in ders), authority]
    return tuple(one.lowered(above).der for one, above in pairwise(links))


def read_pem(data: bytes) -> tuple[bytes, ...]:
    """Return the DER of each certificate of a PEM file that holds nothing else.

    Raises:
        ChainMalformedError: if anything stands between, before or after them.
    """
    if len(data) > MAX_PEM:
        msg = f"A file of X.509 certificates has {len(data)} bytes; at most {MAX_PEM}."
        raise ChainMalformedError(msg)
    text = data.replace(b"\r\n", b"\n")
    if text and not text.endswith(b"\n"):
        text += b"\n"
    found = list(_blocks(text))
    if not found:
        msg = "A file was expected that holds X.509 certificates in PEM form."
        raise ChainMalformedError(msg)
    return tuple(found)


def _blocks(text: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(text):
        block = _BLOCK.match(text, at)
        if block is None:
            msg = "A file of X.509 certificates holds something else too."
            raise ChainMalformedError(
                msg, advice="Cut it off; 'openssl x509 -in FILE' prints the first one."
            )
        code = block[1].replace(b"\n", b"").decode()
        try:
            yield base64s.decode(code, what="body of an X.509 certificate")
        except SignatureMalformedError as error:
            raise ChainMalformedError(error.message) from error
        at = block.end()


def read_authority(data: bytes) -> Link:
    """Return the certificate of a CA from its PEM file.

    Raises:
        ChainMalformedError: if it is not exactly one certificate.
        ChainUnfitError: if it is no CA's.
        ChainBrokenError: if it says that it signed itself, and did not.
    """
    ders = read_pem(data)
    if len(ders) != 1:
        msg = f"One CA was expected, and {len(ders)} X.509 certificates were found."
        raise ChainMalformedError(msg)
    found = link.read(ders[0])
    found.check_signs_certificates(0, anchor=True)
    if found.is_own_issuer():
        found.check_issued_by(found, exact=False)
    return found
