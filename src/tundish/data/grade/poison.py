"""Q29: rows of one source whose labels contradict their neighbours of all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tundish.data.grade.lesson import Lesson
from tundish.data.grade.report import Finding
from tundish.data.grade.sheet import Bools, Floats, Ints, Sheet
from tundish.data.grade.tally import Notes, Tally

NEIGHBOURS = 10
AGREED = 0.9
FAR = 6.0
MIN_SOURCES = 3
MIN_ROWS = 20
MIN_FOUND = 5
LEAST_SHARE = 0.05
WHOLE = 0.5
CHANCE = 0.01
SURE = 1e-6
MOST_ROWS = 6_000


@dataclass(frozen=True, kw_only=True)
class Contradicted:
    """Which rows contradict their neighbours of other sources; places in the lesson."""

    place: Ints
    unit: Ints
    against: Bools


def suspicious(lesson: Lesson, sheets: Sequence[Sheet]) -> Tally:
    """Count rows of sources that contradict all other sources far more than chance.

    A row contradicts if at least nine of its ten nearest rows of *other* sources agree
    on another class (for numbers: if it lies beyond six usual distances from their
    median), and these neighbours are as near as neighbours usually are. A source is
    suspected if that happens in at least one row in twenty and far more often than in
    the others. A source of which every second row differs is another machine or
    product, not a poisoned one.
    """
    units, counts = np.unique(lesson.unit, return_counts=True)
    if (counts >= MIN_ROWS).sum() < MIN_SOURCES:
        detail = f"fewer than {MIN_SOURCES} sources with {MIN_ROWS} labelled rows"
        return Tally(id="Q29", bad=0, of=0, detail=detail)
    found = _contradicted(lesson)
    suspects, apart = [], 0
    for unit in units:
        mine = found.unit == unit
        if mine.sum() < MIN_ROWS:
            continue
        share = float(found.against[mine].mean())
        if share > WHOLE:
            apart += 1
        elif _stands_out(found, mine):
            suspects.append(found.place[mine & found.against])
    bad = np.concatenate(suspects) if suspects else np.zeros(0, dtype=np.int64)
    said = f"{len(units)} sources held against each other"
    if apart:
        said += f"; {apart} of them differ as a whole (another machine or product)"
    return Tally(
        id="Q29",
        bad=len(bad),
        of=len(found.place),
        detail=said,
        findings=tuple(f for rows in suspects for f in _noted(lesson, rows, sheets)),
    )


def _stands_out(found: Contradicted, mine: Bools) -> bool:
    from scipy import stats  # noqa: PLC0415  (heavy)

    count, rows = int(found.against[mine].sum()), int(mine.sum())
    if count < MIN_FOUND or count < LEAST_SHARE * rows:
        return False
    others = float(found.against[~mine].mean()) if (~mine).any() else 0.0
    usual = max(2 * others, CHANCE)
    return bool(stats.binom.sf(count - 1, rows, min(usual, 1.0)) < SURE)


def _contradicted(lesson: Lesson) -> Contradicted:
    from sklearn.neighbors import NearestNeighbors  # noqa: PLC0415  (heavy)

    pick = np.unique(
        np.linspace(0, len(lesson) - 1, min(len(lesson), MOST_ROWS)).astype(np.int64)
    )
    x, unit, y = _scaled(lesson.x[pick]), lesson.unit[pick], lesson.y[pick]
    near = np.zeros(len(pick))
    against = np.zeros(len(pick), dtype=bool)
    off = np.zeros(len(pick))
    for one in np.unique(unit):
        mine = np.flatnonzero(unit == one)
        others = np.flatnonzero(unit != one)
        count = min(NEIGHBOURS, len(others))
        tree = NearestNeighbors(n_neighbors=count, n_jobs=1).fit(x[others])
        distance, which = tree.kneighbors(x[mine])
        near[mine] = distance[:, -1]
        labels = y[others[which]]
        if lesson.classes:
            shares = labels.mean(axis=1)
            seen = shares.argmax(axis=1)
            against[mine] = (shares.max(axis=1) >= AGREED) & (
                seen != y[mine].argmax(axis=1)
            )
        else:
            off[mine] = y[mine, 0] - np.median(labels[:, :, 0], axis=1)
    if not lesson.classes:
        usual = 1.4826 * float(np.median(np.abs(off - np.median(off))))
        against = np.abs(off) > FAR * usual if usual > 0 else against
    close = near <= 1.5 * float(np.median(near))
    return Contradicted(place=pick, unit=unit, against=np.asarray(against & close))


def _scaled(x: Floats) -> Floats:
    known = np.isfinite(x)
    middle = np.zeros(x.shape[1])
    some = known.any(axis=0)
    middle[some] = np.nanmedian(x[:, some], axis=0)
    filled = np.where(known, x, middle)
    spread = filled.std(axis=0)
    return np.asarray((filled - middle) / np.where(spread > 0, spread, 1.0))


def _noted(lesson: Lesson, places: Ints, sheets: Sequence[Sheet]) -> list[Finding]:
    sheet = sheets[int(lesson.sheet[places[0]])]
    notes = Notes(sheet, "Q29")
    rows = lesson.row[places]
    source = sheet.unit_of(int(rows[0])) or sheet.name
    notes.add(
        "contradicts-others",
        notes.over(lesson.name, rows),
        f"{len(places):,} labels of {source} contradict the nearest rows of all other "
        "sources, far more than anywhere else.",
        f"Find out who wrote the labels of {source}; leave these rows out until then.",
    )
    return notes.found
