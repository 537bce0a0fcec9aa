"""How the values of a tag were stored, and how many of them say something of their own.

A historian that stores little and is asked for much fills the rows between: with straight
lines (interpolation), or with the last value (sample and hold). Such rows are none: a
model counts them as evidence, and their number says nothing of how fast the plant is
watched. What is found here also keeps a tag from being called stuck for repeating.

The tests are on exact arithmetic, not on smoothness: a point counts as computed only if
it lies on the line through its neighbours to the last digit written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tundish.data.columns import side_by_side
from tundish.data.grade.character import Character
from tundish.data.grade.sheet import Bools, Floats, Ints, Sheet
from tundish.data.grade.tally import Notes, Tally
from tundish.data.times import NO_TIME, SECOND

Kind = Literal["live", "interpolated", "held"]

MIN_POINTS = 60
ON_LINE = 0.5
MIN_KINKS = 20
CLEAR = 10.0
BETWEEN = 0.1
LONGEST_SEGMENT = 50
SLOPES_DIFFER = 0.5
HELD_REPEAT = 0.45
IN_STEP = 0.98
SLOTS_USED = 0.5
MOST_HELD = 60
HELD_FROM = 3
MIN_CHANGES = 30
MIN_LEVELS = 20
RUNS_LEFT_OUT = 3
FEW_AT_TOP = 10
FEW_DECIMALS = 3
_SAMPLE = 2000
_FEW = 50
_LOOKED_AT = 200_000
_HOUR = 3600 * SECOND


@dataclass(frozen=True, kw_only=True)
class Storage:
    """How one tag was stored.

    Attributes:
        kind: ``interpolated`` (straight lines between sparse values), ``held`` (a new
            value every so many rows, copies between) or ``live``.
        every: Rows per value that says something of its own, 1 for a live tag.
        computed: Rows that were computed from others.
    """

    kind: Kind = "live"
    every: float = 1.0
    computed: int = 0


LIVE = Storage()


def storages(sheet: Sheet, tags: list[Character]) -> dict[str, Storage]:
    """Return how each tag was stored; tags that are live are left out."""
    asked = [
        tag
        for tag in tags
        if tag.role in {"measure", "stepwise"} and tag.levels >= MIN_LEVELS
    ]
    at = _positions(sheet, min(sheet.rows, _LOOKED_AT))
    found = side_by_side(lambda tag: _stored(sheet, tag, at), asked, sheet.rows)
    blocks = _blocks(sheet, tags)
    return {
        tag.series.tag: stored
        for tag, stored in zip(asked, found, strict=True)
        if stored.kind != "live"
        and not (stored.kind == "held" and stored.every in blocks)
    }


def _blocks(sheet: Sheet, tags: list[Character]) -> set[float]:
    """Return the lengths of the blocks of a table without time (so many rows a subject).

    A number that only rises, or a unit, changes with every block; what repeats within
    the block belongs to the subject and was not held.
    """
    if sheet.us is not None:
        return set()
    found = {float(len(rows)) for _, rows in sheet.units}
    sizes = found if sheet.group is not None and len(found) == 1 else set()
    for tag in tags:
        values = tag.ordered[np.isfinite(tag.ordered)]
        moves = np.flatnonzero(np.diff(values) != 0)
        if len(moves) < MIN_LEVELS or (np.diff(values) < 0).any():
            continue
        lengths = np.diff(np.concatenate(([-1], moves)))
        if (lengths == lengths[0]).all() and lengths[0] > 1:
            sizes.add(float(lengths[0]))
    return sizes


def informed(sheet: Sheet, tags: list[Character], kept: dict[str, Storage]) -> Tally:
    """Say how many rows of each tag are none; the tally counts nothing bad.

    A finding is given where fewer than half (interpolated) or a third (held) of the
    rows carry a value of their own.
    """
    notes = Notes(sheet, "Q07")
    alike: dict[tuple[str, int], list[Character]] = {}
    for tag in tags:
        stored = kept.get(tag.series.tag)
        if stored is not None and stored.every >= 2:
            key = (stored.kind, round(stored.every) if stored.kind == "held" else 0)
            alike.setdefault(key, []).append(tag)
    for (kind, every), members in alike.items():
        if kind == "interpolated":
            _note_lines(notes, members, kept)
        elif every >= HELD_FROM:
            _note_held(notes, members, every)
    detail = ""
    if kept:
        worst = sorted(kept.items(), key=lambda item: -item[1].every)[:3]
        said = ", ".join(f"{tag} one row in {s.every:.3g}" for tag, s in worst)
        detail = f"{len(kept)} tags carry fewer values of their own than rows ({said})"
    return Tally(id="Q07", bad=0, of=0, detail=detail, findings=tuple(notes.found))


def _stored(sheet: Sheet, tag: Character, at: Ints) -> Storage:
    values = tag.ordered[:_LOOKED_AT]
    filled = np.isfinite(values)
    if filled.sum() < MIN_POINTS:
        return LIVE
    starts = sheet.starts[:_LOOKED_AT]
    held = _held(values[filled], at[filled])
    if held:
        computed = tag.scan.count - round(tag.scan.count / held)
        return Storage(kind="held", every=float(held), computed=computed)
    return _lines(values, at, starts, tag.scan.count)


def _positions(sheet: Sheet, count: int) -> Ints:
    """Return where each row lies: its time, or its number if the table has no time."""
    if sheet.us is None or (sheet.us == NO_TIME).any():
        return np.arange(count, dtype=np.int64)
    return sheet.us[sheet.order[:count]]


def _lines(values: Floats, at: Ints, starts: Bools, total: int) -> Storage:
    """Look for points that lie exactly between their neighbours."""
    x, y, z = values[:-2], values[1:-1], values[2:]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (at[1:-1] - at[:-2]) / (at[2:] - at[:-2])
        off = np.abs(y - (x + (z - x) * share))
    usable = np.isfinite(off) & ~starts[1:-1] & ~starts[2:]
    if not _may_lie_on_lines(values, off, np.abs(z - x)[usable]):
        return LIVE
    grain = grain_of(values)
    least = 2 * grain * (1 + 1e-9) + 1e-12 * np.abs(y)
    moving = usable & (np.abs(z - x) > least)
    on = moving & (off <= least)
    kinks = moving & ~on
    many = int(kinks.sum())
    ramps = _longest_runs(on)  # an integrator that ran away, a program
    often = on.sum() - ramps >= ON_LINE * (moving.sum() - ramps)
    if not often or many < MIN_KINKS or on.sum() > LONGEST_SEGMENT * many:
        return LIVE
    unclear = kinks & (off <= CLEAR * least)
    if unclear.sum() > BETWEEN * on.sum() or not _zigzag(x, z, at, on):
        return LIVE
    computed = int(on.sum() + (usable & ~moving).sum())
    scale = total / max(1, int(np.isfinite(values).sum()))
    own = max(1, int(usable.sum()) - computed)
    return Storage(
        kind="interpolated",
        every=float(usable.sum()) / own,
        computed=round(computed * scale),
    )


def _may_lie_on_lines(values: Floats, off: Floats, moved: Floats) -> bool:
    """Tell from a coarse bound whether enough points can lie between their neighbours.

    A few values never have more digits than many: their grain is not below the true one.
    """
    sample = _sample(values)
    largest = float(np.nanmax(np.abs(values)))
    grain = max(grain_of(sample[:: max(1, len(sample) // _FEW)]), largest * 2.0**-23)
    least = 2 * grain * (1 + 1e-9) + 1e-12 * largest
    with np.errstate(invalid="ignore"):
        on, moving = int((off <= least).sum()), int((moved > least).sum())
    return on >= ON_LINE * moving


def _sample(values: Floats) -> Floats:
    filled = values[np.isfinite(values)]
    stride = max(1, len(filled) // _SAMPLE)
    return filled[::stride][:_SAMPLE]


def _longest_runs(on: Bools) -> int:
    """Return the points in the three longest runs."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], on.astype(np.int8), [0]))))
    return int(np.sort(edges[1::2] - edges[::2])[-RUNS_LEFT_OUT:].sum())


def _zigzag(x: Floats, z: Floats, at: Ints, on: Bools) -> bool:
    """Tell whether most straight pieces have a slope of their own (set-points do not)."""
    rows = np.flatnonzero(on)
    first = rows[np.concatenate(([True], np.diff(rows) > 1))]
    slopes = (z[first] - x[first]) / (at[first + 2] - at[first])
    coarse = {f"{slope:.2g}" for slope in slopes.tolist()}
    return len(coarse) >= min(SLOPES_DIFFER * len(slopes), 60)


def grain_of(values: Floats) -> float:
    """Return the step to which values were written, judged by their digits.

    For values with a fixed number of digits (and not of decimals) it is the step of the
    largest; for single precision its rounding.
    """
    sample = _sample(values)
    largest = float(np.abs(sample).max(initial=0.0))
    texts = [np.format_float_positional(abs(v), trim="-") for v in sample.tolist()]
    decimals = max((len(t.partition(".")[2]) for t in texts), default=0)
    digits = max((len(t.replace(".", "").strip("0")) for t in texts), default=0)
    if digits > 9 and (sample == sample.astype(np.float32)).all():
        return largest * 2.0**-23
    if digits > 12:
        return largest * 2.0**-50
    whole = np.floor(np.log10(largest)) + 1 if largest > 0 else 0
    top = sample[np.abs(sample) >= 10.0 ** (whole - 1)]
    if decimals <= FEW_DECIMALS and len(np.unique(top)) < FEW_AT_TOP:
        # a valve at 100 % shows no digits
        whole -= 1
    return float(max(10.0**-decimals, 10.0 ** (whole - digits)))


def _held(values: Floats, at: Ints) -> int:
    """Return L if values change at every L-th row only, 0 if they do not."""
    changed = np.flatnonzero(np.diff(values) != 0) + 1
    if len(changed) < MIN_CHANGES or len(changed) > (1 - HELD_REPEAT) * len(values):
        return 0
    jumps = np.diff(values)[changed - 1]
    steps = np.diff(at)
    steps = steps[steps > 0]
    if not len(steps) or (jumps > 0).all() or (jumps < 0).all():
        return 0  # a number of blocks, and no measurement
    period = int(np.median(steps))
    slots = np.rint((at - at[0]) / max(1, period)).astype(np.int64)
    moved, rows = slots[changed], int(slots[-1]) + 1
    best = 0
    for every in range(2, MOST_HELD + 1):
        phase = np.bincount(moved % every, minlength=every).max()
        in_step = phase >= IN_STEP * len(moved)
        if in_step and len(moved) >= SLOTS_USED * rows / every:
            best = every
    return best


def _pace(sheet: Sheet, every: float) -> str:
    """Return how often a value of its own comes, in time if the table has times."""
    if sheet.us is None:
        return ""
    stamps = sheet.us[sheet.order]
    steps = np.diff(stamps)[~sheet.starts[1:]]
    steps = steps[(steps > 0) & (steps < 2**62)]
    if not len(steps):
        return ""
    period = float(np.median(steps))
    stated, real = _HOUR / period, _HOUR / (period * every)
    return f" ({real:.3g} an hour, not the {stated:.3g} of its rows)"


def _named(members: list[Character]) -> tuple[str, str]:
    names = [tag.series.tag for tag in members]
    if len(names) == 1:
        return names[0], ""
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return f"{len(names)} tags", f"{', '.join(names[:6])}{more}: "


def _note_lines(
    notes: Notes, members: list[Character], kept: dict[str, Storage]
) -> None:
    sheet = notes.sheet
    tag, who = _named(members)
    rows = max(kept[m.series.tag].computed for m in members)
    every = float(np.median([kept[m.series.tag].every for m in members]))
    notes.add(
        "interpolated",
        notes.spot(
            tag, int(sheet.order[0]), int(sheet.order[-1]), min(rows, sheet.rows)
        ),
        f"{who}most rows lie exactly on straight lines between others: interpolated. About "
        f"one row in {every:.3g} carries a value of its own{_pace(sheet, every)}.",
        "Ask the historian for the stored values, not for interpolated ones, or take rows "
        "no closer than values come.",
    )


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in {11, 12, 13} else ending}"


def _note_held(notes: Notes, members: list[Character], every: int) -> None:
    sheet = notes.sheet
    tag, who = _named(members)
    copies = round(sheet.rows * (1 - 1 / every))
    notes.add(
        "interpolated",
        notes.spot(tag, int(sheet.order[0]), int(sheet.order[-1]), copies),
        f"{who}a new value comes with every {_ordinal(every)} row only, the rows between repeat "
        f"it{_pace(sheet, every)}.",
        f"Take one row in {every} for it (an analyser or a slow scan), and count no copy as "
        "evidence.",
    )
