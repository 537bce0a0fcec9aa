"""The recipe ``cva``: canonical variates between the past and the future of each row.

The past rows and the coming rows of the fit part are put in the coordinates in which
they correlate most. The first of these are the state: what the past says of the future.
Three statistics of the past follow: Ts2 (an unusual state), Tr2 (an unusual amount of
what does not matter for the future: the directions in which normal operation is quiet,
where small faults show first) and Q (their plain size). Each is a quadratic form, and is
averaged over the window.

The number of states is found by parallel analysis: a canonical correlation counts if it
is larger than the one of its rank when the future is shifted by half the fit part, so
that nothing but chance relates the two.

Sources: W. E. Larimore, IEEE Conf. Decision and Control 1990, 596 (CVA); A. Negiz, A.
Cinar, AIChE J. 43 (1997) 2002; E. L. Russell, L. H. Chiang, R. D. Braatz, Chemometrics
and Intelligent Laboratory Systems 51 (2000) 81 (Ts2, Tr2, Q); J. L. Horn, Psychometrika
30 (1965) 179 (parallel analysis).
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from pydantic import Field

from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Task
from tundish.kernel.records import Record
from tundish.learn import recipe as recipes
from tundish.learn.material import Floats, Material
from tundish.learn.recipe import Fitted, Options
from tundish.learn.recipes.detector import TINY, Normal, batched, finish
from tundish.learn.recipes.mahalanobis import block_size, drift_of
from tundish.learn.recipes.quadratic import QuadraticModel, Statistic, auto_step
from tundish.learn.recipes.rows import fit_columns, vectors_of


class CvaOptions(Record):
    """Options of the recipe ``cva``.

    Attributes:
        past: Rows of the past; None: as many as the data support.
        states: Number of states; None: by parallel analysis.
        statistics: ``tr2``, ``ts2``, ``q``, or the largest of ``all``, each over the
            limit that it has on the fit part.
        ridge: Floor of the scatter of any direction, as a share of a column's variance.
        drift: How often the scatter of the stretches' means is added; see
            ``mahalanobis``.
    """

    past: int | None = Field(default=None, ge=1, le=1000)
    states: int | None = Field(default=None, ge=1, le=10_000)
    statistics: Literal["tr2", "ts2", "q", "all"] = "tr2"
    ridge: float = Field(default=1e-3, gt=0, le=10)
    drift: float = Field(default=5.0, ge=0, le=1000)


class CvaRecipe:
    """Canonical variate analysis; see the module."""

    name: Final = "cva"
    task: Final[Task] = "anomaly"
    simplicity: Final = 1

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,  # noqa: ARG002  (every recipe is given one; nothing here is random)
    ) -> Fitted:
        """Fit the variates and calibrate the limit; see ``Recipe.fit``."""
        chosen = recipes.read_options(options, CvaOptions, self.name)
        normal = Normal.of(material)
        columns = fit_columns(normal.fit.x, scenario)
        rows, width = scenario.window.rows, columns.width
        lags = None if chosen.past is None else chosen.past - 1
        past = block_size(normal.fit, rows, width, lags)
        past = max(1, min(past, rows - 1))
        span = min(2 * past, rows)
        both = vectors_of(normal.fit, columns, span)
        split = past * width
        inner, correlations, chance = _variates(both, split, chosen)
        states = chosen.states or int(np.count_nonzero(correlations > chance))
        states = min(max(1, states), inner.shape[1] - 1) if inner.shape[1] > 1 else 1
        step = auto_step(rows, past, width)
        bare = QuadraticModel(
            columns=columns,
            size=past,
            step=step,
            statistics=_statistics(inner, states, both[:, :split], chosen),
        )
        model = _scaled(bare, normal, scenario)
        return finish(
            self.name,
            model,
            normal,
            scenario,
            chosen={
                "past": past,
                "states": states,
                "statistics": chosen.statistics,
                "ridge": chosen.ridge,
                "drift": chosen.drift,
                "step": step,
            },
            notes=(
                f"{len(both)} vectors of {past} past and {span - past} coming rows x "
                f"{width} columns; {states} states",
            ),
        )


def _variates(
    both: Floats, split: int, options: CvaOptions
) -> tuple[Floats, Floats, Floats]:
    """Return the variates of the past, their correlations, and those of chance.

    Args:
        both: Past and future side by side, [M, P + F].
        split: P.
        options: Floor and drift.

    Returns:
        Variates as columns: past @ them has unit covariance, [P, P]; correlations [r];
        correlations of chance [r].
    """
    centred = both - both.mean(axis=0)
    past, future = centred[:, :split], centred[:, split:]
    if not future.shape[1]:
        future = past
    white_past = _inverse_root(_covariance(past, options))
    white_future = _inverse_root(_covariance(future, options))
    shifted = np.roll(future, len(future) // 2, axis=0)
    count = max(1, len(both) - 1)
    left, found, _ = np.linalg.svd(white_past @ (past.T @ future) @ white_future)
    chance = np.linalg.svd(
        white_past @ (past.T @ shifted) @ white_future, compute_uv=False
    )
    return white_past @ left, found / count, chance / count


def _covariance(part: Floats, options: CvaOptions) -> Floats:
    base = np.atleast_2d(np.cov(part.T))
    return base + options.drift * drift_of(part) + options.ridge * np.eye(len(base))


def _inverse_root(matrix: Floats) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors / np.sqrt(np.maximum(values, TINY))) @ vectors.T)


def _statistics(
    variates: Floats, states: int, past: Floats, options: CvaOptions
) -> tuple[Statistic, ...]:
    state, rest = variates[:, :states], variates[:, states:]
    if not rest.shape[1]:
        rest = state
    root = np.linalg.inv(_inverse_root(_covariance(past, options)))
    off = np.eye(len(root)) - state @ (root @ root @ state).T
    found = {
        "ts2": state @ state.T,
        "tr2": rest @ rest.T,
        "q": off.T @ off,
    }
    wanted = tuple(found) if options.statistics == "all" else (options.statistics,)
    return tuple(Statistic(name=name, matrix=found[name]) for name in wanted)


def _scaled(bare: QuadraticModel, normal: Normal, scenario: Scenario) -> QuadraticModel:
    """Return the model whose statistics are each over their limit on the fit part."""
    values = batched(bare.values, normal.fit.x)
    rate = scenario.acceptance.alarm_rate
    scales = np.quantile(values, 1.0 - rate, axis=0, method="higher")
    return QuadraticModel(
        columns=bare.columns,
        size=bare.size,
        step=bare.step,
        statistics=tuple(
            Statistic(name=s.name, matrix=s.matrix, scale=max(float(scale), TINY))
            for s, scale in zip(bare.statistics, scales, strict=True)
        ),
    )
