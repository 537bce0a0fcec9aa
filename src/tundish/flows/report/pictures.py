"""Pictures for the report, by Plotly; its JavaScript is inlined once per page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]

GAP_STEPS = 3.0
INK, STEEL, MELT, COOL, RED, GREEN = (
    "#1f2933",
    "#7b8794",
    "#d9822b",
    "#1f6feb",
    "#c62828",
    "#2e7d32",
)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Estimates over time, with their interval.

    Attributes:
        at: Source times, shape [n].
        value, lower, upper: In the target's unit, shape [n]; NaN where abstained.
    """

    at: Times
    value: Floats
    lower: Floats
    upper: Floats


@dataclass(frozen=True, kw_only=True)
class Points:
    """Laboratory values over time; ``used`` is true where they helped to choose."""

    at: Times
    value: Floats
    used: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Band:
    """A stretch of time to be shaded: its name and its colour."""

    start: np.datetime64
    end: np.datetime64
    name: str
    colour: str


def estimate_over_time(
    curve: Curve, points: Points, *, unit: str, bands: Sequence[Band] = ()
) -> go.Figure:
    """Draw estimates with their interval and the laboratory's values.

    Nothing is drawn across a stretch without estimates.
    """
    figure = go.Figure()
    for piece in _pieces(curve):
        _add_interval(figure, piece)
    curve = _opened(curve)
    figure.add_scatter(
        x=curve.at,
        y=curve.value,
        mode="lines",
        name="estimate",
        line={"color": COOL, "width": 1.5},
    )
    for used, name, symbol in (
        (True, "laboratory, used to choose", "circle-open"),
        (False, "laboratory, judged", "circle"),
    ):
        chosen = points.used == used
        figure.add_scatter(
            x=points.at[chosen], y=points.value[chosen], mode="markers", name=name,
            marker={"color": MELT, "size": 9, "symbol": symbol, "line": {"width": 2, "color": MELT}},
        )  # fmt: skip
    for band in bands:
        _add_band(figure, band)
    return styled(figure, y_title=unit)


def two_estimates(
    refused: Curve,
    accepted: Curve,
    points: Points,
    *,
    names: tuple[str, str],
    unit: str,
) -> go.Figure:
    """Draw a refused and an accepted candidate over the same run."""
    figure = go.Figure()
    figure.add_scatter(
        x=refused.at, y=refused.value, mode="lines", name=f"{names[0]} (refused)",
        line={"color": RED, "width": 1.2},
    )  # fmt: skip
    figure.add_scatter(
        x=accepted.at, y=accepted.value, mode="lines", name=f"{names[1]} (accepted)",
        line={"color": COOL, "width": 1.5},
    )  # fmt: skip
    figure.add_scatter(
        x=points.at, y=points.value, mode="markers", name="laboratory",
        marker={"color": MELT, "size": 9},
    )  # fmt: skip
    return styled(figure, y_title=unit)


def predicted_against_true(
    true: Floats, estimate: Floats, *, tolerance: float, unit: str
) -> go.Figure:
    """Draw estimates against laboratory values, with the tolerance around the line."""
    low = float(np.nanmin([np.nanmin(true), np.nanmin(estimate)])) - tolerance
    high = float(np.nanmax([np.nanmax(true), np.nanmax(estimate)])) + tolerance
    figure = go.Figure()
    ends = np.array([low, high])
    figure.add_scatter(
        x=np.concatenate([ends, ends[::-1]]),
        y=np.concatenate([ends - tolerance, ends[::-1] + tolerance]),
        fill="toself", fillcolor="rgba(46,125,50,0.12)", line={"width": 0},
        name=f"within {tolerance:g} {unit}", hoverinfo="skip",
    )  # fmt: skip
    figure.add_scatter(
        x=ends, y=ends, mode="lines", line={"color": STEEL, "dash": "dot"}, name="equal"
    )
    figure.add_scatter(
        x=true,
        y=estimate,
        mode="markers",
        marker={"color": COOL, "size": 9},
        name="judged",
    )
    figure = styled(figure, y_title=f"estimate, {unit}")
    return figure.update_xaxes(title=f"laboratory, {unit}")


def score_over_time(
    at: Times, values: Floats, score: Floats, *, unit: str, bands: Sequence[Band]
) -> go.Figure:
    """Draw a signal, its anomaly score (1 = alarm limit) and the marked events."""
    figure = go.Figure()
    figure.add_scatter(
        x=at, y=values, mode="lines", name=unit, line={"color": INK, "width": 1.2}
    )
    figure.add_scatter(
        x=at, y=np.minimum(score, 10.0), mode="lines", name="score (cut at 10)", yaxis="y2",
        line={"color": COOL, "width": 1},
    )  # fmt: skip
    figure.add_scatter(
        x=at, y=np.ones(len(at)), mode="lines", name="alarm limit", yaxis="y2",
        line={"color": RED, "width": 1, "dash": "dot"},
    )  # fmt: skip
    for band in bands:
        _add_band(figure, band)
    figure.update_layout(
        yaxis2={"overlaying": "y", "side": "right", "range": [0, 20], "title": "score"}
    )
    return styled(figure, y_title=unit)


def to_html(figure: go.Figure, *, with_script: bool) -> str:
    """Return the picture as an HTML fragment; the first one carries the script."""
    html: str = figure.to_html(
        full_html=False,
        include_plotlyjs=with_script,
        config={
            "displaylogo": False,
            "responsive": True,
            "modeBarButtonsToRemove": ["lasso2d", "select2d"],
        },
    )
    return html


def _steps_out(curve: Curve) -> NDArray[np.intp]:
    """Return the places before which a stretch without estimates lies."""
    steps = np.diff(curve.at.astype("datetime64[us]").astype(np.int64))
    if not len(steps):
        return np.zeros(0, dtype=np.intp)
    return np.flatnonzero(steps > GAP_STEPS * np.median(steps)) + 1


def _pieces(curve: Curve) -> list[Curve]:
    """Return the curve cut at its gaps."""
    cut = _steps_out(curve)
    columns = [
        np.split(column, cut)
        for column in (curve.at, curve.value, curve.lower, curve.upper)
    ]
    return [
        Curve(at=a, value=v, lower=lo, upper=up)
        for a, v, lo, up in zip(*columns, strict=True)
    ]


def _opened(curve: Curve) -> Curve:
    """Return the curve with an empty point in each gap, so that no line crosses it."""
    cut = _steps_out(curve)
    empty = np.full(len(cut), np.nan)
    return Curve(
        at=np.insert(curve.at, cut, curve.at[cut]),
        value=np.insert(curve.value, cut, empty),
        lower=np.insert(curve.lower, cut, empty),
        upper=np.insert(curve.upper, cut, empty),
    )


def _add_interval(figure: go.Figure, curve: Curve) -> None:
    known = np.isfinite(curve.lower) & np.isfinite(curve.upper)
    at = curve.at[known]
    figure.add_scatter(
        x=np.concatenate([at, at[::-1]]),
        y=np.concatenate([curve.upper[known], curve.lower[known][::-1]]),
        fill="toself", fillcolor="rgba(31,111,235,0.15)", line={"width": 0},
        name="interval", hoverinfo="skip", legendgroup="interval", showlegend=not figure.data,
    )  # fmt: skip


def _add_band(figure: go.Figure, band: Band) -> None:
    figure.add_vrect(
        x0=str(band.start), x1=str(band.end), fillcolor=band.colour, opacity=0.18, line_width=0,
        annotation_text=band.name, annotation_position="top left", annotation_font_size=10,
    )  # fmt: skip


def styled(figure: go.Figure, *, y_title: str) -> go.Figure:
    """Give a picture the look of the page."""
    figure.update_layout(
        template="plotly_white", height=380, margin={"l": 60, "r": 40, "t": 60, "b": 40},
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}, hovermode="closest",
    )  # fmt: skip
    return figure.update_yaxes(title=y_title, selector={"overlaying": None})
