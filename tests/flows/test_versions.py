"""Laws of staged versions: nothing answers but what the ledger says, and nobody switches
without a signed record, within its window, once."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from tests.flows.staged_line import StagedLine, children, other_graph
from typer.testing import CliRunner

from tundish.cli.main import app
from tundish.flows import trust
from tundish.flows.changes import apply_change
from tundish.flows.errors import (
    NothingStagedError,
    NothingToRollBackError,
    VersionNotStagedError,
    VersionUnfitError,
)
from tundish.flows.versions import (
    ASKED,
    keep,
    read_serving,
    roll_back,
    standing,
    unstage,
)
from tundish.flows.workspace import Workspace
from tundish.kernel.errors import RefusedError
from tundish.line.linefile import read_line_file
from tundish.line.versions import package_path
from tundish.seal import revocation
from tundish.seal.errors import (
    ChangeInvalidError,
    GrantUsedUpError,
    PackageOlderError,
)

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def line(desk: Any, tmp_path: Path) -> StagedLine:
    return StagedLine(desk, tmp_path)


def test_a_staged_package_runs_in_shadow_and_never_reaches_a_sink(
    line: StagedLine,
) -> None:
    package, digest = line.second()

    def story(line: StagedLine) -> None:
        line.feed(20)
        line.stage(package)
        package.unlink()  # the stick is pulled
        line.wait(lambda: bool(line.told("version")))
        for _ in range(200):
            line.feed(1)
            found = line.compared()
            if found is not None and found.windows > 10:
                break
            time.sleep(0.1)

    report = line.run(story, 300)
    said = line.versions()
    assert said.slots.staged == digest
    assert said.compared.windows > 10
    assert said.compared.agreed == said.compared.windows
    assert abs(said.compared.mean_difference - 0.5) < 1e-4
    assert said.compared.ms_new > 0
    assert report.model == line.first
    line.check_answers(300, line.first)
    assert {row["model"] for row in line.sent()} == {line.first}
    assert len(line.acts("line-switched")) == 0


def test_a_staged_package_steps_back_behind_the_line(line: StagedLine) -> None:
    """It gets what nobody else wants of the processor, and 512 MB more than it had."""
    package, _ = line.second()
    seen: dict[str, Any] = {}

    def story(line: StagedLine) -> None:
        _shadowing(line, package)
        (pid,) = children()
        proc = Path(f"/proc/{pid}")
        seen["nice"] = os.getpriority(os.PRIO_PROCESS, pid)
        seen["kind"] = os.sched_getscheduler(pid)
        seen["oom"] = int((proc / "oom_score_adj").read_text())
        pages = int((proc / "statm").read_text().split()[0])
        _, most = resource.prlimit(pid, resource.RLIMIT_AS)
        seen["spare_mb"] = (most - pages * resource.getpagesize()) / 2**20
        line.feed(300)

    line.run(story, 300)
    assert (seen["nice"], seen["kind"], seen["oom"]) == (19, os.SCHED_IDLE, 1000)
    assert 256 < seen["spare_mb"] <= 512  # it has grown a little since it was bounded


def test_what_is_staged_is_taken_away_again(line: StagedLine) -> None:
    package, digest = line.second()
    with pytest.raises(NothingStagedError):
        unstage(line.box, line.path)
    assert line.stage(package).staged == digest
    assert unstage(line.box, line.path).staged == ""
    with pytest.raises(NothingStagedError):
        unstage(line.box, line.path)
    with pytest.raises(NothingToRollBackError):
        roll_back(line.box, line.path)


def test_after_staging_the_old_package_still_opens_and_no_other_old_one(
    line: StagedLine,
) -> None:
    """Version 2 was seen, so version 1 is older; it opens only as this line's own."""
    line.stage(line.second()[0])
    line.run(lambda line: line.feed(10), 10)
    line.check_answers(10, line.first)
    line.said["name"] = "another"
    line.write()
    with pytest.raises(PackageOlderError):
        line.run(lambda line: None, 10)


def test_a_line_file_that_names_an_unstaged_package_is_refused(
    line: StagedLine,
) -> None:
    line.stage(line.second(2)[0])
    line.second(3)
    line.said["package"], line.said["grant"] = "v3.tar", "v3.grant"
    line.write()
    with pytest.raises(VersionNotStagedError):
        line.run(lambda line: None, 10)


def test_another_package_in_the_place_of_a_copy_never_answers(
    line: StagedLine,
) -> None:
    """A copy is a file; which package it must be stands in the ledger and the record."""
    package, digest = line.second()
    other, _ = line.second(3)
    line.stage(package)
    line.sign(line.signer())
    buffer = line.folder / "buffer.db"
    staged, serving = (package_path(buffer, one) for one in (digest, line.first))
    staged.write_bytes(other.read_bytes())
    grant = other.with_suffix(".grant").read_bytes()
    staged.with_suffix(".grant").write_bytes(grant)

    def told(said: str) -> bool:
        return any(said in text for text in line.told("version"))

    def story(line: StagedLine) -> None:
        line.wait(lambda: told("does not open"))
        line.wait(lambda: told("the staged package"))

    line.run(story, 50)
    line.check_answers(50, line.first)
    assert told("lies in the place of")
    assert not line.acts("line-switched")
    serving.write_bytes(other.read_bytes())
    (line.folder / "model.grant").write_bytes(grant)
    with pytest.raises(VersionNotStagedError):
        line.run(lambda line: None, 60)
    with pytest.raises(VersionNotStagedError):
        read_serving(line.box, line.path, read_line_file(line.path))
    line.check_answers(50, line.first)


def test_another_contract_and_the_serving_package_cannot_be_staged(
    line: StagedLine,
) -> None:
    package, _ = line.second(stale_after_s=60.0)
    with pytest.raises(VersionUnfitError, match="stale_after_s"):
        line.stage(package)
    with pytest.raises(VersionUnfitError, match="already"):
        line.stage(line.folder / "model.tar")
    found = standing(line.box, "kiln")
    assert found is not None
    assert found.slots.serving == line.first
    assert not found.slots.staged


def _shadowing(line: StagedLine, package: Path) -> None:
    """Stage a package and wait until it has answered something."""
    line.feed(20)
    line.stage(package)
    for _ in range(300):
        line.feed(1)
        found = line.compared()
        if found is not None and found.windows > 3:
            return
        time.sleep(0.1)
    pytest.fail(str(line.versions()))


def test_a_signed_record_switches_at_once_and_in_order_and_back_again(
    line: StagedLine,
) -> None:
    package, digest = line.second()
    ana = line.signer()

    def story(line: StagedLine) -> None:
        _shadowing(line, package)
        assert "no change record" in line.missing()
        report = line.sign(ana, note="better")
        assert report.seen["windows"] > 3
        line.wait(lambda: bool(line.told("switched")))
        line.feed(50)
        line.wait(lambda: line.answered(digest))
        found = roll_back(line.box, line.path)
        assert not found.pending
        assert (found.serving, found.staged, found.previous) == (line.first, "", "")
        line.wait(lambda: bool(line.told("rolled-back")))
        with pytest.raises(NothingToRollBackError):
            roll_back(line.box, line.path)

    report = line.run(story, 600)
    line.check_answers(600, line.first, digest, line.first)
    assert report.model == line.first
    assert len(line.acts("line-switched", "line-rolled-back")) == 2
    models = [row["model"] for row in line.sent()]
    assert set(models) == {line.first, digest}


def test_a_standing_line_rolls_back_and_starts_with_the_package_of_before(
    line: StagedLine,
) -> None:
    package, digest = line.second()

    def story(line: StagedLine) -> None:
        line.stage(package)
        line.sign(line.signer())
        line.wait(lambda: bool(line.told("switched")))

    line.run(story, 40)
    line.run(lambda line: line.feed(10), 80)
    time.sleep(0.1)
    found = roll_back(line.box, line.path)
    assert (found.serving, found.pending) == (line.first, "")
    line.run(lambda line: None, 120)
    models = list(dict.fromkeys(one.model for one in line.answers()))
    assert models == [digest, line.first]


Wrong = Any


def _untrusted(line: StagedLine) -> str:
    line.sign(line.signer("eve", trusted=False))
    return "[signer-untrusted]"


def _before_its_window(line: StagedLine) -> str:
    line.sign(line.signer(), from_s=600)
    return "it waits for"


def _after_its_window(line: StagedLine) -> str:
    line.sign(line.signer(), from_s=-600, until_s=-60)
    return "no safe point lies before"


def _clock_set_back(line: StagedLine) -> str:
    line.sign(line.signer(), from_s=-3600)
    line.clock.advance(-600)
    return "[clock-set-back]"


def _another_line(line: StagedLine) -> str:
    record = line.sign_for("oven", line.signer())
    with pytest.raises(ChangeInvalidError, match="for the line oven"):
        apply_change(line.box, line.path, record)
    (line.folder / "kiln-copied.change").write_bytes(record.read_bytes())
    return "is for the line oven"


def _changed(line: StagedLine) -> str:
    record = Path(line.sign(line.signer(), to=line.root / "kiln.change").file)
    lines = record.read_bytes().splitlines(keepends=True)
    middle = len(lines) // 2
    lines[middle] = lines[middle][::-1].lstrip() + b"\n"
    (line.folder / "kiln-forged.change").write_bytes(b"".join(lines))
    return "[change-invalid]"


def _another_package(line: StagedLine) -> str:
    line.sign(line.signer())
    line.stage(line.second(3)[0])
    return "is for the new package"


@pytest.mark.parametrize(
    "wrong",
    [
        _untrusted,
        _before_its_window,
        _after_its_window,
        _clock_set_back,
        _another_line,
        _changed,
        _another_package,
    ],
)
def test_a_record_that_does_not_fit_switches_nothing_and_says_why(
    line: StagedLine, wrong: Wrong
) -> None:
    package, _ = line.second()
    line.stage(package)
    expected = ""

    def story(line: StagedLine) -> None:
        nonlocal expected
        line.feed(10)
        line.wait(lambda: line.versions() is not None)
        expected = wrong(line)
        line.wait(lambda: expected in line.missing())

    report = line.run(story, 30)
    assert report.model == line.first
    line.check_answers(30, line.first)
    assert not line.acts("line-switched")


def test_a_record_is_used_once(line: StagedLine) -> None:
    package, _ = line.second()

    def story(line: StagedLine) -> None:
        line.stage(package)
        line.sign(line.signer())
        line.wait(lambda: bool(line.told("switched")))
        roll_back(line.box, line.path)
        line.stage(package)
        line.wait(lambda: "[change-used]" in line.missing())

    report = line.run(story, 60)
    assert report.model == line.first
    assert len(line.acts("line-switched")) == 1


def test_a_roll_back_to_a_revoked_package_is_refused_and_the_line_goes_on(
    line: StagedLine,
) -> None:
    package, digest = line.second()

    def story(line: StagedLine) -> None:
        line.stage(package)
        line.sign(line.signer())
        line.wait(lambda: bool(line.told("switched")))
        entry = revocation.entry("package", line.first, line.clock.now(), "leaks")
        trust.revoke(line.desk.plant, [entry], line.root / "list.txt")
        trust.take_revocations(line.box, (line.root / "list.txt").read_bytes())
        with pytest.raises(RefusedError):
            roll_back(line.box, line.path)
        line.feed(20)
        line.wait(lambda: line.answered(digest))

    report = line.run(story, 60)
    assert report.model == digest
    found = standing(line.box, "kiln")
    assert found is not None
    assert (found.slots.serving, found.asked) == (digest, False)


def test_a_roll_back_that_does_not_open_is_told_and_the_line_goes_on(
    line: StagedLine,
) -> None:
    """The grant of the first package has one use, and the line has had it."""
    line.add(line.desk.package, "model", uses=1)
    package, digest = line.second()

    def story(line: StagedLine) -> None:
        line.stage(package)
        line.sign(line.signer())
        line.wait(lambda: bool(line.told("switched")))
        with pytest.raises(GrantUsedUpError):
            roll_back(line.box, line.path)
        found = standing(line.box, "kiln")
        assert found is not None
        keep(line.box, line.folder / "buffer.db", ASKED, found.slots, "by hand")
        line.wait(lambda: "[grant-used-up]" in " ".join(line.told("version")))

    report = line.run(story, 60)
    assert report.model == digest
    line.run(lambda line: None, 90)
    assert line.answers()[-1].model == digest


def test_a_change_waits_for_a_safe_point_within_its_window(
    desk: Any, tmp_path: Path
) -> None:
    """It is 08:00; the shift ends at 14:00."""
    line = StagedLine(desk, tmp_path, safe_points=["14:00"])
    package, digest = line.second()

    def story(line: StagedLine) -> None:
        line.stage(package)
        line.sign(line.signer(), until_s=8 * 3600)
        line.wait(lambda: "waits for 2026-03-01T14:00:00Z" in line.missing())
        line.clock.advance(5.9 * 3600)
        time.sleep(1.5)
        assert not line.told("switched")
        line.clock.advance(0.1 * 3600)
        line.wait(lambda: bool(line.told("switched")))

    assert line.run(story, 40).model == digest


def _stopped(_line: StagedLine) -> None:
    for pid in children():
        os.kill(pid, signal.SIGSTOP)


def _crashed(_line: StagedLine) -> None:
    for pid in children():
        os.kill(pid, signal.SIGSEGV)


def _fed_too_much(line: StagedLine) -> None:
    """One window makes 16 MB on the way, so 250 of them more than there may be."""
    line.feed(1500)


@pytest.mark.parametrize(
    ("harm", "wide", "expected"),
    [
        (_stopped, 0, ""),
        (_crashed, 0, "its process ended with signal 11"),
        (_fed_too_much, 4_000_000, "memory"),
    ],
)
def test_a_staged_package_that_hangs_crashes_or_eats_memory_leaves_the_line_alone(
    line: StagedLine, harm: Wrong, wide: int, expected: str
) -> None:
    package, _ = line.second(graph=other_graph(wide=wide))

    def story(line: StagedLine) -> None:
        _shadowing(line, package)
        harm(line)
        for _ in range(30):
            line.feed(100)
            time.sleep(0.05)
        if expected:
            line.wait(lambda: expected in " ".join(line.told("version")))

    rows = 6000
    report = line.run(story, rows)
    assert report.estimates == rows
    line.check_answers(rows, line.first)
    line.wait(lambda: not children())
    assert line.compared().dropped > 0


def test_the_commands_tell_the_whole_story(line: StagedLine) -> None:
    """With the machine's own clock: stage, status, change, run, rollback, unstage."""
    line.add(line.desk.package, "model", days=2000)
    package, digest = line.second()
    line.add(package, "v2", days=2000)

    def told(*words: str, code: int = 0) -> Any:
        command = ["line", words[0], str(line.path), *words[1:], "--json"]
        if words[0] != "status":
            command += ["-w", str(line.box.root)]
        found = CliRunner().invoke(app, command)
        assert found.exit_code == code, found.output
        return json.loads(found.stdout)

    grant = str(package.with_suffix(".grant"))
    assert told("stage", str(package), "--grant", grant)["staged"] == digest
    assert told("status", code=1)["slots"]["staged"] == digest
    signed = told("change", "--until", "2099-01-01", "--note", "better")
    assert (signed["old"], signed["new"]) == (line.first, digest)
    assert told("change", "--apply", signed["file"])["new"] == digest
    line.box = Workspace(line.box.root)  # the line runs by the machine's clock too
    line.run(lambda line: line.wait(lambda: bool(line.told("switched"))), 20)
    assert told("rollback")["serving"] == line.first
    shown = CliRunner().invoke(app, ["line", "status", str(line.path)])
    assert "Versions" in shown.output
