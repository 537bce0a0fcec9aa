"""The graph of a PLS soft sensor: one matrix product for the estimate.

The mean of linear models on linear preparations is one weight for each raw channel
and one number. The window is centred first (float32 values, double arithmetic), so
that no large offsets cancel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Material
from tundish.learn.recipes.pls_distance import Distance, Plausible
from tundish.learn.recipes.pls_search import Linear
from tundish.learn.recipes.spectra import Layout, Preparation


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A linear model on raw channels.

    Attributes:
        slope: Weight of each raw channel of each kept row, [T' * C].
        level: The number added.
    """

    slope: Floats
    level: float


def raw_weights(members: list[tuple[Preparation, Linear]], layout: Layout) -> Weights:
    """Return the mean of linear models as one linear model on raw channels."""
    slopes, levels = [], []
    for preparation, model in members:
        coefficients = model.slopes[:, -1] / model.spread
        matrix = preparation.matrix(layout)
        by_row = coefficients.reshape(-1, matrix.shape[1])
        slopes.append((by_row @ matrix.T).reshape(-1))
        levels.append(model.level - float(model.middle @ coefficients))
    return Weights(slope=np.mean(slopes, axis=0), level=float(np.mean(levels)))


def write_graph(
    weights: Weights,
    half_width: float,
    limits: tuple[Distance, Plausible],
    layout: Layout,
    fit: Material,
) -> bytes:
    """Return the ONNX graph of estimate, interval and applicability."""
    distance, possible = limits
    _, rows, channels = fit.x.shape
    prepare = _matrix(distance.preparation, layout, weights)
    used = np.flatnonzero((weights.slope != 0.0) | (prepare != 0.0).any(axis=1))
    middle = layout.gather(fit.x).reshape(len(fit), -1).mean(axis=0)
    writer = GraphWriter(rows, channels)
    flat = _flat(writer, layout)
    centred = _centred(writer, flat, used, middle)
    slope = writer.constant(weights.slope[used][:, None], "weights")
    level = weights.level + float(weights.slope[used] @ middle[used])
    product = writer.add("MatMul", centred, slope, hint="weighted")
    estimate = writer.add("Add", product, writer.constant(np.array([level]), "level"))
    half = writer.constant(np.array([half_width]), "half_width")
    outputs = {
        "estimate": estimate,
        "lower": writer.add("Sub", estimate, half, hint="lower_value"),
        "upper": writer.add("Add", estimate, half, hint="upper_value"),
        "applicability": writer.add(
            "Max",
            _distance(writer, centred, prepare[used], distance),
            _implausible(writer, estimate, possible),
            hint="farther",
        ),
    }
    outputs["contribution"] = _parts(writer, flat, weights.slope, middle, channels)
    return writer.write(
        outputs, {**dict.fromkeys(outputs, 1), "contribution": channels}
    )


def _matrix(preparation: Preparation, layout: Layout, weights: Weights) -> Floats:
    by_row = preparation.matrix(layout)
    rows = len(weights.slope) // len(layout.axis)
    return by_row if rows == 1 else np.asarray(np.kron(np.eye(rows), by_row))


def contributions(
    windows: NDArray[np.float32], slope: Floats, middle: Floats, layout: Layout
) -> Floats:
    """Return each channel's part in the estimate against the mean window, exact, [n, C]."""
    flat = layout.gather(windows).reshape(len(windows), -1)
    parts = ((flat - middle) * slope).reshape(len(windows), -1, windows.shape[2])
    return np.asarray(parts.sum(axis=1))


def _parts(
    writer: GraphWriter, flat: str, slope: Floats, middle: Floats, channels: int
) -> str:
    off = writer.add("Sub", flat, writer.constant(middle, "usual"), hint="off_usual")
    parts = writer.add("Mul", off, writer.constant(slope, "slope"), hint="parts")
    if len(slope) == channels:
        return parts
    shape = writer.constant(np.array([-1, len(slope) // channels, channels]), "by_row")
    wide = writer.add("Reshape", parts, shape, hint="parts_by_row")
    axis = writer.constant(np.array([1]), "axis")
    return writer.add("ReduceSum", wide, axis, keepdims=0, hint="by_channel")


def _flat(writer: GraphWriter, layout: Layout) -> str:
    raw = writer.window()
    if layout.rows == "mean":
        return writer.add("ReduceMean", raw, axes=[1], keepdims=0, hint="row_mean")
    return writer.flat(raw)


def _centred(
    writer: GraphWriter, flat: str, used: NDArray[np.int64], middle: Floats
) -> str:
    kept = writer.pick(flat, used, width=len(middle), axis=1, hint="used")
    return writer.add(
        "Sub", kept, writer.constant(middle[used], "middle"), hint="centred"
    )


def _distance(
    writer: GraphWriter, centred: str, prepare: Floats, distance: Distance
) -> str:
    model = distance.model
    matrix = writer.constant(prepare / model.spread, "preparation")
    features = writer.add("MatMul", centred, matrix, hint="features")
    rotation = writer.constant(model.pls.x_rotations_, "rotations")
    scores = writer.add("MatMul", features, rotation, hint="scores")
    back = writer.constant(model.pls.x_loadings_.T, "loadings")
    modelled = writer.add("MatMul", scores, back, hint="modelled")
    off = writer.add("Sub", features, modelled, hint="off_model")
    scale = 1.0 / np.sqrt(distance.variance * distance.farthest[0])
    along = writer.add("Mul", scores, writer.constant(scale, "t2_scale"))
    t2 = writer.sum_last(writer.add("Mul", along, along), "t2")
    squares = writer.sum_last(writer.add("Mul", off, off), "q_sum")
    limit = writer.constant(np.array([distance.farthest[1]]), "q_limit")
    worst = writer.add("Max", t2, writer.add("Div", squares, limit, hint="q"))
    margin = writer.constant(np.array([distance.margin]), "margin")
    return writer.add("Div", writer.add("Sqrt", worst), margin, hint="distance")


def _implausible(writer: GraphWriter, estimate: str, possible: Plausible) -> str:
    middle = writer.constant(np.array([possible.middle]), "range_middle")
    reach = writer.constant(np.array([possible.reach]), "range_reach")
    off = writer.add("Abs", writer.add("Sub", estimate, middle, hint="from_middle"))
    return writer.add("Div", off, reach, hint="implausible")
