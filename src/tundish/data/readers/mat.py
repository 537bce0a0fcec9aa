"""MATLAB files of versions 4 to 7; version 7.3 is HDF5."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tundish.data.errors import TableTooLargeError
from tundish.data.readers import damage
from tundish.data.readers.arrays import MAX_DEPTH, Node, tables_of
from tundish.data.table import Table

_HDF = b"\x89HDF\r\n\x1a\n"
_MOST_RECORDS = 1_000_000
_RECORDS = {"cell", "struct", "object"}


class MatReader:
    """MATLAB 4 to 7."""

    name = "a MATLAB file"
    alone_above = 0

    def claims(self, name: str, head: bytes) -> bool:
        """Claim files with MATLAB's mark, and files named .mat that are no HDF5."""
        if head.startswith(b"MATLAB 5.0"):
            return True
        return name.lower().endswith(".mat") and not _is_hdf(head)

    def read(self, path: Path, name: str) -> Sequence[Table]:
        """Read every array; structures become names with points."""
        from scipy.io import loadmat, whosmat  # noqa: PLC0415  (heavy: in the child only)

        with damage.said(name, "MATLAB file"):
            _limit_records(name, whosmat(path))
            loaded = loadmat(
                path, chars_as_strings=True, verify_compressed_data_integrity=True
            )
            root = {k: _node(v, 0) for k, v in loaded.items() if not k.startswith("__")}
        return tables_of(name, {k: v for k, v in root.items() if v is not None})


def _limit_records(name: str, listed: Iterable[tuple[str, Sequence[int], str]]) -> None:
    """Refuse structures and cells that announce more records than are ever used.

    Records without fields need no bytes, so that a small file can announce millions.

    Raises:
        TableTooLargeError: names the variable and the limit.
    """
    for variable, shape, kind in listed:
        if kind in _RECORDS and math.prod(shape) > _MOST_RECORDS:
            msg = (
                f"{name} has {math.prod(shape)} records in {variable} ({kind}); at most "
                f"{_MOST_RECORDS} are read."
            )
            raise TableTooLargeError(msg)


def _is_hdf(head: bytes) -> bool:
    return any(head[at : at + 8] == _HDF for at in (0, 512, 1024, 2048))


def _node(value: object, depth: int) -> Node | None:
    """Turn what scipy gives into groups, lists, texts and arrays."""
    if depth > MAX_DEPTH:
        return None
    if not isinstance(value, np.ndarray):
        dense = getattr(value, "toarray", None)  # a sparse matrix
        return _small(value) if dense is None else None
    if value.dtype.names:
        return _structure(value, depth)
    if value.dtype.kind == "U":
        return [str(text) for text in value.reshape(-1)]
    if value.dtype.kind == "O":
        return _cells(value, depth)
    return value


def _small(value: object) -> Node | None:
    return [value] if isinstance(value, str) else None


def _structure(value: NDArray[np.void], depth: int) -> Node | None:
    names = value.dtype.names or ()
    flat = value.reshape(-1)
    if len(flat) > _MOST_RECORDS:
        return None
    if len(flat) == 1:
        inner = {n: _node(flat[0][n], depth + 1) for n in names}
        return {n: node for n, node in inner.items() if node is not None}
    by_name = {n: _column(flat[n]) for n in names}
    if all(column is not None for column in by_name.values()):
        return {n: column for n, column in by_name.items() if column is not None}
    return [node for one in flat if (node := _structure(one.reshape(1), depth + 1))]


def _column(values: NDArray[np.object_]) -> Node | None:
    """Return one value from each structure, or nothing if some hold more."""
    sizes = {np.size(v) for v in values}
    if sizes != {1}:
        return None
    flat = [np.asarray(v).reshape(-1)[0] for v in values]
    if all(isinstance(v, str) for v in flat):
        return [str(v) for v in flat]
    if all(isinstance(v, np.number | np.bool_) for v in flat):
        return np.asarray(flat, dtype=np.float64)
    return None


def _cells(value: NDArray[np.object_], depth: int) -> Node | None:
    made = [_node(cell, depth + 1) for cell in value.reshape(-1)]
    single = [n[0] for n in made if isinstance(n, list) and len(n) == 1]
    flat = [text for text in single if isinstance(text, str)]
    if flat and len(flat) == len(made):
        return flat
    whole = [node for node in made if node is not None]
    numbers = [n for n in whole if isinstance(n, np.ndarray) and n.size == 1]
    if len(numbers) == len(made) > 1:
        return np.asarray([n.reshape(-1)[0] for n in numbers], dtype=np.float64)
    return whole
