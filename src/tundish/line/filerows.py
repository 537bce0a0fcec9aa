"""Numbers out of a CSV or JSON-lines file, as samples; pure.

A cell that is no number is a bad sample with the reason, never a guess; a row without a
readable time is no sample. Files are foreign: sizes, rows and cells are bounded.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tundish.kernel import canonical
from tundish.kernel.clock import from_text
from tundish.kernel.errors import TundishError
from tundish.line.linefile import NodeSpec
from tundish.line.samples import Sample, to_us

MOST_ROWS = 1_000_000
_LONGEST_LINE = 1_000_000
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_LATEST_S = 32_503_680_000.0  # the year 3000


class FileRefusedError(Exception):
    """A file is none of the form that was said; the text says why, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowForm:
    """How rows stand in a file.

    Attributes:
        json: JSON lines, else CSV.
        time_column: Column that holds the source time.
        columns: Of each signal its column with the conversion.
    """

    json: bool
    time_column: str
    columns: Mapping[str, NodeSpec]


def read_rows(data: bytes, form: RowForm) -> Iterator[tuple[Sample, ...]]:
    """Yield the samples of each row, in the order of the file.

    Args:
        data: The whole file. Untrusted.
        form: How rows stand in it.

    Raises:
        FileRefusedError: if it has not this form; what came before it stands.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = "it is no UTF-8 text"
        raise FileRefusedError(msg) from error
    rows = _json_rows(text) if form.json else _csv_rows(text, form)
    for number, row in enumerate(rows, start=1):
        if number > MOST_ROWS:
            msg = f"it has more than {MOST_ROWS:,} rows"
            raise FileRefusedError(msg)
        yield _samples(row, form, number)


def _csv_rows(text: str, form: RowForm) -> Iterator[Mapping[str, object]]:
    table = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(table, [])
        wanted = {form.time_column, *(c.node for c in form.columns.values())}
        for name in sorted(wanted - set(header)):
            msg = f"it has no column {name[:40]!r}"
            raise FileRefusedError(msg)
        if len(set(header)) != len(header):
            msg = "two of its columns have the same name"
            raise FileRefusedError(msg)
        for row in table:
            if row and len(row) != len(header):
                msg = f"line {table.line_num} has {len(row)} cells, expected {len(header)}"
                raise FileRefusedError(msg)
            if row:
                yield dict(zip(header, row, strict=True))
    except csv.Error as error:
        msg = f"line {table.line_num} is no CSV"
        raise FileRefusedError(msg) from error


def _json_rows(text: str) -> Iterator[Mapping[str, object]]:
    for number, line in enumerate(io.StringIO(text), start=1):
        if not line.strip():
            continue
        if len(line) > _LONGEST_LINE:
            msg = f"line {number} is longer than {_LONGEST_LINE:,} letters"
            raise FileRefusedError(msg)
        try:
            row = canonical.loads(line.encode())
        except TundishError as error:
            msg = f"line {number} is no JSON"
            raise FileRefusedError(msg) from error
        if not isinstance(row, dict):
            msg = f"line {number} is no object"
            raise FileRefusedError(msg)
        yield row


def _samples(
    row: Mapping[str, object], form: RowForm, number: int
) -> tuple[Sample, ...]:
    at_us = _time(row.get(form.time_column))
    if at_us is None:
        msg = f"row {number} has no time in {form.time_column[:40]!r}"
        raise FileRefusedError(msg)
    return tuple(
        _sample(signal, at_us, row.get(column.node), column)
        for signal, column in form.columns.items()
    )


def _sample(signal: str, at_us: int, cell: object, column: NodeSpec) -> Sample:
    value = _number(cell)
    if value is None:
        reason = f"no number in {column.node[:40]!r}"
        return Sample(
            signal=signal, at_us=at_us, quality="bad", values=None, reason=reason
        )
    values = np.array([value * column.scale + column.offset])
    return Sample(signal=signal, at_us=at_us, quality="good", values=values)


def _number(cell: object) -> float | None:
    if isinstance(cell, str) and _NUMBER.fullmatch(cell := cell.strip(" \t")):
        cell = float(cell)
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return None
    try:
        found = float(cell)
    except OverflowError:
        return None
    return found if np.isfinite(found) else None


def _time(cell: object) -> int | None:
    seconds = _number(cell)
    if seconds is not None:
        return round(seconds * 1e6) if 0 < seconds < _LATEST_S else None
    if not isinstance(cell, str) or len(cell) > 40:
        return None
    try:
        found = to_us(from_text(cell.strip()))
    except (ValueError, OverflowError, TundishError):
        return None
    return found if found > 0 else None
