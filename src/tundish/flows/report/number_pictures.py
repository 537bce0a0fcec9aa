"""Pictures of estimated numbers: over time, against the truth, lives, forecasts."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from tundish.flows.report.pictures import COOL, INK, MELT, RED, STEEL, styled
from tundish.flows.report.seen import Seen, bands, envelope, label, thinned
from tundish.learn.judge_forecast import plain_forecast
from tundish.learn.material import Floats, Indices

MOST_POINTS = 1500
MOST_BARS = 150
MOST_UNITS = 120
_SHADE = "rgba(31,111,235,0.15)"


def over_time(seen: Seen) -> go.Figure:
    """Draw estimates with their interval, and what was measured."""
    place, runs = seen.place(), seen.runs()
    truth = seen.material.y
    figure = go.Figure()
    outlines = bands(place, seen.output("lower"), seen.output("upper"), runs)
    for number, (x, y) in enumerate(outlines):
        figure.add_scatter(
            x=x, y=y, fill="toself", fillcolor=_SHADE, mode="lines", line={"width": 0},
            hoverinfo="skip", name="interval", legendgroup="interval", showlegend=not number,
        )  # fmt: skip
    at, values = envelope(place, seen.output("estimate"), runs)
    figure.add_scatter(
        x=at,
        y=values,
        mode="lines",
        name="estimate",
        line={"color": COOL, "width": 1.5},
    )
    shown = thinned(len(truth), MOST_POINTS)
    inside = (truth >= seen.output("lower")) & (truth <= seen.output("upper"))
    for which, name, colour in (
        (inside, "measured, inside the interval", INK),
        (~inside, "measured, outside it", RED),
    ):
        points = shown[which[shown]]
        figure.add_scatter(
            x=place[points], y=truth[points], mode="markers", name=name,
            marker={"color": colour, "size": 6},
        )  # fmt: skip
    figure = styled(figure, y_title=_titled(seen))
    return figure.update_xaxes(title=seen.axis)


def against_truth(seen: Seen) -> go.Figure:
    """Draw estimates against what was measured, with the tolerance about the line."""
    shown = thinned(len(seen.material), MOST_POINTS)
    truth, estimate = seen.material.y[shown], seen.output("estimate")[shown]
    tolerance = seen.scenario.acceptance.tolerance or 0.0
    low = float(min(truth.min(), estimate.min())) - tolerance
    high = float(max(truth.max(), estimate.max())) + tolerance
    ends = np.array([low, high])
    figure = go.Figure()
    figure.add_scatter(
        x=np.concatenate([ends, ends[::-1]]),
        y=np.concatenate([ends - tolerance, ends[::-1] + tolerance]),
        fill="toself", fillcolor="rgba(46,125,50,0.12)", mode="lines", line={"width": 0},
        name=f"close enough (within {tolerance:g} {seen.unit})".strip(), hoverinfo="skip",
    )  # fmt: skip
    figure.add_scatter(
        x=ends, y=ends, mode="lines", line={"color": STEEL, "dash": "dot"}, name="equal"
    )
    close = np.abs(estimate - truth) <= tolerance
    bars = len(shown) <= MOST_BARS
    for which, name, colour in (
        (close, "judged, close enough", COOL),
        (~close, "judged, too far off", RED),
    ):
        at = shown[which]
        figure.add_scatter(
            x=truth[which], y=estimate[which], mode="markers", name=name,
            marker={"color": colour, "size": 7, "opacity": 0.8},
            error_y=_bars(seen, at) if bars else None,
        )  # fmt: skip
    figure = styled(figure, y_title=f"estimate{_in(seen)}")
    return figure.update_xaxes(title=f"measured{_in(seen)}")


def units(seen: Seen) -> go.Figure:
    """Draw the last judged window of each unit: true rest of life and estimate.

    Units stand in order of their true rest of life.
    """
    source = seen.material.source
    last = np.array(
        [np.flatnonzero(source == name)[-1] for name in np.unique(source)],
        dtype=np.int64,
    )
    truth = seen.material.y
    order = last[np.argsort(truth[last], kind="stable")]
    order = order[thinned(len(order), MOST_UNITS)]
    tolerance = seen.scenario.acceptance.tolerance or 0.0
    error = seen.output("estimate") - truth
    names = [label(str(source[place])) for place in order]
    figure = go.Figure()
    for which, name, colour in (
        (error[order] > tolerance, "too long: the failure comes first", RED),
        (np.abs(error[order]) <= tolerance, "close enough", COOL),
        (error[order] < -tolerance, "too short: stopped early", MELT),
    ):
        at = order[which]
        figure.add_scatter(
            x=[names[place] for place in np.flatnonzero(which)],
            y=seen.output("estimate")[at], mode="markers", name=name,
            marker={"color": colour, "size": 8}, error_y=_bars(seen, at),
        )  # fmt: skip
    figure.add_scatter(
        x=names, y=truth[order], mode="markers", name="true rest of life",
        marker={"color": INK, "symbol": "line-ew", "size": 12, "line": {"width": 2, "color": INK}},
    )  # fmt: skip
    figure = styled(figure, y_title=f"rest of life{_in(seen)}")
    return figure.update_xaxes(
        type="category", categoryorder="array", categoryarray=names, title="unit"
    )


def lives(seen: Seen) -> go.Figure | None:
    """Draw the course of up to four units with many judged windows; None without any."""
    source = seen.material.source
    names, counts = np.unique(source, return_counts=True)
    long = names[counts >= 10]
    if not len(long):
        return None
    error = np.abs(seen.output("estimate") - seen.material.y)
    mean = [float(error[source == name].mean()) for name in long]
    chosen = long[np.argsort(mean, kind="stable")][_spread_over(len(long))]
    titles = [label(str(name)) for name in chosen]
    figure = make_subplots(
        rows=1, cols=len(chosen), shared_yaxes=True, subplot_titles=titles
    )
    for column, name in enumerate(chosen, 1):
        mine = np.flatnonzero(source == name)
        mine = mine[thinned(len(mine), 300)]
        _fan(figure, np.arange(len(mine)), [
            seen.output(key)[mine] for key in ("lower", "estimate", "upper")
        ], seen.material.y[mine], (1, column))  # fmt: skip
    figure = styled(figure, y_title="")
    figure.update_layout(margin={"t": 90}, legend={"y": 1.12})
    figure.update_xaxes(title="window, in order")
    return figure.update_yaxes(title=f"rest of life{_in(seen)}", col=1)


def forecasts(seen: Seen) -> go.Figure:
    """Draw a few forecasts with interval and plain rule: from the best to the worst."""
    truth, estimate = seen.material.y, seen.outputs["estimate"]
    known = np.isfinite(truth).all(axis=1)
    error = np.where(known, np.abs(estimate - truth).mean(axis=1), np.nan)
    usable = np.flatnonzero(np.isfinite(error))
    ordered = usable[np.argsort(error[usable], kind="stable")]
    chosen = ordered[_spread_over(len(ordered))]
    plain = plain_forecast(seen.case)
    titles = [_moment(seen, place) for place in chosen]
    figure = make_subplots(
        rows=2, cols=2, shared_yaxes=True, subplot_titles=titles, vertical_spacing=0.16
    )
    ahead = np.arange(1, truth.shape[1] + 1)
    for number, place in enumerate(chosen):
        cell = (1 + number // 2, 1 + number % 2)
        answer = [seen.outputs[key][place] for key in ("lower", "estimate", "upper")]
        _fan(figure, ahead, answer, truth[place], cell, mode="lines+markers")
        figure.add_scatter(
            x=ahead, y=plain[place], mode="lines", name="plain rule", row=cell[0], col=cell[1],
            line={"color": MELT, "dash": "dash", "width": 1.5}, legendgroup="plain",
            showlegend=number == 0,
        )  # fmt: skip
    figure = styled(figure, y_title="")
    figure.update_layout(height=600, margin={"t": 90}, legend={"y": 1.08})
    figure.update_yaxes(title=_titled(seen), col=1)
    return figure.update_xaxes(title="rows ahead", row=2)


def _fan(
    figure: go.Figure,
    x: NDArray[np.int64],
    answer: list[Floats],
    truth: Floats,
    cell: tuple[int, int],
    *,
    mode: str = "lines",
) -> None:
    """Add interval, estimate and truth to one cell of a picture."""
    row, column = cell
    first = cell == (1, 1)
    lower, estimate, upper = answer
    figure.add_scatter(
        x=np.concatenate([x, x[::-1]]), y=np.concatenate([upper, lower[::-1]]), fill="toself",
        fillcolor=_SHADE, mode="lines", line={"width": 0}, hoverinfo="skip", name="interval",
        legendgroup="interval", showlegend=first, row=row, col=column,
    )  # fmt: skip
    for values, name, colour in (
        (estimate, "estimate", COOL),
        (truth, "what came", INK),
    ):
        figure.add_scatter(
            x=x, y=values, mode=mode, name=name, legendgroup=name, showlegend=first,
            line={"color": colour, "width": 1.5}, marker={"size": 4}, row=row, col=column,
        )  # fmt: skip


def _spread_over(count: int) -> Indices:
    """Return the places of the best, two between, and the worst of ``count``."""
    return np.unique(np.linspace(0, count - 1, min(4, count)).astype(np.int64))


def _moment(seen: Seen, place: np.int64) -> str:
    at, source = seen.material.at, str(seen.material.source[place])
    if at is None or np.isnat(at[place]):
        return label(f"{source}, window {place}")
    return label(
        f"{source}, {str(at[place].astype('datetime64[m]')).replace('T', ' ')}"
    )


def _bars(seen: Seen, at: Indices) -> dict[str, object]:
    estimate = seen.output("estimate")[at]
    return {
        "type": "data", "symmetric": False, "thickness": 1, "width": 0,
        "array": np.maximum(seen.output("upper")[at] - estimate, 0.0),
        "arrayminus": np.maximum(estimate - seen.output("lower")[at], 0.0),
    }  # fmt: skip


def _titled(seen: Seen) -> str:
    target = seen.scenario.target
    return f"{label(target.description if target else 'value')}{_in(seen)}"


def _in(seen: Seen) -> str:
    return f", {label(seen.unit)}" if seen.unit else ""
