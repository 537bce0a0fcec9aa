"""Who allows a line to write requests: as many persons as the risk asks for, and no slip."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from tests.flows.conftest import build

from tundish.flows import trust
from tundish.flows import workspace as workspaces
from tundish.flows.contract import contract_of
from tundish.flows.control import approve, control_of, reset
from tundish.flows.errors import ApprovalMissingError
from tundish.flows.ledger import list_ledger
from tundish.flows.succession import mode_for
from tundish.flows.verify import read
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical
from tundish.kernel.clock import ManualClock
from tundish.line.errors import ModeRefusedError
from tundish.line.linefile import read_line_file
from tundish.line.requester import Control
from tundish.model.card import GENERATED
from tundish.seal import revocation
from tundish.seal.errors import (
    ApprovalInvalidError,
    KeyRevokedError,
    SignerUntrustedError,
)

SealRisky = Callable[[Any, int, str, str], Path]


class OpenModelOf:
    """What of an opened model decides over its mode."""

    def __init__(self, package: Any) -> None:
        self.package, self.scenario = package, contract_of(package)


class Plant:
    """A box, and engineers whose keys it trusts."""

    def __init__(self, desk: Any, root: Path, package: Path) -> None:
        self.desk, self.root = desk, root
        self.box: Workspace = desk.box(root / "box")
        self.folder = root / "box"
        (self.folder / "model.tar").write_bytes(package.read_bytes())
        self.said: dict[str, Any] = {
            "format": "tundish.line",
            "version": 1,
            "name": "kiln",
            "mode": "control",
            "package": "model.tar",
            "buffer": {"path": "buffer.db"},
            "sources": [
                {
                    "kind": "opcua",
                    "endpoint": "opc.tcp://127.0.0.1:4840",
                    "nodes": {"level": "ns=2;s=level"},
                }
            ],
            "control": {
                "sink": {
                    "kind": "opcua",
                    "endpoint": "opc.tcp://127.0.0.1:4840",
                    "nodes": {"request": "ns=2;s=r", "valid": "ns=2;s=v", "heartbeat": "ns=2;s=h"},
                },
                "envelope": {"low": 0.0, "high": 10.0},
                "fallback": 5.0,
                "interlocks": ["level < 900"],
                "watchdog_s": 30.0,
                "approvals": [],
            },
        }  # fmt: skip
        self.line = self.folder / "kiln.line.yaml"
        self.write()

    def write(self) -> None:
        self.line.write_bytes(canonical.dumps(self.said))

    def engineer(self, name: str) -> Workspace:
        found = workspaces.create(
            self.root / name, name, ManualClock(self.desk.clock.now())
        )
        for who, key in (
            (self.box, found.public_pem),
            (found, self.desk.plant.public_pem),
        ):
            pem = self.root / f"{name}.pub"
            pem.write_bytes(key)
            who.trust(pem)
        return found

    def approved_by(
        self, engineer: Workspace, days: float = 90.0, name: str = ""
    ) -> str:
        name = f"{name or engineer.name}.approval"
        approve(engineer, self.line, days=days, note="", to=self.folder / name)
        return name

    def named(self, *approvals: str) -> None:
        self.said["control"]["approvals"] = list(approvals)
        self.write()

    def control(self) -> Control | None:
        package = read(self.box, self.folder / "model.tar")
        return control_of(self.box, self.line, read_line_file(self.line), package)


@pytest.fixture
def plant(desk: Any, tmp_path: Path, seal_risky: SealRisky) -> Plant:
    return Plant(desk, tmp_path, seal_risky(desk, 1, "high", "medium"))


def test_a_risky_line_writes_only_with_two_persons_behind_it(plant: Plant) -> None:
    one = plant.approved_by(plant.engineer("ana"))
    two = plant.approved_by(plant.engineer("bo"))
    for approvals, count in (((), 0), ((one,), 1), ((one, one), 1)):
        plant.named(*approvals)
        with pytest.raises(ApprovalMissingError, match=f"and {count} of 2 persons"):
            plant.control()
    plant.named(one, two)
    control = plant.control()
    assert control is not None
    assert control.sink is not None
    refused = [
        entry for _, entry in list_ledger(plant.box) if entry.act == "line-started"
    ]
    assert len(refused) == 3


def test_the_key_of_the_box_is_no_second_person(plant: Plant) -> None:
    """Whoever sits at the box has that key too."""
    one = plant.approved_by(plant.engineer("ana"))
    two = plant.approved_by(plant.box)
    plant.named(one, two)
    with pytest.raises(ApprovalMissingError, match="the key of this box"):
        plant.control()


def test_one_person_never_counts_as_two(plant: Plant) -> None:
    """Neither by a second approval nor by a key that took the place of the first."""
    ana = plant.engineer("ana")
    names = [plant.approved_by(ana), plant.approved_by(ana, 30.0, "again")]
    handed = trust.rotate(ana, old_days=60)
    trust.take_rotation(plant.box, Path(handed.file))
    names.append(plant.approved_by(ana, 90.0, "by the new key"))
    assert len({(plant.folder / name).read_bytes() for name in names}) == 3
    plant.named(*names)
    with pytest.raises(ApprovalMissingError, match="and 1 of 2 persons"):
        plant.control()
    plant.named(*names, plant.approved_by(plant.engineer("bo")))
    control = plant.control()
    assert control is not None
    assert control.sink is not None


def test_a_line_that_writes_nothing_asks_nobody(plant: Plant) -> None:
    plant.said["mode"] = "shadow"
    plant.write()
    control = plant.control()
    assert control is not None
    assert control.sink is None


def test_where_little_is_at_stake_nobody_is_asked(
    desk: Any, tmp_path: Path, seal_risky: SealRisky
) -> None:
    plant = Plant(desk, tmp_path, seal_risky(desk, 1, "low", "medium"))
    control = plant.control()
    assert control is not None
    assert control.sink is not None


def test_where_a_person_decides_each_time_nobody_may_approve(
    desk: Any, tmp_path: Path, seal_risky: SealRisky
) -> None:
    plant = Plant(desk, tmp_path, seal_risky(desk, 1, "high", "high"))
    with pytest.raises(ModeRefusedError, match="a person decides each time"):
        plant.control()
    with pytest.raises(ModeRefusedError, match="a person decides each time"):
        plant.approved_by(plant.engineer("ana"))


def test_what_was_learnt_from_generated_data_asks_a_plant_for_nothing(
    desk: Any, tmp_path: Path
) -> None:
    risk = {"outcome": "low", "ambiguity": "medium", "autonomy": "control", "why": "t"}
    made, _ = build(desk.plant, desk.clock.now(), options={GENERATED: True}, risk=risk)
    plant = Plant(desk, tmp_path, made)
    with pytest.raises(ModeRefusedError, match="generated data"):
        plant.control()
    plant.said["mode"] = "shadow"
    plant.write()
    assert plant.control() is not None


def _limits(plant: Plant) -> None:
    plant.said["control"]["envelope"]["high"] = 11.0


def _interlocks(plant: Plant) -> None:
    plant.said["control"]["interlocks"] = ["level < 999"]


def _node(plant: Plant) -> None:
    plant.said["sources"][0]["nodes"]["level"] = "ns=2;s=another"


def _name(plant: Plant) -> None:
    plant.said["name"] = "another"


@pytest.mark.parametrize("change", [_limits, _interlocks, _node, _name])
def test_what_was_approved_cannot_be_changed_afterwards(
    plant: Plant, change: Callable[[Plant], None]
) -> None:
    plant.named(*(plant.approved_by(plant.engineer(name)) for name in ("ana", "bo")))
    assert plant.control() is not None
    change(plant)
    plant.write()
    with pytest.raises(ApprovalMissingError, match=r"is for (other|the line kiln)"):
        plant.control()


def test_another_package_needs_other_approvals(
    plant: Plant, seal_risky: SealRisky
) -> None:
    plant.named(*(plant.approved_by(plant.engineer(name)) for name in ("ana", "bo")))
    newer = seal_risky(plant.desk, 2, "high", "medium")
    (plant.folder / "model.tar").write_bytes(newer.read_bytes())
    with pytest.raises(ApprovalMissingError, match="is for another package"):
        plant.control()


def test_an_approval_ends(plant: Plant) -> None:
    plant.named(*(plant.approved_by(plant.engineer(n), 1.0) for n in ("ana", "bo")))
    clock: Any = plant.box.clock
    clock.advance(timedelta(days=1, seconds=1).total_seconds())
    with pytest.raises(ApprovalMissingError, match=r"ana\.approval ended on"):
        plant.control()


def test_whoever_left_has_approved_nothing(plant: Plant) -> None:
    ana, bo = plant.engineer("ana"), plant.engineer("bo")
    plant.named(plant.approved_by(ana), plant.approved_by(bo))
    gone = revocation.entry("key", ana.key.public.key_id, plant.box.clock.now(), "left")
    trust.revoke(plant.box, [gone])
    with pytest.raises(KeyRevokedError):
        plant.control()


def test_a_stranger_approves_nothing(plant: Plant) -> None:
    stranger = plant.engineer("ana")
    name = plant.approved_by(stranger)
    other = Plant(plant.desk, plant.root / "other", plant.folder / "model.tar")
    (other.folder / name).write_bytes((plant.folder / name).read_bytes())
    other.named(name)
    with pytest.raises(SignerUntrustedError):
        other.control()


def test_a_changed_approval_is_none(plant: Plant) -> None:
    name = plant.approved_by(plant.engineer("ana"))
    plant.named(name)
    file = plant.folder / name
    text = bytearray(file.read_bytes())
    text[len(text) // 2] ^= 1
    file.write_bytes(bytes(text))
    with pytest.raises(ApprovalInvalidError):
        plant.control()


def test_resetting_the_breaker_is_an_act(plant: Plant) -> None:
    plant.said["mode"] = "shadow"
    plant.write()
    control = plant.control()
    assert control is not None
    assert not reset(plant.box, plant.line)
    control.breaker.path.write_text("it was open")
    assert reset(plant.box, plant.line)
    acts = [entry for _, entry in list_ledger(plant.box)]
    assert acts[-1].act == "line-breaker-reset"
    assert acts[-1].detail["said"] == "it was open"


def test_an_unapproved_version_advises_and_an_approved_one_may_ask(
    plant: Plant,
) -> None:
    package = read(plant.box, plant.folder / "model.tar")
    model = OpenModelOf(package)

    def mode() -> tuple[str, str]:
        return mode_for(
            plant.box, plant.line, read_line_file(plant.line), cast("Any", model)
        )

    found, why = mode()
    assert found == "advise"
    assert "0 of 2 persons" in why
    one = plant.approved_by(plant.engineer("ana"))
    two = plant.approved_by(plant.engineer("bo"))
    plant.named(one, two)
    assert mode() == ("control", "")
