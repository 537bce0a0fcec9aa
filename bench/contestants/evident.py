"""Evidently: the summary of a data set."""

from __future__ import annotations

from contest import contest  # first: it starts the clock

import pandas as pd
from evidently import Dataset, Report
from evidently.presets import DataSummaryPreset


def work(path: str) -> object:
    """Read and judge."""
    data = Dataset.from_pandas(pd.read_parquet(path))
    return Report([DataSummaryPreset()]).run(data, None).dict()["metrics"][0]


if __name__ == "__main__":
    contest(work, "evidently")
