"""A table as it was read, with what was assumed on the way, in words."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tundish.kernel.records import Record


class Assumption(Record):
    """Something that was taken for granted, why, and how to say otherwise."""

    what: str
    why: str
    otherwise: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of columns: numbers (``Float64``), texts and times.

    Attributes:
        name: The file's name.
        frame: Its columns. Numbers are ``Float64`` with nulls for what was empty or no
            number; what could not be read as numbers stays ``String``.
        part: Which of several tables of the file it is: a sheet, a member of an
            archive, a variable; empty if it is the only one.
        unit: Column that names the machine or batch, if known from how the table was
            put together; empty if not.
        units: Column -> unit, where the header or a units row names one.
        states: Column -> text -> count, for texts that stood in a column of numbers
            ("Bad Input", "Shutdown") and were turned to nulls.
        missing_words: Column -> how many cells held a word for "no value" (NaN, -).
        dropped: Line numbers (from 1) of lines that had another number of fields.
        first_line: Line number of the first record in the file; 0 if it has no lines.
        lines: Records that were found, dropped ones included.
        assumptions: What was assumed.
        places: Column -> text -> rows (from 0) of the texts counted in ``states``.
        flags: Column -> word of a quality column -> rows whose value it made empty.
    """

    name: str
    frame: pl.DataFrame
    part: str = ""
    unit: str = ""
    units: dict[str, str] = field(default_factory=dict)
    states: dict[str, dict[str, int]] = field(default_factory=dict)
    missing_words: dict[str, int] = field(default_factory=dict)
    dropped: tuple[int, ...] = ()
    first_line: int = 0
    lines: int = 0
    assumptions: tuple[Assumption, ...] = ()
    places: dict[str, dict[str, NDArray[np.int64]]] = field(default_factory=dict)
    flags: dict[str, dict[str, NDArray[np.int64]]] = field(default_factory=dict)

    @property
    def unreadable_share(self) -> float:
        """Share of records that were dropped because they could not be read."""
        return len(self.dropped) / max(1, self.lines)
