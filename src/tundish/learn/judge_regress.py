"""Judging a soft sensor: errors against the laboratory, each laboratory value once.

Several windows may share one laboratory value (the spectra around a sample); together
they weigh as much as one. An estimate that the line would withhold (applicability
above 1) is judged all the same: else a model could pass by keeping silent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.learn import baseline, bootstrap
from tundish.learn.judging import Case
from tundish.learn.material import Floats, Indices
from tundish.learn.verdict import (
    Figure,
    Slice,
    Verdict,
    finite,
    hold_limits,
    narrow_notes,
)

Answers = dict[str, NDArray[np.float64]]
_FEW = 30


@dataclass(frozen=True, kw_only=True)
class _Samples:
    """Figures of each laboratory value, in order: means over its windows, [n] each."""

    truth: Floats
    error: Floats
    square: Floats
    within: Floats
    covered: Floats
    withheld: Floats
    held: Floats


_Measure = Callable[[_Samples, Indices], float]


def judge_regress(case: Case, outputs: Answers) -> Verdict:
    """Return the verdict on a soft sensor."""
    samples, groups = _samples(case, outputs)
    unit = case.scenario.target.unit if case.scenario.target else ""
    drawn = bootstrap.draws(len(samples.truth), case.rng)
    everything = np.arange(len(samples.truth))
    figures = tuple(
        _figure(name, measure, samples, drawn, everything, unit if has_unit else "")
        for name, (measure, has_unit) in _MEASURES.items()
    )
    limits = hold_limits(case.scenario, figures)
    held = Figure(
        metric="rmse", value=finite(_baseline_rmse(samples, everything)), unit=unit
    )
    return Verdict(
        scenario=case.scenario.key,
        task="regress",
        graph=case.claim.graph,
        accepted=all(limit.holds for limit in limits),
        limits=limits,
        figures=figures,
        baseline_name=_baseline_name(case),
        baseline=(held,),
        promise=case.claim.promise,
        slices=_slices(case, samples, groups, unit),
        judged=len(samples.truth),
        notes=(*_notes(case, samples, figures), *narrow_notes(limits)),
        seed=case.seed,
    )


def _samples(case: Case, outputs: Answers) -> tuple[_Samples, Indices]:
    material = case.material
    names, first, place = np.unique(
        material.group, return_index=True, return_inverse=True
    )
    order = np.argsort(first, kind="stable")
    count = np.bincount(place)

    def mean(values: NDArray[np.generic]) -> Floats:
        summed = np.bincount(place, weights=values.astype(np.float64))
        return np.asarray((summed / count)[order])

    error = outputs["estimate"][:, 0] - material.y
    tolerance = case.scenario.acceptance.tolerance or 0.0
    inside = (outputs["lower"][:, 0] <= material.y) & (
        material.y <= outputs["upper"][:, 0]
    )
    truth = mean(material.y)
    if _timeless(case):
        mean_of_fit = case.claim.envelope.target_mean
        held = np.full(len(names), np.nan if mean_of_fit is None else mean_of_fit)
    else:
        held = baseline.held_values(truth, material.source[first][order])
    return _Samples(
        truth=truth,
        error=mean(error),
        square=mean(error**2),
        within=mean(np.abs(error) <= tolerance),
        covered=mean(inside),
        withheld=mean(outputs["applicability"][:, 0] > 1.0),
        held=held,
    ), np.asarray(names[order])


def _rmse(samples: _Samples, at: Indices) -> float:
    return float(np.sqrt(samples.square[at].mean()))


def _baseline_rmse(samples: _Samples, at: Indices) -> float:
    known = at[np.isfinite(samples.held[at])]
    if not len(known):
        return float("nan")
    return float(np.sqrt(np.mean((samples.held[known] - samples.truth[known]) ** 2)))


def _share_of_baseline(samples: _Samples, at: Indices) -> float:
    """RMSE over the baseline's, on the samples for which the baseline has a value."""
    base = _baseline_rmse(samples, at)
    if not base > 0.0:
        return float("nan")
    return _rmse(samples, at[np.isfinite(samples.held[at])]) / base


def _r2(samples: _Samples, at: Indices) -> float:
    variance = float(np.var(samples.truth[at]))
    if variance == 0.0:
        return float("nan")
    return 1.0 - float(samples.square[at].mean()) / variance


_MEASURES: dict[str, tuple[_Measure, bool]] = {
    "rmse": (_rmse, True),
    "bias": (lambda samples, at: float(samples.error[at].mean()), True),
    "share_within_tolerance": (
        lambda samples, at: float(samples.within[at].mean()),
        False,
    ),
    "interval_coverage": (lambda samples, at: float(samples.covered[at].mean()), False),
    "share_of_baseline_error": (_share_of_baseline, False),
    "r2": (_r2, False),
    "share_withheld": (lambda samples, at: float(samples.withheld[at].mean()), False),
}


def _figure(
    name: str,
    measure: _Measure,
    samples: _Samples,
    drawn: Indices,
    everything: Indices,
    unit: str,
) -> Figure:
    low, high = bootstrap.interval(lambda at: measure(samples, at), drawn)
    return Figure(
        metric=name,
        value=finite(measure(samples, everything)),
        unit=unit,
        low=finite(low),
        high=finite(high),
        spread=bootstrap.NAME,
    )


def _slices(
    case: Case, samples: _Samples, groups: Indices, unit: str
) -> tuple[Slice, ...]:
    found = []
    for piece in case.pieces:
        inside = np.isin(groups, case.material.group[piece.index])
        at = np.flatnonzero(inside)
        figures = tuple(
            Figure(
                metric=name,
                value=finite(measure(samples, at)),
                unit=unit if has_unit else "",
            )
            for name, (measure, has_unit) in _MEASURES.items()
        )
        found.append(Slice(name=piece.name, count=len(at), figures=figures))
    return tuple(found)


def _baseline_name(case: Case) -> str:
    return baseline.MEAN if _timeless(case) else baseline.LAST_VALUE


def _timeless(case: Case) -> bool:
    at = case.material.at
    return at is None or bool(np.isnat(at).any())


def _notes(
    case: Case, samples: _Samples, figures: tuple[Figure, ...]
) -> tuple[str, ...]:
    value = {figure.metric: figure for figure in figures}
    notes = []
    promise = case.claim.promise
    covered = value["interval_coverage"]
    if promise and covered.value is not None:
        kept = "kept" if covered.value >= promise.promised else "not kept"
        notes.append(
            f"promised: {promise.promised:.1%} of true values inside the interval; seen: "
            f"{covered.value:.1%} of {len(samples.truth)} laboratory values ({kept})"
        )
    withheld = value["share_withheld"].value or 0.0
    if withheld > 0.0:
        notes.append(
            f"the line would withhold {withheld:.1%} of these estimates as outside the "
            "training envelope; they are judged all the same"
        )
    if len(samples.truth) < _FEW:
        notes.append(
            f"{len(samples.truth)} laboratory values were judged: read the spread, not "
            "the second digit"
        )
    repeated = int(np.count_nonzero(samples.truth == samples.held))
    if repeated:
        notes.append(
            f"{repeated} laboratory values repeat the one before exactly, where the "
            "baseline makes no error"
        )
    return tuple(notes)
