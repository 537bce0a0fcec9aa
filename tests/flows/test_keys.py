"""Four eyes, rotation and revocation between an owner, a second signer and a box."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.model.conftest import CHANNELS, ROWS, Desk, small_graph

from tundish.catalog.errors import DocumentInvalidError
from tundish.cli import main
from tundish.flows import open_package, sign, trust, verify
from tundish.flows import workspace as workspaces
from tundish.flows.grant import GrantOrder, grant
from tundish.flows.ledger import list_ledger
from tundish.flows.workspace import Workspace
from tundish.kernel.clock import ManualClock
from tundish.kernel.digest import of_bytes
from tundish.kernel.errors import PathMissingError, RefusedError, TundishError
from tundish.ledger.errors import LedgerTamperedError
from tundish.model import contents, making
from tundish.model import package as packages
from tundish.model.errors import PackagePlaceTakenError
from tundish.model.session import make_golden
from tundish.seal import envelope, revocation, rotation
from tundish.seal import grant as grants
from tundish.seal.errors import (
    DeviceRevokedError,
    GrantRevokedError,
    KeyExpiredError,
    KeyRevokedError,
    PackageRevokedError,
    PolicyInvalidError,
    PolicyUnmetError,
    RevocationsMissingError,
    RevocationsOlderError,
    RotationForkedError,
    SignerUntrustedError,
)
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.keys import SigningKey
from tundish.seal.revocation import Kind
from tundish.seal.statement import MAX_VERSION

START = datetime(2026, 5, 4, 6, tzinfo=UTC)
PRODUCT = "C34.27.pump"
POLICY = """format: tundish.policy
version: 1
keys: {owner: owner.pub, quality: quality.pub}
rules:
  - products: "C34.*"
    roles: {maker: {keys: [owner]}, quality: {keys: [quality]}}
"""


@dataclass(frozen=True)
class Plant:
    """An owner who seals, a second signer, and a box that trusts the owner."""

    owner: Workspace
    quality: Workspace
    box: Workspace
    clock: ManualClock

    def sealed(self, version: int = 1) -> Path:
        """Seal a package with the owner's key as it is now."""
        graph = small_graph()
        window = np.zeros((1, ROWS, CHANNELS), np.float32)
        desk = Desk(
            self.owner.key,
            envelope.new_identity(),
            make_golden(graph, window),
            graph,
        )
        path = self.owner.packages / f"{PRODUCT}-v{version}.tar"
        packages.write_tar(desk.build(version, encrypted=False), path)
        return path

    def public(self, place: Workspace, name: str) -> Path:
        """Carry a workspace's public key to the box."""
        path = self.box.root / name
        path.write_bytes(place.public_pem)
        return path


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    clock = ManualClock(START)
    places = [
        workspaces.create(tmp_path / name, clock=clock)
        for name in ("owner", "quality", "box")
    ]
    made = Plant(places[0], places[1], places[2], clock)
    made.box.trust(made.public(made.owner, "owner.pub"))
    made.quality.trust(made.box.root / "owner.pub")
    return made


def refusals(place: Workspace) -> list[str]:
    return [entry.code for _, entry in list_ledger(place) if entry.code]


def test_the_second_signature_opens_what_the_policy_kept_shut(plant: Plant) -> None:
    package = plant.sealed()
    plant.public(plant.quality, "quality.pub")
    (plant.box.root / "policy.yaml").write_text(POLICY)
    with pytest.raises(PolicyUnmetError, match="lacks the role quality"):
        verify.verify(plant.box, package)
    before = packages.to_tar(verify.read(plant.quality, package))
    report = sign.sign(plant.quality, package)
    assert len(report.signers) == 2
    found = verify.verify(plant.box, package)
    assert found.signers == report.signers
    assert found.digest == report.package
    assert package.read_bytes() != before
    assert refusals(plant.box) == ["policy-unmet"]


def test_a_product_that_no_rule_names_needs_a_rule_for_all(plant: Plant) -> None:
    """The maker chooses the name: without a last rule, one small letter is enough."""
    package = plant.sealed()
    plant.public(plant.quality, "quality.pub")
    path = plant.box.root / "policy.yaml"
    path.write_text(POLICY.replace("C34.*", "c34.*"))
    verify.verify(plant.box, package)
    path.write_text(POLICY.replace("C34.*", "*"))
    with pytest.raises(PolicyUnmetError):
        verify.verify(plant.box, package)


def test_a_policy_that_cannot_be_read_opens_nothing(plant: Plant) -> None:
    package = plant.sealed()
    plant.public(plant.quality, "quality.pub")
    path = plant.box.root / "policy.yaml"
    for text, refusal in (
        (POLICY.replace("roles:", "rols:"), DocumentInvalidError),
        (POLICY.replace("quality.pub", "owner.pub"), PolicyInvalidError),
        (POLICY.replace("quality.pub", "sha256:" + "0" * 64), PolicyInvalidError),
        (POLICY.replace("quality.pub", "../quality.pub"), TundishError),
    ):
        path.write_text(text)
        with pytest.raises(refusal):
            verify.verify(plant.box, package)
    path.write_text(POLICY.replace("owner.pub", plant.owner.key.public.key_id))
    with pytest.raises(PolicyUnmetError):
        verify.verify(plant.box, package)


def test_a_folder_is_signed_into_a_new_place(plant: Plant, tmp_path: Path) -> None:
    found = verify.read(plant.quality, plant.sealed())
    packages.write_folder(found, tmp_path / "p")
    with pytest.raises(PackagePlaceTakenError):
        sign.sign(plant.quality, tmp_path / "p")
    sign.sign(plant.quality, tmp_path / "p", tmp_path / "q")
    assert len(list((tmp_path / "q" / "signatures").iterdir())) == 1


def test_the_command_signs_and_shows_all_signers(
    plant: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    package = str(plant.sealed())
    at = ["--workspace", str(plant.quality.root)]
    plant.clock.advance(timedelta(days=1).total_seconds())
    assert main.status(["package", "sign", package, *at]) == 0
    assert main.status(["package", "sign", package, *at]) == 2
    assert "[signed-already]" in capsys.readouterr().err
    assert main.status(["verify", package, *at]) == 0
    assert "and by sha256:" in capsys.readouterr().out


def revoke(place: Workspace, kind: Kind, name: str, days_ago: float = 0.0) -> Path:
    since = place.clock.now() - timedelta(days=days_ago)
    entry = revocation.entry(kind, name, since, "stolen")
    return Path(trust.revoke(place, [entry]).file)


def take(place: Workspace, file: Path) -> None:
    trust.take_revocations(place, file.read_bytes())


def days(plant: Plant, number: float) -> None:
    plant.clock.advance(timedelta(days=number).total_seconds())


def test_a_rotated_key_is_followed_and_the_old_one_ends(plant: Plant) -> None:
    before, seen = plant.sealed(1), plant.sealed(1)
    old = plant.owner.key_id
    verify.verify(plant.owner, before)  # as its ledger knows what it seals
    report = trust.rotate(plant.owner, old_days=30)
    assert plant.owner.key_id == report.new != old
    after = plant.sealed(2)
    with pytest.raises(SignerUntrustedError):
        verify.verify(plant.box, after)
    told = trust.take_rotation(plant.box, Path(report.file))
    assert (told.key, told.follows) == (report.new, old)
    verify.verify(plant.quality, before)
    days(plant, 31)
    verify.verify(plant.box, after)
    trust.take_rotation(plant.quality, Path(report.file))
    verify.verify(plant.quality, seen)  # its ledger saw it while the key counted
    fresh = workspaces.create(plant.box.root / "fresh", clock=plant.clock)
    fresh.trust(plant.box.root / "owner.pub")
    trust.take_rotation(fresh, Path(report.file))
    with pytest.raises(KeyExpiredError):
        verify.verify(fresh, before)
    sign.sign(plant.owner, before)
    verify.verify(fresh, before)  # under the new key too, without sealing it again


def test_a_key_that_handed_over_keeps_its_end_though_it_is_trusted_again(
    plant: Plant,
) -> None:
    """As a script does that sets a box up once more."""
    package = plant.sealed()
    trust.take_rotation(plant.box, Path(trust.rotate(plant.owner, old_days=30).file))
    for until in (None, plant.clock.now() + timedelta(days=900)):
        told = trust.trust_key(plant.box, plant.box.root / "owner.pub", not_after=until)
        assert told.not_after is not None
    days(plant, 31)
    with pytest.raises(KeyExpiredError):
        verify.verify(plant.box, package)


def test_the_owner_keeps_opening_what_the_old_key_sealed(plant: Plant) -> None:
    package = plant.sealed()
    verify.verify(plant.owner, package)
    trust.rotate(plant.owner, old_days=1)
    trust.rotate(plant.owner, old_days=1)
    days(plant, 2)
    verify.verify(plant.owner, package)
    assert workspaces.find(plant.owner.root).key.public.key_id == plant.owner.key_id


def test_a_thief_of_the_old_key_cannot_name_a_second_successor(plant: Plant) -> None:
    stolen = plant.owner.key
    report = trust.rotate(plant.owner)
    trust.take_rotation(plant.box, Path(report.file))
    trust.take_rotation(plant.box, Path(report.file))  # again: nothing changes
    now = plant.clock.now()
    text = rotation.sign(
        stolen, SigningKey.generate(), at=now, until=now + timedelta(days=9)
    )
    (plant.box.root / "thief").write_bytes(text)
    with pytest.raises(RotationForkedError):
        trust.take_rotation(plant.box, plant.box.root / "thief")
    take(plant.quality, revoke_key_by_hand(plant, stolen))
    with pytest.raises(KeyRevokedError):
        trust.take_rotation(plant.quality, plant.box.root / "thief")
    assert "rotation-forked" in refusals(plant.box)


def revoke_key_by_hand(plant: Plant, key: SigningKey) -> Path:
    """A key that revokes itself, as its owner does before the successor is known."""
    entry = revocation.entry("key", key.public.key_id, plant.clock.now(), "stolen")
    path = plant.box.root / "self.revocations"
    path.write_bytes(
        revocation.sign([entry], version=1, now=plant.clock.now(), key=key)
    )
    return path


def test_what_a_revoked_key_signed_counts_only_where_it_was_seen_before(
    plant: Plant,
) -> None:
    package = plant.sealed()
    verify.verify(plant.box, package)
    days(plant, 3)
    stolen = plant.owner.key_id
    trust.rotate(plant.owner)
    file = revoke(plant.owner, "key", stolen, days_ago=1)
    rotated = next(plant.owner.packages.glob("*.rotation"))
    for place in (plant.box, plant.quality):
        trust.take_rotation(place, rotated)
        take(place, file)
    verify.verify(plant.box, package)
    with pytest.raises(KeyRevokedError):
        verify.verify(plant.quality, package)
    assert refusals(plant.quality) == ["key-revoked"]


@pytest.mark.parametrize("kind", ["key", "package"])
def test_what_was_revoked_is_not_signed_by_a_second_person(
    plant: Plant, kind: Kind
) -> None:
    """Else it would open again, by that second signature alone."""
    package = plant.sealed()
    name = trust.name_of(plant.quality, "package", str(package))
    name = plant.owner.key_id if kind == "key" else name
    revoke(plant.quality, kind, name)
    before = package.read_bytes()
    with pytest.raises(RefusedError) as refused:
        sign.sign(plant.quality, package)
    assert refused.value.code == f"{kind}-revoked"
    assert package.read_bytes() == before


@pytest.mark.parametrize("act", ["verified", "signed"])
def test_a_package_that_was_seen_does_not_vouch_for_a_later_signature(
    plant: Plant, act: str
) -> None:
    """Its digest stays when a thief signs it too, with a key that has ended."""
    package = plant.sealed()
    if act == "verified":
        verify.verify(plant.box, package)
    else:
        sign.sign(plant.box, package, plant.box.root / "signed.tar")
    plant.box.trust(plant.public(plant.quality, "quality.pub"))
    (plant.box.root / "policy.yaml").write_text(POLICY)
    with pytest.raises(PolicyUnmetError):
        verify.verify(plant.box, package)
    days(plant, 1)
    revoke(plant.box, "key", plant.quality.key_id)
    days(plant, 1)
    sign.sign(plant.quality, package)
    with pytest.raises(PolicyUnmetError, match="lacks the role quality"):
        verify.verify(plant.box, package)


def test_a_list_of_a_key_is_found_again_when_its_rotation_comes_later(
    plant: Plant,
) -> None:
    package, other = plant.sealed(), plant.sealed(2)
    handed_over = trust.rotate(plant.owner)
    plant.box.trust(plant.public(plant.owner, "new.pub"))
    name = trust.name_of(plant.box, "package", str(other))
    take(plant.box, revoke(plant.owner, "package", name))
    trust.take_rotation(plant.box, Path(handed_over.file))
    verify.verify(plant.box, package)
    with pytest.raises(PackageRevokedError):
        verify.verify(plant.box, other)
    for path in (plant.box.inner / "revocations").iterdir():
        path.unlink()
    with pytest.raises(RevocationsMissingError):
        verify.verify(plant.box, package)


@pytest.mark.parametrize(("first", "second"), [(3.0, 0.0), (0.0, 3.0)])
def test_what_is_revoked_again_does_not_count_any_longer_for_it(
    plant: Plant, first: float, second: float
) -> None:
    """The moment of the last word held, so that a reason added later gave back days."""
    days(plant, 3)
    for ago in (first, second):
        revoke(plant.quality, "key", plant.owner.key_id, days_ago=ago)
    (found,) = plant.quality.standing().lists
    (entry,) = found.entries
    assert entry.moment() == plant.clock.now() - timedelta(days=3)
    again = revocation.entry("key", plant.owner.key_id, plant.clock.now(), "")
    trust.revoke(plant.quality, [again])
    (found,) = plant.quality.standing().lists
    assert found.entries == (entry,)


def test_a_ledger_that_does_not_hold_is_no_witness(plant: Plant) -> None:
    package = plant.sealed()
    verify.verify(plant.box, package)
    days(plant, 3)
    file = revoke(plant.owner, "key", plant.owner.key_id, days_ago=1)
    take(plant.box, file)
    with sqlite3.connect(plant.box.inner / "ledger.db") as ledger:
        ledger.execute(
            "UPDATE entries SET body ="
            " cast(replace(cast(body AS TEXT), 'package', 'pakkage') AS BLOB)"
        )
    with pytest.raises(LedgerTamperedError):
        verify.verify(plant.box, package)


def test_a_revoked_package_is_refused_by_its_own_code(plant: Plant) -> None:
    package = plant.sealed()
    digest = verify.verify(plant.box, package).digest
    take(plant.box, revoke(plant.owner, "package", digest))
    for act in (verify.verify, open_package.open_package):
        with pytest.raises(PackageRevokedError, match="stolen"):
            act(plant.box, package)
    assert refusals(plant.box) == ["package-revoked"] * 2
    verify.verify(plant.quality, package)  # it has not heard of it


def test_an_older_list_is_refused_and_a_missing_one_opens_nothing(plant: Plant) -> None:
    package = plant.sealed()
    first = revoke(plant.owner, "package", of_bytes(b"one"))
    kept = first.read_bytes()
    take(plant.box, revoke(plant.owner, "package", of_bytes(b"two")))
    with pytest.raises(RevocationsOlderError):
        trust.take_revocations(plant.box, kept)
    verify.verify(plant.box, package)
    stored = next((plant.box.inner / "revocations").glob("*.txt"))
    newest = stored.read_bytes()
    for change in (stored.unlink, lambda: stored.write_bytes(kept)):
        change()
        with pytest.raises(RevocationsMissingError):
            verify.verify(plant.box, package)
    trust.take_revocations(plant.box, newest)
    verify.verify(plant.box, package)


@pytest.mark.parametrize("rotated", [False, True])
def test_a_thief_cannot_outrun_the_list_that_ends_his_key(
    plant: Plant, rotated: bool
) -> None:
    """He signs one of the highest number first: then the owner's would be older."""
    seen, thief = plant.sealed(), plant.owner.key
    verify.verify(plant.box, seen)
    if rotated:
        trust.take_rotation(plant.box, Path(trust.rotate(plant.owner).file))
    text = revocation.sign([], version=MAX_VERSION, now=plant.clock.now(), key=thief)
    trust.take_revocations(plant.box, text)
    days(plant, 1)
    told = revoke(plant.owner, "key", thief.public.key_id)
    take(plant.box, told)
    days(plant, 1)
    with pytest.raises(KeyRevokedError):
        trust.take_revocations(plant.box, revocation.sign([], version=MAX_VERSION - 1, now=plant.clock.now(), key=thief))  # fmt: skip
    stolen = Desk(
        thief, envelope.new_identity(),
        make_golden(small_graph(), np.zeros((1, ROWS, CHANNELS), np.float32)),
        small_graph(),
    )  # fmt: skip
    packages.write_tar(stolen.build(2, encrypted=False), plant.box.root / "bad.tar")
    with pytest.raises(KeyRevokedError):
        verify.verify(plant.box, plant.box.root / "bad.tar")
    verify.verify(plant.box, seen)
    folder = plant.box.inner / "revocations"
    gone = next(p for p in folder.iterdir() if p.read_bytes() == told.read_bytes())
    gone.unlink()
    with pytest.raises(RevocationsMissingError):
        verify.verify(plant.box, seen)
    take(plant.box, told)
    verify.verify(plant.box, seen)


def test_a_list_travels_in_a_package_and_an_older_one_in_it_does_no_harm(
    plant: Plant,
) -> None:
    bad, good = plant.sealed(1), plant.sealed(2)
    digest = verify.read(plant.quality, bad).digest
    file = revoke(plant.owner, "package", digest)
    carrying = making.carry(verify.read(plant.owner, good), file.read_bytes())
    packages.write_tar(carrying, good)
    fresh = workspaces.create(plant.box.root / "fresh", clock=plant.clock)
    fresh.trust(plant.box.root / "owner.pub")
    for place in (plant.box, fresh):
        assert verify.verify(place, good).digest == carrying.digest
    with pytest.raises(PackageRevokedError):
        verify.verify(fresh, bad)
    take(plant.box, revoke(plant.owner, "package", of_bytes(b"more")))
    verify.verify(plant.box, good)
    strange = revoke(plant.quality, "package", digest)
    with pytest.raises(SignerUntrustedError):
        making.carry(carrying, strange.read_bytes())


def test_no_changed_byte_of_a_carried_list_verifies(plant: Plant) -> None:
    good = verify.read(plant.quality, plant.sealed())
    file = revoke(plant.owner, "package", of_bytes(b"one"))
    made = making.carry(good, file.read_bytes())
    body = made.further[contents.REVOCATIONS]

    def changes() -> Iterator[bytes]:
        for at in range(len(body)):
            changed = bytearray(body)
            changed[at] ^= 1 << (at % 7)
            yield bytes(changed)
        yield body.replace(
            b"\n", b"\r\n"
        )  # what mail may do to a list that stands alone
        yield body + b"\n"
        yield b"\xef\xbb\xbf" + body
        yield body.replace(b"\n", b" \n", 1)

    for changed in changes():
        with pytest.raises(RefusedError):
            packages.verify(
                {**made.everything, contents.REVOCATIONS: changed},
                trusted=[plant.owner.key.public],
                now=START,
                seen=MemoryFreshness(),
            )


def test_a_revoked_device_and_a_revoked_grant_open_nothing(plant: Plant) -> None:
    now = plant.clock.now()
    package = verify.read(plant.box, plant.sealed())
    terms = grants.make_terms(
        purpose="line", not_before=now, not_after=now + timedelta(days=9)
    )
    data = grants.issue(
        package=package.digest,
        identity=envelope.new_identity(),
        device=plant.box.device.public,
        terms=terms,
        key=plant.owner.key,
        now=now,
    )
    open_package.open_bytes(plant.box, package, data)
    name = grants.read(data, [plant.owner.key.public]).grant
    (plant.box.root / "a.grant").write_bytes(data)
    assert trust.name_of(plant.box, "grant", str(plant.box.root / "a.grant")) == name
    assert trust.name_of(plant.owner, "grant", name) == name
    with pytest.raises(PathMissingError):  # a slip, which would revoke nothing
        trust.name_of(plant.owner, "grant", "grant-of-line-3.grant")
    take(plant.box, revoke(plant.owner, "grant", name))
    with pytest.raises(GrantRevokedError):
        open_package.open_bytes(plant.box, package, data)
    device = trust.name_of(plant.owner, "device", plant.box.device_text)
    owner_list = revoke(plant.owner, "device", device)
    order = GrantOrder(device=plant.box.device_text, purpose="line", valid_s=60.0)
    with pytest.raises(DeviceRevokedError):
        grant(plant.owner, plant.sealed(2), order)
    gone = plant.sealed(3)
    revoke(plant.owner, "package", trust.name_of(plant.owner, "package", str(gone)))
    with pytest.raises(PackageRevokedError):
        grant(plant.owner, gone, order)
    assert refusals(plant.owner) == ["device-revoked", "package-revoked"]
    take(plant.box, owner_list)


def test_the_commands_rotate_trust_and_revoke(
    plant: Plant, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    owner, box = (["-w", str(place.root)] for place in (plant.owner, plant.box))
    rotated, listed = str(tmp_path / "new.rotation"), str(tmp_path / "list")
    assert main.status(["key", "--id", *owner]) == 0
    old = capsys.readouterr().out.strip()
    assert main.status(["key", "--rotate", "--to", rotated, *owner]) == 0
    assert main.status(["key", "--id", *owner]) == 0
    assert capsys.readouterr().out.strip().splitlines()[-1] != old
    assert main.status(["trust", "--rotation", rotated, *box]) == 0
    assert "takes over from" in capsys.readouterr().out
    revoked = ["revoke", "--key", old, "--reason", "stolen", "--to", listed]
    assert main.status([*revoked, *owner]) == 0
    assert main.status(["trust", "--revocations", listed, *box]) == 0
    assert "stolen" in capsys.readouterr().out
    package = str(plant.sealed())
    assert main.status(["verify", package, *box]) == 0
    public = str(plant.box.root / "owner.pub")
    assert main.status(["trust", public, "--until", "2026-01-01", *box]) == 0
    assert main.status(["trust", *box]) == 2
    assert main.status(["revoke", *owner]) == 2
    assert main.status(["revoke", "--device", "x", *owner]) == 2
    assert "[terms-invalid]" in capsys.readouterr().err
