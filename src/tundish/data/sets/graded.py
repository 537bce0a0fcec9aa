"""A loaded table as the grader takes it: numbers as floats, roles by name."""

from __future__ import annotations

import polars as pl

from tundish.catalog.datasets import DatasetEntry, GradeHint
from tundish.data.grade.file import Task
from tundish.data.roles import Named
from tundish.data.sets.loaded import LoadedTable
from tundish.data.table import Table

_TASKS: dict[str, Task] = {"regress": "regress", "diagnose": "diagnose"}


def as_table(loaded: LoadedTable) -> Table:
    """Return a loaded table for the grader, with its units."""
    frame = loaded.frame.with_columns(pl.col(pl.Int64).cast(pl.Float64))
    if loaded.kind == "stream":
        frame = frame.drop("number")  # the grader turns tags into columns itself
    return Table(
        name=loaded.name,
        part=loaded.name,
        frame=frame,
        units=loaded.units,
        lines=frame.height,
        assumptions=loaded.assumptions,
    )


def named_in(loaded: LoadedTable, entry: DatasetEntry) -> Named:
    """Return the roles of a table's columns: as hinted, else as its columns say.

    A role that several columns have is left to the grader, but for the batch or machine:
    there the first is taken.
    """
    hint = entry.grade if entry.grade and entry.grade.part == loaded.name else None
    target = _hinted(hint, "target") or _only(loaded.of_role("target"))
    units = loaded.of_role("unit", "batch")
    return Named(
        time=_hinted(hint, "time") or _only(loaded.of_role("time")),
        unit=_hinted(hint, "unit") or (units[0] if units else None),
        target=target,
        task=_TASKS.get(entry.task) if target else None,
    )


def _hinted(hint: GradeHint | None, role: str) -> str | None:
    found: str | None = getattr(hint, role) if hint else None
    return found


def _only(names: list[str]) -> str | None:
    return names[0] if len(names) == 1 else None
