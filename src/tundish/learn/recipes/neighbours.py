"""The recipe ``neighbours``: distance to the nearest windows of a coreset.

It needs no shape of the normal cloud: several operating points, each with its own
scatter, are each near to themselves. The fit part is thinned by farthest-first
traversal, which keeps rare normal states that a random sample would lose; the score is
the root mean square distance to the nearest few. Nothing is learnt of relations between
columns beyond the examples, so it needs many of them where tags are many.

Statistics of the window are scaled by their own scatter in the fit part. The coreset is
made of real windows' statistics and travels inside the graph: a package of this recipe
carries a summary of that many training windows, which is said in its notes.

Sources: S. Ramaswamy, R. Rastogi, K. Shim, SIGMOD 2000 (distance to the k-th
neighbour); T. F. Gonzalez, Theoretical Computer Science 38 (1985) 293 (farthest-first);
K. Roth et al., CVPR 2022 (coresets for anomalies).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from pydantic import Field

from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Task
from tundish.kernel.records import Record
from tundish.learn import recipe as recipes
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices, Material, Windows
from tundish.learn.recipe import Fitted, Options
from tundish.learn.recipes import summary
from tundish.learn.recipes.detector import (
    Normal,
    add_by_channel,
    batched,
    by_channel,
    finish,
)
from tundish.learn.recipes.rows import RowColumns, fit_columns

_LEAST_SPREAD = 1e-6
_MOST_SEEN = 20_000


class NeighboursOptions(Record):
    """Options of the recipe ``neighbours``.

    Attributes:
        coreset: Most windows that are kept.
        nearest: How many neighbours are averaged.
    """

    coreset: int = Field(default=400, ge=10, le=5000)
    nearest: int = Field(default=5, ge=1, le=100)


@dataclass(frozen=True, kw_only=True, eq=False)
class NeighboursModel:
    """See the module and ``detector.Model``.

    Attributes:
        columns: How rows are read.
        middle, spread: Of each statistic in the fit part, [S].
        kept: The coreset, scaled, [K, S].
        nearest: How many neighbours are averaged.
    """

    columns: RowColumns
    middle: Floats
    spread: Floats
    kept: Floats
    nearest: int

    def raw_score(self, window: Windows) -> Floats:
        """Return the root mean square distance to the nearest, [N]."""
        return np.asarray(np.sqrt(self._squares(window).sum(axis=1)))

    def parts(self, window: Windows) -> Floats:
        """Return each channel's part of the mean squared distance, [N, C]."""
        owner = summary.owner(self.columns)
        return by_channel(self._squares(window), owner, len(self.columns.names))

    def add(self, writer: GraphWriter, raw: str) -> tuple[str, str]:
        """Add score and parts to a graph."""
        found = summary.build(self.columns)(writer, raw)
        centred = writer.add("Sub", found, writer.constant(self.middle, "middle"))
        x = writer.add("Div", centred, writer.constant(self.spread, "own_scatter"))
        far = writer.constant(-2.0 * self.kept.T, "coreset_across")
        sizes = writer.constant((self.kept**2).sum(axis=1), "coreset_sizes")
        crossed = writer.add("MatMul", x, far, hint="crossed")
        order = writer.add("Add", crossed, sizes, hint="order")  # squares, but for |x|
        count = writer.constant(np.array([self.nearest]), "nearest")
        _, places = writer.add_pair(
            "TopK", order, count, axis=1, largest=0, sorted=1, hint="nearest_squares"
        )
        kept = writer.constant(self.kept, "coreset")
        near = writer.add("Gather", kept, places, axis=0, hint="near")
        axis = writer.constant(np.array([1]), "middle_axis")
        wide = writer.add("Unsqueeze", x, axis, hint="each")
        off = writer.add("Sub", wide, near, hint="away")
        square = writer.add("Mul", off, off, hint="away_square")
        share = writer.add("ReduceMean", square, axes=[1], keepdims=0, hint="share")
        score = writer.add("Sqrt", writer.sum_last(share, "mean_square"))
        owner = summary.owner(self.columns)
        return score, add_by_channel(writer, share, owner, len(self.columns.names))

    def _squares(self, window: Windows) -> Floats:
        x = (summary.values(self.columns, window) - self.middle) / self.spread
        order = (self.kept**2).sum(axis=1) - 2.0 * x @ self.kept.T
        places = np.argsort(order, axis=1, kind="stable")[:, : self.nearest]
        return np.asarray(np.mean((x[:, None] - self.kept[places]) ** 2, axis=1))


class NeighboursRecipe:
    """Nearest neighbours in a coreset; see the module."""

    name: Final = "neighbours"
    task: Final[Task] = "anomaly"

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,  # noqa: ARG002  (every recipe is given one; nothing here is random)
    ) -> Fitted:
        """Choose the coreset and calibrate the limit; see ``Recipe.fit``."""
        chosen = recipes.read_options(options, NeighboursOptions, self.name)
        normal = Normal.of(material)
        columns = fit_columns(normal.fit.x, scenario)
        seen = batched(lambda x: summary.values(columns, x), normal.fit.x)
        middle = seen.mean(axis=0)
        spread = np.maximum(seen.std(axis=0), _LEAST_SPREAD)
        scaled = (seen - middle) / spread
        if len(scaled) > _MOST_SEEN:
            step = np.linspace(0, len(scaled) - 1, _MOST_SEEN).astype(np.int64)
            scaled = scaled[step]
        kept = scaled[farthest_first(scaled, chosen.coreset)]
        model = NeighboursModel(
            columns=columns,
            middle=middle,
            spread=spread,
            kept=kept,
            nearest=min(chosen.nearest, len(kept)),
        )
        return finish(
            self.name,
            model,
            normal,
            scenario,
            chosen={"coreset": len(kept), "nearest": model.nearest},
            notes=(
                f"a coreset of {len(kept)} of {len(seen)} training windows (their "
                f"statistics) is inside the graph; the nearest {model.nearest} count",
            ),
        )


def farthest_first(points: Floats, count: int) -> Indices:
    """Return the places of points that lie far from each other, in the order found.

    Args:
        points: [M, S]; the first found is the one nearest to their mean.
        count: How many at most; fewer if the rest are copies.
    """
    first = int(np.argmin(np.sum((points - points.mean(axis=0)) ** 2, axis=1)))
    found = [first]
    away = np.sum((points - points[first]) ** 2, axis=1)
    while len(found) < min(count, len(points)):
        place = int(np.argmax(away))
        if away[place] <= 0.0:
            break
        found.append(place)
        away = np.minimum(away, np.sum((points - points[place]) ** 2, axis=1))
    return np.array(found, dtype=np.int64)
