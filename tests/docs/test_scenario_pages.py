"""The parts of a scenario that the page on scenarios shows make one that runs dry."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from tests.line.test_governor import SCENARIO as KILN

from tundish.catalog.scenario import Scenario
from tundish.data.simulated.writing import write

PAGE = Path(__file__).parents[2] / "docs/how-to/scenarios.md"


def test_the_parts_that_the_page_shows_give_a_stream_with_that_failure(
    tmp_path: Path,
) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    said: dict[str, Any] = {}
    for block in blocks[:2]:
        said |= yaml.safe_load(block)
    assert set(said) == {"failure_modes", "simulation"}
    whole = KILN.model_dump()
    signal = whole["signals"][0]
    whole |= said | {
        "signals": [signal | {"name": name} for name in ("outlet", "valve")],
    }
    scenario = Scenario.model_validate(whole, strict=False)
    rows = write(scenario, tmp_path, 0)
    assert rows["normal.parquet"] == said["simulation"]["rows"]
    assert {path.name for path in tmp_path.iterdir()} > {"site.yaml", "card.yaml"}
    normal = pl.read_parquet(tmp_path / "normal.parquet")
    watched = pl.read_parquet(tmp_path / "watched.parquet")
    fouled = watched.filter(pl.col("failure") == "fouled")
    assert {"outlet", "valve"} < set(normal.columns)
    assert fouled.height > 100
    opened = fouled["valve"].to_numpy().mean() - normal["valve"].to_numpy().mean()
    assert 5 < opened < 25  # it drifts to 18, and the load has moods
