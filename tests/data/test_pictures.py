"""Small pictures of findings: what they show is what was found."""

from __future__ import annotations

import numpy as np
import pytest

from tundish.data.grade.checks import Brief, grade_sheets
from tundish.data.grade.pictures import BINS, POINTS, draw, envelope
from tundish.data.grade.sheet import Series, Sheet
from tundish.data.times import SECOND

ROWS = 4000


@pytest.fixture
def sheet() -> Sheet:
    """Four live tags, one of which stands still from row 1000 to row 1499."""
    draws = np.random.default_rng(7)
    series = []
    for number in range(4):
        values = 40 + draws.normal(size=ROWS) + np.sin(np.arange(ROWS) / 90)
        if number == 2:
            values[1000:1500] = 40.125
        if number == 3:
            values[2000:2100] = np.nan
        series.append(Series(tag=f"T{number}", values=values, unit="bar"))
    us = np.arange(ROWS, dtype=np.int64) * 60 * SECOND + 1_700_000_000 * SECOND
    return Sheet(name="line 1", rows=ROWS, series=tuple(series), us=us)


def test_a_stuck_tag_is_drawn_where_it_stands(sheet: Sheet) -> None:
    report = grade_sheets([sheet], Brief(name="t", task="unsaid", now_us=2**62))
    pictures = draw(report, [sheet])
    stuck = next(
        p for p in pictures.findings if report.findings[p.finding].kind == "stuck"
    )
    assert stuck.tag == "T2"
    assert stuck.unit == "bar"
    [(begin, end)] = stuck.marked
    inside = slice(round(begin * len(stuck.low)) + 1, round(end * len(stuck.low)) - 1)
    assert set(stuck.low[inside]) == set(stuck.high[inside])
    assert len(set(stuck.low[inside])) == 1
    before = slice(0, round(begin * len(stuck.low)) - 1)
    assert len(set(stuck.low[before])) > 10


def test_the_heat_map_paints_the_bins_of_the_stretch_and_no_others(
    sheet: Sheet,
) -> None:
    report = grade_sheets([sheet], Brief(name="t", task="unsaid", now_us=2**62))
    [heat] = draw(report, [sheet]).heat
    line = heat.trouble["T2"]
    first, last = 1000 * BINS // ROWS, 1499 * BINS // ROWS
    painted = {place for place, kind in enumerate(line) if kind == "stuck"}
    assert painted == set(range(first, last + 1))
    assert "missing" in heat.trouble["T3"]
    assert "T0" not in heat.tags


@pytest.mark.parametrize("rows", [1, 5, POINTS, POINTS + 1, 100_000])
def test_an_envelope_keeps_extremes_and_holes(rows: int) -> None:
    values = np.random.default_rng(rows).normal(size=rows)
    low, high = envelope(values, POINTS)
    assert len(low) == min(rows, POINTS)
    assert min(x for x in low if x is not None) == values.min()
    assert max(x for x in high if x is not None) == values.max()
    assert envelope(np.full(rows, np.nan), POINTS)[0][0] is None
