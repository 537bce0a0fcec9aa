"""Whose signature counts here, and how: alone, or beside another one's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tundish.seal.errors import SignerUntrustedError
from tundish.seal.keys import VerifyKey


@dataclass(frozen=True, kw_only=True)
class SignedBy:
    """Who made a signature that fits.

    Attributes:
        key: The key.
        alone: Whether its signature may stand alone (else: beside another only).
    """

    key: VerifyKey
    alone: bool = True


@dataclass(frozen=True, kw_only=True)
class Signers:
    """Whose signatures count.

    Attributes:
        keys: Keys whose signature is enough for a package.
        seconds: Keys known for further signatures only, such as a policy names.
    """

    keys: tuple[VerifyKey, ...]
    seconds: tuple[VerifyKey, ...] = ()

    @classmethod
    def of(cls, trusted: Trusted) -> Signers:
        """Return signers of a plain list of keys."""
        return trusted if isinstance(trusted, Signers) else cls(keys=tuple(trusted))

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
        raise SignerUntrustedError(msg)


Trusted: TypeAlias = Sequence[VerifyKey] | Signers
