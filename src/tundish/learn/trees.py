"""Boosted trees of LightGBM as one ONNX operator, decision for decision.

A tree compares a feature with a threshold, so a difference in the last bit sends a
window down another branch. Two things keep that from happening: the trees are fitted on
the features as the graph itself computes them (``features_of``), in float32, and the
thresholds stand in the graph in double precision as LightGBM chose them.

Source: G. Ke et al., "LightGBM: A Highly Efficient Gradient Boosting Decision Tree",
NeurIPS 2017; operator ``TreeEnsembleRegressor`` of ``ai.onnx.ml`` version 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import lightgbm
import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from tundish.learn import shares
from tundish.learn.graph import ML_DOMAIN, GraphWriter
from tundish.learn.material import Floats, Indices, Windows
from tundish.model.session import evaluate

FEATURES = "features_as_computed"
BATCH = 1024

BuildFeatures = Callable[[GraphWriter, str], str]
"""Adds the nodes that turn a [N, T, C] value in double into features [N, F]."""


def features_of(build: BuildFeatures, x: Windows) -> Windows:
    """Return the features of windows as the graph computes them.

    Args:
        build: Adds the features to a graph.
        x: Windows, float32 [N, T, C].

    Returns:
        float32 [N, F].
    """
    _, rows, channels = x.shape
    writer = GraphWriter(rows, channels)
    value = build(writer, writer.window())
    graph = writer.write({FEATURES: value}, {FEATURES: None})
    batches = [
        evaluate(graph, x[first : first + BATCH])[FEATURES]
        for first in range(0, len(x), BATCH)
    ]
    return np.concatenate(batches)


@dataclass(kw_only=True)
class _Columns:
    """The operator's attributes, node by node and leaf by leaf; leaves are weighed."""

    weight: float
    trees: list[int] = field(default_factory=list)
    nodes: list[int] = field(default_factory=list)
    features: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    yes: list[int] = field(default_factory=list)
    no: list[int] = field(default_factory=list)
    leaf_trees: list[int] = field(default_factory=list)
    leaf_nodes: list[int] = field(default_factory=list)
    leaf_targets: list[int] = field(default_factory=list)
    leaf_weights: list[float] = field(default_factory=list)

    def say(self, tree: int, node: int, target: int, value: float) -> None:
        """Let a leaf add to a target."""
        self.leaf_trees.append(tree)
        self.leaf_nodes.append(node)
        self.leaf_targets.append(target)
        self.leaf_weights.append(value * self.weight)

    def attributes(self) -> dict[str, object]:
        """Return the attributes by their ONNX names."""
        return {
            "nodes_treeids": self.trees,
            "nodes_nodeids": self.nodes,
            "nodes_featureids": self.features,
            "nodes_modes": self.modes,
            "nodes_values_as_tensor": doubles(self.values, "values"),
            "nodes_truenodeids": self.yes,
            "nodes_falsenodeids": self.no,
            "target_treeids": self.leaf_trees,
            "target_nodeids": self.leaf_nodes,
            "target_ids": self.leaf_targets,
            "target_weights_as_tensor": doubles(self.leaf_weights, "weights"),
        }


def add_trees(
    writer: GraphWriter,
    features: str,
    boosters: lightgbm.Booster | Sequence[lightgbm.Booster],
    owner: Indices | None = None,
    owners: int | None = None,
) -> str:
    """Add raw scores (before any sigmoid or softmax) to a graph.

    Args:
        writer: The graph.
        features: Name of the value [N, F] in double that ``features_of`` shows.
        boosters: Trained on those features, without missing values or categories; of
            several the mean.
        owner: Which of S owners each feature belongs to, [F]: adds their shares
            (``learn.shares``), which cost next to nothing since a leaf may speak for
            several targets.
        owners: S; None: those that own a feature.

    Returns:
        Name of the value [N, K] in double; K is 1, or the number of classes. With
        owners [N, K + K * S]: then the shares of each class follow, class by class.
    """
    members = (boosters,) if isinstance(boosters, lightgbm.Booster) else tuple(boosters)
    each = members[0].num_model_per_iteration()
    columns = _Columns(weight=1.0 / len(members))
    number = 0
    for member in members:
        for place, root in enumerate(shares.roots(member)):
            _take(root, number, place % each, columns)
            number += 1
    targets = each
    if owner is not None:
        count = int(owner.max()) + 1 if owners is None else owners
        _take_shares(members, owner, count, columns)
        targets += each * count
    return add_ensemble(writer, features, columns.attributes(), targets)


def add_ensemble(
    writer: GraphWriter, features: str, attributes: Mapping[str, object], targets: int
) -> str:
    """Add the operator that sums the leaves of trees; return [N, targets] in double.

    The features are rounded to float32 first, since the trees were trained on that.
    """
    exact = writer.add("Cast", features, to=writer.FLOAT, hint="rounded")
    exact = writer.add("Cast", exact, to=writer.DOUBLE, hint="exact")
    scores = writer.add(
        "TreeEnsembleRegressor",
        exact,
        hint="trees",
        domain=ML_DOMAIN,
        n_targets=targets,
        aggregate_function="SUM",
        post_transform="NONE",
        **attributes,
    )
    return writer.add("Cast", scores, to=writer.DOUBLE, hint="scores")


def raw_scores(booster: lightgbm.Booster, features: Windows) -> Floats:
    """Return what LightGBM itself says of features, [N, K], for the parity report."""
    found = booster.predict(features.astype(np.float64), raw_score=True)
    return np.asarray(found, dtype=np.float64).reshape(len(features), -1)


def _take(node: Mapping[str, object], tree: int, target: int, columns: _Columns) -> int:
    """Take a node with all below it; return its number in its tree."""
    fresh = not columns.trees or columns.trees[-1] != tree
    number = 0 if fresh else columns.nodes[-1] + 1
    columns.trees.append(tree)
    columns.nodes.append(number)
    place = len(columns.modes)
    columns.features.append(cast("int", node.get("split_feature", 0)))
    columns.values.append(float(cast("float", node.get("threshold", 0.0))))
    columns.modes.append("BRANCH_LEQ" if "split_feature" in node else "LEAF")
    columns.yes.append(0)
    columns.no.append(0)
    if "split_feature" not in node:
        columns.say(tree, number, target, float(cast("float", node["leaf_value"])))
        return number
    for side, child in ((columns.yes, "left_child"), (columns.no, "right_child")):
        below = cast("Mapping[str, object]", node[child])
        side[place] = _take(below, tree, target, columns)
    return number


def _take_shares(
    members: Sequence[lightgbm.Booster], owner: Indices, owners: int, columns: _Columns
) -> None:
    """Let each leaf speak for its owners' shares too."""
    leaves = iter(list(zip(columns.leaf_trees, columns.leaf_nodes, strict=True)))
    each = members[0].num_model_per_iteration()
    for member in members:
        for place, table in enumerate(shares.tables(member, owner, owners)):
            first = each + (place % each) * owners
            for leaf in table.order:
                tree, node = next(leaves)
                for one in np.flatnonzero(table.moved[leaf]):
                    moved = float(table.moved[leaf, one])
                    columns.say(tree, node, first + int(one), moved)


def doubles(values: Sequence[float] | Floats, name: str) -> object:
    """Return numbers as a tensor in double precision, for an attribute."""
    array: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    return numpy_helper.from_array(array, name)
