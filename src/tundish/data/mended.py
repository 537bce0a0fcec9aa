"""Write a mended version of a table's file: what is not mended stays as it was written.

A text table keeps its lines, letter by letter, but for the cells that are mended; a
Parquet file keeps its types and metadata, row group by row group. Other kinds of file
are written as CSV, from the values as they were read.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tundish.data import encodings
from tundish.data.header import Header, find_header, unit_in_name
from tundish.data.mend import Edits
from tundish.data.readers.reader import HEAD_BYTES, readers
from tundish.data.records import Records, cut
from tundish.data.table import Table

_BATCH_ROWS = 131_072
_PARQUET = "Parquet"
_TEXT = "text table"


def file_name(path: Path, table: Table, edits: Edits) -> str:
    """Return the name of the mended file: the same, or ``.csv`` for other kinds."""
    same = _untouched(table, edits) or _kind(path, table) in {_PARQUET, _TEXT}
    return path.name if same else f"{path.name}.csv"


def write(path: Path, table: Table, edits: Edits, into: Path) -> None:
    """Write the mended version of a file; a file without edits is copied byte by byte.

    The form is that of the file, unless the new name asks for the other one (Parquet,
    or text): then values are written as they were read.

    Args:
        path: The file as it is. It is only read.
        table: The table that was read from it, before mending.
        edits: What is to be done, in the table's rows.
        into: The new file; must not exist.
    """
    if _untouched(table, edits) and into.suffix.lower() == path.suffix.lower():
        shutil.copyfile(path, into)
        return
    kind = _kind(path, table)
    if (into.suffix.lower() == ".parquet") != (kind == _PARQUET):
        kind = ""
    if kind == _PARQUET:
        _write_parquet(path, edits, into)
    elif kind == _TEXT:
        with into.open("xb") as stream:
            _write_text(_Text(path), edits, stream)
    else:
        _write_values(table, edits, into)


def _untouched(table: Table, edits: Edits) -> bool:
    return edits.none and not table.dropped


def _kind(path: Path, table: Table) -> str:
    """Return the kind of a file whose rows are the table's rows, or nothing."""
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    claimed = next((r.name for r in readers() if r.claims(path.name, head)), "")
    if claimed == _PARQUET:
        return claimed if pq.read_metadata(path).num_rows == table.frame.height else ""
    if claimed == _TEXT:
        text = _Text(path)
        same = text.rows == table.frame.height
        known = set(text.header.names) >= set(table.frame.columns)
        return claimed if same and known else ""
    return ""


class _Text:
    """A text table as lines: what stands above the values, and the lines of values."""

    def __init__(self, path: Path) -> None:
        text, _ = encodings.to_utf8(path.read_bytes(), path.name)
        self.records: Records = cut(text, path.name)
        self.header: Header = find_header(self.records)
        self.starts, self.ends = self.records.lines()
        self.rows = len(self.starts) - self.header.rows

    def above(self) -> bytes:
        """Return preamble, names and units."""
        said = self.records.preamble
        whole = len(said) < 100 and all(len(line) < 200 for line in said)
        head = "".join(f"{line}\n" for line in said) if whole else ""
        end = self.starts[self.header.rows] if self.rows else len(self.records.body)
        return head.encode() + self.records.body[: int(end)]

    def line(self, row: int) -> bytes:
        """Return a line of values without its line feed."""
        at = row + self.header.rows
        return self.records.body[int(self.starts[at]) : int(self.ends[at])]

    def block(self, first: int, last: int) -> bytes:
        """Return lines that follow each other, as they are."""
        start, end = first + self.header.rows, last + self.header.rows
        return self.records.body[int(self.starts[start]) : int(self.ends[end]) + 1]

    def cells(self, row: int) -> list[str]:
        """Return the cells of a line, as they are written but for quotes."""
        text = self.line(row).decode()
        if not self.records.quoted:
            return text.split(self.records.separator)
        return next(csv.reader(io.StringIO(text), delimiter=self.records.separator))

    def joined(self, cells: list[str]) -> bytes:
        """Return a line of cells; one without any would be taken for no line."""
        if not any(cells):
            cells = ["NaN", *cells[1:]]
        if not self.records.quoted:
            return self.records.separator.join(cells).encode() + b"\n"
        made = io.StringIO()
        csv.writer(
            made, delimiter=self.records.separator, lineterminator="\n"
        ).writerow(cells)
        return made.getvalue().encode()


def _write_text(text: _Text, edits: Edits, stream: BinaryIO) -> None:
    touched = _touched(text, edits)
    stream.write(text.above())
    for first, last in _stretches(edits.rows, set(touched)):
        if first == last and first in touched:
            stream.write(touched[first])
        else:
            stream.write(text.block(first, last))


def _touched(text: _Text, edits: Edits) -> dict[int, bytes]:
    """Return the new lines of the rows in which a cell changes."""
    place = {name: i for i, name in enumerate(text.header.names)}
    kept = set(edits.rows.tolist())
    changed: dict[int, list[str]] = {}
    for column, rows in edits.empty.items():
        for row in kept.intersection(rows.tolist()):
            changed.setdefault(row, text.cells(row))[place[column]] = ""
    for column, pairs in edits.fill.items():
        for row in kept.intersection(pairs):
            cells = changed.setdefault(row, text.cells(row))
            cells[place[column]] = text.cells(pairs[row])[place[column]]
    return {row: text.joined(cells) for row, cells in changed.items()}


def _stretches(rows: NDArray[np.int64], alone: set[int]) -> Iterator[tuple[int, int]]:
    """Cut rows into stretches that follow each other; touched rows stand alone."""
    marks = np.isin(rows, np.fromiter(alone, dtype=np.int64, count=len(alone)))
    cuts = (np.diff(rows) != 1) | marks[1:] | marks[:-1]
    edges = np.flatnonzero(cuts) + 1
    firsts = np.concatenate(([0], edges))
    lasts = np.concatenate((edges, [len(rows)])) - 1
    for first, last in zip(firsts, lasts, strict=True):
        if last >= first:
            yield int(rows[first]), int(rows[last])


def _write_parquet(path: Path, edits: Edits, into: Path) -> None:
    """Write batch by batch, unless rows change places or cells come from other rows."""
    source = pq.ParquetFile(path)
    if edits.moved or edits.fill:
        table = _edited(source.read(), edits, 0, edits.of)
        table = _filled(table, edits).take(pa.array(edits.rows))
        pq.write_table(table, into)
        return
    keep = np.zeros(edits.of, dtype=bool)
    keep[edits.rows] = True
    at = 0
    with pq.ParquetWriter(into, _nullable(source.schema_arrow, edits)) as writer:
        for batch in source.iter_batches(batch_size=_BATCH_ROWS):
            table = pa.Table.from_batches([batch])
            end = at + table.num_rows
            table = _edited(table, edits, at, end)
            writer.write_table(table.filter(pa.array(keep[at:end])))
            at = end


def _nullable(schema: pa.Schema, edits: Edits) -> pa.Schema:
    for name in edits.empty:
        at = schema.get_field_index(name)
        schema = schema.set(at, schema.field(at).with_nullable(nullable=True))
    return schema


def _edited(table: pa.Table, edits: Edits, first: int, last: int) -> pa.Table:
    """Empty the cells of rows ``first`` to ``last`` of the source."""
    table = table.cast(_nullable(table.schema, edits))
    for name, rows in edits.empty.items():
        mine = rows[(rows >= first) & (rows < last)] - first
        if len(mine):
            mask = np.zeros(table.num_rows, dtype=bool)
            mask[mine] = True
            at = table.schema.get_field_index(name)
            column = table.column(at)
            empty = pa.scalar(None, type=column.type)
            emptied = pc.if_else(pa.array(mask), empty, column)
            table = table.set_column(at, table.schema.field(at), emptied)
    return table


def _filled(table: pa.Table, edits: Edits) -> pa.Table:
    for name, pairs in edits.fill.items():
        at = table.schema.get_field_index(name)
        rows = np.arange(table.num_rows)
        rows[list(pairs)] = list(pairs.values())
        column = table.column(at).take(pa.array(rows))
        table = table.set_column(at, table.schema.field(at), column)
    return table


def _write_values(table: Table, edits: Edits, into: Path) -> None:
    """Write values as they were read; in text, with a line of units if names lack them."""
    frame = table.frame
    for name, rows in edits.empty.items():
        mask = np.zeros(frame.height, dtype=bool)
        mask[rows] = True
        frame = frame.with_columns(frame[name].set(pl.Series(mask), None))
    for name, pairs in edits.fill.items():
        taken = np.arange(frame.height)
        taken[list(pairs)] = list(pairs.values())
        frame = frame.with_columns(frame[name][taken].alias(name))
    frame = frame[edits.rows]
    if into.suffix.lower() == ".parquet":
        frame.write_parquet(into)
        return
    named = {n: u for n, u in table.units.items() if not unit_in_name(n)}
    with into.open("xb") as stream:
        head = io.StringIO()
        lines = csv.writer(head, lineterminator="\n")
        lines.writerow(frame.columns)
        if named:
            lines.writerow([named.get(name, "") for name in frame.columns])
        stream.write(head.getvalue().encode())
        frame.write_csv(
            stream,
            include_header=False,
            datetime_format="%Y-%m-%dT%H:%M:%S%.f",
        )
