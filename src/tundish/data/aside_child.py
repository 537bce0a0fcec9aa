"""Give pieces of one Parquet file on request; the program of ``aside``'s child.

Run as ``python -P -m tundish.data.aside_child PATH MEMORY CPU FILES``. A request is a
line of JSON on the standard input, its answer an Arrow IPC stream on the standard
output. Only plain columns leave the child, as what they are stored as: neither lists
nor structures, and no extension type of the file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from tundish.data.bounds import leave_network, take_limits
from tundish.kernel import canonical
from tundish.kernel.records import Record

DAMAGED = 3
WHOLE = (
    b"."  # after each answer: an Arrow stream that breaks off looks like a shorter one
)


class Wanted(Record):
    """A request: rows of some columns and row groups; without columns, the facts.

    Attributes:
        rows: Of one batch, at most.
        most: In all, at most.
    """

    columns: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()
    rows: int = 1
    most: int | None = None


def main(arguments: Sequence[str]) -> None:
    """Answer requests until there are no more."""
    path, *numbers = arguments
    memory, cpu_s, files = map(int, numbers)
    take_limits(memory, cpu_s, files)
    leave_network()
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for line in sys.stdin.buffer:
            wanted = Wanted.model_validate_json(line)
            schema = _schema(file)
            if wanted.columns:
                _batches(file, wanted, schema, out)
            else:
                pa.ipc.new_stream(out, schema).close()
            out.write(WHOLE)
            out.flush()


def _schema(file: pq.ParquetFile) -> pa.Schema:
    """Return the plain columns; sizes of the file stand in the metadata."""
    facts = file.metadata
    groups = [facts.row_group(i).num_rows for i in range(facts.num_row_groups)]
    said = {"groups": canonical.dumps([*groups]), "columns": str(facts.num_columns)}
    return pa.schema(
        [
            pa.field(field.name, kind)
            for field in file.schema_arrow
            if not pa.types.is_nested(kind := _stored(field.type))
        ],
        metadata=said,
    )


def _stored(kind: pa.DataType) -> pa.DataType:
    if isinstance(kind, pa.BaseExtensionType):
        return _stored(kind.storage_type)
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _batches(
    file: pq.ParquetFile, wanted: Wanted, schema: pa.Schema, out: BinaryIO
) -> None:
    names = list(wanted.columns)
    chosen = pa.schema([schema.field(name) for name in names])
    batches = file.iter_batches(
        batch_size=wanted.rows, row_groups=list(wanted.groups), columns=names
    )
    left = wanted.most
    with pa.ipc.new_stream(out, chosen) as stream:
        for batch in batches:
            cut = batch if left is None else batch.slice(0, left)
            columns = [_bare(cut.column(name)) for name in names]
            stream.write_batch(pa.RecordBatch.from_arrays(columns, schema=chosen))
            left = None if left is None else left - cut.num_rows
            if left is not None and left <= 0:
                break


def _bare(array: pa.Array) -> pa.Array:
    if isinstance(array, pa.ExtensionArray):
        return _bare(array.storage)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except MemoryError:
        raise
    except (pa.ArrowException, OSError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(DAMAGED)
