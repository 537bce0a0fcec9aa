"""Judging an estimate of one number: soft sensor, quality, remaining life.

Several windows may share one truth (the spectra around a laboratory value); together
they weigh as much as one. An estimate that the line would withhold (applicability
above 1) is judged all the same: else a model could pass by keeping silent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tundish.learn import balances, baseline, bootstrap, mechanism
from tundish.learn.judging import Case
from tundish.learn.material import Floats, Indices, Texts
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
_FEW = 30


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Figures of each truth, in order: means over its windows, [n] each.

    Attributes:
        truth: What it was.
        error: Estimate less truth.
        square: Mean squared error.
        within: Share of windows within the tolerance.
        covered: Share of windows whose interval holds the truth.
        withheld: Share of windows that the line would withhold.
        held: What the plain baseline says; NaN where it says nothing.
        source: Where it comes from.
    """

    truth: Floats
    error: Floats
    square: Floats
    within: Floats
    covered: Floats
    withheld: Floats
    held: Floats
    source: Texts


Measure = Callable[[Samples, Indices], float]
Measures = Mapping[str, tuple[Measure, str]]
"""Name of a figure -> how it is measured, and its unit (``target``: the target's)."""


def judge_regress(case: Case, outputs: Answers) -> Verdict:
    """Return the verdict on a soft sensor."""
    return judge_number(case, outputs, MEASURES)


def judge_number(case: Case, outputs: Answers, measures: Measures) -> Verdict:
    """Return the verdict on a graph that estimates one number.

    Args:
        case: The case.
        outputs: ``estimate``, ``lower``, ``upper``, ``applicability``, [N, 1] each.
        measures: What is measured; ``MEASURES`` must be among them.
    """
    samples, groups = _samples(case, outputs)
    unit = case.scenario.target.unit if case.scenario.target else ""
    units = {
        name: unit if said == "target" else said for name, (_, said) in measures.items()
    }
    drawn = bootstrap.draws_of(samples.source, case.rng)
    everything = np.arange(len(samples.truth))
    figures = (
        *(
            spread_figure(
                name,
                partial(measure, samples),
                drawn,
                len(samples.truth),
                units[name],
            )
            for name, (measure, _) in measures.items()
        ),
        *mechanism.figures(case, outputs["estimate"][:, 0]),
    )
    limits = hold_limits(case.scenario, figures)
    held = Figure(
        metric="rmse", value=finite(_baseline_rmse(samples, everything)), unit=unit
    )
    return Verdict(
        scenario=case.scenario.key,
        task=case.scenario.task,
        graph=case.claim.graph,
        accepted=all(limit.holds for limit in limits),
        limits=limits,
        figures=figures,
        baseline_name=_baseline_name(case),
        baseline=(held,),
        promise=case.claim.promise,
        slices=_slices(case, samples, groups, (measures, units)),
        judged=len(samples.truth),
        notes=(
            *_notes(case, samples, figures),
            *balances.notes(case),
            *narrow_notes(limits),
        ),
        seed=case.seed,
    )


def _samples(case: Case, outputs: Answers) -> tuple[Samples, Indices]:
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
    source = material.source[first][order]
    if _by_mean(case):
        mean_of_fit = case.claim.envelope.target_mean
        held = np.full(len(names), np.nan if mean_of_fit is None else mean_of_fit)
    else:
        held = baseline.held_values(truth, source)
    return Samples(
        truth=truth,
        error=mean(error),
        square=mean(error**2),
        within=mean(np.abs(error) <= tolerance),
        covered=mean(inside),
        withheld=mean(outputs["applicability"][:, 0] > 1.0),
        held=held,
        source=source,
    ), np.asarray(names[order])


def _rmse(samples: Samples, at: Indices) -> float:
    return float(np.sqrt(samples.square[at].mean()))


def _baseline_rmse(samples: Samples, at: Indices) -> float:
    known = at[np.isfinite(samples.held[at])]
    if not len(known):
        return float("nan")
    return float(np.sqrt(np.mean((samples.held[known] - samples.truth[known]) ** 2)))


def _share_of_baseline(samples: Samples, at: Indices) -> float:
    """RMSE over the baseline's, on the samples for which the baseline has a value."""
    base = _baseline_rmse(samples, at)
    if not base > 0.0:
        return float("nan")
    return _rmse(samples, at[np.isfinite(samples.held[at])]) / base


def _r2(samples: Samples, at: Indices) -> float:
    variance = float(np.var(samples.truth[at]))
    if variance == 0.0:
        return float("nan")
    return 1.0 - float(samples.square[at].mean()) / variance


def _mean_of(name: str) -> Measure:
    return lambda samples, at: float(getattr(samples, name)[at].mean())


MEASURES: Measures = {
    "rmse": (_rmse, "target"),
    "mae": (lambda samples, at: float(np.abs(samples.error[at]).mean()), "target"),
    "bias": (_mean_of("error"), "target"),
    "share_within_tolerance": (_mean_of("within"), ""),
    "interval_coverage": (_mean_of("covered"), ""),
    "share_of_baseline_error": (_share_of_baseline, ""),
    "r2": (_r2, ""),
    "share_withheld": (_mean_of("withheld"), ""),
}


def _slices(
    case: Case,
    samples: Samples,
    groups: Indices,
    measured: tuple[Measures, Mapping[str, str]],
) -> tuple[Slice, ...]:
    measures, units = measured
    found = []
    for cut in cuts(case):
        inside = np.isin(groups, case.material.group[cut.index])
        at = np.flatnonzero(inside)
        figures = tuple(
            Figure(metric=name, value=finite(measure(samples, at)), unit=units[name])
            for name, (measure, _) in measures.items()
        )
        found.append(Slice(by=cut.by, name=cut.name, count=len(at), figures=figures))
    return tuple(found)


def _baseline_name(case: Case) -> str:
    return baseline.MEAN if _by_mean(case) else baseline.LAST_VALUE


def _by_mean(case: Case) -> bool:
    """Tell whether the last value is no baseline: without time, or for a life's rest."""
    at = case.material.at
    timeless = at is None or bool(np.isnat(at).any())
    return timeless or case.scenario.task == "rul"


def _notes(
    case: Case, samples: Samples, figures: tuple[Figure, ...]
) -> tuple[str, ...]:
    value = {figure.metric: figure for figure in figures}
    notes = []
    promise = case.claim.promise
    covered = value["interval_coverage"]
    what = "laboratory values" if case.scenario.task == "regress" else "samples"
    if promise and covered.value is not None:
        kept = "kept" if covered.value >= promise.promised else "not kept"
        notes.append(
            f"promised: {promise.promised:.1%} of true values inside the interval; seen: "
            f"{covered.value:.1%} of {len(samples.truth)} {what} ({kept})"
        )
    withheld = value["share_withheld"].value or 0.0
    if withheld > 0.0:
        notes.append(
            f"the line would withhold {withheld:.1%} of these estimates as outside the "
            "training envelope; they are judged all the same"
        )
    if len(samples.truth) < _FEW:
        notes.append(
            f"{len(samples.truth)} {what} were judged: read the spread, not the second "
            "digit"
        )
    repeated = int(np.count_nonzero(samples.truth == samples.held))
    if repeated and not _by_mean(case):
        notes.append(
            f"{repeated} laboratory values repeat the one before exactly, where the "
            "baseline makes no error"
        )
    return tuple(notes)
