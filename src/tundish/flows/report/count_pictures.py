"""Pictures of counts and shares: confusion, slices, contributions, scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from tundish.flows.report import plain
from tundish.flows.report.pictures import COOL, GREEN, INK, MELT, RED, STEEL, styled
from tundish.flows.report.seen import label
from tundish.learn.material import Floats
from tundish.learn.verdict import Confusion, Slice

MOST_SLICES = 12
MOST_TAGS = 12
BAR = 28
SCORES_END = 5.0


def confusion(found: Confusion, scale: float, unit: str) -> go.Figure:
    """Draw what was taken for what; the diagonal is right.

    Args:
        found: The counts.
        scale: Turns a count into what is shown.
        unit: What is shown, such as ``parts of 1,000``.
    """
    counts = np.asarray(found.counts, dtype=np.float64) * scale
    columns = [label(name) for name in found.classes]
    taken = [*columns, "left open"]
    if not counts[:, -1].any():
        counts, taken = counts[:, :-1], columns
    right = np.zeros(counts.shape, dtype=np.bool_)
    np.fill_diagonal(right, val=True)
    open_ = np.zeros(counts.shape, dtype=np.bool_)
    open_[:, len(columns) :] = True
    row = np.maximum(counts.sum(axis=1, keepdims=True), 1e-12)
    share = counts / row
    wrong = np.where(
        counts > 0, -np.minimum(1.0, 0.2 + 2.0 * share), 0.0
    )  # few count too
    tone = np.where(right, share, np.where(open_, 0.0, wrong))
    figure = go.Figure(
        go.Heatmap(
            z=tone, x=taken, y=columns, zmin=-1, zmax=1, showscale=False, xgap=3, ygap=3,
            colorscale=[[0, "#e57373"], [0.5, "#f5f7fa"], [1, "#81c784"]],
            text=[[f"{value:,.3g}" for value in line] for line in counts],
            texttemplate="%{text}", textfont={"size": 15, "color": INK}, hoverinfo="skip",
        )
    )  # fmt: skip
    figure = styled(figure, y_title="what it was")
    figure.update_layout(height=max(240, 130 + 46 * len(columns)), showlegend=False)
    figure.update_xaxes(title=f"what it was taken for, {unit}", type="category")
    return figure.update_yaxes(autorange="reversed", type="category", automargin=True)


def slices(
    cuts: Sequence[Slice], metric: str, *, unit: str, bound: float | None
) -> go.Figure:
    """Draw one figure of several slices as bars, each with its count, worst on top.

    Args:
        cuts: The slices.
        metric: Which figure.
        unit: Its unit.
        bound: The scenario's limit on it.
    """
    valued = [(_value(cut, metric), cut) for cut in cuts]
    known = [(value, cut) for value, cut in valued if value is not None]
    small = metric in plain.SMALL_IS_GOOD
    known.sort(key=lambda pair: pair[0], reverse=small)
    shown = known[:MOST_SLICES]
    figure = go.Figure(
        go.Bar(
            y=[f"{label(cut.name)}  (n={cut.count:,})" for _, cut in shown],
            x=[value for value, _ in shown],
            orientation="h",
            marker={
                "color": [
                    RED if _beyond(v, bound, small=small) else COOL for v, _ in shown
                ]
            },
            text=[plain.number(value, metric) for value, _ in shown],
            textposition="auto",
            hoverinfo="skip",
        )
    )
    if bound is not None:
        figure.add_vline(
            x=bound, line={"color": INK, "dash": "dash", "width": 1.5},
            annotation_text="limit", annotation_position="bottom right",
        )  # fmt: skip
    figure = styled(figure, y_title="")
    figure.update_layout(height=130 + BAR * max(2, len(shown)), showlegend=False)
    figure.update_xaxes(
        title=f"{plain.words(metric)}{f', {unit}' if unit else ''}", rangemode="tozero"
    )
    return figure.update_yaxes(autorange="reversed", automargin=True, type="category")


def has(cuts: Sequence[Slice], metric: str) -> bool:
    """Tell whether the slices have a figure that is not nought in every one."""
    return any(_value(cut, metric) for cut in cuts)


def contributions(
    names: Sequence[str], usual: Floats, worst: Floats, *, said: str
) -> go.Figure:
    """Draw how much each tag moves the answer: over all windows, and over the worst.

    Args:
        names: Of each channel, [C].
        usual: Mean absolute contribution over all windows, [C].
        worst: The same over the worst windows, [C].
        said: What the worst windows are.
    """
    order = np.argsort(-np.maximum(usual, worst), kind="stable")[:MOST_TAGS]
    tags = [label(names[place]) for place in order]
    figure = go.Figure()
    for values, name, colour in ((worst, said, MELT), (usual, "all windows", STEEL)):
        figure.add_bar(
            y=tags,
            x=values[order],
            orientation="h",
            name=name,
            marker={"color": colour},
        )
    figure = styled(figure, y_title="")
    figure.update_layout(height=160 + 34 * len(tags), barmode="group", bargap=0.25)
    figure.update_xaxes(title="how far the tag moves the answer, mean")
    return figure.update_yaxes(autorange="reversed", automargin=True, type="category")


def scores(score: Floats, bad: NDArray[np.bool_], names: tuple[str, str]) -> go.Figure:
    """Draw how the scores of good and bad lie about the limit of 1."""
    top = float(np.clip(np.quantile(score, 0.995), 2.0, SCORES_END))
    edges = np.linspace(0.0, top, 41)
    figure = go.Figure()
    for which, name, colour in ((~bad, names[0], GREEN), (bad, names[1], RED)):
        counts, _ = np.histogram(np.clip(score[which], 0.0, top), edges)
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2, y=counts, name=name, width=np.diff(edges),
            marker={"color": colour}, opacity=0.6,
        )  # fmt: skip
    figure.add_vline(
        x=1.0, line={"color": INK, "dash": "dash"}, annotation_text="limit"
    )
    figure = styled(figure, y_title="how many")
    figure.update_layout(barmode="overlay", height=300)
    return figure.update_xaxes(title=f"score; the last bar holds all from {top:.2g} up")


def _value(cut: Slice, metric: str) -> float | None:
    return next((f.value for f in cut.figures if f.metric == metric), None)


def _beyond(value: float, bound: float | None, *, small: bool) -> bool:
    if bound is None:
        return False
    return value > bound if small else value < bound
