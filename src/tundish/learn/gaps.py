"""Diagnose the data of a run: where is the graph weak, why, and what to collect next.

Only the shipped graph is asked. Only slices that are confirmed (``learn.patient``) are
explained (``learn.causes``) and put on the list (``learn.collecting``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.kernel.errors import RefusedError, UsageError
from tundish.learn import collecting, doubts
from tundish.learn.causes import (
    Grounds,
    distances,
    doubted,
    weakness,
)
from tundish.learn.described import describe
from tundish.learn.gaps_report import GapsReport, Weakness
from tundish.learn.growth import SHARES, Growth, grow
from tundish.learn.judge import answers
from tundish.learn.losses import loss_of, truths_of, unit_of
from tundish.learn.material import Floats, Indices, Material
from tundish.learn.patient import Looked, Patient, look, named_of, slices_of
from tundish.learn.peers import Opinion, opinion
from tundish.learn.weak import (
    FAMILY,
    LEAST,
    LEVEL,
    NEAR,
    Held,
    Named,
    Question,
    Slice,
    alike,
    held,
)

Bools = NDArray[np.bool_]
Tell = Callable[[str, float], None]
LEAST_JUDGED = 30


@dataclass(frozen=True, kw_only=True)
class _Explained:
    """A confirmed slice, why it is weak, and its doubtful labels (places in [N])."""

    named: Named
    weak: Weakness
    suspects: Indices


def diagnose(patient: Patient, tell: Tell = lambda _text, _share: None) -> GapsReport:
    """Return the diagnosis.

    Raises:
        MaterialUnfitError: if the judge part is too small to say anything.
        OutputInvalidError: if the graph's answers cannot be read.
    """
    material, scenario = patient.material, patient.scenario
    tell("asking the graph", 0.0)
    outputs = answers(patient.run, material.x, scenario)
    looked = look(material, loss_of(outputs, material, scenario))
    described = describe(material, scenario)
    tell("asking a forest", 0.1)
    said = opinion(material, described, scenario, patient.seed)
    tell("looking for weak slices", 0.2)
    distance, beyond = distances(material, described)
    slices = slices_of(patient, described, looked, distance, said)
    named = named_of(patient, looked, slices, said)
    growth = _grown(patient, tell) if named else None
    grounds = Grounds(
        material=material,
        scenario=scenario,
        described=described,
        beyond=beyond,
        opinion=said,
        growth=growth,
    )
    found = [_explained(one, looked, grounds, patient.seed) for one in named]
    found = _without_aftermath(patient, _without_twins(found))
    tell("done", 1.0)
    return _report(patient, looked, slices, found, (said, outputs))


def _explained(one: Named, looked: Looked, grounds: Grounds, seed: int) -> _Explained:
    own = _judged_own(one, looked, grounds.material)
    weak = weakness(one, own, grounds, seed)
    suspects = doubted(weak, one.slice.windows, grounds)
    return _Explained(
        named=one, weak=weak, suspects=np.flatnonzero(suspects).astype(np.int64)
    )


def _without_twins(found: Sequence[_Explained]) -> list[_Explained]:
    """Drop what was asked for its labels and wants none, or is named for them already."""
    kept: list[_Explained] = []
    for one in found:
        same = any(
            alike(one.named.slice.windows, other.named.slice.windows) >= NEAR
            for other in kept
            if other.weak.cause == "labels"
        )
        if not one.named.of_labels or (one.weak.cause == "labels" and not same):
            kept.append(one)
    return kept


def _without_aftermath(patient: Patient, found: list[_Explained]) -> list[_Explained]:
    """Drop slices that are weak only because wrong labels elsewhere spoiled the model.

    The recipe is fitted once more without the doubtful labels; what is no longer worse
    than the rest then was no gap of its own.
    """
    suspects = np.concatenate([one.suspects for one in found] or [np.zeros(0, int)])
    others = [one for one in found if not len(one.suspects)]
    material = patient.material
    gone = np.zeros(len(material), dtype=bool)
    gone[suspects] = True
    gone &= material.part != "judge"
    if patient.maker is None or not others or not gone.any():
        return found
    try:
        graph = patient.maker(material.take(~gone))
    except (UsageError, RefusedError):  # too little is left for this recipe
        return found
    part = material.take(np.isin(material.part, ["calibrate", "judge"]))
    again = np.full(len(material), np.nan)
    again[np.isin(material.part, ["calibrate", "judge"])] = loss_of(
        answers(graph, part.x, patient.scenario), part, patient.scenario
    )
    cleaned = look(material, again)
    left = np.ones(len(cleaned.loss), dtype=bool)
    for one in found:
        if len(one.suspects):
            left &= ~one.named.own
    kept = []
    for one in found:
        test = held(Question(losses=cleaned.loss), one.named.slice, left)
        if len(one.suspects) or (test is not None and test.p <= LEVEL / len(others)):
            kept.append(one)
    return kept


def _grown(patient: Patient, tell: Tell) -> Growth | None:
    if patient.maker is None or patient.refits < 2:
        return None
    shares = (*SHARES[: patient.refits - 1], SHARES[-1])
    return grow(
        patient.material,
        patient.scenario,
        patient.maker,
        np.random.default_rng(patient.seed),
        lambda text, share: tell(text, 0.25 + 0.75 * share),
        shares,
    )


def _judged_own(one: Named, looked: Looked, material: Material) -> Bools:
    """Return which samples of the judge part a slice was confirmed on."""
    judged = material.of("judge")
    groups = judged.group[truths_of(judged).first]
    return np.isin(groups, looked.group[one.own & looked.judged])


def _report(
    patient: Patient,
    looked: Looked,
    slices: list[Slice],
    found: list[_Explained],
    heard: tuple[Opinion | None, dict[str, Floats]],
) -> GapsReport:
    said, outputs = heard
    material = patient.material
    overall = float(looked.loss[looked.judged].mean())
    fit = len(np.unique(material.group[material.part == "fit"]))
    items = []
    for one in found:
        if one.weak.cause == "hard":
            continue
        own = looked.loss[one.named.own & looked.judged]
        judged = int(looked.judged.sum())
        gain = collecting.gain_of(one.weak, own, overall, judged, patient.seed)
        count = len(np.unique(material.group[one.suspects]))
        samples = collecting.samples_of(one.weak, fit, count)
        items.append((one.weak, samples, gain))
    whole = np.ones(len(looked.loss), dtype=bool)
    tests = [held(Question(losses=looked.loss), one, whole) for one in slices]
    told = (material, patient.scenario)
    listed = [
        doubts.doubt(*told, place, said) for one in found for place in one.suspects
    ]
    return GapsReport(
        scenario=patient.scenario.key,
        graph=patient.graph,
        unit=unit_of(patient.scenario),
        loss=overall,
        judged=int(looked.judged.sum()),
        tested=sum(test is not None for test in tests),
        level=FAMILY,
        weak=tuple(one.weak for one in found),
        collect=collecting.ranked(items),
        doubts=(*listed, *doubts.events(*told, outputs)),
        unsaid=tuple(
            collecting.named(one.where)
            for one, test in zip(slices, tests, strict=True)
            if test is None
        ),
        notes=(
            *_notes(patient),
            *_unseen(slices, tests, found),
            *doubts.unseen(*told, outputs),
        ),
    )


def _unseen(
    slices: Sequence[Slice], tests: Sequence[Held | None], found: Sequence[_Explained]
) -> Iterator[str]:
    """Yield notes on what training saw nothing of, where the graph is no worse."""
    named = {one.weak.where for one in found}
    for one, test in zip(slices, tests, strict=True):
        if one.absent and test is not None and one.where not in named:
            yield (
                f"fit holds next to nothing of {collecting.named(one.where)}; the graph "
                f"is no worse there ({test.loss:.3g}, {test.elsewhere:.3g} elsewhere)"
            )


def _notes(patient: Patient) -> tuple[str, ...]:
    notes = [
        f"named only if chance does it in at most {FAMILY:.0%} of data without any gap",
        f"a slice with fewer than {LEAST} judged samples is not spoken of",
    ]
    if patient.scenario.task == "anomaly":
        notes.append("no truths: what is harder by nature looks like a gap here")
    if patient.maker is None or patient.refits < 2:
        notes.append("learning curves were not measured")
    if not np.isin(patient.material.part, ["select", "calibrate"]).any():
        notes.append("no part besides fit and judge: regions of errors were not sought")
    return tuple(notes)
