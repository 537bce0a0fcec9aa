"""Write a loaded table as Parquet: role, unit and meaning stand with each column."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tundish.data.sets.loaded import LoadedTable


def write_table(table: LoadedTable, path: Path, facts: Mapping[str, str]) -> Path:
    """Write a table to a new file and return it.

    Args:
        table: The table.
        path: The file.
        facts: Said of the whole file, in its metadata.
    """
    arrow = table.frame.to_arrow()
    fields = []
    for column, field in zip(table.columns, arrow.schema, strict=True):
        said = {"role": column.role, "unit": column.unit, "meaning": column.meaning}
        kept = {key: value for key, value in said.items() if value}
        fields.append(field.with_metadata(kept))
    schema = pa.schema(fields, metadata={**facts, "table": table.name})
    pq.write_table(arrow.cast(schema), path)
    return path
