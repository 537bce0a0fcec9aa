"""Judging a forecast: every step of the horizon against what came, and a plain baseline.

The baseline repeats the last season (the same hour yesterday), or the last value where
the scenario names no season. It sees only values of the judged part that were known
when the forecast was made.

The interval score rewards narrow intervals that hold (T. Gneiting, A. E. Raftery,
J. Amer. Statist. Assoc. 102 (2007) 359, section 6.2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tundish.learn import bootstrap, mechanism
from tundish.learn.judging import Case
from tundish.learn.material import Floats, Indices, seconds, step_s
from tundish.learn.slices import cuts
from tundish.learn.verdict import (
    Figure,
    Slice,
    Verdict,
    finite,
    hold_limits,
    narrow_notes,
    spread_figure,
)

Answers = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class _Sums:
    """What each window adds to the figures, summed over its horizon once, [n] each.

    Attributes:
        count: Steps for which a value came.
        error, size, square: Error, its size, its square.
        within, covered: Steps within the tolerance, and inside their interval.
        score: Interval score.
        own, plain: Squared error of the graph and of the baseline on the steps for
            which the baseline has a value; ``both`` counts these.
    """

    count: Floats
    error: Floats
    size: Floats
    square: Floats
    within: Floats
    covered: Floats
    score: Floats
    own: Floats
    plain: Floats
    both: Floats


_Measure = Callable[[_Sums, Indices], float]


def judge_forecast(case: Case, outputs: Answers) -> Verdict:
    """Return the verdict on a forecast."""
    held = plain_forecast(case)
    sums = _sums(case, outputs, held)
    unit = case.scenario.target.unit if case.scenario.target else ""
    drawn = bootstrap.draws_of(case.material.source, case.rng)
    everything = np.arange(len(sums.count))
    figures = (
        *(
            spread_figure(
                name,
                partial(measure, sums),
                drawn,
                len(everything),
                unit if has_unit else "",
            )
            for name, (measure, has_unit) in _MEASURES.items()
        ),
        Figure(
            metric="share_withheld",
            value=float(np.mean(outputs["applicability"][:, 0] > 1.0)),
        ),
        *mechanism.figures(case, outputs["estimate"].ravel()),
    )
    limits = hold_limits(case.scenario, figures)
    promise = case.claim.promise
    notes = [*narrow_notes(limits)]
    covered = next(f.value for f in figures if f.metric == "interval_coverage")
    if promise and covered is not None:
        kept = "kept" if covered >= promise.promised else "not kept"
        notes.insert(
            0,
            f"promised: {promise.promised:.1%} of values inside their intervals; seen: "
            f"{covered:.1%} ({kept})",
        )
    plain = Figure(
        metric="rmse", value=finite(_plain_rmse(sums, everything)), unit=unit
    )
    return Verdict(
        scenario=case.scenario.key,
        task="forecast",
        graph=case.claim.graph,
        accepted=all(limit.holds for limit in limits),
        limits=limits,
        figures=figures,
        baseline_name=_plain_name(case),
        baseline=(plain,),
        promise=promise,
        slices=(*_by_cut(case, sums, unit), *_by_step(case, outputs, held, unit)),
        judged=len(sums.count),
        notes=tuple(notes),
        seed=case.seed,
    )


def plain_forecast(case: Case) -> Floats:
    """Return the baseline's forecast, [n, H]; NaN where its past was not judged."""
    horizon = case.scenario.horizon
    ahead = horizon.rows if horizon else 1
    season = (horizon.season_rows if horizon else None) or 0
    material = case.material
    row_s = step_s(case.scenario) / case.scenario.window.stride
    place = np.rint(seconds(material, case.scenario) / row_s).astype(np.int64)
    found = np.full((len(material), ahead), np.nan)
    for source in np.unique(material.source):
        mine = np.flatnonzero(material.source == source)
        moments = (place[mine][:, None] + np.arange(1, ahead + 1)).ravel()
        known, first = np.unique(moments, return_index=True)
        values = material.y[mine].ravel()[first]
        for step in range(1, ahead + 1):  # never asks beyond the forecast's own moment
            asked = place[mine] + step - _back(step, season)
            at = np.minimum(np.searchsorted(known, asked), len(known) - 1)
            found[mine, step - 1] = np.where(known[at] == asked, values[at], np.nan)
    return found


def _back(step: int, season: int) -> int:
    """Return how many rows before its own moment the baseline of a step looks."""
    if not season:
        return step
    return season * -(-step // season)


def _plain_name(case: Case) -> str:
    horizon = case.scenario.horizon
    if horizon is None or horizon.season_rows is None:
        return "the last value, held"
    return f"the value one season ({horizon.season_rows} rows) before"


def _sums(
    case: Case, outputs: Answers, held: Floats, steps: slice = slice(None)
) -> _Sums:
    """Sum over some steps of the horizon; where nothing came, nothing counts."""
    truth, held = case.material.y[:, steps], held[:, steps]
    low, high = outputs["lower"][:, steps], outputs["upper"][:, steps]
    error = outputs["estimate"][:, steps] - truth
    tolerance = case.scenario.acceptance.tolerance or 0.0
    rate = 1.0 - case.scenario.acceptance.coverage
    missed = np.maximum(low - truth, 0.0) + np.maximum(truth - high, 0.0)
    both = np.isfinite(held) & np.isfinite(truth)

    def total(values: NDArray[np.generic]) -> Floats:
        return np.asarray(np.nansum(values.astype(np.float64), axis=1))

    return _Sums(
        count=total(np.isfinite(truth)),
        error=total(error),
        size=total(np.abs(error)),
        square=total(error**2),
        within=total(np.abs(error) <= tolerance),
        covered=total((low <= truth) & (truth <= high)),
        score=total(high - low + 2.0 / rate * missed),
        own=total(np.where(both, error**2, 0.0)),
        plain=total(np.where(both, (held - truth) ** 2, 0.0)),
        both=total(both),
    )


def _mean(name: str) -> _Measure:
    def measure(sums: _Sums, at: Indices) -> float:
        count = float(sums.count[at].sum())
        return float(getattr(sums, name)[at].sum()) / count if count else float("nan")

    return measure


def _rmse(sums: _Sums, at: Indices) -> float:
    return float(np.sqrt(_mean("square")(sums, at)))


def _plain_rmse(sums: _Sums, at: Indices) -> float:
    known = float(sums.both[at].sum())
    return float(np.sqrt(sums.plain[at].sum() / known)) if known else float("nan")


def _share_of_baseline(sums: _Sums, at: Indices) -> float:
    """RMSE over the baseline's, on the values for which the baseline has one."""
    base = float(sums.plain[at].sum())
    return float(np.sqrt(sums.own[at].sum() / base)) if base > 0 else float("nan")


_MEASURES: dict[str, tuple[_Measure, bool]] = {
    "rmse": (_rmse, True),
    "mae": (_mean("size"), True),
    "bias": (_mean("error"), True),
    "share_within_tolerance": (_mean("within"), False),
    "interval_coverage": (_mean("covered"), False),
    "interval_score": (_mean("score"), True),
    "share_of_baseline_error": (_share_of_baseline, False),
}


def _measured(sums: _Sums, at: Indices, unit: str) -> tuple[Figure, ...]:
    return tuple(
        Figure(metric=name, value=finite(measure(sums, at)), unit=unit if has else "")
        for name, (measure, has) in _MEASURES.items()
    )


def _by_cut(case: Case, sums: _Sums, unit: str) -> list[Slice]:
    return [
        Slice(
            by=cut.by,
            name=cut.name,
            count=len(cut.index),
            figures=_measured(sums, cut.index, unit),
        )
        for cut in cuts(case)
    ]


def _by_step(case: Case, outputs: Answers, held: Floats, unit: str) -> list[Slice]:
    """Return the figures of the first, the middle and the last step ahead."""
    count, ahead = case.material.y.shape
    return [
        Slice(
            by="horizon",
            name=f"{step + 1} rows ahead",
            count=count,
            figures=_measured(
                _sums(case, outputs, held, slice(step, step + 1)),
                np.arange(count),
                unit,
            ),
        )
        for step in sorted({0, ahead // 2, ahead - 1})
    ]
