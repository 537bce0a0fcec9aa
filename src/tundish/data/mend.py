"""Mend a table: only what findings name, only what is safe, and nothing is invented.

Rows that are copies go, cells that cannot be true become empty, rows are put in order
of time. The table is then graded again and mended again, until nothing is left to mend,
so that mending a mended table changes nothing. What is not mended is said with the
reason. Nobody's value is ever estimated here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from tundish.data import historian
from tundish.data.grade.checks import Graded
from tundish.data.grade.report import GradeReport
from tundish.data.grade.sheet import Sheet
from tundish.data.grade.tally import Mend
from tundish.data.roles import Named
from tundish.data.table import Table
from tundish.data.times import NO_TIME
from tundish.kernel.records import Record

Ints = NDArray[np.int64]
Grader = Callable[[Table], Graded]

ROUNDS = 8
TURNED = "the lines of the file are not the rows that were graded: it has one line per value, or lies on its side"
UNSETTLED = f"it showed again after each of {ROUNDS} rounds of mending"
EMPTIED = {
    "impossible": "readings at or below absolute zero turned into empty cells",
    "code-value": "codes for 'no value' turned into empty cells",
    "stuck": "stretches of a sensor that stood still turned into empty cells",
    "frozen-together": "stretches in which the record stood still turned into empty cells",
    "spike": "single-row spikes turned into empty cells",
}
SAID = {
    **EMPTIED,
    "text-state": "texts in columns of numbers turned into empty cells, and counted here",
    "ragged": "lines with another number of fields left out",
    "duplicate-row": "rows that repeat an earlier row left out",
    "duplicate-time": "rows of one time that do not contradict each other merged",
    "backward-time": "rows put in order of time",
}
REASONS = {
    "missing": "nothing is invented to fill an empty cell",
    "silent": "nothing is invented to fill an empty row",
    "gap": "nothing is invented to fill a gap",
    "outlier": "it may be a real event: only somebody who knows the plant can tell",
    "out-of-range": "either the reading or the range is wrong: decide which",
    "duplicate-row": "without a time, the rows of a unit follow each other: an equal row may be the next sample",
    "duplicate-time": "rows of the same time hold different values; which is right is not known",
    "backward-time": "the clock changes as well, so the order of rows may be the true one",
    "impossible-time": "the true time is not known",
    "constant": "a tag that never changes may be a setting that counts: leave it out if not",
    "clipped": "the true value is not known, only that it lies beyond",
    "idle": "the machine may have been at rest",
    "leak": "which column stays is your decision",
    "unlabelled": "labels are not invented",
    "spike": "without a time, rows may stand in any order, and a jump is no spike",
    "secret": "take the column out yourself: what was seen must be changed as well",
    "person": "the owner of the data decides: take the column out, or number persons anew",
    "person-code": "the owner of the data decides: take the column out, or number it anew",
    "bad-quality": "the source marks these values itself; they count as empty",
}


class Step(Record):
    """One kind of mend in one round.

    Attributes:
        kind: The kind of the finding that was mended.
        what: What was done, in words.
        tags: Columns concerned; empty if it was whole rows.
        rows: Rows concerned.
        cells: Cells that became empty, or were filled from a row of the same time.
        round: The first is 1; later ones mend what showed after the earlier.
        states: Text -> count, for texts that became empty cells.
        table: The file.
    """

    kind: str
    what: str
    tags: tuple[str, ...]
    rows: int
    cells: int
    round: int
    states: dict[str, int] = Field(default_factory=dict)
    table: str = ""


class Unmended(Record):
    """Findings of one kind that stay, and why."""

    kind: str
    count: int
    tags: tuple[str, ...]
    what: str
    why: str
    table: str = ""


@dataclass(kw_only=True)
class Edits:
    """What is to be done to the source, in its own rows (from 0).

    Attributes:
        rows: Rows that stay, in their new order, shape [k].
        empty: Column -> rows whose cell becomes empty.
        fill: Column -> row -> row of the same time whose cell it takes.
        of: Rows of the source.
    """

    rows: Ints
    of: int
    empty: dict[str, Ints] = field(default_factory=dict)
    fill: dict[str, dict[int, int]] = field(default_factory=dict)

    @property
    def moved(self) -> bool:
        """True if rows are to be put in another order."""
        return bool((np.diff(self.rows) < 0).any())

    @property
    def none(self) -> bool:
        """True if nothing is to be done."""
        return len(self.rows) == self.of and not (self.moved or self.empty or self.fill)


@dataclass(frozen=True, kw_only=True)
class Mended:
    """A table that was mended in memory.

    Attributes:
        edits: What is to be done to the source.
        table: The table with all of it done.
        steps: What was done, in order.
        unmended: What was not, and why.
        before, after: The grades.
    """

    edits: Edits
    table: Table
    steps: tuple[Step, ...]
    unmended: tuple[Unmended, ...]
    before: GradeReport
    after: GradeReport


def mend_table(table: Table, grade: Grader, named: Named | None = None) -> Mended:
    """Mend a table until its grade names nothing more that a machine can mend.

    Args:
        table: As it was read. It is not changed.
        grade: Grades a table; the same terms each time.
        named: What the user named of its columns, as the grade takes it.
    """
    graded = grade(table)
    before = graded.report
    work = _Work(table, named or Named())
    for number in range(1, ROUNDS + 1):
        if not work.round(graded, number):
            break
        graded = grade(work.table)
    blocked = TURNED if work.sheet_of(graded) is None else UNSETTLED
    return Mended(
        edits=work.edits,
        table=work.table,
        steps=tuple(work.steps),
        unmended=unmended(graded.report, blocked),
        before=before,
        after=graded.report,
    )


def unmended(report: GradeReport, blocked: str = UNSETTLED) -> tuple[Unmended, ...]:
    """Return the findings that stay, one entry per kind and table, with the reason.

    Args:
        report: The grade after mending.
        blocked: Why a kind that can be mended was not.
    """
    found: dict[tuple[str, str], list[int]] = {}
    for i, finding in enumerate(report.findings):
        found.setdefault((finding.kind, finding.table), []).append(i)
    said = []
    for (kind, table), places in found.items():
        first = report.findings[places[0]]
        clock = kind in {"clock-change", "clock-change-gap"}
        head = "the true times are not certain" if clock else "it needs a person"
        person = f"{head}: {first.mend}"
        tags = dict.fromkeys(report.findings[i].tag for i in places)
        said.append(
            Unmended(
                kind=kind,
                count=len(places),
                tags=tuple(tag for tag in tags if tag),
                what=first.what,
                why=REASONS.get(kind, blocked if kind in SAID else person),
                table=table,
            )
        )
    return tuple(said)


class _Work:
    """A table on its way, and what was done to it in rows of the source."""

    def __init__(self, table: Table, named: Named) -> None:
        self.table = table
        self.named = named
        rows = table.frame.height
        self.edits = Edits(rows=np.arange(rows), of=rows)
        self.steps: list[Step] = []

    def sheet_of(self, graded: Graded) -> Sheet | None:
        """Return the graded sheet if its rows are the table's rows."""
        if len(graded.sheets) != 1:
            return None
        sheet = graded.sheets[0]
        known = set(self.table.frame.columns)
        tags = {series.tag for series in sheet.series}
        same = sheet.rows == self.table.frame.height and tags <= known
        return sheet if same else None

    def round(self, graded: Graded, number: int) -> list[Step]:
        """Do one round; return what was done."""
        steps = []
        if number == 1:
            steps += self._leave_out_lines()
            steps += self._empty_texts()
        sheet = self.sheet_of(graded)
        if sheet is None:
            steps += self._long(graded, number)
        else:
            steps += self._wide(sheet, graded.mends, number)
        self.steps += steps
        return steps

    def _wide(self, sheet: Sheet, mends: Sequence[Mend], number: int) -> list[Step]:
        """Mend a table whose rows are the rows that were graded."""
        steps = []
        for kind in EMPTIED:
            for tag, rows in _by_tag([m for m in mends if m.kind == kind]).items():
                steps += self._empty(kind, (tag, tag), rows, number)
        by_kind = {m.kind: m for m in mends if not m.tags}
        copies = by_kind.get("duplicate-row")
        in_order = sheet.us is None and sheet.group is not None
        if copies is not None and not in_order:
            steps += self._drop(copies.rows, number)
        elif "duplicate-time" in by_kind:
            steps += self._merge(sheet, number)
        return steps or self._sort(sheet, mends, number)

    def _long(self, graded: Graded, number: int) -> list[Step]:
        """Mend cells of a table with one line per value: tag and time lead to the line."""
        held = historian.lines(self.table, self.named)
        if held is None:
            return []
        frame = pl.DataFrame({"tag": held.tags, "us": held.us}).with_columns(
            self.table.frame[held.value].alias("value")
        )
        frame = frame.with_row_index("row")
        steps = []
        for sheet in graded.sheets:
            mine = [m for m in graded.mends if m.table == sheet.name]
            for kind in EMPTIED:
                for tag, rows in _by_tag([m for m in mine if m.kind == kind]).items():
                    found = _lines_of(frame, sheet, tag, rows)
                    steps += self._empty(kind, (tag, held.value), found, number)
        return steps

    def _leave_out_lines(self) -> list[Step]:
        dropped = len(self.table.dropped)
        self.table = replace(self.table, dropped=())
        return [_step("ragged", (), (dropped, 0), 1)] if dropped else []

    def _empty_texts(self) -> list[Step]:
        """Empty texts among numbers: in the table they are empty already."""
        steps = []
        for column, places in self.table.places.items():
            rows = np.unique(np.concatenate(list(places.values())))
            self._note_empty(column, rows)
            step = _step("text-state", (column,), (len(rows), len(rows)), 1)
            counts = {text: len(held) for text, held in places.items()}
            steps.append(step.model_copy(update={"states": counts}))
        self.table = replace(self.table, places={}, states={})
        return steps

    def _empty(
        self, kind: str, place: tuple[str, str], rows: Ints, number: int
    ) -> list[Step]:
        """Empty cells of a tag (first of ``place``) in a column (second)."""
        tag, column = place
        series = self.table.frame[column]
        rows = rows[series.is_not_null().to_numpy()[rows]]
        if not len(rows):
            return []
        mask = np.zeros(len(series), dtype=bool)
        mask[rows] = True
        emptied = series.set(pl.Series(mask), None)
        self._frame(self.table.frame.with_columns(emptied))
        self._note_empty(column, rows)
        return [_step(kind, (tag,), (len(rows), len(rows)), number)]

    def _drop(self, rows: Ints, number: int) -> list[Step]:
        keep = np.ones(self.table.frame.height, dtype=bool)
        keep[rows] = False
        self._take(np.flatnonzero(keep))
        return [_step("duplicate-row", (), (len(rows), 0), number)]

    def _sort(self, sheet: Sheet, mends: Sequence[Mend], number: int) -> list[Step]:
        """Put the rows of each unit in order of time, on the places that they have."""
        units = [m.rows for m in mends if m.kind == "backward-time"]
        if not units or sheet.us is None or sheet.elapsed:
            return []
        order = np.arange(sheet.rows)
        for rows in units:
            known = np.sort(rows[sheet.us[rows] != NO_TIME])
            order[known] = known[np.argsort(sheet.us[known], kind="stable")]
        moved = int((order != np.arange(sheet.rows)).sum())
        if not moved:
            return []
        self._take(order)
        return [_step("backward-time", (), (moved, 0), number)]

    def _merge(self, sheet: Sheet, number: int) -> list[Step]:
        """Merge rows of one time and unit, if no column has two different values."""
        groups = _same_time(sheet)
        if not len(groups):
            return []
        frame = self.table.frame[groups["row"]].with_columns(
            groups["key"].alias("\0key")
        )
        columns = self.table.frame.columns
        told = frame.group_by("\0key", maintain_order=True).agg(
            [pl.col(c).drop_nulls().n_unique().alias(f"\0n{c}") for c in columns]
            + [
                pl.col(c).is_not_null().cast(pl.UInt8).arg_max().alias(f"\0i{c}")
                for c in columns
            ]
        )
        counts = told.select(pl.col("^\0n.*$")).to_numpy()
        agreed = (counts <= 1).all(axis=1)
        members = (
            groups.group_by("key", maintain_order=True).agg("row")["row"].to_list()
        )
        gone: list[int] = []
        taken: dict[str, list[tuple[int, int]]] = {}
        for i in np.flatnonzero(agreed):
            rows = members[i]
            gone += rows[1:]
            for c, name in enumerate(columns):
                place = told[f"\0i{name}"][int(i)]
                if counts[i, c] == 1 and place:
                    taken.setdefault(name, []).append((rows[0], rows[place]))
        if not gone:
            return []
        for name, pairs in taken.items():
            self._fill(name, np.asarray(pairs, dtype=np.int64))
        self._drop(np.asarray(gone, dtype=np.int64), number)
        cells = sum(map(len, taken.values()))
        return [_step("duplicate-time", (), (len(gone), cells), number)]

    def _fill(self, column: str, pairs: Ints) -> None:
        """Take cells (first of each pair) from other rows of the same time (second)."""
        source = np.arange(self.table.frame.height)
        source[pairs[:, 0]] = pairs[:, 1]
        series = self.table.frame[column][source]
        self._frame(self.table.frame.with_columns(series.alias(column)))
        held = self.edits.fill.setdefault(column, {})
        for row, by in self.edits.rows[pairs].tolist():
            held[row] = held.get(by, by)

    def _note_empty(self, column: str, rows: Ints) -> None:
        at = self.edits.rows[rows]
        held = self.edits.empty.get(column, np.zeros(0, dtype=np.int64))
        self.edits.empty[column] = np.union1d(held, at)
        for row in at.tolist():
            self.edits.fill.get(column, {}).pop(row, None)

    def _take(self, rows: Ints) -> None:
        self.edits.rows = self.edits.rows[rows]
        self._frame(self.table.frame[rows])

    def _frame(self, frame: pl.DataFrame) -> None:
        self.table = replace(
            self.table, frame=frame, lines=frame.height, flags={}, missing_words={}
        )


def _by_tag(mends: Sequence[Mend]) -> dict[str, Ints]:
    """Return tag -> all rows that mends name of it."""
    wanted: dict[str, list[Ints]] = {}
    for mend in mends:
        for tag in mend.tags:
            wanted.setdefault(tag, []).append(mend.rows)
    return {tag: np.unique(np.concatenate(parts)) for tag, parts in wanted.items()}


def _lines_of(frame: pl.DataFrame, sheet: Sheet, tag: str, rows: Ints) -> Ints:
    """Return the lines that hold a tag's values of these rows: same tag, time, value."""
    series = next((s for s in sheet.series if s.tag == tag), None)
    if series is None or sheet.us is None:
        return np.zeros(0, dtype=np.int64)
    wanted = pl.DataFrame({"us": sheet.us[rows], "value": series.values[rows]})
    mine = frame.filter(pl.col("tag") == tag)
    on = ["us", "value"] if mine["value"].dtype == pl.Float64 else ["us"]
    found = mine.join(wanted.unique(on), on=on, how="semi")
    return found["row"].cast(pl.Int64).to_numpy()


def _step(
    kind: str, tags: tuple[str, ...], counts: tuple[int, int], number: int
) -> Step:
    return Step(
        kind=kind,
        what=SAID[kind],
        tags=tags,
        rows=counts[0],
        cells=counts[1],
        round=number,
    )


def _same_time(sheet: Sheet) -> pl.DataFrame:
    """Return rows (``row``) that share time and unit with another, under one ``key``."""
    if sheet.us is None:
        return pl.DataFrame({"row": [], "key": []})
    unit = sheet.group if sheet.group is not None else np.zeros(sheet.rows, dtype="<U1")
    frame = pl.DataFrame({"us": sheet.us, "unit": unit.tolist()}).with_row_index("row")
    frame = frame.with_columns(pl.col("row").cast(pl.Int64))
    frame = frame.filter(pl.col("us") != NO_TIME)
    several = frame.filter(pl.len().over("us", "unit") > 1)
    key = several.select(pl.struct("us", "unit").rank("dense").alias("key"))
    return several.select("row").hstack(key).sort("key", "row")
