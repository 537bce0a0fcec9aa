"""Folds that keep neighbours together: for choosing settings without fooling oneself.

Windows of one machine, batch or stretch are alike. A fold is made of whole sources where
every class occurs in enough of them, and of unbroken stretches of each source else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tundish.learn.material import Indices, Material


@dataclass(frozen=True, kw_only=True)
class Folds:
    """Which fold each window belongs to, and which independent piece, [N] each.

    Attributes:
        fold: 0 ... count - 1.
        piece: Number of the source or stretch: what could have come out otherwise.
        count: Number of folds.
        by: In words.
    """

    fold: Indices
    piece: Indices
    count: int
    by: str


def folds_of(material: Material, classes: Indices, count: int) -> Folds:
    """Return folds of labelled windows.

    Args:
        material: The windows.
        classes: Place of each window's class, [N].
        count: How many folds.
    """
    source = np.unique(material.source, return_inverse=True)[1]
    holders = [len(np.unique(source[classes == one])) for one in np.unique(classes)]
    if min(holders) >= count:
        main = [_commonest(classes[source == one]) for one in range(source.max() + 1)]
        fold = _dealt(np.asarray(main), count)[source]
        return Folds(fold=fold, piece=source, count=count, by="whole sources")
    runs = np.unique(np.stack([source, classes], axis=1), axis=0, return_inverse=True)
    fold = np.zeros(len(source), dtype=np.int64)
    for run in range(runs[1].max() + 1):
        mine = np.flatnonzero(runs[1] == run)
        group = np.unique(material.group[mine], return_inverse=True)[1]
        fold[mine] = group * count // (group.max() + 1)
    piece = runs[1].reshape(-1) * count + fold
    return Folds(
        fold=fold, piece=piece, count=count, by="unbroken stretches of each class"
    )


def _commonest(classes: Indices) -> int:
    return int(np.bincount(classes).argmax())


def _dealt(main: Indices, count: int) -> Indices:
    """Deal sources to folds in turn, class by class, [sources]."""
    order = np.argsort(main, kind="stable")
    fold = np.empty(len(main), dtype=np.int64)
    fold[order] = np.arange(len(main)) % count
    return fold
