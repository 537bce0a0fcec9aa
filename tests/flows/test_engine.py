"""The same grade over the workers of Ray, on the loopback, and nowhere else."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tundish.data.grade import stream
from tundish.data.grade.file import grade_file
from tundish.flows.engine import over_ray, spread_by
from tundish.flows.errors import EngineUnfitError

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is an extra")
@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_two_workers_give_the_grade_of_one_process(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = 6_000
    us = 1_767_225_600_000_000 + np.arange(rows) * 1_000_000
    columns = {f"T{i}": 50 + rng.normal(size=rows) for i in range(4)}
    columns["T0"][1_000:1_900] = columns["T0"][999]
    path = tmp_path / "plant.parquet"
    frame = pl.DataFrame({"time": us.view("datetime64[us]"), **columns})
    frame.write_parquet(path, row_group_size=500)
    alone = grade_file(path, now=NOW, spread=lambda plan: [stream.state_of(plan)])
    spread = grade_file(path, now=NOW, spread=over_ray(2))
    assert spread == alone
    assert "stuck" in {finding.kind for finding in spread.findings}


def test_ray_is_refused_for_what_has_no_row_groups() -> None:
    with pytest.raises(EngineUnfitError, match="no Parquet file"):
        spread_by("ray", "plant.csv")
    assert spread_by("local", "plant.csv") is None
