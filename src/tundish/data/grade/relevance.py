"""Q19: tags that are copies of another, and tags that tell something of the target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tundish.data.grade.lesson import Lesson
from tundish.data.grade.sheet import Bools, Floats, Ints, Sheet
from tundish.data.grade.tally import Notes, Tally

SAME = 0.999
FEW_ALONE = 0.2
SAME_STEPS = 0.99
MOST_ROWS = 5_000
MOST_TAGS = 1_000
MIN_LEVELS = 13
BINS = 4
SURE_BY = 3.5
WEAK = 0.3
FAINT = 0.15
_SHOWN = 3
_FINDINGS = 5


def of_their_own(sheets: Sequence[Sheet], lesson: Lesson | str) -> Tally:
    """Count tags that are no copies and, where there is a target, tell something of it.

    A copy goes with another tag in its values (|r| at least 0.999) *and* in its steps
    from row to row (0.99): two tags that merely rise together are none. For tags that
    tell nothing of the target see ``_silent``.
    """
    copied = kept = 0
    tallies = [_copies(sheet) for sheet in sheets if len(sheet.series) > 1]
    copied, kept = sum(t.bad for t in tallies), sum(t.of for t in tallies)
    if not kept:
        return Tally(id="Q19", bad=0, of=0, detail="fewer than two moving tags")
    detail = next((t.detail for t in tallies if t.detail), "")
    dumb = 0
    if not isinstance(lesson, str) and not any(s.spectra for s in sheets):
        dumb, said = _silent(lesson)
        detail = "; ".join(part for part in (said, detail) if part)
    return Tally(
        id="Q19",
        bad=min(kept, copied + dumb),
        of=kept,
        detail=detail,
        findings=tuple(f for t in tallies for f in t.findings),
    )


def _copies(sheet: Sheet) -> Tally:
    rows = np.unique(
        np.linspace(0, sheet.rows - 1, min(sheet.rows, MOST_ROWS)).astype(np.int64)
    )
    picked = sheet.order[rows]
    ahead = sheet.order[np.minimum(rows + 1, sheet.rows - 1)]
    tags = [s.tag for s in sheet.series[:MOST_TAGS]]
    values = np.column_stack([s.values[picked] for s in sheet.series[:MOST_TAGS]])
    steps = (
        np.column_stack([s.values[ahead] for s in sheet.series[:MOST_TAGS]]) - values
    )
    moving = np.array(
        [len(np.unique(v[np.isfinite(v)])) >= MIN_LEVELS for v in values.T]
    )
    if moving.sum() < 2:
        return Tally(id="Q19", bad=0, of=int(moving.sum()))
    places = np.flatnonzero(moving)
    values, steps = values[:, moving], steps[:, moving]
    alone = _stands_alone(values, values + steps)
    level, step = _correlated(values[~alone]), _correlated(steps[~alone])
    alike: Bools = np.asarray((np.abs(level) >= SAME) & (np.abs(step) >= SAME_STEPS))
    notes = Notes(sheet, "Q19")
    groups, copied = _grouped(alike)
    for group in groups[:_FINDINGS]:
        first, *others = [tags[places[i]] for i in group]
        named = ", ".join(others[:_SHOWN]) + (" ..." if len(others) > _SHOWN else "")
        r = float(np.abs(level[group[0], group[1:]]).min())
        notes.add(
            "copy-tag",
            notes.over(others[0], np.arange(sheet.rows)),
            f"{named} follows {first} in every step (correlation {r:.5f}): "
            "it says nothing of its own.",
            "Give the model one of them: the one that is measured, not computed.",
        )
    return Tally(
        id="Q19",
        bad=copied,
        of=len(places),
        detail=_inflation(level, [tags[p] for p in places], alike),
        findings=tuple(notes.found),
    )


def _stands_alone(values: Floats, after: Floats) -> Bools:
    """Mark rows of which one value, or the next, holds half the spread of its tag.

    Such a row (a line of totals, a slip of the decimal point) makes any two tags that
    it holds agree, though they have nothing else in common.

    Args:
        values: Shape [m, k].
        after: The values of the rows that follow, shape [m, k].
    """
    known = np.isfinite(values)
    many = np.maximum(known.sum(axis=0), 1)
    middle = np.where(known, values, 0.0).sum(axis=0) / many
    apart = np.where(known, values - middle, 0.0) ** 2
    most = np.maximum(apart.sum(axis=0) / 2, np.finfo(float).tiny)
    next_apart = np.where(np.isfinite(after), after - middle, 0.0) ** 2
    alone: Bools = np.asarray(((apart > most) | (next_apart > most)).any(axis=1))
    return alone if alone.mean() <= FEW_ALONE else np.zeros_like(alone)


def _correlated(values: Floats) -> Floats:
    filled = np.where(np.isfinite(values), values, np.nan)
    known = np.isfinite(filled)
    middle = np.where(
        known.any(axis=0), np.nanmean(np.where(known, filled, np.nan), axis=0), 0.0
    )
    apart = np.where(known, filled - middle, 0.0)
    size = np.sqrt((apart**2).sum(axis=0))
    apart = apart / np.where(size > 0, size, 1.0)
    return np.asarray(apart.T @ apart)


def _grouped(alike: Bools) -> tuple[list[list[int]], int]:
    """Return groups of tags that copy their first one, and how many copies there are."""
    taken = np.zeros(len(alike), dtype=bool)
    groups = []
    for first in range(len(alike)):
        if taken[first]:
            continue
        others = [
            int(i) for i in np.flatnonzero(alike[first]) if i > first and not taken[i]
        ]
        taken[others] = True
        if others:
            groups.append([first, *others])
    return groups, int(taken.sum())


def _inflation(level: Floats, tags: list[str], alike: Bools) -> str:
    """Name the tag that the others explain best (variance inflation), copies apart."""
    _, copied = _grouped(alike)
    if not 2 <= len(tags) - copied <= 200:
        return ""
    first = [i for i in range(len(tags)) if not alike[i, :i].any()]
    if len(first) < 3:
        return ""
    matrix = level[np.ix_(first, first)] + 1e-9 * np.eye(len(first))
    factors = np.diag(np.linalg.pinv(matrix, hermitian=True))
    worst = int(np.argmax(factors))
    if factors[worst] < 10:
        return ""
    share = 1 - 1 / float(factors[worst])
    return f"the other tags explain {share:.1%} of {tags[first[worst]]}"


def _silent(lesson: Lesson) -> tuple[int, str]:
    """Return how many tags tell next to nothing of the target, and which tell most.

    A tag is silent only if there are rows enough to know it: neither it nor what it was
    before (``Lesson.past``) goes with the target by rank (|rho| surely below 0.3), nor
    in any other form (mutual information of quarters below that of a correlation of
    0.15).
    """
    target = lesson.y if lesson.classes else _ranks(lesson.y[:, 0])[:, None]
    target = (target - target.mean(axis=0)) / np.where(
        target.std(axis=0) > 0, target.std(axis=0), 1.0
    )
    coarse = lesson.given if lesson.classes else _binned(lesson.y[:, 0])
    memory = _memory(target[:, 0])
    spans = lesson.past.shape[1] // max(1, len(lesson.tags))
    told = []
    for number, (column, tag) in enumerate(
        zip(lesson.x.T[:MOST_TAGS], lesson.tags, strict=False)
    ):
        late = [lesson.past[:, number * spans + i] for i in range(spans)]
        rho, free = max(
            (
                _together(one, target, memory, plain=lesson.how == "row")
                for one in (column, *late)
            ),
            key=lambda pair: pair[0] * np.sqrt(pair[1]),
        )
        sure = bool(rho > SURE_BY / np.sqrt(free))
        silent = (
            not sure
            and rho + 2 / np.sqrt(free) < WEAK
            and _as_correlation(_binned(column), coarse) < FAINT
        )
        told.append((sure, silent, rho, tag))
    best = sorted(
        ((rho, tag) for sure, _, rho, tag in told if sure),
        key=lambda pair: (-pair[0], pair[1]),
    )
    dumb = sum(bool(silent) for _, silent, _, _ in told)
    said = f"{dumb} of {len(told)} tags tell next to nothing of {lesson.name}"
    most = ", ".join(f"{tag} ({rho:.2f})" for rho, tag in best[:_SHOWN])
    return dumb, said + (f"; most tell {most} by rank correlation" if most else "")


def _ranks(values: Floats) -> Floats:
    known = np.isfinite(values)
    filled = np.where(known, values, np.median(values[known]) if known.any() else 0.0)
    return np.argsort(np.argsort(filled, kind="stable"), kind="stable").astype(float)


def _memory(values: Floats) -> Floats:
    """Return the autocorrelation at the lags 1 .. n/4."""
    apart = values - values.mean()
    size = 1 << (2 * len(apart) - 1).bit_length()
    power = np.abs(np.fft.rfft(apart, size)) ** 2
    found = np.fft.irfft(power, size)[: max(2, len(apart) // 4)]
    return np.asarray(found[1:] / found[0] if found[0] > 0 else found[1:] * 0)


def _together(
    column: Floats, target: Floats, memory: Floats, *, plain: bool
) -> tuple[float, float]:
    """Return |rank correlation| and the free rows that it rests on (Bartlett 1935)."""
    ranks = _ranks(column)
    spread = ranks.std()
    rho = np.abs(((ranks - ranks.mean()) / spread) @ target / len(ranks)).max()
    shared = 0.0 if plain else float((memory * _memory(ranks)).clip(min=0).sum())
    return float(min(rho, 0.999)), max(4.0, len(ranks) / (1 + 2 * shared))


def _as_correlation(bins: Ints, target: Ints) -> float:
    """Return the mutual information as the correlation that would give it, bias off."""
    table = np.zeros((int(bins.max()) + 1, int(target.max()) + 1))
    np.add.at(table, (bins, target), 1.0)
    free = ((table.sum(1) > 0).sum() - 1) * ((table.sum(0) > 0).sum() - 1)
    information = max(0.0, _information(table) - free / (2 * len(bins)))
    return float(np.sqrt(1 - np.exp(-2 * information)))


def _binned(values: Floats) -> Ints:
    """Return the bin of each value, equally filled; empty cells have a bin of their own."""
    known = values[np.isfinite(values)]
    edges = (
        np.unique(np.quantile(known, np.arange(1, BINS) / BINS))
        if len(known)
        else known
    )
    bins = np.searchsorted(edges, values, side="left").astype(np.int64)
    bins[~np.isfinite(values)] = len(edges) + 1
    return np.unique(bins, return_inverse=True)[1].astype(np.int64)


def _information(table: Floats) -> float:
    """Return the mutual information of a table of counts, in nats."""
    shares = table / table.sum()
    both = shares.sum(1, keepdims=True) * shares.sum(0, keepdims=True)
    filled = shares > 0
    return float((shares[filled] * np.log(shares[filled] / both[filled])).sum())
