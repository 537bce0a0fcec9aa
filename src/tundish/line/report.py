"""What a line did, in numbers and arrays; for a report page or a screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tundish.kernel.clock import to_text
from tundish.line.budget import BudgetReport
from tundish.line.clocks import ClockReading
from tundish.line.estimates import Estimate
from tundish.line.governor import Governed
from tundish.line.guard import Mode
from tundish.line.pipeline import Counts
from tundish.line.samples import Gap, to_times
from tundish.line.state import State

Ended = Literal["until", "stopped", "interrupted", "grant", "failed"]


@dataclass(frozen=True, kw_only=True)
class StateChange:
    """The line's state from a moment on (the line's clock)."""

    at: datetime
    state: State
    signal: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class EstimateTable:
    """Answers as columns of equal length, oldest first.

    Attributes:
        at: ``datetime64[us]``, source time in UTC.
        value, lower, upper, applicability: float64; NaN where there is none.
        quality: ``good``, ``uncertain`` or ``bad``.
        why: Kind of reason when not good.
        reason: The reason for people.
        because: Which tags the number comes from.
    """

    at: NDArray[np.datetime64]
    value: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    applicability: NDArray[np.float64]
    quality: NDArray[np.str_]
    why: NDArray[np.str_]
    reason: NDArray[np.str_]
    because: NDArray[np.str_]


@dataclass(frozen=True, kw_only=True)
class LineReport:
    """What a line did from one start to its end.

    Attributes:
        ended: ``until``: the last source time asked for was reached; ``stopped``:
            somebody set the stop; ``interrupted``: Ctrl-C or cancelled; ``grant``:
            the grant ended; ``failed``: an error ended it.
        received: New samples taken live; ``backfilled``: taken from history.
        duplicates: Notifications of a sample that was there already; ignored.
        out_of_order: Samples that came after a newer one and were put in place.
        late: Samples older than what was already scored; kept, never scored.
        untimed: Notifications without a usable time; they changed the state only.
        estimates: Answers written; ``scored`` of them by the model.
        abstained: Number of answers without a number, by kind of reason.
        delivered, refused: For each sink, the number of answers it took, and of
            writes that its server will never take.
        settled_until: Source time up to which everything has its answer.
        gaps: All gaps in the buffer, oldest first.
        states: The line's state over time; first entry at the start.
        table: The newest answers in the buffer (``truncated``: there are more).
        latency_ms: From receipt to answer on disk, live samples: p50, p99, n.
        grant_until: When the line stops for the end of its grant, as last seen.
        grant_notes: What was told of the grant: warnings, renewals, refusals.
        budget: What was asked of the model.
        governed: What was asked of the plant, or would have been.
        clocks: How far each source's clock was from ours, as last measured.
    """

    mode: Mode
    model: str
    started: datetime
    finished: datetime
    ended: Ended
    received: int
    backfilled: int
    duplicates: int
    out_of_order: int
    late: int
    untimed: int
    estimates: int
    scored: int
    abstained: dict[str, int]
    delivered: dict[str, int]
    refused: dict[str, int]
    settled_until: datetime | None
    gaps: tuple[Gap, ...]
    states: tuple[StateChange, ...]
    table: EstimateTable
    truncated: bool
    latency_ms: dict[str, float]
    grant_until: datetime | None = None
    grant_notes: tuple[str, ...] = ()
    budget: BudgetReport | None = None
    governed: Governed | None = None
    clocks: dict[str, ClockReading] = field(default_factory=dict)

    def one_line(self) -> str:
        """Return how far the line came, in one sentence."""
        until = to_text(self.settled_until) if self.settled_until else "nothing"
        refused = sum(self.abstained.values())
        return (
            f"Line {self.ended}: {self.received + self.backfilled} samples "
            f"({self.backfilled} from history), {self.estimates} answers "
            f"({refused} without a number), {len(self.gaps)} gaps, scored up to "
            f"{until}{self._asked()}."
        )

    def _asked(self) -> str:
        if self.governed is None:
            return ""
        stops = self.governed.stops
        if self.mode != "control":
            return f"; it would have stopped asking {stops} times"
        return f"; {self.governed.valid} valid requests, stopped {stops} times"


def table(estimates: Sequence[Estimate]) -> EstimateTable:
    """Turn answers into columns."""
    return EstimateTable(
        at=to_times(np.array([e.at_us for e in estimates], np.int64)),
        value=_column([e.value for e in estimates]),
        lower=_column([e.lower for e in estimates]),
        upper=_column([e.upper for e in estimates]),
        applicability=_column([e.applicability for e in estimates]),
        quality=np.array([e.quality for e in estimates], np.str_),
        why=np.array([e.why for e in estimates], np.str_),
        reason=np.array([e.reason for e in estimates], np.str_),
        because=np.array([e.because for e in estimates], np.str_),
    )


def latency(seconds: Sequence[float]) -> dict[str, float]:
    """Return p50 and p99 in milliseconds, and the number of values."""
    if not seconds:
        return {"n": 0.0}
    p50, p99 = np.percentile(seconds, (50, 99)) * 1e3
    return {"p50": float(p50), "p99": float(p99), "n": float(len(seconds))}


def totals(counts: Counts) -> dict[str, int]:
    """Return the plain totals, without the reasons of abstaining."""
    return {
        "received": counts.received,
        "backfilled": counts.backfilled,
        "duplicates": counts.duplicates,
        "out_of_order": counts.out_of_order,
        "late": counts.late,
        "untimed": counts.untimed,
        "estimates": counts.estimates,
        "scored": counts.scored,
    }


def _column(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if v is None else v for v in values], np.float64)
