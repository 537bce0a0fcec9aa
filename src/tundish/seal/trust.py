"""Decide whether a signature that fits still counts: validity, revocation, witnesses.

A signature holds no time that anybody but its maker vouches for. So once a key has
ended (its validity ran out, or it was revoked), what it signed counts only if this
machine's own ledger, under a signed checkpoint, shows that it saw the document with this
key's signature before the key ended. Everything else might have been signed later by a
thief. The same holds
for a signature under a chain of X.509 certificates, once one of them has ended.

Who may revoke: this workspace everything; a key marked ``all`` everything; any other
trusted key only what its own line of keys signed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from tundish.kernel import clock
from tundish.kernel.digest import Digest, short
from tundish.kernel.errors import RefusedError
from tundish.seal.chain import Certified, Fault
from tundish.seal.crl import Crl
from tundish.seal.errors import (
    DeviceRevokedError,
    GrantRevokedError,
    KeyExpiredError,
    KeyNotYetError,
    KeyRevokedError,
    PackageRevokedError,
    SignerUntrustedError,
)
from tundish.seal.keys import VerifyKey
from tundish.seal.revocation import Kind, RevocationList, Revoked
from tundish.seal.signers import SignedBy

Witness: TypeAlias = Callable[[Digest, Digest], datetime | None]
"""Says when this machine first saw a document with the signature of a key, by a ledger
under a checkpoint."""


def nobody_saw(_document: Digest, _key: Digest) -> datetime | None:
    """Say that nothing was seen."""
    return None


@dataclass(frozen=True, kw_only=True)
class Known:
    """A key that counts here, and for how long.

    Attributes:
        key: The key.
        not_before: From when on, by this machine's clock.
        not_after: Until when.
        follows: The key that it took over from.
        revokes: Whether its lists count for everything, or for what its line signed.
    """

    key: VerifyKey
    not_before: datetime | None = None
    not_after: datetime | None = None
    follows: Digest | None = None
    revokes: Literal["own", "all"] = "own"


@dataclass(frozen=True, kw_only=True)
class Trust:
    """All that decides whether a fitting signature counts, as of one moment.

    Attributes:
        known: The keys.
        own: Id of the workspace's own key; its lists count for everything.
        lists: The newest list of each issuer.
        now: This machine's time.
        witness: See ``Witness``.
        crls: The newest list of each CA that is trusted here.
    """

    known: tuple[Known, ...]
    own: Digest
    lists: tuple[RevocationList, ...]
    now: datetime
    witness: Witness = nobody_saw
    crls: tuple[Crl, ...] = ()

    def origin(self, key: Digest) -> Digest:
        """Return the first key of the line of rotated keys to which a key belongs."""
        follows = {item.key.key_id: item.follows for item in self.known}
        seen = {key}
        while (before := follows.get(key)) is not None and before not in seen:
            key = before
            seen.add(key)
        return key

    def successor(self, key: Digest) -> Digest | None:
        """Return the key that took over from a key, if one did."""
        found = (item.key.key_id for item in self.known if item.follows == key)
        return next(found, None)

    def newest_list(self, key: Digest) -> RevocationList | None:
        """Return the newest list of the line of rotated keys to which a key belongs.

        There may be several: each key counts its own.
        """
        line = self.origin(key)
        lists = (item for item in self.lists if self.origin(item.issuer) == line)
        return max(lists, key=lambda item: item.version, default=None)

    def is_revoked(self, key: Digest) -> bool:
        """Tell whether a key is revoked."""
        return self._revoked("key", key, [key]) is not None

    def ends_a_key(self, found: RevocationList) -> bool:
        """Tell whether a list revokes a key of its issuer's own line that still counts.

        Such a list is taken whatever its number: otherwise a thief of a key could sign a
        list of the highest number, and the theft could never be told.
        """
        line = self.origin(found.issuer)
        return any(
            item.kind == "key"
            and self.origin(Digest(item.name)) == line
            and not self.is_revoked(Digest(item.name))
            for item in found.entries
        )

    def standing(self) -> tuple[VerifyKey, ...]:
        """Return the keys that have begun, not ended and not been revoked."""
        return tuple(
            item.key for item in self.known if not self._fault(item.key.key_id)
        )

    def check_key(self, key: Digest, document: Digest) -> None:
        """Refuse a signature whose key did not count when it was certainly there.

        Args:
            key: Id of the key that signed.
            document: Digest of what it signed.

        Raises:
            KeyNotYetError, KeyExpiredError, KeyRevokedError: as their names say.
        """
        fault = self._fault(key)
        self._witnessed([] if fault is None else [fault], document, key)

    def check_signer(self, by: SignedBy, document: Digest) -> None:
        """Refuse a signature whose key or chain did not count when it was there.

        Args:
            by: Who signed, and under which chain.
            document: Digest of what was signed.

        Raises:
            KeyNotYetError, KeyExpiredError, KeyRevokedError: as their names say.
        """
        fault = self._fault(by.key.key_id, by.subject)
        faults = [] if fault is None else [fault]
        if by.chain is not None:
            faults += self._chain_faults(by.chain)
        self._witnessed(faults, document, by.key.key_id)

    def _witnessed(
        self, faults: Sequence[Fault], document: Digest, key: Digest
    ) -> None:
        for refusal, end in faults:
            saw = None if end is None else self.witness(document, key)
            if end is None or saw is None or saw >= end:
                raise refusal

    def check_package(self, package: Digest, signers: Iterable[Digest]) -> None:
        """Refuse a package that one of its signers, or this workspace, revoked.

        Raises:
            PackageRevokedError.
        """
        found = self._revoked("package", package, signers)
        if found:
            raise PackageRevokedError(_said("package", short(package), found))

    def check_grant(self, grant: str, issuer: Digest) -> None:
        """Refuse a grant that its issuer, or this workspace, revoked.

        Raises:
            GrantRevokedError.
        """
        found = self._revoked("grant", grant, [issuer])
        if found:
            raise GrantRevokedError(_said("grant", grant, found))

    def check_device(self, device: Digest, issuer: Digest) -> None:
        """Refuse a device that an issuer of grants, or this workspace, revoked.

        Raises:
            DeviceRevokedError.
        """
        found = self._revoked("device", device, [issuer])
        if found:
            raise DeviceRevokedError(_said("device", short(device), found))

    def counting(
        self, signed: Sequence[SignedBy], document: Digest
    ) -> frozenset[Digest]:
        """Return the keys whose signatures under a document count.

        At least one must be of a key that may sign alone. So a package whose maker's
        key has ended opens once the successor has signed it too.

        Raises:
            RefusedError: what is wrong with the first key that ended.
            SignerUntrustedError: if nothing ended, and none may sign alone.
        """
        good: set[Digest] = set()
        first: RefusedError | None = None
        alone = False
        for by in signed:
            try:
                self.check_signer(by, document)
            except (KeyNotYetError, KeyExpiredError, KeyRevokedError) as error:
                first = first or error
                continue
            good.add(by.key.key_id)
            alone = alone or by.alone
        if not alone:
            msg = f"No signature under {short(document)} may stand alone here."
            raise first or SignerUntrustedError(msg)
        return frozenset(good)

    def withdrawn(
        self,
        *,
        package: Digest,
        signers: Iterable[Digest],
        grant: str | None,
        device: Digest,
    ) -> datetime | None:
        """Return since when a package, its grant or its device is revoked.

        For a line that runs already. A key that ends meanwhile stops no line: the
        package was opened while it counted.
        """
        by = list(signers)
        found = [self._revoked("package", package, by)]
        if grant is not None:
            found.append(self._revoked("grant", grant, by))
            found.append(self._revoked("device", device, by))
        moments = [item.moment() for item in found if item is not None]
        return min(moments, default=None)

    def _chain_faults(self, chain: Certified) -> Iterator[Fault]:
        fault = chain.fault(self.now)
        if fault is not None:
            yield fault
        for one, issuer in zip(chain.links, chain.above, strict=True):
            key = issuer.key.key_id
            revoked = self._revoked("key", key, [key])
            if revoked is not None:
                said = _said("key", f"of the CA {issuer.subject!r}", revoked)
                yield KeyRevokedError(said), revoked.moment()
            for listed in self.crls:
                since = listed.since(one) if listed.issuer == key else None
                if since is not None:
                    msg = f"The CA revoked the X.509 certificate of {one.subject!r} since {clock.to_text(since)}."
                    yield KeyRevokedError(msg), since

    def _fault(self, key: Digest, subject: str = "") -> Fault | None:
        called = f"{short(key)} of {subject!r}" if subject else short(key)
        revoked = self._revoked("key", key, [key])
        if revoked is not None:
            msg = _said("key", called, revoked)
            return KeyRevokedError(msg), revoked.moment()
        item = next((item for item in self.known if item.key.key_id == key), None)
        if item is None:
            return None
        if item.not_before is not None and self.now < item.not_before:
            msg = f"The key {called} counts from {clock.to_text(item.not_before)} on."
            return KeyNotYetError(msg), None
        if item.not_after is not None and self.now >= item.not_after:
            msg = f"The key {called} counted until {clock.to_text(item.not_after)}."
            return KeyExpiredError(msg), item.not_after
        return None

    def _revoked(
        self, kind: Kind, name: str, signers: Iterable[Digest]
    ) -> Revoked | None:
        lines = {self.origin(key) for key in signers}
        found = [
            item
            for issued in self.lists
            if self._counts(issued.issuer, lines)
            for item in issued.entries
            if (item.kind, item.name) == (kind, name)
        ]
        return min(found, key=Revoked.moment, default=None)

    def _counts(self, issuer: Digest, lines: set[Digest]) -> bool:
        return self.origin(issuer) in lines or any(self._everything(issuer))

    def _everything(self, issuer: Digest) -> Iterator[bool]:
        yield self.origin(issuer) == self.origin(self.own)
        for item in self.known:
            yield item.key.key_id == issuer and item.revokes == "all"


def _said(what: str, name: str, found: Revoked) -> str:
    why = f": {found.reason}" if found.reason else ""
    return f"The {what} {name} is revoked since {found.since}{why}."
