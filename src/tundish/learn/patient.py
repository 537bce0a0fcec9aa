"""What is diagnosed, the slices that it is looked at in, and those that are confirmed.

Slices are what people know (mode, source, class, shift, stretch), regions that trees
find away from the judge part's errors, and the moment from which losses rise; all are
tested together on the judge part (``learn.weak``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.learn import causes, regions
from tundish.learn.causes import OF_PEOPLE, against, mean_over
from tundish.learn.chance import runs_of, share_of_deals
from tundish.learn.described import Described
from tundish.learn.errors import MaterialUnfitError
from tundish.learn.gaps_report import Where
from tundish.learn.growth import SHARES, Maker
from tundish.learn.losses import Truths, truths_of
from tundish.learn.material import Floats, Indices, Material
from tundish.learn.moments import change
from tundish.learn.peers import Opinion
from tundish.learn.recipe import Scorer
from tundish.learn.weak import Named, Question, Slice, absent, confirm, gaps_and_hard

Bools = NDArray[np.bool_]
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
class Looked:
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


def look(material: Material, windows: Floats) -> Looked:
    """Return the samples that have a loss.

    Args:
        material: All parts.
        windows: Loss of each window, [N].

    Raises:
        MaterialUnfitError: if the judge part is too small to say anything.
    """
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
    return Looked(
        loss=loss[known],
        judged=judged,
        group=part.group[first],
        first=places[first],
        windows=windows,
    )


def slices_of(
    patient: Patient,
    described: Described,
    looked: Looked,
    distance: Floats,
    said: Opinion | None,
) -> list[Slice]:
    """Return every slice that may be weak.

    Args:
        patient: What is diagnosed.
        described: Its windows.
        looked: Its samples with a loss.
        distance: How far each window lies from the fit part, [N].
        said: A forest's opinion, whose contradictions regions are sought by.
    """
    material = patient.material
    away = np.isin(material.part, ["select", "calibrate"])
    judged = material.part == "judge"
    candidates = [
        *regions.known(material, patient.scenario),
        *regions.stretches(material),
        *regions.found(described, away, looked.windows),
        *regions.found(described, judged, distance),
    ]
    if said is not None:
        wrong = against(said, patient.scenario)
        candidates += regions.found(described, ~judged, wrong)
    every = [
        Slice(
            where=one.where,
            inside=one.inside[looked.first],
            pool=looked.judged,
            windows=one.inside,
            short=causes.short(one, material),
            absent=causes.absent(one, material),
        )
        for one in candidates
    ]
    moment = _moment(patient, looked)
    return every if moment is None else [*every, moment]


def _moment(patient: Patient, looked: Looked) -> Slice | None:
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


def named_of(
    patient: Patient, looked: Looked, slices: list[Slice], said: Opinion | None
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
    found += absent(replace(question, expected=None), slices, found)
    return (
        found if said is None else [*found, *_doubtful(patient, looked, slices, said)]
    )


def _doubtful(
    patient: Patient, looked: Looked, slices: Sequence[Slice], said: Opinion
) -> list[Named]:
    """Return slices whose labels are doubted beyond chance, however the graph does there.

    Sources and shifts are held against each other by the labels of all parts; regions
    (that were sought by labels of the others) by those of the judge part.
    """
    truths = truths_of(patient.material)
    flags = truths.mean(against(said, patient.scenario))
    known = np.isfinite(flags)
    judged = known & (patient.material.part[truths.first] == "judge")
    found = []
    for by, which in ((OF_PEOPLE, known), ({"region"}, judged)):
        places = truths.first[which]
        question = Question(
            losses=flags[which],
            run=runs_of(patient.material, places),
            seed=patient.seed,
        )
        pool = np.ones(len(places), dtype=bool)
        asked = [
            replace(one, inside=one.windows[places], pool=pool)
            for one in slices
            if one.where.by in by
        ]
        found += [_by_labels(one, looked) for one in confirm(question, asked)]
    return [one for one in found if one.own.any()]


def _by_labels(named: Named, looked: Looked) -> Named:
    """Return a slice that was confirmed by its labels, with what the graph loses there."""
    inside = named.slice.windows[looked.first] & looked.judged
    rest = looked.judged & ~inside
    test = replace(
        named.test,
        count=int(inside.sum()),
        loss=mean_over(looked.loss, inside),
        elsewhere=mean_over(looked.loss, rest),
    )
    slice_ = replace(named.slice, inside=inside, pool=looked.judged)
    return Named(slice=slice_, test=test, own=inside, of_labels=True)
