"""Whylogs: sketches of every column."""

from __future__ import annotations

from contest import contest  # first: it starts the clock

import pandas as pd
import whylogs


def work(path: str) -> object:
    """Read and judge."""
    return whylogs.log(pd.read_parquet(path)).view().to_pandas().shape


if __name__ == "__main__":
    contest(work, "whylogs")
