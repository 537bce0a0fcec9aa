"""Four eyes, rotation and revocation between an owner, a second signer and a box."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.model.conftest import CHANNELS, ROWS, Desk, small_graph

from tundish.catalog.errors import DocumentInvalidError
from tundish.cli import main
from tundish.flows import sign, verify
from tundish.flows import workspace as workspaces
from tundish.flows.ledger import list_ledger
from tundish.flows.workspace import Workspace
from tundish.kernel.clock import ManualClock
from tundish.kernel.errors import TundishError
from tundish.model import package as packages
from tundish.model.errors import PackagePlaceTakenError
from tundish.model.session import make_golden
from tundish.seal import envelope
from tundish.seal.errors import PolicyInvalidError, PolicyUnmetError

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
