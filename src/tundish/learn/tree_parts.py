"""What each channel did to a boosted ensemble's answer, at the price of the answer itself.

On its way down a tree a window passes nodes; each has a value (the mean of the leaves
below it, weighed by how much training data they hold), and each step moves the value by a
difference that belongs to the feature asked there. Summed over all trees that is an exact
split of the answer: level + parts of the channels. The parts of a leaf are constants, so
one operator with one output a channel gives them all.

Source: A. Saabas, "Interpreting random forests" (2014), also A. Palczewska et al., IEEE
IRI 2013, 112 (feature contributions along the decision path). Unlike Shapley values they
depend on the order in which a tree asks; unlike occlusion they add up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import lightgbm
import numpy as np
from onnx import numpy_helper

from tundish.learn.graph import ML_DOMAIN, GraphWriter
from tundish.learn.material import Floats, Indices, Windows

Node = Mapping[str, object]


@dataclass(frozen=True, kw_only=True, eq=False)
class TreeParts:
    """Boosters whose mean is the answer, with the parts of every leaf.

    Attributes:
        boosters: Each trained on the same features, one output each.
        part_of: Which part each feature belongs to, [F].
        parts: Number of parts (P).
        level: Mean answer on the training data.
        leaves: By booster and tree, the parts of each leaf, [leaves, P].
    """

    boosters: tuple[lightgbm.Booster, ...]
    part_of: Indices
    parts: int
    level: float
    leaves: tuple[tuple[Floats, ...], ...]

    def of(self, features: Windows) -> Floats:
        """Return the parts for features [N, F], [N, P], from LightGBM's own leaves."""
        found = np.zeros((len(features), self.parts))
        for booster, tables in zip(self.boosters, self.leaves, strict=True):
            if not tables:
                continue
            reached = np.asarray(
                booster.predict(features.astype(np.float64), pred_leaf=True)
            ).reshape(len(features), -1)
            for tree, table in enumerate(tables):
                found += table[reached[:, tree].astype(np.int64)]
        return found / len(self.boosters)

    def add(self, writer: GraphWriter, features: str) -> str:
        """Add the parts to a graph; ``features`` as in ``trees.add_trees``."""
        columns = _Columns(part_of=self.part_of)
        number = 0
        for booster, tables in zip(self.boosters, self.leaves, strict=True):
            for root, table in zip(_roots(booster), tables, strict=True):
                if "split_feature" in root:
                    columns.take(root, number, 0, table / len(self.boosters))
                    number += 1
        exact = writer.add("Cast", features, to=writer.FLOAT, hint="rounded")
        exact = writer.add("Cast", exact, to=writer.DOUBLE, hint="exact")
        if not number:
            nothing = writer.constant(np.zeros((1, self.parts)), "no_trees")
            first = writer.constant(np.array([0]), "first")
            one = writer.add("Gather", exact, first, axis=1, hint="one_feature")
            zero = writer.add("Sub", one, one, hint="zero")
            return writer.add("Add", zero, nothing, hint="tree_parts")
        parts = writer.add(
            "TreeEnsembleRegressor",
            exact,
            hint="trees",
            domain=ML_DOMAIN,
            n_targets=self.parts,
            aggregate_function="SUM",
            post_transform="NONE",
            **columns.attributes(),
        )
        return writer.add("Cast", parts, to=writer.DOUBLE, hint="tree_parts")


def parts_of(
    boosters: Sequence[lightgbm.Booster], part_of: Indices, parts: int
) -> TreeParts:
    """Return an ensemble with the parts of its leaves.

    Args:
        boosters: Their mean is the answer.
        part_of: Which part each feature belongs to, [F].
        parts: Number of parts.
    """
    level, leaves = 0.0, []
    for booster in boosters:
        tables = []
        for root in _roots(booster):
            table = np.zeros((_count(root), parts))
            level += _fill(root, np.zeros(parts), part_of, table)
            tables.append(table)
        leaves.append(tuple(tables))
    return TreeParts(
        boosters=tuple(boosters),
        part_of=part_of,
        parts=parts,
        level=level / len(boosters),
        leaves=tuple(leaves),
    )


def _roots(booster: lightgbm.Booster) -> list[Node]:
    model = cast("Mapping[str, object]", booster.dump_model())
    trees = cast("list[Mapping[str, object]]", model["tree_info"])
    return [cast("Node", tree["tree_structure"]) for tree in trees]


def _children(node: Node) -> tuple[Node, Node]:
    return cast("Node", node["left_child"]), cast("Node", node["right_child"])


def _count(node: Node) -> int:
    if "split_feature" not in node:
        return 1
    return sum(_count(child) for child in _children(node))


def _mean(node: Node) -> tuple[float, float]:
    """Return the mean of the leaves below a node, and the data they hold."""
    if "split_feature" not in node:
        value = float(cast("float", node["leaf_value"]))
        return value, max(1.0, float(cast("float", node.get("leaf_count", 1))))
    (a, left), (b, right) = (_mean(child) for child in _children(node))
    return (a * left + b * right) / (left + right), left + right


def _fill(node: Node, parts: Floats, part_of: Indices, table: Floats) -> float:
    """Write the parts of every leaf below a node; return the node's value."""
    value = _mean(node)[0]
    if "split_feature" not in node:
        table[int(cast("int", node.get("leaf_index", 0)))] = parts
        return value
    place = part_of[int(cast("int", node["split_feature"]))]
    for child in _children(node):
        moved = parts.copy()
        moved[place] += _mean(child)[0] - value
        _fill(child, moved, part_of, table)
    return value


@dataclass(kw_only=True)
class _Columns:
    """The operator's attributes, node by node; a leaf has one weight a part it moved."""

    part_of: Indices
    trees: list[int] = field(default_factory=list)
    nodes: list[int] = field(default_factory=list)
    features: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    yes: list[int] = field(default_factory=list)
    no: list[int] = field(default_factory=list)
    leaf_trees: list[int] = field(default_factory=list)
    leaf_nodes: list[int] = field(default_factory=list)
    leaf_parts: list[int] = field(default_factory=list)
    leaf_weights: list[float] = field(default_factory=list)

    def take(self, node: Node, tree: int, number: int, table: Floats) -> int:
        """Take a node and all below it; return the next free number of its tree."""
        place = len(self.modes)
        inner = "split_feature" in node
        self.trees.append(tree)
        self.nodes.append(number)
        self.features.append(int(cast("int", node.get("split_feature", 0))))
        self.values.append(float(cast("float", node.get("threshold", 0.0))))
        self.modes.append("BRANCH_LEQ" if inner else "LEAF")
        self.yes.append(0)
        self.no.append(0)
        if not inner:
            weights = table[int(cast("int", node.get("leaf_index", 0)))]
            moved = np.flatnonzero(weights)
            for part in moved if len(moved) else [0]:
                self.leaf_trees.append(tree)
                self.leaf_nodes.append(number)
                self.leaf_parts.append(int(part))
                self.leaf_weights.append(float(weights[part]))
            return number + 1
        left, right = _children(node)
        self.yes[place] = number + 1
        self.no[place] = self.take(left, tree, number + 1, table)
        return self.take(right, tree, self.no[place], table)

    def attributes(self) -> dict[str, object]:
        """Return the attributes by their ONNX names."""
        return {
            "nodes_treeids": self.trees,
            "nodes_nodeids": self.nodes,
            "nodes_featureids": self.features,
            "nodes_modes": self.modes,
            "nodes_values_as_tensor": _doubles(self.values, "values"),
            "nodes_truenodeids": self.yes,
            "nodes_falsenodeids": self.no,
            "target_treeids": self.leaf_trees,
            "target_nodeids": self.leaf_nodes,
            "target_ids": self.leaf_parts,
            "target_weights_as_tensor": _doubles(self.leaf_weights, "weights"),
        }


def _doubles(values: list[float], name: str) -> object:
    return numpy_helper.from_array(np.asarray(values, dtype=np.float64), name)
