"""Whose signature counts here, and how: alone, or beside another one's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tundish.seal import chain as chains
from tundish.seal.chain import Authority, Certified
from tundish.seal.errors import ChainBrokenError, SignerUntrustedError
from tundish.seal.keys import SigningKey, VerifyKey


@dataclass(frozen=True, kw_only=True)
class SignedBy:
    """Who made a signature that fits.

    Attributes:
        key: The key.
        alone: Whether its signature may stand alone (else: beside another only).
        chain: The X.509 certificates under which it counts; None for a bare key.
    """

    key: VerifyKey
    alone: bool = True
    chain: Certified | None = None

    @property
    def subject(self) -> str:
        """Whom the chain names; empty for a bare key."""
        return self.chain.subject if self.chain else ""


@dataclass(frozen=True, kw_only=True)
class Signers:
    """Whose signatures count.

    Attributes:
        keys: Keys whose signature is enough for a package.
        seconds: Keys known for further signatures only, such as a policy names.
        authorities: CAs under which a signature is enough.
        second_authorities: CAs known for further signatures only.
    """

    keys: tuple[VerifyKey, ...]
    seconds: tuple[VerifyKey, ...] = ()
    authorities: tuple[Authority, ...] = ()
    second_authorities: tuple[Authority, ...] = ()

    @classmethod
    def of(cls, trusted: Trusted) -> Signers:
        """Return signers of a plain list of keys."""
        return trusted if isinstance(trusted, Signers) else cls(keys=tuple(trusted))

    @classmethod
    def of_package(
        cls,
        signed: Sequence[SignedBy],
        key: SigningKey | None = None,
        chain: Certified | None = None,
    ) -> Signers:
        """Return signers who have signed a package already, and one who is about to."""
        bare = tuple(by.key for by in signed if by.chain is None)
        under = tuple(by.chain.authority for by in signed if by.chain is not None)
        if chain is not None:
            return cls(keys=bare, authorities=(*under, chain.authority))
        own = () if key is None else (key.public,)
        return cls(keys=bare, seconds=own, authorities=under)

    def certified(
        self, ders: Sequence[bytes], *, further: bool, exact: bool = True
    ) -> SignedBy:
        """Return the signer whom a bundle's chain names.

        Args:
            ders: Its certificates, the signer's first; untrusted.
            further: Whether it stands beside another signature.
            exact: See ``chain.verify``.

        Raises:
            SignerUntrustedError, ChainBrokenError, ChainMalformedError,
            ChainUnfitError: as ``chain.verify``.
        """
        try:
            found = chains.verify(ders, self.authorities, exact=exact)
        except (SignerUntrustedError, ChainBrokenError):
            if not (further and self.second_authorities):
                raise
            found = chains.verify(ders, self.second_authorities, exact=exact)
            return SignedBy(key=found.key, alone=False, chain=found)
        return SignedBy(key=found.key, chain=found)

    def find(self, hint: str, *, further: bool) -> SignedBy:
        """Return the signer that a bundle names.

        Args:
            hint: How model-signing names a key; untrusted.
            further: Whether it stands beside another signature.

        Raises:
            SignerUntrustedError: if no key here fits.
        """
        for key in self.keys:
            if key.hint == hint:
                return SignedBy(key=key)
        for key in self.seconds if further else ():
            if key.hint == hint:
                return SignedBy(key=key, alone=False)
        msg = (
            f"A package is signed by the key {hint[:12]!r}, which is not trusted here."
        )
        advice = (
            "If you know the signer, get their public key by a way you trust (its "
            "sha256sum begins with that id) and give 'tundish trust FILE'."
        )
        raise SignerUntrustedError(msg, advice=advice)


Trusted: TypeAlias = Sequence[VerifyKey] | Signers
