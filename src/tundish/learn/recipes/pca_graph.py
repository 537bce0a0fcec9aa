"""The graph of a PCA detector: standardise, two matrix products, two sums."""

from __future__ import annotations

import numpy as np

from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices
from tundish.learn.recipes.pca_model import Columns, PcaModel

_TINY = 1e-12


def write_graph(model: PcaModel) -> bytes:
    """Return the ONNX graph of score, contribution and applicability."""
    columns = model.columns
    channels = len(columns.names)
    writer = GraphWriter(columns.rows, channels)
    raw = writer.window()
    standard = _standard(writer, raw, model)
    scores, shares = _statistics(writer, standard, model)
    score = writer.add("Max", *scores) if len(scores) > 1 else scores[0]
    share = writer.add("Add", *shares) if len(shares) > 1 else shares[0]
    belongs = np.zeros((columns.features, channels))
    belongs[np.arange(columns.features), columns.owner] = 1.0
    gathered = writer.add("MatMul", share, writer.constant(belongs, "belongs"))
    floor = writer.constant(np.array([_TINY]), "floor")
    by_channel = writer.add("Add", gathered, floor, hint="by_channel")
    total = writer.sum_last(by_channel, "share_total")
    outputs = {
        "score": score,
        "contribution": writer.add("Div", by_channel, total, hint="shares"),
        "applicability": columns.reach.add(writer),
    }
    widths = {"score": 1, "contribution": channels, "applicability": 1}
    return writer.write(outputs, widths)


def _standard(writer: GraphWriter, raw: str, model: PcaModel) -> str:
    columns = model.columns
    parts = []
    if len(columns.plain):
        parts.append(_rows(writer, raw, columns.plain, columns))
    if len(columns.circular):
        degrees = _rows(writer, raw, columns.circular, columns)
        factor = writer.constant(np.array([np.pi / 180.0]), "radians_per_degree")
        radians = writer.add("Mul", degrees, factor, hint="radians")
        parts += [writer.add("Sin", radians), writer.add("Cos", radians)]
    features = parts[0]
    if len(parts) > 1:
        features = writer.add("Concat", *parts, axis=1, hint="features")
    mean = writer.constant(model.mean, "mean")
    centred = writer.add("Sub", features, mean, hint="centred")
    return writer.add("Div", centred, writer.constant(model.std, "std"), hint="z")


def _rows(writer: GraphWriter, raw: str, channels: Indices, columns: Columns) -> str:
    kept = writer.pick(raw, channels, hint="kept")
    shape = writer.constant(np.array([-1, columns.rows * len(channels)]), "rows_shape")
    return writer.add("Reshape", kept, shape, hint="rows")


def _statistics(
    writer: GraphWriter, standard: str, model: PcaModel
) -> tuple[list[str], list[str]]:
    """Return the names of the scores and of the squared shares, one per statistic."""
    vectors = model.vectors
    along = (vectors / np.sqrt(model.variances)) @ vectors.T
    off = np.eye(len(vectors)) - vectors @ vectors.T
    wanted: list[tuple[str, Floats, float]] = []
    if model.statistics != "spe":
        wanted.append(("t2", along, model.t2_limit))
    if model.statistics != "t2":
        wanted.append(("spe", off, model.spe_limit))
    scores, shares = [], []
    for name, matrix, limit in wanted:
        root = writer.constant(matrix / np.sqrt(limit), f"{name}_root")
        part = writer.add("MatMul", standard, root, hint=f"{name}_part")
        share = writer.add("Mul", part, part, hint=f"{name}_share")
        shares.append(share)
        scores.append(writer.sum_last(share, name))
    return scores, shares
