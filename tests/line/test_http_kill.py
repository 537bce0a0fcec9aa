"""Law: a line killed at any moment while posts arrive keeps what it has answered with 200.

``TUNDISH_KILLS`` says how often; ``make kill-line`` and ``make chaos`` take a hundred.
"""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.line.http_plant import TOKEN
from tests.line.mqttline import payload
from tests.ports import free_port

Kit = Any  # the classes live in conftest, which cannot be imported
KILLS = int(os.environ.get("TUNDISH_KILLS") or os.environ.get("TUNDISH_CHAOS", "20"))

LINE = """
    import asyncio, sys
    from pathlib import Path
    from tundish.catalog.scenario import Scenario
    from tundish.kernel.digest import of_bytes
    from tundish.line import plugins
    from tundish.line.buffer import LineBuffer
    from tundish.line.engine import LineEngine
    from tundish.line.linefile import SourceSpec
    from tundish.line.parts import EngineOptions, LineParts
    from tundish.line.security import SecretRef, SecuritySpec

    folder, endpoint = Path(sys.argv[1]), sys.argv[2]
    scenario = Scenario.model_validate_json((folder / "scenario.json").read_bytes())
    spec = SourceSpec(
        kind="http-receive",
        endpoint=endpoint,
        security=SecuritySpec(token=SecretRef(file=str(folder / "token"))),
        nodes={"level": "/v"},
        options={"time": "/t", "time_unit": "us", "rate": 9999.0},
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

    def say(event):
        if event.kind == "started":
            sys.stdout.write("started\\n")
            sys.stdout.flush()

    asyncio.run(LineEngine(parts, options=EngineOptions(), on_event=say).run())
"""


class Poster:
    """Posts rows one after the other, and again what was not answered with 200."""

    def __init__(self, kit: Any, port: int) -> None:
        self._kit, self._port = kit, port
        self.row = 0
        self.acknowledged: list[int] = []
        self.again = 0

    def post_until_it_dies(self) -> None:
        link = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            while True:
                body = payload(self._kit, self.row, float(self.row % 500))
                headers = {
                    "Authorization": f"Bearer {TOKEN}",
                    "Idempotency-Key": f"row-{self.row}",
                }
                link.request("POST", "/rows", body, headers)
                answer = link.getresponse()
                answer.read()
                assert answer.status in {200, 503}
                if answer.status == 200:
                    self.acknowledged.append(self.row)
                    self.row += 1
        except (OSError, http.client.HTTPException):
            self.again += 1
        finally:
            link.close()


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(60 + 5 * KILLS)
def test_a_line_killed_while_posts_arrive_keeps_each_row_it_acknowledged_once(
    kit: Kit, tmp_path: Path
) -> None:
    rng = np.random.default_rng(17)
    scenario = kit.scenario(rows=2)
    (tmp_path / "scenario.json").write_text(scenario.model_dump_json(by_alias=True))
    (tmp_path / "token").write_text(TOKEN)
    port = free_port()
    poster = Poster(kit, port)
    command = [sys.executable, "-c", textwrap.dedent(LINE), str(tmp_path)]
    for _ in range(KILLS):
        with subprocess.Popen(
            [*command, f"http://127.0.0.1:{port}/rows"],
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "started\n"
            wait_s = rng.uniform(0.01, 0.3)
            killer = threading.Timer(wait_s, os.kill, (child.pid, signal.SIGKILL))
            killer.start()
            poster.post_until_it_dies()
            killer.join()
    with kit.buffer(tmp_path / "buffer.db", scenario) as buffer:
        samples = [s.at_us for s in buffer.samples_after(0, limit=10**6)]
        answers = buffer.estimates_after(0, limit=10**6)
    acknowledged = [kit.sample(n).at_us for n in poster.acknowledged]
    assert samples[: len(acknowledged)] == acknowledged, "lost, doubled or out of order"
    assert len(samples) - len(acknowledged) <= 1, "the one whose answer was lost"
    assert [e.at_us for e in answers] == samples[: len(answers)]
    for n, one in enumerate(answers[1:], start=1):
        assert one.value == ((n - 1) % 500 + n % 500) / 2
    assert poster.again == KILLS
    assert len(acknowledged) > KILLS  # each is on disk before it is one
