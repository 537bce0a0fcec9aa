"""Partial results: counts that add up over tables, and findings on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Literal

import numpy as np

from tundish.data.grade.kinds import KINDS
from tundish.data.grade.report import Finding, percent
from tundish.data.grade.sheet import Ints, Sheet

Scope = Literal["signals", "labels"]

MOST_UNITS = 100_000
MOST_STRETCHES = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Mend:
    """Rows or cells that a finding names, so that a machine can act on them.

    Stands beside the findings and is never written into a report: it may be long.

    Attributes:
        kind: The kind of the finding.
        table: Name of the table.
        tags: Columns whose cells are meant; empty if whole rows are.
        rows: Rows of the table from 0, shape [k].
    """

    kind: str
    table: str
    tags: tuple[str, ...]
    rows: Ints


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What one check counted in one table.

    Attributes:
        id: The indicator.
        bad: Units that are not good.
        of: Units that were looked at.
        scope: Labels are counted apart: few of them weigh as much as many signals.
        detail: What was looked at, in words.
        value: The indicator's value, if it is no share of good units (a skill).
        interval: 90 % confidence interval of ``value``, or ``None``.
        mends: What can be mended by a machine.
    """

    id: str
    bad: int
    of: int
    scope: Scope = "signals"
    detail: str = ""
    value: float | None = None
    interval: tuple[float, float] | None = None
    findings: tuple[Finding, ...] = ()
    mends: tuple[Mend, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Where something was found.

    Attributes:
        tag, unit: As in ``Finding``.
        first, last: Text of the place.
        rows: Rows concerned.
        total: Rows (or labels) of the table, for the cost.
        counted: What is counted, for the cost.
        stretches: First and last row (from 0) of each stretch, for pictures; none if
            it is about all rows.
    """

    tag: str
    unit: str
    first: str
    last: str
    rows: int
    total: int
    counted: str = "rows"
    stretches: tuple[tuple[int, int], ...] = ()


def finding(
    indicator: str, kind: str, table: str, spot: Spot, *, what: str, mend: str
) -> Finding:
    """Return a finding; its worth is the kind's weight times the root of its share."""
    share = min(1.0, spot.rows / max(1, spot.total))
    return Finding(
        indicator=indicator,
        kind=kind,
        table=table,
        tag=spot.tag,
        unit=spot.unit,
        first=spot.first,
        last=spot.last,
        rows=spot.rows,
        what=what,
        mend=mend,
        cost=f"{spot.rows:,} of {spot.total:,} {spot.counted} ({percent(share)}).",
        cost_share=share,
        stretches=spot.stretches,
        worth=KINDS[kind].weight * sqrt(share),
    )


@dataclass
class Remarks:
    """Collects the findings of one indicator about things that are no rows of values.

    Attributes:
        table: The folder or file they are about.
        indicator: The indicator.
        counted: What is counted: pictures, questions, events.
    """

    table: str
    indicator: str
    counted: str
    found: list[Finding] = field(default_factory=list)

    def add(  # noqa: PLR0913  (what a finding says)
        self,
        kind: str,
        what: str,
        mend: str,
        *,
        names: Sequence[str] = (),
        bad: int | None = None,
        of: int,
        tag: str = "",
    ) -> None:
        """Write down a finding.

        Args:
            kind: Key of ``KINDS``.
            what: What was found.
            mend: What to do.
            names: The things concerned; the first and the last are shown.
            bad: How many they are, if not all are named.
            of: How many were looked at.
            tag: A class, a field or an activity it is about.
        """
        spot = Spot(
            tag=tag,
            unit="",
            first=names[0] if names else "all",
            last=names[-1] if names else "all",
            rows=len(names) if bad is None else bad,
            total=of,
            counted=self.counted,
        )
        self.found.append(
            finding(self.indicator, kind, self.table, spot, what=what, mend=mend)
        )

    def tally(
        self,
        bad: int,
        of: int,
        detail: str = "",
        *,
        scope: Scope = "signals",
        value: float | None = None,
    ) -> Tally:
        """Return the indicator's tally with what was found."""
        return Tally(
            id=self.indicator,
            bad=bad,
            of=of,
            scope=scope,
            detail=detail,
            value=value,
            findings=tuple(self.found),
        )


@dataclass
class Notes:
    """Collects the findings of one indicator in one table."""

    sheet: Sheet
    indicator: str
    found: list[Finding] = field(default_factory=list)
    mends: list[Mend] = field(default_factory=list)

    def mendable(self, kind: str, tags: Sequence[str], rows: Ints) -> None:
        """Keep the rows (or their cells of some tags) that a finding names."""
        self.mends.append(
            Mend(kind=kind, table=self.sheet.name, tags=tuple(tags), rows=rows)
        )

    def add(self, kind: str, spot: Spot, what: str, mend: str) -> None:
        """Write down a finding."""
        placed = replace(spot, tag=spot.tag or self._only())
        self.found.append(
            finding(self.indicator, kind, self.sheet.name, placed, what=what, mend=mend)
        )

    def _only(self) -> str:
        """Return the tags that a table holds if it holds a part of a file's."""
        sheet = self.sheet
        if not sheet.alone or not sheet.series:
            return ""
        more = len(sheet.series) - 1
        return sheet.series[0].tag + (f" and {more} more" if more else "")

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
            stretches=spans(sheet, rows),
        )

    def spot(
        self,
        tag: str,
        first_row: int,
        last_row: int,
        rows: int,
        among: Ints | None = None,
    ) -> Spot:
        """Return the place of a stretch of rows of one unit.

        ``among`` are the rows concerned, if they are not all from first to last.
        """
        return Spot(
            tag=tag,
            unit=self.sheet.unit_of(first_row),
            first=self.sheet.where(first_row),
            last=self.sheet.where(last_row),
            rows=rows,
            total=self.sheet.rows,
            stretches=((first_row, last_row),)
            if among is None
            else spans(self.sheet, among),
        )


def spans(sheet: Sheet, rows: Ints) -> tuple[tuple[int, int], ...]:
    """Return first and last row of each stretch, in time; the nearest are joined above 64.

    Args:
        sheet: The table.
        rows: Rows (from 0), in any order.
    """
    if not len(rows):
        return ()
    ordered = rows[np.argsort(sheet.place[rows], kind="stable")]
    steps = np.diff(sheet.place[ordered])
    wide = np.flatnonzero(steps > 1)
    if len(wide) >= MOST_STRETCHES:
        wide = np.sort(
            wide[np.argsort(-steps[wide], kind="stable")][: MOST_STRETCHES - 1]
        )
    firsts = np.concatenate(([0], wide + 1))
    lasts = np.concatenate((wide, [len(ordered) - 1]))
    return tuple(
        (int(ordered[first]), int(ordered[last]))
        for first, last in zip(firsts, lasts, strict=True)
    )
