"""Samples as Parquet. Imports pyarrow: loaded only when an archive is made.

One row is one sample, in the order in which the line took it (the long form of a
historian). pandas, Polars, DuckDB and Spark read it as it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tundish.kernel import canonical
from tundish.line.bufferrows import QUALITIES
from tundish.line.kept import NUMBER, TRUTH, Columns

_TIME: Final = pa.timestamp("us", tz="UTC")
_WORD: Final = pa.dictionary(pa.int32(), pa.string())


def schema(about: Mapping[str, Any]) -> pa.Schema:
    """Return the columns of a part, with what it says of itself.

    Args:
        about: ``units`` by signal, and whatever else is known.
    """
    fields = [
        ("number", pa.int64()),
        ("signal", _WORD),
        ("time", _TIME),
        ("received", _TIME),
        ("value", pa.float64()),
        ("unit", _WORD),
        ("quality", _WORD),
        ("status", pa.uint32()),
        ("boolean", pa.bool_()),
        ("text", pa.string()),
        ("values", pa.list_(pa.float64())),
        ("reason", _WORD),
    ]
    said = {b"tundish": canonical.dumps({"form": "tundish.samples/1", **about})}
    return pa.schema(fields, metadata=said)


def write(path: Path, columns: Columns, about: Mapping[str, Any]) -> None:
    """Write samples as a Parquet file and bring it to disk.

    Args:
        path: A new file; one that is there is overwritten.
        columns: The samples.
        about: See ``schema``.

    Raises:
        OSError: if it cannot be written.
    """
    table = to_table(columns, about)
    with path.open("wb") as file:
        pq.write_table(table, file, compression="zstd", use_dictionary=_words(table))
        file.flush()
        os.fsync(file.fileno())


def to_table(columns: Columns, about: Mapping[str, Any]) -> pa.Table:
    """Return samples as an Arrow table."""
    units = [str(about.get("units", {}).get(name, "")) for name in columns.names]
    place = columns.signal.astype(np.int32)
    kind, n = columns.kind, len(columns.number)
    unsaid = ~((kind == NUMBER) | (kind == TRUTH))
    made = {
        "number": pa.array(columns.number),
        "signal": _dictionary(place, columns.names),
        "time": pa.array(columns.at_us).cast(_TIME),
        "received": pa.array(columns.received_us).cast(_TIME),
        "value": pa.array(columns.value, mask=unsaid),
        "unit": _unit(place, units),
        "quality": _dictionary(columns.quality.astype(np.int32), QUALITIES),
        "status": pa.array(columns.status),
        "boolean": pa.array(columns.value == 1.0, mask=kind != TRUTH),
        "text": _texts(columns.texts, n),
        "values": _lists(columns.spectra, n),
        "reason": _texts(columns.reasons, n).dictionary_encode(),
    }
    return pa.table(made, schema=schema(about))


def _words(table: pa.Table) -> list[str]:
    return [one.name for one in table.schema if pa.types.is_dictionary(one.type)] + [
        "text",
        "status",
    ]


def _dictionary(places: NDArray[np.int32], words: Sequence[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(places, pa.array(list(words), pa.string()))


def _unit(places: NDArray[np.int32], units: list[str]) -> pa.Array:
    """Return each row's unit; null where nobody said one."""
    known = sorted({unit for unit in units if unit})
    codes = np.array([known.index(unit) if unit else -1 for unit in units], np.int32)
    of_row = codes[places]
    indices = pa.array(of_row, mask=of_row < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(known, pa.string()))


def _texts(found: Mapping[int, str], n: int) -> pa.Array:
    words: NDArray[np.object_] = np.full(n, None, object)
    for row, text in found.items():
        words[row] = text
    return pa.array(words, pa.string())


def _lists(found: Mapping[int, NDArray[np.float64]], n: int) -> pa.Array:
    lengths = np.zeros(n, np.int32)
    for row, values in found.items():
        lengths[row] = len(values)
    ends = np.concatenate([np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)])
    flat = np.concatenate([np.zeros(0), *(found[row] for row in sorted(found))])
    absent = pa.array(lengths == 0)
    return pa.ListArray.from_arrays(
        pa.array(ends), pa.array(flat, pa.float64()), mask=absent
    )
