"""Judging an estimate of remaining life: late is worse than early.

The NASA score of a unit is ``exp(-d/13) - 1`` for an estimate that is d too low and
``exp(d/10) - 1`` for one that is d too high, summed over the units (A. Saxena et al.,
"Damage propagation modeling for aircraft engine run-to-failure simulation", PHM 2008;
the constants are cycles of that data). What it costs is said with the scenario's own
costs, where it has some.
"""

from __future__ import annotations

import numpy as np

from tundish.learn.judge_regress import (
    MEASURES,
    Answers,
    Measure,
    Measures,
    Samples,
    judge_number,
)
from tundish.learn.judging import Case
from tundish.learn.material import Floats, Indices
from tundish.learn.verdict import Verdict

EARLY, LATE = 13.0, 10.0


def judge_rul(case: Case, outputs: Answers) -> Verdict:
    """Return the verdict on an estimate of remaining life."""
    return judge_number(case, outputs, {**MEASURES, **_measures(case)})


def nasa_score(error: Floats) -> float:
    """Return the sum of the score over units, 0 or more.

    Args:
        error: Estimate less truth of each unit, in cycles, [n].
    """
    bounded = np.clip(error, -500.0, 500.0)  # else one absurd error is an overflow
    each = np.where(bounded < 0, np.expm1(-bounded / EARLY), np.expm1(bounded / LATE))
    return float(each.sum())


def _measures(case: Case) -> Measures:
    target, costs = case.scenario.target, case.scenario.costs
    tolerance = case.scenario.acceptance.tolerance or 0.0
    found: dict[str, tuple[Measure, str]] = {
        "nasa_score": (lambda samples, at: nasa_score(samples.error[at]), ""),
        "late_share": (
            lambda samples, at: float(np.mean(samples.error[at] > tolerance)),
            "",
        ),
        "early_share": (
            lambda samples, at: float(np.mean(samples.error[at] < -tolerance)),
            "",
        ),
    }
    cap = target.cap if target else None
    if cap is not None:
        limit = cap
        found["rmse_capped"] = (
            lambda samples, at: _capped_rmse(samples, at, limit),
            "target",
        )
    if costs is not None:
        late, early = costs.late, costs.early
        found["cost_per_unit"] = (
            lambda samples, at: float(
                np.mean(
                    late * np.maximum(samples.error[at], 0.0)
                    + early * np.maximum(-samples.error[at], 0.0)
                )
            ),
            costs.unit,
        )
    return found


def _capped_rmse(samples: Samples, at: Indices, cap: float) -> float:
    """RMSE against the truth where the truth is at most the cap, and the cap above it."""
    truth = samples.truth[at]
    off = truth + samples.error[at] - np.minimum(truth, cap)
    return float(np.sqrt(np.mean(off**2)))
