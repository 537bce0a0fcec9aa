"""Q06 and Q17: rows that stand twice, and judged rows that were fitted as well."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tundish.data.grade import copied
from tundish.data.grade.character import Character
from tundish.data.grade.kernels import Hashes, kernels
from tundish.data.grade.leaks import given_away
from tundish.data.grade.sheet import Bools, Floats, Ints, Sheet
from tundish.data.grade.tally import Notes, Spot, Tally, spans

CHANCE_FACTOR = 10.0
TWIN_ROWS = 30
TWIN_SHARE = 0.5
RARE_SHARE = 0.001
MIN_COLUMNS = 2
_SAMPLE = 20_000


def duplicates(sheet: Sheet, tags: Sequence[Character]) -> Tally:
    """Count rows that repeat another row in all their values, and stretches copied in.

    In a table with time a copy repeats time and unit too; without time it repeats all
    tags, texts and the target. Copies are claimed only if there are ten times more than chance
    would give, columns taken as independent (coarse or few columns repeat by chance).
    """
    notes = Notes(sheet, "Q06")
    columns = _columns(sheet)
    if len(columns) < MIN_COLUMNS and sheet.us is None:
        return Tally(id="Q06", bad=0, of=0, detail="too few columns to tell copies")
    rows = _copied(sheet, columns)
    if sheet.us is None and sheet.group is not None:
        rows = _apart(sheet, columns, rows)
    expected = _by_chance(columns, sheet.rows) if sheet.us is None else 0.0
    count = len(rows)
    moved = copied.stretches(sheet, tags)
    for stretch in moved:
        copied.note(notes, stretch)
    more = sum(stretch.rows for stretch in moved)
    more += _note_twins(notes, columns)
    if count <= CHANCE_FACTOR * expected or count == 0:
        return Tally(id="Q06", bad=more, of=sheet.rows, findings=tuple(notes.found))
    spot = notes.over("", rows)
    what = "time, unit and all values" if sheet.us is not None else "all values"
    notes.add(
        "duplicate-row",
        spot,
        f"{count:,} rows repeat an earlier row in {what}.",
        "Remove the copies before splitting; find out which export wrote them.",
    )
    notes.mendable("duplicate-row", (), rows)
    return Tally(
        id="Q06",
        bad=min(sheet.rows, count + more),
        of=sheet.rows,
        findings=tuple(notes.found),
        mends=tuple(notes.mends),
    )


def _note_twins(notes: Notes, columns: list[Floats]) -> int:
    """Note units (files, machines) that repeat most rows of another one; return these rows."""
    sheet = notes.sheet
    if sheet.group is None or len(columns) < MIN_COLUMNS:
        return 0
    hashes = _hashes(columns, sheet.rows)
    _, unit = np.unique(sheet.group, return_inverse=True)
    _, which = np.unique(hashes, return_inverse=True)
    pairs = np.unique(np.column_stack((which, unit)), axis=0)
    shared = (np.bincount(pairs[:, 0]) > 1)[which]
    twins = [
        name
        for name, rows in sheet.units
        if len(rows) >= TWIN_ROWS
        and len(np.unique(hashes[rows])) > len(rows) / 2
        and float(shared[rows].mean()) > TWIN_SHARE
    ]
    if len(twins) < 2:
        return 0
    rows = np.flatnonzero(shared & np.isin(sheet.group, twins))
    again = rows[_copies(hashes[rows])]
    notes.add(
        "unit-copied",
        notes.over("", again),
        f"{', '.join(twins[:4])}{' ...' * (len(twins) > 4)}: {len(again):,} of their rows "
        "repeat a row of another one in all values: they are copies, perhaps changed in places.",
        "Keep one of them, or put both into the same part: else what is judged was fitted.",
    )
    return len(again)


def _apart(sheet: Sheet, columns: list[Floats], rows: Ints) -> Ints:
    """Leave out rows of a batch that repeat the row just before: nothing had moved."""
    place = np.empty(sheet.rows, dtype=np.int64)
    place[sheet.order] = np.arange(sheet.rows)
    before = sheet.order[np.maximum(place[rows] - 1, 0)]
    same = place[rows] > 0
    for values in columns:
        here, there = values[rows], values[before]
        same &= (here == there) | (np.isnan(here) & np.isnan(there))
    return rows[~same]


def leakage(sheets: list[Sheet]) -> Tally:
    """Count judged rows whose signals were fitted too, or that lie inside a fitted stretch.

    Args:
        sheets: All tables, with the part of each row. Without parts nothing is counted.
    """
    split = [sheet for sheet in sheets if sheet.part is not None]
    given = [finding for sheet in sheets for finding in given_away(sheet)]
    if not split:
        labels = sum(len(s.labels.values) for s in sheets if s.labels is not None)
        if given:
            bad = labels if any(f.kind == "leak" for f in given) else 0
            return Tally(id="Q17", bad=bad, of=labels, findings=tuple(given))
        return Tally(id="Q17", bad=0, of=0, detail="no split was declared")
    judged = sum(int((_part(sheet) == "judge").sum()) for sheet in split)
    fitted = [_hashes(_columns(s), s.rows)[_used(s)] for s in split if _columns(s)]
    seen = np.unique(np.concatenate(fitted)) if fitted else np.zeros(0, dtype=np.uint64)
    leaks = any(finding.kind == "leak" for finding in given)
    bad, findings = (judged if leaks else 0), list(given)
    for sheet in split:
        notes = Notes(sheet, "Q17")
        twins = _twins(sheet, seen)
        inside = _inside_fitted(sheet)
        bad += int((twins | inside).sum())
        _note_leak(
            notes, np.flatnonzero(twins), "has the same signals as a row that is fitted"
        )
        _note_leak(
            notes,
            np.flatnonzero(inside & ~twins),
            "lies inside a stretch that is fitted",
        )
        findings += notes.found
    return Tally(id="Q17", bad=min(bad, judged), of=judged, findings=tuple(findings))


def _note_leak(notes: Notes, rows: Ints, what: str) -> None:
    if not len(rows):
        return
    sheet = notes.sheet
    spot = Spot(
        tag="",
        unit=sheet.unit_of(int(rows[0])),
        first=sheet.where(int(rows[0])),
        last=sheet.where(int(rows[-1])),
        rows=len(rows),
        total=int((_part(sheet) == "judge").sum()),
        counted="judged rows",
        stretches=spans(sheet, rows),
    )
    notes.add(
        "leak",
        spot,
        f"{len(rows):,} judged rows: the first {what}.",
        "Change the stretches under uses so that each row has one part; remove copies.",
    )


def _part(sheet: Sheet) -> NDArray[np.str_]:
    return sheet.part if sheet.part is not None else np.full(sheet.rows, "")


def _used(sheet: Sheet) -> Bools:
    part = _part(sheet)
    return np.asarray((part == "fit") | (part == "select") | (part == "calibrate"))


def _twins(sheet: Sheet, seen: Hashes) -> Bools:
    """Mark judged rows with the signals of a fitted row, unless chance explains them."""
    judged = _part(sheet) == "judge"
    columns = _columns(sheet)
    if not columns or not judged.any():
        return np.zeros(sheet.rows, dtype=bool)
    whole = np.logical_and.reduce([np.isfinite(c) for c in columns])
    twins = judged & whole & np.isin(_hashes(columns, sheet.rows), seen) & ~_flat(sheet)
    expected = _by_chance(columns, sheet.rows)
    if twins.sum() <= CHANCE_FACTOR * expected or len(columns) < MIN_COLUMNS:
        return np.zeros(sheet.rows, dtype=bool)
    if twins.sum() < RARE_SHARE * judged.sum():
        twins &= _beside_another(sheet, twins)
    return np.asarray(twins)


def _beside_another(sheet: Sheet, marked: Bools) -> Bools:
    """Mark rows whose neighbour in time is marked too; all, where rows have no time.

    What is copied from one stretch into another has neighbours; a plant that comes to a
    state where it has been before agrees for a row. ``_by_chance`` takes signals for
    independent and expects too few of these.
    """
    if sheet.us is None or sheet.made_clock:
        return marked
    along = marked[sheet.order]
    beside = np.zeros(len(along), dtype=bool)
    beside[1:] |= along[:-1]
    beside[:-1] |= along[1:]
    found = np.zeros(sheet.rows, dtype=bool)
    found[sheet.order] = beside
    return found


def _flat(sheet: Sheet) -> Bools:
    """Mark dead spectra: they are all alike, and Q08's business."""
    flat = np.zeros(sheet.rows, dtype=bool)
    for spectrum in sheet.spectra:
        flat |= np.ptp(spectrum.values, axis=1) == 0
    return flat


def _inside_fitted(sheet: Sheet) -> Bools:
    """Mark judged rows that lie in time between two fitted neighbours of their unit."""
    inside = np.zeros(sheet.rows, dtype=bool)
    if sheet.us is None or sheet.made_clock:
        return inside
    part = _part(sheet)[sheet.order]
    used = part != ""
    at = np.flatnonzero(used)
    if len(at) < 3:
        return inside
    kinds = part[at]
    single = (kinds[1:-1] == "judge") & (kinds[:-2] == "fit") & (kinds[2:] == "fit")
    if single.sum() > 0.01 * len(at):
        inside[sheet.order[at[1:-1][single]]] = True
    return inside


def _columns(sheet: Sheet) -> list[Floats]:
    columns = [series.values for series in sheet.series]
    for spectrum in sheet.spectra:
        columns += [np.ascontiguousarray(column) for column in spectrum.values.T]
    labels = sheet.labels
    if labels is not None and labels.us is None and len(labels.values) == sheet.rows:
        columns.append(labels.values)
    return columns


def _identity(sheet: Sheet) -> list[Hashes]:
    """Return what makes a row itself: its time, its unit, its texts."""
    keys: list[Hashes] = [] if sheet.texts is None else [sheet.texts]
    if sheet.us is not None:
        keys.append(sheet.us.view(np.uint64))
    if sheet.group is not None:
        _, codes = np.unique(sheet.group, return_inverse=True)
        keys.append(codes.astype(np.uint64))
    return keys


def _copied(sheet: Sheet, columns: list[Floats]) -> Ints:
    """Return rows that repeat an earlier one and are at least half filled."""
    keys = _identity(sheet)
    rows = _same_time(sheet)
    if rows is None:
        rows = _copies(_hashes(columns, sheet.rows, keys))
    elif len(rows):
        some = [column[rows] for column in columns]
        rows = rows[_copies(_hashes(some, len(rows), [key[rows] for key in keys]))]
    if not columns:
        return rows
    filled = np.zeros(len(rows), dtype=np.int64)
    for column in columns:
        filled += np.isfinite(column[rows])
    return rows[filled >= max(1, len(columns) / 2)]


def _same_time(sheet: Sheet) -> Ints | None:
    """Return the rows whose time stands twice: only these can be copies.

    ``None`` if there is no time, or if a good part of the rows share their time.
    """
    if sheet.us is None:
        return None
    stamps = sheet.us if sheet.in_order else np.sort(sheet.us)
    again = np.flatnonzero(stamps[1:] == stamps[:-1])
    if len(again) > sheet.rows // 8:
        return None
    if sheet.in_order:
        return np.union1d(again, again + 1)
    return np.flatnonzero(np.isin(sheet.us, stamps[again]))


def _hashes(
    columns: list[Floats], rows: int, keys: list[Hashes] | None = None
) -> Hashes:
    """Return a 64-bit hash of each row (multiply and rotate over the bits of its cells)."""
    state = np.zeros(rows, dtype=np.uint64)
    for key in keys or ():
        kernels().mix(np.ascontiguousarray(key), state)
    for column in columns:
        kernels().mix_numbers(np.ascontiguousarray(column).view(np.uint64), state)
    return state


def _copies(hashes: Hashes) -> Ints:
    """Return the places at which a hash stands that stood earlier."""
    at = copied.again(hashes)
    _, first = np.unique(hashes[at], return_index=True)
    return np.delete(at, first)


def _by_chance(columns: list[Floats], rows: int) -> float:
    """Return how many copies independent columns would give by chance."""
    stride = max(1, rows // _SAMPLE)
    same = 1.0
    for column in columns:
        sample = column[::stride]
        _, counts = np.unique(sample, return_counts=True)
        taken = len(sample)
        pairs = float((counts * (counts - 1.0)).sum())
        same *= pairs / max(1.0, taken * (taken - 1.0))
        if same * rows * rows < 1e-9:
            return 0.0
    return same * rows * (rows - 1) / 2
