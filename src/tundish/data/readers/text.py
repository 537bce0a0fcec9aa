"""Text tables: CSV and its relatives."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from tundish.data import cells, encodings
from tundish.data.errors import TableUnreadableError
from tundish.data.header import Header, find_header
from tundish.data.readers.size import limit_bytes, limit_cells
from tundish.data.readers.values import valued, without_empty
from tundish.data.records import NAMES, SEPARATOR_LINE, Records, cut, is_number
from tundish.data.table import Assumption, Table


class TextReader:
    """A text table: CSV and its relatives."""

    name = "text table"
    alone_above = None

    def claims(self, name: str, head: bytes) -> bool:  # noqa: ARG002  (the last resort)
        """Claim everything: it is asked last and says what is wrong."""
        return True

    def read(self, path: Path, name: str) -> Sequence[Table]:
        """Read the text."""
        limit_bytes(name, path.stat().st_size)
        return [read_text(path.read_bytes(), name)]


def read_text(data: bytes, name: str) -> Table:
    """Read the bytes of a text table.

    Raises:
        TableUnreadableError: if they are no table.
    """
    text, encoding = encodings.to_utf8(data, name)
    records = cut(text, name)
    header = find_header(records)
    if records.count <= header.rows:
        msg = f"{name} has a header line and no record below it."
        raise TableUnreadableError(msg)
    limit_cells(name, records.count, records.fields)
    frame = _frame(records, header, name)
    comma = cells.decimal_comma(frame)
    said = (*_form(encoding, records, comma=comma), *header.assumptions)
    frame, empty = without_empty(frame)
    table = valued(name, frame, comma=comma)
    return Table(
        name=name,
        frame=table.frame,
        units=header.units,
        states=table.states,
        missing_words=table.missing_words,
        dropped=records.dropped,
        first_line=records.first_line + header.rows,
        lines=records.count - header.rows + len(records.dropped),
        assumptions=(*said, *empty),
        places=table.places,
    )


def read_words(data: bytes, name: str) -> Table:
    """Read a text table with each cell as it is written, for texts and dictionaries.

    There "missing" is a word and "007" a name; in a table of values they are not.

    Raises:
        TableUnreadableError: if the bytes are no table.
    """
    text, encoding = encodings.to_utf8(data, name)
    records = cut(text, name)
    header = find_header(records)
    if records.count <= header.rows:
        msg = f"{name} has a header line and no record below it."
        raise TableUnreadableError(msg)
    limit_cells(name, records.count, records.fields)
    try:
        frame = _parsed(records, header, {})
    except pl.exceptions.PolarsError as error:
        reason = str(error).split("\n", maxsplit=1)[0][:120]
        msg = f"{name} cannot be read as a table ({reason})."
        raise TableUnreadableError(msg) from error
    return Table(
        name=name,
        frame=frame,
        dropped=records.dropped,
        first_line=records.first_line + header.rows,
        lines=records.count - header.rows + len(records.dropped),
        assumptions=(*_form(encoding, records, comma=False), *header.assumptions),
    )


def _frame(records: Records, header: Header, name: str) -> pl.DataFrame:
    """Parse the records; columns that begin as numbers are tried as numbers first."""
    rows = max(20, min(200, 50_000 // records.fields))
    top = records.first(header.rows + rows)[header.rows :]
    numbers = {
        column: pl.Float64()
        for i, column in enumerate(header.names)
        if all(not row[i] or _plain_number(row[i]) for row in top)
    }
    try:
        return _parsed(records, header, numbers)
    except pl.exceptions.PolarsError:
        pass
    try:
        return _parsed(records, header, {})
    except pl.exceptions.PolarsError as error:
        reason = str(error).split("\n", maxsplit=1)[0][:120]
        msg = f"{name} cannot be read as a table ({reason})."
        raise TableUnreadableError(msg) from error


def _plain_number(cell: str) -> bool:
    return "," not in cell and is_number(cell)


def _parsed(
    records: Records, header: Header, numbers: dict[str, pl.Float64]
) -> pl.DataFrame:
    return pl.read_csv(
        io.BytesIO(records.body),
        has_header=False,
        skip_rows=header.rows,
        separator=records.separator,
        quote_char='"' if records.quoted else None,
        schema={name: numbers.get(name, pl.String()) for name in header.names},
    )


def _form(encoding: str, records: Records, *, comma: bool) -> tuple[Assumption, ...]:
    separator = "spaces" if records.spaced else NAMES[records.separator]
    if records.fields == 1:
        separator = "nothing (one column)"
    decimal = "comma" if comma else "point"
    said = [
        Assumption(
            what=f"{encoding} text, fields separated by {separator}, decimal {decimal}",
            why=f"so almost all lines have {records.fields} fields",
            otherwise="export the file again as UTF-8 with commas, or as Parquet",
        )
    ]
    if records.preamble:
        said.append(
            Assumption(
                what=f"the first {len(records.preamble)} lines are a preamble",
                why=_why_preamble(records),
                otherwise="remove them, or put their content into the header line",
            )
        )
    return tuple(said)


def _why_preamble(records: Records) -> str:
    if SEPARATOR_LINE.fullmatch(records.preamble[0].encode()):
        return "it begins with the line by which spreadsheets name a separator"
    return f"they do not have {records.fields} fields"
