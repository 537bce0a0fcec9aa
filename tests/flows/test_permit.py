"""A grant on a running line: warned, renewed, ended; the model is sent once."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tundish.cli import main
from tundish.flows import trust
from tundish.flows.grant import GrantOrder, grant
from tundish.flows.ledger import list_ledger
from tundish.flows.line import LineOptions, run_line, summarise
from tundish.flows.open_package import _answer, open_package, warning_of
from tundish.flows.permit import GrantPermit
from tundish.flows.withdrawn import withdrawn_in
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical
from tundish.kernel.clock import ManualClock
from tundish.kernel.digest import of_bytes
from tundish.line.events import Event
from tundish.line.recording import Recording, Track
from tundish.line.rehearsal import ReplayProcess
from tundish.line.samples import to_us
from tundish.seal import revocation
from tundish.seal.errors import ClockSetBackError

DAY_S = 86_400.0


class Line:
    """A box with an open model and the permit of its grant."""

    def __init__(self, desk: Any, root: Path, **permit: Any) -> None:
        self.desk = desk
        self.box: Workspace = desk.box(root)
        self.clock: ManualClock = self.box.clock
        self.file = root / "model.grant"
        grace_s = permit.pop("grace_s", 0)
        self.renew(days=40, grace_s=grace_s)
        model = open_package(self.box, desk.package, self.file)
        self.permit = GrantPermit(self.box, model, self.file, **permit)

    def renew(self, days: float, **terms: Any) -> None:
        order = GrantOrder(
            device=self.box.device_text, purpose="p", valid_s=days * DAY_S, **terms
        )
        grant(self.desk.plant, self.desk.package, order, self.file)

    def after(self, days: float) -> Any:
        self.clock.advance(days * DAY_S)
        self.desk.clock.advance(days * DAY_S)
        return self.permit.look()


def test_it_warns_once_at_30_14_and_7_days(desk: Any, tmp_path: Path) -> None:
    line = Line(desk, tmp_path / "box")
    told = [line.after(0.5).note for _ in range(79)]
    days = [at for at, note in enumerate(told, start=1) if note]
    assert days == [20, 52, 66]
    assert "runs out in 30.0 days" in told[19]
    assert not any(line.permit.look().over for _ in range(3))
    assert line.after(0.5).over


def test_a_renewal_is_not_advised_where_the_package_ends_first(
    desk: Any, tmp_path: Path
) -> None:
    line = Line(desk, tmp_path / "box")  # its package ends after 3,650 days
    line.renew(days=3_700)
    note = line.after(3_630).note
    assert "The package runs out in 20.0 days" in note
    assert "renewal" not in note


def test_the_last_hours_of_a_trial_are_not_none() -> None:
    """It said "The grant runs out in 0.0 days"."""
    assert "runs out in 60 minutes" in warning_of(3600.0)
    assert "runs out in 1.5 days" in warning_of(1.5 * DAY_S)


def test_a_grant_that_outlives_its_package_says_so(
    desk: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = desk.box(tmp_path / "box")
    command = ["grant", str(desk.package), "--device", box.device_text]
    at = ["--workspace", str(desk.plant.root), "--days"]
    for days, said in (("3000", False), ("20000", True)):
        assert main.status([*command, *at, days]) == 0
        out = " ".join(capsys.readouterr().out.split())
        assert ("but the package ends at 20" in out) == said


def test_the_end_comes_at_a_safe_point_within_the_signed_grace(
    desk: Any, tmp_path: Path
) -> None:
    """The desk opens at 08:00, so the grant ends at 08:00; the shift ends at 14:00."""
    line = Line(desk, tmp_path / "a", grace_s=86_400, safe_points=["14:00"])
    assert not line.after(40).over
    assert not line.after(5.9 / 24).over
    assert line.after(0.1 / 24).over
    short = Line(desk, tmp_path / "b", grace_s=3600, safe_points=["20:00"])
    assert not short.after(40).over
    assert short.after(1 / 24).over


def test_a_renewal_counts_and_a_wrong_one_does_not(desk: Any, tmp_path: Path) -> None:
    line = Line(desk, tmp_path / "box")
    whole = line.file.read_bytes()
    line.after(35)
    line.file.write_bytes(whole[:-30])
    assert "does not count: [grant-tampered]" in line.permit.look().note
    line.renew(days=60)
    found = line.permit.look()
    assert found.note.startswith("The grant now ends at")
    assert found.ends_at == line.clock.now() + timedelta(days=60)
    line.file.write_bytes(whole)
    assert "[grant-older]" in line.permit.look().note
    assert not line.after(59).over
    assert line.after(1).over
    acts = [(e.act, e.code) for _, e in list_ledger(line.box) if "renewed" in e.act]
    assert acts == [
        ("grant-renewed", "grant-tampered"),
        ("grant-renewed", ""),
        ("grant-renewed", "grant-older"),
    ]


def test_the_same_file_written_again_is_no_use(desk: Any, tmp_path: Path) -> None:
    line = Line(desk, tmp_path / "box")
    before = line.box.freshness()._file.seen().uses
    line.file.write_bytes(line.file.read_bytes())
    line.permit.look()
    assert line.box.freshness()._file.seen().uses == before


def test_a_clock_set_back_while_it_runs_does_not_move_the_end(
    desk: Any, tmp_path: Path
) -> None:
    line = Line(desk, tmp_path / "box")
    line.after(39)
    set_back = line.after(-20)
    assert "The clock was set back" in set_back.note
    assert not line.permit.look().note
    assert not set_back.over
    assert line.after(21).over
    line.clock.advance(-10 * DAY_S)
    with pytest.raises(ClockSetBackError):
        open_package(line.box, desk.package, line.file)


def withdrawable(desk: Any, folder: Path) -> tuple[Line, list[datetime]]:
    """Return a line that stops at 14:00 once a moment is put into the list."""
    gone: list[datetime] = []
    line = Line(
        desk,
        folder,
        grace_s=86_400,
        safe_points=["14:00"],
        revoked=lambda _model, _grant: gone[0] if gone else None,
    )
    return line, gone


def test_a_withdrawal_ends_the_line_at_its_safe_point(
    desk: Any, tmp_path: Path
) -> None:
    line, gone = withdrawable(desk, tmp_path / "box")
    assert not line.after(1).over
    gone.append(line.clock.now())
    found = line.permit.look()
    assert not found.over
    assert "withdrawn" in found.reason
    assert line.after(6 / 24).over


def test_a_withdrawal_of_days_ago_waits_for_the_next_safe_point(
    desk: Any, tmp_path: Path
) -> None:
    line, gone = withdrawable(desk, tmp_path / "box")
    gone.append(line.clock.now())
    line.clock.advance(3 * DAY_S)
    assert not line.permit.look().over
    assert not line.after(5 / 24).over
    assert line.after(1 / 24).over


def test_a_list_that_is_taken_away_brings_no_package_back(
    desk: Any, tmp_path: Path
) -> None:
    line = Line(desk, tmp_path / "box")
    model, asked = line.permit._model, withdrawn_in(line.box)
    assert asked(model, model.grant) is None
    since = desk.clock.now()
    entry = revocation.entry("package", desk.digest, since, "withdrawn")
    trust.revoke(desk.plant, [entry], tmp_path / "list.txt")
    taken = trust.take_revocations(line.box, (tmp_path / "list.txt").read_bytes())
    assert asked(model, model.grant) == since
    Path(taken.file).unlink()
    assert asked(model, model.grant) == since


def test_a_list_that_is_just_being_replaced_ends_no_line(
    desk: Any, tmp_path: Path
) -> None:
    """A name that leads nowhere is what is seen between the folder and its file."""
    line = Line(desk, tmp_path / "box")
    model, asked = line.permit._model, withdrawn_in(line.box)
    folder = line.box.inner / "revocations"
    folder.mkdir(exist_ok=True)
    (folder / "gone.txt").symlink_to("nowhere")
    assert asked(model, model.grant) is None
    (folder / "gone.txt").unlink()
    assert asked(model, model.grant) is None


def test_a_second_list_of_the_same_tick_counts(desk: Any, tmp_path: Path) -> None:
    """Files that are written within some milliseconds have one time."""
    line = Line(desk, tmp_path / "box")
    model, asked = line.permit._model, withdrawn_in(line.box)
    since, times, files = desk.clock.now(), [], []
    for digest in (of_bytes(b"another"), desk.digest):
        entry = revocation.entry("package", digest, since, "withdrawn")
        trust.revoke(desk.plant, [entry], tmp_path / "list.txt")
        taken = trust.take_revocations(line.box, (tmp_path / "list.txt").read_bytes())
        files.append(taken.file)
        times.append(Path(taken.file).stat().st_mtime_ns)
        os.utime(taken.file, ns=(times[0], times[0]))
        assert asked(model, model.grant) == (since if len(times) == 2 else None)
    assert files[0] == files[1]


def test_a_new_grant_is_not_answered_with_what_was_said_of_the_old(
    desk: Any, tmp_path: Path
) -> None:
    line = Line(desk, tmp_path / "box")
    model, asked = line.permit._model, withdrawn_in(line.box)
    old, since = model.grant, desk.clock.now()
    assert old is not None
    entry = revocation.entry("grant", old.grant, since, "lost")
    trust.revoke(desk.plant, [entry], tmp_path / "list.txt")
    trust.take_revocations(line.box, (tmp_path / "list.txt").read_bytes())
    assert asked(model, old) == since
    line.renew(days=50)
    assert asked(model, open_package(line.box, desk.package, line.file).grant) is None
    assert asked(model, old) == since


def test_a_line_says_that_its_time_cannot_be_remembered(
    desk: Any, tmp_path: Path
) -> None:
    line = Line(desk, tmp_path / "box")
    assert not line.after(1).note
    (line.box.inner / "freshness.json").write_bytes(b"{")
    assert "The time cannot be remembered: [freshness-" in line.after(1).note


def test_what_is_not_finite_or_of_no_known_distance_is_no_answer() -> None:
    none = float("nan")
    assert _answer({"estimate": 1.0, "applicability": 0.5}, "").outputs
    for numbers in (
        {"estimate": 1.0},
        {"estimate": 1.0, "applicability": none},
        {"estimate": 1.0, "applicability": float("inf")},
        {"estimate": none, "applicability": 0.5},
        {"estimate": 1.0, "applicability": 1.5},
    ):
        found = _answer(numbers, "")
        assert found.abstained
        assert "estimate" not in found.outputs


@pytest.mark.integration
@pytest.mark.slow
def test_a_renewal_reaches_a_running_line_without_the_model(
    desk: Any, tmp_path: Path
) -> None:
    """End to end over OPC UA; the package is deleted once the line runs."""
    line = Line(desk, tmp_path / "box")
    desk.package.rename(tmp_path / "box" / "model.tar")
    package = tmp_path / "box" / "model.tar"
    start_us = to_us(datetime.fromisoformat("2026-01-01T00:00:00+00:00"))
    at_us = start_us + np.arange(4000) * 10_000_000
    values = np.sin(np.arange(4000.0))[:, None]
    recording = Recording(tracks={"level": Track(at_us=at_us, values=values)})
    heard: list[Event] = []
    counts: list[int] = []
    steps: list[Callable[[], object]] = [
        lambda: line.clock.advance(35 * DAY_S),
        lambda: _renew(line, package),
        lambda: line.clock.advance(20 * DAY_S),
        lambda: line.clock.advance(40 * DAY_S),
    ]

    with ReplayProcess(recording, tmp_path, speed=100.0) as replay:
        path = tmp_path / "box" / "a.line.yaml"
        path.write_bytes(canonical.dumps(_line_file(replay)))

        def listen(event: Event) -> None:
            heard.append(event)
            if event.kind == "started":
                replay.begin()
                package.rename(tmp_path / "away.tar")
            found = event.detail.get("scored", 0)
            if event.kind == "progress" and isinstance(found, int) and found and steps:
                counts.append(found)
                steps.pop(0)()

        options = LineOptions(
            clock=replay.clock, stale_grace_s=replay.stale_grace_s, on_event=listen
        )
        report = run_line(line.box, path, options)
    assert report.ended == "grant"
    assert counts == sorted(set(counts)), "it goes on between the steps"
    assert report.scored >= counts[-1] > counts[0]
    assert summarise(report).budget["asked"] == report.scored
    said = " ".join(report.grant_notes)
    assert "runs out in 5.0 days" in said
    assert "The grant now ends at" in said
    assert "does not count" not in said
    assert report.states[-1].state == "stale"
    acts = [entry.act for _, entry in list_ledger(line.box)]
    assert acts.count("grant-renewed") == 1
    assert acts.count("line-grant-over") == 1
    assert "line-grant" in acts
    assert summarise(report).grant_until.startswith("2026-06-04")


def _renew(line: Line, package: Path) -> None:
    """Issue the renewal at the owner's desk, who still has the package."""
    line.desk.clock.advance(35 * DAY_S)
    away = package.parent.parent / "away.tar"
    order = GrantOrder(device=line.box.device_text, purpose="p", valid_s=60 * DAY_S)
    grant(line.desk.plant, away, order, line.file)


def _line_file(replay: ReplayProcess) -> dict[str, canonical.Json]:
    nodes: dict[str, canonical.Json] = {
        name: str(node) for name, node in replay.source_nodes(["level"]).items()
    }
    answers: dict[str, canonical.Json] = dict(
        replay.sink_nodes("estimate", "state", "state_reason")
    )
    return {
        "format": "tundish.line",
        "version": 1,
        "name": "renewed",
        "package": "model.tar",
        "grant": "model.grant",
        "buffer": {"path": "buffer.db", "durability": "process"},
        "sources": [
            {
                "kind": "opcua",
                "endpoint": replay.endpoint,
                "nodes": nodes,
                "options": {"publishing_ms": 10},
            }
        ],
        "sinks": [{"kind": "opcua", "endpoint": replay.endpoint, "nodes": answers}],
    }


class SetBackClock(ManualClock):
    """A wall clock that somebody turns; the monotonic one goes on by itself."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self.ran_s = 0.0

    def monotonic_s(self) -> float:
        return self.ran_s


def test_the_end_comes_by_the_monotonic_clock_too(desk: Any, tmp_path: Path) -> None:
    line = Line(desk, tmp_path / "box")
    line.box.clock = turned = SetBackClock(line.clock.now())
    model = open_package(line.box, desk.package, line.file)
    permit = GrantPermit(line.box, model, line.file)
    turned.ran_s = 40 * DAY_S - 1
    assert not permit.look().over
    turned.ran_s = 40 * DAY_S
    assert permit.look().over
