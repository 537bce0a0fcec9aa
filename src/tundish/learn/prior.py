"""A declared first-principles formula, twice: in numpy and as nodes of a graph.

It looks at the newest row of the window, in double precision. A quotient whose divisor
comes nearer to zero than ``TINY`` is taken at ``TINY``, on both sides alike, so that no
window gives an infinite answer.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.expression import compile_formula, tag_of
from tundish.catalog.scenario import Scenario
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats
from tundish.learn.mechanism import channel_of

TINY = 1e-9
_OF: dict[type[ast.operator], np.ufunc] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
}
_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "Add",
    ast.Sub: "Sub",
    ast.Mult: "Mul",
    ast.Div: "Div",
}


@dataclass(frozen=True, kw_only=True)
class PriorFormula:
    """A formula bound to the channels of a scenario.

    Attributes:
        text: The formula.
        channels: Signal -> its channel, in order of names.
        usual: Mean of each of these channels' newest value in the fit part, [signals].
    """

    text: str
    channels: dict[str, int]
    usual: tuple[float, ...]

    def values(self, x: NDArray[np.floating]) -> Floats:
        """Return the formula's value for windows [N, T, C], [N, 1]."""
        newest = x[:, -1].astype(np.float64)
        columns = {name: newest[:, at] for name, at in self.channels.items()}
        return self._of(columns, len(x))

    def moved(self, x: NDArray[np.floating]) -> Floats:
        """Return how far each signal moves the value from its usual one, [N, signals].

        One signal at a time is put back to its usual value; then all are scaled so that
        together they are the whole way from the value with every signal as usual.
        """
        whole = self.values(x)
        newest = x[:, -1].astype(np.float64)
        found = []
        for name, usual in zip(self.channels, self.usual, strict=True):
            columns = {other: newest[:, at] for other, at in self.channels.items()}
            columns[name] = np.full(len(x), usual)
            found.append(whole - self._of(columns, len(x)))
        each = np.concatenate(found, axis=1)
        share = np.abs(each) + TINY
        return np.asarray(
            share / share.sum(axis=1, keepdims=True) * (whole - self.level)
        )

    @property
    def level(self) -> float:
        """The value with every signal as usual."""
        columns = {
            name: np.array([usual])
            for name, usual in zip(self.channels, self.usual, strict=True)
        }
        return float(self._of(columns, 1)[0, 0])

    def add(self, writer: GraphWriter, raw: str) -> str:
        """Add the formula; ``raw`` is [N, T, C] in double. Returns [N, 1]."""
        return _add(_tree(self.text), self._columns(writer, raw), writer)

    def add_moved(self, writer: GraphWriter, raw: str, value: str) -> str:
        """Add ``moved``, [N, signals]; ``value`` is what ``add`` returned."""
        columns = self._columns(writer, raw)
        each = []
        for name, usual in zip(self.channels, self.usual, strict=True):
            put_back = writer.constant(np.array([usual]), "prior_usual")
            other = _add(_tree(self.text), {**columns, name: put_back}, writer)
            each.append(writer.add("Sub", value, other, hint="prior_moved"))
        joined = writer.add("Concat", *each, axis=1, hint="prior_each")
        size = writer.add("Abs", joined, hint="prior_size")
        share = writer.add("Add", size, writer.constant(np.array([TINY]), "tiny"))
        whole = writer.sum_last(share, "prior_sum")
        level = writer.constant(np.array([self.level]), "prior_level")
        way = writer.add("Sub", value, level, hint="prior_way")
        part = writer.add("Div", share, whole, hint="prior_share")
        return writer.add("Mul", part, way, hint="prior_parts")

    def spread(self, channels: int) -> Floats:
        """Return the matrix that puts signals at their channels, [signals, C]."""
        places = np.zeros((len(self.channels), channels))
        places[np.arange(len(self.channels)), list(self.channels.values())] = 1.0
        return places

    def _columns(self, writer: GraphWriter, raw: str) -> dict[str, str]:
        last = writer.constant(np.array(-1), "newest")
        row = writer.add("Gather", raw, last, axis=1, hint="newest_row")
        found = {}
        for name, at in self.channels.items():
            index = writer.constant(np.array([at]), "prior_channel")
            found[name] = writer.add("Gather", row, index, axis=1, hint="prior_signal")
        return found

    def _of(self, columns: dict[str, Floats], count: int) -> Floats:
        found = np.broadcast_to(_value(_tree(self.text), columns), (count,))
        return np.array(found, dtype=np.float64)[:, None]


def prior_of(scenario: Scenario, fit: NDArray[np.float32]) -> PriorFormula | None:
    """Return the formula that a scenario declares, if any.

    Args:
        scenario: Its mechanism may name one.
        fit: Windows of the fit part, [N, T, C].
    """
    if scenario.mechanism is None or scenario.mechanism.prior is None:
        return None
    prior = scenario.mechanism.prior
    channels = {name: channel_of(scenario, name) for name in sorted(prior.tags)}
    newest = fit[:, -1].astype(np.float64)
    usual = tuple(float(newest[:, at].mean()) for at in channels.values())
    return PriorFormula(text=prior.formula, channels=channels, usual=usual)


def _tree(text: str) -> ast.expr:
    return compile_formula(text).tree


def _value(node: ast.expr, columns: dict[str, Floats]) -> Floats:
    tag = tag_of(node)
    if tag is not None:
        return columns[tag]
    if isinstance(node, ast.UnaryOp):
        return -_value(node.operand, columns)
    if not isinstance(node, ast.BinOp):
        return np.array([_number(node)])
    left, right = _value(node.left, columns), _value(node.right, columns)
    if isinstance(node.op, ast.Div):
        right = np.where(np.abs(right) < TINY, TINY, right)
    return np.asarray(_OF[type(node.op)](left, right), dtype=np.float64)


def _number(node: ast.expr) -> float:
    # compile_formula lets nothing else in than a number here
    return float(str(node.value)) if isinstance(node, ast.Constant) else float("nan")


def _add(node: ast.expr, columns: dict[str, str], writer: GraphWriter) -> str:
    tag = tag_of(node)
    if tag is not None:
        return columns[tag]
    if isinstance(node, ast.UnaryOp):
        return writer.add("Neg", _add(node.operand, columns, writer), hint="negative")
    if isinstance(node, ast.BinOp):
        left = _add(node.left, columns, writer)
        right = _add(node.right, columns, writer)
        if isinstance(node.op, ast.Div):
            right = _off_zero(right, writer)
        return writer.add(_OPERATORS[type(node.op)], left, right, hint="prior")
    return writer.constant(np.array([_number(node)]), "prior_number")


def _off_zero(divisor: str, writer: GraphWriter) -> str:
    tiny = writer.constant(np.array([TINY]), "tiny")
    near = writer.add("Less", writer.add("Abs", divisor), tiny, hint="near_zero")
    return writer.add("Where", near, tiny, divisor, hint="divisor")
