"""Q08: sensors that stand still while the plant moves, and dead spectra.

Repetition alone is no evidence: set-points, states, compressed histories and machines at
rest repeat. A stretch is claimed only if it is far longer than chance and the tag's own
habits allow, begins at the last live value (a machine that is switched off jumps to its
rest), stands at a value at which the tag does not otherwise rest, and almost all other
tags of the same unit go on changing as they usually do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log

import numpy as np

from tundish.data.columns import side_by_side
from tundish.data.grade.character import Character, repeated
from tundish.data.grade.kernels import kernels
from tundish.data.grade.report import percent
from tundish.data.grade.scan import LENGTHS
from tundish.data.grade.sheet import Bools, Floats, Ints, Sheet, Spectrum, duration
from tundish.data.grade.storage import Storage
from tundish.data.grade.tally import Notes, Tally

MIN_RUN = 10
CHANCE = 1e-3
HABIT = 3.0
ALONE = 2.0
RESTS = 2
REST_SHARE = 0.01
MAY_STAND = 0.05
WITNESS = 0.7
MOST_STANDS = 3
MOST_LOOKED_AT = 500
DOUBT = 4.0
NO_TIME_FACTOR = 3.0
REST_NEAR = 0.01
END_SHARE = 0.05
REST_OFTEN = 5.0
REST_CELLS = 0.05
IDLE_SHARE = 0.3
LOOK_BACK = 50
JUMP = 3.0
SEPARATE = 3
TAIL = 2.0
CALM = 0.02
CALM_OFTEN = 0.3
CALM_LOOKS = 200
CALM_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class Stand:
    """A tag that stood still: places (in the sheet's order) and cells.

    ``share`` is the share of its unit's rows; ``at_start``: nothing was seen before it;
    of ``others``, ``moving`` tags go on; ``calm`` names one that hardly does so.
    """

    tag: Character
    first: int
    last: int
    length: int
    value: float
    share: float
    at_start: bool
    others: int
    moving: int
    calm: str = ""


def standing(
    sheet: Sheet, tags: list[Character], kept: Mapping[str, Storage] | None = None
) -> Tally:
    """Count cells of tags that stand still while others move, and of dead spectra.

    Args:
        sheet: The table.
        tags: Its tags, scanned.
        kept: How tags were stored, where they were not stored live: their rows that are
            copies or computed are no evidence of standing still.
    """
    notes = Notes(sheet, "Q08")
    live = [tag for tag in tags if tag.role == "measure"]
    per_tag = side_by_side(
        lambda tag: _stands(tag, live, sheet, _every(tag, kept)), live, sheet.rows
    )
    found = [stand for stands in per_tag for stand in stands]
    alone = [s for s in found if s.moving >= s.others - round(MAY_STAND * s.others)]
    alone = [s for s in alone if not _accompanied(s, found)]
    together = [s for s in found if s.others > 0 and s.moving == 0]
    idle = [s for s in alone if _idle(s, sheet)]
    resting = {id(stand.tag) for stand in idle}
    alone = [s for s in alone if id(s.tag) not in resting]
    idle += [s for s in alone if s.calm]
    alone = [s for s in alone if not s.calm]
    for stand in alone:
        _note_stuck(notes, stand)
    for stand in idle:
        _note_idle(notes, stand)
    bad = sum(stand.length for stand in alone)
    bad += _note_together(notes, together, [tag.series.tag for tag in live])
    note_constant(notes, [tag for tag in tags if tag.role == "constant"])
    checked = sum(tag.scan.count for tag in live)
    for spectrum in sheet.spectra:
        dead = dead_rows(spectrum)
        checked += spectrum.values.size
        bad += int(dead.sum()) * len(spectrum.axis)
        _note_dead(notes, spectrum, np.flatnonzero(dead))
    detail = f"{len(live)} live tags" if live else ""
    return Tally(
        id="Q08",
        bad=bad,
        of=checked,
        detail=detail,
        findings=tuple(notes.found),
        mends=tuple(notes.mends),
    )


def _accompanied(stand: Stand, found: list[Stand]) -> bool:
    """Tell whether another tag stands still for half of the stretch: a part at rest."""
    for other in found:
        overlap = min(stand.last, other.last) - max(stand.first, other.first) + 1
        if other.tag is not stand.tag and overlap > 0.5 * (
            stand.last - stand.first + 1
        ):
            return True
    return False


def _idle(stand: Stand, sheet: Sheet) -> bool:
    """Tell whether a part may not be in use: nothing was seen before, or it stands for long.

    A stretch that is a large share of a short batch, but of little of the table, and
    began at the last live value, is no part out of use.
    """
    if stand.at_start or stand.length > IDLE_SHARE * sheet.rows:
        return True
    if stand.share <= IDLE_SHARE:
        return False
    before = _before(stand.tag, sheet, stand.first)
    return not _began_alive(stand.tag, stand.first, before)


def dead_rows(spectrum: Spectrum) -> Bools:
    """Return which spectra have no spread across their channels (or less than allowed)."""
    with np.errstate(invalid="ignore"):
        spread = spectrum.values.std(axis=1)
    least = spectrum.min_spread
    if least is None:
        return np.asarray(spread == 0)
    return np.asarray(spread < least)


def longest_allowed(tag: Character) -> int:
    """Return the longest constant run that chance or the tag's habits explain.

    Chance: with a share p of repeated steps, a run of L cells somewhere in n happens
    with a probability of about n p^(L-1); it is held below one in a thousand. Habit:
    three times the length that one run in 500 (four runs at least) exceeds. Both are
    stretched by up to five for tags that repeat in most steps.
    """
    lengths, long = _without_rests(tag)
    repeat = repeated(lengths)
    p = min(max(repeat, 1e-3), 0.99)
    chance = 1 + (log(CHANCE) - log(max(tag.scan.count, 2))) / log(p)
    runs = int(lengths.sum())
    rank = max(4, ceil(0.002 * runs))
    cumulated = np.cumsum(lengths[::-1])[::-1]
    enough = np.flatnonzero(cumulated >= rank)
    habit = HABIT * (int(enough[-1]) + 1 if len(enough) else 1)
    if len(enough) and enough[-1] + 1 == LENGTHS:
        ranked = np.sort(long)[::-1]
        habit = HABIT * int(ranked[min(rank, len(ranked)) - 1])
    doubt = 1 + DOUBT * repeat
    return max(MIN_RUN, ceil(doubt * chance), ceil(doubt * habit))


def _without_rests(tag: Character) -> tuple[Ints, Ints]:
    """Return counts of runs by length, and the long ones, those at a value of rest left out.

    A machine that is off repeats; how long its sensors repeat while it runs is the habit.
    """
    values, which = np.unique(tag.scan.run_value, return_inverse=True)
    cells = np.bincount(which, weights=tag.scan.run_length, minlength=len(values))
    least = max(REST_CELLS, REST_OFTEN / max(1, tag.levels)) * tag.scan.count
    rests = (cells > least) | np.isin(values, (0.0, tag.scan.low, tag.scan.high))
    resting = rests[which]
    counts = np.bincount(
        np.minimum(tag.scan.run_length[resting], LENGTHS) - 1, minlength=LENGTHS
    )
    lengths = np.maximum(tag.scan.lengths - counts, 0)
    return lengths, tag.scan.run_length[~resting]


def _every(tag: Character, kept: Mapping[str, Storage] | None) -> float:
    stored = kept.get(tag.series.tag) if kept else None
    return stored.every if stored else 1.0


def _stands(
    tag: Character, live: list[Character], sheet: Sheet, every: float
) -> list[Stand]:
    limit = ceil(every * longest_allowed(tag))
    if sheet.us is None:
        limit = ceil(NO_TIME_FACTOR * limit)  # rows may not be in order of time
    longer = np.flatnonzero(tag.scan.run_length > limit)
    if len(longer) > MOST_LOOKED_AT:
        return []
    long = [int(i) for i in longer if not _at_rest(tag, int(i), limit)]
    if len(long) > MOST_STANDS + len(sheet.units) - 1:
        return []  # a habit, not a fault
    longest = max((int(tag.scan.run_length[i]) for i in long), default=0)
    if len(long) >= MOST_STANDS and longest < TAIL * limit:
        return []  # the tail of a habit
    stands = []
    for i in long:
        first, last = int(tag.scan.run_first[i]), int(tag.scan.run_last[i])
        if _stopped(tag, sheet, first, last):
            continue
        share = _share_of_unit(sheet, first, last)
        before = _before(tag, sheet, first)
        if share <= IDLE_SHARE and len(before) and not _began_alive(tag, first, before):
            continue
        others, moving = _company(tag, live, first, last)
        length = int(tag.scan.run_length[i])
        if others == 0 and length <= ALONE * limit:
            continue
        stands.append(
            Stand(
                tag=tag,
                first=first,
                last=last,
                length=length,
                value=float(tag.scan.run_value[i]),
                share=share,
                at_start=len(before) == 0,
                others=others,
                moving=moving,
                calm="" if sheet.running is not None else _calm(tag, live, first, last),
            )
        )
    return stands


def _share_of_unit(sheet: Sheet, first: int, last: int) -> float:
    inner = np.flatnonzero(sheet.starts[: first + 1])[-1]
    later = np.flatnonzero(sheet.starts[first + 1 :])
    end = first + 1 + int(later[0]) if len(later) else sheet.rows
    return (last - first + 1) / max(1, end - int(inner))


def _before(tag: Character, sheet: Sheet, first: int) -> Floats:
    """Return the last filled values of the unit before a place."""
    back = max(0, first - LOOK_BACK)
    starts = np.flatnonzero(sheet.starts[back : first + 1])
    if len(starts):
        back += int(starts[-1])
    values = tag.ordered[back:first]
    return values[np.isfinite(values)]


def _began_alive(tag: Character, first: int, before: Floats) -> bool:
    """Tell whether a stretch begins near the last live value: no step out of the usual."""
    return abs(float(tag.ordered[first]) - float(before[-1])) <= JUMP * tag.usual_step


def _at_rest(tag: Character, i: int, limit: int) -> bool:
    """Tell whether the tag often stands at this value: zero, an end stop, a rest."""
    value = float(tag.scan.run_value[i])
    if _rests_at(tag, value, int(tag.scan.run_length[i])):
        return True
    same = tag.scan.run_value == value
    same[i] = False
    return int((tag.scan.run_length[same] >= max(3, limit // 4)).sum()) >= RESTS


def _rests_at(tag: Character, value: float, here: int) -> bool:
    """Tell whether a value is zero, an end of the range, or frequent elsewhere."""
    if value in {0.0, tag.scan.low, tag.scan.high}:
        return True
    reach = REST_NEAR * (tag.scan.high - tag.scan.low)
    for end in (tag.scan.low, tag.scan.high, 0.0):
        if abs(value - end) <= reach:
            near = int(np.count_nonzero(np.abs(tag.ordered - end) <= reach)) - here
            if near > END_SHARE * tag.scan.count:
                return True
    elsewhere = int(np.count_nonzero(tag.ordered == value)) - here
    usual = tag.scan.count / max(1, tag.levels)  # a coarse tag returns to each level
    return elsewhere > max(REST_SHARE * tag.scan.count, REST_OFTEN * usual)


def _stopped(tag: Character, sheet: Sheet, first: int, last: int) -> bool:
    """Tell whether the machine stood still, unless the tag usually lives on in stops."""
    if sheet.running is None:
        return False
    runs = sheet.running[sheet.order]
    filled = np.isfinite(tag.ordered[first : last + 1])
    if float(runs[first : last + 1][filled].mean()) >= 0.5:
        return False
    pair = ~runs[1:] & ~runs[:-1] & ~sheet.starts[1:]
    pair[max(0, first - 1) : last] = False
    steps = np.diff(tag.ordered)[pair]
    steps = steps[np.isfinite(steps)]
    return not len(steps) or float(np.mean(steps != 0)) < WITNESS


def _company(
    tag: Character, live: list[Character], first: int, last: int
) -> tuple[int, int]:
    """Return how many witnesses have values in the stretch, and how many move as usual.

    A witness is another tag that changes in at least seven steps of ten. One that is at
    its own rest (a machine that is off) says nothing; if more rest than move, nobody does.
    """
    others = moving = resting = 0
    for other in live:
        if other is tag or 1 - other.repeat < WITNESS:
            continue
        window = other.ordered[first : last + 1]
        filled, changes = kernels().moving(window)
        if filled < MIN_RUN // 2:
            continue
        now = changes / (filled - 1)
        if now == 0 and _rests_at(other, _first_filled(window), filled):
            resting += 1
            continue
        others += 1
        moving += now >= 0.5 * (1 - other.repeat)
    return (others, moving) if moving >= resting else (others + resting, moving)


def _first_filled(window: Floats) -> float:
    return float(window[np.isfinite(window)][0])


def _calm(tag: Character, live: list[Character], first: int, last: int) -> str:
    """Return a tag that hardly moves in a stretch, and seldom does so elsewhere.

    A machine at rest: its power still flickers, by a fiftieth of its usual spread. One
    in ten of the other tags must do so, for among many tags one does by chance; and the
    value must lie outside the middle 90 % of the tag, as a parked position does.
    """
    q = tag.quantiles
    if q is None or q.q05 <= float(tag.ordered[first]) <= q.q95:
        return ""
    length = last - first + 1
    calm: list[str] = []
    for other in live:
        if other is tag or other.scan.count < length or not other.scan.std > 0:
            continue
        least = CALM * other.scan.std
        if _spread(other.ordered[first : last + 1]) >= least:
            continue
        starts = range(0, len(other.ordered) - length + 1, max(1, length))
        picked = [
            starts[i] for i in np.linspace(0, len(starts) - 1, CALM_LOOKS, dtype=int)
        ]
        often = [_spread(other.ordered[at : at + length]) < least for at in picked]
        if np.mean(often) < CALM_OFTEN:
            calm.append(other.series.tag)
    return calm[0] if len(calm) >= CALM_SHARE * (len(live) - 1) > 0 else ""


def _spread(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.std()) if len(known) > 1 else float("inf")


def _note_stuck(notes: Notes, stand: Stand) -> None:
    sheet, series = notes.sheet, stand.tag.series
    rows = sheet.order[[stand.first, stand.last]]
    spot = notes.spot(series.tag, int(rows[0]), int(rows[1]), stand.length)
    unit = f" {series.unit}" if series.unit else ""
    company = (
        f"{stand.moving} of {stand.others} other live tags go on changing"
        if stand.others
        else "there is no other live tag to compare with"
    )
    usual = longest_allowed(stand.tag)
    notes.add(
        "stuck",
        spot,
        f"It stands at exactly {stand.value:g}{unit} for {stand.length:,} rows"
        f"{_time_said(notes, rows)}; {company}, "
        f"and up to {usual:,} rows would be no surprise for this tag.",
        "Empty this stretch, and have the instrument or its transmission checked.",
    )
    notes.mendable("stuck", [series.tag], sheet.order[stand.first : stand.last + 1])


def _time_said(notes: Notes, rows: Ints) -> str:
    """Return how long a stretch lasts, where the table has times."""
    us = notes.sheet.lasting(int(rows[0]), int(rows[1]))
    return f" ({duration(us)})" if us and not notes.sheet.elapsed else ""


def _note_idle(notes: Notes, stand: Stand) -> None:
    sheet, series = notes.sheet, stand.tag.series
    rows = sheet.order[[stand.first, stand.last]]
    spot = notes.spot(series.tag, int(rows[0]), int(rows[1]), stand.length)
    notes.add(
        "idle",
        spot,
        f"It stands at exactly {stand.value:g} for {stand.length:,} rows, "
        f"{percent(stand.share)} of its table or unit, while {stand.moving} of {stand.others} other tags go on changing"
        + (f"; but {stand.calm} hardly moves either." if stand.calm else "."),
        "Say when this part of the machine is in use; if it should be, have the sensor checked.",
    )


def _note_together(notes: Notes, stands: list[Stand], live: list[str]) -> int:
    """Note stretches in which all live tags stand still; return the cells concerned."""
    bad = 0
    done: list[tuple[int, int]] = []
    for stand in sorted(stands, key=lambda s: -s.length):
        if any(stand.first <= last and stand.last >= first for first, last in done):
            continue
        done.append((stand.first, stand.last))
        rows = notes.sheet.order[[stand.first, stand.last]]
        bad += stand.length * (stand.others + 1)
        notes.add(
            "frozen-together",
            notes.spot("", int(rows[0]), int(rows[1]), stand.length),
            f"All {stand.others + 1} live tags repeat the same values for {stand.length:,} "
            "rows: the record stood still, or the last values were held.",
            "Empty this stretch, or cut it out with a running condition "
            '(--running "TAG > x") if it was a stop.',
        )
        still = notes.sheet.order[stand.first : stand.last + 1]
        notes.mendable("frozen-together", live, still)
    return bad


def note_constant(notes: Notes, tags: list[Character]) -> None:
    """Note tags that never change; more than three of them in one finding."""
    sheet = notes.sheet
    told = [tag for tag in tags if tag.scan.count >= MIN_RUN]
    if len(told) > SEPARATE:
        names = [tag.series.tag for tag in told]
        more = f" and {len(names) - 6} more" if len(names) > 6 else ""
        notes.add(
            "constant",
            notes.spot(f"{len(told)} tags", 0, sheet.rows - 1, sheet.rows),
            f"{len(told)} tags never change: {', '.join(names[:6])}{more}.",
            "They carry no information here: leave them out, or check that they are connected.",
        )
        return
    for tag in told:
        notes.add(
            "constant",
            notes.spot(tag.series.tag, 0, sheet.rows - 1, tag.scan.count),
            f"It has the same value ({tag.scan.low:g}) in all {tag.scan.count:,} filled rows.",
            "It carries no information here: leave it out, or check that it is connected.",
        )


def _note_dead(notes: Notes, spectrum: Spectrum, rows: Ints) -> None:
    if not len(rows):
        return
    values = np.unique(spectrum.values[rows, 0])
    same = f", every channel {values[0]:g}" if len(values) == 1 else ""
    flat = (
        "have no spread"
        if spectrum.min_spread is None
        else (f"have a spread below {spectrum.min_spread:g}")
    )
    last = " the last of the table," if rows[-1] == notes.sheet.rows - 1 else ""
    count = len(rows)
    notes.add(
        "dead-spectrum",
        notes.spot(spectrum.tag, int(rows[0]), int(rows[-1]), count, rows),
        f"{count:,} spectr{'a' if count > 1 else 'um'},{last} {flat} across "
        f"{len(spectrum.axis):,} channels{same}: dead.",
        "Leave them out; the lamp was off or the probe withdrawn.",
    )
