"""Law: a line killed at any moment around a switch has one serving package afterwards.

It is the one that the ledger says, each answer on disk is of the package whose digest it
bears, and no row is lost, doubled or out of order. ``TUNDISH_CHAOS`` says how often it is
killed (10 here, 100 with ``make chaos``).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.flows.conftest import START
from tests.flows.staged_line import StagedLine

from tundish.flows.errors import NothingToRollBackError
from tundish.flows.ledger import list_ledger
from tundish.flows.versions import ACTS, roll_back, standing
from tundish.kernel.clock import from_text, to_text
from tundish.line.samples import to_us

KILLS = int(os.environ.get("TUNDISH_CHAOS", "10"))

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(120 + 10 * KILLS),
]

LINE = """
import os, signal, sys
from pathlib import Path
from tundish.flows import versions
from tundish.flows.line import LineOptions, run_line
from tundish.flows.workspace import Workspace
from tundish.kernel.clock import ManualClock, from_text
from tundish.line.pipeline import Pipeline

def die(*_args, **_more):
    os.kill(os.getpid(), signal.SIGKILL)

def record(self, act, **more):
    if act != "line-switched":
        return known(self, act, **more)
    if point == "before-the-act":
        die()
    known(self, act, **more)
    if point == "after-the-act":
        die()

root, line, now, point = sys.argv[1:]
known = Workspace.record
Workspace.record = record
if point == "before-it-answers":
    Pipeline.follow = die

def heard(event):
    if event.kind in {"started", "switched", "rolled-back"}:
        print(event.kind, flush=True)

clock = ManualClock(from_text(now))
run_line(Workspace(Path(root), clock), Path(line), LineOptions(on_event=heard))
"""


@contextmanager
def _child(line: StagedLine, point: str = "") -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", LINE, str(line.box.root), str(line.path)]
    command += [to_text(START), point]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "started\n"
        try:
            yield child
        finally:
            child.kill()


def _served(line: StagedLine) -> list[str]:
    """Return what served one after the other, as the ledger says."""
    found: list[str] = []
    for _, entry in list_ledger(line.box):
        slots: Any = entry.detail.get("slots")
        if entry.act in ACTS and (not found or slots["serving"] != found[-1]):
            found.append(slots["serving"])
    return found


def _check(line: StagedLine, kept: dict[int, str]) -> dict[int, str]:
    """Each answer says who gave it, as it did before, in an order that the ledger knows."""
    answers = line.answers()
    now = {one.at_us: one.model for one in answers}
    assert kept.items() <= now.items(), "an answer on disk was lost or changed"
    line.check_values(answers)
    served = iter(_served(line))
    for model, _ in groupby(now.values()):
        assert model in served, "one answered before the ledger said so"
    return now


def _settle(line: StagedLine) -> None:
    """Let what lies in the folder be answered, then end the line."""
    line.feed(3)
    last_us = line.start_us + (line.rows - 1) * 10_000_000
    line.wait(lambda: not [*line.inbox.glob("*.csv")])
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s:
        said = line.status()
        if said is not None and said.settled_until:
            settled_us = to_us(from_text(said.settled_until))
            if settled_us >= last_us:
                return
        time.sleep(0.05)
    pytest.fail("the line did not answer everything")


@pytest.mark.parametrize(
    "point", ["before-the-act", "after-the-act", "before-it-answers"]
)
def test_a_kill_within_the_switch_leaves_what_the_ledger_says(
    desk: Any, tmp_path: Path, point: str
) -> None:
    line = StagedLine(desk, tmp_path)
    package, digest = line.second()
    line.stage(package)
    line.feed(20)
    line.sign(line.signer())
    with _child(line, point) as child:
        line.feed(20)
        assert child.wait(20) == -signal.SIGKILL
    kept = _check(line, {})
    found = standing(line.box, "kiln")
    assert found is not None
    switched = point != "before-the-act"
    assert (found.slots.serving == digest) is switched
    with _child(line):
        if not switched:
            line.wait(lambda: len(_served(line)) == 2)
        _settle(line)
    kept = _check(line, kept)
    assert [*kept.values()][-1] == digest
    assert len(kept) == line.rows
    assert len(line.acts("line-switched")) == 1


def test_a_line_killed_at_random_around_its_switches_has_one_serving_package(
    desk: Any, tmp_path: Path
) -> None:
    rng = np.random.default_rng(11)
    line = StagedLine(desk, tmp_path)
    package, digest = line.second()
    ana = line.signer()
    kept: dict[int, str] = {}
    for n in range(KILLS):
        found = standing(line.box, "kiln")
        back = found is not None and found.slots.serving == digest
        if not back:
            line.stage(package)
            line.sign(ana, note=str(n))
        with _child(line):
            line.feed(int(rng.integers(1, 40)))
            if back:
                # what was asked for in the round before may be done already
                with suppress(NothingToRollBackError):
                    roll_back(line.box, line.path, wait_s=0)
            time.sleep(rng.uniform(0.0, 0.4 if n % 2 else 1.4))
            line.feed(int(rng.integers(1, 40)))
        kept = _check(line, kept)
    with _child(line):
        _settle(line)
    kept = _check(line, kept)
    assert len(kept) == line.rows
    assert len(_served(line)) > KILLS // 6
