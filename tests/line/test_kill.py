"""Law: a line killed at any moment loses nothing acknowledged, scores nothing twice."""

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

Kit = Any  # the classes live in conftest, which cannot be imported
Plant = Any

LINE = """
    import asyncio, sys
    from pathlib import Path
    import numpy as np
    from tundish.catalog.scenario import Scenario
    from tundish.kernel.digest import of_bytes
    from tundish.line import plugins
    from tundish.line.buffer import LineBuffer
    from tundish.line.engine import LineEngine
    from tundish.line.linefile import SourceSpec
    from tundish.line.parts import EngineOptions, LineParts

    folder, endpoint, signal = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    scenario = Scenario.model_validate_json((folder / "scenario.json").read_bytes())
    spec = SourceSpec(
        kind="opcua",
        endpoint=endpoint,
        nodes={signal: f"ns=2;s={signal}"},
        options={"publishing_ms": 10},
    )

    class Scorer:
        def run(self, window):
            mean = window.mean(axis=(1, 2)).reshape(-1, 1)
            return {
                "estimate": mean,
                "lower": mean - 1,
                "upper": mean + 1,
                "applicability": mean * 0,
            }

    parts = LineParts(
        scenario=scenario,
        scorer=Scorer(),
        model=of_bytes(b"m"),
        sources=(plugins.open_source(spec, scenario),),
        buffer=LineBuffer(
            folder / "buffer.db", scenario=scenario.key, signals={signal: 3}
        ),
    )
    options = EngineOptions(backfill_max_s=1e9, tick_s=0.01, progress_s=0.02)

    def say(event):
        detail = event.detail
        if event.kind == "progress":
            sys.stdout.write(f"{detail['estimates']} {detail['received']}\\n")
            sys.stdout.flush()

    asyncio.run(LineEngine(parts, options=options, on_event=say).run())
"""


@pytest.mark.integration
@pytest.mark.slow
def test_a_line_killed_in_mid_run_goes_on_where_it_was(
    kit: Kit, plant: Plant, tmp_path: Path
) -> None:
    rng = np.random.default_rng(9)
    tag = plant.signal()
    scenario = kit.scenario(periods={tag: 10.0}, channels=3, rows=2)
    (tmp_path / "scenario.json").write_text(scenario.model_dump_json(by_alias=True))
    command = [sys.executable, "-c", textwrap.dedent(LINE), str(tmp_path)]
    command += [plant.server.endpoint, tag]
    row, written = 0, 0
    plant.happen(tag, row)
    for _ in range(5):
        lived_s = rng.uniform(0.05, 0.6)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            child.stdout.readline()
            end = time.monotonic() + lived_s
            while time.monotonic() < end:
                row += 1
                plant.happen(tag, row)
                time.sleep(0.005)
            os.kill(child.pid, signal.SIGKILL)
            last = child.stdout.read().splitlines()
        written += int(last[-1].split()[0]) if last else 0
        for _ in range(3):  # the plant goes on while the line is dead
            row += 1
            plant.happen(tag, row)
    with kit.buffer(tmp_path / "buffer.db", scenario) as buffer:
        samples = [s.at_us for s in buffer.samples_after(0, limit=10**6)]
        answers = buffer.estimates_after(0, limit=10**6)
        gaps = buffer.gaps()
    rows = [(e.at_us - kit.START_US) // 10_000_000 for e in answers]
    assert gaps == []
    assert rows == list(range(len(rows))), "an answer is lost, doubled or out of order"
    assert samples == [kit.sample(n).at_us for n in range(len(samples))]
    assert written <= len(answers) <= len(samples)
    assert len(answers) > 30
    assert [e.why for e in answers if e.abstained] == ["too-few-rows"]
    assert [e.value for e in answers[1:]] == [n - 0.5 for n in rows[1:]]
