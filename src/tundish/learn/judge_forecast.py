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
)

Answers = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class _Steps:
    """What was forecast and what came, [n, H] each; NaN where nothing came."""

    truth: Floats
    estimate: Floats
    lower: Floats
    upper: Floats
    plain: Floats
    tolerance: float
    rate: float


_Measure = Callable[[_Steps, Indices], float]


def judge_forecast(case: Case, outputs: Answers) -> Verdict:
    """Return the verdict on a forecast."""
    steps = _steps(case, outputs)
    unit = case.scenario.target.unit if case.scenario.target else ""
    drawn = bootstrap.draws_of(case.material.source, case.rng)
    everything = np.arange(len(steps.truth))
    figures = (
        *(
            _figure(name, steps, (everything, drawn), unit if has_unit else "")
            for name, (_, has_unit) in _MEASURES.items()
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
        metric="rmse", value=finite(_plain_rmse(steps, everything)), unit=unit
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
        slices=(*_by_cut(case, steps, unit), *_by_step(steps, unit)),
        judged=len(steps.truth),
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


def _steps(case: Case, outputs: Answers) -> _Steps:
    return _Steps(
        truth=case.material.y,
        estimate=outputs["estimate"],
        lower=outputs["lower"],
        upper=outputs["upper"],
        plain=plain_forecast(case),
        tolerance=case.scenario.acceptance.tolerance or 0.0,
        rate=1.0 - case.scenario.acceptance.coverage,
    )


def _error(steps: _Steps, at: Indices) -> Floats:
    off = (steps.estimate - steps.truth)[at].ravel()
    return np.asarray(off[np.isfinite(off)])


def _rmse(steps: _Steps, at: Indices) -> float:
    return float(np.sqrt(np.mean(_error(steps, at) ** 2)))


def _plain_rmse(steps: _Steps, at: Indices) -> float:
    off = (steps.plain - steps.truth)[at]
    known = np.isfinite(off)
    return float(np.sqrt(np.mean(off[known] ** 2))) if known.any() else float("nan")


def _share_of_baseline(steps: _Steps, at: Indices) -> float:
    """RMSE over the baseline's, on the values for which the baseline has one."""
    known = np.isfinite(steps.plain[at]) & np.isfinite(steps.truth[at])
    if not known.any():
        return float("nan")
    own = (steps.estimate - steps.truth)[at][known]
    plain = (steps.plain - steps.truth)[at][known]
    base = float(np.mean(plain**2))
    return float(np.sqrt(np.mean(own**2) / base)) if base > 0 else float("nan")


def _coverage(steps: _Steps, at: Indices) -> float:
    truth = steps.truth[at]
    inside = (steps.lower[at] <= truth) & (truth <= steps.upper[at])
    return float(inside[np.isfinite(truth)].mean())


def _interval_score(steps: _Steps, at: Indices) -> float:
    truth, low, high = steps.truth[at], steps.lower[at], steps.upper[at]
    missed = np.maximum(low - truth, 0.0) + np.maximum(truth - high, 0.0)
    return float(np.nanmean(high - low + 2.0 / steps.rate * missed))


def _within(steps: _Steps, at: Indices) -> float:
    return float(np.mean(np.abs(_error(steps, at)) <= steps.tolerance))


_MEASURES: dict[str, tuple[_Measure, bool]] = {
    "rmse": (_rmse, True),
    "mae": (lambda steps, at: float(np.abs(_error(steps, at)).mean()), True),
    "bias": (lambda steps, at: float(_error(steps, at).mean()), True),
    "share_within_tolerance": (_within, False),
    "interval_coverage": (_coverage, False),
    "interval_score": (_interval_score, True),
    "share_of_baseline_error": (_share_of_baseline, False),
}


def _figure(
    name: str, steps: _Steps, over: tuple[Indices, bootstrap.Draws], unit: str
) -> Figure:
    measure, (everything, drawn) = _MEASURES[name][0], over
    low, high = bootstrap.interval(lambda at: measure(steps, at), drawn.places)
    return Figure(
        metric=name,
        value=finite(measure(steps, everything)),
        unit=unit,
        low=finite(low),
        high=finite(high),
        spread=drawn.name,
    )


def _measured(steps: _Steps, at: Indices, unit: str) -> tuple[Figure, ...]:
    return tuple(
        Figure(metric=name, value=finite(measure(steps, at)), unit=unit if has else "")
        for name, (measure, has) in _MEASURES.items()
    )


def _by_cut(case: Case, steps: _Steps, unit: str) -> list[Slice]:
    return [
        Slice(
            by=cut.by,
            name=cut.name,
            count=len(cut.index),
            figures=_measured(steps, cut.index, unit),
        )
        for cut in cuts(case)
    ]


def _by_step(steps: _Steps, unit: str) -> list[Slice]:
    """Return the figures of the first, the middle and the last step ahead."""
    ahead = steps.truth.shape[1]
    everything = np.arange(len(steps.truth))
    found = []
    for step in sorted({0, ahead // 2, ahead - 1}):
        one = slice(step, step + 1)
        alone = _Steps(
            truth=steps.truth[:, one],
            estimate=steps.estimate[:, one],
            lower=steps.lower[:, one],
            upper=steps.upper[:, one],
            plain=steps.plain[:, one],
            tolerance=steps.tolerance,
            rate=steps.rate,
        )
        found.append(
            Slice(
                by="horizon",
                name=f"{step + 1} rows ahead",
                count=len(everything),
                figures=_measured(alone, everything, unit),
            )
        )
    return found
