"""The kernel's work with whole-array calls of numpy, two threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from contest import contest  # first: it starts the clock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def one(array: pa.ChunkedArray) -> tuple[float, ...]:
    """Judge a column."""
    values = array.to_numpy()
    filled = values[np.isfinite(values)]
    change = np.flatnonzero(np.diff(filled) != 0)
    longest = int(np.diff(change, prepend=-1).max())
    middle = np.abs(values[1:-1] - 0.5 * (values[:-2] + values[2:]))
    agree = np.abs(values[:-2] - values[2:])
    fence = 4.0 * filled.std()
    spikes = int(((middle > fence) & (agree < 0.3 * fence)).sum())
    quantiles = np.quantile(filled[::10], (0.01, 0.25, 0.5, 0.75, 0.99))
    moments = len(filled), filled.min(), filled.max(), filled.mean(), filled.std()
    return (*moments, longest, spikes, *quantiles)


def work(path: str) -> object:
    """Read and judge."""
    table = pq.read_table(path)
    steps = np.diff(table["timestamp"].to_numpy().view(np.int64))
    tags = [table[name] for name in table.column_names if name.startswith("tag_")]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(one, tags))
    return int((steps > 1_500_000).sum()), int((steps == 0).sum()), found[0]


if __name__ == "__main__":
    contest(work, "numpy")
