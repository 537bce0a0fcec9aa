"""Run a line: a sealed package on the plant's signals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from tundish.flows.control import control_of
from tundish.flows.desk import desk_of
from tundish.flows.open_package import OpenModel
from tundish.flows.permit import GrantPermit
from tundish.flows.succession import LineVersions, mode_for, opened, ranges_of
from tundish.flows.versions import standing
from tundish.flows.withdrawn import withdrawn_in
from tundish.flows.workspace import Workspace
from tundish.kernel.clock import Clock, SystemClock, to_text
from tundish.kernel.digest import Digest
from tundish.kernel.records import Record
from tundish.line.budget import Budget
from tundish.line.clocks import numbers
from tundish.line.engine import LineEngine, run_to_end
from tundish.line.events import Event, Listener, unheard
from tundish.line.gate import check_gate
from tundish.line.linefile import LineFile, read_line_file
from tundish.line.parts import EngineOptions, LineParts
from tundish.line.plugins import open_archive, open_buffer, open_sinks, open_sources
from tundish.line.report import LineReport
from tundish.line.status import LineStatus, read_status, status_path
from tundish.line.versions import Slots, read_slots, versions_path

KEPT = {
    "started": "line-started",
    "state": "line-state",
    "gap": "line-gap",
    "dropped": "line-dropped",
    "no-result": "line-no-result",
    "link-lost": "line-link-lost",
    "link-restored": "line-link-restored",
    "sink-lost": "line-sink-lost",
    "sink-restored": "line-sink-restored",
    "sink-refused": "line-sink-refused",
    "alarm": "line-alarm",
    "alarm-over": "line-alarm-over",
    "request-stopped": "line-request-stopped",
    "request-lost": "line-request-lost",
    "breaker": "line-breaker",
    "clock-jump": "line-clock-jump",
    "slow-server": "line-slow-server",
    "version": "line-version",
    "grant": "line-grant",
    "grant-over": "line-grant-over",
    "stopped": "line-stopped",
}


class LineSummary(Record):
    """How far a line came, in numbers."""

    said: str
    ended: str
    mode: str
    received: int
    backfilled: int
    estimates: int
    scored: int
    abstained: dict[str, int]
    gaps: tuple[str, ...]
    states: tuple[str, ...]
    latency_ms: dict[str, float]
    budget: dict[str, float]
    governed: dict[str, int]
    clocks: dict[str, dict[str, float]]
    grant_until: str
    grant_notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LineOptions:
    """What a caller may choose beside the line file.

    Attributes:
        until: The line ends by itself when this source time has its answer.
        clock: The line's clock, if not the workspace's: a replay has its own.
        stale_grace_s: Seconds of that clock by which a hurried replay may be late.
        on_event: Told of everything that happens.
        on_ready: Called when the line has been put together, before it connects.
    """

    until: datetime | None = None
    clock: Clock | None = None
    stale_grace_s: float = 0.0
    on_event: Listener = unheard
    on_ready: Callable[[], None] = lambda: None


def run_line(
    workspace: Workspace, path: Path, options: LineOptions | None = None
) -> LineReport:
    """Open the package of a line file and run the line until it is stopped.

    Starts, states, gaps, lost links and the end are in the workspace's ledger.
    The line stops at a safe point when its grant ends, and takes a renewal that is put
    in the place of its grant. Ctrl-C is a clean stop: what was acknowledged is on disk, and the report says
    how far the line came.

    Raises:
        DocumentInvalidError, LineFileInvalidError: if the line file is wrong.
        RefusedError: if the package or its grant does not open here.
        SourceUnreachableError, NodeMissingError: if the plant does not answer.
    """
    chosen = options or LineOptions()
    line = read_line_file(path)
    endpoints = [spec.endpoint for spec in line.sources]
    endpoints += [spec.endpoint for spec in line.sinks]
    if line.control is not None:
        endpoints.append(line.control.sink.endpoint)
    for endpoint in endpoints:
        if not endpoint.startswith("file:"):  # a folder of this machine
            workspace.may_connect(endpoint, "A server of the line")
    found = standing(workspace, line.name)
    model, grant = opened(workspace, path, line, found)
    if found is not None and model.package.digest != found.slots.base:
        mode, why = mode_for(workspace, path, line, model)
        line = line.model_copy(update={"mode": mode})
    else:
        why = ""
    check_gate(line.gate, model.scenario)
    with open_buffer(line, model.scenario, path.parent) as buffer:
        engine = LineEngine(
            LineParts(
                scenario=model.scenario,
                scorer=model.session,
                model=model.package.digest,
                sources=open_sources(line, model.scenario),
                sinks=open_sinks(line, model.scenario),
                archive=open_archive(
                    line,
                    model.scenario,
                    {"line": line.name, "package": str(model.package.digest)},
                ),
                buffer=buffer,
                permit=GrantPermit(
                    workspace,
                    model,
                    grant,
                    safe_points=line.safe_points,
                    revoked=withdrawn_in(workspace),
                ),
                budget=_budget(line, model),
                control=control_of(workspace, path, line, model.package),
                services=desk_of(workspace, line),
                versions=LineVersions(workspace, path, line, model, why),
            ),
            options=EngineOptions(
                mode=line.mode,
                until=chosen.until,
                backfill_max_s=line.backfill_max_s,
                status=status_path(path.parent / line.buffer.path),
                name=line.name,
                gate=line.gate,
            ),
            clock=chosen.clock or workspace.clock,
            on_event=_keeper(workspace, line, model, chosen.on_event),
        )
        chosen.on_ready()
        return run_to_end(engine)


class StatusReport(Record):
    """What a line said last, and why it does not run; empty if it does.

    Attributes:
        slots: Which package stands where; None if none was ever staged.
    """

    line: str
    stopped: str
    said: LineStatus | None
    slots: Slots | None = None


def line_status(path: Path, clock: Clock | None = None) -> StatusReport:
    """Return what the line of a line file does, from what it wrote last.

    Raises:
        DocumentInvalidError: if the line file is wrong.
        StatusUnreadableError: if what it wrote is damaged.
    """
    line = read_line_file(path)
    said = read_status(status_path(path.parent / line.buffer.path))
    now = (clock or SystemClock()).now()
    stopped = "it has not run here" if said is None else said.alive(now)
    slots = read_slots(versions_path(path.parent / line.buffer.path))
    return StatusReport(line=line.name, stopped=stopped, said=said, slots=slots)


def summarise(report: LineReport) -> LineSummary:
    """Return a line's report as a record for a screen or a machine."""
    return LineSummary(
        said=report.one_line(),
        ended=report.ended,
        mode=report.mode,
        received=report.received,
        backfilled=report.backfilled,
        estimates=report.estimates,
        scored=report.scored,
        abstained=report.abstained,
        gaps=tuple(f"{gap.signal}: {gap.reason}" for gap in report.gaps),
        states=tuple(f"{change.state}: {change.reason}" for change in report.states),
        latency_ms=report.latency_ms,
        budget=_budget_numbers(report),
        governed=asdict(report.governed) if report.governed else {},
        clocks={name: numbers(one) for name, one in report.clocks.items()},
        grant_until=to_text(report.grant_until) if report.grant_until else "",
        grant_notes=report.grant_notes,
    )


def _budget(line: LineFile, model: OpenModel) -> Budget:
    """Return the budget over the range of the training data, else the contract's."""
    scenario = model.scenario
    low, high = ranges_of(model)
    period_s = min(signal.period_s for signal in scenario.signals)
    step_us = int(1.5e6 * period_s * scenario.window.stride)
    return Budget(line.budget, low, high, step_us, model.meter)


def _budget_numbers(report: LineReport) -> dict[str, float]:
    found = asdict(report.budget) if report.budget else {}
    return {name: value for name, value in found.items() if value is not None}


def _keeper(
    workspace: Workspace, line: LineFile, model: OpenModel, listener: Listener
) -> Listener:
    """Return a listener that writes what must be kept into the ledger."""
    serving = [model.package.digest]

    def heard(event: Event) -> None:
        if event.kind in {"switched", "rolled-back"}:  # in the ledger already
            serving[0] = Digest(str(event.detail["serving"]))
        if event.kind in KEPT:
            kept = cast("dict[str, JsonValue]", event.detail)
            workspace.record(
                KEPT[event.kind],
                inputs=[serving[0]],
                detail={**kept, "line": line.name, "said": event.text[:500]},
            )
        listener(event)

    return heard
