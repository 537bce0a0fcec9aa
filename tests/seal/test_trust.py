"""Laws of trust: ends, witnesses, lines of keys, and who may revoke what."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tundish.kernel.digest import Digest, of_bytes
from tundish.kernel.errors import RefusedError
from tundish.seal import revocation, rotation
from tundish.seal.errors import (
    DeviceRevokedError,
    GrantRevokedError,
    KeyExpiredError,
    KeyNotYetError,
    KeyRevokedError,
    PackageRevokedError,
    RevocationsInvalidError,
    RotationInvalidError,
    SignerUntrustedError,
    TermsInvalidError,
)
from tundish.seal.keys import SigningKey
from tundish.seal.revocation import Kind, RevocationList
from tundish.seal.signers import SignedBy
from tundish.seal.trust import Known, Trust, nobody_saw

NOW = datetime(2026, 5, 4, 6, tzinfo=UTC)
DAY = timedelta(days=1)
OWN, OLD, NEW, OTHER = (SigningKey.generate() for _ in range(4))
DOCUMENT = of_bytes(b"package")
DEVICE = of_bytes(b"device")


def list_of(key: SigningKey, kind: Kind, name: str, version: int = 1) -> RevocationList:
    text = revocation.sign(
        [revocation.entry(kind, name, NOW - DAY, "lost")],
        version=version,
        now=NOW,
        key=key,
    )
    return revocation.read(text, [key.public])


def trust(
    *lists: RevocationList,
    old_until: datetime | None = None,
    witness: Callable[[Digest, Digest], datetime | None] = nobody_saw,
    other: Known | None = None,
) -> Trust:
    known = (
        Known(key=OWN.public),
        Known(key=OLD.public, not_after=old_until),
        Known(key=NEW.public, follows=OLD.public.key_id),
        other or Known(key=OTHER.public),
    )
    return Trust(
        known=known, own=OWN.public.key_id, lists=lists, now=NOW, witness=witness
    )


@pytest.mark.parametrize(
    ("saw", "counts"),
    [(None, False), (NOW - 2 * DAY, True), (NOW - DAY, False), (NOW, False)],
)
@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_what_an_ended_key_signed_counts_only_if_it_was_seen_before(
    saw: datetime | None, counts: bool, how: str
) -> None:
    if how == "revoked":
        lists = [list_of(OWN, "key", OLD.public.key_id)]
        found = trust(*lists, witness=lambda *_: saw)
    else:
        found = trust(old_until=NOW - DAY, witness=lambda *_: saw)
    assert OLD.public not in found.standing()
    if counts:
        found.check_key(OLD.public.key_id, DOCUMENT)
        return
    refusal = KeyRevokedError if how == "revoked" else KeyExpiredError
    with pytest.raises(refusal):
        found.check_key(OLD.public.key_id, DOCUMENT)


def test_a_key_counts_from_its_first_day_on_whatever_was_seen() -> None:
    later = Known(key=OTHER.public, not_before=NOW + DAY)
    found = trust(other=later, witness=lambda *_: NOW - 9 * DAY)
    with pytest.raises(KeyNotYetError):
        found.check_key(OTHER.public.key_id, DOCUMENT)


@pytest.mark.parametrize(
    ("issuer", "signer", "counts"),
    [
        (OWN, OTHER, True),
        (OTHER, OTHER, True),
        (OTHER, OLD, False),
        (NEW, OLD, True),
        (OLD, NEW, True),
        (NEW, OWN, False),
    ],
)
def test_a_list_counts_for_what_its_own_line_signed(
    issuer: SigningKey, signer: SigningKey, counts: bool
) -> None:
    name = signer.public.key_id

    def refused(found: Trust, ask: Callable[[Trust], None]) -> bool:
        try:
            ask(found)
        except (
            PackageRevokedError,
            GrantRevokedError,
            DeviceRevokedError,
            KeyRevokedError,
        ):
            return True
        return False

    cases: list[tuple[Kind, str, Callable[[Trust], None]]] = [
        ("package", DOCUMENT, lambda found: found.check_package(DOCUMENT, [name])),
        ("grant", "grant-1", lambda found: found.check_grant("grant-1", name)),
        ("device", DEVICE, lambda found: found.check_device(DEVICE, name)),
        ("key", name, lambda found: found.check_key(name, DOCUMENT)),
    ]
    for kind, subject, ask in cases:
        assert refused(trust(list_of(issuer, kind, subject)), ask) is counts, kind
        assert not refused(trust(), ask)


def test_a_key_marked_for_it_revokes_everything() -> None:
    marked = Known(key=OTHER.public, revokes="all")
    found = trust(list_of(OTHER, "package", DOCUMENT), other=marked)
    with pytest.raises(PackageRevokedError, match="lost"):
        found.check_package(DOCUMENT, [OLD.public.key_id])


def test_a_package_stands_if_one_key_that_counts_may_sign_alone() -> None:
    found = trust(old_until=NOW - DAY)
    old, new = SignedBy(key=OLD.public), SignedBy(key=NEW.public)
    beside = SignedBy(key=OTHER.public, alone=False)
    assert found.counting([old, new], DOCUMENT) == {NEW.public.key_id}
    for signed in ([old], [old, beside]):
        with pytest.raises(KeyExpiredError):
            found.counting(signed, DOCUMENT)


def test_a_package_that_no_key_signed_alone_does_not_stand() -> None:
    beside = SignedBy(key=OTHER.public, alone=False)
    for signed in ([], [beside]):
        with pytest.raises(SignerUntrustedError):
            trust().counting(signed, DOCUMENT)


def test_a_running_line_hears_of_package_grant_and_device_but_not_of_keys() -> None:
    key = OLD.public.key_id

    def since(kind: Kind, name: str) -> datetime | None:
        return trust(list_of(OWN, kind, name)).withdrawn(
            package=DOCUMENT, signers=[key], grant="grant-1", device=DEVICE
        )

    assert since("package", DOCUMENT) == NOW - DAY
    assert since("grant", "grant-1") == NOW - DAY
    assert since("device", DEVICE) == NOW - DAY
    assert since("key", key) is None
    assert since("grant", "grant-2") is None


def rotated(old: SigningKey = OLD, new: SigningKey = NEW) -> bytes:
    return rotation.sign(old, new, at=NOW, until=NOW + 30 * DAY)


def test_a_rotation_says_who_takes_over() -> None:
    found = rotation.read(rotated(), [OTHER.public, OLD.public])
    assert (found.old, found.new) == (OLD.public.key_id, NEW.public)
    assert found.old_until == NOW + 30 * DAY
    with pytest.raises(SignerUntrustedError):
        rotation.read(rotated(), [NEW.public])


def listed() -> bytes:
    entries = [revocation.entry("package", DOCUMENT, NOW, "")]
    return revocation.sign(entries, version=3, now=NOW, key=OLD)


@pytest.mark.parametrize("made", [rotated, listed])
def test_no_changed_byte_of_a_rotation_or_a_list_counts(
    made: Callable[[], bytes],
) -> None:
    text = made()
    read = rotation.read if b"ROTATION" in text else revocation.read
    read(text, [OLD.public])
    for at in range(len(text)):
        changed = bytearray(text)
        changed[at] ^= 1 << (at % 7)
        if bytes(changed).replace(b" \n", b"\n") == text:
            continue
        with pytest.raises(RefusedError):
            read(bytes(changed), [OLD.public])


class Pretender(SigningKey):
    """Claims another's public key as his own."""

    def __init__(self, claimed: SigningKey) -> None:
        generated = SigningKey.generate()
        super().__init__(generated._private)
        self.__dict__["public"] = claimed.public


def test_nobody_can_name_another_ones_key_as_his_successor() -> None:
    with pytest.raises(RotationInvalidError):
        rotation.read(rotated(new=Pretender(OTHER)), [OLD.public])
    with pytest.raises(RotationInvalidError):
        rotation.read(rotated(new=OLD), [OLD.public])


@pytest.mark.parametrize(
    ("kind", "name"),
    [("key", "abc"), ("grant", DOCUMENT), ("package", "grant-1"), ("device", "")],
)
def test_an_entry_names_a_thing_of_its_kind(kind: Kind, name: str) -> None:
    with pytest.raises(TermsInvalidError):
        revocation.entry(kind, name, NOW, "")


def test_a_rotation_is_no_list_and_a_list_no_rotation() -> None:
    with pytest.raises(RevocationsInvalidError):
        revocation.read(rotated(), [OLD.public])
    with pytest.raises(RotationInvalidError):
        rotation.read(listed(), [OLD.public])
