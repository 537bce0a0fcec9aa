"""Q09: values that pile up at the end of a scale."""

from __future__ import annotations

import numpy as np

from tundish.data.grade.character import Character
from tundish.data.grade.sheet import Floats, Series, Sheet
from tundish.data.grade.tally import Notes, Tally

MIN_CELLS = 10
MIN_SHARE = 0.005
MOST_SHARE = 0.3
MOST_REPEAT = 0.5
PILE = 20.0
TOUCHES = 3
BAND = 0.05
BESIDE = 0.1
MIN_LEVELS = 50
NEIGHBOURS = 20
STEEP = 4.0
STEEP_SHARE = 0.01
NEXT = 5


def clipped(sheet: Sheet, tags: list[Character]) -> Tally:
    """Count cells that stand exactly at a live tag's highest or lowest value in a pile.

    A pile: at least 10 cells and 0.5 % of all, and 20 times as many as stand at the
    usual one of the 20 next values (of coarse tags: 1 % of all, and four times as many
    as stand at any of the five next values). A machine that is off piles up too, so the tag must
    also run up to the end: it touches it three times or more, and of the values within
    5 % of the usual spread from the end at least a tenth as many as stand at it. Zero is
    no clip (a stopped flow), nor are set-points and states; rows without time are not
    judged (a missing ingredient piles up at nothing). Where the site names the
    instrument's clip values, these are counted.
    """
    notes = Notes(sheet, "Q09")
    bad = checked = 0
    for tag in tags:
        if tag.role != "measure" or tag.series.circular or tag.repeat > MOST_REPEAT:
            continue
        checked += tag.scan.count
        for value, what in _ends(tag, sheet):
            at = tag.series.values == value
            bad += 0 if _stop(tag.series, value) else int(at.sum())
            _note(notes, tag.series, at, (value, what))
    return Tally(id="Q09", bad=bad, of=checked, findings=tuple(notes.found))


def piles_up(values: Floats, end: float) -> bool:
    """Tell whether far more values stand at ``end`` than at the values next to it.

    Args:
        values: Finite values.
        end: Their lowest or highest.
    """
    here = int((values == end).sum())
    if here < MIN_CELLS or here < MIN_SHARE * len(values):
        return False
    off = np.abs(values - end)
    near = np.sort(off[off > 0])[: max(NEIGHBOURS * here, 1000)]
    _, counts = np.unique(near, return_counts=True)
    beside = counts[:NEIGHBOURS]
    if not len(beside):
        return False
    steep = here >= STEEP * float(beside[:NEXT].max()) and len(beside) >= NEXT
    return bool(
        here >= PILE * float(np.median(beside))
        or (steep and here >= STEEP_SHARE * len(values))
    )


def _runs_up_to(tag: Character, end: float) -> bool:
    """Tell whether the tag comes close to the end and touches it again and again."""
    q = tag.quantiles
    if q is None:
        return False
    at = tag.ordered == end
    touches = int((at[1:] & ~at[:-1]).sum()) + int(at[0])
    with np.errstate(invalid="ignore"):
        near = np.abs(tag.ordered - end) <= BAND * (q.q99 - q.q01)
    beside = int(near.sum()) - int(at.sum())
    return touches >= TOUCHES and beside >= BESIDE * int(at.sum())


def _ends(tag: Character, sheet: Sheet) -> list[tuple[float, str]]:
    if tag.series.clip is not None:
        known = zip(tag.series.clip, ("lower", "upper"), strict=True)
        return [(x, side) for x, side in known if (tag.series.values == x).any()]
    if tag.levels < MIN_LEVELS or sheet.us is None:
        return []
    found = []
    for value, count, side in (
        (tag.scan.low, tag.scan.at_low, "lowest"),
        (tag.scan.high, tag.scan.at_high, "highest"),
    ):
        least = max(MIN_CELLS, MIN_SHARE * tag.scan.count)
        if value == 0 or not least <= count <= MOST_SHARE * tag.scan.count:
            continue
        values = tag.ordered[np.isfinite(tag.ordered)]
        if piles_up(values, value) and _runs_up_to(tag, value):
            found.append((value, side))
    return found


def _note(
    notes: Notes,
    series: Series,
    at: np.ndarray[tuple[int], np.dtype[np.bool_]],
    end: tuple[float, str],
) -> None:
    rows = np.flatnonzero(at)
    value, side = end
    unit = f" {series.unit}" if series.unit else ""
    scale = "limit of the instrument" if series.clip is not None else "value"
    if _stop(series, value):
        notes.add(
            "at-stop",
            notes.over(series.tag, rows),
            f"{len(rows):,} cells stand at exactly {value:g} %, the end of its scale: a valve or "
            "controller at its stop no longer controls; a transmitter there hides what lies beyond.",
            "Nothing, if it is a valve and the plant asked for it; else check the range.",
        )
        return
    notes.add(
        "clipped",
        notes.over(series.tag, rows),
        f"{len(rows):,} cells stand at exactly its {side} {scale}, {value:g}{unit}: the end "
        "of a scale, or a limit that was set.",
        "Check the transmitter's range; mark these values as 'at least' or 'at most'.",
    )


def _stop(series: Series, value: float) -> bool:
    """Tell whether a value is the end of a scale in per cent."""
    return series.clip is None and series.unit.strip() == "%" and value in {0.0, 100.0}
