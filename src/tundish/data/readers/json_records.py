"""JSON: one record per line, a list of records, lists by name, or columns and rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from tundish.data.errors import TableTooLargeError, TableUnreadableError
from tundish.data.readers.arrays import MAX_DEPTH, Node, tables_of
from tundish.data.readers.size import limit_cells
from tundish.data.readers.values import valued
from tundish.data.table import Assumption, Table
from tundish.kernel.canonical import Json

MAX_BYTES = 1024**3
MAX_KEYS = 5_000

_CARDS = ("@context", "$schema")
_BAD_LINES = 0.05
_Record = dict[str, Json]


class JsonReader:
    """JSON and JSON lines."""

    name = "JSON"
    alone_above = 16 * 1024**2

    def claims(self, name: str, head: bytes) -> bool:
        """Claim text that begins as an object, or as a list of objects or lists."""
        text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        if name.lower().endswith((".json", ".jsonl", ".ndjson")):
            return text[:1] in {b"{", b"["}
        return text[:1] == b"{" or (text[:1] == b"[" and text[1:].lstrip()[:1] == b"{")

    def read(self, path: Path, name: str) -> Sequence[Table]:
        """Read records; objects inside them become names with points."""
        size = path.stat().st_size
        if size > MAX_BYTES:
            msg = f"{name} has {size} bytes; at most {MAX_BYTES} of JSON are read."
            raise TableTooLargeError(msg)
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            msg = f"{name} begins as JSON and is no UTF-8 text ({error.reason})."
            raise TableUnreadableError(msg) from error
        try:
            return _read(text, name)
        except RecursionError as error:
            msg = f"{name} is nested too deep to be a table."
            raise TableUnreadableError(msg) from error


def _read(text: str, name: str) -> list[Table]:
    try:
        whole = _decoded(text)
    except ValueError as error:
        return [_lines(text, name, error)]
    if isinstance(whole, dict):
        return _of_object(whole, name)
    if isinstance(whole, list):
        return _of_list(whole, name)
    msg = f"{name} holds a single JSON value; records were expected."
    raise TableUnreadableError(msg)


def _decoded(text: str) -> Json:
    value: Json = json.loads(text, parse_constant=lambda _: None)
    return value


def _lines(text: str, name: str, whole: ValueError) -> Table:
    records: list[_Record] = []
    dropped: list[int] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            value = _decoded(line)
        except ValueError:
            value = None
        if isinstance(value, dict):
            records.append(value)
        else:
            dropped.append(number)
    if len(dropped) > max(1, _BAD_LINES * (len(records) + len(dropped))) or not records:
        msg = f"{name} is no whole JSON ({whole})."
        raise TableUnreadableError(msg)
    return _table(records, name, "", tuple(dropped))


def _of_list(values: Sequence[Json], name: str) -> list[Table]:
    records = [value for value in values if isinstance(value, dict)]
    if records and len(records) == len(values):
        return [_table(records, name)]
    array = _array(values)
    if array is None:
        msg = f"{name} is a JSON list of other things than records."
        raise TableUnreadableError(msg)
    return tables_of(name, {"array": array})


def _of_object(whole: _Record, name: str) -> list[Table]:
    if any(key in whole for key in _CARDS):
        msg = f"{name} is a card or a schema in JSON: it describes data and holds none."
        raise TableUnreadableError(msg, advice="Name the data file that it describes.")
    split = [_table(rows, name, part) for part, rows in _in_split_form(whole, "", 0)]
    if split:
        return split if len(split) > 1 else [_whole_name(split[0])]
    tables = []
    for key, value in whole.items():
        if (
            isinstance(value, list)
            and value
            and all(isinstance(v, dict) for v in value)
        ):
            records = [v for v in value if isinstance(v, dict)]
            tables.append(_table(records, name, key))
    if tables:
        return tables if len(tables) > 1 else [_whole_name(tables[0])]
    by_row = [v for v in whole.values() if isinstance(v, dict)]
    if len(by_row) == len(whole) > 1 and _scalars(by_row):
        return [_indexed(whole, by_row, name)]
    root = {
        _whole(key): node
        for key, v in whole.items()
        if (node := _node(v, 0)) is not None
    }
    if not root:
        msg = f"{name} is one JSON object; a list of records was expected."
        raise TableUnreadableError(msg)
    return tables_of(name, root)


def _in_split_form(
    value: Json, part: str, depth: int
) -> Iterator[tuple[str, list[_Record]]]:
    """Find objects of ``columns`` and ``rows`` (or ``data``), as a table is split.

    Each is named by the ``name`` of the nearest object around it, else by its keys.
    """
    if depth > MAX_DEPTH or not isinstance(value, dict | list):
        return
    inner: Iterator[tuple[str, Json]]
    if isinstance(value, list):
        if not all(isinstance(one, dict) for one in value):
            return
        inner = ((f"{part}.{i}" if part else str(i), v) for i, v in enumerate(value))
    else:
        said = value.get("name")
        own = _whole(said) if isinstance(said, str) else ""
        records = _records_of(value)
        if records is not None:
            yield own or part, records
            return
        inner = (
            (own or _whole(f"{part}.{key}" if part else key), v)
            for key, v in value.items()
        )
    for place, one in inner:
        yield from _in_split_form(one, place, depth + 1)


def _records_of(value: _Record) -> list[_Record] | None:
    columns = value.get("columns")
    rows = value.get("rows", value.get("data"))
    if not (isinstance(columns, list) and columns and isinstance(rows, list) and rows):
        return None
    if not all(isinstance(name, str) for name in columns):
        return None
    names = [str(name) for name in columns]
    lined = [row for row in rows if isinstance(row, list) and len(row) == len(names)]
    if len(lined) < len(rows) or len(set(names)) < len(names):
        return None
    return [dict(zip(names, row, strict=True)) for row in lined]


def _whole_name(table: Table) -> Table:
    return replace(table, part="")


def _scalars(records: list[_Record]) -> bool:
    return all(
        not isinstance(v, dict | list)
        for record in records[:100]
        for v in record.values()
    )


def _indexed(whole: _Record, records: list[_Record], name: str) -> Table:
    """Read {row: {column: value}}, or {column: {row: value}} if that is longer."""
    keys = {key for record in records[:100] for key in record}
    if len(keys) > len(records):
        turned: dict[str, _Record] = {}
        for column, cells in whole.items():
            for row, value in cells.items() if isinstance(cells, dict) else ():
                turned.setdefault(row, {})[column] = value
        return _table([{"key": k, **v} for k, v in turned.items()], name)
    named = zip(whole, records, strict=True)
    return _table([{"key": k, **v} for k, v in named], name)


def _table(
    records: list[_Record], name: str, part: str = "", dropped: tuple[int, ...] = ()
) -> Table:
    columns: dict[str, list[str | None]] = {}
    lists: set[str] = set()
    for i, record in enumerate(records):
        for key, value in _flat(record, "", 0):
            column = columns.setdefault(key, [])
            column += [None] * (i - len(column))
            if len(column) == i:
                column.append(_cell(value))
            if isinstance(value, list | tuple):
                lists.add(key)
        if len(columns) > MAX_KEYS:
            msg = f"{name} has more than {MAX_KEYS} different keys."
            raise TableTooLargeError(msg)
    limit_cells(name, len(records), len(columns))
    if not columns:
        msg = f"{name} holds records without a key."
        raise TableUnreadableError(msg)
    filled = {k: v + [None] * (len(records) - len(v)) for k, v in columns.items()}
    frame = pl.DataFrame({k: pl.Series(v, dtype=pl.String) for k, v in filled.items()})
    read = valued(name, frame, comma=False)
    said = Assumption(
        what=f"lists in {', '.join(sorted(lists)[:3])} are kept as texts",
        why="a cell has one value",
        otherwise="store one value per cell",
    )
    return Table(
        name=name,
        part=part,
        frame=read.frame,
        states=read.states,
        missing_words=read.missing_words,
        dropped=dropped,
        lines=len(records) + len(dropped),
        assumptions=(said,) if lists else (),
        places=read.places,
    )


def _flat(record: _Record, prefix: str, depth: int) -> Iterator[tuple[str, Json]]:
    for key, value in record.items():
        place = _whole(f"{prefix}.{key}" if prefix else key)
        if isinstance(value, dict) and value and depth < MAX_DEPTH:
            yield from _flat(value, place, depth + 1)
        else:
            yield place, value


def _cell(value: Json) -> str | None:
    if value is None or isinstance(value, str):
        return value and _whole(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    # a cell's text, no record: and 1e999 is read as infinite, which no record may hold
    return _whole(json.dumps(value, ensure_ascii=False))  # noqa: TID251


def _whole(text: str) -> str:
    """Replace halves of surrogate pairs, which JSON allows and UTF-8 does not."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def _node(value: Json, depth: int) -> Node | None:
    """Return lists of numbers or texts as arrays, and objects as groups."""
    if depth > MAX_DEPTH:
        return None
    if isinstance(value, dict):
        inner = {
            _whole(k): n
            for k, v in value.items()
            if (n := _node(v, depth + 1)) is not None
        }
        return inner or None
    if isinstance(value, list) and value:
        return _array(value)
    return None


def _array(values: Sequence[Json]) -> Node | None:
    if all(isinstance(v, str) for v in values):
        return [_whole(str(v)) for v in values]
    try:
        array = np.asarray(values, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        return None
    return array if array.ndim <= 3 else None
