"""Judging a diagnosis: what is let through, what is rejected for nothing, what is open.

Two readings of the same answers. Forced: the most probable class of every sample, which
is what published F1 figures speak of. Decided: the class that the graph commits itself
to, or none; escapes and false rejects are counted there, since an open case goes to a
person. Windows of one group (a part, a cycle) share one truth and weigh one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tundish.learn import bootstrap
from tundish.learn.judging import Case
from tundish.learn.material import Floats, Indices
from tundish.learn.slices import cuts
from tundish.learn.verdict import (
    Confusion,
    Figure,
    Slice,
    Verdict,
    finite,
    hold_limits,
    narrow_notes,
    spread_figure,
)

Answers = dict[str, NDArray[np.float64]]
BASELINE = "always the commonest class of the fit part"
OPEN = -1


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """What each window was, and what it was taken for, [n] each.

    Attributes:
        truth: Place of the class.
        forced: The most probable class.
        decided: The class committed to, or ``OPEN``.
        weight: So that each group weighs 1.
        good: Which classes need nothing done, [K].
    """

    truth: Indices
    forced: Indices
    decided: Indices
    weight: Floats
    good: NDArray[np.bool_]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.good)


Measure = Callable[[Decisions, Indices], float]


def judge_diagnose(case: Case, outputs: Answers) -> Verdict:
    """Return the verdict on a diagnosis."""
    truth = case.material.y.astype(np.int64)
    decisions = Decisions(
        truth=truth,
        forced=outputs["probability"].argmax(axis=1),
        decided=np.rint(outputs["label"][:, 0]).astype(np.int64),
        weight=case.material.weights(),
        good=np.array([item.good for item in case.scenario.classes]),
    )
    measures = measures_of(case)
    everything = np.arange(len(truth))
    drawn = bootstrap.draws_of(case.material.source, case.rng)
    figures = (
        *(
            spread_figure(
                name,
                partial(measure, decisions),
                drawn,
                len(truth),
                unit,
            )
            for name, (measure, unit) in measures.items()
        ),
        Figure(
            metric="share_withheld",
            value=float(np.mean(outputs["applicability"][:, 0] > 1.0)),
        ),
    )
    limits = hold_limits(case.scenario, figures)
    plain = _commonest(case, decisions)
    return Verdict(
        scenario=case.scenario.key,
        task="diagnose",
        graph=case.claim.graph,
        accepted=all(limit.holds for limit in limits),
        limits=limits,
        figures=figures,
        baseline_name=BASELINE,
        baseline=measured(measures, plain, everything),
        promise=case.claim.promise,
        slices=tuple(
            Slice(
                by=cut.by,
                name=cut.name,
                count=len(cut.index),
                figures=measured(measures, decisions, cut.index),
            )
            for cut in cuts(case)
        ),
        confusion=confusion(
            decisions, tuple(item.name for item in case.scenario.classes)
        ),
        judged=len(np.unique(case.material.group)),
        notes=(*_notes(case, decisions), *narrow_notes(limits)),
        seed=case.seed,
    )


def measures_of(case: Case) -> dict[str, tuple[Measure, str]]:
    """Return what is measured: name -> measure and unit."""
    costs = case.scenario.costs
    found: dict[str, tuple[Measure, str]] = {
        "macro_f1": (macro_f1, ""),
        "accuracy": (_accuracy, ""),
        "worst_class_recall": (_worst_recall, ""),
        "share_left_open": (_share_open, ""),
        "share_right_when_decided": (_right_when_decided, ""),
        "share_wrongly_decided": (_wrongly_decided, ""),
        "escapes_per_1000": (lambda d, at: 1000.0 * _share(d, at, _escaped), ""),
        "false_rejects_per_1000": (lambda d, at: 1000.0 * _share(d, at, _false), ""),
    }
    if costs is not None:
        escape, reject = costs.escape, costs.false_reject
        found["cost_per_1000"] = (
            lambda d, at: (
                1000.0
                * (escape * _share(d, at, _escaped) + reject * _share(d, at, _false))
            ),
            costs.unit,
        )
    return found


def measured(
    measures: dict[str, tuple[Measure, str]], decisions: Decisions, at: Indices
) -> tuple[Figure, ...]:
    """Return figures without a spread."""
    return tuple(
        Figure(metric=name, value=finite(measure(decisions, at)), unit=unit)
        for name, (measure, unit) in measures.items()
    )


def confusion(decisions: Decisions, names: tuple[str, ...]) -> Confusion:
    """Count windows by what they were and what they were taken for."""
    count = decisions.classes
    taken = np.where(decisions.decided < 0, count, decisions.decided)
    flat = np.bincount(
        decisions.truth * (count + 1) + taken, minlength=count * (count + 1)
    )
    rows = flat.reshape(count, count + 1)
    return Confusion(
        classes=names, counts=tuple(tuple(int(n) for n in row) for row in rows)
    )


def macro_f1(decisions: Decisions, at: Indices) -> float:
    """Return the mean F1 of the classes that occur, by the most probable class."""
    truth, forced = decisions.truth[at], decisions.forced[at]
    weight = decisions.weight[at]
    scores = []
    for place in np.unique(truth):
        hit = weight[(truth == place) & (forced == place)].sum()
        wrong = weight[(truth == place) != (forced == place)].sum()
        scores.append(2.0 * hit / (2.0 * hit + wrong))
    return float(np.mean(scores)) if scores else float("nan")


def _accuracy(decisions: Decisions, at: Indices) -> float:
    right = decisions.truth[at] == decisions.forced[at]
    return float(np.average(right, weights=decisions.weight[at]))


def _worst_recall(decisions: Decisions, at: Indices) -> float:
    truth, forced = decisions.truth[at], decisions.forced[at]
    weight = decisions.weight[at]
    recalls = [
        np.average(forced[truth == place] == place, weights=weight[truth == place])
        for place in np.unique(truth)
    ]
    return float(min(recalls)) if recalls else float("nan")


def _share_open(decisions: Decisions, at: Indices) -> float:
    open_ = decisions.decided[at] == OPEN
    return float(np.average(open_, weights=decisions.weight[at]))


def _right_when_decided(decisions: Decisions, at: Indices) -> float:
    decided = at[decisions.decided[at] != OPEN]
    if not len(decided):
        return float("nan")
    right = decisions.decided[decided] == decisions.truth[decided]
    return float(np.average(right, weights=decisions.weight[decided]))


def _wrongly_decided(decisions: Decisions, at: Indices) -> float:
    wrong = (decisions.decided[at] != OPEN) & (
        decisions.decided[at] != decisions.truth[at]
    )
    return float(np.average(wrong, weights=decisions.weight[at]))


def _escaped(decisions: Decisions, at: Indices) -> NDArray[np.bool_]:
    decided = decisions.decided[at]
    passed = (decided != OPEN) & decisions.good[np.maximum(decided, 0)]
    return np.asarray(passed & ~decisions.good[decisions.truth[at]])


def _false(decisions: Decisions, at: Indices) -> NDArray[np.bool_]:
    decided = decisions.decided[at]
    rejected = (decided != OPEN) & ~decisions.good[np.maximum(decided, 0)]
    return np.asarray(rejected & decisions.good[decisions.truth[at]])


def _share(
    decisions: Decisions,
    at: Indices,
    which: Callable[[Decisions, Indices], NDArray[np.bool_]],
) -> float:
    return float(np.average(which(decisions, at), weights=decisions.weight[at]))


def _commonest(case: Case, decisions: Decisions) -> Decisions:
    shares = case.claim.envelope.class_shares or (1.0,)
    always = np.full(len(decisions.truth), int(np.argmax(shares)))
    return Decisions(
        truth=decisions.truth,
        forced=always,
        decided=always,
        weight=decisions.weight,
        good=decisions.good,
    )


def _notes(case: Case, decisions: Decisions) -> list[str]:
    notes = []
    everything = np.arange(len(decisions.truth))
    promise = case.claim.promise
    if promise:
        seen = 1.0 - _wrongly_decided(decisions, everything)
        kept = "kept" if seen >= promise.promised else "not kept"
        notes.append(
            f"promised: {promise.promised:.1%} of windows right or left open; seen: "
            f"{seen:.1%} ({kept})"
        )
    known = set(np.unique(decisions.truth).tolist())
    absent = [
        item.name
        for place, item in enumerate(case.scenario.classes)
        if place not in known
    ]
    if absent:
        notes.append(f"not in the judged part, so not judged: {', '.join(absent)}")
    if not decisions.good.any():
        notes.append("no class is called good: escapes and false rejects say nothing")
    return notes
