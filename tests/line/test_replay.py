"""Laws of the replayed plant: its own process, its own time, and never an orphan."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tundish.kernel.clock import ManualClock
from tundish.line import plugins
from tundish.line.engine import LineEngine
from tundish.line.errors import RecordingInvalidError, ReplayFailedError
from tundish.line.linefile import SourceSpec
from tundish.line.parts import EngineOptions, LineParts
from tundish.line.recording import (
    Recording,
    Stretch,
    read_recording,
    write_recording,
)
from tundish.line.rehearsal import ReplayClock, ReplayProcess
from tundish.line.samples import from_us

Kit = Any  # the class lives in conftest, which cannot be imported


def _recording(kit: Kit, rows: int, channels: int = 3) -> Recording:
    at = kit.START_US + np.arange(rows) * 10_000_000
    values = np.arange(rows, dtype=np.float64)[:, None] + np.zeros(channels)
    return Recording.of(at.astype("datetime64[us]"), {"level": values})


def test_a_recording_comes_back_as_it_was(kit: Kit, tmp_path: Path) -> None:
    recording = _recording(kit, 5)
    write_recording(tmp_path / "run.npz", recording)
    again = read_recording(tmp_path / "run.npz")
    assert list(again.tracks) == ["level"]
    assert np.array_equal(again.tracks["level"].at_us, recording.tracks["level"].at_us)
    assert np.array_equal(
        again.tracks["level"].values, recording.tracks["level"].values
    )
    assert (again.start_us, again.end_us) == (
        kit.START_US,
        kit.START_US + 40_000_000,
    )


def test_a_file_that_is_no_recording_is_refused(kit: Kit, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    path.write_bytes(b"no zip")
    with pytest.raises(RecordingInvalidError, match="no recording"):
        read_recording(path)
    times = np.array([3, 2, 1], "datetime64[us]")
    with pytest.raises(RecordingInvalidError, match="rising times"):
        Recording.of(times, {"level": np.zeros(3)})
    with pytest.raises(RecordingInvalidError, match="usable signals"):
        Recording.of(times, {"level": np.zeros(4)})


def test_the_replay_clock_runs_along_the_replayed_time(kit: Kit) -> None:
    start = from_us(kit.START_US)
    wall = ManualClock(start)
    clock = ReplayClock(start, 1000.0, wall)
    wall.advance(5)
    assert (clock.now(), clock.monotonic_s()) == (start, 0.0)
    clock.begin(7.0)
    wall.advance(1)
    assert clock.monotonic_s() == 0.0
    wall.advance(3)
    assert clock.monotonic_s() == pytest.approx(2000.0)
    assert (clock.now() - start).total_seconds() == pytest.approx(2000.0)


@pytest.mark.integration
@pytest.mark.parametrize("cut_from", [10, 0], ids=["in-the-middle", "nothing-heard"])
def test_a_line_follows_a_replayed_run_through_a_cut_and_a_hole(
    kit: Kit, tmp_path: Path, cut_from: int
) -> None:
    """Also if the link is lost before a first value was heard.

    That the line is stale meanwhile is a law of test_ua_chaos, at the pace of a plant.
    """
    recording = _recording(kit, 60)
    scenario = kit.scenario(channels=3)
    with (
        ReplayProcess(
            recording,
            tmp_path,
            speed=400.0,
            cuts=[Stretch(cut_from, 30)],
            forgets=[Stretch(15, 18)],
        ) as plant,
        kit.buffer(tmp_path / "b", scenario) as buffer,
    ):
        source = SourceSpec(
            kind="opcua",
            endpoint=plant.endpoint,
            nodes=plant.source_nodes(["level"]),
            options={"publishing_ms": 20, "retry_first_s": 0.1, "retry_max_s": 0.1},
        )
        parts = LineParts(
            scenario=scenario,
            scorer=kit.MeanScorer(),
            model=kit.MODEL,
            sources=(plugins.open_source(source, scenario),),
            buffer=buffer,
        )
        options = EngineOptions(
            until=from_us(recording.end_us), stale_grace_s=plant.stale_grace_s
        )
        engine = LineEngine(
            parts,
            options=options,
            clock=plant.clock,
            on_event=lambda event: plant.begin() if event.kind == "started" else None,
        )
        report = asyncio.run(engine.run())
    rows = [row for row in range(60) if row not in (15, 16, 17)]
    assert report.table.value.tolist() == rows
    assert len(report.gaps) == 1
    assert report.ended == "until"


@pytest.mark.integration
def test_a_replay_that_cannot_start_is_said(kit: Kit, tmp_path: Path) -> None:
    taken = _recording(kit, 2)
    (tmp_path / "replay.npz").mkdir()
    with pytest.raises(Exception, match=r"replay\.npz"):
        ReplayProcess(taken, tmp_path, speed=1.0)


PARENT = """
    import sys, time
    from pathlib import Path
    from tundish.line.recording import read_recording
    from tundish.line.rehearsal import ReplayProcess

    folder = Path(sys.argv[1])
    plant = ReplayProcess(read_recording(folder / "run.npz"), folder, speed=1.0)
    sys.stdout.write(f"{plant._child.pid}\\n")
    sys.stdout.flush()
    time.sleep(60)
"""


@pytest.mark.integration
def test_the_replay_dies_with_its_parent_even_by_kill_9(
    kit: Kit, tmp_path: Path
) -> None:
    write_recording(tmp_path / "run.npz", _recording(kit, 5))
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 15
    while _runs(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_child_that_says_nothing_is_a_clear_error(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ReplayFailedError, match="did not get ready"):
        ReplayProcess(_recording(kit, 2), tmp_path, speed=1.0)
