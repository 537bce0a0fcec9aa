"""Tables out of named arrays: what MAT, HDF5, NumPy and JSON files hold.

Nested groups become names with points. Arrays of one group that have the same number of
rows stand side by side in one table; a list of texts of the right length names the
columns; a list of matrices with the same columns is a set of batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeGuard, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tundish.data.errors import TableUnreadableError
from tundish.data.readers.size import limit_cells
from tundish.data.readers.values import from_frame
from tundish.data.table import Assumption, Table

MAX_DEPTH = 12
MAX_TABLES = 500

# Numbers, booleans and times as arrays; texts as a list; groups nest.
Leaf = NDArray[np.generic] | list[str]
Node = Leaf | list["Node"] | dict[str, "Node"]

_BATCH = "batch"
_NAMES_FROM = 2


@dataclass(kw_only=True)
class _Found:
    """Tables found so far, and single values that belong to no table."""

    name: str
    tables: list[Table] = field(default_factory=list)
    single: dict[str, str] = field(default_factory=dict)


def tables_of(name: str, root: Mapping[str, Node]) -> list[Table]:
    """Return the tables in a tree of arrays.

    Args:
        name: Of the file.
        root: Name -> array, list of texts, list of arrays, or a group of such.
            Untrusted.

    Raises:
        TableUnreadableError: if no array has two values.
        TableTooLargeError: if a table is above the limits.
    """
    found = _Found(name=name)
    _group(found, "", dict(root), 0)
    if not found.tables:
        msg = f"{name} holds no array that makes a table."
        raise TableUnreadableError(msg)
    if not found.single:
        return found.tables
    shown = ", ".join(f"{k} = {v}" for k, v in list(found.single.items())[:8])
    said = Assumption(
        what=f"single values in the file were not read as columns: {shown}",
        why="a column has one value per row",
        otherwise="repeat the value on each row if it belongs to the data",
    )
    return [replace(t, assumptions=(*t.assumptions, said)) for t in found.tables]


def _group(found: _Found, prefix: str, group: dict[str, Node], depth: int) -> None:
    if depth > MAX_DEPTH:
        msg = f"{found.name} is nested deeper than {MAX_DEPTH} levels."
        raise TableUnreadableError(msg)
    columns: dict[int, dict[str, Leaf]] = {}
    texts: dict[str, Leaf] = {k: v for k, v in group.items() if _is_texts(v)}
    for key, node in group.items():
        place = f"{prefix}.{key}" if prefix else key
        if isinstance(node, dict):
            _group(found, place, node, depth + 1)
        elif isinstance(node, np.ndarray):
            _array(found, place, key, node, (columns, texts))
        elif key in texts:
            if len(node) == 1:
                found.single[place] = str(node[0])[:60]
            else:
                columns.setdefault(len(node), {})[key] = texts[key]
        else:
            _many(found, place, node, texts, depth)
    for rows, beside in columns.items():
        _beside(found, prefix, rows, beside, several=len(columns) > 1)


def _is_texts(node: Node) -> TypeGuard[list[str]]:
    return (
        isinstance(node, list) and bool(node) and all(isinstance(v, str) for v in node)
    )


def _array(
    found: _Found,
    place: str,
    key: str,
    array: NDArray[np.generic],
    beside: tuple[dict[int, dict[str, Leaf]], dict[str, Leaf]],
) -> None:
    columns, texts = beside
    if array.dtype.names:
        _structured(found, place, array)
        return
    if array.dtype.kind not in "biufcMmUS" or array.size == 0:
        return
    if array.dtype.kind == "c":
        array = np.abs(array)
    if array.size == 1:
        found.single[place] = str(array.reshape(-1)[0])[:60]
        return
    if 1 in array.shape and array.ndim <= 2:
        columns.setdefault(array.size, {})[key] = array.reshape(-1)
    elif array.ndim == 1:
        columns.setdefault(len(array), {})[key] = array
    elif array.ndim == 2:
        _matrix(found, place, array, texts)
    elif array.ndim == 3:
        _stack(found, place, list(array), texts)


def _structured(found: _Found, place: str, array: NDArray[np.generic]) -> None:
    flat = cast("NDArray[np.void]", array.reshape(-1))
    names = flat.dtype.names or ()
    fields: dict[str, Node] = {n: flat[n] for n in names if flat[n].ndim == 1}
    _group(found, place, fields, 1)


def _matrix(
    found: _Found, place: str, array: NDArray[np.generic], texts: dict[str, Leaf]
) -> None:
    rows, columns = array.shape
    limit_cells(f"{found.name} ({place})", rows, columns)
    names = _column_names(columns, texts)
    frame = pl.DataFrame([_series(n, array[:, i]) for i, n in enumerate(names)])
    _add(found, place, frame, _named_by(names))


def _column_names(columns: int, texts: dict[str, Leaf]) -> list[str]:
    """Return the only list of texts with a text for each column, else numbers."""
    fitting = [v for v in texts.values() if len(v) == columns >= _NAMES_FROM]
    if len(fitting) == 1:
        names = [str(text).strip() for text in fitting[0]]
        if all(names) and len(set(names)) == columns:
            return names
    return [f"column_{i + 1}" for i in range(columns)]


def _named_by(names: list[str]) -> tuple[Assumption, ...]:
    if names[0].startswith("column_"):
        return ()
    return (
        Assumption(
            what=f"the columns are named {names[0]}, {names[1]} ...",
            why="a list in the same group has one text for each column",
            otherwise="store the table with its names, as CSV or Parquet",
        ),
    )


def _stack(
    found: _Found,
    place: str,
    arrays: Sequence[NDArray[np.generic]],
    texts: dict[str, Leaf],
) -> None:
    """Make one table of matrices with the same columns; a column counts them."""
    columns = arrays[0].shape[1]
    rows = sum(len(array) for array in arrays)
    limit_cells(f"{found.name} ({place})", rows, columns)
    names = _column_names(columns, texts)
    stacked = np.concatenate(arrays)
    batch = np.repeat(np.arange(1, len(arrays) + 1), [len(a) for a in arrays])
    frame = pl.DataFrame(
        [
            pl.Series(_BATCH, batch.astype(np.float64)),
            *(_series(n, stacked[:, i]) for i, n in enumerate(names) if n != _BATCH),
        ]
    )
    said = Assumption(
        what=f"{len(arrays)} matrices are the batches of one table, numbered in {_BATCH}",
        why=f"each has {columns} columns",
        otherwise="store the table with a column that names the batch",
    )
    _add(found, place, frame, (said, *_named_by(names)), unit=_BATCH)


def _many(
    found: _Found, place: str, nodes: Node, texts: dict[str, Leaf], depth: int
) -> None:
    """Read a list: of matrices with the same columns, or of anything."""
    if not isinstance(nodes, list):
        return
    kept = [n for n in nodes if not (isinstance(n, np.ndarray) and n.size == 0)]
    arrays = [n for n in kept if isinstance(n, np.ndarray) and n.ndim == 2]
    alike = len({array.shape[1] for array in arrays}) == 1
    if len(arrays) == len(kept) > 1 and alike and arrays[0].shape[1] > 1:
        _stack(found, place, arrays, texts)
        return
    if len(kept) > MAX_TABLES:
        msg = f"{found.name} holds {len(kept)} arrays of different forms in {place}."
        raise TableUnreadableError(msg)
    named = {f"{i + 1}": n for i, n in enumerate(kept) if not isinstance(n, str)}
    for key, node in named.items():
        if isinstance(node, dict):
            _group(found, f"{place}.{key}", node, depth + 1)
        else:
            _group(found, place, {key: node}, depth + 1)


def _beside(
    found: _Found, prefix: str, rows: int, columns: dict[str, Leaf], *, several: bool
) -> None:
    """Add vectors of one length to the table of as many rows in the group, or make one."""
    numbers = {k: v for k, v in columns.items() if isinstance(v, np.ndarray)}
    for i, table in enumerate(found.tables):
        here = table.part.rpartition(".")[0] == prefix
        if here and table.frame.height == rows and numbers and not table.unit:
            extra = [_series(_free(k, table), v) for k, v in columns.items()]
            found.tables[i] = _widened(table, extra)
            return
    if not numbers:
        return
    limit_cells(f"{found.name} ({prefix})", rows, len(columns))
    frame = pl.DataFrame([_series(name, values) for name, values in columns.items()])
    part = prefix or next(iter(numbers))
    if several:
        part = f"{prefix}.{next(iter(numbers))}" if prefix else next(iter(numbers))
    _add(found, part, frame)


def _widened(table: Table, extra: list[pl.Series]) -> Table:
    more = from_frame(table.name, pl.DataFrame(extra))
    return replace(
        table,
        frame=table.frame.with_columns(more.frame.get_columns()),
        units=table.units | more.units,
        states=table.states | more.states,
        missing_words=table.missing_words | more.missing_words,
        places=table.places | more.places,
    )


def _free(name: str, table: Table) -> str:
    while name in table.frame.columns:
        name += "_"
    return name


def _add(
    found: _Found,
    part: str,
    frame: pl.DataFrame,
    said: tuple[Assumption, ...] = (),
    *,
    unit: str = "",
) -> None:
    if len(found.tables) >= MAX_TABLES:
        msg = f"{found.name} holds more than {MAX_TABLES} tables."
        raise TableUnreadableError(msg)
    table = from_frame(found.name, frame, said)
    found.tables.append(replace(table, part=part, unit=unit))


def _series(name: str, values: NDArray[np.generic] | list[str] | Leaf) -> pl.Series:
    if isinstance(values, list):
        return pl.Series(name, values, dtype=pl.String)
    kind = values.dtype.kind
    if kind == "S":
        texts = [v.decode(errors="replace") for v in values.tolist()]
        return pl.Series(name, texts, dtype=pl.String)
    if kind == "U":
        return pl.Series(name, values.tolist(), dtype=pl.String)
    if kind == "M":
        return pl.Series(name, values.astype("datetime64[us]"))
    if kind == "m":
        return pl.Series(
            name, values.astype("timedelta64[us]").astype(np.float64) / 1e6
        )
    return pl.Series(name, np.ascontiguousarray(values, dtype=np.float64))
