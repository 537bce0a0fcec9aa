"""Conditions such as ``P_avg > 0 and not Ws_avg < 3``, without running code.

The text is parsed to a syntax tree of which only comparisons of tags with numbers,
``and``, ``or``, ``not`` and parentheses are understood. A formula (``steam - feed * 1.02``)
knows the four kinds of sums instead. A tag is written as it is if its name is a word or
words joined by points (``TIC101.PV``), and in quotes otherwise (``'Water flow [l/s]'``).
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from keyword import iskeyword

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.errors import ConditionInvalidError

Bools = NDArray[np.bool_]
Columns = Mapping[str, NDArray[np.float64]]

MAX_LENGTH = 500
_SUMS: Mapping[type[ast.operator], np.ufunc] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
}
_COMPARE = {
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A parsed condition.

    Attributes:
        text: As it was written.
        tags: The tags it names.
    """

    text: str
    tags: frozenset[str]
    _tree: ast.expr

    def on(self, columns: Columns) -> Bools:
        """Return where the condition holds, shape [n]; NaN never satisfies it.

        Args:
            columns: A value array of shape [n] for each tag.

        Raises:
            ConditionInvalidError: if a tag is not among the columns.
        """
        absent = sorted(self.tags - set(columns))
        if absent:
            have = ", ".join(sorted(columns)[:8])
            msg = (
                f"The condition {self.text!r} names {absent[0]!r}; the data has {have}."
            )
            raise ConditionInvalidError(msg)
        known = np.logical_and.reduce([np.isfinite(columns[t]) for t in self.tags])
        return np.asarray(_evaluate(self._tree, columns, self.text) & known)


def compile_condition(text: str) -> Condition:
    """Parse a condition.

    Raises:
        ConditionInvalidError: if it is more than comparisons, and/or/not.
    """
    tree, tags = _parsed(text, _tags, "condition")
    return Condition(text=text, tags=tags, _tree=tree)


@dataclass(frozen=True, kw_only=True)
class Formula:
    """A parsed formula: sums, products and quotients of tags and numbers.

    Attributes:
        text: As it was written.
        tags: The tags it names.
        tree: Its syntax: ``BinOp`` (add, sub, mult, div), ``UnaryOp`` (minus), numbers,
            and tags as ``tag_of`` reads them.
    """

    text: str
    tags: frozenset[str]
    tree: ast.expr

    def at(self, values: Mapping[str, float]) -> float:
        """Return its value; NaN or infinite where it has none (a division by zero).

        Args:
            values: Of each tag.

        Raises:
            ConditionInvalidError: if a tag has no value.
        """
        return float(self.on({name: np.asarray(v) for name, v in values.items()}))

    def on(self, columns: Columns) -> NDArray[np.float64]:
        """Return its value row by row, in the shape of the columns; see ``at``."""
        absent = sorted(self.tags - set(columns))
        if absent:
            msg = f"The formula {self.text!r} names {absent[0]!r}, which has no value."
            raise ConditionInvalidError(msg)
        with np.errstate(all="ignore"):
            return np.asarray(_computed(self.tree, columns, self.text))


def compile_formula(text: str) -> Formula:
    """Parse a formula.

    Raises:
        ConditionInvalidError: if it is more than sums, products and quotients.
    """
    tree, tags = _parsed(text, _terms, "formula")
    return Formula(text=text, tags=tags, tree=tree)


def tag_of(node: ast.expr) -> str | None:
    """Return the tag that a node names: a word, words joined by points, a quoted text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        return node.value
    if isinstance(node, ast.Attribute):
        stem = tag_of(node.value) if not isinstance(node.value, ast.Constant) else None
        return f"{stem}.{node.attr}" if stem else None
    return None


def quoted(tag: str) -> str:
    """Return a tag as it is written in a condition."""
    if all(part.isidentifier() and not iskeyword(part) for part in tag.split(".")):
        return tag
    return repr(tag)


def _parsed(
    text: str, walk: Callable[[ast.expr, str], set[str]], what: str
) -> tuple[ast.expr, frozenset[str]]:
    if len(text) > MAX_LENGTH:
        msg = f"A {what} has {len(text)} characters; at most {MAX_LENGTH} are read."
        raise ConditionInvalidError(msg)
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        tags = frozenset(walk(tree, text))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        msg = f"The {what} {text!r} is not understood."
        raise ConditionInvalidError(msg) from error
    if not tags:
        msg = f"The {what} {text!r} names no tag."
        raise ConditionInvalidError(msg)
    return tree, tags


def _terms(node: ast.expr, text: str) -> set[str]:
    tag = tag_of(node)
    if tag is not None:
        return {tag}
    if isinstance(node, ast.BinOp) and type(node.op) in _SUMS:
        return _terms(node.left, text) | _terms(node.right, text)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return _terms(node.operand, text)
    _number(node, text)
    return set()


def _tags(node: ast.expr, text: str) -> set[str]:
    if isinstance(node, ast.BoolOp):
        return {tag for value in node.values for tag in _tags(value, text)}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return _tags(node.operand, text)
    if isinstance(node, ast.Compare) and all(type(op) in _COMPARE for op in node.ops):
        found: set[str] = set()
        for side in (node.left, *node.comparators):
            tag = tag_of(side)
            if tag is not None:
                found.add(tag)
            else:
                _number(side, text)
        return found
    part = ast.unparse(node)
    msg = f"The condition {text!r} has a part that is no comparison: {part!r}."
    raise ConditionInvalidError(msg)


def _number(node: ast.expr, text: str) -> float:
    sign, inner = 1.0, node
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        sign, inner = -1.0, node.operand
    if isinstance(inner, ast.Constant) and type(inner.value) in {int, float}:
        return sign * float(str(inner.value))
    part = ast.unparse(node)
    msg = f"The condition {text!r} compares with {part!r}, which is no tag or number."
    raise ConditionInvalidError(msg)


def _evaluate(node: ast.expr, columns: Columns, text: str) -> Bools:
    if isinstance(node, ast.BoolOp):
        parts = [_evaluate(value, columns, text) for value in node.values]
        join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        return np.asarray(functools.reduce(join, parts))
    if isinstance(node, ast.UnaryOp):
        return np.logical_not(_evaluate(node.operand, columns, text))
    if not isinstance(node, ast.Compare):  # compile_condition let nothing else in
        msg = f"The condition {text!r} cannot be evaluated."
        raise ConditionInvalidError(msg)
    sides = [_side(side, columns, text) for side in (node.left, *node.comparators)]
    pairs = zip(sides, node.ops, sides[1:], strict=False)
    held = [_COMPARE[type(op)](left, right) for left, op, right in pairs]
    # pair by pair: numbers compared with numbers hold everywhere, or nowhere
    return np.asarray(functools.reduce(np.logical_and, held))


def _side(node: ast.expr, columns: Columns, text: str) -> NDArray[np.float64]:
    tag = tag_of(node)
    if tag is not None:
        return columns[tag]
    return np.asarray(_number(node, text))


def _computed(node: ast.expr, columns: Columns, text: str) -> NDArray[np.float64]:
    tag = tag_of(node)
    if tag is not None:
        return np.asarray(columns[tag], dtype=np.float64)
    if isinstance(node, ast.BinOp):
        left, right = (_computed(n, columns, text) for n in (node.left, node.right))
        return np.asarray(_SUMS[type(node.op)](left, right))
    if isinstance(node, ast.UnaryOp) and not isinstance(node.operand, ast.Constant):
        return np.asarray(-_computed(node.operand, columns, text))
    return np.asarray(_number(node, text))  # compile_formula let nothing else in
