"""Q10: a tag that goes on in another unit, or under another tag's name.

Both leave the same trace: a jump without the plant. The value after it is the value
before it in another unit (or the other tag's), to within the usual change of the tag;
its noise fits as well, and no third tag moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from tundish.data.grade.blocks import Blocks, same_state, usual
from tundish.data.grade.sheet import Floats
from tundish.data.grade.tally import Notes

JUMP = 6.0
BESIDE = 10
WINDOW = 200
NEAR = 3.0
LEVEL_CLOSE = 0.02
LEVEL_FAR = 0.15
AT_ONCE = 0.8
NOISE_CLOSE = 1.5
FAR = 10.0
FAR_NOISE = 4.0
AT_REST = 0.02
REST_NOISE = 20.0
LEAST_MARK = 3.0
MARK = 0.3
TURNED = 0.15
EDGE = 0.1
MOST_MOMENTS = 4
MOVERS = 0.1


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """A change of unit: ``new = factor * old + offset``."""

    old: str
    new: str
    factor: float
    offset: float = 0.0
    quantity: str = ""


def _ways(old: str, new: str, quantity: str, factor: float) -> tuple[Conversion, ...]:
    return (
        Conversion(old=old, new=new, factor=factor, quantity=quantity),
        Conversion(old=new, new=old, factor=1 / factor, quantity=quantity),
    )


CONVERSIONS: tuple[Conversion, ...] = (
    Conversion(old="degC", new="degF", factor=1.8, offset=32.0, quantity="temperature"),
    Conversion(
        old="degF",
        new="degC",
        factor=1 / 1.8,
        offset=-32 / 1.8,
        quantity="temperature",
    ),
    Conversion(old="degC", new="K", factor=1.0, offset=273.15, quantity="temperature"),
    Conversion(old="K", new="degC", factor=1.0, offset=-273.15, quantity="temperature"),
    *_ways("bar", "kPa", "pressure", 100.0),
    *_ways("bar", "mbar", "pressure", 1000.0),
    *_ways("bar", "psi", "pressure", 14.5038),
    *_ways("MPa", "bar", "pressure", 10.0),
    *_ways("psi", "kPa", "pressure", 6.89476),
    *_ways("m3/h", "l/min", "flow", 1000 / 60),
    *_ways("m3/h", "l/h", "flow", 1000.0),
    *_ways("l/s", "m3/h", "flow", 3.6),
    *_ways("m3/h", "gal/min", "flow", 4.40287),
    *_ways("l/min", "gal/min", "flow", 1 / 3.78541),
    *_ways("t/h", "kg/h", "flow", 1000.0),
    *_ways("t/h", "kg/s", "flow", 1000 / 3600),
    *_ways("kg", "lb", "mass", 2.20462),
    *_ways("t", "kg", "mass", 1000.0),
    *_ways("m", "mm", "length", 1000.0),
    *_ways("m", "cm", "length", 100.0),
    *_ways("in", "mm", "length", 25.4),
    *_ways("m", "ft", "length", 3.28084),
    *_ways("MW", "kW", "power", 1000.0),
    *_ways("kW", "W", "power", 1000.0),
    *_ways("1/s", "1/min", "speed", 60.0),
    *_ways("m/s", "m/min", "speed", 60.0),
    *_ways("m/s", "km/h", "speed", 3.6),
    *_ways("share", "%", "share", 100.0),
    *_ways("A", "mA", "current", 1000.0),
    *_ways("V", "mV", "voltage", 1000.0),
)
BOLD = 6.0  # without a unit, a smaller plain factor may be a change of load


@dataclass(frozen=True, kw_only=True)
class Jump:
    """A jump of one tag: the place of the first value after it, medians and noise."""

    tag: int
    place: int
    before: float
    after: float
    noise_before: float
    noise_after: float
    habit: float


def note_switches(notes: Notes, parts: Blocks) -> int:
    """Note changes of unit and exchanged tags; return the cells concerned."""
    jumps = [jump for i in range(len(parts.tags)) for jump in _jumps(parts, i)]
    bad = 0
    swapped: set[int] = set()
    for one, two in combinations(jumps, 2):
        pair = {one.tag, two.tag}
        if len(pair) == 2 and not pair & swapped and _exchanged(parts, one, two):
            swapped |= pair
            bad += _note_swap(notes, parts, one, two)
    for tag in sorted(set(range(len(parts.tags))) - swapped):
        own = [jump for jump in jumps if jump.tag == tag]
        bad += _note_own(notes, parts, own) or _note_turned(notes, parts, tag)
    return bad


def _note_own(notes: Notes, parts: Blocks, own: list[Jump]) -> int:
    """Note the first jump of a tag that is a change of unit; return the cells."""
    for i, jump in enumerate(own):
        end = own[i + 1].place if i + 1 < len(own) else notes.sheet.rows
        change = _conversion(parts, jump, end)
        if change is not None:
            return _note_unit(notes, parts, jump, (end, change))
    return 0


def _note_turned(notes: Notes, parts: Blocks, tag: int) -> int:
    """Note a tag that swings too widely for its jump to be seen, but swings in another unit.

    Its whole distribution after the moment is the one before in another unit, its noise
    too, and the distributions of nine other tags in ten stay.
    """
    level = parts.level[:, tag]
    cut = _cut(level)
    if cut is None:
        return 0
    before, after = _spots(level[:cut]), _spots(level[cut:])
    quiet, loud = (
        usual(parts.noise[x, tag])[1] for x in (slice(cut), slice(cut, None))
    )
    if not quiet > 0:
        return 0
    noise = loud / quiet
    unit = quantity_of(parts.tags[tag].series.unit)
    for change in CONVERSIONS:
        turned = change.factor * before + change.offset
        off = np.abs(after - turned).max() / max(float(np.ptp(turned)), 1e-300)
        moved = abs(float(after[2] - before[2])) > float(before[-1] - before[0])
        fits = off <= TURNED and moved and _alike(noise, change.factor)
        if fits and unit == change.quantity and _others_stay(parts, tag, cut):
            return _note_turn(notes, parts, (tag, cut, change), (before[2], after[2]))
    return 0


def _cut(level: Floats) -> int | None:
    """Return the block at which the mean changes most (CUSUM), away from the ends."""
    known = np.where(np.isfinite(level), level, usual(level)[1])
    sums = np.abs(np.cumsum(known - known.mean()))
    cut = int(np.nan_to_num(sums).argmax()) + 1
    edge = EDGE * len(level)
    return cut if edge <= cut <= len(level) - edge else None


def _spots(level: Floats) -> Floats:
    known = level[np.isfinite(level)]
    shares = (0.1, 0.3, 0.5, 0.7, 0.9)
    return np.asarray(np.quantile(known, shares) if len(known) else np.full(5, np.nan))


def _others_stay(parts: Blocks, tag: int, cut: int) -> bool:
    others = [i for i in range(len(parts.tags)) if i != tag]
    stay = 0
    for i in others:
        before, after = _spots(parts.level[:cut, i]), _spots(parts.level[cut:, i])
        width = float(before[-1] - before[0])
        stay += bool(np.abs(after - before).max() <= 2 * TURNED * width)
    return len(others) >= 3 and stay >= (1 - MOVERS) * len(others) - 1


def _jumps(parts: Blocks, tag: int) -> list[Jump]:
    """Return the few jumps of a tag that stand out of all its steps, in time order.

    The four largest changes between blocks are looked at row by row.
    """
    level = parts.level[:, tag]
    moves = np.nan_to_num(np.abs(level[2:] - level[:-2]))
    places: list[int] = []
    for at in np.argsort(-moves)[: 3 * MOST_MOMENTS]:
        if all(abs(int(at) - other) > 3 for other in places) and moves[at] > 0:
            places.append(int(at))
    found = [_jump(parts, tag, at) for at in sorted(places[:MOST_MOMENTS])]
    clear = [jump for jump in found if jump is not None]
    return clear if len(clear) < MOST_MOMENTS else []


def _jump(parts: Blocks, tag: int, at: int) -> Jump | None:
    """Find the row of a jump around a block, and what stands on either side of it."""
    values = parts.tags[tag].ordered
    low = max(1, at * parts.size)
    high = min(len(values), (at + 3) * parts.size)
    window = values[low - 1 : high]
    known = np.flatnonzero(np.isfinite(window))
    if len(known) < 4:
        return None
    steps = np.abs(np.diff(window[known]))
    place = low - 1 + int(known[int(steps.argmax()) + 1])
    before = _filled(values[max(0, place - WINDOW) : place])
    after = _filled(values[place : place + WINDOW])
    if min(len(before), len(after)) < 2 * BESIDE:
        return None
    step = abs(float(after[0] - before[-1]))
    usual_step = max(_large_step(before), _large_step(after))
    left, right = float(np.median(before[-BESIDE:])), float(np.median(after[:BESIDE]))
    if step < JUMP * usual_step or step < AT_ONCE * abs(right - left) or left == right:
        return None
    return Jump(
        tag=tag,
        place=place,
        before=left,
        after=right,
        noise_before=_noise(before),
        noise_after=_noise(after),
        habit=_habit(before),
    )


def _large_step(values: Floats) -> float:
    return float(np.quantile(np.abs(np.diff(values)), 0.98)) / 2


def _filled(values: Floats) -> Floats:
    return values[np.isfinite(values)]


def _noise(values: Floats) -> float:
    steps = np.abs(np.diff(values))
    return float(np.minimum(steps, np.quantile(steps, 0.95)).mean())


def _habit(values: Floats) -> float:
    """Return how much the median of ten rows usually changes in ten rows."""
    rows = len(values) // BESIDE * BESIDE
    medians = np.median(values[len(values) - rows :].reshape(-1, BESIDE), axis=1)
    return float(np.quantile(np.abs(np.diff(medians)), 0.9))


def _alike(one: float, two: float, allowed: float = NOISE_CLOSE) -> bool:
    """Tell whether two noises are the same to within a factor."""
    return one > 0 and two > 0 and 1 / allowed <= one / two <= allowed


def _conversion(parts: Blocks, jump: Jump, end: int) -> Conversion | None:
    """Return the change of unit that explains a jump, or ``None``."""
    fits = [c for c in CONVERSIONS if _explains(parts, jump, c)]
    if not fits or not _alone(parts, {jump.tag}, jump.place):
        return None
    best = min(fits, key=lambda c: abs(c.factor * jump.before + c.offset - jump.after))
    return best if _goes_on(parts, jump, best, end) else None


def _explains(parts: Blocks, jump: Jump, change: Conversion) -> bool:
    unit = parts.tags[jump.tag].series.unit
    plain = change.offset == 0 and 1 / BOLD < change.factor < BOLD
    if unit and quantity_of(unit) not in {change.quantity, ""}:
        return False
    if plain and quantity_of(unit) != change.quantity:
        return False
    expected = change.factor * jump.before + change.offset
    moved = abs(jump.after - jump.before)
    ratio = jump.noise_after / max(change.factor * jump.noise_before, 1e-300)
    allowed = FAR_NOISE if moved >= 2 * FAR * jump.habit else NOISE_CLOSE
    loud = 1 / allowed <= ratio <= allowed
    if change.offset:
        allowed = min(
            NEAR * max(change.factor, 1.0) * jump.habit + 0.01 * moved, 0.1 * moved
        )
        return loud and abs(jump.after - expected) <= allowed
    if min(jump.before, jump.after) <= 0:
        return False
    allowed = min(LEVEL_CLOSE + NEAR * jump.habit / jump.before, LEVEL_FAR)
    return loud and abs(jump.after / expected - 1) <= allowed


def quantity_of(unit: str) -> str:
    """Return the quantity of a unit as far as it is known here; empty if it is not."""
    for change in CONVERSIONS:
        if unit.strip().lower() in {change.old.lower(), change.new.lower()}:
            return change.quantity
    return ""


def _alone(parts: Blocks, tags: set[int], place: int) -> bool:
    """Tell whether almost no other tag moves at a moment."""
    steady = same_state(parts.level, -(-place // parts.size), 2)
    others = [i for i in range(len(parts.tags)) if i not in tags]
    movers = sum(not steady[i] for i in others)
    return movers <= max(1.0, MOVERS * len(others)) or not others


def _goes_on(parts: Blocks, jump: Jump, change: Conversion, end: int) -> bool:
    """Tell whether the stretch lies where the tag never was, and turned back where it was."""
    at = -(-jump.place // parts.size)
    before = parts.level[:at, jump.tag]
    after = parts.level[at : max(at + 1, end // parts.size), jump.tag]
    low, _, high = usual(before)
    reach = high - low
    middle = usual(after)[1]
    back = (middle - change.offset) / change.factor
    return bool(low - reach <= back <= high + reach and not low <= middle <= high)


def _exchanged(parts: Blocks, one: Jump, two: Jump) -> bool:
    """Tell whether two tags exchange their levels and their noise at one moment."""
    if abs(one.place - two.place) > 1:
        return False
    apart = abs(one.before - two.before)
    habit = max(one.habit, two.habit)
    crossed = (
        abs(one.after - two.before) <= NEAR * two.habit
        and abs(two.after - one.before) <= NEAR * one.habit
    )
    if not crossed or apart < 2 * habit or _takes_over(one) or _takes_over(two):
        return False
    marked = _marked(one, two)
    allowed = FAR_NOISE if apart >= FAR * habit else NOISE_CLOSE
    fits = marked or (
        _alike(one.noise_after, two.noise_before, allowed)
        and _alike(two.noise_after, one.noise_before, allowed)
    )
    told_apart = apart >= JUMP * habit or marked
    return fits and told_apart and _alone(parts, {one.tag, two.tag}, one.place)


def _marked(one: Jump, two: Jump) -> bool:
    """Tell whether the two have noises of their own, and each goes on with the other's."""
    own = abs(np.log(one.noise_before / two.noise_before))
    crossed = max(
        abs(np.log(one.noise_after / two.noise_before)),
        abs(np.log(two.noise_after / one.noise_before)),
    )
    return bool(own > np.log(LEAST_MARK) and crossed <= MARK * own)


def _takes_over(jump: Jump) -> bool:
    """Tell whether a tag goes to or from rest: a spare machine takes over.

    At rest a reading is next to nothing, and not far from its own noise.
    """
    low, high = sorted((abs(jump.before), abs(jump.after)))
    noises = (jump.noise_before, jump.noise_after)
    noise = noises[0] if low == abs(jump.before) else noises[1]
    return min(noises) <= 0 or (low <= AT_REST * high and low <= REST_NOISE * noise)


def _note_swap(notes: Notes, parts: Blocks, one: Jump, two: Jump) -> int:
    names = [parts.tags[jump.tag].series.tag for jump in (one, two)]
    rows = notes.sheet.rows - one.place
    notes.add(
        "swapped",
        notes.spot(
            ", ".join(names),
            parts.row(one.place),
            parts.row(notes.sheet.rows - 1),
            rows,
        ),
        f"At this row {names[0]} jumps from {one.before:.5g} to {one.after:.5g} and {names[1]} "
        f"from {two.before:.5g} to {two.after:.5g}: each goes on where the other left off, in "
        "level and in noise, and no other tag moves.",
        "Two tags were exchanged (wiring, or the export's column order): exchange them back "
        "from here on.",
    )
    return 2 * rows


def _note_unit(
    notes: Notes, parts: Blocks, jump: Jump, what: tuple[int, Conversion]
) -> int:
    end, change = what
    tag = parts.tags[jump.tag].series.tag
    rows = end - jump.place
    notes.add(
        "unit-switch",
        notes.spot(tag, parts.row(jump.place), parts.row(end - 1), rows),
        f"It jumps from {jump.before:.5g} to {jump.after:.5g} in one row and goes on with "
        f"{jump.noise_after / jump.noise_before:.2g} times its noise: {_rule(change)} what it was, as "
        f"from {change.old} to {change.new}. No other tag moves.",
        f"Turn this stretch back into {change.old}, and find out who changed the transmitter "
        "or the export.",
    )
    return rows


def _note_turn(
    notes: Notes,
    parts: Blocks,
    what: tuple[int, int, Conversion],
    middles: tuple[float, float],
) -> int:
    tag, cut, change = what
    first = int(parts.first[cut])
    rows = notes.sheet.rows - first
    notes.add(
        "unit-switch",
        notes.spot(
            parts.tags[tag].series.tag,
            parts.row(first),
            parts.row(notes.sheet.rows - 1),
            rows,
        ),
        f"From about here on all its values are {_rule(change)} what they were (median "
        f"{middles[0]:.4g}, then {middles[1]:.4g}), as from {change.old} to {change.new}; the "
        "other tags stay as they were.",
        f"Turn this stretch back into {change.old}, and find out who changed the transmitter "
        "or the export.",
    )
    return rows


def _rule(change: Conversion) -> str:
    if not change.offset:
        return f"{change.factor:.6g} times"
    side = "plus" if change.offset > 0 else "minus"
    times = "" if change.factor == 1 else f"{change.factor:.6g} times "
    return f"{times}{side} {abs(change.offset):.6g} on"
