"""What a grade says: gates, indicators, findings, a letter and the rule behind it."""

from __future__ import annotations

from typing import Literal

from tundish.data.table import Assumption
from tundish.kernel.records import Record

Letter = Literal["A", "B", "C", "D"]
SCORE = "score"
GateState = Literal["passed", "failed", "open"]


class Indicator(Record):
    """One measure of quality: a share of good units among all that were looked at.

    Attributes:
        id: ``Q01`` to ``Q30``.
        value: Share of good units, 0 to 1; higher is better.
        unit: What is counted: cells, rows, steps, labels, tags.
        threshold: At least this is asked for letter A.
        floor: At least this is asked for letter B.
        passed: True if the threshold is kept.
        why: Why this threshold.
        codes: Items of TC609-5-2025-04 and measures of ISO/IEC 5259-2 it answers to.
        bad: Units that are not good.
        of: Units that were looked at.
        detail: What was looked at, in words.
        raise_by: What would raise the value.
        interval: 90 % confidence interval of the value, where one was computed.
    """

    id: str
    name_en: str
    name_zh: str
    value: float
    unit: str
    threshold: float
    floor: float
    passed: bool
    letter: Letter
    why: str
    codes: tuple[str, ...]
    bad: int
    of: int
    detail: str
    raise_by: str
    interval: tuple[float, float] | None = None

    @property
    def shown(self) -> str:
        """The value for people, never rounded up to perfection."""
        if self.unit != SCORE:
            return percent(self.value)
        span = self.interval
        return f"{self.value:.2f}" + (
            f" ({span[0]:.2f} to {span[1]:.2f})" if span else ""
        )

    @property
    def limit(self) -> str:
        """The threshold for people."""
        if self.unit == SCORE:
            return f"at least {self.threshold:g}"
        return f"at least {percent(self.threshold)}"


class NotMeasured(Record):
    """An indicator that makes no sense for this data, or lacks what it needs."""

    id: str
    name_en: str
    name_zh: str
    why: str


class Finding(Record):
    """One thing that is wrong, where, what it costs and how to mend it.

    Attributes:
        indicator: The indicator it counts against.
        kind: Kebab-case name of the pattern, such as ``stuck`` or ``clock-change``.
        table: Table or file.
        tag: The plant's name of the column; empty if it is about rows as a whole.
        unit: Machine or batch; empty if there is one or it is about all.
        first, last: Time (ISO 8601) or row at which it begins and ends.
        rows: Rows (or laboratory values) concerned.
        what: What was found, in one sentence.
        mend: What to do, in one sentence.
        cost: What it costs, in words.
        cost_share: Share of the table's rows (or labels) that it concerns.
        stretches: First and last row (from 0) of each stretch, at most 64.
        worth: Rank: weight of the pattern times the square root of ``cost_share``.
    """

    indicator: str
    kind: str
    table: str
    tag: str
    unit: str
    first: str
    last: str
    rows: int
    what: str
    mend: str
    cost: str
    cost_share: float
    worth: float
    stretches: tuple[tuple[int, int], ...] = ()

    @property
    def span(self) -> str:
        """Unit and stretch, for people."""
        stretch = (
            self.first if self.first == self.last else f"{self.first} to {self.last}"
        )
        return " ".join(part for part in (self.unit, stretch) if part)


class Gate(Record):
    """A hard gate: never averaged with anything.

    ``state`` is ``open`` if it cannot be decided from what is known; ``passed`` is false
    only if it failed.
    """

    name: str
    state: GateState
    passed: bool
    detail: str


class GradeReport(Record):
    """The verdict on a data set for a task.

    Attributes:
        findings: All, in order of worth; the first five are of different kinds as far
            as there are that many.
        tables: Table -> rows.
    """

    format: Literal["tundish.grade"] = "tundish.grade"
    version: Literal[1] = 1
    name: str
    task: str
    letter: Letter
    rule: str
    why: str
    tables: dict[str, int]
    gates: tuple[Gate, ...]
    indicators: tuple[Indicator, ...]
    not_measured: tuple[NotMeasured, ...]
    findings: tuple[Finding, ...]
    assumptions: tuple[Assumption, ...]


def percent(share: float) -> str:
    """Write a share as per cent; 0 and 100 are written only if they are exact."""
    if share in {0.0, 1.0}:
        return f"{100 * share:.0f} %"
    if 0.0005 <= share <= 0.9995:
        return f"{100 * share:.3g} %" if share < 0.99 else f"{100 * share:.2f} %"
    small = min(share, 1 - share) * 100
    digits = 1
    while small < 0.999 * 10**-digits and digits < 8:
        digits += 1
    return f"{100 * share:.{digits}f} %"
