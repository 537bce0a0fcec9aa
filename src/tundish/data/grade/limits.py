"""Q04 and Q05: values that cannot be, and values far outside their usual spread."""

from __future__ import annotations

import re

import numpy as np

from tundish.data.columns import side_by_side
from tundish.data.grade import filled
from tundish.data.grade.character import Character
from tundish.data.grade.scan import Quantiles, off_quantiles, quantiles, spikes
from tundish.data.grade.sheet import Bools, Floats, Ints, Range, Series, Sheet
from tundish.data.grade.tally import Notes, Tally

ABSOLUTE_ZERO: dict[str, float] = {
    "degc": -273.15,
    "°c": -273.15,
    "c": -273.15,
    "celsius": -273.15,
    "k": 0.0,
    "kelvin": 0.0,
    "degf": -459.67,
    "°f": -459.67,
}
CODE_VALUES = (
    *(-(10.0**n) + 1 for n in range(3, 9)),
    *(10.0**n - 1 for n in range(4, 9)),
    -32768.0,
    32767.0,
    65535.0,
    -2147483648.0,
    2147483647.0,
    1e30,
    -1e30,
)
FENCE = 6.0
FAR_CLUSTER = 8.0
SPIKE_FENCE = 4.5
SWING = 0.7
AGREE = 0.3
SHORT = 5000
MIN_ROWS = 30
ORDERED = 0.7
FEW_UNITS = 3
_ZERO_NEAR = 1.0
_TEMPERATURE = re.compile(r"temp|°c|degc", re.IGNORECASE)


def in_range(sheet: Sheet, tags: list[Character]) -> Tally:
    """Count values outside the contract's range, or outside what physics allows."""
    notes = Notes(sheet, "Q04")
    bad = checked = 0
    for tag in tags:
        series = tag.series
        outside = _outside(series, tag)
        if outside is None:
            continue
        checked += tag.scan.count
        bad += int(outside.sum())
        if outside.any():
            lost = outside & _lost_thermometer(series)
            for rows in _by_unit(sheet, lost):
                _note_outside(notes, series, rows, lost=True)
            for rows in _by_unit(sheet, outside & ~lost):
                _note_outside(notes, series, rows, lost=False)
    for spectrum in sheet.spectra:
        if spectrum.range is None:
            continue
        low, high = spectrum.range
        beyond = (spectrum.values < low) | (spectrum.values > high)
        checked += spectrum.values.size
        bad += int(beyond.sum())
        _note_spectra(
            notes, spectrum.tag, np.flatnonzero(beyond.any(axis=1)), spectrum.range
        )
    detail = "" if checked else "no range is known"
    return Tally(
        id="Q04",
        bad=bad,
        of=checked,
        detail=detail,
        findings=tuple(notes.found),
        mends=tuple(notes.mends),
    )


def _by_unit(sheet: Sheet, marked: Bools) -> list[Ints]:
    """Return the marked rows of each unit; all together if there are many units."""
    found = [rows[marked[rows]] for _, rows in sheet.units]
    found = [rows for rows in found if len(rows)]
    return found if len(found) <= FEW_UNITS else [np.concatenate(found)]


def _outside(series: Series, tag: Character) -> Bools | None:
    """Return which cells cannot be, or ``None`` if nothing is known and nothing odd."""
    zero, codes = absolute_zero(series), _codes(tag)
    if not tag.scan.count or (series.range is None and zero is None and not codes):
        return None
    outside = np.zeros(len(series.values), dtype=bool)
    with np.errstate(invalid="ignore"):
        if series.range is not None:
            outside |= (series.values < series.range[0]) | (
                series.values > series.range[1]
            )
        if zero is not None:
            outside |= series.values < zero
        if codes:
            outside |= np.isin(series.values, codes)
    return outside


def absolute_zero(series: Series) -> float | None:
    """Return the least value that physics allows in the tag's unit, if it is known."""
    unit = series.unit.strip().lower()
    if unit in ABSOLUTE_ZERO:
        return ABSOLUTE_ZERO[unit]
    if not unit and _TEMPERATURE.search(series.tag):
        return ABSOLUTE_ZERO["degf"]  # lower than any temperature in either unit
    return None


def _codes(tag: Character) -> list[float]:
    """Return values that stand for "no value" (such as -9999), far from all others."""
    extremes = {tag.scan.low: tag.scan.at_low, tag.scan.high: tag.scan.at_high}
    suspects = [x for x, count in extremes.items() if x in CODE_VALUES and count >= 2]
    found = []
    for value in suspects:
        rest = tag.ordered[tag.ordered != value]
        rest = rest[np.isfinite(rest)]
        if len(rest) < MIN_ROWS:
            continue
        spread = float(rest.max() - rest.min())
        distance = min(abs(value - rest.max()), abs(value - rest.min()))
        if distance > spread and value != np.median(rest):
            found.append(value)
    return found


def _note_outside(notes: Notes, series: Series, rows: Ints, *, lost: bool) -> None:
    if not len(rows):
        return
    sheet = notes.sheet
    rows = rows[np.argsort(sheet.place[rows], kind="stable")]
    values = series.values[rows]
    low, high = float(values.min()), float(values.max())
    shown = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    measure = f" {series.unit}" if series.unit else ""
    count = len(rows)
    head = f"{count:,} reading{'s' * (count > 1)} of {shown}{measure}"
    spot = notes.over(series.tag, rows)
    if lost:
        notes.add(
            "impossible",
            spot,
            f"{head}: at or below absolute zero, the mark of a lost temperature sensor.",
            "Turn these readings into empty cells, and have the sensor's wiring checked.",
        )
        notes.mendable("impossible", [series.tag], rows)
    elif series.range is None:
        notes.add(
            "code-value",
            spot,
            f"{head}: a code for 'no value', far from all other readings.",
            "Turn the code into empty cells when exporting.",
        )
        notes.mendable("code-value", [series.tag], rows)
    else:
        limits = f"{series.range[0]:g} to {series.range[1]:g}{measure}"
        notes.add(
            "out-of-range",
            spot,
            f"{head}; {limits} was expected.",
            "Turn them into empty cells, or correct the range in the scenario if they are real.",
        )


def _lost_thermometer(series: Series) -> Bools:
    """Mark readings at or below absolute zero (to within a degree)."""
    zero = absolute_zero(series)
    if zero is None:
        return np.zeros(len(series.values), dtype=bool)
    with np.errstate(invalid="ignore"):
        return np.asarray(series.values <= zero + _ZERO_NEAR)


def _note_spectra(notes: Notes, tag: str, rows: Ints, limits: Range) -> None:
    if len(rows):
        spot = notes.spot(tag, int(rows[0]), int(rows[-1]), len(rows), rows)
        notes.add(
            "out-of-range",
            spot,
            f"{len(rows):,} spectra have channels outside {limits[0]:g} to {limits[1]:g}.",
            "Leave these spectra out, or correct the range in the scenario.",
        )


def outliers(sheet: Sheet, tags: list[Character]) -> Tally:
    """Count values far outside the usual spread, and single-row spikes.

    The fence adapts to each side: beyond the median by more than six times the distance
    from the median to the 1 % (99 %) quantile. For a normal distribution that is 14
    standard deviations, and a skewed one gets the longer fence on its long side. Angles,
    states, set-points and counters are left out, and so are values that Q04 names and
    rows inside events that the site marks.
    """
    notes = Notes(sheet, "Q05")
    asked = [tag for tag in tags if usable(tag)]
    found = side_by_side(lambda tag: _odd(tag, sheet), asked, sheet.rows)
    checked = sum(tag.scan.count for tag in asked if tag.quantiles is not None)
    bad = 0
    for tag, (far, jumps) in zip(asked, found, strict=True):
        alone = jumps[~np.isin(jumps, far)]
        bad += len(far) + len(alone)
        _note_far(notes, tag, sheet.order[far])
        _note_spikes(notes, tag, sheet.order[alone])
        if len(jumps) and sheet.us is not None:  # else rows may stand in any order
            notes.mendable("spike", [tag.series.tag], sheet.order[jumps])
    for spectrum in sheet.spectra:
        odd = odd_spectra(spectrum.values)
        checked += sheet.rows
        bad += len(odd)
        if len(odd):
            spot = notes.spot(spectrum.tag, int(odd[0]), int(odd[-1]), len(odd), odd)
            notes.add(
                "odd-spectrum",
                spot,
                f"{len(odd):,} of the spectra: level or spread far from all others.",
                "Look at them; leave out those that were taken in air or with the lamp off.",
            )
    return Tally(
        id="Q05",
        bad=bad,
        of=checked,
        findings=tuple(notes.found),
        mends=tuple(notes.mends),
    )


def usable(tag: Character) -> bool:
    """Tell whether outliers can be looked for: a live signal that is no angle."""
    return tag.role == "measure" and not _angle(tag) and tag.scan.count >= MIN_ROWS


def _odd(tag: Character, sheet: Sheet) -> tuple[Ints, Ints]:
    """Return the places of values far outside the usual spread, and of spikes."""
    none = np.zeros(0, dtype=np.int64)
    q = tag.quantiles
    if q is None:
        return none, none
    values, largest = tag.ordered, tag.scan.largest_off
    for known in (_outside(tag.series, tag), sheet.marked):
        if known is not None and known.any():
            values = np.where(known[sheet.order], np.nan, values)
    limits = fences(q, clusters=sheet.us is not None)
    far = none
    if limits and (tag.scan.low < limits[0] or tag.scan.high > limits[1]):
        far = np.flatnonzero((values < limits[0]) | (values > limits[1]))
    if sheet.us is None and not _in_order(values):
        return far, none  # rows may stand in any order: no row has neighbours
    return far, _spikes(values, sheet.starts, q, largest)


def _in_order(values: Floats) -> bool:
    """Tell whether neighbouring rows are alike, as in a record over time.

    The usual step from row to row is compared with the usual distance from the middle:
    for rows in any order it is 1.4 times as large, here less than 0.7 times.
    """
    known = values[np.isfinite(values)]
    if len(known) < MIN_ROWS:
        return False
    step = float(np.median(np.abs(np.diff(known))))
    return step < ORDERED * float(np.median(np.abs(known - np.median(known))))


def _angle(tag: Character) -> bool:
    """Tell whether a tag is an angle: by contract, or because it fills a full turn."""
    low, high = tag.scan.low, tag.scan.high
    full = any(
        first <= low <= first + 5 and first + 355 <= high <= first + 360
        for first in (0.0, -180.0)
    )
    return tag.series.circular or full


def fences(q: Quantiles, *, clusters: bool) -> tuple[float, float] | None:
    """Return the lowest and highest usual value; ``None`` if there is no spread.

    Args:
        q: Quantiles of the tag.
        clusters: Let a cluster of 1 to 5 % of the values lie outside (a sensor that was
            lost for days); without time such a cluster is a level of an experiment.
    """
    sides = []
    for far, near in ((q.q01, q.q05), (q.q99, q.q95)):
        reach, inner = abs(far - q.q50), abs(near - q.q50)
        if (
            clusters and reach > FAR_CLUSTER * inner > 0
        ):  # more than 1 % lie in a far cluster
            reach = 1.5 * inner
        sides.append(reach)
    if max(sides) <= 4 * q.width:
        return None
    least = 0.2 * max(sides)  # a side without spread (zero flow) borrows from the other
    low, high = (FENCE * max(side, least) for side in sides)
    return q.q50 - low, q.q50 + high


def _beyond(values: Floats, q: Quantiles, *, clusters: bool) -> Bools:
    limits = fences(q, clusters=clusters)
    if limits is None:
        return np.zeros(len(values), dtype=bool)
    with np.errstate(invalid="ignore"):
        return np.asarray((values < limits[0]) | (values > limits[1]))


def _spikes(values: Floats, starts: Bools, q: Quantiles, largest: float) -> Ints:
    """Mark single rows that jump away from both neighbours and back.

    The jump must be 4.5 times larger than 99 of 100 others (6.8 times 95 of 100 in
    series below 5,000 rows) and larger than the whole usual spread of the tag; the neighbours must agree,
    and no other jump of that size may be near (a signal that swings).
    """
    none = np.zeros(0, dtype=np.int64)
    usual = off_quantiles(values, starts, largest)
    if usual is None:
        return none
    least = spike_fence(usual, q, short=len(values) < SHORT)
    return none if least is None else spikes(values, starts, (least, SWING, AGREE))


def spike_fence(usual: Quantiles, q: Quantiles, *, short: bool) -> float | None:
    """Return the least jump of a spike, or ``None`` if the tag is too still to say.

    Args:
        usual: Of the distance of cells from the middle of their neighbours.
        q: Of the tag.
        short: Too few rows for the 99 % quantile to be steady.
    """
    fence = SPIKE_FENCE * (usual.q95 if short else usual.q99) * (1.5 if short else 1.0)
    least = max(q.q99 - q.q01, 0.0)
    if usual.q95 <= usual.width or least <= 0:
        return None
    return max(fence, least)


def _note_far(notes: Notes, tag: Character, rows: Ints) -> None:
    if not len(rows) or tag.quantiles is None:
        return
    values = tag.series.values[rows]
    q = tag.quantiles
    low, high = float(values.min()), float(values.max())
    shown = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    spot = notes.over(tag.series.tag, rows)
    stretches = filled.count_stretches(notes.sheet, rows)
    often = f" in {stretches:,} stretches" if stretches > 1 else ""
    notes.add(
        "outlier",
        spot,
        f"{len(rows):,} value{'s' * (len(rows) > 1)} of {shown}{often} "
        f"lie{'s' * (len(rows) == 1)} far outside the usual {q.q05:.4g} to {q.q95:.4g} "
        "(90 of 100 values).",
        "Look at them: mark a real event, remove a fault of the transmission.",
    )


def _note_spikes(notes: Notes, tag: Character, rows: Ints) -> None:
    if not len(rows):
        return
    values = ", ".join(f"{v:g}" for v in tag.series.values[rows[:3]])
    spot = notes.over(tag.series.tag, rows)
    notes.add(
        "spike",
        spot,
        f"{len(rows):,} single-row spike{'s' * (len(rows) > 1)} ({values}), the rows "
        "before and after agree.",
        "Remove them with a median over three rows, and look at the signal's shielding.",
    )


def odd_spectra(values: Floats) -> Ints:
    """Return rows whose level or spread across channels is far from all others.

    Args:
        values: Spectra, shape [n, C]. Dead ones (no spread at all) are left to Q08.
    """
    if len(values) < MIN_ROWS:
        return np.zeros(0, dtype=np.int64)
    with np.errstate(invalid="ignore"):
        spread = values.std(axis=1)
        live = np.isfinite(spread) & (spread > 0)
        level = values.mean(axis=1)
    odd = np.zeros(len(values), dtype=bool)
    for measure in (level, spread):
        known = np.where(live, measure, np.nan)
        if not live.any():
            continue
        q = quantiles(known, float(np.nanmin(known)), float(np.nanmax(known)))
        if q is not None:
            odd |= _beyond(known, q, clusters=False)
    return np.flatnonzero(odd)
