"""A device asks for a grant, and the owner answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tundish.cli import main
from tundish.flows.device import AskOrder, ask, init_device
from tundish.flows.errors import WorkspaceExistsError
from tundish.flows.grant import Answer, GrantOrder, answer, grant, read_request
from tundish.flows.ledger import list_ledger
from tundish.flows.open_package import open_package
from tundish.seal.errors import GrantOlderError, RequestOtherPackageError

DAY_S = 86_400.0


def test_a_request_is_answered_with_a_grant_that_opens(
    desk: Any, tmp_path: Path
) -> None:
    box = desk.box(tmp_path / "box")
    order = AskOrder(what=str(desk.package), purpose="line 3", days=90, uses=5)
    asked = ask(box, order, tmp_path / "ask.txt")
    assert read_request(desk.plant, Path(asked.file)).known == 0
    report = answer(desk.plant, desk.package, Path(asked.file), Answer())
    assert (report.purpose, report.uses, report.version) == ("line 3", 5, 1)
    assert report.not_after.startswith("2026-05-30")
    assert open_package(box, desk.package, Path(report.file)).grant is not None
    assert read_request(desk.plant, Path(asked.file)).known == 1
    acts = [entry.act for _, entry in list_ledger(box)]
    assert "grant-asked" in acts


def test_the_owner_decides_otherwise(desk: Any, tmp_path: Path) -> None:
    box = desk.box(tmp_path / "box")
    product = desk.package and "C25.21.fermentation-glucose"
    ask(box, AskOrder(what=product, purpose="p"), tmp_path / "ask.txt")
    said = Answer(purpose="trial", valid_s=2 * DAY_S, uses=1, grace_s=60)
    report = answer(desk.plant, desk.package, tmp_path / "ask.txt", said)
    assert (report.purpose, report.uses) == ("trial", 1)
    assert report.not_after.startswith("2026-03-03")


def test_a_request_for_another_package_is_not_answered(
    desk: Any, tmp_path: Path
) -> None:
    box = desk.box(tmp_path / "box")
    ask(box, AskOrder(what="other.product", purpose="p"), tmp_path / "ask.txt")
    with pytest.raises(RequestOtherPackageError):
        answer(desk.plant, desk.package, tmp_path / "ask.txt", Answer())


def test_each_grant_has_the_next_number_and_replaces_the_last(
    desk: Any, tmp_path: Path
) -> None:
    box = desk.box(tmp_path / "box")
    order = GrantOrder(device=box.device_text, purpose="p", valid_s=DAY_S)
    first, second = (
        grant(desk.plant, desk.package, order, tmp_path / f"{n}.grant") for n in (1, 2)
    )
    assert (first.version, second.version) == (1, 2)
    open_package(box, desk.package, Path(second.file))
    with pytest.raises(GrantOlderError):
        open_package(box, desk.package, Path(first.file))


def test_other_users_of_the_machine_may_not_enter_a_workspace(tmp_path: Path) -> None:
    """Graphs of runs lie there in clear, and files that can be locked."""
    init_device(tmp_path / "box")
    inner = tmp_path / "box" / ".tundish"
    assert inner.stat().st_mode & 0o007 == 0
    assert (inner / "keys").stat().st_mode & 0o077 == 0


def test_a_device_keeps_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not init_device(tmp_path / "plain").passphrase
    with pytest.raises(WorkspaceExistsError):
        init_device(tmp_path / "plain")
    monkeypatch.setenv("TUNDISH_PASSPHRASE", "a long enough passphrase")
    assert init_device(tmp_path / "kept").passphrase


def test_the_commands_from_the_box_to_the_grant(
    desk: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box, plant = str(tmp_path / "box"), str(desk.plant.root)
    (tmp_path / "owner.pub").write_bytes(desk.plant.public_pem)
    ask_file, grant_file = str(tmp_path / "a.request"), str(tmp_path / "a.grant")
    package = str(desk.package)
    for words in (
        ["device", "init", box],
        ["device", "-w", box],
        ["device", "show", "-w", box],
        ["trust", str(tmp_path / "owner.pub"), "-w", box],
        ["device", "request", package, "--purpose", "p", "--to", ask_file, "-w", box],
        ["device", "asked", ask_file, "-w", plant],
        ["grant", package, "--request", ask_file, "--to", grant_file, "-w", plant],
        ["verify", package, "-w", box],
    ):
        assert main.status(words) == 0, words
    said = capsys.readouterr().out
    assert said.count("tundish-device-1:") >= 4
    assert "compare the device's line" in said
    assert Path(grant_file).read_text().startswith("-----BEGIN TUNDISH GRANT-----\n")
    assert main.status(["grant", package, "-w", plant]) == 2
    Path(ask_file).write_text("hello")
    assert main.status(["device", "asked", ask_file, "-w", plant]) == 3
    assert "[request-damaged]" in capsys.readouterr().err
