"""What a line is put together from, and how it runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from tundish.catalog.scenario import Scenario
from tundish.kernel.digest import Digest
from tundish.line.budget import Budget
from tundish.line.buffer import LineBuffer
from tundish.line.estimates import Scorer
from tundish.line.gate import GateSpec
from tundish.line.guard import Mode
from tundish.line.requester import Control
from tundish.line.sinks.protocol import SampleSink, Sink
from tundish.line.sources.protocol import Source
from tundish.line.term import Permit
from tundish.line.versions import Versions


class Service(Protocol):
    """Something that runs beside a line for as long as it runs."""

    async def open(self) -> None:
        """Begin; an error keeps the line from starting."""
        ...

    async def close(self) -> None:
        """End; safe to call twice."""
        ...


@dataclass(frozen=True, kw_only=True)
class LineParts:
    """Everything a line is put together from.

    Attributes:
        scenario: The contract.
        scorer: The opened package's session.
        model: Digest of the package, written into every answer.
        sources: Together they give every signal of the contract once.
        sinks: Where answers go; may be none.
        archive: Where samples go; None: nowhere but the buffer.
        buffer: Open; the engine uses it alone and does not close it.
        permit: Says until when the line may answer; None: without end.
        budget: Counts and limits what is asked of the model.
        control: What is asked of the plant; None: nothing is even computed.
        services: What runs beside it, such as a desk for alarms.
        versions: Looks after staged versions; None: there are none, ever.
    """

    scenario: Scenario
    scorer: Scorer
    model: Digest
    sources: tuple[Source, ...]
    sinks: tuple[Sink, ...] = ()
    archive: SampleSink | None = None
    buffer: LineBuffer
    permit: Permit | None = None
    budget: Budget | None = None
    control: Control | None = None
    services: tuple[Service, ...] = ()
    versions: Versions | None = None


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """How the engine runs.

    Attributes:
        mode: Checked against the scenario's autonomy.
        until: The line ends by itself when everything up to this source time has
            its answer.
        stale_grace_s: Seconds of the line's clock that transport may take on top of
            the contract's ``stale_after_s``. Zero on a real line; a replay at a
            thousandfold speed turns 50 ms of publishing interval into 50 s.
        tick_s: Seconds of the wall clock between two looks at the state.
        progress_s: Seconds of the wall clock between two ``progress`` events.
        wait_share: How long a row waits for slower signals, as a share of the
            leading signal's period (on the line's clock).
        backfill_max_s: History older than this is not asked for.
        max_ahead_s: A sample whose source time is further in the future than this
            (on the line's clock) is not kept: it would make all later ones late.
        drain_s: Longest wait for the sinks at the end.
        term_s: Seconds of the wall clock between two looks at the permit.
        status: Where the line says what it does while it runs; None: nowhere.
        name: What the line is called there.
        report_rows: Most answers in the report.
        gate: Behind an inspecting station; see ``gate``.
        sink_pauses_s: First and longest pause before a lost sink is tried again.
    """

    mode: Mode = "shadow"
    until: datetime | None = None
    stale_grace_s: float = 0.0
    tick_s: float = 0.05
    progress_s: float = 1.0
    wait_share: float = 0.1
    backfill_max_s: float = 7 * 86_400.0
    max_ahead_s: float = 86_400.0
    drain_s: float = 2.0
    term_s: float = 1.0
    status: Path | None = None
    name: str = ""
    report_rows: int = 100_000
    gate: GateSpec | None = None
    sink_pauses_s: tuple[float, float] = (0.25, 5.0)
