"""Apache Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from tundish.data.columns import read_parquet
from tundish.data.errors import TableUnreadableError
from tundish.data.readers.size import limit_cells
from tundish.data.readers.values import from_frame
from tundish.data.table import Table


class ParquetReader:
    """Apache Parquet."""

    name = "Parquet"
    alone_above = None

    def claims(self, name: str, head: bytes) -> bool:
        """Claim files with Parquet's mark or ending."""
        return head.startswith(b"PAR1") or name.endswith(".parquet")

    def read(self, path: Path, name: str) -> Sequence[Table]:
        """Read all columns; texts become numbers where they are numbers."""
        try:
            size = pl.scan_parquet(path, glob=False)
            rows = size.select(pl.len()).collect().item()
            columns = len(size.collect_schema())
            limit_cells(name, rows, columns)
            frame = read_parquet(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            msg = f"{name} is no whole Parquet file."
            raise TableUnreadableError(msg) from error
        return [from_frame(name, frame)]
