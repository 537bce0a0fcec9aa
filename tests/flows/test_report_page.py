"""The report page: escapes what comes from outside, loads nothing."""

from __future__ import annotations

import re

import numpy as np

from tundish.flows.report.page import Block, Cell, Page, Part, Tile, cells, render
from tundish.flows.report.pictures import Curve, Points, estimate_over_time

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>"


def page() -> Page:
    at = np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[us]")
    ones = np.ones(2)
    curve = Curve(at=at, value=ones, lower=ones - 1, upper=ones + 1)
    points = Points(at=at, value=ones, used=np.array([True, False]))
    figure = estimate_over_time(curve, points, unit="g/l")
    blocks = [
        Block(title=HOSTILE, text=HOSTILE, columns=[HOSTILE], rows=[cells(HOSTILE)]),
        Block(figure=figure),
        Block(figure=figure, tree=[(0, HOSTILE, HOSTILE)]),
        Block(columns=["a"], rows=[[Cell(text=HOSTILE, code=True, tone="bad")]]),
    ]
    return Page(
        title=HOSTILE,
        subtitle=HOSTILE,
        footer=HOSTILE,
        tiles=[Tile(value=HOSTILE, label=HOSTILE)],
        parts=[Part(title=HOSTILE, lead=HOSTILE, blocks=blocks)],
    )


def test_what_comes_from_outside_is_escaped() -> None:
    html = render(page())
    assert HOSTILE not in html
    assert html.count("&lt;script&gt;alert") == 15


def test_the_page_loads_nothing() -> None:
    html = render(page())
    assert "default-src 'none'" in html
    tags = re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=[^>]*>", html)
    assert not tags
    assert html.count("Plotly.newPlot(") >= 2
    assert html.count("plotly.js v") == 1


def test_no_line_is_drawn_across_a_gap() -> None:
    minutes = np.array([0, 1, 2, 3, 30, 31, 32], dtype="timedelta64[m]")
    at = np.datetime64("2020-01-01", "us") + minutes
    ones = np.ones(len(at))
    curve = Curve(at=at, value=ones, lower=ones - 1, upper=ones + 1)
    points = Points(at=at[:1], value=ones[:1], used=np.array([True]))
    figure = estimate_over_time(curve, points, unit="g/l")
    drawn = [trace for trace in figure.data if trace.name == "interval"]
    assert [len(trace.x) for trace in drawn] == [8, 6]
    (line,) = [trace for trace in figure.data if trace.name == "estimate"]
    assert np.isnan(line.y[4])
    assert len(line.y) == len(at) + 1
