"""An isolation forest of scikit-learn as one ONNX operator, split by split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import IsolationForest

from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices, Windows
from tundish.learn.recipes import summary
from tundish.learn.recipes.rows import RowColumns
from tundish.learn.trees import add_ensemble, doubles, features_of

_EULER = 0.5772156649015329


@dataclass(frozen=True, kw_only=True, eq=False)
class Tree:
    """One tree.

    Attributes:
        left, right: Children of each node; -1 at a leaf.
        feature, threshold: What each node asks: is the feature at most the threshold?
        depth: Depth that a leaf stands for, with what its windows would still need.
        moved: By how much the splits down to a leaf lengthened the expected path, by
            channel, [nodes, C].
    """

    left: Indices
    right: Indices
    feature: Indices
    threshold: Floats
    depth: Floats
    moved: Floats


def path_length(count: Floats) -> Floats:
    """Return the mean depth of an unsuccessful search among ``count`` windows."""
    count = np.asarray(count, dtype=np.float64)
    more = np.maximum(count, 3.0) - 1.0
    long = 2.0 * (np.log(more) + _EULER) - 2.0 * more / (more + 1.0)
    return np.where(count > 2, long, np.where(count == 2, 1.0, 0.0))


def grow(forest: IsolationForest, owner: Indices, channels: int) -> tuple[Tree, ...]:
    """Return the trees of a fitted forest.

    Args:
        forest: Fitted.
        owner: Channel of each feature.
        channels: C.
    """
    found = []
    pairs = zip(forest.estimators_, forest.estimators_features_, strict=True)
    for estimator, features in pairs:
        tree = estimator.tree_
        feature = np.where(tree.feature >= 0, features[np.maximum(tree.feature, 0)], 0)
        left = np.asarray(tree.children_left, dtype=np.int64)
        right = np.asarray(tree.children_right, dtype=np.int64)
        counts = np.asarray(tree.n_node_samples, dtype=np.float64)
        depth, moved = _leaves(left, right, counts, owner[feature], channels)
        found.append(
            Tree(
                left=left,
                right=right,
                feature=feature.astype(np.int64),
                threshold=np.asarray(tree.threshold, dtype=np.float64),
                depth=depth,
                moved=moved,
            )
        )
    return tuple(found)


def _leaves(
    left: Indices, right: Indices, counts: Floats, channel: Indices, channels: int
) -> tuple[Floats, Floats]:
    level = np.zeros(len(left))
    for node in np.flatnonzero(left >= 0):  # a child's number is above its parent's
        level[left[node]] = level[right[node]] = level[node] + 1.0
    depth = level + path_length(counts)
    expected = depth.copy()
    for node in np.flatnonzero(left >= 0)[::-1]:
        below = [left[node], right[node]]
        expected[node] = np.average(expected[below], weights=counts[below])
    moved = np.zeros((len(left), channels))
    for node in np.flatnonzero(left >= 0):
        for child in (left[node], right[node]):
            moved[child] = moved[node]
            moved[child, channel[node]] += expected[child] - expected[node]
    return depth, moved


@dataclass(frozen=True, kw_only=True, eq=False)
class ForestModel:
    """A fitted forest over the statistics of a window; see ``detector.Model``."""

    columns: RowColumns
    forest: IsolationForest
    trees: tuple[Tree, ...]

    def raw_score(self, window: Windows) -> Floats:
        """Return scikit-learn's own score of windows, [N], 0 to 1."""
        return np.asarray(-self.forest.score_samples(self._features(window)))

    def parts(self, window: Windows) -> Floats:
        """Return by how much each channel shortened the mean path, [N, C]."""
        features = self._features(window)
        moved = np.mean(
            [
                tree.moved[estimator.tree_.apply(features)]
                for tree, estimator in zip(
                    self.trees, self.forest.estimators_, strict=True
                )
            ],
            axis=0,
        )
        return np.asarray(np.maximum(-moved, 0.0))

    def add(self, writer: GraphWriter, raw: str) -> tuple[str, str]:
        """Add score and parts to a graph."""
        channels = len(self.columns.names)
        features = summary.build(self.columns)(writer, raw)
        wide = add_ensemble(writer, features, self._attributes(), 1 + channels)
        count = writer.constant(np.array([float(len(self.trees))]), "trees")
        mean = writer.add("Div", wide, count, hint="means")
        depth, moved = writer.split(
            mean, writer.constant(np.array([1, channels]), "accounts")
        )
        usual = path_length(np.array([float(self.forest.max_samples_)]))
        exponent = writer.add(
            "Div", depth, writer.constant(-usual, "usual_depth"), hint="exponent"
        )
        two = writer.constant(np.array([2.0]), "two")
        score = writer.add("Pow", two, exponent, hint="isolation")
        shortened = writer.add("Neg", moved, hint="shortened")
        return score, writer.add("Relu", shortened, hint="parts")

    def _features(self, window: Windows) -> Windows:
        return features_of(summary.build(self.columns), window)

    def _attributes(self) -> dict[str, object]:
        sizes = [len(tree.left) for tree in self.trees]
        number = np.repeat(np.arange(len(sizes)), sizes)
        node = np.concatenate([np.arange(size) for size in sizes])
        left = np.concatenate([tree.left for tree in self.trees])
        right = np.concatenate([tree.right for tree in self.trees])
        leaf = left < 0
        values = np.concatenate(
            [np.column_stack([tree.depth, tree.moved]) for tree in self.trees]
        )
        places, targets = np.nonzero(leaf[:, None] & (values != 0.0))
        return {
            "nodes_treeids": number.tolist(),
            "nodes_nodeids": node.tolist(),
            "nodes_featureids": np.concatenate(
                [tree.feature for tree in self.trees]
            ).tolist(),
            "nodes_modes": ["LEAF" if end else "BRANCH_LEQ" for end in leaf],
            "nodes_values_as_tensor": doubles(
                np.concatenate([tree.threshold for tree in self.trees]), "values"
            ),
            "nodes_truenodeids": np.where(leaf, 0, left).tolist(),
            "nodes_falsenodeids": np.where(leaf, 0, right).tolist(),
            "target_treeids": number[places].tolist(),
            "target_nodeids": node[places].tolist(),
            "target_ids": targets.tolist(),
            "target_weights_as_tensor": doubles(values[places, targets], "weights"),
        }
