"""The plant of the demo: the real run, replayed by an OPC UA server on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tundish.data.binding import BoundTable
from tundish.flows.demo.told import Said
from tundish.flows.line import LineOptions, run_line
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical
from tundish.kernel.canonical import Json
from tundish.kernel.clock import to_text
from tundish.kernel.errors import PathMissingError
from tundish.line.events import Event
from tundish.line.recording import Recording, Stretch
from tundish.line.rehearsal import ReplayProcess
from tundish.line.report import LineReport
from tundish.line.samples import from_us

SPEED = 3_500.0
PACE = (
    f"replayed {SPEED:,.0f} times as fast; on top of the contract's ten minutes a quarter of a "
    "second of this machine's clock is granted for transport before the line is called stale"
)
CUT = Stretch(700, 900)
FORGOTTEN = Stretch(800, 820)


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What was carried to the edge box."""

    package: Path
    grant: Path


def run(
    edge: Workspace, table: BoundTable, carried: Carried, doing: Callable[[str], None]
) -> LineReport:
    """Replay the run at speed, cut the plant off for some seconds, and score it.

    While it is cut off the plant goes on; its historian keeps what happens, but for
    a stretch that it is told to forget.
    """
    if table.time is None:
        msg = "The run has no times to be replayed by."
        raise PathMissingError(msg)
    recording = Recording.of(table.time, {"spectrum": table.channels})
    folder = edge.root / "line"
    folder.mkdir()
    with ReplayProcess(
        recording, folder, speed=SPEED, cuts=[CUT], forgets=[FORGOTTEN]
    ) as replay:
        path = folder / "reactor.line.yaml"
        path.write_bytes(canonical.dumps(_line_file(replay, carried)))  # JSON is YAML

        def heard(event: Event) -> None:
            if event.kind == "started":
                replay.begin()
            if event.kind != "progress":
                doing(event.text)

        options = LineOptions(
            until=from_us(recording.end_us),
            clock=replay.clock,
            stale_grace_s=replay.stale_grace_s,
            on_event=heard,
        )
        report = run_line(edge, path, options)
    if report.ended == "interrupted":  # a line takes Ctrl-C as its stop; the demo ends
        raise KeyboardInterrupt
    return report


def told(report: LineReport) -> Iterator[Said]:
    """Say what the line did."""
    yield Said(
        text=report.one_line(), tone="good" if report.ended == "until" else "bad"
    )
    for change in report.states[1:]:
        if change.state == "stale":
            yield Said(
                text=f"  stale (red) at {to_text(change.at)[:19]}: {change.reason}",
                tone="bad",
            )
    yield Said(
        text=f"  {report.backfilled} samples that were missed came from the plant's history"
    )
    for gap in report.gaps:
        first, last = (to_text(from_us(at))[:19] for at in (gap.from_us, gap.to_us))
        yield Said(text=f"  gap recorded, {first} to {last}: {gap.reason}", tone="warn")
    yield Said(
        text=f"  {sum(report.abstained.values())} answers without a number: {_reasons(report)}; "
        f"{report.duplicates} repeated notifications ignored; out of order: {report.out_of_order}"
    )
    yield Said(text=f"  {PACE}", tone="dim")
    latency = report.latency_ms
    if "p99" in latency:
        yield Said(
            text=f"  from receipt to answer on disk: p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms",
            tone="dim",
        )


def _reasons(report: LineReport) -> str:
    return (
        ", ".join(f"{count} {why}" for why, count in sorted(report.abstained.items()))
        or "none"
    )


def _line_file(replay: ReplayProcess, carried: Carried) -> dict[str, Json]:
    nodes = replay.source_nodes(["spectrum"])
    inputs: dict[str, Json] = {name: str(node) for name, node in nodes.items()}
    answers: dict[str, Json] = dict(
        replay.sink_nodes("estimate", "lower", "upper", "state", "reason")
    )
    return {
        "format": "tundish.line",
        "version": 1,
        "name": "reactor",
        "mode": "shadow",
        "package": str(carried.package),
        "grant": str(carried.grant),
        "buffer": {"path": "buffer.db"},
        "sources": [
            {
                "kind": "opcua",
                "endpoint": replay.endpoint,
                "nodes": inputs,
                "options": {"publishing_ms": 10},
            }
        ],
        "sinks": [{"kind": "opcua", "endpoint": replay.endpoint, "nodes": answers}],
    }
