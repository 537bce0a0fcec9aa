"""The site profile: binds one scenario to one plant. One scenario, forty sites.

It says which file holds what, which of the plant's tags is which signal, how local
time is to be read, when the machine runs, and which stretch is used for what.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from tundish.catalog.errors import ConditionInvalidError
from tundish.catalog.expression import compile_condition
from tundish.catalog.pictures import Pictures
from tundish.catalog.scenario import Key, Name, Range
from tundish.catalog.tasks import Label, Text
from tundish.kernel.clock import is_zone
from tundish.kernel.records import Record

Part = Literal["fit", "select", "calibrate", "judge"]


class Clock(Record):
    """Time that a table does not carry as text: a start and a step.

    Attributes:
        start: Moment of the first row, or of zero in a column of elapsed time.
        every_s: Seconds from row to row (no time column needed).
        column: A column of elapsed time in ``unit`` since ``start``.
    """

    start: AwareDatetime
    every_s: Annotated[float, Field(gt=0)] | None = None
    column: Text | None = None
    unit: Literal["s", "min", "h", "d"] = "s"

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.every_s is None) == (self.column is None):
            msg = "give either every_s or column"
            raise ValueError(msg)
        return self


class TargetSource(Record):
    """Where the truth is: laboratory values, classes, remaining lives, later values.

    Attributes:
        by: ``row`` if line n belongs to row n of the signals; ``time`` if each value
            belongs to the signals within ``within_s`` of its time; ``unit-end`` if each
            unit ran until it failed, so that the rows left are the truth (rul; no
            file); ``unit-last`` if line n is the truth at the last row of the n-th unit;
            ``table`` if all rows of the table are of one class (a file for each fault).
        scale: Factor from the file's unit (from rows, for ``unit-end``) to the
            scenario's.
        classes: The file's value -> the scenario's class (diagnose, inspect). Rows with
            any other value have no label.
        label: The scenario's class of the whole table (``by: table``).
    """

    file: Text | None = None
    column: Text | None = None
    by: Literal["row", "time", "unit-end", "unit-last", "table"]
    time_column: Text | None = None
    clock: Clock | None = None
    within_s: Annotated[float, Field(gt=0)] | None = None
    scale: float = 1.0
    classes: dict[Text, Label] = Field(default_factory=dict)
    label: Label | None = None

    @model_validator(mode="after")
    def _timed(self) -> Self:
        if (self.by in {"unit-end", "table"}) != (self.file is None) or (
            (self.file is None) != (self.column is None)
        ):
            msg = "give file and column, or by: unit-end or by: table without them"
            raise ValueError(msg)
        if (self.by == "table") != (self.label is not None):
            msg = "by: table needs label, the class of all its rows"
            raise ValueError(msg)
        if self.by == "time" and self.within_s is None:
            msg = "by: time needs within_s"
            raise ValueError(msg)
        if self.by == "time" and (self.time_column is None) == (self.clock is None):
            msg = "by: time needs either time_column or clock"
            raise ValueError(msg)
        return self


class Table(Record):
    """One file of signals.

    Attributes:
        file: Its name; of a file with several tables (the sheets of a workbook, named
            parts of a JSON file) one is named behind a ``#``, as in ``book.xlsx#May``.
        transposed: The file has one line for each signal and one column for each row.
    """

    file: Text
    transposed: bool = False
    time_column: Text | None = None
    clock: Clock | None = None
    unit_column: Text | None = None
    target: TargetSource | None = None

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        if self.time_column is not None and self.clock is not None:
            msg = "give either time_column or clock"
            raise ValueError(msg)
        return self


class Tag(Record):
    """Which of the plant's columns a signal is.

    Attributes:
        column: The plant's name of the column, for a signal with one channel.
        columns: ``numeric`` for a spectrum whose columns are named by their axis
            values, with or without the axis's unit (``900 nm``); a prefix such as
            ``NIR_`` if the names start with it; ``first..last`` for the columns from
            one to another as the file has them; ``all`` for all columns of the tag's
            own file, in their order.
        file: A file of its own for this signal, row by row beside the table's.
        scale, offset: signal = scale * plant's value + offset (unit conversion).
        unit: The plant's unit, converted to the scenario's; instead of ``scale``.
        values: The plant's word -> its number, for a column of words such as the maker
            of a motor; a word that is not among them is missing. The words are chosen
            by the site, so that their numbers stand in an order that means something.
        range: The instrument's own range, if narrower than the scenario's.
        clip: Values at which the instrument saturates, if known.
        known_after_s: Seconds by which a value is known later than the file says, such
            as an analysis that stands under the time of its sample. Each row then has
            the newest value that was known at its time, as on the line.
    """

    column: Text | None = None
    columns: Text | None = None
    file: Text | None = None
    scale: float = 1.0
    offset: float = 0.0
    unit: Text | None = None
    values: dict[Text, float] = Field(default_factory=dict)
    range: Range | None = None
    clip: Range | None = None
    known_after_s: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.column is None) == (self.columns is None):
            msg = "give either column or columns"
            raise ValueError(msg)
        if self.unit is not None and (self.scale, self.offset) != (1.0, 0.0):
            msg = "give either unit or scale and offset"
            raise ValueError(msg)
        if self.values and (
            self.column is None
            or self.unit is not None
            or (self.scale, self.offset) != (1.0, 0.0)
        ):
            msg = "values are the numbers themselves: give them with column alone"
            raise ValueError(msg)
        return self


class Use(Record):
    """One stretch of one table and what it is used for.

    Stretches of a table follow each other in time; ``share`` takes that share of
    the labelled rows (of all rows if there are no labels) that are left by no
    earlier stretch, counted over the whole table; without ``share`` the rest.
    """

    part: Part
    table: Name
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    start: AwareDatetime | None = None
    end: AwareDatetime | None = None


class Blocks(Record):
    """Batches that no column names: runs of rows whose values in some columns stay the same.

    In an experiment whose conditions are set one after the other, the rows of one
    setting are alike: they belong into one part together.

    Attributes:
        columns: A row begins a block if one of them differs from the row before.
        anywhere: Rows with the same values belong together wherever they stand: the
            replicates of one setting, or copies of one row.
        file: A file of their own, row by row beside the table's.
    """

    columns: Annotated[tuple[Text, ...], Field(min_length=1)]
    anywhere: bool = False
    file: Text | None = None


class Event(Record):
    """A marked stretch in which something was wrong: the truth for ``judge``."""

    start: AwareDatetime
    end: AwareDatetime
    kind: Text
    marked_by: Text


class Shift(Record):
    """One shift of the calendar, in local time."""

    name: Text
    start: Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    hours: Annotated[float, Field(gt=0, le=24)]


class SiteProfile(Record):
    """One plant's binding of one scenario; see the module.

    Attributes:
        batch_column: Names the batch of each row; a batch is never cut.
        blocks: Batches by runs of equal values, instead of ``batch_column``.
        order: In which order ``uses`` take batches. ``time``: as they came. ``mixed``: in
            an order that is fixed by their names and has nothing to do with time, and a
            ``share`` is one of batches; for an experiment in which each stretch of time
            lacks some condition. It says nothing about later time, so a plant in use
            is judged by ``time``.
        tables, tags, uses: Files of signals, and what they are used for.
        pictures: A folder of pictures instead of them (inspect).
    """

    format: Literal["tundish.site"]
    version: Literal[1]
    scenario: Key
    site: Text
    time_zone: Text = "UTC"
    tables: dict[Name, Table] = Field(default_factory=dict)
    tags: dict[Name, Tag] = Field(default_factory=dict)
    uses: tuple[Use, ...] = ()
    pictures: Pictures | None = None
    events: tuple[Event, ...] = ()
    running: Text | None = None
    shifts: tuple[Shift, ...] = ()
    batch_column: Text | None = None
    blocks: Blocks | None = None
    order: Literal["time", "mixed"] = "time"

    @property
    def batched(self) -> bool:
        """Whether rows come in batches that must not be cut."""
        return self.batch_column is not None or self.blocks is not None

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if bool(self.tables) == (self.pictures is not None):
            msg = "tables: give either tables (with tags) or pictures"
            raise ValueError(msg)
        if self.pictures is not None and (self.tags or self.uses):
            msg = "pictures: they have no tags, and uses of their own"
            raise ValueError(msg)
        if not is_zone(self.time_zone):
            msg = f"time_zone: {self.time_zone!r} is not an IANA zone such as Asia/Shanghai"
            raise ValueError(msg)
        if self.running is not None:
            try:
                compile_condition(self.running)
            except ConditionInvalidError as error:
                msg = f"running: {error.message}"
                raise ValueError(msg) from error
        named = any(table.unit_column for table in self.tables.values())
        if self.blocks is not None and (named or self.batch_column is not None):
            msg = "blocks: give either blocks or a column that names units or batches"
            raise ValueError(msg)
        if self.blocks is not None and self.blocks.anywhere and self.order == "time":
            msg = "blocks.anywhere: rows of one setting that stand apart have no order of time; give order: mixed"
            raise ValueError(msg)
        if self.order == "mixed" and not self.batched:
            msg = "order: only batches (batch_column, blocks) can be mixed; single rows would stand in fit beside their neighbours in judge"
            raise ValueError(msg)
        unknown = sorted({use.table for use in self.uses} - set(self.tables))
        if unknown:
            msg = f"uses: the table {unknown[0]!r} is not among tables"
            raise ValueError(msg)
        return self
