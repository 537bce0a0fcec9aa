"""Features of a window, each written twice: as numbers in numpy and as nodes of a graph.

A feature looks at the newest ``rows`` rows of every channel (or at those of some
channels) and gives one number a channel. What a recipe trains on is the graph's own
answer (``trees.features_of``); the numpy side says what it should be, and a test holds
the two against each other.

Sources: the statistics are those in common use for condition monitoring (ISO 13373-2:
peak, root mean square, crest; kurtosis after Dyer and Stewart, J. Mech. Design 100
(1978) 229); the slope is that of the least-squares line through the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import Field

from tundish.kernel.records import Record
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices

Kind: TypeAlias = Literal[
    "last", "lag", "change", "mean", "std", "min", "max", "range", "rms", "slope",
    "skew", "kurtosis", "crest", "roughness",
]  # fmt: skip

_TINY = 1e-12


class Feature(Record):
    """One statistic of each channel.

    Attributes:
        kind: ``last``: the newest value; ``lag``: the value ``rows`` rows before it;
            ``change``: the newest less that one; ``roughness``: root mean square of the
            steps from row to row; the others as they are commonly called, over the
            newest ``rows`` rows.
        rows: How many rows it looks at, or back; at most those of the window.
    """

    kind: Kind
    rows: Annotated[int, Field(ge=1, le=100_000)] = 1

    def fits(self, rows: int) -> bool:
        """Tell whether a window of so many rows has what the feature looks at."""
        back = self.kind in {"lag", "change"}
        least = {"slope": 2, "roughness": 2}.get(self.kind, 1)
        return least <= self.rows < rows + (not back)


def names(features: Sequence[Feature], channels: Sequence[str]) -> tuple[str, ...]:
    """Return the name of each column, in order: feature by feature, channel by channel."""
    return tuple(
        f"{feature.kind}{feature.rows if feature.rows > 1 else ''}({channel})"
        for feature in features
        for channel in channels
    )


def channel_of(features: Sequence[Feature], channels: int) -> Indices:
    """Return the channel that each column comes from, [F]."""
    return np.tile(np.arange(channels), len(features)).astype(np.int64)


def values(features: Sequence[Feature], x: np.ndarray) -> Floats:
    """Return the features of windows.

    Args:
        features: Which.
        x: Windows, [N, T, C].

    Returns:
        float64 [N, F * C].
    """
    raw = x.astype(np.float64)
    return np.concatenate([_value(feature, raw) for feature in features], axis=1)


def build(features: Sequence[Feature], rows: int) -> Callable[[GraphWriter, str], str]:
    """Return what adds the features to a graph; see ``trees.BuildFeatures``."""

    def add(writer: GraphWriter, raw: str) -> str:
        parts = [_Nodes(writer, raw, rows).add(feature) for feature in features]
        return writer.add("Concat", *parts, axis=1, hint="features")

    return add


def _value(feature: Feature, raw: Floats) -> Floats:
    back = raw[:, -1 - feature.rows] if feature.rows < raw.shape[1] else raw[:, 0]
    if feature.kind == "last":
        return raw[:, -1]
    if feature.kind == "lag":
        return back
    if feature.kind == "change":
        return raw[:, -1] - back
    return np.asarray(_STATISTICS[feature.kind](raw[:, -feature.rows :]))


def _spread(part: Floats) -> Floats:
    return _rms(part - part.mean(axis=1, keepdims=True))


def _moment(part: Floats, power: int) -> Floats:
    off = part - part.mean(axis=1, keepdims=True)
    deep = np.mean(off**power, axis=1)
    return np.asarray(deep / (np.mean(off**2, axis=1) + _TINY) ** (power / 2))


def _rms(part: Floats) -> Floats:
    return np.asarray(np.sqrt(np.mean(part**2, axis=1)))


def _slope(part: Floats) -> Floats:
    return np.asarray(np.einsum("t,ntc->nc", line_weights(part.shape[1]), part))


def line_weights(rows: int) -> Floats:
    """Return the weights that give the least-squares slope per row, [rows]."""
    place = np.arange(rows) - (rows - 1) / 2
    return np.asarray(place / np.sum(place**2))


_STATISTICS: Mapping[str, Callable[[Floats], Floats]] = {
    "mean": lambda part: part.mean(axis=1),
    "std": _spread,
    "min": lambda part: part.min(axis=1),
    "max": lambda part: part.max(axis=1),
    "range": lambda part: np.ptp(part, axis=1),
    "rms": _rms,
    "slope": _slope,
    "skew": lambda part: _moment(part, 3),
    "kurtosis": lambda part: _moment(part, 4),
    "crest": lambda part: np.abs(part).max(axis=1) / (_rms(part) + _TINY),
    "roughness": lambda part: _rms(np.diff(part, axis=1)),
}


class _Nodes:
    """Adds one feature after another to a graph; shares what they have in common."""

    def __init__(self, writer: GraphWriter, raw: str, rows: int) -> None:
        self._writer = writer
        self._raw = raw
        self._rows = rows

    def add(self, feature: Feature) -> str:
        writer, count = self._writer, feature.rows
        if feature.kind == "last":
            return self._row(self._rows - 1)
        if feature.kind in {"lag", "change"}:
            back = self._row(self._rows - 1 - count)
            if feature.kind == "lag":
                return back
            return writer.add("Sub", self._row(self._rows - 1), back, hint="change")
        part = self._newest(count)
        if feature.kind == "roughness":
            ahead = self._slice(part, 1, count)
            step = writer.add("Sub", ahead, self._slice(part, 0, count - 1))
            return self._root(writer.add("Mul", step, step))
        return self._statistic(feature.kind, part, count)

    def _statistic(self, kind: Kind, part: str, count: int) -> str:
        writer = self._writer
        if kind == "slope":
            weights = writer.constant(line_weights(count)[None, :, None], "line")
            return self._reduce("ReduceSum", writer.add("Mul", part, weights))
        if kind == "rms":
            return self._root(writer.add("Mul", part, part))
        if kind in {"mean", "min", "max"}:
            return self._reduce(f"Reduce{kind.capitalize()}", part)
        if kind == "range":
            high, low = self._reduce("ReduceMax", part), self._reduce("ReduceMin", part)
            return writer.add("Sub", high, low, hint="span")
        if kind == "crest":
            peak = self._reduce("ReduceMax", writer.add("Abs", part))
            rms = self._root(writer.add("Mul", part, part))
            return writer.add("Div", peak, self._above_zero(rms), hint="crest")
        return self._about_mean(kind, part)

    def _about_mean(self, kind: Kind, part: str) -> str:
        writer = self._writer
        mean = writer.add("ReduceMean", part, axes=[1], keepdims=1)
        off = writer.add("Sub", part, mean, hint="off")
        square = writer.add("Mul", off, off, hint="square")
        if kind == "std":
            return self._root(square)
        power = 3 if kind == "skew" else 4
        deep = writer.add("Mul", square, off if power == 3 else square)
        spread = self._above_zero(self._reduce("ReduceMean", square))
        exponent = writer.constant(np.array(power / 2), "exponent")
        below = writer.add("Pow", spread, exponent)
        return writer.add("Div", self._reduce("ReduceMean", deep), below, hint=kind)

    def _row(self, place: int) -> str:
        index = self._writer.constant(np.array(place), "row")
        return self._writer.add("Gather", self._raw, index, axis=1, hint="row_of")

    def _newest(self, count: int) -> str:
        if count == self._rows:
            return self._raw
        return self._slice(self._raw, self._rows - count, self._rows)

    def _slice(self, value: str, start: int, end: int) -> str:
        ends = [
            self._writer.constant(np.array([number]), hint)
            for number, hint in ((start, "from"), (end, "to"), (1, "axis"))
        ]
        return self._writer.add("Slice", value, *ends, hint="part")

    def _reduce(self, operator: str, value: str) -> str:
        if operator == "ReduceSum":  # the others take their axes as an attribute
            axes = self._writer.constant(np.array([1]), "axis")
            return self._writer.add(operator, value, axes, keepdims=0)
        return self._writer.add(operator, value, axes=[1], keepdims=0)

    def _root(self, square: str) -> str:
        return self._writer.add("Sqrt", self._reduce("ReduceMean", square), hint="root")

    def _above_zero(self, value: str) -> str:
        tiny = self._writer.constant(np.array(_TINY), "tiny")
        return self._writer.add("Add", value, tiny)
