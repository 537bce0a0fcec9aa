"""Apache Parquet: in a child process, since its decoders are native code.

A file of a kilobyte can stand for gigabytes (one long list, one long text named by
each row), and its footer may claim less. So rows and columns are bounded by the footer
before anything is decoded, lists and structures are not decoded at all, and the rest
meets the memory limit of the child. A type that the file calls an extension is read as
what it is stored as; nothing is made of its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
from polars.selectors import by_name

from tundish.data.columns import read_parquet
from tundish.data.readers import damage
from tundish.data.readers.size import limit_cells
from tundish.data.readers.values import from_frame
from tundish.data.table import Assumption, Table


class ParquetReader:
    """Apache Parquet."""

    name = "Parquet"
    alone_above = 0

    def claims(self, name: str, head: bytes) -> bool:
        """Claim files with Parquet's mark or ending."""
        return head.startswith(b"PAR1") or name.endswith(".parquet")

    def read(self, path: Path, name: str) -> Sequence[Table]:
        """Read all plain columns; texts become numbers where they are numbers."""
        with damage.said(name, "Parquet file"):
            scan = pl.scan_parquet(path, glob=False)
            kinds = {n: _stored(kind) for n, kind in scan.collect_schema().items()}
            rows = scan.select(pl.len()).collect().item()
            limit_cells(name, rows, len(kinds))
            plain = [n for n, kind in kinds.items() if not kind.is_nested()]
            frame = _plain(read_parquet(path, plain)) if plain else pl.DataFrame()
        table = from_frame(name, frame)
        nested = [n for n in kinds if n not in set(plain)]
        return [_without(table, nested) if nested else table]


def _stored(kind: pl.DataType) -> pl.DataType:
    """Return what a column is stored as, whatever extension the file names."""
    while isinstance(kind, pl.BaseExtension):
        stored = kind.ext_storage()
        kind = stored if isinstance(stored, pl.DataType) else stored()
    return kind


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    named = [
        n for n, kind in frame.schema.items() if isinstance(kind, pl.BaseExtension)
    ]
    return frame.with_columns(by_name(*named).ext.storage()) if named else frame


def _without(table: Table, nested: Sequence[str]) -> Table:
    said = Assumption(
        what=f"{len(nested)} columns were left out, the first is {nested[0]}",
        why="their cells are lists or structures",
        otherwise="store one value per cell",
    )
    return replace(table, assumptions=(*table.assumptions, said))
