"""Q10: sensors that slowly leave what their companions predict, or change their noise.

A plant that moves as a whole does not drift. A tag is claimed only if other tags
explained it well, and it leaves them on a slow ramp (no step) that is many times larger
than its scatter about them, under conditions that were seen before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from tundish.data.grade.blocks import Blocks, same_state, usual
from tundish.data.grade.sheet import Floats
from tundish.data.grade.tally import Notes

MOST_COMPANIONS = 4
EXPLAINED = 0.7
TIMES_SCATTER = 6.0
LEAST_SHARE = 0.2
RAMP_NOT_STEP = 0.6
FIRST_START, LAST_START = 0.25, 0.85
COVERED = 0.7
WITNESSES = 3
LOUDER = 3.0
LOUDEST = 100.0  # more is no noise: the machine was off, or rows were computed
SIDE = 0.1
_STARTS = 25


@dataclass(frozen=True, kw_only=True)
class Drift:
    """A tag that leaves its companions.

    Attributes:
        tag: Its column in the blocks.
        companions: Columns that explained it before.
        start: Block at which it begins.
        end: Departure at the end, in the tag's unit.
        times: The same over its scatter about the companions.
        explained: Share of its variance that they explained before.
    """

    tag: int
    companions: tuple[int, ...]
    start: int
    end: float
    times: float
    explained: float


def note_drift(notes: Notes, parts: Blocks) -> int:
    """Note drifting tags; return the cells concerned."""
    bad = 0
    for drift in drifts(parts):
        tag = parts.tags[drift.tag]
        names = [parts.tags[i].series.tag for i in drift.companions]
        first = int(parts.first[drift.start])
        rows = notes.sheet.rows - first
        unit = f" {tag.series.unit}" if tag.series.unit else ""
        way = "up" if drift.end > 0 else "down"
        bad += rows
        whose = f"{tag.series.tag}, {names[0]}" if len(names) == 1 else tag.series.tag
        notes.add(
            "drift",
            notes.spot(whose, parts.row(first), parts.row(notes.sheet.rows - 1), rows),
            f"It slowly leaves what {', '.join(names)} tell of it, {way} by "
            f"{abs(drift.end):.3g}{unit} at the end: {drift.times:.0f} times its usual scatter "
            "about them. They go on agreeing with each other."
            if len(names) > 1
            else f"These two, which went together, slowly move apart, by "
            f"{abs(drift.end):.3g}{unit} at the end: {drift.times:.0f} times the usual scatter. "
            "Which of the two is wrong cannot be told from this table.",
            "Have it calibrated; if the plant itself changed (fouling, wear), say so. Until then "
            "leave the stretch out, or the tag.",
        )
    return bad


def drifts(parts: Blocks) -> list[Drift]:
    """Find drifting tags, the clearest first; each is left out when the next is judged."""
    level = _calmed(parts.level)
    sound = np.isfinite(level).mean(axis=0) > 0.9
    level = _filled(level)
    wide = np.array([_width(level[:, i]) for i in range(level.shape[1])])
    free = [i for i in range(level.shape[1]) if sound[i] and wide[i] > 0]
    found: list[Drift] = []
    suspects = [d for i in free if (d := _drift(level, i, free)) is not None]
    while suspects and len(found) < MOST_COMPANIONS:
        worst = max(suspects, key=lambda d: d.times)
        found.append(worst)
        free.remove(worst.tag)
        rest = [d.tag for d in suspects if d.tag != worst.tag]
        suspects = [d for i in rest if (d := _drift(level, i, free)) is not None]
    return found


def _calmed(level: Floats) -> Floats:
    """Hold single wild blocks at the ends of the usual range."""
    calm = level.copy()
    for i in range(level.shape[1]):
        low, _, high = usual(level[:, i])
        reach = 1.5 * (high - low)
        calm[:, i] = np.clip(level[:, i], low - reach, high + reach)
    return calm


def _filled(level: Floats) -> Floats:
    """Fill empty blocks with the median of the tag."""
    full = level.copy()
    for i in range(level.shape[1]):
        full[~np.isfinite(level[:, i]), i] = usual(level[:, i])[1]
    return np.nan_to_num(full)


def _width(values: Floats) -> float:
    low, _, high = usual(values)
    return high - low


def companions(level: Floats, tag: int, free: Sequence[int]) -> list[int]:
    """Return up to four tags that best explain the changes of a tag.

    Changes over a twentieth of the table, not levels, are explained: two tags that both
    creep are no companions. Orthogonal matching pursuit (Pati et al. 1993).
    """
    gap = max(2, len(level) // 20)
    moves = level[gap:] - level[:-gap]
    others = [i for i in free if i != tag]
    y = moves[:, tag] - moves[:, tag].mean()
    total = float(y @ y)
    if not others or not total > 0:
        return []
    pool = moves[:, others] - moves[:, others].mean(axis=0)
    norms = np.linalg.norm(pool, axis=0)
    pool = pool / np.where(norms > 0, norms, 1.0)
    taken: list[int] = []
    rest = y
    while len(taken) < min(MOST_COMPANIONS, len(others)):
        best = int(np.argmax(np.abs(pool.T @ rest)))
        if best in taken:
            break
        chosen = pool[:, [*taken, best]]
        now = y - chosen @ np.linalg.lstsq(chosen, y, rcond=None)[0]
        if float(rest @ rest - now @ now) < 0.01 * total:
            break
        taken.append(best)
        rest = now
    if float(rest @ rest) > (1 - EXPLAINED) * total:
        return []
    return [others[i] for i in taken]


def _drift(level: Floats, tag: int, free: Sequence[int]) -> Drift | None:
    near = companions(level, tag, free)
    if not near:
        return None
    count = len(level)
    y, x = level[:, tag], level[:, near]
    basis, _ = np.linalg.qr(np.column_stack([np.ones(count), x]))
    rest = y - basis @ (basis.T @ y)
    starts = np.unique(
        np.linspace(FIRST_START * count, LAST_START * count, _STARTS).astype(np.int64)
    )
    at = np.arange(count)[:, None]
    ramps = np.maximum(at - starts, 0) / (count - 1 - starts)
    sizes, errors = _fits(basis, rest, ramps)
    _, stepped = _fits(basis, rest, (at >= starts).astype(float))
    best = int(errors.argmin())
    start, end = int(starts[best]), float(sizes[best])
    scatter = float(np.sqrt(max(errors[best], 0.0) / count))
    if scatter <= 0 or errors[best] > RAMP_NOT_STEP * stepped.min():
        return None
    calm = y - end * ramps[:, best]
    told = 1 - scatter**2 / max(float(np.var(y[:start])), 1e-300)
    enough = abs(end) >= LEAST_SHARE * _width(calm)
    if not enough or abs(end) < TIMES_SCATTER * scatter or told < EXPLAINED:
        return None
    if not _seen_before(calm, start):
        return None
    return Drift(
        tag=tag,
        companions=tuple(near),
        start=start,
        end=end,
        times=abs(end) / scatter,
        explained=told,
    )


def _fits(basis: Floats, rest: Floats, shapes: Floats) -> tuple[Floats, Floats]:
    """Return the size of each shape beside the basis, and the squares that remain."""
    own = shapes - basis @ (basis.T @ shapes)
    power = (own**2).sum(axis=0)
    size = (own.T @ rest) / np.where(power > 1e-12, power, np.inf)
    return size, float(rest @ rest) - size**2 * power


def _seen_before(calm: Floats, start: int) -> bool:
    """Tell whether most of what the companions tell after the start was seen before."""
    low, high = float(calm[:start].min()), float(calm[:start].max())
    reach = 0.1 * (high - low)
    later = calm[start:]
    return float(np.mean((later >= low - reach) & (later <= high + reach))) >= COVERED


def note_noise(notes: Notes, parts: Blocks) -> int:
    """Note tags whose noise changes for good while the plant goes on; return the cells.

    At least three other live tags must be there to show that the plant goes on.
    """
    if len(parts.tags) <= WITNESSES:
        return 0
    found = [
        (i, change)
        for i in range(len(parts.tags))
        if (change := noise_change(parts.noise[:, i])) is not None
    ]
    bad = 0
    for i, (at, times) in found:
        near = [
            j for j, (other, _) in found if abs(other - at) <= SIDE * len(parts.first)
        ]
        steady = same_state(parts.level, at, max(4, len(parts.first) // 20))
        if len(near) > 1 or not steady[i] or steady.mean() < 0.9:
            continue
        if not _level_stays(parts.level[:, i], at, max(4, len(parts.first) // 20)):
            continue
        bad += _note_change(notes, parts, i, (at, times))
    return bad


def _note_change(
    notes: Notes, parts: Blocks, tag: int, change: tuple[int, float]
) -> int:
    at, times = change
    first = int(parts.first[at])
    rows = notes.sheet.rows - first
    louder = times > 1
    how = f"{times:.1f} times as large" if louder else f"{1 / times:.1f} times smaller"
    notes.add(
        "noise-change",
        notes.spot(
            parts.tags[tag].series.tag,
            parts.row(first),
            parts.row(notes.sheet.rows - 1),
            rows,
        ),
        f"From here on its noise from row to row is {how} than before, at the same level; no "
        "other tag changes.",
        "Look for a loose contact, a bad earth or a new disturber nearby."
        if louder
        else "A filter or damping was set here, or the sensor has become slow: find out which.",
    )
    return rows if louder else 0


def noise_change(noise: Floats) -> tuple[int, float] | None:
    """Return the block at which noise changes for good, and by what factor.

    Both sides must be of one kind: nine blocks in ten after lie beyond nine in ten before.
    """
    known = np.flatnonzero(np.isfinite(noise) & (noise > 0))
    if len(known) < 0.9 * len(noise):
        return None
    logs = np.log(noise[known])
    sums = np.cumsum(logs - logs.mean())
    edge = max(10, int(SIDE * len(logs)))
    inner = np.abs(sums[edge:-edge])
    if not len(inner):
        return None
    cut = edge + int(inner.argmax()) + 1
    before, after = logs[:cut], logs[cut:]
    apart = float(np.median(after) - np.median(before))
    if not log(LOUDER) <= abs(apart) <= log(LOUDEST):
        return None
    quiet, loud = (before, after) if apart > 0 else (after, before)
    if np.quantile(quiet, 0.9) >= np.quantile(loud, 0.1):
        return None
    return int(known[cut]), float(np.exp(apart))


def _level_stays(level: Floats, at: int, reach: int) -> bool:
    """Tell whether the level just after a moment is one that stood just before, or nearly."""
    before, after = level[max(0, at - reach) : at], level[at : at + reach]
    low, _, high = usual(before)
    first, middle, last = usual(after)
    room = max(high - low, last - first) / 2
    return low - room <= middle <= high + room
