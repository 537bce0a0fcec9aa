"""How the files of a data set become typed tables, pictures, texts and instances.

An entry says under ``load`` what it holds, by name. Separators, decimal signs, titles
above a header and packed files are found by the readers of the data room; what stands
here is what no file says of itself: names, roles, units, and how much there must be.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from tundish.catalog.tasks import Text
from tundish.kernel.records import Record

Role = Literal[
    "time", "unit", "batch", "setting", "signal", "target", "label", "text", "key"
]
Kind = Literal["number", "whole", "text", "time"]
Count = Annotated[int, Field(gt=0)]
# strict JSON arrays do not pass through a validator that runs before
Loose = Annotated[tuple[Text, ...], Field(strict=False)]

_KINDS: dict[Role, Kind] = {
    "time": "time",
    "unit": "text",
    "batch": "text",
    "label": "text",
    "text": "text",
    "key": "text",
}


class Column(Record):
    """One column of a table.

    Attributes:
        name: Its name in the loaded table.
        found: Its name in the file, if that is another one.
        role: What it is for. ``unit`` names the machine, ``batch`` the batch or lot,
            ``setting`` is chosen by people, ``key`` names the row.
        kind: Numbers, whole numbers, texts or moments; by the role if absent.
        unit: Of measurement; absent if its maker does not state one.
        stray: Texts that stand among its numbers and are read as missing.
    """

    name: Text
    found: Text | None = None
    role: Role = "signal"
    kind: Kind | None = None
    unit: Text | None = None
    meaning: Text | None = None
    stray: Loose = ()

    @property
    def holds(self) -> Kind:
        """What its cells are."""
        return self.kind or _KINDS.get(self.role, "number")


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


Listed = Annotated[Column, BeforeValidator(_named)]


class Rest(Record):
    """The columns that are not named one by one, such as those of a spectrum.

    Attributes:
        count: How many there must be.
        names: Pattern with ``{}`` for ``first``, ``first + step``, ...; the names of
            the file if absent.
    """

    count: Count
    names: Annotated[Text, Field(pattern=r"\{\}")] | None = None
    first: float = 1
    step: float = 1
    role: Role = "signal"
    kind: Kind | None = None
    unit: Text | None = None
    meaning: Text | None = None
    stray: tuple[Text, ...] = ()

    def column(self, place: int, found: str) -> Column:
        """Return the column at a place, counted from 0."""
        number = f"{self.first + place * self.step:g}"
        return Column(
            name=self.names.replace("{}", number) if self.names else found,
            found=found,
            role=self.role,
            kind=self.kind,
            unit=self.unit,
            meaning=self.meaning,
            stray=self.stray,
        )


class FromName(Record):
    """A column whose value is the same in each file, and stands in the file's name.

    Attributes:
        name: Of the column.
        pattern: Searched in the path (and in the part, after ``#``); the first group
            is the value.
        after_rows: For a label that begins later: rows of each file that have ``before``
            instead.
    """

    name: Text
    pattern: Annotated[Text, Field(pattern=r"\(")]
    role: Role = "batch"
    after_rows: Annotated[int, Field(ge=0)] = 0
    before: Text | None = None
    meaning: Text | None = None

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.after_rows > 0) != (self.before is not None):
            msg = "give after_rows and before, or neither"
            raise ValueError(msg)
        return self


class Files(Record):
    """Which files.

    Attributes:
        files: Paths, or patterns such as ``valve1/*.csv``.
        many: How many files there must be; one if absent.
        about: What they hold, in a few words.
    """

    files: Annotated[tuple[Text, ...], Field(min_length=1)]
    many: Count = 1
    about: Text | None = None


class Tabular(Files):
    """Rows and columns: a file, or files with the same columns one below the other.

    Attributes:
        part: Sheet, variable or member, or a pattern for several, if a file has them.
        by: ``name`` if columns are found by the names in the file, ``place`` if by their
            order, which files without a header need.
        transposed: The file has a line for each column.
        words: Cells are read as they are written: ``007`` and ``missing`` are texts.
        missing: Numbers that stand for nothing, such as -999.
        columns: Those that are named. A mere text is the name of a signal.
        rest: The others; without it there must be none.
        file_columns: Values that stand in the names of the files.
        rows: How many records there must be.
        time_zone: Of times without an offset.
    """

    part: Text | None = None
    by: Literal["name", "place"] = "name"
    transposed: bool = False
    words: bool = False
    missing: tuple[float, ...] = ()
    columns: tuple[Listed, ...] = ()
    rest: Rest | None = None
    file_columns: tuple[FromName, ...] = ()
    rows: Count
    time_zone: Text = "UTC"

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [column.name for column in self.columns]
        names += [column.name for column in self.file_columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            msg = f"columns: {twice[0]!r} stands twice"
            raise ValueError(msg)
        if not self.columns and self.rest is None:
            msg = "columns: give columns or rest"
            raise ValueError(msg)
        return self


class TableForm(Tabular):
    """A table of measurements, results or facts."""

    kind: Literal["table"]


class LogForm(Tabular):
    """An event log: a table with a row for each event of a case.

    Attributes:
        case, activity, start: Names of columns.
        end, resource: The same, if there are any.
    """

    kind: Literal["log"]
    case: Text
    activity: Text
    start: Text
    end: Text | None = None
    resource: Text | None = None

    @model_validator(mode="after")
    def _there(self) -> Self:
        names = {column.name for column in self.columns}
        for said in (self.case, self.activity, self.start, self.end, self.resource):
            if said is not None and said not in names:
                msg = f"columns: {said!r} is not among them"
                raise ValueError(msg)
        return self


class StreamForm(Files):
    """A recording of tags in one long table of time, tag and value (MTConnect SHDR).

    Attributes:
        described: The device's description, which has the units.
        rows: How many values there must be.
    """

    kind: Literal["stream"]
    described: Text | None = None
    rows: Count


class PictureForm(Files):
    """A folder of pictures.

    Attributes:
        label: Where the class of a picture stands: in its ``folder``, in its ``name`` (by
            ``pattern``), in ``boxes`` beside it, or nowhere.
        pattern: Searched in the path; the first group is the class.
        group: Searched in the path; the first group is the lot, board or shift.
        templates: Pattern of the pictures that others are compared with.
        kinds: The number or word in a box file -> what it means.
        width, height: In pixels, if all pictures have the same.
    """

    kind: Literal["pictures"]
    label: Literal["folder", "name", "boxes", "none"]
    pattern: Annotated[Text, Field(pattern=r"\(")] | None = None
    group: Annotated[Text, Field(pattern=r"\(")] | None = None
    templates: Text | None = None
    kinds: dict[Text, Text] = Field(default_factory=dict)
    width: Count | None = None
    height: Count | None = None

    @model_validator(mode="after")
    def _patterned(self) -> Self:
        if (self.label == "name") != (self.pattern is not None):
            msg = "pattern: label: name needs it, and nothing else"
            raise ValueError(msg)
        return self


class TextForm(Files):
    """Texts, or questions with their answers: JSON, JSON lines or a table.

    Attributes:
        rows: How many there must be.
        answered: Each must have a right option or an answer.
    """

    kind: Literal["texts"]
    rows: Count
    answered: bool = False


class InstanceForm(Files):
    """Problems of scheduling: flexible or plain job shops, and what is known of them.

    Attributes:
        bounds: JSON list of ``path`` (or ``name``), ``jobs``, ``machines``, ``optimum``
            and ``bounds``.
        doubted: Files of which that list says nothing, or what cannot be; they have no
            bounds.
        problems: How many problems there must be, if a file holds several.
    """

    kind: Literal["instances"]
    bounds: Text | None = None
    doubted: tuple[Text, ...] = ()
    problems: Count | None = None


SetForm: TypeAlias = Annotated[
    TableForm | LogForm | StreamForm | PictureForm | TextForm | InstanceForm,
    Field(discriminator="kind"),
]
