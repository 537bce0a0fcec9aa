"""From the state of a streamed table to counts and findings.

The rules are those of the checks over values in memory (limits, standing, clipping,
timing, filled, copies); the numbers they need come from the state. What needs all rows
at once is said not to be measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tundish.data.grade import clipping, filled, limits, standing
from tundish.data.grade.character import Character, repeated, role_of
from tundish.data.grade.kernels import Floats
from tundish.data.grade.partial import MOST_JUMPS, Partial, TagPart
from tundish.data.grade.scan import Quantiles, Scan
from tundish.data.grade.sheet import Sheet
from tundish.data.grade.tally import Notes, Spot, Tally
from tundish.data.grade.timed import timed

WHY_NOT = "the file is graded in a stream, and this needs all its rows at once"
_NOT_STREAMED = ("Q10", "Q14", "Q17", "Q21", "Q22")

Where = Callable[[int], str]


@dataclass(frozen=True, kw_only=True, eq=False)
class Streamed:
    """A tag of a streamed table, with its state and its name in the sheet.

    Attributes:
        at: Its number.
        tag: What the checks ask of a tag; its values are not there.
        part: Its state.
        q: Its quantiles.
    """

    at: int
    tag: Character
    part: TagPart
    q: Quantiles | None


def tallies(state: Partial, sheet: Sheet, now_us: int, where: Where) -> list[Tally]:
    """Count what was found; ``state`` is closed.

    Args:
        state: Of the whole table.
        sheet: Its name, rows, tags and units; no values.
        now_us: The present, microseconds since 1970 UTC.
        where: Says the place of a row to people.
    """
    tags = [
        Streamed(
            at=i, tag=_character(part, i, sheet), part=part, q=part.values.quantiles()
        )
        for i, part in enumerate(state.tags)
    ]
    in_time, missing = timed(state.times, sheet, now_us)
    return [
        Tally(
            id="Q01",
            bad=0,
            of=sheet.rows * len(tags),
            detail=f"{len(tags)} columns of numbers",
        ),
        _complete(state, sheet, tags, where),
        Tally(id="Q02", bad=missing * len(tags), of=missing * len(tags)),
        _impossible(sheet, tags),
        _outliers(sheet, tags, where, by_time=state.times is not None),
        *in_time,
        _standing(state, sheet, tags, where),
        _clipped(sheet, tags, by_time=state.times is not None),
        *(Tally(id=name, bad=0, of=0, detail=WHY_NOT) for name in _NOT_STREAMED),
    ]


def _character(part: TagPart, at: int, sheet: Sheet) -> Character:
    runs = part.runs
    low, high, at_low, at_high = part.ends[:4].tolist()
    found = Scan(
        count=part.count,
        nulls=sheet.rows - part.count,
        low=low if part.count else np.nan,
        high=high if part.count else np.nan,
        at_low=int(at_low),
        at_high=int(at_high),
        mean=np.nan,
        std=np.nan,
        steps=max(0, part.count - 1),
        changes=max(0, part.inner - 1),
        lengths=part.lengths,
        run_first=runs[:, 0].astype(np.int64),
        run_last=runs[:, 1].astype(np.int64),
        run_length=runs[:, 2].astype(np.int64),
        run_value=runs[:, 3],
        largest_step=np.nan,
        largest_off=np.nan,
    )
    repeat, levels = repeated(found.lengths), len(part.values.keys)
    usual = int(part.steps.counts.max(initial=0))
    rises = part.steps.total
    counter = usual > 0.9 * max(1, rises) and rises > 0.9 * part.count and levels > 1000
    return Character(
        series=sheet.series[at],
        ordered=np.zeros(0),
        scan=found,
        repeat=repeat,
        levels=levels,
        role=role_of(found, repeat, levels, counter=counter and not found.nulls),
    )


def _spot(sheet: Sheet, tag: str, rows: tuple[int, int, int], where: Where) -> Spot:
    first, last, count = rows
    return Spot(
        tag=tag,
        unit="",
        first=where(first),
        last=where(last),
        rows=count,
        total=sheet.rows,
        stretches=((first, last),),
    )


def _complete(
    state: Partial, sheet: Sheet, tags: list[Streamed], where: Where
) -> Tally:
    notes = Notes(sheet, "Q02")
    silent, rows = state.silent
    if rows:
        first = silent.longest_at
        last = first + silent.longest - 1
        notes.add(
            "silent",
            _spot(sheet, "", (first, last, rows), where),
            f"All {len(tags)} tags are empty together in {rows:,} of {sheet.rows:,} rows, in "
            f"{silent.stretches:,} stretches; the longest is {silent.longest:,} rows from "
            f"{where(first)} to {where(last)}.",
            "Ask the historian for these stretches again; if they were stops, cut them out with a running condition.",
        )
    for one in tags:
        empty, count = one.part.empty, one.tag.scan.nulls
        if count - rows < max(1, filled.MISSING_SAID_FROM * sheet.rows):
            continue
        last = empty.longest_at + empty.longest - 1
        said = (
            "no value at all."
            if count == sheet.rows
            else f"{count:,} rows are empty, in {empty.stretches:,} stretches; the longest "
            f"has {empty.longest:,} rows."
        )
        notes.add(
            "missing",
            _spot(sheet, one.tag.series.tag, (empty.longest_at, last, count), where),
            said,
            "Close the longest stretch from the historian, or leave the tag out.",
        )
    bad = sum(one.tag.scan.nulls for one in tags)
    return Tally(
        id="Q02",
        bad=bad,
        of=sheet.rows * len(tags),
        detail=f"{len(tags)} tags" if tags else "",
        findings=tuple(notes.found),
    )


def _impossible(sheet: Sheet, tags: list[Streamed]) -> Tally:
    notes = Notes(sheet, "Q04")
    bad = checked = 0
    for one in tags:
        zero = limits.absolute_zero(one.tag.series)
        codes = _codes(one)
        if not one.part.count or (zero is None and not codes):
            continue
        checked += one.part.count
        if zero is not None and one.tag.scan.low < zero:
            count = one.part.values.count(-np.inf, zero)
            bad += count
            notes.add(
                "impossible",
                _somewhere(sheet, one, count),
                f"{count:,} readings down to {one.tag.scan.low:g}: below absolute zero, the "
                "mark of a lost temperature sensor.",
                "Turn these readings into empty cells, and have the sensor's wiring checked.",
            )
        for value, count in codes.items():
            bad += count
            notes.add(
                "code-value",
                _somewhere(sheet, one, count),
                f"{count:,} readings of {value:g}: a code for 'no value', far from all other readings.",
                "Turn the code into empty cells when exporting.",
            )
    detail = "" if checked else "no range is known"
    return Tally(
        id="Q04", bad=bad, of=checked, detail=detail, findings=tuple(notes.found)
    )


def _somewhere(sheet: Sheet, one: Streamed, rows: int) -> Spot:
    return Spot(
        tag=one.tag.series.tag,
        unit="",
        first="whole table",
        last="whole table",
        rows=rows,
        total=sheet.rows,
    )


def _codes(one: Streamed) -> dict[float, int]:
    """Return values that stand for "no value" at either end, far from all others."""
    low, high, at_low, at_high = one.part.ends[:4].tolist()
    cells = one.part.values.values
    if len(cells) < limits.MIN_ROWS:
        return {}
    rests = {low: cells[1:], high: cells[:-1]}
    found = {}
    for value, count in ((low, int(at_low)), (high, int(at_high))):
        rest = rests[value]
        spread = float(rest.max() - rest.min())
        distance = min(abs(value - rest.max()), abs(value - rest.min()))
        if value in limits.CODE_VALUES and count >= 2 and distance > spread:
            found[value] = count
    return found


def _outliers(
    sheet: Sheet, tags: list[Streamed], where: Where, *, by_time: bool
) -> Tally:
    notes = Notes(sheet, "Q05")
    bad = checked = 0
    for one in tags:
        if not limits.usable(one.tag) or one.q is None:
            continue
        checked += one.part.count
        fences = limits.fences(one.q, clusters=by_time) or (-np.inf, np.inf)
        bad += _note_far(notes, one, fences)
        bad += _note_spikes(notes, one, fences, where)
    return Tally(id="Q05", bad=bad, of=checked, findings=tuple(notes.found))


def _note_far(notes: Notes, one: Streamed, fences: tuple[float, float]) -> int:
    values, q = one.part.values, one.q
    known = sum(_codes(one).values())
    zero = limits.absolute_zero(one.tag.series)
    floor = fences[0] if zero is None else min(fences[0], zero)
    count = values.count(-np.inf, np.nextafter(fences[0], -np.inf))
    count += values.count(np.nextafter(fences[1], np.inf), np.inf) - known
    if zero is not None and one.tag.scan.low < floor:
        count -= values.count(-np.inf, np.nextafter(floor, -np.inf))
    if count <= 0 or q is None:
        return 0
    notes.add(
        "outlier",
        _somewhere(notes.sheet, one, count),
        f"{count:,} value{'s' * (count > 1)} between {one.tag.scan.low:g} and "
        f"{one.tag.scan.high:g} lie{'s' * (count == 1)} far outside the usual {q.q05:.4g} "
        f"to {q.q95:.4g} (90 of 100 values).",
        "Look at them: mark a real event, remove a fault of the transmission.",
    )
    return count


def _note_spikes(
    notes: Notes, one: Streamed, fences: tuple[float, float], where: Where
) -> int:
    usual, q = one.part.offs.quantiles(), one.q
    if usual is None or q is None or usual.q95 <= usual.width:
        return 0
    short = notes.sheet.rows < limits.SHORT
    least = limits.spike_fence(usual, q, short=short)
    if least is None:
        return 0
    jumps = one.part.jumps
    jumps = jumps[(jumps[:, 1] > least)]
    full = len(jumps) == MOST_JUMPS
    jumps = jumps[(jumps[:, 2] >= fences[0]) & (jumps[:, 2] <= fences[1])]
    if not len(jumps):
        return 0
    jumps = jumps[np.argsort(jumps[:, 0])]
    values = ", ".join(f"{v:g}" for v in jumps[:3, 2])
    count = len(jumps)
    place = (int(jumps[0, 0]), int(jumps[-1, 0]), count)
    notes.add(
        "spike",
        _spot(notes.sheet, one.tag.series.tag, place, where),
        f"{'At least ' * full}{count:,} single-row spike{'s' * (count > 1)} ({values}), the "
        "rows before and after agree.",
        "Remove them with a median over three rows, and look at the signal's shielding.",
    )
    return count


def _standing(
    state: Partial, sheet: Sheet, tags: list[Streamed], where: Where
) -> Tally:
    notes = Notes(sheet, "Q08")
    live = [one for one in tags if one.tag.role == "measure"]
    found = [(one, run) for one in live for run in _long_runs(one, state)]
    bad = 0
    for one, run in found:
        if any(_overlap(run, other) for two, other in found if two is not one):
            continue
        others, moving = _company(state, one, live, run)
        if moving < others - round(standing.MAY_STAND * others) or not others:
            continue
        bad += int(run[2])
        _note_stuck(notes, one, run, (others, moving, where))
    standing.note_constant(
        notes, [one.tag for one in tags if one.tag.role == "constant"]
    )
    return Tally(
        id="Q08",
        bad=bad,
        of=sum(one.part.count for one in live),
        detail=f"{len(live)} live tags" if live else "",
        findings=tuple(notes.found),
    )


def _long_runs(one: Streamed, state: Partial) -> list[Floats]:
    """Return runs that are longer than chance and the tag's habits allow."""
    limit = standing.longest_allowed(one.tag)
    if state.times is None:
        limit = round(standing.NO_TIME_FACTOR * limit)
    long = [
        run for run in one.part.runs if run[2] > limit and not _rests(one, run, limit)
    ]
    if len(long) > standing.MOST_STANDS:
        return []
    steps = one.part.steps.quantiles()
    usual = steps.q95 if steps else 0.0
    return [
        run
        for run in long
        if run[1] - run[0] + 1 <= standing.IDLE_SHARE * state.rows
        and abs(run[3] - run[4]) <= standing.JUMP * usual
    ]


def _rests(one: Streamed, run: Floats, limit: int) -> bool:
    """Tell whether the tag often stands at this value: zero, an end stop, a rest."""
    value, scan = float(run[3]), one.tag.scan
    if value in {0.0, scan.low, scan.high}:
        return True
    reach = standing.REST_NEAR * (scan.high - scan.low)
    for end in (scan.low, scan.high, 0.0):
        near = one.part.values.count(end - reach, end + reach) - run[2]
        if abs(value - end) <= reach and near > standing.END_SHARE * scan.count:
            return True
    same = one.part.runs[
        (one.part.runs[:, 3] == value) & (one.part.runs[:, 0] != run[0])
    ]
    if int((same[:, 2] >= max(3, limit // 4)).sum()) >= standing.RESTS:
        return True
    width = one.part.values.width
    elsewhere = one.part.values.count(value - width, value + width) - run[2]
    usual = 2 * scan.count / max(1, one.tag.levels)
    return bool(
        elsewhere > max(standing.REST_SHARE * scan.count, standing.REST_OFTEN * usual)
    )


def _overlap(run: Floats, other: Floats) -> bool:
    both = min(run[1], other[1]) - max(run[0], other[0]) + 1
    return bool(both > 0.5 * (run[1] - run[0] + 1))


def _company(
    state: Partial, one: Streamed, live: list[Streamed], run: Floats
) -> tuple[int, int]:
    """Return how many other tags have steps in the stretch, and how many move as usual."""
    base = state.first >> state.shift
    first = (int(run[0]) >> state.shift) + 1 - base
    last = (int(run[1]) >> state.shift) - base
    if last <= first:  # shorter than two blocks: the blocks it lies in
        first, last = first - 1, last + 1
    others = moving = 0
    for other in live:
        if other is one or 1 - other.tag.repeat < standing.WITNESS:
            continue
        steps, changes = state.moves[:, other.at, first:last].sum(axis=1).tolist()
        if steps < standing.MIN_RUN // 2:
            continue
        others += 1
        moving += changes >= 0.5 * (1 - other.tag.repeat) * steps
    return others, moving


def _note_stuck(
    notes: Notes, one: Streamed, run: Floats, company: tuple[int, int, Where]
) -> None:
    others, moving, where = company
    series = one.tag.series
    place = (int(run[0]), int(run[1]), int(run[2]))
    unit = f" {series.unit}" if series.unit else ""
    notes.add(
        "stuck",
        _spot(notes.sheet, series.tag, place, where),
        f"It stands at exactly {run[3]:g}{unit} for {place[2]:,} rows; {moving} of {others} "
        f"other live tags go on changing, and up to {standing.longest_allowed(one.tag):,} rows "
        "would be no surprise for this tag.",
        "Empty this stretch, and have the instrument or its transmission checked.",
    )


def _clipped(sheet: Sheet, tags: list[Streamed], *, by_time: bool) -> Tally:
    notes = Notes(sheet, "Q09")
    bad = checked = 0
    for one in tags:
        if one.tag.role != "measure" or one.tag.repeat > clipping.MOST_REPEAT:
            continue
        checked += one.part.count
        if not by_time or one.tag.levels < clipping.MIN_LEVELS:
            continue
        for side, which in ((0, "lowest"), (1, "highest")):
            value, count, touches = one.part.ends[[side, 2 + side, 4 + side]].tolist()
            if value != 0 and _piles_up(one, side, (value, count, touches)):
                bad += int(count)
                notes.add(
                    "clipped",
                    _somewhere(sheet, one, int(count)),
                    f"{int(count):,} cells stand at exactly its {which} value, {value:g}: the "
                    "end of a scale, or a limit that was set.",
                    "Check the transmitter's range; mark these values as 'at least' or 'at most'.",
                )
    return Tally(id="Q09", bad=bad, of=checked, findings=tuple(notes.found))


def _piles_up(one: Streamed, side: int, end: tuple[float, float, float]) -> bool:
    """Tell whether far more cells stand at an end than next to it, again and again."""
    value, count, touches = end
    total, q = one.part.count, one.q
    least = max(clipping.MIN_CELLS, clipping.MIN_SHARE * total)
    if q is None or not least <= count <= clipping.MOST_SHARE * total:
        return False
    counts = one.part.values.counts if side == 0 else one.part.values.counts[::-1]
    beside = counts[1 : clipping.NEIGHBOURS + 1]
    band = clipping.BAND * (q.q99 - q.q01)
    near = one.part.values.count(value - band, value + band) - count
    pile = len(beside) > 0 and count >= clipping.PILE * float(np.median(beside))
    return bool(
        pile and touches >= clipping.TOUCHES and near >= clipping.BESIDE * count
    )


def bare(sheet: Sheet, state: Partial) -> Sheet:
    """Return a sheet with the rows of the whole table and no values."""
    none = np.zeros(0)
    series = tuple(
        replace(one, values=none, states={}, places={}) for one in sheet.series
    )
    return replace(
        sheet, rows=state.rows, lines=state.rows, series=series, us=None, texts=None
    )
