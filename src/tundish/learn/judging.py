"""What every judgement works on, whatever the task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tundish.catalog.scenario import Scenario
from tundish.learn.material import Material, Piece
from tundish.learn.recipe import Claim, Scorer


@dataclass(frozen=True, kw_only=True)
class Case:
    """A graph before the judge.

    Attributes:
        material: The judge part alone.
        pieces: Its unbroken runs.
        scenario: The contract.
        claim: What the maker claims.
        seed: Seed of the bootstrap.
        run: The graph, to ask it more than the judge part does.
        shift_s: Length of a shift, where the site has a calendar.
    """

    material: Material
    pieces: tuple[Piece, ...]
    scenario: Scenario
    claim: Claim
    seed: int
    run: Scorer | None = None
    shift_s: float | None = None

    @property
    def rng(self) -> np.random.Generator:
        """Return a fresh generator: each figure sees the same draws."""
        return np.random.default_rng(self.seed)
