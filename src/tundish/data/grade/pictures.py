"""What a page needs to draw a grade: a stretch of each signal, and where trouble lies.

Everything is small (a few hundred numbers a picture) and made from the tables that were
graded, so that a page can be drawn without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tundish.data.grade.report import Finding, GradeReport
from tundish.data.grade.sheet import Floats, Ints, Sheet
from tundish.data.times import NO_TIME
from tundish.kernel.records import Record

POINTS = 240
AROUND = 0.6
BINS = 96
MOST_TAGS = 30
MOST_PICTURES = 24
ROWS = ""
_LEAST_AROUND = 20


class Picture(Record):
    """The stretch of a signal that a finding is about, with some rows around it.

    Attributes:
        finding: Its place in ``GradeReport.findings``.
        tag: The signal.
        low, high: Lowest and highest value in each of up to 240 bins of rows; ``None``
            where a bin holds no value.
        first, last: Where the picture begins and ends, for people.
        marked: Shares of the picture's width at which each stretch begins and ends.
    """

    finding: int
    tag: str
    unit: str
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    first: str
    last: str
    marked: tuple[tuple[float, float], ...]


class HeatMap(Record):
    """Where trouble lies: tags down, time (or rows) across.

    Attributes:
        table: The table it is about.
        edges: Beginning of the first bin and end of the last one, for people.
        tags: One line each, the worst first; empty for rows as a whole.
        trouble: Tag -> for each of up to 96 bins, what is wrong there: empty, or the
            kind of the finding that weighs most (``missing`` if more than half of the
            cells are empty).
    """

    table: str
    edges: tuple[str, str]
    tags: tuple[str, ...]
    trouble: dict[str, tuple[str, ...]]


class Pictures(Record):
    """All that a page draws beside the report itself."""

    findings: tuple[Picture, ...] = ()
    heat: tuple[HeatMap, ...] = ()


def draw(report: GradeReport, sheets: Sequence[Sheet]) -> Pictures:
    """Draw the first findings of a report, and a heat map of each table with trouble."""
    by_name = {sheet.name: sheet for sheet in sheets}
    drawn: list[Picture] = []
    for number, finding in enumerate(report.findings):
        sheet = by_name.get(finding.table)
        if sheet is None or len(drawn) == MOST_PICTURES:
            continue
        picture = _picture(number, finding, sheet)
        if picture is not None:
            drawn.append(picture)
    maps = [_heat(sheet, report.findings) for sheet in sheets]
    return Pictures(
        findings=tuple(drawn), heat=tuple(heat for heat in maps if heat is not None)
    )


def _picture(number: int, finding: Finding, sheet: Sheet) -> Picture | None:
    series = next((s for s in sheet.series if s.tag == finding.tag), None)
    if series is None or not finding.stretches:
        return None
    rows = _rows_of_unit(sheet, finding)
    places = np.empty(sheet.rows, dtype=np.int64)
    places.fill(-1)
    places[rows] = np.arange(len(rows))
    at = [sorted((int(places[a]), int(places[b]))) for a, b in finding.stretches]
    begin, end = _window(min(a for a, _ in at), max(b for _, b in at), len(rows))
    shown = rows[begin:end]
    low, high = envelope(series.values[shown], POINTS)
    width = max(1, len(shown))
    return Picture(
        finding=number,
        tag=finding.tag,
        unit=series.unit,
        low=low,
        high=high,
        first=sheet.where(int(shown[0])),
        last=sheet.where(int(shown[-1])),
        marked=tuple(((a - begin) / width, (b + 1 - begin) / width) for a, b in at),
    )


def _rows_of_unit(sheet: Sheet, finding: Finding) -> Ints:
    """Return the rows to draw, in time: those of one unit, or all."""
    if sheet.group is not None:
        units = {sheet.unit_of(row) for pair in finding.stretches for row in pair}
        if len(units) == 1:
            return _in_time(sheet, np.flatnonzero(sheet.group == units.pop()))
        return sheet.order
    return _in_time(sheet, np.arange(sheet.rows))


def _in_time(sheet: Sheet, rows: Ints) -> Ints:
    if sheet.us is None:
        return rows
    us = sheet.us[rows]
    return rows if (us[1:] >= us[:-1]).all() else rows[np.argsort(us, kind="stable")]


def _window(first: int, last: int, rows: int) -> tuple[int, int]:
    around = max(_LEAST_AROUND, round(AROUND * (last - first + 1)))
    return max(0, first - around), min(rows, last + 1 + around)


def envelope(
    values: Floats, points: int
) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
    """Return lowest and highest value in bins of rows, ``None`` where all are missing.

    Args:
        values: Shape [n]; NaN where missing.
        points: Most bins.
    """
    count = min(points, max(1, len(values)))
    edges = np.linspace(0, len(values), count + 1).round().astype(np.int64)
    bins = [values[a:b] for a, b in pairwise(edges)]
    low: list[float | None] = []
    high: list[float | None] = []
    for one in bins:
        known = one[np.isfinite(one)]
        low.append(float(known.min()) if len(known) else None)
        high.append(float(known.max()) if len(known) else None)
    return tuple(low), tuple(high)


def _heat(sheet: Sheet, findings: Sequence[Finding]) -> HeatMap | None:
    mine = [f for f in findings if f.table == sheet.name]
    if not mine or sheet.rows < 2:
        return None
    bin_of, edges = _bins(sheet)
    known = {series.tag for series in sheet.series} | {ROWS}
    cells: dict[str, list[str]] = {}
    for finding in reversed(mine):  # the worthiest is painted last
        if finding.tag not in known:
            continue
        tag = finding.tag
        for pair in finding.stretches:
            first, last = sorted(int(bin_of[row]) for row in pair)
            if first >= 0:
                line = cells.setdefault(tag, [""] * BINS)
                line[first : last + 1] = [finding.kind] * (last + 1 - first)
    _paint_missing(sheet, bin_of, cells, {f.tag for f in mine})
    ranked = dict.fromkeys(f.tag for f in mine if f.tag in known)
    tags = [tag for tag in ranked if any(cells.get(tag, ()))][:MOST_TAGS]
    if not tags:
        return None
    return HeatMap(
        table=sheet.name,
        edges=edges,
        tags=tuple(tags),
        trouble={tag: tuple(cells[tag]) for tag in tags},
    )


def _bins(sheet: Sheet) -> tuple[NDArray[np.int64], tuple[str, str]]:
    """Return the bin of each row: by time where there is one time axis, else by row."""
    rows = sheet.rows
    if sheet.us is not None and (not sheet.elapsed or sheet.group is None):
        us = sheet.us
        filled = us[us != NO_TIME]
        if len(filled) and filled.max() > filled.min():
            low, high = int(filled.min()), int(filled.max())
            share = (us - low) / (high - low + 1)
            bins = np.where(us == NO_TIME, -1, (share * BINS).astype(np.int64))
            return bins, (sheet.moment(low), sheet.moment(high))
    bins = np.arange(rows) * BINS // rows
    return bins, ("row 1", f"row {rows}")


def _paint_missing(
    sheet: Sheet,
    bin_of: NDArray[np.int64],
    cells: dict[str, list[str]],
    tags: set[str],
) -> None:
    live = bin_of >= 0
    filled = np.bincount(bin_of[live], minlength=BINS)
    for series in sheet.series:
        if series.tag not in tags:
            continue
        empty = np.isnan(series.values) & live
        if not empty.any():
            continue
        lost = np.bincount(bin_of[empty], minlength=BINS)
        line = cells.setdefault(series.tag, [""] * BINS)
        for place in np.flatnonzero((lost > filled / 2) & (filled > 0)):
            line[int(place)] = line[int(place)] or "missing"
