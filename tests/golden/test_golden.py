"""Old evidence: what an earlier version sealed opens and verifies today, to the byte."""

from __future__ import annotations

import base64
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tundish.kernel import canonical, digest
from tundish.kernel.clock import ManualClock
from tundish.kernel.errors import RefusedError
from tundish.ledger.log import Ledger
from tundish.ledger.note import NoteVerifier
from tundish.model import package
from tundish.model.package import Package
from tundish.model.session import Session
from tundish.seal import certificate, chain, crl, grant
from tundish.seal.chain import Authority
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.keys import CheckpointPublic, DeviceKey, VerifyKey
from tundish.seal.signers import Signers
from tundish.seal.trust import Trust

HERE = Path(__file__).parent
NOW = datetime(2026, 5, 4, 7, 0, tzinfo=UTC)
VERSIONS = sorted(path for path in HERE.glob("v*") if path.is_dir())

pytestmark = pytest.mark.parametrize("old", VERSIONS, ids=lambda path: path.name)


def expected(old: Path, name: str) -> str:
    return str(json.loads((old / "expected.json").read_text())[name])


def trusted(old: Path) -> list[VerifyKey]:
    return [VerifyKey.load(old / "owner.pub")]


def read(old: Path, name: str, now: datetime = NOW) -> Package:
    seen = MemoryFreshness()
    return package.read(old / name, trusted=trusted(old), now=now, seen=seen)


def device(old: Path, folder: Path) -> DeviceKey:
    key = folder / "device.pem"
    shutil.copy(old / "device.TEST-ONLY.pem", key)
    key.chmod(0o600)  # version control keeps no such modes
    return DeviceKey.load(key)


def test_golden_files_are_few_and_small(old: Path) -> None:
    files = [path for path in old.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300_000
    assert {"expected.json", "README.md"} <= {path.name for path in files}


@pytest.mark.parametrize("name", ["encrypted.tar", "encrypted", "clear.tar"])
def test_old_packages_verify_and_are_written_to_the_same_bytes(
    old: Path, name: str
) -> None:
    found = read(old, name)
    assert found.digest == expected(old, name.removesuffix(".tar"))
    assert found.card.graph == expected(old, "graph")
    assert found.golden.outputs
    if name.endswith(".tar"):
        assert package.to_tar(found) == (old / name).read_bytes()


def test_an_old_package_under_a_chain_verifies_and_is_written_to_the_same_bytes(
    old: Path,
) -> None:
    said = json.loads((old / "expected-chain.json").read_text())
    authority = Authority(
        link=chain.read_authority((old / "plant-ca.pem").read_bytes())
    )
    found = package.read(
        old / "chain.tar",
        trusted=Signers(keys=(), authorities=(authority,)),
        now=NOW,
        seen=MemoryFreshness(),
    )
    assert found.digest == said["digest"]
    assert {by.key.key_id: by.subject for by in found.by} == said["subjects"]
    assert package.to_tar(found) == (old / "chain.tar").read_bytes()
    listed = crl.read((old / "plant-ca.crl").read_bytes(), [authority])
    own = digest.of_bytes(b"nobody")
    trust = Trust(known=(), own=own, lists=(), now=NOW, crls=(listed,))
    assert len(trust.counting(found.by, found.digest)) == 2


@pytest.mark.parametrize("name", ["grant.json", "grant.txt"])
def test_an_old_grant_opens_its_package_and_the_graph_gives_its_answer(
    old: Path, name: str, tmp_path: Path
) -> None:
    found = read(old, "encrypted.tar")
    opened = grant.open_grant(
        (old / name).read_bytes(),
        device=device(old, tmp_path),
        trusted=trusted(old),
        package=found.digest,
        now=NOW,
        seen=MemoryFreshness(),
    )
    assert opened.uses_left == 2
    assert opened.terms.answers_per_day is None
    body = grant.read((old / name).read_bytes(), trusted(old))
    signed = json.loads(
        base64.b64decode(json.loads((old / "grant.json").read_text())["payload"])
    )
    del signed["key"]
    assert body.to_json() == signed, "what was not there then is not there now"
    graph = package.graph_bytes(found, opened.identity)
    assert digest.of_bytes(graph) == expected(old, "graph")
    Session(graph, found.golden)


def test_old_packages_end_when_they_said(old: Path) -> None:
    with pytest.raises(RefusedError) as refused:
        read(old, "clear.tar", datetime(2027, 5, 4, 6, 0, tzinfo=UTC))
    assert refused.value.code == "package-expired"


def test_an_old_certificate_verifies_for_its_data(old: Path) -> None:
    data = (old / "certificate.json").read_bytes()
    found = certificate.read(data, trusted(old))
    assert found.digest == expected(old, "certificate")
    certificate.check_time(found.body, NOW)
    here = digest.of_bytes((old / "data.csv").read_bytes())
    certificate.check_data(found.body, here, {"data.csv": here})
    assert found.body.grade.whole == {"letter": "B"}
    assert canonical.dumps(found.body.to_json())


def test_an_old_ledger_verifies_with_its_checkpoint(old: Path, tmp_path: Path) -> None:
    shutil.copy(old / "ledger.db", tmp_path / "ledger.db")
    key = CheckpointPublic.load(old / "checkpoint.pub")
    kept = (old / "checkpoint.txt").read_text(encoding="utf-8")
    with Ledger(tmp_path / "ledger.db", ManualClock(NOW), create=False) as log:
        verifier = NoteVerifier(
            name=log.origin, key_id=key.note_key_id(log.origin), verify=key.verify
        )
        report = log.verify((verifier,), witnessed=[kept])
        acts = [entry.act for _, entry in log.entries()]
    assert (report.size, report.covered, report.unwitnessed) == (4, 3, 1)
    assert acts == ["graded", "sealed", "opened", "noted"]
