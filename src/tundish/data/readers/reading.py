"""Read a file with the reader that claims it, and choose among several tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tundish.data.errors import SheetMissingError, TableUnreadableError
from tundish.data.readers.confine import read_alone
from tundish.data.readers.reader import HEAD_BYTES, Reader, readers
from tundish.data.table import Assumption, Table
from tundish.kernel import paths

_NAMED = 8


def read_table(
    path: Path, *, sheet: str | None = None, readers: Sequence[Reader] | None = None
) -> Table:
    """Read a file into one table: the one named, else the one with most values.

    Args:
        path: The file. Untrusted: any bytes.
        sheet: Name of the sheet, member or variable, if the file has several tables.
        readers: Readers to ask, first come first served; the installed ones if absent.

    Raises:
        SheetMissingError: if no table has the name, and all that ``read_tables`` raises.
    """
    found = read_tables(path, readers=readers)
    if sheet is not None:
        return choose(found, sheet, path.name)
    return found[0] if len(found) == 1 else _largest(found)


def read_tables(path: Path, *, readers: Sequence[Reader] | None = None) -> list[Table]:
    """Read every table of a file: the sheets of a workbook, the members of an archive.

    Args:
        path: The file. Untrusted: any bytes.
        readers: Readers to ask, first come first served; the installed ones if absent.

    Returns:
        At least one table, each with a record; if several, each with its ``part``.

    Raises:
        PathMissingError: if there is no such file.
        TableUnreadableError: if no reader can make a table of it.
        TableTooLargeError: if it is above the limits of the readers.
        ArchiveUnsafeError: if it is an archive that cannot be read safely.
    """
    return read_named(paths.existing_file(path), path.name, readers)


def read_named(
    path: Path,
    name: str,
    asked: Iterable[Reader] | None = None,
    *,
    kind_of: str | None = None,
) -> list[Table]:
    """Read every table of a file that people call by another name; see ``read_tables``.

    ``kind_of`` is the name that tells its kind, if that is another still.
    """
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    for reader in asked or readers():
        if reader.claims(kind_of or name, head):
            above = reader.alone_above
            alone = above is not None and path.stat().st_size >= above
            read = read_alone(reader, path, name) if alone else reader.read(path, name)
            return _sized(read, name)
    msg = f"{name} is of no kind that can be read as a table."
    raise TableUnreadableError(msg)


def _sized(tables: Sequence[Table], name: str) -> list[Table]:
    kept = [table for table in tables if table.frame.height and table.frame.width]
    if not kept:
        msg = f"{name} has no record."
        raise TableUnreadableError(msg)
    return kept


def choose(found: Sequence[Table], sheet: str, name: str) -> Table:
    """Return the table of ``name`` whose ``part`` has a name, or ends in it.

    Raises:
        SheetMissingError: if none has; names those there are.
    """
    wanted = sheet.casefold().strip()
    for fits in (str.__eq__, str.endswith):
        for table in found:
            if fits(table.part.casefold(), wanted):
                return table
    have = ", ".join(table.part[:60] or "(one without a name)" for table in found[:20])
    msg = f"{name} has no table {sheet!r}; it has {have}."
    raise SheetMissingError(msg)


def _largest(found: list[Table]) -> Table:
    best = max(found, key=_values)
    others = [
        f"{t.part} ({t.frame.height:,} x {t.frame.width})"
        for t in found
        if t is not best
    ]
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    said = Assumption(
        what=f"{best.part} was read, one of {len(found)} tables in the file",
        why=f"it holds the most values; the others are {', '.join(others[:_NAMED])}{more}",
        otherwise="name another with --sheet",
    )
    return replace(best, assumptions=(said, *best.assumptions))


def _values(table: Table) -> int:
    nulls = sum(series.null_count() for series in table.frame.get_columns())
    return table.frame.height * table.frame.width - nulls
