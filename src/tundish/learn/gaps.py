"""Diagnose the data of a run: where is the graph weak, why, and what to collect next.

Only the shipped graph is asked. Slices are what people know (mode, source, class, shift,
stretch), regions that trees find away from the judge part's errors, and the moment from
which losses rise; all are tested together on the judge part (``learn.weak``), and only
what passes is explained (``learn.causes``) and put on the list (``learn.collecting``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.kernel.errors import RefusedError, UsageError
from tundish.learn import collecting, doubts, regions
from tundish.learn.causes import Grounds, distances, doubted, short, weakness
from tundish.learn.chance import runs_of, share_of_deals
from tundish.learn.described import Described, describe
from tundish.learn.errors import MaterialUnfitError
from tundish.learn.gaps_report import GapsReport, Weakness, Where
from tundish.learn.growth import SHARES, Growth, Maker, grow
from tundish.learn.judge import answers
from tundish.learn.losses import Truths, loss_of, truths_of, unit_of
from tundish.learn.material import Floats, Indices, Material
from tundish.learn.moments import change
from tundish.learn.peers import Opinion, opinion
from tundish.learn.recipe import Scorer
from tundish.learn.weak import (
    FAMILY,
    LEAST,
    LEVEL,
    Named,
    Question,
    Slice,
    confirm,
    gaps_and_hard,
    held,
)

Bools = NDArray[np.bool_]
Tell = Callable[[str, float], None]
LEAST_JUDGED = 30


@dataclass(frozen=True, kw_only=True)
class Patient:
    """What is diagnosed.

    Attributes:
        material: All parts.
        scenario: The contract.
        run: The shipped graph.
        graph: Its digest.
        maker: Fits its recipe again; None: no learning curve.
        seed: Of all draws.
        refits: How often the recipe is fitted again at most.
    """

    material: Material
    scenario: Scenario
    run: Scorer
    graph: str
    maker: Maker | None = None
    seed: int = 0
    refits: int = len(SHARES)


@dataclass(frozen=True, kw_only=True)
class _Looked:
    """The samples of calibrate and judge that have a loss, in order.

    Attributes:
        loss: Of each sample, [G].
        judged: Which are of the judge part, [G].
        group: Its group, [G].
        first: Its first window, counted in the whole material, [G].
        windows: Loss of each window of all parts, [N].
    """

    loss: Floats
    judged: Bools
    group: Indices
    first: Indices
    windows: Floats


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
    looked = _look(material, loss_of(outputs, material, scenario))
    described = describe(material, scenario)
    tell("looking for weak slices", 0.1)
    distance, beyond = distances(material, described)
    slices = _slices(patient, described, looked, distance)
    tell("asking a forest", 0.2)
    said = opinion(material, described, scenario, patient.seed)
    named = _named(patient, looked, slices, said)
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
    found = [
        one for one in found if one.weak.cause == "labels" or not one.named.of_labels
    ]
    found = _without_aftermath(patient, found)
    tell("done", 1.0)
    return _report(patient, looked, slices, found, (said, outputs))


def _named(
    patient: Patient, looked: _Looked, slices: list[Slice], said: Opinion | None
) -> list[Named]:
    """Return what is confirmed: gaps, slices that are harder, and doubtful labels."""
    truths = truths_of(patient.material)
    samples = truths.place[looked.first]
    question = Question(
        losses=looked.loss,
        expected=None if said is None else truths.mean(said.loss)[samples],
        run=runs_of(patient.material, looked.first),
        seed=patient.seed,
    )
    found = gaps_and_hard(question, slices)
    if said is None:
        return found
    taken = [one.slice.windows for one in found]
    return [*found, *_doubtful(patient, looked, slices, said, taken)]


def _doubtful(
    patient: Patient,
    looked: _Looked,
    slices: list[Slice],
    said: Opinion,
    taken: list[Bools],
) -> list[Named]:
    """Return sources and shifts whose labels, of all parts, are doubted beyond chance."""
    truths = truths_of(patient.material)
    flags = truths.mean(np.where(np.isfinite(said.loss), said.doubtful, np.nan))
    known = np.isfinite(flags)
    places = truths.first[known]
    pool = np.ones(len(places), dtype=bool)
    asked = [
        replace(one, inside=one.windows[places], pool=pool)
        for one in slices
        if one.where.by in {"source", "shift"}
        and not any((one.windows == other).all() for other in taken)
    ]
    question = Question(
        losses=flags[known], run=runs_of(patient.material, places), seed=patient.seed
    )
    found = []
    for one in confirm(question, asked):
        own = next(each for each in slices if each.windows is one.slice.windows)
        inside = own.inside & own.pool
        here, there = looked.loss[inside], looked.loss[own.pool & ~inside]
        if len(here) and len(there):
            test = replace(
                one.test, count=len(here), loss=float(here.mean()),
                elsewhere=float(there.mean()),
            )  # fmt: skip
            found.append(Named(slice=own, test=test, own=inside, of_labels=True))
    return found


def _explained(one: Named, looked: _Looked, grounds: Grounds, seed: int) -> _Explained:
    own = _judged_own(one, looked, grounds.material)
    weak = weakness(one, own, grounds, seed)
    suspects = doubted(weak, one.slice.windows, grounds)
    return _Explained(
        named=one, weak=weak, suspects=np.flatnonzero(suspects).astype(np.int64)
    )


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
    cleaned = _look(material, again)
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


def _look(material: Material, windows: Floats) -> _Looked:
    use = np.isin(material.part, ["calibrate", "judge"])
    places = np.flatnonzero(use)
    part = material.take(use)
    truths: Truths = truths_of(part)
    loss = truths.mean(windows[use])
    known = np.isfinite(loss)
    first = truths.first[known]
    judged = part.part[first] == "judge"
    if judged.sum() < LEAST_JUDGED:
        msg = f"The judge part has {judged.sum()} samples with a truth; a diagnosis needs {LEAST_JUDGED}."
        raise MaterialUnfitError(msg)
    return _Looked(
        loss=loss[known],
        judged=judged,
        group=part.group[first],
        first=places[first],
        windows=windows,
    )


def _slices(
    patient: Patient, described: Described, looked: _Looked, distance: Floats
) -> list[Slice]:
    material = patient.material
    away = np.isin(material.part, ["select", "calibrate"])
    judged = material.part == "judge"
    candidates = [
        *regions.known(material, patient.scenario),
        *regions.stretches(material),
        *regions.found(described, away, looked.windows),
        *regions.found(described, judged, distance),
    ]
    every = [
        Slice(
            where=one.where,
            inside=one.inside[looked.first],
            pool=looked.judged,
            windows=one.inside,
            short=short(one, material),
        )
        for one in candidates
    ]
    moment = _moment(patient, looked)
    return every if moment is None else [*every, moment]


def _moment(patient: Patient, looked: _Looked) -> Slice | None:
    """Return the slice from the moment on from which losses rise, if there is time."""
    at = patient.material.at
    if at is None or np.isnat(at[looked.first]).any():
        return None
    order = np.argsort(at[looked.first], kind="stable")
    found = change(looked.loss[order], np.random.default_rng(patient.seed))
    if found is None:
        return None
    runs = runs_of(patient.material, looked.first)[order]
    chance = share_of_deals(looked.loss[order], found.place, runs, patient.seed)
    start = at[looked.first[order[found.place]]]
    text = str(start.astype("datetime64[s]"))
    windows = (at >= start) & np.isin(patient.material.part, ["calibrate", "judge"])
    return Slice(
        where=Where(by="moment", name=f"from {text} on", start=text),
        inside=windows[looked.first],
        pool=np.ones(len(looked.loss), dtype=bool),
        windows=windows,
        p=max(found.p, chance),
    )


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


def _judged_own(one: Named, looked: _Looked, material: Material) -> Bools:
    """Return which samples of the judge part a slice was confirmed on."""
    judged = material.of("judge")
    groups = judged.group[truths_of(judged).first]
    return np.isin(groups, looked.group[one.own & looked.judged])


def _report(
    patient: Patient,
    looked: _Looked,
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
            *doubts.unseen(*told, outputs),
        ),
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
