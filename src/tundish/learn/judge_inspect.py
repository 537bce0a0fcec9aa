"""Judging an inspection: escapes and false rejects per 1,000 parts, and where the fault is.

A part is bad if its score lies above 1. The baseline is what a lamp and a photocell
could do: how far the picture's mean brightness lies from that of the fit part.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tundish.learn import bootstrap, judge_diagnose
from tundish.learn.judge_diagnose import Decisions, confusion
from tundish.learn.judging import Case
from tundish.learn.material import Floats, Indices
from tundish.learn.ranking import auroc, recall_at
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
Measure = Callable[[Indices], float]
BASELINE = "how far the mean brightness lies from that of the fit part"
GOOD_BAD = np.array([True, False])
_COUNTS = frozenset(
    {"macro_f1", "escapes_per_1000", "false_rejects_per_1000", "cost_per_1000"}
)


def judge_inspect(case: Case, outputs: Answers) -> Verdict:
    """Return the verdict on an inspection."""
    score = outputs["score"][:, 0]
    bad = _bad(case)
    drawn = bootstrap.draws_of(case.material.source, case.rng)
    measures = _measures(case, score, outputs)
    figures = tuple(
        _figure(name, measure, drawn, len(bad), unit)
        for name, (measure, unit) in measures.items()
    )
    limits = hold_limits(case.scenario, figures)
    bright = case.material.x.mean(axis=(1, 2), dtype=np.float64)
    off = np.abs(bright - float(np.mean(case.claim.envelope.mean)))
    return Verdict(
        scenario=case.scenario.key,
        task="inspect",
        graph=case.claim.graph,
        accepted=all(limit.holds for limit in limits),
        limits=limits,
        figures=figures,
        baseline_name=BASELINE,
        baseline=(Figure(metric="image_auroc", value=finite(auroc(off, bad))),),
        promise=case.claim.promise,
        slices=tuple(
            Slice(
                by=cut.by,
                name=cut.name,
                count=len(cut.index),
                figures=tuple(
                    Figure(metric=name, value=finite(measure(cut.index)), unit=unit)
                    for name, (measure, unit) in measures.items()
                ),
            )
            for cut in cuts(case)
        ),
        confusion=confusion(_decisions(case, score), ("good", "bad")),
        judged=len(bad),
        notes=(*_notes(case, score, bad), *narrow_notes(limits)),
        seed=case.seed,
    )


def _measures(
    case: Case, score: Floats, outputs: Answers
) -> dict[str, tuple[Measure, str]]:
    """Return name -> measure over windows, and unit."""
    bad = _bad(case)
    decisions = _decisions(case, score)

    def counted(measure: judge_diagnose.Measure) -> Measure:
        return lambda at: measure(decisions, at)

    found: dict[str, tuple[Measure, str]] = {
        "image_auroc": (lambda at: auroc(score[at], bad[at]), ""),
        "recall_at_5_percent_false_alarms": (
            lambda at: recall_at(score[at], bad[at], 0.05),
            "",
        ),
        "share_withheld": (
            lambda at: float(np.mean(outputs["applicability"][at, 0] > 1.0)),
            "",
        ),
    }
    for name, (measure, unit) in judge_diagnose.measures_of(case).items():
        if name in _COUNTS:
            found[name] = (counted(measure), unit)
    mask = case.material.mask
    if mask is not None:
        marked, cells = mask, outputs["map"]
        found["pixel_auroc"] = (
            lambda at: auroc(cells[at].ravel(), marked[at].ravel()),
            "",
        )
    return found


def _bad(case: Case) -> NDArray[np.bool_]:
    place = case.material.y.astype(np.int64)
    classes = case.scenario.classes
    if not classes:
        return np.asarray(place != 0)
    good = np.array([item.good for item in classes])
    return np.asarray(~good[place])


def _decisions(case: Case, score: Floats) -> Decisions:
    taken = (score > 1.0).astype(np.int64)
    return Decisions(
        truth=_bad(case).astype(np.int64),
        forced=taken,
        decided=taken,
        weight=case.material.weights(),
        good=GOOD_BAD,
    )


def _figure(
    name: str, measure: Measure, drawn: bootstrap.Draws, count: int, unit: str
) -> Figure:
    if name == "pixel_auroc":  # millions of cells: one draw takes a second
        value = finite(measure(np.arange(count)))
        return Figure(metric=name, value=value, unit=unit)
    return spread_figure(name, measure, drawn, count, unit)


def _notes(case: Case, score: Floats, bad: NDArray[np.bool_]) -> list[str]:
    notes = []
    promise = case.claim.promise
    if promise and (~bad).any():
        seen = float(np.mean(score[~bad] > 1.0))
        kept = "kept" if seen <= promise.promised else "not kept"
        notes.append(
            f"promised: at most {promise.promised:.2%} of good parts are rejected; seen: "
            f"{seen:.2%} of {int((~bad).sum())} ({kept})"
        )
    if not bad.any():
        notes.append("no bad part is in the judged part: nothing says what escapes")
    if case.material.mask is None:
        notes.append("nobody marked where the faults are: the map is not judged")
    return notes
