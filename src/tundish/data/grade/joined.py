"""What a join of results shows: lost samples, repeated tests, campaigns."""

from __future__ import annotations

import re
from dataclasses import replace
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from tundish.data.grade.report import percent
from tundish.data.grade.sheet import Floats, Labels, Sheet
from tundish.data.grade.tally import Notes, Spot, Tally
from tundish.data.join import Joined, Selection
from tundish.data.times import NO_TIME

MIN_BLOCKS = 5
MANY_BLOCKS = 10
MIN_BLOCK = 2.0
SURE = 1e-4
WITHIN = 0.1
IN_BLOCKS = 0.9
_CAMPAIGN = re.compile(
    r"campaign|lot|batch|charge|heat|run|cassette|coil|series|order|kampagne|auftrag|批|炉",
    re.IGNORECASE,
)


def joined(sheet: Sheet, found: Joined | None) -> list[Tally]:
    """Count samples that found no process data, and judge tests made again."""
    if found is None:
        return []
    notes = Notes(sheet, "Q03")
    lost = found.samples - found.matched
    if lost:
        said = ", ".join(found.lost[:3])
        where = "time less the lag" if found.by == "time" else "batch"
        notes.add(
            "unjoined",
            _over(found, lost, found.samples),
            f"{lost:,} of {found.samples:,} samples of {found.target} in {found.lab} have "
            f"no process data at their {where} ({said}{' ...' * (lost > 3)}).",
            "Export the process data of these, or correct the batch's writing or the lag.",
        )
    if found.without:
        notes.add(
            "unjoined",
            _over(found, found.without, found.lines),
            f"{found.without:,} of {found.lines:,} lines of {found.lab} have no value of "
            f"{found.target}, or nothing to join them by.",
            "Fill them in, or take them out of the sheet.",
        )
    if found.selection is not None:
        _note_selection(notes, found, found.selection)
    if found.repeated and isfinite(found.repeatability):
        notes.add(
            "repeat-test",
            _over(found, found.repeated, found.samples),
            f"{found.repeated:,} samples were tested more than once; results of one sample "
            f"differ with a standard deviation of {found.repeatability:.3g}.",
            "Keep all of them: no model can be closer to the results than they are to "
            "each other.",
        )
    lines = Tally(
        id="Q03",
        bad=lost,
        of=found.samples,
        scope="labels",
        detail=f"{found.matched:,} of {found.samples:,} samples joined by {found.by}",
        findings=tuple(notes.found),
    )
    return [lines]


def campaigns(sheet: Sheet) -> Tally:
    """Find a column of campaigns: blocks of rows in which the target's values are alike.

    One-way analysis of variance; claimed if at least a tenth of all variance lies between
    the blocks beyond what chance gives (intraclass correlation) and F is significant at
    one in ten thousand. Codes that count anew in each row are none.
    """
    nothing = Tally(id="Q16", bad=0, of=0)
    labels = sheet.labels
    if labels is None or labels.us is not None or len(labels.values) != sheet.rows:
        return nothing
    if labels.classes:
        return nothing
    notes = Notes(sheet, "Q16")
    best: tuple[float, str, int] | None = None
    for tag, words in _blocks(sheet):
        shared = alike(words, labels.values)
        if shared is not None and (best is None or shared > best[0]):
            best = (shared, tag, len(np.unique(words)))
    if best is None:
        return nothing
    shared, tag, count = best
    notes.add(
        "campaign",
        notes.spot(tag, int(sheet.order[0]), int(sheet.order[-1]), sheet.rows),
        f"{labels.name} is alike within each of the {count} campaigns of {tag}: "
        f"{percent(round(shared, 3))} of its variance lies between them. A random split would "
        "judge a model on rows whose neighbours it was fitted on.",
        f"Split by whole campaigns: --unit {tag}. Count {count} units, not "
        f"{sheet.rows:,} rows.",
    )
    return Tally(id="Q16", bad=0, of=0, findings=tuple(notes.found))


def alike(words: NDArray[np.str_], y: Floats) -> float | None:
    """Return the intraclass correlation of blocks, or nothing if chance explains it."""
    from scipy.stats import f as f_distribution  # noqa: PLC0415  (slow to load)

    known = np.isfinite(y) & (words != "")
    names, codes = np.unique(words[known], return_inverse=True)
    values, count = y[known], len(names)
    if count < MIN_BLOCKS or len(values) < MIN_BLOCK * count:
        return None
    sizes = np.bincount(codes)
    means = np.bincount(codes, weights=values) / sizes
    between = float((sizes * (means - values.mean()) ** 2).sum()) / (count - 1)
    inside = float(((values - means[codes]) ** 2).sum()) / (len(values) - count)
    if inside <= 0:
        return None
    size = (len(values) - (sizes**2).sum() / len(values)) / (count - 1)
    shared = (between - inside) / (between + (size - 1) * inside)
    chance = f_distribution.sf(between / inside, count - 1, len(values) - count)
    return float(shared) if shared >= WITHIN and chance < SURE else None


def _blocks(sheet: Sheet) -> list[tuple[str, NDArray[np.str_]]]:
    """Return columns that stay the same in blocks of rows."""
    columns = list(sheet.words.items())
    for series in sheet.series:
        values = series.values
        if np.isfinite(values).all() and (values == np.rint(values)).all():
            levels = len(np.unique(values))
            named = bool(_CAMPAIGN.search(series.tag)) or _counts_up(values)
            if named and MIN_BLOCKS <= levels <= sheet.rows / MIN_BLOCK:
                columns.append((series.tag, np.asarray([f"{v:g}" for v in values])))
    if sheet.group is not None and sheet.unit_tag:
        columns.append((sheet.unit_tag, sheet.group))
    found = []
    for tag, words in columns:
        ordered = words[_in_time(sheet)]
        changes = 1 + int((ordered[1:] != ordered[:-1]).sum())
        levels = len(np.unique(words))
        if (
            levels >= MIN_BLOCKS
            and levels >= IN_BLOCKS * changes
            and levels <= sheet.rows / 2
        ):
            found.append((tag, words))
    return found


def _counts_up(values: Floats) -> bool:
    """Tell whether numbers rise by one from block to block, over many blocks."""
    steps = np.diff(values)
    return int((steps == 1).sum()) >= MANY_BLOCKS and set(steps.tolist()) == {0.0, 1.0}


def _in_time(sheet: Sheet) -> NDArray[np.int64]:
    if sheet.us is None or (sheet.us == NO_TIME).any():
        return np.arange(sheet.rows)
    return np.argsort(sheet.us, kind="stable")


def _note_selection(notes: Notes, found: Joined, chosen: Selection) -> None:
    side = "above" if chosen.above else "below"
    final = (
        f"only {chosen.slips} final results do"
        if chosen.slips
        else "no final result does"
    )
    counts = {"first": "the first", "last": "the last", "mean": "the mean"}[found.keep]
    notes.add(
        "retest",
        _over(found, chosen.samples, found.samples),
        f"{chosen.samples:,} samples were tested again until they passed: {chosen.failed:,} "
        f"results lie {side} {chosen.limit:.4g}, each was followed by another test, and "
        f"{final}. The last result of these samples is {abs(chosen.shift):.3g} "
        f"{'lower' if chosen.shift < 0 else 'higher'} than the first; {counts} counts here.",
        "Fit on first results (--retests first): the last ones hide what the plant made.",
    )


def _over(found: Joined, count: int, total: int) -> Spot:
    return Spot(
        tag=found.target,
        unit="",
        first="all samples",
        last="all samples",
        rows=count,
        total=total,
        counted="samples",
    )


def with_results(sheet: Sheet, found: Joined) -> Sheet:
    """Return the sheet with the results by time as its labels."""
    labels = Labels(
        name=found.target,
        values=found.values,
        us=found.us,
        joined=np.isfinite(found.values) & (found.us != NO_TIME),
        part=None,
        table=found.lab,
    )
    return replace(sheet, labels=labels)
