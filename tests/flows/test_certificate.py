"""A certificate from end to end: made, verified elsewhere, refused for anything else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import tundish
from tundish.cli import main
from tundish.flows import workspace as workspaces
from tundish.flows.certify import CertifyOrder
from tundish.flows.errors import DataMovedError, TrustMissingError
from tundish.flows.ledger import list_ledger
from tundish.flows.trust import rotate
from tundish.flows.workspace import Workspace
from tundish.kernel.clock import ManualClock
from tundish.kernel.errors import TundishError
from tundish.seal.errors import (
    CertificateDataChangedError,
    CertificateExpiredError,
    CertificateOlderError,
    CertificateOtherDataError,
    ClockSetBackError,
    SignerUntrustedError,
    TermsInvalidError,
)


def _table(path: Path, seed: int = 1) -> Path:
    values = np.random.default_rng(seed).normal(size=(200, 3)).round(4)
    rows = "\n".join(",".join(map(str, row)) for row in values)
    path.write_text(f"Flow [l/s],Level [m],Power [kW]\n{rows}\n", encoding="utf-8")
    return path


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 5, 1, tzinfo=UTC))


@pytest.fixture
def plant(tmp_path: Path, clock: ManualClock) -> Workspace:
    return workspaces.create(tmp_path / "plant", clock=clock)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return _table(tmp_path / "export.csv")


def _certified(plant: Workspace, table: Path) -> Path:
    order = CertifyOrder(valid_s=86_400.0, to=table.parent / "export.cert.json")
    return Path(tundish.certify(plant, str(table), order=order).file)


def _acts(plant: Workspace) -> list[tuple[str, str]]:
    return [(e.act, e.code) for _, e in list_ledger(plant)]


def test_a_certificate_verifies_elsewhere_and_both_ledgers_say_so(
    tmp_path: Path, plant: Workspace, table: Path, clock: ManualClock
) -> None:
    file = _certified(plant, table)
    customer = workspaces.create(tmp_path / "customer", clock=clock)
    with pytest.raises(SignerUntrustedError):
        tundish.verify_certificate(file, str(table), workspace=customer)
    assert tundish.show_certificate(file, workspace=customer).proof == "unknown-signer"
    key = tmp_path / "plant.pub"
    key.write_bytes(plant.public_pem)
    customer.trust(key)
    found = tundish.verify_certificate(file, str(table), workspace=customer)
    assert found.proof == "verified"
    assert found.letter == tundish.grade(str(table)).letter
    assert found.grade is not None
    assert found.grade["letter"] == found.letter
    assert _acts(plant)[-2:] == [("graded", ""), ("certificate-made", "")]
    assert _acts(customer)[1:] == [
        ("certificate-verified", "signer-untrusted"),
        ("key-trusted", ""),
        ("certificate-verified", ""),
    ]
    made = list_ledger(plant)[-1][1]
    graded = list_ledger(plant)[-2][1]
    assert made.inputs == (*graded.inputs, *graded.outputs)


def test_without_a_workspace_a_key_is_enough(
    plant: Workspace, table: Path, tmp_path: Path
) -> None:
    order = CertifyOrder(to=tmp_path / "c.json", valid_s=3e9)
    file = Path(tundish.certify(plant, str(table), order=order).file)
    key = tmp_path / "plant.pub"
    key.write_bytes(plant.public_pem)
    found = tundish.verify_certificate(file, str(table), keys=[key])
    assert found.proof == "verified"
    with pytest.raises(TrustMissingError):
        tundish.verify_certificate(file, str(table))


def test_a_changed_byte_of_the_data_is_refused(plant: Workspace, table: Path) -> None:
    file = _certified(plant, table)
    data = bytearray(table.read_bytes())
    data[-3] ^= 1
    table.write_bytes(data)
    with pytest.raises(CertificateDataChangedError, match=r"export\.csv"):
        tundish.verify_certificate(file, str(table), workspace=plant)
    assert _acts(plant)[-1] == ("certificate-verified", "certificate-data-changed")


def test_another_set_is_refused(plant: Workspace, table: Path) -> None:
    file = _certified(plant, table)
    other = _table(table.with_name("other.csv"), seed=2)
    with pytest.raises(CertificateOtherDataError):
        tundish.verify_certificate(file, str(other), workspace=plant)


def test_time_ends_a_certificate_and_may_not_be_turned_back(
    plant: Workspace, table: Path, clock: ManualClock
) -> None:
    file = _certified(plant, table)
    clock.advance(86_400)
    with pytest.raises(CertificateExpiredError):
        tundish.verify_certificate(file, str(table), workspace=plant)
    clock.advance(-80_000)
    with pytest.raises(ClockSetBackError):
        tundish.verify_certificate(file, str(table), workspace=plant)


def test_a_newer_certificate_of_the_same_data_replaces_the_older(
    plant: Workspace, table: Path
) -> None:
    first = _certified(plant, table).rename(table.with_name("first.json"))
    second = _certified(plant, table)
    found = tundish.verify_certificate(second, str(table), workspace=plant)
    assert found.version == 2
    with pytest.raises(CertificateOlderError):
        tundish.verify_certificate(first, str(table), workspace=plant)


def test_a_certificate_under_a_new_key_replaces_one_under_the_old(
    plant: Workspace, table: Path
) -> None:
    first = _certified(plant, table).rename(table.with_name("first.json"))
    tundish.verify_certificate(first, str(table), workspace=plant)
    rotate(plant)
    tundish.verify_certificate(_certified(plant, table), str(table), workspace=plant)
    with pytest.raises(CertificateOlderError):
        tundish.verify_certificate(first, str(table), workspace=plant)


def test_data_that_changes_while_it_is_graded_is_not_certified(
    plant: Workspace, table: Path
) -> None:
    def write(_said: str) -> None:
        with table.open("a", encoding="utf-8") as stream:
            stream.write("1,2,3\n")

    order = CertifyOrder(to=table.with_name("c.json"))
    with pytest.raises(DataMovedError):
        tundish.certify(plant, str(table), order=order, progress=write)
    assert not table.with_name("c.json").exists()


@pytest.mark.parametrize("days", [-1.0, 0.0, 1e9, float("nan")])
def test_an_end_that_cannot_be_is_refused(
    days: float, plant: Workspace, table: Path
) -> None:
    order = CertifyOrder(valid_s=days * 86_400.0)
    with pytest.raises(TermsInvalidError):
        tundish.certify(plant, str(table), order=order)


def test_the_commands_make_verify_and_show(
    plant: Workspace,
    table: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = workspaces.create(table.parent / "real")
    monkeypatch.chdir(home.root)
    make = ["certificate", "make", str(table), "--to", "c.json", "--days", "30"]
    assert main.status(make) == 0
    assert "Certified export.csv with grade" in capsys.readouterr().out
    assert main.status(["certificate", "verify", "c.json", str(table)]) == 0
    assert "Verified: grade" in capsys.readouterr().out
    assert main.status(["certificate", "show", "c.json"]) == 0
    assert "The data was not looked at" in capsys.readouterr().out
    assert main.status(["certificate", "show", "c.json", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["proof"] == "signed"
    table.write_bytes(table.read_bytes() + b"1,2,3\n")
    assert main.status(["certificate", "verify", "c.json", str(table)]) == 3
    assert "[certificate-data-changed]" in capsys.readouterr().err


def test_every_refusal_has_advice() -> None:
    for refusal in (CertificateDataChangedError, CertificateOtherDataError):
        assert isinstance(refusal("x"), TundishError)
        assert refusal("x").advice
