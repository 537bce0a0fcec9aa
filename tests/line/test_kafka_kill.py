"""Law: a line on Kafka killed at any moment loses nothing that was acknowledged.

``TUNDISH_KILLS`` says how often; ``make kill-line`` and ``make chaos`` take a hundred.
What was read is noted twenty times a second here, so that kills fall around it.
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

pytest.importorskip("confluent_kafka")

from tests.line.kafka_plant import Mock, Talker, running
from tests.line.mqttline import payload

from tundish.kernel.clock import to_text
from tundish.line.samples import from_us

Kit = Any  # the classes live in conftest, which cannot be imported
KILLS = int(os.environ.get("TUNDISH_KILLS") or os.environ.get("TUNDISH_CHAOS", "10"))

LINE = """
    import asyncio, sys
    from pathlib import Path
    from tundish.catalog.scenario import Scenario
    from tundish.kernel.digest import of_bytes
    from tundish.line import kafkafeed, plugins
    from tundish.line.buffer import LineBuffer
    from tundish.line.engine import LineEngine
    from tundish.line.linefile import SourceSpec
    from tundish.line.parts import EngineOptions, LineParts

    kafkafeed.NOTE_S = 0.05
    folder, endpoint = Path(sys.argv[1]), sys.argv[2]
    scenario = Scenario.model_validate_json((folder / "scenario.json").read_bytes())
    spec = SourceSpec(
        kind="kafka",
        endpoint=endpoint,
        nodes={"level": "killed"},
        options={"time": "/t", "time_unit": "us", "value": "/v"},
    )

    class Scorer:
        def run(self, window):
            mean = window.mean(axis=(1, 2)).reshape(-1, 1)
            names = ("estimate", "lower", "upper")
            return dict.fromkeys(names, mean) | {"applicability": mean * 0}

    parts = LineParts(
        scenario=scenario,
        scorer=Scorer(),
        model=of_bytes(b"m"),
        sources=(plugins.open_source(spec, scenario),),
        buffer=LineBuffer(
            folder / "buffer.db", scenario=scenario.key, signals={"level": 1}
        ),
    )
    options = EngineOptions(backfill_max_s=1e9, tick_s=0.01, progress_s=0.02)

    def say(event):
        if event.kind == "started":
            sys.stdout.write("started\\n")
        if event.kind == "progress":
            sys.stdout.write(f"{event.detail['settled_until']}\\n")
        sys.stdout.flush()

    asyncio.run(LineEngine(parts, options=options, on_event=say).run())
"""


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(60 + 5 * KILLS)
def test_a_line_killed_at_random_moments_goes_on_where_it_was(
    kit: Kit, tmp_path: Path
) -> None:
    rng = np.random.default_rng(11)
    scenario = kit.scenario(rows=2)
    (tmp_path / "scenario.json").write_text(scenario.model_dump_json(by_alias=True))
    row = 0
    with running(Mock()) as broker:
        broker.create("killed")
        talker = Talker(broker, "killed")
        command = [sys.executable, "-c", textwrap.dedent(LINE), str(tmp_path)]
        for turn in range(KILLS + 1):
            with subprocess.Popen(
                [*command, broker.endpoint], stdout=subprocess.PIPE, text=True
            ) as child:
                assert child.stdout is not None
                assert child.stdout.readline() == "started\n"
                end = time.monotonic() + (rng.uniform(0.0, 0.4) if turn < KILLS else 1)
                while time.monotonic() < end:
                    for _ in range(int(rng.integers(1, 20))):
                        talker.say(payload(kit, row, _value(row)))
                        row += 1
                    time.sleep(0.004)
                last = to_text(from_us(kit.sample(row - 1).at_us))
                while turn == KILLS and child.stdout.readline().strip() != last:
                    pass
                os.kill(child.pid, signal.SIGKILL)
            for _ in range(3):  # the plant goes on while the line is dead
                talker.say(payload(kit, row, _value(row)))
                row += 1
        talker.flush()
    with kit.buffer(tmp_path / "buffer.db", scenario) as buffer:
        samples = [s.at_us for s in buffer.samples_after(0, limit=10**6)]
        answers = buffer.estimates_after(0, limit=10**6)
        gaps = buffer.gaps()
    assert gaps == []
    assert samples == [kit.sample(n).at_us for n in range(row - 3)]
    assert [e.at_us for e in answers] == samples, "an answer is lost or out of order"
    means = [(_value(n - 1) + _value(n)) / 2 for n in range(1, row - 3)]
    assert [e.value for e in answers[1:]] == means
    assert row > 20 * KILLS


def _value(row: int) -> float:
    return float(row % 500)
