"""Law: a line killed at random moments, on a server in real time, loses nothing.

20 times here, 100 times with ``make chaos`` (TUNDISH_CHAOS=100).
"""

from __future__ import annotations

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
from tests.line.test_kill import LINE
from tests.line.ua_peer import WRAP, Papers, PlantProcess

Kit = Any

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

PERIOD_S = 0.05
SECURED = """
    from tundish.line.security import SecuritySpec
    spec = spec.model_copy(update={"security": SecuritySpec(
        policy="basic256sha256",
        certificate=str(folder / "line.crt"),
        key=str(folder / "line.key"),
        trust=str(folder / "server.crt"),
    )})
"""


def _kills() -> int:
    return int(os.environ.get("TUNDISH_CHAOS", "20"))


@pytest.mark.parametrize("secured", [False, True], ids=["open", "secured"])
def test_a_line_killed_at_random_moments_loses_nothing_and_doubles_nothing(
    kit: Kit, tmp_path: Path, secured: bool
) -> None:
    rng = np.random.default_rng(6)
    scenario = kit.scenario(periods={"t0": PERIOD_S}, rows=1)
    (tmp_path / "scenario.json").write_text(scenario.model_dump_json(by_alias=True))
    code = LINE.replace("signals={signal: 3}", "signals={signal: 1}")
    extra: dict[str, Any] = {}
    if secured:
        extra = Papers(tmp_path).server()
        code = code.replace("    class Scorer:", SECURED + "\n    class Scorer:")
    acknowledged = 0
    with PlantProcess(tmp_path, period_s=PERIOD_S, **extra) as plant:
        command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
        command += [plant.endpoint, "t0"]
        kills = _kills() if not secured else max(5, _kills() // 4)
        for _ in range(kills):
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
                assert child.stdout is not None
                child.stdout.readline()  # it runs
                time.sleep(rng.uniform(0.0, 0.5))
                os.kill(child.pid, signal.SIGKILL)
                last = child.stdout.read().splitlines()
            acknowledged = max(acknowledged, _written(last))
        started = plant.start_us
        with kit.buffer(tmp_path / "buffer.db", scenario) as buffer:
            times = [s.at_us for s in buffer.samples_after(0, limit=10**6)]
            answers = buffer.estimates_after(0, limit=10**6)
            assert buffer.gaps() == []
    rows = [round((e.at_us - started) / (PERIOD_S * 1e6)) for e in answers]
    assert rows == list(range(rows[0], rows[0] + len(rows))), (
        "lost, doubled or unordered"
    )
    assert [e.value for e in answers] == [row % WRAP for row in rows], "invented"
    assert times == sorted(set(times))
    assert len(answers) >= acknowledged
    assert len(answers) > kills


def _written(lines: list[str]) -> int:
    return int(lines[-1].split()[0]) if lines and " " in lines[-1] else 0
