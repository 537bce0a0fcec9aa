"""Boosters, averaged, that also say which channels moved their answer.

The shares of the answer (``learn.shares``) come out of the same operator as the answer
itself, where asking again without each channel (``learn.contributions``) costs a run for
each. They add up to how far the answer lies from the mean of the training data.
"""

from __future__ import annotations

from dataclasses import dataclass

import lightgbm
import numpy as np

from tundish.learn import shares
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices, Windows
from tundish.learn.trees import add_trees, raw_scores


@dataclass(frozen=True, kw_only=True, eq=False)
class Crowd:
    """The mean of some boosters, each with one answer.

    Attributes:
        boosters: Trained on the same features.
        owner: Owner of each feature: its channel, mostly, [F].
        owners: Number of owners (S).
    """

    boosters: tuple[lightgbm.Booster, ...]
    owner: Indices
    owners: int

    def answers(self, features: Windows) -> Floats:
        """Return the answers to features [N, F], [N], as LightGBM gives them."""
        each = [raw_scores(booster, features)[:, 0] for booster in self.boosters]
        return np.asarray(np.mean(each, axis=0), dtype=np.float64)

    def moved(self, features: Windows) -> Floats:
        """Return how much each owner moved the answers, [N, S]."""
        each = [
            shares.shares(booster, self.owner, features, self.owners)[:, 0]
            for booster in self.boosters
        ]
        return np.asarray(np.mean(each, axis=0), dtype=np.float64)

    def add(self, writer: GraphWriter, features: str) -> tuple[str, str]:
        """Add answers [N, 1] and shares [N, S] to a graph.

        Args:
            writer: The graph.
            features: Name of the value [N, F] in double that ``trees.features_of`` shows.
        """
        both = add_trees(writer, features, self.boosters, self.owner, self.owners)
        return writer.split(both, writer.constant(np.array([1, self.owners]), "sizes"))
