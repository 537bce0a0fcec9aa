"""Boosters, averaged, that also say which channels moved their answer: one operator.

On its way down a tree a window passes nodes whose mean answers differ; each step from
node to node is put to the account of the channel that decided it. The steps add up to
the leaf's answer less the root's, so the accounts add up to how far the whole answer
lies from the mean of the training data. A leaf knows its path, so the accounts are just
further numbers of the leaf and cost next to nothing, where asking again without each
channel (``learn.contributions``) costs a run for each.

Source: A. Palczewska et al., "Interpreting random forest classification models using a
feature contribution method" (2014); A. Saabas, ``treeinterpreter``. Known weakness: of
channels that say the same, the one nearer the root gets the larger share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import lightgbm
import numpy as np
from onnx import numpy_helper

from tundish.learn.graph import ML_DOMAIN, GraphWriter
from tundish.learn.material import Floats, Indices, Windows

Node = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """The mean of some boosters, each with one answer.

    Attributes:
        boosters: Trained on the same features.
        channel: Account of each feature, [F].
        accounts: Number of accounts.
    """

    boosters: tuple[lightgbm.Booster, ...]
    channel: Indices
    accounts: int

    def answers(self, features: Windows) -> Floats:
        """Return the answers to features, [N], as LightGBM gives them."""
        rows = features.astype(np.float64)
        each = [
            np.asarray(booster.predict(rows, raw_score=True))
            for booster in self.boosters
        ]
        return np.asarray(np.mean(each, axis=0), dtype=np.float64)

    def moved(self, features: Windows) -> Floats:
        """Return the accounts, [N, accounts], from the leaves that LightGBM reaches."""
        rows = features.astype(np.float64)
        found = np.zeros((len(rows), self.accounts))
        for booster in self.boosters:
            leaves = np.asarray(booster.predict(rows, pred_leaf=True), dtype=np.int64)
            leaves = leaves.reshape(len(rows), -1)
            for place, tree in enumerate(_trees(booster)):
                found += self._table(tree)[leaves[:, place]]
        return found / len(self.boosters)

    def add(self, writer: GraphWriter, features: str) -> tuple[str, str]:
        """Add answers [N, 1] and accounts [N, accounts] to a graph.

        Args:
            writer: The graph.
            features: Name of the value [N, F] in double that ``trees.features_of`` shows.
        """
        exact = writer.add("Cast", features, to=writer.FLOAT, hint="rounded")
        exact = writer.add("Cast", exact, to=writer.DOUBLE, hint="exact")
        scores = writer.add(
            "TreeEnsembleRegressor",
            exact,
            hint="trees",
            domain=ML_DOMAIN,
            n_targets=1 + self.accounts,
            aggregate_function="SUM",
            post_transform="NONE",
            **self._columns(),
        )
        wide = writer.add("Cast", scores, to=writer.DOUBLE, hint="scores")
        sizes = writer.constant(np.array([1, self.accounts]), "sizes")
        return writer.split(wide, sizes)

    def _table(self, tree: Node) -> Floats:
        leaves = list(_leaves(tree))
        table = np.zeros((max(leaf.number for leaf in leaves) + 1, self.accounts))
        for leaf in leaves:
            for feature, step in leaf.steps:
                table[leaf.number, self.channel[feature]] += step
        return table

    def _columns(self) -> dict[str, object]:
        ints: dict[str, list[int]] = {name: [] for name in _INTS}
        modes: list[str] = []
        values: list[float] = []
        weights: list[float] = []
        for number, tree in enumerate(t for b in self.boosters for t in _trees(b)):
            for row in _rows(tree):
                ints["nodes_treeids"].append(number)
                ints["nodes_nodeids"].append(row.place)
                ints["nodes_featureids"].append(row.feature)
                ints["nodes_truenodeids"].append(row.below[0])
                ints["nodes_falsenodeids"].append(row.below[1])
                values.append(row.threshold)
                modes.append("LEAF" if row.leaf else "BRANCH_LEQ")
                for target, weight in self._weights(row.leaf) if row.leaf else ():
                    ints["target_treeids"].append(number)
                    ints["target_nodeids"].append(row.place)
                    ints["target_ids"].append(target)
                    weights.append(weight / len(self.boosters))
        return {
            **ints,
            "nodes_modes": modes,
            "nodes_values_as_tensor": _doubles(values, "values"),
            "target_weights_as_tensor": _doubles(weights, "weights"),
        }

    def _weights(self, leaf: _Leaf) -> list[tuple[int, float]]:
        accounts: dict[int, float] = {}
        for feature, step in leaf.steps:
            account = int(self.channel[feature])
            accounts[account] = accounts.get(account, 0.0) + step
        return [(0, leaf.answer), *((1 + k, v) for k, v in sorted(accounts.items()))]


_INTS = (
    "nodes_treeids",
    "nodes_nodeids",
    "nodes_featureids",
    "nodes_truenodeids",
    "nodes_falsenodeids",
    "target_treeids",
    "target_nodeids",
    "target_ids",
)


@dataclass(frozen=True, kw_only=True)
class _Leaf:
    """A leaf: its number in LightGBM, its answer, and (feature, step) of its path."""

    number: int
    answer: float
    steps: tuple[tuple[int, float], ...]


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One node as the operator takes it; ``below`` are the places of its children."""

    place: int
    feature: int = 0
    threshold: float = 0.0
    below: tuple[int, int] = (0, 0)
    leaf: _Leaf | None = None


def _trees(booster: lightgbm.Booster) -> Sequence[Node]:
    model = cast("Node", booster.dump_model())
    return [tree["tree_structure"] for tree in model["tree_info"]]


def _value(node: Node) -> float:
    return float(node["internal_value" if "split_feature" in node else "leaf_value"])


def _rows(tree: Node) -> Iterator[_Row]:
    """Yield the nodes of a tree, each before those below it, numbered in that order."""
    waiting: list[tuple[int, Node, tuple[tuple[int, float], ...]]] = [(0, tree, ())]
    given = 1
    while waiting:
        place, node, steps = waiting.pop()
        if "split_feature" not in node:
            number = int(node.get("leaf_index", 0))
            leaf = _Leaf(number=number, answer=_value(node), steps=steps)
            yield _Row(place=place, leaf=leaf)
            continue
        feature = int(node["split_feature"])
        below = (given, given + 1)
        given += 2
        yield _Row(
            place=place,
            feature=feature,
            threshold=float(node["threshold"]),
            below=below,
        )
        for at, side in zip(below, ("left_child", "right_child"), strict=True):
            child = cast("Node", node[side])
            step = (feature, _value(child) - _value(node))
            waiting.append((at, child, (*steps, step)))


def _leaves(tree: Node) -> Iterator[_Leaf]:
    return (row.leaf for row in _rows(tree) if row.leaf is not None)


def _doubles(values: list[float], name: str) -> object:
    return numpy_helper.from_array(np.asarray(values, dtype=np.float64), name)
