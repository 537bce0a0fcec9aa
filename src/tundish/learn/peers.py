"""What a plain forest says of every label when it has not seen it.

An independent second opinion on every window with a truth: extremely randomised trees
(P. Geurts, D. Ernst, L. Wehenkel, Machine Learning 63 (2006) 3) over the windows'
description, each window answered by trees that saw no window of its group or of its
neighbourhood in time (of its whole source, where
sources are judged whole). It tells three things: how well a slice can be known if others
like it were seen, whether labels contradict the rest, and which.

Doubtful classes: confident learning (C. Northcutt, L. Jiang, I. Chuang, J. Artif. Intell.
Res. 70 (2021) 1373). Doubtful numbers: a residual far outside the bulk of the residuals
of the windows most like it, so that a regime in which all scatter more is not doubted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.neighbors import NearestNeighbors

from tundish.catalog.scenario import Scenario
from tundish.learn.described import Described
from tundish.learn.losses import CLASSES
from tundish.learn.material import Floats, Indices, Material, by_source

FOLDS = 5
BLOCKS = 5
TREES = 40
GROSS = 6.0
LEAST = 40
NEAR = 25
FEW = 8
SURER = 0.65
TOGETHER = 0.5
KNOWS = 0.1
"""Planted labels had at most 0.66 and 0.43 by the first two, slices that are harder by
nature at least 0.70, or else 0.68 by the second."""
MOST = 5000

Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """The forest's opinion of each window, [N].

    Attributes:
        loss: In the unit of ``learn.losses``; NaN without a truth.
        residual: Truth less answer (numbers); NaN for classes.
        doubtful: Labels that the rest contradicts.
        rather: What the forest says instead.
        chance: What it gives each class, [N, K]; empty for numbers.
        own: The place of each window's own class, [N]; empty for numbers.
    """

    loss: Floats
    residual: Floats
    doubtful: Bools
    rather: Floats
    chance: Floats
    own: Indices


def opinion(
    material: Material, described: Described, scenario: Scenario, seed: int
) -> Opinion | None:
    """Ask the forest; None where there is nothing to learn from (anomaly)."""
    if scenario.task == "anomaly":
        return None
    y = material.y if material.y.ndim == 1 else material.y.mean(axis=1)
    if scenario.target is not None and scenario.target.cap is not None:
        y = np.minimum(y, scenario.target.cap)
    known = np.isfinite(y)
    if known.sum() < LEAST:
        return None
    fold = folds(material)
    if scenario.task in CLASSES:
        return _of_classes(described.values, y, known, fold, seed)
    return _of_numbers(described, y, known, fold, seed)


def folds(material: Material) -> Indices:
    """Return a fold of each window, [N].

    Sources that are judged whole (engines, mixes) stay whole, so that the forest knows no
    more of them than the graph did; else stretches of a source do.
    """
    _, source = np.unique(material.source, return_inverse=True)
    if by_source(material) and source.max() + 1 >= FOLDS:
        place = np.random.default_rng(0).permutation(source.max() + 1)[source] % FOLDS
    else:
        size = max(1, len(material) // BLOCKS // FOLDS)
        place = np.zeros(len(material), dtype=np.int64)
        for number in range(source.max() + 1):
            mine = np.flatnonzero(source == number)
            place[mine] = (np.arange(len(mine)) // size + number) % FOLDS
    _, first, group = np.unique(material.group, return_index=True, return_inverse=True)
    return np.asarray(place[first][group], dtype=np.int64)


def _of_numbers(
    described: Described, y: Floats, known: Bools, fold: Indices, seed: int
) -> Opinion:
    x = described.values
    near = _nearest(described, known)
    told = _told(x, y, known, fold, seed)
    doubtful = _far(y - told, near)
    if doubtful.any():  # gross errors pull the answers beside them: ask without them
        told = _told(x, y, known & ~doubtful, fold, seed)
        doubtful = _far(y - told, near)
    residual = y - told
    return Opinion(
        loss=np.abs(residual),
        residual=residual,
        doubtful=doubtful,
        rather=told,
        chance=np.zeros((len(y), 0)),
        own=np.zeros(0, dtype=np.int64),
    )


def _told(x: Floats, y: Floats, learn: Bools, fold: Indices, seed: int) -> Floats:
    """Return what a forest says of each window that had no part in it, [N]."""
    told = np.full(len(y), np.nan)
    for held in range(FOLDS):
        train, test = _some(learn & (fold != held), seed), fold == held
        if not len(train) or not test.any():
            continue
        forest = ExtraTreesRegressor(
            TREES, min_samples_leaf=2, random_state=seed, n_jobs=1
        )
        told[test] = forest.fit(x[train], y[train]).predict(x[test])
    return told


def _nearest(described: Described, known: Bools) -> Indices:
    """Return the windows with a truth that are most like each window, [N, k]."""
    scaled = np.clip(described.scaled, -20.0, 20.0)
    places = _some(known, 0)
    index = NearestNeighbors(n_neighbors=min(NEAR, len(places))).fit(scaled[places])
    return np.asarray(places[index.kneighbors(scaled, return_distance=False)])


def _some(which: Bools, seed: int) -> Indices:
    """Return places at which a mask holds, at most so many, drawn by chance, in order."""
    places = np.flatnonzero(which)
    if len(places) <= MOST:
        return places
    return np.sort(np.random.default_rng(seed).choice(places, MOST, replace=False))


def _far(residual: Floats, near: Indices) -> Bools:
    """Return which residuals lie far outside the bulk, and that of their like, [N]."""
    off = np.abs(residual - np.nanmedian(residual))
    bulk = 1.4826 * float(np.nanmedian(off))
    local = 1.4826 * np.nanmedian(off[near], axis=1)
    return np.asarray(np.nan_to_num(off) > GROSS * np.maximum(max(bulk, 1e-12), local))


def _of_classes(
    x: Floats, y: Floats, known: Bools, fold: Indices, seed: int
) -> Opinion:
    names = np.unique(y[known])
    chance = np.zeros((len(y), len(names)))
    for held in range(FOLDS):
        train, test = _some(known & (fold != held), seed), fold == held
        if not len(train) or not test.any():
            continue
        forest = _classifier(seed)
        forest.fit(x[train], y[train])
        columns = np.searchsorted(names, forest.classes_)
        chance[np.ix_(test, columns)] = forest.predict_proba(x[test])
    own = np.searchsorted(names, np.where(known, y, names[0]))
    best, sure = _sure(chance, _confident(chance, own, known))
    doubtful = known & sure & (best != own)
    likely = chance.argmax(axis=1)
    return Opinion(
        loss=np.where(known, likely != own, np.nan),
        residual=np.full(len(y), np.nan),
        doubtful=doubtful,
        rather=names[np.where(doubtful, best, likely)],
        chance=chance,
        own=own,
    )


def careless(said: Opinion, inside: Bools, source: NDArray[np.str_]) -> bool:
    """Tell whether a slice's classes are contradicted as wrong labels would be.

    That is: no matter how clear the windows are (where classes overlap a forest errs
    where it is unsure), no matter what their neighbours are (what it never saw it gets
    wrong in whole stretches), and by a forest that knows the slice's classes better than
    by always saying the commonest.

    Args:
        said: The forest's opinion.
        inside: The slice, [N].
        source: Of each window, in order, [N].
    """
    known = inside & np.isfinite(said.loss)
    wrong = known & (said.loss > 0)
    if min(wrong.sum(), known.sum() - wrong.sum()) < FEW:
        return False
    right = 1.0 - float(wrong.sum() / known.sum())
    commonest = float(np.bincount(said.own[known]).max() / known.sum())
    return (
        _sureness(said.chance[known].max(axis=1), wrong[known]) <= SURER
        and _together(wrong, known, source) <= TOGETHER
        and right >= commonest + KNOWS * (1.0 - commonest)
    )


def _sureness(sure: Floats, wrong: Bools) -> float:
    """Return the chance that a forest is surer of what it agrees with than of the rest.

    The area under the curve, from rank sums (H. Mann, D. Whitney, Ann. Math. Stat. 18
    (1947) 50).
    """
    ranks = stats.mannwhitneyu(sure[~wrong], sure[wrong]).statistic
    return float(ranks / ((~wrong).sum() * wrong.sum()))


def _together(wrong: Bools, known: Bools, source: NDArray[np.str_]) -> float:
    """Return how far neighbours in a source are wrong together; 0 with few neighbours."""
    pairs = known[1:] & known[:-1] & (source[1:] == source[:-1])
    first, second = wrong[:-1][pairs], wrong[1:][pairs]
    if pairs.sum() < NEAR or not (0 < first.sum() < pairs.sum()):
        return 0.0
    return float(np.nan_to_num(np.corrcoef(first, second)[0, 1]))


def outsiders(
    material: Material, described: Described, inside: Bools, said: Opinion, seed: int
) -> tuple[Bools, float]:
    """Ask a forest that saw nothing of a slice about the classes in it.

    Labels that are wrong by a system, in a slice that can be told from the others,
    deceive a forest that was trained on them; not one that never saw them.

    Returns:
        Which labels of the slice it contradicts for sure, [N], and the share of the
        slice's labels that it confirms for sure.
    """
    known = np.isfinite(material.y)
    names = np.unique(material.y[known])
    nothing = np.zeros(len(material), dtype=bool)
    train, test = known & ~inside, np.flatnonzero(known & inside)
    if len(np.unique(material.y[train])) < len(names) or not len(test):
        return nothing, 0.0
    forest = _classifier(seed)
    forest.fit(described.values[train], material.y[train])
    usual = _confident(said.chance, said.own, known)
    best, sure = _sure(forest.predict_proba(described.values[test]), usual)
    own = said.own[test]
    nothing[test] = sure & (best != own)
    return nothing, float(np.mean(sure & (best == own)))


def _classifier(seed: int) -> ExtraTreesClassifier:
    """Return a forest that looks at every column in every cut, as one of numbers does.

    Few of a window's columns tell its class: with the square root of their number the
    error on unseen valves of a hydraulic rig was 0.20, with all of them 0.02.
    """
    return ExtraTreesClassifier(
        TREES, max_features=None, min_samples_leaf=2, random_state=seed, n_jobs=1
    )


def _confident(chance: Floats, own: Indices, known: Bools) -> Floats:
    """Return how sure a forest is of windows of each class, on the whole, [K]."""
    mine = [known & (own == place) for place in range(chance.shape[1])]
    return np.array(
        [
            chance[which, place].mean() if which.any() else 1.0
            for place, which in enumerate(mine)
        ]
    )


def _sure(chance: Floats, confident: Floats) -> tuple[Indices, Bools]:
    able = np.where(chance >= confident, chance, -1.0)
    return able.argmax(axis=1), able.max(axis=1) >= 0.0
