"""Partial results: counts that add up over tables, and findings on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt
from typing import Literal

import numpy as np

from tundish.data.grade.report import Finding, percent
from tundish.data.grade.sheet import Ints, Sheet

Scope = Literal["signals", "labels"]

MOST_UNITS = 100_000

WEIGHTS: dict[str, float] = {
    "leak": 20.0,
    "label-constant": 8.0,
    "outside-fit": 6.0,
    "dead-spectrum": 8.0,
    "impossible": 8.0,
    "out-of-range": 5.0,
    "code-value": 6.0,
    "stuck": 6.0,
    "frozen-together": 4.0,
    "clock-change": 5.0,
    "clock-change-gap": 3.0,
    "duplicate-time": 4.0,
    "backward-time": 4.0,
    "impossible-time": 5.0,
    "duplicate-row": 3.0,
    "clipped": 3.0,
    "text-state": 2.0,
    "ragged": 2.0,
    "outlier": 2.0,
    "spike": 3.0,
    "odd-spectrum": 2.0,
    "gap": 1.5,
    "silent": 1.0,
    "missing": 1.0,
    "unlabelled": 1.0,
    "idle": 1.0,
    "constant": 0.3,
}


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What one check counted in one table.

    Attributes:
        id: The indicator.
        bad: Units that are not good.
        of: Units that were looked at.
        scope: Labels are counted apart: few of them weigh as much as many signals.
        detail: What was looked at, in words.
    """

    id: str
    bad: int
    of: int
    scope: Scope = "signals"
    detail: str = ""
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Where something was found.

    Attributes:
        tag, unit: As in ``Finding``.
        first, last: Text of the place.
        rows: Rows concerned.
        total: Rows (or labels) of the table, for the cost.
        counted: What is counted, for the cost.
    """

    tag: str
    unit: str
    first: str
    last: str
    rows: int
    total: int
    counted: str = "rows"


@dataclass
class Notes:
    """Collects the findings of one indicator in one table."""

    sheet: Sheet
    indicator: str
    found: list[Finding] = field(default_factory=list)

    def add(self, kind: str, spot: Spot, what: str, mend: str) -> None:
        """Write down a finding."""
        share = min(1.0, spot.rows / max(1, spot.total))
        self.found.append(
            Finding(
                indicator=self.indicator,
                kind=kind,
                table=self.sheet.name,
                tag=spot.tag,
                unit=spot.unit,
                first=spot.first,
                last=spot.last,
                rows=spot.rows,
                what=what,
                mend=mend,
                cost=f"{spot.rows:,} of {spot.total:,} {spot.counted} ({percent(share)}).",
                cost_share=share,
                worth=WEIGHTS[kind] * sqrt(share),
            )
        )

    def over(self, tag: str, rows: Ints) -> Spot:
        """Return the place of rows that may lie in several units."""
        sheet = self.sheet
        units = sorted({sheet.unit_of(int(row)) for row in rows[:MOST_UNITS]})
        ordered = rows[np.argsort(sheet.place[rows], kind="stable")]
        if sheet.us is not None and not sheet.elapsed:
            ordered = rows[np.argsort(sheet.us[rows], kind="stable")]
        several = len(units) > 1
        mixed = several and (sheet.us is None or sheet.elapsed)
        first, last = (
            f"{sheet.unit_of(row)} {sheet.where(row)}" if mixed else sheet.where(row)
            for row in (int(ordered[0]), int(ordered[-1]))
        )
        return Spot(
            tag=tag,
            unit=f"{len(units)} units," if several else units[0],
            first=first,
            last=last,
            rows=len(rows),
            total=sheet.rows,
        )

    def spot(self, tag: str, first_row: int, last_row: int, rows: int) -> Spot:
        """Return the place of a stretch of rows of one unit."""
        return Spot(
            tag=tag,
            unit=self.sheet.unit_of(first_row),
            first=self.sheet.where(first_row),
            last=self.sheet.where(last_row),
            rows=rows,
            total=self.sheet.rows,
        )
