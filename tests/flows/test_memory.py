"""Time, uses and spares across restarts: what a box remembers, and what it refuses."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.within import holds

from tundish.cli import main
from tundish.flows import workspace as workspaces
from tundish.flows.device import hear_time, say_time
from tundish.flows.grant import GrantOrder, grant, grant_spare
from tundish.flows.ledger import list_ledger
from tundish.flows.open_package import activate, look_at_grant, open_package
from tundish.flows.trust import rotate, take_rotation
from tundish.flows.verify import read
from tundish.kernel.clock import ManualClock
from tundish.seal.errors import (
    ClockSetBackError,
    FreshnessRolledBackError,
    GrantExpiredError,
    GrantOlderError,
    GrantSealedError,
    GrantUsedUpError,
    PackageOlderError,
    SignerUntrustedError,
    SpareCodeError,
    TimeNoteInvalidError,
    TimeNoteUsedError,
)

DAY_S = 86_400.0


def again(box: Any, days: float = 0.0) -> Any:
    """Return the box after a restart, its clock moved."""
    moved = box.clock.now() + timedelta(days=days)
    return workspaces.Workspace(box.root, ManualClock(moved))


def granted(desk: Any, box: Any, **terms: Any) -> Path:
    wanted: dict[str, Any] = {"purpose": "p", "valid_s": 30 * DAY_S} | terms
    order = GrantOrder(device=box.device_text, **wanted)
    return Path(grant(desk.plant, desk.package, order, box.root / "a.grant").file)


def memory(box: Any) -> Path:
    return Path(box.root) / ".tundish" / "freshness.json"


def test_a_clock_set_back_is_noticed_after_a_restart(desk: Any, tmp_path: Path) -> None:
    box = desk.box(tmp_path / "box")
    file = granted(desk, box)
    with pytest.raises(GrantExpiredError):
        open_package(again(box, 31), desk.package, file)
    with pytest.raises(ClockSetBackError):
        open_package(again(box, 1), desk.package, file)


def test_a_signed_time_of_the_owner_is_a_witness(desk: Any, tmp_path: Path) -> None:
    box = desk.box(tmp_path / "box")
    file = granted(desk, box)
    desk.clock.advance(20 * DAY_S)
    say_time(desk.plant, tmp_path / "now.time")
    assert hear_time(box, tmp_path / "now.time").corrects is None
    with pytest.raises(ClockSetBackError):
        open_package(again(box, 19), desk.package, file)
    open_package(again(box, 20), desk.package, file)


def test_an_older_signed_time_changes_nothing(desk: Any, tmp_path: Path) -> None:
    box = desk.box(tmp_path / "box")
    file = granted(desk, box)
    say_time(desk.plant, tmp_path / "then.time")
    open_package(again(box, 5), desk.package, file)
    hear_time(again(box, 5), tmp_path / "then.time")
    with pytest.raises(ClockSetBackError):
        open_package(again(box, 4), desk.package, file)


def test_a_changed_or_foreign_signed_time_is_refused(desk: Any, tmp_path: Path) -> None:
    box, other = desk.box(tmp_path / "box"), desk.box(tmp_path / "other")
    path = tmp_path / "a.time"
    say_time(other, path)
    with pytest.raises(SignerUntrustedError):
        hear_time(box, path)
    say_time(desk.plant, path, other.device_text)
    with pytest.raises(TimeNoteInvalidError, match="another device"):
        hear_time(box, path)
    say_time(desk.plant, path)
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[at] ^= 1
        path.write_bytes(bytes(changed))
        with pytest.raises((TimeNoteInvalidError, SignerUntrustedError)):
            hear_time(box, path)


def test_a_clock_that_was_in_the_future_is_corrected_once(
    desk: Any, tmp_path: Path
) -> None:
    box = desk.box(tmp_path / "box")
    file = granted(desk, box)
    with pytest.raises(GrantExpiredError):
        open_package(again(box, 3000), desk.package, file)
    with pytest.raises(ClockSetBackError):
        open_package(again(box), desk.package, file)
    say_time(desk.plant, tmp_path / "right.time", box.device_text)
    hear_time(box, tmp_path / "right.time")
    open_package(again(box), desk.package, file)
    with pytest.raises(GrantExpiredError):
        open_package(again(box, 31), desk.package, file)
    with pytest.raises(TimeNoteUsedError):
        hear_time(box, tmp_path / "right.time")


def test_a_correction_under_a_new_key_counts_also_before_the_rotation_comes(
    desk: Any, tmp_path: Path
) -> None:
    box, note = desk.box(tmp_path / "box"), tmp_path / "right.time"
    file = granted(desk, box)
    with pytest.raises(GrantExpiredError):
        open_package(again(box, 31), desk.package, file)
    handed_over = rotate(desk.plant)
    (tmp_path / "new.pub").write_bytes(desk.plant.public_pem)
    box.trust(tmp_path / "new.pub")
    say_time(desk.plant, note, box.device_text)
    hear_time(box, note)
    with pytest.raises(ClockSetBackError, match="issuer of the grant"):
        open_package(box, desk.package, file)  # nobody says here whose key that is
    take_rotation(box, Path(handed_over.file))
    open_package(box, desk.package, file)


@pytest.mark.parametrize("who", ["the box itself", "another key that it trusts"])
def test_a_time_is_corrected_for_what_its_signer_issued_only(
    desk: Any, tmp_path: Path, who: str
) -> None:
    box, note = desk.box(tmp_path / "box"), tmp_path / "own.time"
    file = granted(desk, box)
    with pytest.raises(GrantExpiredError):
        open_package(again(box, 31), desk.package, file)
    back = signer = again(box, 2)
    if who == "another key that it trusts":
        signer = workspaces.create(tmp_path / "other", "other", back.clock)
        (tmp_path / "other.pub").write_bytes(signer.public_pem)
        back.trust(tmp_path / "other.pub")
    for _ in range(2):
        say_time(signer, note, box.device_text)
        hear_time(back, note)
        with pytest.raises(ClockSetBackError, match="issuer of the grant"):
            open_package(back, desk.package, file)
        with pytest.raises(ClockSetBackError, match="issuer of the grant"):
            look_at_grant(back, read(back, desk.package), file.read_bytes())
    say_time(desk.plant, note, box.device_text)
    hear_time(back, note)
    open_package(back, desk.package, file)
    say_time(again(signer, -1), note, box.device_text)
    hear_time(back, note)
    with pytest.raises(ClockSetBackError, match="issuer of the grant"):
        open_package(again(back, -1), desk.package, file)
    plain = json.loads(memory(box).read_text()) | {"floors": {}}
    memory(box).write_text(json.dumps(plain, sort_keys=True, separators=(",", ":")))
    with pytest.raises(FreshnessRolledBackError, match="another correction"):
        open_package(back, desk.package, file)


def test_uses_survive_a_restart(desk: Any, tmp_path: Path) -> None:
    box = desk.box(tmp_path / "box")
    file = granted(desk, box, uses=2)
    for _ in range(2):
        open_package(again(box), desk.package, file)
    with pytest.raises(GrantUsedUpError):
        open_package(again(box), desk.package, file)


@pytest.mark.parametrize("how", ["older copy", "deleted", "edited"])
def test_a_record_put_back_is_noticed_by_the_ledger(
    desk: Any, tmp_path: Path, how: str
) -> None:
    box = desk.box(tmp_path / "box")
    file = granted(desk, box, uses=3)
    open_package(box, desk.package, file)
    old = memory(box).read_bytes()
    open_package(again(box), desk.package, file)
    if how == "older copy":
        memory(box).write_bytes(old)
    elif how == "deleted":
        memory(box).unlink()
    else:
        plain = json.loads(memory(box).read_text())
        plain["uses"] = dict.fromkeys(plain["uses"], 0)
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
        memory(box).write_text(text)
    with pytest.raises(FreshnessRolledBackError):
        open_package(again(box), desk.package, file)
    refused = [e.code for _, e in list_ledger(box) if e.outcome == "refused"]
    assert refused == ["freshness-rolled-back"]


def test_a_time_put_back_is_noticed_by_the_ledger(desk: Any, tmp_path: Path) -> None:
    box = desk.box(tmp_path / "box")
    file = granted(desk, box)
    open_package(box, desk.package, file)
    old = memory(box).read_bytes()
    open_package(again(box, 20), desk.package, file)
    memory(box).write_bytes(old)
    with pytest.raises(FreshnessRolledBackError, match="the time"):
        open_package(again(box, 1), desk.package, file)


def test_an_older_grant_let_in_by_an_edited_record_is_noticed(
    desk: Any, tmp_path: Path
) -> None:
    """A renewal may allow less than the grant before it did."""
    box = desk.box(tmp_path / "box")
    first = granted(desk, box).read_bytes()
    open_package(box, desk.package, granted(desk, box, answers_per_day=9))
    (box.root / "a.grant").write_bytes(first)
    with pytest.raises(GrantOlderError):
        open_package(box, desk.package, box.root / "a.grant")
    plain = json.loads(memory(box).read_text()) | {"grants": {}}
    memory(box).write_text(json.dumps(plain, sort_keys=True, separators=(",", ":")))
    with pytest.raises(FreshnessRolledBackError, match="version 2 of the grants"):
        open_package(box, desk.package, box.root / "a.grant")


@pytest.mark.parametrize("how", ["put back", "edited"])
def test_a_version_put_back_is_noticed_by_the_ledger(
    desk: Any, tmp_path: Path, reseal: Any, how: str
) -> None:
    """Else an old package, or a list of what was revoked, could be taken out again."""
    box = desk.box(tmp_path / "box")
    first = granted(desk, box)
    open_package(box, desk.package, first)
    old = memory(box).read_bytes()
    second = reseal(desk, 2)
    order = GrantOrder(device=box.device_text, purpose="p", valid_s=DAY_S)
    grant(desk.plant, second, order, box.root / "b.grant")
    open_package(box, second, box.root / "b.grant")
    with pytest.raises(PackageOlderError):
        open_package(box, desk.package, first)
    was, now = json.loads(old), json.loads(memory(box).read_text())
    put_back = was if how == "put back" else now | {"packages": was["packages"]}
    text = json.dumps(put_back, sort_keys=True, separators=(",", ":"))
    memory(box).write_text(text)
    say_time(box, tmp_path / "own.time", box.device_text)
    with pytest.raises(FreshnessRolledBackError, match="version 2"):
        hear_time(box, tmp_path / "own.time")  # whose act would hide it
    with pytest.raises(FreshnessRolledBackError, match="version 2"):
        open_package(box, desk.package, first)


def test_a_record_and_a_ledger_put_back_together_are_not_noticed(
    desk: Any, tmp_path: Path
) -> None:
    """The limit, said frankly: so that nobody believes more than holds."""
    box = desk.box(tmp_path / "box")
    file = granted(desk, box, uses=1)
    inner = memory(box).parent
    kept = {path: path.read_bytes() for path in inner.glob("*.*") if path.is_file()}
    open_package(box, desk.package, file)
    for path in inner.glob("*.*"):
        if path.is_file():
            path.unlink()
    for path, data in kept.items():
        path.write_bytes(data)
    assert open_package(again(box), desk.package, file).grant is not None


def test_a_spare_takes_over_at_night_and_the_ledger_tells(
    desk: Any, tmp_path: Path
) -> None:
    box = desk.box(tmp_path / "box")
    order = GrantOrder(
        device=box.device_text,
        purpose="spare of line 3",
        valid_s=365 * DAY_S,
        spare_s=7 * 86_400,
    )
    made = grant_spare(desk.plant, desk.package, order, tmp_path / "spare.grant")
    file, code = Path(made.report.file), made.code.reveal()
    with pytest.raises(GrantSealedError):
        open_package(box, desk.package, file)
    with pytest.raises(SpareCodeError):
        activate(box, desk.package, file, "0" * 25)
    night = again(box, 100)
    activate(night, desk.package, file, code)
    assert open_package(again(night, 6), desk.package, file).grant is not None
    with pytest.raises(GrantExpiredError):
        open_package(again(night, 7), desk.package, file)
    acts = [entry.act for _, entry in list_ledger(box)]
    assert acts.count("spare-code-used") == 2
    assert acts.count("spare-activated") == 1
    for path in (file, *box.root.rglob("*"), *desk.plant.root.rglob("*")):
        assert not path.is_file() or not holds(path, code.encode()), path


def test_an_activation_cannot_be_begun_anew(desk: Any, tmp_path: Path) -> None:
    box = desk.box(tmp_path / "box")
    order = GrantOrder(
        device=box.device_text, purpose="p", valid_s=365 * DAY_S, spare_s=86_400
    )
    made = grant_spare(desk.plant, desk.package, order, tmp_path / "spare.grant")
    file, code = Path(made.report.file), made.code.reveal()
    activate(box, desk.package, file, code)
    memory(box).unlink()
    with pytest.raises(FreshnessRolledBackError):
        activate(again(box, 50), desk.package, file, code)


def test_the_commands_of_time_and_spares(
    desk: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box, plant, package = str(tmp_path / "b"), str(desk.plant.root), str(desk.package)
    note, file = str(tmp_path / "n.time"), str(tmp_path / "s.grant")
    assert main.status(["device", "init", box]) == 0
    (tmp_path / "owner.pub").write_bytes(desk.plant.public_pem)
    assert main.status(["trust", str(tmp_path / "owner.pub"), "-w", box]) == 0
    line = workspaces.find(Path(box)).device_text
    capsys.readouterr()
    words = ["grant", package, "--device", line, "--spare-days", "7", "--to", file]
    assert main.status([*words, "--json", "-w", plant]) == 0
    code = json.loads(capsys.readouterr().out)["code"]
    for words in (
        ["ledger", "time", "--to", note, "-w", plant],
        ["device", "time", note, "-w", box],
        ["device", "activate", package, file, "--code", code, "-w", box],
        ["ledger", "time", "--correct", line, "--to", note, "-w", plant],
        ["device", "time", note, "-w", box],
    ):
        assert main.status(words) == 0, words
    said = capsys.readouterr().out
    assert "Activated" in said
    assert "corrected to" in said
    assert code not in said
