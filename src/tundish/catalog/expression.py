"""Conditions such as ``P_avg > 0 and not Ws_avg < 3``, without running code.

The text is parsed to a syntax tree of which only comparisons of tags with numbers,
``and``, ``or``, ``not`` and parentheses are understood.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.errors import ConditionInvalidError

Bools = NDArray[np.bool_]
Columns = Mapping[str, NDArray[np.float64]]

MAX_LENGTH = 500
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
    if len(text) > MAX_LENGTH:
        msg = f"A condition has {len(text)} characters; at most {MAX_LENGTH} are read."
        raise ConditionInvalidError(msg)
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        tags = frozenset(_tags(tree, text))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        msg = f"The condition {text!r} is not understood."
        raise ConditionInvalidError(msg) from error
    if not tags:
        msg = f"The condition {text!r} names no tag."
        raise ConditionInvalidError(msg)
    return Condition(text=text, tags=tags, _tree=tree)


def _tags(node: ast.expr, text: str) -> set[str]:
    if isinstance(node, ast.BoolOp):
        return {tag for value in node.values for tag in _tags(value, text)}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return _tags(node.operand, text)
    if isinstance(node, ast.Compare) and all(type(op) in _COMPARE for op in node.ops):
        found = set()
        for side in (node.left, *node.comparators):
            if isinstance(side, ast.Name):
                found.add(side.id)
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
        return np.asarray(join.reduce(parts))
    if isinstance(node, ast.UnaryOp):
        return np.logical_not(_evaluate(node.operand, columns, text))
    if not isinstance(node, ast.Compare):  # compile_condition let nothing else in
        msg = f"The condition {text!r} cannot be evaluated."
        raise ConditionInvalidError(msg)
    sides = [_side(side, columns, text) for side in (node.left, *node.comparators)]
    pairs = zip(sides, node.ops, sides[1:], strict=False)
    held = [_COMPARE[type(op)](left, right) for left, op, right in pairs]
    return np.asarray(np.logical_and.reduce(held))


def _side(node: ast.expr, columns: Columns, text: str) -> NDArray[np.float64]:
    if isinstance(node, ast.Name):
        return columns[node.id]
    return np.asarray(_number(node, text))
