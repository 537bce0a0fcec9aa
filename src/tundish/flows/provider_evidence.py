"""Verify one piece of a provider's evidence: a package, a certificate, a plant's word.

A piece counts for a card if the key that signed the card signed the piece. A plant's word
is the other way round: another key that is trusted here signed it, over a package of the
card.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from tundish.catalog import library
from tundish.catalog.provider import Piece
from tundish.catalog.scenario import Scenario, is_key
from tundish.flows.contract import contract_of
from tundish.flows.errors import ProviderEvidenceError
from tundish.kernel.digest import Digest, short
from tundish.kernel.records import Record
from tundish.model import package as packages
from tundish.model.package import Package
from tundish.seal import certificate as certificates
from tundish.seal import plantevidence
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.keys import VerifyKey
from tundish.seal.trust import Trust

_GOOD = ("A", "B")
Limits: TypeAlias = Literal["catalogue", "own", "closed"]


class Shown(Record):
    """What a verified piece shows.

    Attributes:
        scenario: Key of the scenario that it speaks of.
        digest: Digest of what was signed.
        signers: Ids of all keys under it.
        limits: Of a package, and of a plant's word on one: whether its scenario is that
            of the catalogue, one of the provider's own, or closed.
        what: In a few words.
    """

    scenario: str
    digest: Digest
    signers: tuple[Digest, ...]
    limits: Limits | None = None
    what: str


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Who reads.

    Attributes:
        keys: Keys that are trusted.
        now: The present.
        trust: What was revoked here; None without a workspace.
    """

    keys: tuple[VerifyKey, ...]
    now: datetime
    trust: Trust | None = None

    def line(self, key: Digest) -> Digest:
        """Return the first key of the line of rotated keys that a key belongs to."""
        return key if self.trust is None else self.trust.origin(key)

    def same(self, data: bytes, piece: Piece) -> None:
        """Refuse a file that has other bytes than its card names.

        Raises:
            ProviderEvidenceError.
        """
        if hashlib.sha256(data).hexdigest() != piece.sha256:
            msg = f"{piece.file} has other bytes than the card names."
            raise ProviderEvidenceError(msg)

    def admit(self, package: Package) -> None:
        """Refuse a package that was revoked here; raises as ``Trust.check_package``."""
        if self.trust is not None:
            signed = [by.key.key_id for by in package.by]
            self.trust.check_package(package.digest, signed)


def _keyed(scenario: str, what: str) -> str:
    """Return the key of a scenario that somebody signed, if it is one.

    Raises:
        ProviderEvidenceError: if not: it says no sector and no reference scenario.
    """
    if not is_key(scenario):
        msg = f"The {what} speaks of the scenario {scenario[:60]!r}; a key such as C34.27.pump-loop was expected."
        raise ProviderEvidenceError(msg)
    return scenario


def package(data: bytes, reader: Reader, signer: Digest) -> Shown:
    """Verify a package that the card's key signed and whose verdict is accepted.

    Raises:
        RefusedError: one of its kinds, naming what does not fit.
        DocumentInvalidError, DocumentMalformedError: if its scenario is none.
    """
    found = packages.read_tar(
        data,
        trusted=reader.keys,
        now=reader.now,
        seen=MemoryFreshness(),
        admit=reader.admit,
    )
    signers = tuple(by.key.key_id for by in found.by)
    if signer not in signers:
        msg = f"The package of {found.statement.product} is signed by {short(found.signer)}, not by the key of the card."
        raise ProviderEvidenceError(msg)
    if found.verdict.get("accepted") is not True:
        msg = f"The package of {found.statement.product} was not accepted."
        raise ProviderEvidenceError(msg)
    return Shown(
        scenario=_keyed(found.card.scenario, "package"),
        digest=found.digest,
        signers=signers,
        limits=_limits(found),
        what=f"package {found.statement.product} version {found.statement.version}, accepted",
    )


def _limits(found: Package) -> Limits:
    if packages.SCENARIO not in found.files:
        return "closed"
    scenario = contract_of(found)
    if scenario.key != found.card.scenario:
        msg = f"A package's card says {found.card.scenario}, and its scenario is {scenario.key}."
        raise ProviderEvidenceError(msg)
    if scenario.key not in library.shipped(Scenario):
        return "own"  # a pack's limits are somebody's own too
    shipped = library.scenario(scenario.key)
    return "catalogue" if shipped.judged_digest == scenario.judged_digest else "own"


def certificate(data: bytes, reader: Reader, signer: Digest) -> Shown:
    """Verify a certificate by the card's key: grade A or B for a scenario.

    The data does not lie here, so that its digest is not computed again.

    Raises:
        RefusedError: one of its kinds, naming what does not fit.
    """
    found = certificates.read(data, reader.keys)
    certificates.check_time(found.body, reader.now)
    grade = found.body.grade
    if found.signer != signer:
        msg = f"The certificate is signed by {short(found.signer)}, not by the key of the card."
        raise ProviderEvidenceError(msg)
    if grade.letter not in _GOOD:
        msg = f"The certificate says {grade.letter}; a skill rests on A or B."
        raise ProviderEvidenceError(msg)
    if grade.scenario is None:
        msg = "The certificate was given for no scenario, so it shows no skill."
        raise ProviderEvidenceError(msg)
    return Shown(
        scenario=_keyed(grade.scenario, "certificate"),
        digest=found.digest,
        signers=(found.signer,),
        what=f"grade {grade.letter} of {found.body.data.name}",
    )


def plant(
    data: bytes, reader: Reader, signer: Digest, shown: Mapping[Digest, Shown]
) -> Shown:
    """Verify a plant's word over a package of the same card.

    Args:
        data: Untrusted bytes.
        reader: Who reads.
        signer: The key of the card; a plant's word is another one's.
        shown: Digest of each verified package of the card -> what it shows.

    Raises:
        RefusedError: one of its kinds, naming what does not fit.
    """
    found = plantevidence.read(data, reader.keys, now=reader.now)
    seen = found.body.seen
    if reader.line(found.body.issuer) == reader.line(signer):
        msg = "The plant's evidence is signed by the key of the card, or by one of its line: it is the provider's own word."
        raise ProviderEvidenceError(msg)
    of = shown.get(seen.package)
    if of is None or of.scenario != seen.scenario:
        msg = f"The evidence of {seen.plant} speaks of the package {short(seen.package)}, which is no verified one of this card."
        raise ProviderEvidenceError(msg)
    return Shown(
        scenario=seen.scenario,
        digest=found.digest,
        signers=(found.body.issuer,),
        limits=of.limits,
        what=f"{seen.answers} answers at {seen.plant}, {seen.first} to {seen.last}",
    )
