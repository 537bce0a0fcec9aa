"""Read a table as plants write them: CSV in its many forms, Parquet, packed ones.

A reader is a small plug-in (``Reader``); the built-in ones stand in ``BUILT_IN``.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import polars as pl

from tundish.data import archive, cells, encodings
from tundish.data.errors import TableTooLargeError, TableUnreadableError
from tundish.data.header import Header, find_header, unit_in_name
from tundish.data.records import NAMES, Records, cut, is_number
from tundish.data.table import Assumption, Table
from tundish.kernel import paths

MAX_TEXT_BYTES = 2 * 1024**3
MAX_CELLS = 2_000_000_000
MAX_COLUMNS = 50_000
_BLOCK = 4 * 1024**2


class Reader(Protocol):
    """A way to read one kind of file."""

    @property
    def name(self) -> str:
        """Name of the kind, for people."""
        ...

    def claims(self, path: Path, head: bytes) -> bool:
        """Tell from the name and the first bytes whether it can read the file."""
        ...

    def read(self, path: Path) -> Table:
        """Read the file; raises ``TableUnreadableError`` if it cannot."""
        ...


def read_table(path: Path, *, readers: Sequence[Reader] | None = None) -> Table:
    """Read a file into a table.

    Args:
        path: The file. Untrusted: any bytes.
        readers: Readers to ask, first come first served; the built-in ones if absent.

    Raises:
        PathMissingError: if there is no such file.
        TableUnreadableError: if no reader can make a table of it.
        TableTooLargeError: if it is above the limits of this module.
        ArchiveUnsafeError: if it is a zip that cannot be read safely.
    """
    with paths.existing_file(path).open("rb") as stream:
        head = stream.read(4096)
    for reader in readers or BUILT_IN:
        if reader.claims(path, head):
            return _sized(reader.read(path))
    msg = f"{path.name} is of no kind that can be read as a table."
    raise TableUnreadableError(msg)


class ParquetReader:
    """Apache Parquet."""

    name = "Parquet"

    def claims(self, path: Path, head: bytes) -> bool:
        """Claim files with Parquet's mark or ending."""
        return head.startswith(b"PAR1") or path.suffix == ".parquet"

    def read(self, path: Path) -> Table:
        """Read all columns; texts become numbers where they are numbers."""
        try:
            size = pl.scan_parquet(path)
            rows = size.select(pl.len()).collect().item()
            columns = len(size.collect_schema())
            _limit(path.name, rows, columns)
            frame = pl.read_parquet(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            msg = f"{path.name} is no whole Parquet file."
            raise TableUnreadableError(msg) from error
        return _from_frame(path.name, frame)


class GzipReader:
    """A text table packed with gzip."""

    name = "gzip"

    def claims(self, path: Path, head: bytes) -> bool:
        """Claim files that begin with gzip's mark."""
        return head.startswith(b"\x1f\x8b") and path.suffix != ".RData"

    def read(self, path: Path) -> Table:
        """Unpack with a limit and read the text."""
        parts, size = [], 0
        try:
            with gzip.open(path) as stream:
                while block := stream.read(_BLOCK):
                    size += len(block)
                    _limit_text(path.name, size)
                    parts.append(block)
        except (OSError, EOFError, zlib.error) as error:
            msg = f"{path.name} is damaged: gzip says {error}."
            raise TableUnreadableError(msg) from error
        return read_text(b"".join(parts), path.name)


class ZipReader:
    """A zip archive that holds one text table."""

    name = "zip"

    def claims(self, path: Path, head: bytes) -> bool:
        """Claim zip archives that are no office documents."""
        if not head.startswith(b"PK\x03\x04"):
            return False
        return path.suffix.lower() not in {".xlsx", ".xlsm", ".docx", ".ods", ".npz"}

    def read(self, path: Path) -> Table:
        """Read the only file inside."""
        limits = archive.ArchiveLimits(member_bytes=MAX_TEXT_BYTES)
        with archive.opened(path, limits) as opened:
            names = archive.file_names(opened)
            if len(names) != 1:
                said = ", ".join(names[:5]) or "none"
                msg = (
                    f"{path.name} holds {len(names)} files ({said}); one was expected."
                )
                raise TableUnreadableError(msg)
            data = archive.read_member(opened, names[0], limits)
        return read_text(data, f"{path.name}/{names[0]}")


class TextReader:
    """A text table: CSV and its relatives."""

    name = "text table"

    def claims(self, path: Path, head: bytes) -> bool:  # noqa: ARG002  (the last resort)
        """Claim everything: it is asked last and says what is wrong."""
        return True

    def read(self, path: Path) -> Table:
        """Read the text."""
        _limit_text(path.name, path.stat().st_size)
        return read_text(path.read_bytes(), path.name)


BUILT_IN: tuple[Reader, ...] = (
    ParquetReader(),
    GzipReader(),
    ZipReader(),
    TextReader(),
)


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
    _limit(name, records.count, records.fields)
    frame = _frame(records, header, name)
    comma = cells.decimal_comma(frame)
    said = (*_form(encoding, records, comma=comma), *header.assumptions)
    frame, empty = _without_empty(frame)
    table = _valued(name, frame, comma=comma)
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


def _without_empty(
    frame: pl.DataFrame,
) -> tuple[pl.DataFrame, tuple[Assumption, ...]]:
    """Leave out columns without name and value: lines that end with a separator."""
    nulls = frame.null_count().row(0)
    empty = [
        name
        for name, count in zip(frame.columns, nulls, strict=True)
        if count == frame.height and name.startswith("column_")
    ]
    if not empty or len(empty) == frame.width:
        return frame, ()
    said = Assumption(
        what=f"columns without name or value were left out ({len(empty)})",
        why="lines that end with a separator make them",
        otherwise="name the column in the header line",
    )
    return frame.drop(empty), (said,)


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
                why=f"they do not have {records.fields} fields",
                otherwise="remove them, or put their content into the header line",
            )
        )
    return tuple(said)


def _valued(name: str, frame: pl.DataFrame, *, comma: bool) -> Table:
    """Turn texts into numbers where they are; numbers lose NaN and infinities."""
    columns, states, words, places = [], {}, {}, {}
    ready = _castable(frame, comma=comma)
    for series in frame.get_columns():
        column = ready.get(series.name) or cells.to_column(series, comma=comma)
        columns.append(column.values.alias(series.name))
        if column.states:
            states[series.name] = column.states
            places[series.name] = column.places
        if column.missing_words:
            words[series.name] = column.missing_words
    return Table(
        name=name,
        frame=pl.DataFrame(columns),
        states=states,
        missing_words=words,
        places=places,
    )


def _castable(frame: pl.DataFrame, *, comma: bool) -> dict[str, cells.Column]:
    """Return the columns that are plain numbers, found with two whole-frame passes."""
    texts = [s.name for s in frame.get_columns() if s.dtype == pl.String]
    cast = frame.with_columns(
        pl.col(texts).str.strip_chars().cast(pl.Float64, strict=False)
    )
    finite = cast.select(pl.all().is_finite().sum()).row(0)
    filled = frame.null_count().row(0)
    done, types = {}, frame.dtypes
    for i, series in enumerate(cast.get_columns()):
        was_text = types[i] == pl.String
        words = frame.height - filled[i] - finite[i]
        if was_text and (comma or words or not finite[i]):
            continue
        if words:
            series = series.set(~series.is_finite().fill_null(value=True), None)  # noqa: PLW2901
        done[series.name] = cells.Column(values=series, states={}, missing_words=words)
    return done


def _from_frame(name: str, frame: pl.DataFrame) -> Table:
    kept, odd = [], []
    for series in frame.get_columns():
        if series.dtype.is_numeric() or series.dtype == pl.Boolean:
            number = series.cast(pl.Float64, strict=False)
            kept.append(number.set(~number.is_finite().fill_null(value=True), None))
        elif series.dtype.is_temporal():
            kept.append(series)
        else:
            try:
                kept.append(series.cast(pl.String))
            except pl.exceptions.PolarsError:
                odd.append(series.name)
    texts = [series for series in kept if series.dtype == pl.String]
    read = _valued(name, pl.DataFrame(texts), comma=False)
    by_name = {series.name: series for series in read.frame.get_columns()}
    said: tuple[Assumption, ...] = ()
    if odd:
        said = (
            Assumption(
                what=f"{len(odd)} columns were left out, the first is {odd[0]}",
                why="their cells are lists or structures",
                otherwise="store one value per cell",
            ),
        )
    return Table(
        name=name,
        frame=pl.DataFrame([by_name.get(series.name, series) for series in kept]),
        units={s.name: unit for s in kept if (unit := unit_in_name(s.name))},
        states=read.states,
        missing_words=read.missing_words,
        lines=frame.height,
        assumptions=said,
        places=read.places,
    )


def _sized(table: Table) -> Table:
    if table.frame.height == 0 or table.frame.width == 0:
        msg = f"{table.name} has no record."
        raise TableUnreadableError(msg)
    return table


def _limit(name: str, rows: int, columns: int) -> None:
    if columns > MAX_COLUMNS or rows * columns > MAX_CELLS:
        msg = (
            f"{name} has {rows} rows of {columns} columns; at most {MAX_COLUMNS} columns "
            f"and {MAX_CELLS} cells are read."
        )
        raise TableTooLargeError(msg)


def _limit_text(name: str, size: int) -> None:
    if size > MAX_TEXT_BYTES:
        msg = f"{name} unpacks to more than {MAX_TEXT_BYTES} bytes of text."
        raise TableTooLargeError(msg)
