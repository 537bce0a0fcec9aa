"""How a loss falls as the fit part grows: the recipe fitted again on shares of it.

Error falls as a power of the number of samples (C. Cortes et al., "Learning curves:
asymptotic values and rate of convergence", NeurIPS 1994; J. Hestness et al.,
arXiv:1712.00409). The exponent is that of a line through the logarithms; its interval
comes from the judged samples and the drawn shares together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.kernel.errors import RefusedError, UsageError
from tundish.learn.gaps_report import Point
from tundish.learn.losses import losses, truths_of
from tundish.learn.material import Floats, Material
from tundish.learn.recipe import Scorer

SHARES = (0.35, 0.35, 0.6, 0.6, 1.0)
STRETCHES = 20
ROUNDS = 200

Bools = NDArray[np.bool_]
Maker = Callable[[Material], Scorer]
"""Fits the run's recipe again, as the run did, on a material: its graph."""
Tell = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Losses of models fitted on shares of the fit part.

    Attributes:
        samples: Fit samples of each model, [M].
        losses: Loss of each judged sample, [M, G].
    """

    samples: NDArray[np.int64]
    losses: Floats

    def curve(self, own: Bools) -> tuple[Point, ...]:
        """Return the curve of some judged samples, one point for each size."""
        return tuple(
            Point(
                samples=int(size),
                loss=float(self.losses[np.ix_(self.samples == size, own)].mean()),
            )
            for size in np.unique(self.samples)
        )

    def slope(
        self, own: Bools, rng: np.random.Generator
    ) -> tuple[float, float, float] | None:
        """Return the exponent and its 90 % interval; None with fewer than two sizes."""
        places = np.flatnonzero(own)
        if len(np.unique(self.samples)) < 2 or not len(places):
            return None
        whole = self._exponent(np.arange(len(self.samples)), places)
        drawn = [
            self._exponent(self._models(rng), rng.choice(places, len(places)))
            for _ in range(ROUNDS)
        ]
        low, high = np.quantile(drawn, [0.05, 0.95])
        return whole, float(low), float(high)

    def steeper(self, own: Bools, rng: np.random.Generator) -> bool | None:
        """Tell whether the loss falls faster there than elsewhere, at 5 %; None: unknown."""
        told = np.isfinite(self.losses).all(axis=0)
        here, there = np.flatnonzero(own & told), np.flatnonzero(~own & told)
        if len(np.unique(self.samples)) < 2 or not len(here) or not len(there):
            return None
        drawn = []
        for _ in range(ROUNDS):
            models = self._models(rng)
            slope = self._exponent(models, rng.choice(here, len(here)))
            drawn.append(slope - self._exponent(models, rng.choice(there, len(there))))
        return bool(np.quantile(drawn, 0.95) < 0.0)

    def _models(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw models anew within each size, so that every size stays."""
        return np.concatenate(
            [
                rng.choice(np.flatnonzero(self.samples == size), count)
                for size, count in zip(
                    *np.unique(self.samples, return_counts=True), strict=True
                )
            ]
        )

    def _exponent(self, models: NDArray[np.int64], places: NDArray[np.int64]) -> float:
        mean = self.losses[np.ix_(models, places)].mean(axis=1)
        floor = 0.5 / len(places) * max(1e-9, float(mean.max()))
        x = np.log(self.samples[models].astype(np.float64))
        y = np.log(np.maximum(mean, floor))
        x = x - x.mean()
        return float(x @ (y - y.mean()) / (x @ x))


def grow(
    material: Material,
    scenario: Scenario,
    maker: Maker,
    rng: np.random.Generator,
    tell: Tell,
    shares: tuple[float, ...] = SHARES,
) -> Growth | None:
    """Fit on growing shares of the fit part and judge each; None if none could be fitted.

    Args:
        material: All parts.
        scenario: The contract.
        maker: Fits the recipe.
        rng: Draws the shares: stretches of neighbours, not single samples.
        tell: Told what is done, and the share that is behind.
        shares: Of the fit part, one for each model.
    """
    judged = material.of("judge")
    truths = truths_of(judged)
    sizes, found = [], []
    for number, share in enumerate(shares):
        tell(f"fitting on {share:.0%} of the fit part", number / len(shares))
        part = material if share >= 1.0 else material.take(_drawn(material, share, rng))
        try:
            graph = maker(part)
        except (UsageError, RefusedError):  # too little for this recipe
            continue
        sizes.append(len(np.unique(part.group[part.part == "fit"])))
        found.append(truths.mean(losses(graph, judged, scenario)))
    if not sizes:
        return None
    return Growth(samples=np.array(sizes), losses=np.stack(found))


def _drawn(material: Material, share: float, rng: np.random.Generator) -> Bools:
    """Return which windows stay: all but those of fit stretches that were not drawn."""
    groups = np.unique(material.group[material.part == "fit"])
    runs = np.array_split(groups, min(STRETCHES, len(groups)))
    kept = rng.permutation(len(runs))[: max(1, round(share * len(runs)))]
    chosen = np.concatenate([runs[number] for number in kept])
    return np.asarray(
        (material.part != "fit") | np.isin(material.group, chosen), dtype=bool
    )
