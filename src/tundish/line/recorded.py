"""Join the parts of a recording into one Parquet file, and say what is in it.

Imports pyarrow: loaded only at the end of a recording.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tundish.line.samples import Gap

_SELDOM = ("boolean", "text", "values", "unit", "reason")
_GAP_PERIODS = 1.5
_MOST_GAPS = 1000


@dataclass(kw_only=True)
class SignalRecord:
    """What was recorded of one signal.

    Attributes:
        qualities: Samples by quality.
        codes: Samples by OPC UA StatusCode, of those that are not good.
    """

    name: str
    qualities: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    times: list[NDArray[np.int64]] = field(default_factory=list)

    @property
    def samples(self) -> int:
        """How many there are."""
        return self.qualities.total()

    def span_us(self) -> tuple[int, int]:
        """Return first and last source time."""
        return (
            min(int(some.min()) for some in self.times),
            max(int(some.max()) for some in self.times),
        )

    def gaps(self, period_s: float) -> list[Gap]:
        """Return steps of more than one and a half periods, the first thousand."""
        at_us = np.sort(np.concatenate(self.times))
        wide = np.flatnonzero(np.diff(at_us) > _GAP_PERIODS * period_s * 1e6)
        reason = f"no sample for more than {_GAP_PERIODS:g} periods of {period_s:g} s"
        return [
            Gap(
                signal=self.name,
                from_us=int(at_us[row]),
                to_us=int(at_us[row + 1]),
                reason=reason,
            )
            for row in wide[:_MOST_GAPS].tolist()
        ]


def join(parts: Sequence[Path], to: Path) -> dict[str, SignalRecord]:
    """Write the samples of parts as one file, whole or not at all.

    Columns in which nothing stands are left out, and so are the running numbers.

    Args:
        parts: In order; they follow on each other without a hole or a repeat.
        to: The file.

    Returns:
        What was recorded, by signal.

    Raises:
        ValueError: if the numbers of the parts repeat.
        OSError: if it cannot be written.
    """
    kept = _columns(parts)
    found: dict[str, SignalRecord] = {}
    beside = to.with_name(f".{to.name}.tmp")
    writer: pq.ParquetWriter | None = None
    with beside.open("wb") as file:
        for table in _tables(parts):
            _count(table, found)
            chosen = table.select(kept)
            if writer is None:
                writer = pq.ParquetWriter(file, chosen.schema, compression="zstd")
            writer.write_table(chosen)
        if writer is not None:
            writer.close()
        file.flush()
        os.fsync(file.fileno())
    beside.replace(to)
    return found


def _columns(parts: Sequence[Path]) -> list[str]:
    names = pq.read_schema(parts[0]).names
    used = set(names) - {"number", *_SELDOM}
    for path in parts:
        table = pq.read_table(path, columns=list(_SELDOM))
        used |= {n for n in _SELDOM if table[n].null_count < len(table)}
    return [name for name in names if name in used]


def _tables(parts: Sequence[Path]) -> Iterator[pa.Table]:
    ends = [tuple(map(int, path.stem.rsplit("-", 2)[1:])) for path in parts]
    for (_, end), (first, _) in pairwise(ends):
        if first < end:
            msg = f"a part begins at {first}, and the one before ends at {end}"
            raise ValueError(msg)
    for path in parts:
        yield pq.read_table(path)


def _count(table: pa.Table, found: dict[str, SignalRecord]) -> None:
    columns: Mapping[str, pa.ChunkedArray] = {n: table[n] for n in table.column_names}
    signals = columns["signal"].cast(pa.string())
    for name in signals.unique().to_pylist():
        rows = table.filter(pc.equal(signals, name))
        record = found.setdefault(name, SignalRecord(name=name))
        record.qualities.update(rows["quality"].to_pylist())
        codes = rows["status"].to_numpy()
        record.codes.update(codes[codes != 0].tolist())
        record.times.append(rows["time"].cast(pa.int64()).to_numpy())
