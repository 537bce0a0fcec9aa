"""Trust a key, hand over to a new one, revoke: what changes who counts here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from tundish.flows.keyring import SERIES, KeyNote
from tundish.flows.keys import TokenOrder, in_token
from tundish.flows.outputs import write_out
from tundish.flows.workspace import Workspace
from tundish.kernel import clock, paths
from tundish.kernel.digest import Digest, is_digest, short
from tundish.kernel.records import Record
from tundish.model import package as packages
from tundish.seal import chain, link, revocation, rotation
from tundish.seal import grant as grants
from tundish.seal.errors import (
    PackageForkedError,
    PackageOlderError,
    RevocationsOlderError,
    RotationForkedError,
)
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.keys import DevicePublic, SigningKey, VerifyKey
from tundish.seal.revocation import Kind, RevocationList, Revoked
from tundish.seal.signers import Signers
from tundish.seal.trust import Trust


class KeyTerms(Record):
    """How far a key counts here."""

    not_before: str | None
    not_after: str | None
    revokes: Literal["own", "all"]


class TrustReport(KeyTerms):
    """A key that counts here from now on.

    Attributes:
        before: How far it counted until now, if it did and not in the same way.
    """

    key: str
    follows: str | None
    before: KeyTerms | None = None


class RotateReport(Record):
    """A key that handed over to a new one.

    Attributes:
        file: The rotation, for all who trust the old key.
        kept: Where the old private key, or its address, was put away.
        token: Address of the new key, if it lies in a token.
        made_inside: Whether it was made there and was never able to leave.
    """

    old: str
    new: str
    old_until: str
    file: str
    kept: str
    token: str | None = None
    made_inside: bool | None = None


class RevocationsReport(Record):
    """A revocation list that counts here."""

    issuer: str
    version: int
    entries: tuple[dict[str, str], ...]
    file: str


def trust_key(
    workspace: Workspace,
    pem: Path,
    *,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    revokes: Literal["own", "all"] = "own",
) -> TrustReport:
    """Trust a public key, for a time if so asked.

    What is not said is not kept from the last time; the report and the ledger say what
    held before. Only a key that has handed over to another one keeps the end that it
    set itself.

    Args:
        workspace: Where it shall count.
        pem: Its file.
        not_before: First moment.
        not_after: Moment from which on it counts no more.
        revokes: ``all``: its revocation lists count for everything here.

    Raises:
        KeyUnreadableError: if the file holds no public key of P-256 or P-384.
    """
    key = VerifyKey.load(pem)
    ring = workspace.keyring
    before, known = ring.note(key), ring.key(key.key_id) is not None
    ends = [clock.to_text(not_after)] if not_after else []
    if workspace.standing(complete=False).successor(key.key_id) and before.not_after:
        ends.append(before.not_after)  # that was the key's own last word
    note = KeyNote(
        not_before=clock.to_text(not_before) if not_before else None,
        not_after=min(ends, key=clock.from_text, default=None),
        follows=before.follows,
        revokes=revokes,
    )
    ring.keep(key, note)
    report = _told(key, note)
    if known and _terms(before) != _terms(note):
        report = report.model_copy(update={"before": _terms(before)})
    workspace.record("key-trusted", detail=report.model_dump(mode="json"))
    return report


def rotate(
    workspace: Workspace,
    *,
    old_days: float = 30.0,
    new: SigningKey | None = None,
    token: TokenOrder | None = None,
    to: Path | None = None,
) -> RotateReport:
    """Hand over from the workspace's signing key to a new one.

    The old private key is put away, not destroyed: that is left to its owner. Grants
    and identities of packages stay as they are.

    Args:
        workspace: Whose key.
        old_days: How long signatures of the old key still count.
        new: The new key; None: one is made.
        token: The new key lies in a token.
        to: Where to write the rotation.

    Raises:
        TokenAbsentError, TokenPinWrongError and their like.
    """
    old, now, named = workspace.key, workspace.clock.now(), None
    if token is not None:
        new, named = in_token(token, workspace.ask_pin)
    new = new or SigningKey.generate()
    until = now + timedelta(days=old_days)
    text = rotation.sign(old, new, at=now, until=until)
    name = f"{workspace.name}-{short(new.public.key_id)}.rotation"
    path = to or workspace.packages / name
    write_out(path, text)
    ring, before = workspace.keyring, workspace.keyring.note(old.public)
    ring.keep(new.public, before.model_copy(update={"follows": old.public.key_id}))
    ring.keep(old.public, before.model_copy(update={"not_after": clock.to_text(until)}))
    kept = workspace.replace_key(new, named)
    workspace.record(
        "key-rotated",
        detail={
            "old": old.public.key_id,
            "new": new.public.key_id,
            "old_until": clock.to_text(until),
        },
    )
    return RotateReport(
        old=old.public.key_id,
        new=new.public.key_id,
        old_until=clock.to_text(until),
        file=str(path),
        kept=str(kept),
        token=named.token if named else None,
        made_inside=named.made_inside if named else None,
    )


def take_rotation(workspace: Workspace, file: Path) -> TrustReport:
    """Trust the successor of a trusted key, and the old key until its last day only.

    The successor inherits the limits that were set here for the old key.

    Raises:
        RotationInvalidError: if it does not hold.
        RotationForkedError: if another key took over from the same one.
        SignerUntrustedError, KeyRevokedError, KeyExpiredError: if the old key does not
            count here.
    """
    data = paths.read_file(file)
    ring = workspace.keyring
    with workspace.refusals_kept("key-rotation-taken"):
        found = rotation.read(data, ring.known())
        trust = workspace.standing()
        taken = trust.successor(found.old)
        if taken is not None and taken != found.new.key_id:
            msg = f"The key {short(found.old)} has handed over to {short(taken)}."
            raise RotationForkedError(msg)
        if taken is None:
            trust.check_key(found.old, found.digest)
    old = ring.key(found.old)
    if taken is None and old is not None:
        _hand_over(workspace, old, found)
    return _told(found.new, ring.note(found.new))


def _hand_over(workspace: Workspace, old: VerifyKey, found: rotation.Rotation) -> None:
    ring, before = workspace.keyring, workspace.keyring.note(old)
    until = clock.to_text(found.old_until)
    if before.not_after is not None:
        ends = (clock.from_text(before.not_after), found.old_until)
        until = clock.to_text(min(ends))
    ring.keep(found.new, before.model_copy(update={"follows": found.old}))
    ring.keep(old, before.model_copy(update={"not_after": until}))
    workspace.record(
        "key-rotation-taken",
        inputs=[found.digest],
        detail={"old": found.old, "new": found.new.key_id, "old_until": until},
    )


def name_of(workspace: Workspace, kind: Kind, text: str) -> str:
    """Return how a list names a thing that a person named.

    Args:
        workspace: Where files are verified.
        kind: What it is.
        text: An id, a digest, a grant's name, a device's line, or a file of it.

    Raises:
        PathMissingError: if it is no name, and no file either.
        RefusedError: if a file does not verify.
    """
    path = Path(text)
    if kind == "device" and ":" in text and not is_digest(text):
        return DevicePublic.from_text(text).device_id
    if is_digest(text) or (kind == "device" and not path.exists()):
        return text
    if kind == "grant" and not path.exists() and grants.is_name(text):
        return text
    if kind != "package":  # which may be a folder
        paths.existing_file(path)
    if kind == "key":
        return _key_of(path).key_id
    if kind == "grant":
        return grants.read(path.read_bytes(), workspace.keyring.known()).grant
    found = packages.read(
        path,
        trusted=Signers(
            keys=workspace.keyring.known(), authorities=workspace.authorities.known()
        ),
        now=workspace.clock.now(),
        seen=MemoryFreshness(),
    )
    return found.digest


def _key_of(path: Path) -> VerifyKey:
    """Return the key in a file: its public half, or an X.509 certificate for it."""
    data = paths.read_file(path)
    if b"BEGIN CERTIFICATE" not in data:
        return VerifyKey.load(path)
    return link.read(chain.read_pem(data)[0]).key


def revoke(
    workspace: Workspace, entries: Sequence[Revoked], to: Path | None = None
) -> RevocationsReport:
    """Add to this workspace's revocation list, sign its next version and take it.

    What is named again counts no more from the earlier of both moments on: a list never
    gives back what it took.

    Args:
        workspace: Whose list.
        entries: What shall count no more.
        to: Where to write the list, to be carried to others.
    """
    trust = workspace.standing()
    last = trust.newest_list(workspace.key.public.key_id)
    named = {(item.kind, item.name): item for item in last.entries} if last else {}
    for item in entries:
        before = named.get((item.kind, item.name))
        named[item.kind, item.name] = item if before is None else _again(before, item)
    version = last.version + 1 if last else 1
    text = revocation.sign(
        list(named.values()),
        version=version,
        now=workspace.clock.now(),
        key=workspace.key,
    )
    path = to or workspace.packages / f"{workspace.name}-{version}.revocations"
    write_out(path, text)  # before it counts: a place that refuses changes nothing
    report = take_revocations(workspace, text)
    return report.model_copy(update={"file": str(path)})


def _again(before: Revoked, now: Revoked) -> Revoked:
    """Return an entry said twice: the earlier moment, and the newer reason if any."""
    first = min(before, now, key=Revoked.moment)
    reason = now.reason or before.reason
    return now.model_copy(update={"since": first.since, "reason": reason})


def take_revocations(workspace: Workspace, text: bytes) -> RevocationsReport:
    """Take a revocation list of a trusted key; from now on it counts here.

    Each key counts its own lists, so that a thief of a former key cannot outrun the
    present one. An older list is taken after all if it ends a key of its own line.

    Raises:
        RevocationsInvalidError: if it was changed.
        RevocationsOlderError: if a newer one of this issuer was seen.
        SignerUntrustedError, KeyRevokedError, KeyExpiredError: if its issuer does not
            count here.
    """
    ring = workspace.keyring
    with workspace.refusals_kept("revocations-taken"):
        found = revocation.read(text, ring.known())
        trust = workspace.standing(complete=False)
        if all(item.digest != found.digest for item in trust.lists):
            trust.check_key(found.issuer, found.digest)
        named = found.issuer
        try:
            _remember(workspace, found, named)
        except RevocationsOlderError:
            if not trust.ends_a_key(found):
                raise
            named = found.digest
            _remember(workspace, found, named)
    path = ring.list_path(named)
    paths.write_whole(path, text)
    workspace.record(
        "revocations-taken",
        inputs=[found.digest],
        detail={
            "issuer": found.issuer,
            "version": found.version,
            "entries": len(found.entries),
        },
    )
    return _listed(found, path)


def take_carried(workspace: Workspace, text: bytes) -> None:
    """Take a list that came inside a package, unless a newer one is here already.

    Raises:
        As ``take_revocations``, but for an older list, which is left alone: a package
        is older than what was revoked since.
    """
    found = revocation.read(text, workspace.keyring.known())
    trust: Trust = workspace.standing()
    have = [item.version for item in trust.lists if item.issuer == found.issuer]
    if max(have, default=0) < found.version or trust.ends_a_key(found):
        take_revocations(workspace, text)


def _remember(workspace: Workspace, found: RevocationList, name: Digest) -> None:
    try:
        workspace.freshness().see_package(SERIES + name, found.version, found.digest)
    except (PackageOlderError, PackageForkedError) as error:
        msg = f"Version {found.version} of this revocation list is not the newest one seen here."
        raise RevocationsOlderError(msg) from error


def _listed(found: RevocationList, path: Path) -> RevocationsReport:
    return RevocationsReport(
        issuer=found.issuer,
        version=found.version,
        entries=tuple(
            {
                "kind": item.kind,
                "name": item.name,
                "since": item.since,
                "reason": item.reason,
            }
            for item in found.entries
        ),
        file=str(path),
    )


def _told(key: VerifyKey, note: KeyNote) -> TrustReport:
    terms = _terms(note).model_dump()
    return TrustReport(key=key.key_id, follows=note.follows, **terms)


def _terms(note: KeyNote) -> KeyTerms:
    return KeyTerms(
        not_before=note.not_before, not_after=note.not_after, revokes=note.revokes
    )
