"""Old evidence: what persons gave to a line."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.model.conftest import NOW

from tundish.flows import clients, packs, wheelhouse
from tundish.flows import workspace as workspaces
from tundish.flows.provider import read_card
from tundish.flows.provider_evidence import Reader
from tundish.kernel.clock import ManualClock, from_text
from tundish.line.serving.access import token_digest
from tundish.seal import approval, change, plantevidence, signedtext
from tundish.seal.keys import VerifyKey

VERSIONS = sorted(path for path in Path(__file__).parent.glob("v*/line"))
pytestmark = pytest.mark.parametrize("old", VERSIONS, ids=lambda path: path.parent.name)


def expected(old: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((old / "expected.json").read_text())
    return said


def test_an_old_approval_says_what_was_allowed(old: Path) -> None:
    key = VerifyKey.load(old / "approver.pub")
    found = approval.read((old / "approval.txt").read_bytes(), [key])
    said = expected(old)
    assert found.body.issuer == said["issuer"]
    assert (found.body.line, found.body.note) == (said["line"], "seen on site")
    assert (found.body.package, found.body.bounds) == (said["package"], said["bounds"])


def test_the_clients_of_an_old_box_still_come_in(old: Path, tmp_path: Path) -> None:
    box = workspaces.create(tmp_path / "box", "box")
    shutil.copy(old / "clients.json", clients.clients_file(box))
    said = expected(old)
    assert [one.name for one in clients.list_clients(box)] == said["clients"]
    known = clients.tokens_of(box, None)
    assert known["mes"] == token_digest(said["token_of_mes"])


def test_an_old_change_record_says_which_switch_was_allowed(old: Path) -> None:
    folder = old.parent / "change"
    key = VerifyKey.load(folder / "signer.pub")
    found = change.read((folder / "change.txt").read_bytes(), [key])
    assert found.body.to_json() == expected(folder)


def test_old_evidence_says_what_a_plant_saw(old: Path) -> None:
    folder = old.parent / "evidence"
    key = VerifyKey.load(folder / "plant.pub")
    text = (folder / "evidence.txt").read_bytes()
    said = expected(folder)
    now = from_text(said["issued_at"])
    assert plantevidence.read(text, [key], now=now).body.to_json() == said


def test_an_old_scenario_pack_is_added(old: Path, tmp_path: Path) -> None:
    folder = old.parent / "pack"
    said = expected(folder)
    now = from_text(said["ends"]) - timedelta(days=1)
    here = workspaces.create(tmp_path / "here", clock=ManualClock(now))
    here.trust(folder / "maker.pub")
    assert packs.add_pack(here, str(folder / "pack")).to_json() == said


def test_an_old_wheelhouse_is_verified_by_its_signature(old: Path) -> None:
    folder = old.parent / "wheelhouse"
    key = VerifyKey.load(folder / "signer.pub")
    text = (folder / "manifest.sig").read_bytes()
    body, payload, signer = signedtext.read(text, [key], wheelhouse.FORM)
    data = (folder / "manifest.json").read_bytes()
    assert payload == data
    assert signer.key_id == key.key_id
    assert body == wheelhouse.read_manifest(data)
    assert [wheel.distribution for wheel in body.wheels] == ["numpy"]


def test_an_old_card_of_a_provider_rests_on_the_evidence_that_it_did(old: Path) -> None:
    folder = old.parent / "provider"
    keys = (VerifyKey.load(folder / "signer.pub"),)
    found = read_card(folder / "nobody.provider.yaml", Reader(keys=keys, now=NOW))
    assert found.to_json() == expected(folder)
    assert [skill.shown for skill in found.skills] == ["data", None]
