"""Law: a line on Sparkplug or Modbus killed at random moments invents and doubles nothing.

Neither keeps what was said while nobody listened: that time is a recorded gap. What had
an answer on disk before a kill has the same one after it. ``TUNDISH_CHAOS`` says how
often (8 here, 100 with ``make chaos``).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.line import mosquitto
from tests.line.modbus_plant import ModbusPlant
from tests.line.mosquitto import running
from tests.line.mqtt_plant import MqttPlant
from tests.line.test_mqtt_kill import LINE
from tests.line.watched import check_answers

Kit = Any
KILLS = int(os.environ.get("TUNDISH_CHAOS", "8"))

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(60 + 8 * KILLS),
]

SPECS = {
    "sparkplug": """SourceSpec(
        kind="sparkplug", endpoint=endpoint, nodes={"level": "G/E:level"},
        options={"rebirth_s": 0.2})""",
    "modbus": """SourceSpec(
        kind="modbus", endpoint=endpoint, nodes={"level": "holding:5"},
        options={"retry_first_s": 0.05})""",
}


def _code(kind: str) -> str:
    before, rest = LINE.split("spec = SourceSpec(", 1)
    after = rest.split("    )\n", 1)[1]
    return textwrap.dedent(f"{before}spec = {SPECS[kind]}\n{after}")


@contextmanager
def _plant(kind: str, folder: Path) -> Iterator[tuple[Any, str]]:
    if kind == "modbus":
        pytest.importorskip("pymodbus")
        with ModbusPlant() as made:
            made.late_us = 2_000_000
            yield made, f"modbus://127.0.0.1:{made.port}"
        return
    if mosquitto.MISSING:
        pytest.skip("mosquitto is not installed")
    with (
        running(folder / "broker") as broker,
        MqttPlant(broker.port, "E", sparkplug=True) as made,
    ):
        yield made, broker.endpoint


@pytest.mark.parametrize("kind", SPECS)
def test_a_line_killed_at_random_moments_invents_and_doubles_nothing(
    kit: Kit, tmp_path: Path, kind: str
) -> None:
    rng = np.random.default_rng(13)
    scenario = kit.scenario(periods={"level": 0.1}, stale_after_s=1.0, rows=1)
    (tmp_path / "scenario.json").write_text(scenario.model_dump_json(by_alias=True))
    kept: dict[int, float | None] = {}
    answers: list[Any] = []
    gaps: list[Any] = []
    with _plant(kind, tmp_path) as (plant, endpoint):
        command = [sys.executable, "-c", _code(kind), str(tmp_path), endpoint]
        for _ in range(KILLS + 1):
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
                assert child.stdout is not None
                assert child.stdout.readline() == "started\n"
                time.sleep(rng.uniform(0.1, 0.8))
                os.kill(child.pid, signal.SIGKILL)
            with kit.buffer(tmp_path / "buffer.db", scenario) as buffer:
                answers[:] = buffer.estimates_after(0, limit=10**6)
                gaps[:] = buffer.gaps()
            now = {one.at_us: one.value for one in answers}
            assert kept.items() <= now.items(), "an answer on disk was lost or changed"
            kept = now
        check_answers(plant, answers, gaps)
    assert len(gaps) >= KILLS // 4  # a short life on a busy machine reads nothing
    assert len(kept) > KILLS
