"""Old evidence: what a desk and a box carried to each other, and what lay in the two."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.golden.carried import WORD

from tundish.catalog.datasets import DatasetEntry
from tundish.catalog.documents import read_document
from tundish.catalog.scenario import Scenario
from tundish.catalog.site import SiteProfile
from tundish.data import version
from tundish.flows import delta, fingerprint_file, open_package, verify
from tundish.flows.diagnose import CollectList
from tundish.flows.fingerprint_file import FingerprintFile
from tundish.flows.loop import Champion
from tundish.flows.own_sets import RegisteredSet
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical, digest
from tundish.kernel.clock import ManualClock
from tundish.kernel.records import Record
from tundish.line.buffer import LineBuffer, Settled
from tundish.line.linefile import LineFile
from tundish.model import marked, package
from tundish.model.package import Package
from tundish.model.session import Session
from tundish.seal import grant, request, revocation, rotation, timenote, wrapped
from tundish.seal.errors import ClockSetBackError, PackageOlderError, TimeNoteUsedError
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.keys import DeviceKey, SigningKey, VerifyKey
from tundish.seal.secret import SecretText

VERSIONS = sorted(path for path in Path(__file__).parent.glob("v*/carried"))
NOW = datetime(2026, 5, 4, 7, 0, tzinfo=UTC)
DOCUMENTS: dict[str, type[Record]] = {
    "dataset": DatasetEntry,
    "line": LineFile,
    "scenario": Scenario,
    "site": SiteProfile,
}
RECORDS: dict[str, type[Record]] = {
    "champion": Champion,
    "collect": CollectList,
    "fingerprint": FingerprintFile,
    "set": RegisteredSet,
}

pytestmark = pytest.mark.parametrize("old", VERSIONS, ids=lambda path: path.parent.name)


def expected(old: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((old / "expected.json").read_text())
    return said


def owner(old: Path) -> list[VerifyKey]:
    return [VerifyKey.load(old / "owner.pub")]


def base(old: Path) -> Package:
    return package.read(
        old / "marked.tar", trusted=owner(old), now=NOW, seen=MemoryFreshness()
    )


def private(path: Path) -> None:
    """Give back the modes that version control does not keep."""
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            file.chmod(0o600)


@pytest.fixture
def box(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    return workspace(old, tmp_path, "box", monkeypatch)


@pytest.fixture
def desk(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    return workspace(old, tmp_path, "desk", monkeypatch)


def workspace(
    old: Path, folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    shutil.copytree(old / name, folder / name)
    private(folder / name)
    monkeypatch.setenv("TUNDISH_PASSPHRASE", WORD)
    return Workspace(folder / name, ManualClock(NOW))


def test_an_old_package_with_marked_files_shows_and_opens_them(
    old: Path, desk: Workspace
) -> None:
    found = base(old)
    assert found.digest == expected(old)["base"]
    assert marked.marked(found.files) == tuple(expected(old)["marked"])
    assert found.card.product == "C34.27.pump"
    identity = desk.identity(found.digest)
    whole = package.unlocked(found, identity)
    assert whole.scenario_yaml == "scenario: C34.27.pump\n"
    assert whole.parity == {"largest": 1e-7}
    assert whole.envelope == {"mean": [0.0]}
    Session(package.graph_bytes(whole, identity), whole.golden)
    assert package.to_tar(found) == (old / "marked.tar").read_bytes()


def test_an_old_delta_gives_the_package_with_all_its_signatures_in_an_old_box(
    old: Path, box: Workspace, tmp_path: Path
) -> None:
    box.trust(old / "second.pub")
    made = tmp_path / "made.tar"
    delta.apply_delta(box, old / "step.delta", old / "marked.tar", made)
    found = verify.read(box, made)
    assert found.digest == expected(old)["result"]
    said = {by.key.key_id: by.subject for by in found.by}
    assert said == expected(old)["signers"]
    assert found.revocations == (old / "revocations.txt").read_bytes()
    again = delta.make_delta(box, made, old / "marked.tar", tmp_path / "again.delta")
    assert again.base_version == 4
    step = (tmp_path / "again.delta").read_bytes()
    assert step == (old / "step.delta").read_bytes()
    with pytest.raises(PackageOlderError):
        verify.read(box, old / "marked.tar")


def test_an_old_request_says_what_was_asked(old: Path) -> None:
    found = request.read((old / "request.txt").read_bytes())
    assert found.name == expected(old)["request"]
    assert found.device.device_id == expected(old)["box"]
    assert found.wish == request.make_wish(
        product="C34.27.pump",
        package=base(old).digest,
        purpose="golden file",
        days=30,
        uses=9,
    )


def test_an_old_renewal_opens_with_the_uses_that_the_old_box_has_left(
    old: Path, box: Workspace
) -> None:
    data = (old / "renewal.txt").read_bytes()
    opened = open_package.open_bytes(box, base(old), data)
    assert (opened.uses_left, opened.terms.version) == (6, 2), "two were used before"
    assert (opened.terms.grace_s, opened.terms.answers_per_day) == (3600, 100)
    graph = package.graph_bytes(base(old), opened.identity)
    assert digest.of_bytes(graph) == base(old).card.graph


def test_an_old_grant_for_a_spare_opens_with_its_code(
    old: Path, tmp_path: Path
) -> None:
    shutil.copy(old / "spare.TEST-ONLY.pem", tmp_path / "spare.pem")
    private(tmp_path / "spare.pem")
    opened = grant.open_grant(
        (old / "spare.txt").read_bytes(),
        device=DeviceKey.load(tmp_path / "spare.pem"),
        trusted=owner(old),
        package=base(old).digest,
        now=NOW,
        seen=MemoryFreshness(),
        code=SecretText(expected(old)["spare_code"]),
    )
    assert opened.ends_at == NOW + timedelta(hours=1)
    assert package.graph_bytes(base(old), opened.identity)


def test_an_old_rotation_names_the_key_that_took_over(old: Path) -> None:
    found = rotation.read((old / "rotation.txt").read_bytes(), owner(old))
    said = expected(old)
    assert (found.old, found.new.key_id) == (said["owner"], said["successor"])


def test_an_old_revocation_list_revokes_what_it_did(old: Path) -> None:
    found = revocation.read_exact((old / "revocations.txt").read_bytes(), owner(old))
    named = {item.kind: (item.name, item.reason) for item in found.entries}
    gone = digest.of_bytes(b"withdrawn")
    assert named == {"grant": ("grant-0", "sold"), "package": (gone, "withdrawn")}
    assert (found.version, found.issuer) == (1, expected(old)["owner"])


def test_an_old_time_counts_and_its_correction_is_known_in_the_old_box(
    old: Path, box: Workspace
) -> None:
    this = box.device_public.device_id
    told, _ = timenote.read((old / "time.txt").read_bytes(), owner(old), this)
    assert told.moment() == NOW - timedelta(hours=1)
    assert "desk" in told.checkpoint
    fixed, by = timenote.read((old / "correction.txt").read_bytes(), owner(old), this)
    assert fixed.corrects == this == expected(old)["box"]
    with pytest.raises(TimeNoteUsedError):
        box.freshness().correct(fixed.name, fixed.moment(), by.key_id)


def test_an_old_box_knows_whom_it_trusts_what_it_saw_and_its_code(
    old: Path, box: Workspace
) -> None:
    said = expected(old)
    trust = box.standing()
    assert {key.key_id for key in trust.standing()} == {
        box.key_id,
        said["owner"],
        said["successor"],
    }
    assert trust.origin(said["successor"]) == said["owner"]
    assert [item.version for item in trust.lists] == [1]
    assert [item.number for item in trust.crls] == [7]
    assert [one.groups for one in box.authorities.known()] == [
        ((("2.5.4.10", "Plant 7"),),)
    ]
    code = box.code("grant-0")
    assert code is not None
    assert code.reveal() == "golden"
    with pytest.raises(ClockSetBackError):
        box.freshness().see_time(NOW - timedelta(days=1))


def test_an_old_box_lists_its_acts_under_their_checkpoint(
    old: Path, box: Workspace
) -> None:
    with box.ledger() as log:
        report = log.verify(box.verifiers())
        acts = [entry.act for _, entry in log.entries()]
    assert report.size == report.covered == len(acts)
    assert {"workspace-made", "grant-asked", "time-corrected"} <= set(acts)


def test_an_old_desk_signs_with_its_key_and_opens_what_is_its_own(
    old: Path, desk: Workspace
) -> None:
    said = expected(old)
    assert desk.key.public.key_id == desk.key_id == said["successor"]
    found = fingerprint_file.read(desk, old / "fingerprint.age")
    assert found.commitment == said["fingerprint"]
    [former] = (desk.inner / "keys").glob("former-*[0-9a-f].pem")
    assert SigningKey.load(former, WORD).public == owner(old)[0]
    assert desk.sharing(desk.identity(said["base"])) == {said["base"], said["result"]}


def test_old_files_that_stand_for_keys_in_a_token_name_them(
    old: Path, tmp_path: Path
) -> None:
    for name in ("signing.token", "device.token"):
        shutil.copy(old / name, tmp_path / name)
        private(tmp_path / name)
    named = wrapped.read_named(tmp_path / "signing.token")
    device = wrapped.read(tmp_path / "device.token")
    assert named.made_inside
    assert device.made_inside
    assert named.token.startswith("pkcs11:")
    assert device.device.startswith("tundish-device-1:")
    for record in (named, device):
        wrapped.write(tmp_path / "again", record)
        assert (tmp_path / "again").read_bytes() in {
            (old / name).read_bytes() for name in ("signing.token", "device.token")
        }


def test_old_documents_are_read_and_records_are_written_to_the_same_bytes(
    old: Path,
) -> None:
    forms = old / "forms"
    for name, kind in DOCUMENTS.items():
        found = read_document(forms / f"{name}.yaml", kind)
        assert found.to_json()["format"] == f"tundish.{name}"
    for name, record in RECORDS.items():
        data = (forms / f"{name}.json").read_bytes()
        again = record.model_validate_json(data)
        assert canonical.dumps(again.to_json()) == data
    there = {path.stem for path in forms.iterdir()}
    assert there == {*DOCUMENTS, *RECORDS}


def test_old_data_has_the_same_version_today(old: Path) -> None:
    files = {"data.csv": old.parent / "data.csv"}
    assert version.version_of_files(files).digest == expected(old)["data"]


def test_an_old_buffer_holds_its_samples_answers_and_marks(
    old: Path, tmp_path: Path
) -> None:
    shutil.copy(old / "buffer.db", tmp_path / "buffer.db")
    late = round((NOW - timedelta(hours=1)).timestamp() * 1e6)
    with LineBuffer(
        tmp_path / "buffer.db", scenario="C34.27.pump", signals={"flow": 1}
    ) as buffer:
        [left] = buffer.samples_after(late, limit=9)
        [answer] = buffer.estimates_after(0, limit=9)
        settled = buffer.settled()
        due = buffer.undelivered("opcua", limit=9)
    assert left.at_us == late + 1_000_000
    assert left.values is not None
    assert left.values.tolist() == [1.5]
    assert (answer.at_us, answer.value, answer.model) == (
        late,
        2.5,
        digest.of_bytes(b"model"),
    )
    assert settled == Settled(at_us=late, segment_rows=1)
    assert due == []
