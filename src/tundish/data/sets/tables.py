"""Make a typed table of the files that a form names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import polars as pl

from tundish.catalog.setforms import Column, FromName, LogForm, Tabular
from tundish.data import truths
from tundish.data.errors import SetUnfitError
from tundish.data.readers import read_tables
from tundish.data.readers.text import read_words
from tundish.data.sets.cells import typed
from tundish.data.sets.found import find_files
from tundish.data.sets.loaded import LoadedTable
from tundish.data.table import Assumption, Table
from tundish.kernel.errors import TundishError


def load_table(name: str, form: Tabular, root: Path) -> LoadedTable:
    """Read the files of a table, name and type their columns, and check them.

    Args:
        name: Of the table in the entry.
        form: What the entry says of it.
        root: Folder of the set. Untrusted: any files.

    Raises:
        SetUnfitError: if anything is not as the form says; names file and column.
        TableUnreadableError, TableTooLargeError, ArchiveUnsafeError: from the readers.
    """
    files = find_files(form, root, name)
    pieces: list[pl.DataFrame] = []
    columns: tuple[Column, ...] = ()
    said: list[Assumption] = []
    for place, path in files:
        for table in _read(form, place, path):
            columns, frame = _typed(table, form)
            pieces.append(_with_names(frame, form.file_columns, table.part or place))
            said += table.assumptions
    frame = pl.concat(pieces)
    frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))
    if frame.height != form.rows:
        msg = f"{name} has {frame.height:,} records, and the entry says {form.rows:,}."
        raise SetUnfitError(msg)
    return LoadedTable(
        name=name,
        frame=frame,
        columns=(*columns, *map(_file_column, form.file_columns)),
        kind="log" if isinstance(form, LogForm) else "table",
        files=tuple(place for place, _ in files),
        assumptions=tuple(dict.fromkeys(said)),
    )


def _read(form: Tabular, place: str, path: Path) -> list[Table]:
    """Return the tables of one file that the form means, named for messages."""
    words = form.words
    tables = [read_words(path.read_bytes(), place)] if words else read_tables(path)
    if form.part is not None:
        kept = [t for t in tables if fnmatchcase(t.part, form.part)]
        if not kept:
            have = ", ".join(t.part or "(one without a name)" for t in tables[:8])
            msg = f"{place} has no table {form.part!r}; it has {have}."
            raise SetUnfitError(msg)
        return [_whole(replace(t, name=place, part=f"{place}#{t.part}")) for t in kept]
    if len(tables) > 1:
        msg = f"{place} holds {len(tables)} tables, and the entry does not say which (part)."
        raise SetUnfitError(msg)
    return [_whole(replace(tables[0], name=place, part=place))]


def _whole(table: Table) -> Table:
    if table.dropped:
        msg = f"{table.name} has {len(table.dropped)} lines with another number of fields, the first is line {table.dropped[0]}."
        raise SetUnfitError(msg)
    return table


def _typed(table: Table, form: Tabular) -> tuple[tuple[Column, ...], pl.DataFrame]:
    frame = _turned(table) if form.transposed else table.frame
    columns = _columns(table.name, frame.columns, form)
    series = [
        typed(table, frame[column.found or column.name], column, form)
        for column in columns
    ]
    return columns, pl.DataFrame(series)


def _turned(table: Table) -> pl.DataFrame:
    try:
        return truths.turned(table)
    except TundishError as error:
        raise SetUnfitError(error.message) from error


def _columns(name: str, found: Sequence[str], form: Tabular) -> tuple[Column, ...]:
    """Return what each column of a file is, with the name it has there."""
    if form.by == "place":
        return _by_place(name, found, form)
    named = {column.found or column.name: column for column in form.columns}
    absent = [have for have in named if have not in found]
    if absent:
        have = ", ".join(found[:8])
        more = f" and {len(found) - 8} more" if len(found) > 8 else ""
        msg = f"{name} lacks the column {', '.join(map(repr, absent[:4]))}; it has {have}{more}."
        raise SetUnfitError(msg)
    others = [have for have in found if have not in named]
    _check_rest(name, others, form)
    rest = form.rest
    beyond = (
        {have: rest.column(i, have) for i, have in enumerate(others)} if rest else {}
    )
    return tuple(
        named[have].model_copy(update={"found": have})
        if have in named
        else beyond[have]
        for have in found
    )


def _by_place(name: str, found: Sequence[str], form: Tabular) -> tuple[Column, ...]:
    fixed, rest = form.columns, form.rest
    wanted = len(fixed) + (rest.count if rest else 0)
    if len(found) != wanted:
        way = "; is it to be transposed?" if not form.transposed else ""
        msg = f"{name} has {len(found)} columns, and the entry says {wanted}{way}."
        raise SetUnfitError(msg.replace("?.", "?"))
    told = [
        c.model_copy(update={"found": f}) for c, f in zip(fixed, found, strict=False)
    ]
    others = found[len(fixed) :]
    more = [rest.column(i, f) for i, f in enumerate(others)] if rest else []
    return (*told, *more)


def _check_rest(name: str, others: Sequence[str], form: Tabular) -> None:
    many = form.rest.count if form.rest else 0
    if len(others) == many:
        return
    shown = ", ".join(map(repr, others[:4])) or "none"
    msg = f"{name} has {len(others)} columns beside those named ({shown}), and the entry says {many}."
    raise SetUnfitError(msg)


def _with_names(
    frame: pl.DataFrame, said: Sequence[FromName], place: str
) -> pl.DataFrame:
    """Add the columns whose value stands in the name of the file."""
    made = []
    for one in said:
        match = re.search(one.pattern, place)
        if match is None or match.group(1) is None:
            msg = (
                f"{place} has no {one.name} in its name: {one.pattern!r} finds nothing."
            )
            raise SetUnfitError(msg)
        early = min(one.after_rows, frame.height)
        values = [one.before] * early + [match.group(1)] * (frame.height - early)
        made.append(pl.Series(one.name, values, dtype=pl.String))
    return frame.with_columns(made)


def _file_column(one: FromName) -> Column:
    return Column(name=one.name, role=one.role, kind="text", meaning=one.meaning)
