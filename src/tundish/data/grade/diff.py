"""What is different between two versions of a table, and what that does to the grade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from tundish.data.grade import shift
from tundish.data.grade.report import Finding, GradeReport
from tundish.data.grade.sheet import Bools, Floats, Ints, Sheet
from tundish.data.times import NO_TIME
from tundish.kernel.records import Record

State = Literal["same", "added", "removed", "retyped", "renamed"]
Kind = Literal["number", "text", "time"]

UNIQUE_AT_LEAST = 0.99
SAME_VALUES = 0.99
MIN_SAME = 20
SCALED_CELLS = 0.9
_TIGHT = 1e-6


class ColumnDiff(Record):
    """One column in both versions.

    Attributes:
        state: ``renamed`` is suspected: another name, the same values in the same rows.
        was: Its name before, if renamed.
        before, after: Kind of its values; empty if it was not there.
        filled_before, filled_after: Cells with a value.
        psi: Population stability index; ``None`` if there is nothing to compare.
        ks: Largest distance between the distributions of numbers.
        shifted: True if the index is above 0.25 and three times what chance gives.
        changed: Cells that differ in joined rows; ``None`` if rows cannot be joined.
        factor: All values were multiplied by this (a change of unit), or ``None``.
    """

    name: str
    state: State
    was: str = ""
    before: str = ""
    after: str = ""
    filled_before: int = 0
    filled_after: int = 0
    psi: float | None = None
    ks: float | None = None
    shifted: bool = False
    changed: int | None = None
    factor: float | None = None


class RowsDiff(Record):
    """Rows in both versions.

    Attributes:
        joined_by: ``time``, ``time and unit``, ``row number`` or ``whole rows``.
        same: Rows that are in both (joined, or equal in all common columns).
        changed: Joined rows in which a cell differs; ``None`` for ``whole rows``.
    """

    before: int
    after: int
    joined_by: str
    added: int
    removed: int
    same: int
    changed: int | None


class TableDiff(Record):
    """One table in both versions."""

    table: str
    rows: RowsDiff
    columns: tuple[ColumnDiff, ...]

    @property
    def moved(self) -> tuple[ColumnDiff, ...]:
        """The columns of which there is something to say."""
        return tuple(
            c for c in self.columns if c.state != "same" or c.shifted or c.changed
        )


class Moved(Record):
    """An indicator in both grades; ``None`` where it was not measured."""

    id: str
    name_en: str
    name_zh: str
    before: float | None
    after: float | None


class GradeDiff(Record):
    """What the new version does to the grade.

    Attributes:
        fell: True if the letter is worse.
        indicators: Those whose value moved.
        gone, new: Findings (by kind, table, tag and unit) of one version only.
    """

    before: str
    after: str
    fell: bool
    why: str
    indicators: tuple[Moved, ...]
    gone: tuple[Finding, ...]
    new: tuple[Finding, ...]


@dataclass(frozen=True, kw_only=True)
class Side:
    """One version of a table: its columns and what tells its rows apart.

    Attributes:
        name: Name of the table.
        frame: ``Float64`` for numbers, ``String`` for texts, times as they are.
        us: Time of each row, shape [n], or ``None``.
        group: Unit of each row, shape [n], or ``None``.
    """

    name: str
    frame: pl.DataFrame
    us: Ints | None = None
    group: np.ndarray[tuple[int], np.dtype[np.str_]] | None = None


def side_of(sheet: Sheet, frame: pl.DataFrame | None = None) -> Side:
    """Return a side from a graded table.

    Args:
        sheet: The table that was graded.
        frame: All columns, if its rows are the sheet's; else the sheet's tags are taken.
    """
    if frame is None or frame.height != sheet.rows:
        series = {
            s.tag: pl.Series(s.tag, s.values).fill_nan(None) for s in sheet.series
        }
        for one in sheet.spectra:
            for i, place in enumerate(one.axis):
                values = pl.Series(np.ascontiguousarray(one.values[:, i]))
                series[f"{one.tag} {place:g}"] = values.fill_nan(None)
        frame = pl.DataFrame(series)
    us = None if sheet.elapsed and sheet.group is None else sheet.us
    return Side(name=sheet.name, frame=frame, us=us, group=sheet.group)


def diff_tables(before: Side, after: Side) -> TableDiff:
    """Compare two versions of a table: rows, columns, cells, distributions."""
    joined = _join(before, after)
    columns = _columns(before, after, joined)
    rows = _rows(before, after, joined, columns)
    return TableDiff(table=after.name, rows=rows, columns=tuple(columns))


def diff_grades(before: GradeReport, after: GradeReport) -> GradeDiff:
    """Compare two grades."""
    old = {i.id: i.value for i in before.indicators}
    new = {i.id: i.value for i in after.indicators}
    names = {i.id: i for i in (*before.indicators, *after.indicators)}
    moved = [
        Moved(
            id=key,
            name_en=names[key].name_en,
            name_zh=names[key].name_zh,
            before=old.get(key),
            after=new.get(key),
        )
        for key in sorted(names)
        if old.get(key) != new.get(key)
    ]
    mine, theirs = _keyed(before), _keyed(after)
    return GradeDiff(
        before=before.letter,
        after=after.letter,
        fell=after.letter > before.letter,
        why=after.why,
        indicators=tuple(moved),
        gone=tuple(f for key, f in mine.items() if key not in theirs),
        new=tuple(f for key, f in theirs.items() if key not in mine),
    )


def _keyed(report: GradeReport) -> dict[tuple[str, str, str, str], Finding]:
    """Findings by what they are about; a single table goes without its name."""
    alone = len(report.tables) == 1
    return {
        (f.kind, "" if alone else f.table, f.tag, f.unit): f for f in report.findings
    }


@dataclass(frozen=True, kw_only=True)
class _Joined:
    by: str
    one: Ints
    two: Ints


def _join(before: Side, after: Side) -> _Joined | None:
    """Pair the rows of both versions, or say that they cannot be paired."""
    if before.us is not None and after.us is not None:
        grouped = before.group is not None and after.group is not None
        keys = [_keys(side, grouped=grouped) for side in (before, after)]
        if all(k["key"].n_unique() >= UNIQUE_AT_LEAST * len(k) > 0 for k in keys):
            first, second = (k.unique("key", keep="first") for k in keys)
            pairs = first.join(second, on="key", suffix="_2").sort("row")
            return _Joined(
                by="time and unit" if grouped else "time",
                one=pairs["row"].to_numpy(),
                two=pairs["row_2"].to_numpy(),
            )
        return None
    if (
        before.us is None
        and after.us is None
        and before.frame.height == after.frame.height
    ):
        rows = np.arange(before.frame.height)
        return _Joined(by="row number", one=rows, two=rows)
    return None


def _keys(side: Side, *, grouped: bool) -> pl.DataFrame:
    us = side.us if side.us is not None else np.zeros(0, dtype=np.int64)
    unit = side.group.tolist() if grouped and side.group is not None else [""] * len(us)
    frame = pl.DataFrame({"us": us, "unit": unit})
    frame = frame.select(key=pl.struct("us", "unit"), us="us")
    frame = frame.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    return frame.filter(pl.col("us") != NO_TIME).select("row", "key")


def _columns(before: Side, after: Side, joined: _Joined | None) -> list[ColumnDiff]:
    old, new = before.frame, after.frame
    gone = [name for name in old.columns if name not in new.columns]
    fresh = [name for name in new.columns if name not in old.columns]
    renamed = _renamed((old, gone), (new, fresh), joined)
    found = []
    for name in new.columns:
        was = renamed.get(name, name)
        if was in old.columns:
            found.append(_column(old[was], new[name], joined))
        else:
            series = new[name]
            found.append(
                ColumnDiff(
                    name=name,
                    state="added",
                    after=_kind(series),
                    filled_after=series.count(),
                )
            )
    left = [name for name in gone if name not in renamed.values()]
    found += [
        ColumnDiff(
            name=name,
            state="removed",
            before=_kind(old[name]),
            filled_before=old[name].count(),
        )
        for name in left
    ]
    return found


def _column(old: pl.Series, new: pl.Series, joined: _Joined | None) -> ColumnDiff:
    kinds = _kind(old), _kind(new)
    state: State = "same"
    if old.name != new.name:
        state = "renamed"
    elif kinds[0] != kinds[1]:
        state = "retyped"
    index = distance = None
    if kinds == ("number", "number"):
        one, two = _finite(old), _finite(new)
        index, distance = shift.psi(one, two), shift.ks(one, two)
    elif kinds == ("text", "text"):
        index = shift.psi_of_levels(old, new)
    chance = shift.NOISE * shift.noise(old.count(), new.count())
    changed = factor = None
    if joined is not None and kinds[0] == kinds[1]:
        differs = _differs(old, new, joined)
        changed = int(differs.sum())
        factor = _factor(old, new, joined, changed)
    return ColumnDiff(
        name=new.name,
        state=state,
        was=old.name if state == "renamed" else "",
        before=kinds[0],
        after=kinds[1],
        filled_before=old.count(),
        filled_after=new.count(),
        psi=index,
        ks=distance,
        shifted=index is not None and index >= max(shift.LARGE, chance),
        changed=changed,
        factor=factor,
    )


def _rows(
    before: Side,
    after: Side,
    joined: _Joined | None,
    columns: Sequence[ColumnDiff],
) -> RowsDiff:
    counts = before.frame.height, after.frame.height
    pairs = [(c.was or c.name, c.name) for c in columns if c.before and c.after]
    if joined is None:
        same = _common_rows(before, after, pairs)
        return RowsDiff(
            before=counts[0],
            after=counts[1],
            joined_by="whole rows",
            added=counts[1] - same,
            removed=counts[0] - same,
            same=same,
            changed=None,
        )
    differs = np.zeros(len(joined.one), dtype=bool)
    for was, name in pairs:
        old, new = before.frame[was], after.frame[name]
        if _kind(old) == _kind(new):
            differs |= _differs(old, new, joined)
    return RowsDiff(
        before=counts[0],
        after=counts[1],
        joined_by=joined.by,
        added=counts[1] - len(joined.two),
        removed=counts[0] - len(joined.one),
        same=len(joined.one),
        changed=int(differs.sum()),
    )


def _common_rows(before: Side, after: Side, pairs: Sequence[tuple[str, str]]) -> int:
    """Count rows that are in both versions, each as often as it stands in both."""
    alike = [
        (was, name)
        for was, name in pairs
        if _kind(before.frame[was]) == _kind(after.frame[name])
    ]
    if not alike:
        return 0
    one = before.frame.select(
        pl.col(was).alias(f"{i}") for i, (was, _) in enumerate(alike)
    )
    two = after.frame.select(pl.col(n).alias(f"{i}") for i, (_, n) in enumerate(alike))
    counts = [
        frame.cast({c: pl.String for c, t in frame.schema.items() if t.is_temporal()})
        .hash_rows(seed=1)
        .alias("hash")
        .value_counts(name="n")
        for frame in (one, two)
    ]
    both = counts[0].join(counts[1], on="hash", suffix="_2")
    return int(both.select(pl.min_horizontal("n", "n_2").sum()).item() or 0)


def _renamed(
    old: tuple[pl.DataFrame, list[str]],
    new: tuple[pl.DataFrame, list[str]],
    joined: _Joined | None,
) -> dict[str, str]:
    """Return new name -> old name where the values are the same in the same rows."""
    found: dict[str, str] = {}
    if joined is None:
        return found
    for name in new[1]:
        for was in old[1]:
            if was not in found.values() and _alike(old[0][was], new[0][name], joined):
                found[name] = was
                break
    return found


def _alike(old: pl.Series, new: pl.Series, joined: _Joined) -> bool:
    if _kind(old) != _kind(new):
        return False
    filled = old.is_not_null().to_numpy()[joined.one]
    filled &= new.is_not_null().to_numpy()[joined.two]
    count = int(filled.sum())
    if count < MIN_SAME or old.n_unique() < 2:
        return False
    differs = _differs(old, new, joined)
    return int(differs.sum()) <= (1 - SAME_VALUES) * len(differs)


def _differs(old: pl.Series, new: pl.Series, joined: _Joined) -> Bools:
    """Mark joined rows in which a cell differs; two empty cells are the same."""
    one, two = old[joined.one], new[joined.two]
    if one.dtype != two.dtype:
        one, two = one.cast(pl.String), two.cast(pl.String)
    return np.asarray(one.ne_missing(two).to_numpy(), dtype=bool)


def _factor(
    old: pl.Series, new: pl.Series, joined: _Joined, changed: int
) -> float | None:
    """Return the factor by which (almost) all values were multiplied, if there is one."""
    if _kind(old) != "number" or changed < SCALED_CELLS * max(1, len(joined.one)):
        return None
    one, two = old[joined.one].to_numpy(), new[joined.two].to_numpy()
    held = np.isfinite(one) & np.isfinite(two) & (one != 0)
    if held.sum() < MIN_SAME:
        return None
    ratio = two[held] / one[held]
    middle = float(np.median(ratio))
    tight = np.abs(ratio - middle) <= max(abs(middle) * 1e-3, _TIGHT)
    if middle in {0.0, 1.0} or float(tight.mean()) < SCALED_CELLS:
        return None
    return middle


def _kind(series: pl.Series) -> Kind:
    if series.dtype.is_numeric() or series.dtype == pl.Boolean:
        return "number"
    return "time" if series.dtype.is_temporal() else "text"


def _finite(series: pl.Series) -> Floats:
    values = series.cast(pl.Float64).to_numpy()
    return np.asarray(values[np.isfinite(values)], dtype=np.float64)
