"""What the score of boosted trees owes to each owner of features (a signal, a channel).

On its way down a tree a window passes splits; each moves the expected score from that of
the node to that of the child, and the feature that is asked there owns the move. Summed
over all trees the moves are exactly the score less its mean over the fit part. They are
the same for all windows in a leaf, so the operator that sums the leaves sums them too.

A caveat of the method: the move of a split counts for the feature asked there, though a
split further up made it possible.

Source: A. Saabas, "Interpreting random forests" (2014); with the cover of the fit part
for expectations as in S. Lundberg et al., Nature Machine Intelligence 2 (2020) 56.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import lightgbm
import numpy as np

from tundish.learn.material import Floats, Indices, Windows

Node = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Table:
    """The shares in one tree.

    Attributes:
        moved: What each owner moved on the way to each leaf, [leaves, S], by
            LightGBM's number of the leaf.
        order: Those numbers from the leftmost leaf to the rightmost.
    """

    moved: Floats
    order: tuple[int, ...]


def tables(
    booster: lightgbm.Booster, owner: Indices, owners: int | None = None
) -> list[Table]:
    """Return the shares in each tree.

    Args:
        booster: Trained trees.
        owner: Owner of each feature, [F].
        owners: Number of owners (S); None: those that own a feature.
    """
    count = int(owner.max()) + 1 if owners is None else owners
    found = []
    for root in roots(booster):
        order = tuple(_number(leaf) for leaf in _leaves(root))
        moved = np.zeros((len(order), count))
        _walk(_weighed(root), np.zeros(moved.shape[1]), owner, moved)
        found.append(Table(moved=moved, order=order))
    return found


def shares(
    booster: lightgbm.Booster,
    owner: Indices,
    features: Windows,
    owners: int | None = None,
) -> Floats:
    """Return the shares of windows from LightGBM's own leaves, [N, K, S].

    Args:
        booster: Trained trees.
        owner: Owner of each feature, [F].
        features: As ``trees.features_of`` gives them, [N, F].
        owners: As for ``tables``.
    """
    each = booster.num_model_per_iteration()
    count = int(owner.max()) + 1 if owners is None else owners
    found = np.zeros((len(features), each, count))
    leaves = np.asarray(booster.predict(features.astype(np.float64), pred_leaf=True))
    leaves = leaves.reshape(len(features), -1).astype(np.int64)
    for tree, table in enumerate(tables(booster, owner, owners)):
        found[:, tree % each] += table.moved[leaves[:, tree]]
    return found


@dataclass(frozen=True, kw_only=True)
class _Weighed:
    node: Node
    cover: float
    expected: float
    children: tuple[_Weighed, ...]


def roots(booster: lightgbm.Booster) -> list[Node]:
    """Return the trees of a booster, as LightGBM dumps them."""
    model = cast("Mapping[str, object]", booster.dump_model())
    trees = cast("list[Node]", model["tree_info"])
    return [cast("Node", tree["tree_structure"]) for tree in trees]


def _leaves(node: Node) -> Iterator[Node]:
    if "split_feature" not in node:
        yield node
        return
    for side in ("left_child", "right_child"):
        yield from _leaves(cast("Node", node[side]))


def _number(leaf: Node) -> int:
    return cast("int", leaf.get("leaf_index", 0))


def _weighed(node: Node) -> _Weighed:
    """Return a node with its expected score: the mean of its leaves by their cover."""
    if "split_feature" not in node:
        cover = float(cast("float", node.get("leaf_count", 1.0)))
        value = float(cast("float", node["leaf_value"]))
        return _Weighed(node=node, cover=cover, expected=value, children=())
    children = tuple(
        _weighed(cast("Node", node[side])) for side in ("left_child", "right_child")
    )
    cover = sum(child.cover for child in children)
    expected = sum(child.cover * child.expected for child in children) / cover
    return _Weighed(node=node, cover=cover, expected=expected, children=children)


def _walk(at: _Weighed, moved: Floats, owner: Indices, table: Floats) -> None:
    """Fill the table with what each owner moved on the way to each leaf."""
    if not at.children:
        table[_number(at.node)] = moved
        return
    asked = owner[cast("int", at.node["split_feature"])]
    for child in at.children:
        ahead = moved.copy()
        ahead[asked] += child.expected - at.expected
        _walk(child, ahead, owner, table)
