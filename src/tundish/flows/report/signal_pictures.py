"""Pictures of a watch: the score with events and alarms, and the tags beside it; parts seen."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from tundish.flows.report.pictures import COOL, GREEN, INK, MELT, RED, styled
from tundish.flows.report.seen import Seen, envelope, label
from tundish.learn.material import Floats, Indices

CUT = 5.0
TAGS = 3
MOST_EVENTS = 60
MOST_MARKS = 400
PARTS = 6
CELLS = 96


def watch(seen: Seen) -> go.Figure:
    """Draw the score with alarms and events, and the tags that moved it most."""
    tags = strongest(seen)
    names = seen.channels()
    place, runs = seen.place(), seen.runs()
    figure = make_subplots(
        rows=1 + len(tags), cols=1, shared_xaxes=True, vertical_spacing=0.03,
        row_heights=[2.0, *[1.0] * len(tags)],
    )  # fmt: skip
    score = np.minimum(seen.output("score"), CUT)
    at, values = envelope(place, score, runs)
    figure.add_scatter(
        x=at, y=values, mode="lines", name="score", row=1, col=1,
        line={"color": COOL, "width": 1}, showlegend=False,
    )  # fmt: skip
    figure.add_hline(
        y=1.0, row=1, col=1, line={"color": INK, "dash": "dash", "width": 1},
        annotation_text="alarm limit", annotation_position="top left",
    )  # fmt: skip
    _alarms(figure, seen, score)
    for row, channel in enumerate(tags, 2):
        at, values = envelope(
            place, seen.material.x[:, -1, channel].astype(np.float64), runs
        )
        figure.add_scatter(
            x=at, y=values, mode="lines", row=row, col=1, showlegend=False,
            line={"color": INK, "width": 1}, name=label(names[channel]),
        )  # fmt: skip
        figure.update_yaxes(title=label(names[channel]), row=row, col=1)
    figure = styled(figure, y_title="")
    _events(figure, seen)
    figure.update_yaxes(title="score", range=[0, CUT + 0.2], row=1, col=1)
    figure.update_layout(height=300 + 110 * len(tags))
    return figure.update_xaxes(title=seen.axis, row=1 + len(tags), col=1)


def strongest(seen: Seen) -> Indices:
    """Return the channels that moved the score most where it alarmed."""
    part = seen.outputs.get("contribution")
    if part is None:
        return np.arange(min(TAGS, seen.scenario.channels), dtype=np.int64)
    alarm = seen.output("score") > 1.0
    mean = np.abs(part[alarm] if alarm.any() else part).mean(axis=0)
    return np.argsort(-mean, kind="stable")[:TAGS].astype(np.int64)


def _alarms(figure: go.Figure, seen: Seen, score: Floats) -> None:
    place, event = seen.place(), seen.material.event
    alarm = seen.output("score") > 1.0
    for which, name, colour in (
        (alarm & (event >= 0), "alarm in an event", GREEN),
        (alarm & (event < 0), "alarm in normal time (false)", RED),
    ):
        at = np.flatnonzero(which)
        at = at[:: max(1, -(-len(at) // MOST_MARKS))]
        figure.add_scatter(
            x=place[at], y=score[at], mode="markers", name=name, row=1, col=1,
            marker={"color": colour, "size": 5},
        )  # fmt: skip


def _events(figure: go.Figure, seen: Seen) -> None:
    """Shade each marked event: found or missed."""
    place, event = seen.place(), seen.material.event
    for result in seen.verdict.events[:MOST_EVENTS]:
        inside = np.flatnonzero(event == result.event)
        figure.add_vrect(
            x0=_edge(place[inside[0]]), x1=_edge(place[inside[-1]]), line_width=0,
            fillcolor=GREEN if result.found else MELT, opacity=0.2,
        )  # fmt: skip
    for name, colour in (("event, found", GREEN), ("event, missed", MELT)):
        figure.add_bar(
            x=[None], y=[None], name=name, marker={"color": colour}, opacity=0.3
        )


def _edge(at: np.generic) -> object:
    return str(at) if isinstance(at, np.datetime64) else int(at)


def parts(seen: Seen) -> go.Figure:
    """Draw the judged pictures that went wrong worst (else the highest scores)."""
    form = seen.scenario.picture
    if form is None:
        msg = "only a scenario with pictures has parts to draw"
        raise ValueError(msg)
    chosen = worst_parts(seen)
    titles = [_title(seen, place) for place in chosen]
    figure = make_subplots(
        rows=2, cols=len(chosen), subplot_titles=titles, vertical_spacing=0.04,
        horizontal_spacing=0.02,
    )  # fmt: skip
    high = max(2.0, float(seen.outputs["map"][chosen].max()))
    for column, place in enumerate(chosen, 1):
        grey = seen.material.x[place].mean(axis=1).reshape(form.height, form.width)
        cells = seen.outputs["map"][place].reshape(form.map_height, form.map_width)
        for row, values, colours, top in (
            (1, _coarse(grey), "gray", 255.0 if grey.max() > 1.0 else 1.0),
            (2, _coarse(cells), "OrRd", high),
        ):
            figure.add_heatmap(
                z=values, colorscale=colours, zmin=0.0, zmax=top, showscale=False,
                hoverinfo="skip", row=row, col=column,
            )  # fmt: skip
    figure = styled(figure, y_title="")
    figure.update_annotations(font_size=12)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, autorange="reversed")
    figure.update_layout(height=440, margin={"t": 80})
    return figure


def worst_parts(seen: Seen) -> Indices:
    """Return up to six parts: wrong ones by how far they lie from the limit, then others."""
    score, bad = seen.output("score"), bad_parts(seen)
    wrong = np.where(bad, 1.0 - score, score - 1.0)
    order = np.argsort(-np.where(wrong > 0, 1e6 + wrong, score), kind="stable")
    return order[:PARTS].astype(np.int64)


def bad_parts(seen: Seen) -> NDArray[np.bool_]:
    """Return which parts are bad, as the judge counts them, [N]."""
    place = seen.material.y.astype(np.int64)
    classes = seen.scenario.classes
    if not classes:
        return np.asarray(place != 0)
    return np.asarray(~np.array([item.good for item in classes])[place])


def _title(seen: Seen, place: np.int64) -> str:
    was = "bad" if bad_parts(seen)[place] else "good"
    said = "bad" if seen.output("score")[place] > 1.0 else "good"
    mark = "" if was == said else " \u2717"
    return f"was {was},<br>called {said}{mark}"


def _coarse(values: Floats) -> Floats:
    """Return a picture of at most about ``CELLS`` cells a side, by picking."""
    step = max(1, -(-max(values.shape) // CELLS))
    return np.asarray(np.round(values[::step, ::step], 2), dtype=np.float64)
