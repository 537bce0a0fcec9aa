"""Columns of numbers without copies: from Parquet to Polars to NumPy.

A column of a million rows costs more in fresh memory than in arithmetic. So a Parquet
column is decoded once, its empty cells are overwritten with NaN where they lie, and
Polars and NumPy look at the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from polars.selectors import by_name

THREADS = min(8, os.cpu_count() or 1)
MANY_CELLS = 1_000_000

Item = TypeVar("Item")
Result = TypeVar("Result")

Floats = NDArray[np.float64]


def floats(series: pl.Series) -> Floats:
    """Return a column of numbers as an array, NaN where missing.

    The array shares the column's memory, and is read-only, if there is nothing missing
    or NaN stands in the empty cells already; otherwise it is a copy.

    Args:
        series: ``Float64``, shape [n].
    """
    if series.null_count() == 0 or series.n_chunks() > 1:
        return np.ascontiguousarray(series.to_numpy(), dtype=np.float64)
    array = series.to_arrow()
    mask, data = array.buffers()
    values = np.frombuffer(data, dtype=np.float64)
    values = values[array.offset : array.offset + len(array)]
    if np.isnan(values[_empty(mask, array.offset, len(array))]).all():
        return values
    return np.ascontiguousarray(series.to_numpy(), dtype=np.float64)


def side_by_side(
    work: Callable[[Item], Result], items: Sequence[Item], rows: int
) -> list[Result]:
    """Do the same work on each column, in threads if the columns are long.

    Args:
        work: Must spend its time in code that releases the interpreter's lock.
        items: The columns.
        rows: Their length.
    """
    if len(items) * rows < MANY_CELLS or len(items) < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, items))


def read_parquet(path: Path, names: Sequence[str]) -> pl.DataFrame:
    """Read columns of a Parquet file; those of doubles keep NaN in their empty cells.

    Call it in a child process only: the bytes are foreign, the decoder is native code.

    Raises:
        polars.exceptions.PolarsError, OSError: if it is no whole Parquet file.
    """
    try:
        found = _doubles(path, names)
    except pa.ArrowException:
        found = {}  # Polars reads it, or says what is wrong
    if not found:
        return _polars_reads(path, names)
    rest = [name for name in names if name not in found]
    frame = _polars_reads(path, rest) if rest else pl.DataFrame()
    return pl.DataFrame(
        [found[name] if name in found else frame[name] for name in names]
    )


def _polars_reads(path: Path, names: Sequence[str]) -> pl.DataFrame:
    """Read columns by their names as they are: foreign ones may look like patterns."""
    return pl.scan_parquet(path, glob=False).select(by_name(*names)).collect()


def _doubles(path: Path, names: Sequence[str]) -> dict[str, pl.Series]:
    """Read the columns of doubles if the file is large enough to be worth it."""
    with pq.ParquetFile(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
    doubles = [name for name in names if _is_double(schema, name)]
    if len(doubles) * metadata.num_rows < MANY_CELLS:
        return {}
    return dict(zip(doubles, _decoded(path, metadata, doubles), strict=True))


def _is_double(schema: pa.Schema, name: str) -> bool:
    at = schema.get_all_field_indices(name)
    return len(at) == 1 and pa.types.is_float64(schema.field(at[0]).type)


def _decoded(
    path: Path, metadata: pq.FileMetaData, names: Sequence[str]
) -> list[pl.Series]:
    """Decode columns of doubles, one at a time in each thread."""

    def share(first: int) -> list[pl.Series]:
        with pq.ParquetFile(path, metadata=metadata) as file:
            return [_one(file, name) for name in names[first::THREADS]]

    with ThreadPoolExecutor(THREADS) as pool:
        shares = list(pool.map(share, range(THREADS)))
    return [shares[i % THREADS][i // THREADS] for i in range(len(names))]


def _one(file: pq.ParquetFile, name: str) -> pl.Series:
    chunked = file.read(columns=[name], use_threads=False).column(0)
    array = (
        pa.concat_arrays(chunked.chunks)
        if chunked.num_chunks != 1
        else chunked.chunk(0)
    )
    mask, data = array.buffers()
    values = np.frombuffer(data, dtype=np.float64)
    values = values[array.offset : array.offset + len(array)]
    if mask is not None and array.null_count:
        if not values.flags.writeable:
            array = pa.array(array.to_numpy(zero_copy_only=False), from_pandas=True)
        else:
            values[_empty(mask, array.offset, len(array))] = np.nan
    return pl.Series(name, array)


def _empty(mask: pa.Buffer, offset: int, length: int) -> NDArray[np.int64]:
    """Return the places of the zero bits of a validity mask."""
    bits = np.frombuffer(mask, dtype=np.uint8)
    filled = np.unpackbits(bits, bitorder="little", count=offset + length)
    return np.flatnonzero(filled[offset:] == 0)
