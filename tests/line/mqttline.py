"""A line over MQTT in a test's own loop, and what it did."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from tundish.line import plugins
from tundish.line.engine import LineEngine
from tundish.line.events import Event
from tundish.line.linefile import SinkSpec, SourceSpec
from tundish.line.parts import EngineOptions, LineParts
from tundish.line.rehearsal import ReplayClock
from tundish.line.report import LineReport
from tundish.line.samples import from_us

QUICK: dict[str, bool | int | float | str] = {
    "timeout_s": 1.0,
    "probe_s": 0.3,
    "retry_first_s": 0.05,
    "retry_max_s": 0.2,
}
PLACES: dict[str, bool | int | float | str] = {
    "time": "/t",
    "time_unit": "us",
    "value": "/v",
    "quality": "/q",
}
SPEED = 100.0


def payload(kit: Any, row: int, value: object = None, **more: object) -> str:
    """Return the message of a row, 10 s apart; its number is the row's."""
    number = float(row) if value is None else value
    document = {"t": kit.START_US + row * 10_000_000, "v": number, "q": "good"}
    return json.dumps(document | more)


class MqttLine:
    """A line with one source, and one sink if it is named; ``live`` in real time."""

    def __init__(
        self,
        kit: Any,
        folder: Path,
        source: SourceSpec,
        sink: SinkSpec | None = None,
        *,
        live: bool = False,
        **changes: Any,
    ) -> None:
        self.kit = kit
        self.scenario = kit.scenario(**changes)
        self.buffer = kit.buffer(folder / "buffer.db", self.scenario)
        self.clock = ReplayClock(from_us(kit.START_US), SPEED)
        self.events: list[Event] = []
        self.scorer = kit.MeanScorer()
        sinks = (plugins.open_sink(sink, self.scenario),) if sink else ()
        self.source = plugins.open_source(source, self.scenario)
        self.engine = LineEngine(
            LineParts(
                scenario=self.scenario,
                scorer=self.scorer,
                model=kit.MODEL,
                sources=(self.source,),
                sinks=sinks,
                buffer=self.buffer,
            ),
            options=EngineOptions(
                tick_s=0.02, sink_pauses_s=(0.1, 0.2), stale_grace_s=20.0
            ),
            clock=None if live else self.clock,
            on_event=self.events.append,
        )

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events if event.kind != "progress"]

    def texts(self, kind: str) -> list[str]:
        return [event.text for event in self.events if event.kind == kind]

    def states(self) -> list[str]:
        return [str(e.detail["state"]) for e in self.events if e.kind == "state"]

    def rows(self) -> list[float]:
        found = self.buffer.estimates_after(0, limit=10**6)
        return [(e.at_us - self.kit.START_US) / 1e7 for e in found]

    async def until(self, condition: Callable[[], bool]) -> None:
        await self.kit.eventually(condition, 20.0)

    def run(self, script: Callable[[], Awaitable[None]]) -> LineReport:
        """Run the line, and a script as soon as its link is up; close the buffer."""

        async def job() -> LineReport:
            stop = asyncio.Event()
            running = asyncio.create_task(self.engine.run(stop))
            try:
                await self.until(lambda: "started" in self.kinds() or running.done())
                if not running.done():
                    self.clock.begin(asyncio.get_running_loop().time())
                    await script()
            finally:
                stop.set()
                report = await running
            return report

        try:
            return asyncio.run(job())
        finally:
            self.final = self.rows()
            self.buffer.close()


async def aside(job: Callable[..., Any], *arguments: Any) -> Any:
    """Do something that blocks without stopping the line's loop."""
    return await asyncio.get_running_loop().run_in_executor(None, job, *arguments)


def source_spec(
    endpoint: str,
    nodes: Mapping[str, Any] | None = None,
    **options: bool | float | str,
) -> SourceSpec:
    """Return a source of JSON payloads on one topic."""
    return SourceSpec.model_validate(
        {
            "kind": "mqtt",
            "endpoint": endpoint,
            "nodes": nodes or {"level": "plant/level"},
            "options": QUICK | PLACES | options,
        }
    )


def sink_spec(endpoint: str, **options: bool | float | str) -> SinkSpec:
    """Return a sink with both topics."""
    return SinkSpec(
        kind="mqtt",
        name="answers",
        endpoint=endpoint,
        nodes={"answer": "plant/answer", "state": "plant/state"},
        options=QUICK | options,
    )
