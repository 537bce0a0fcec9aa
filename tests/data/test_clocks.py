"""Two clocks are compared by what both sources saw; a dead time is no wrong clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tundish.data.grade.clocks import agree, lag_between
from tundish.data.grade.sheet import Series, Sheet
from tundish.data.times import SECOND

START_US = 1_767_225_600 * SECOND


def _sheet(
    name: str, columns: dict[str, np.ndarray], step_s: int = 1, late_s: int = 0
) -> Sheet:
    rows = len(next(iter(columns.values())))
    us = START_US + (np.arange(rows, dtype=np.int64) * step_s + late_s) * SECOND
    series = tuple(Series(tag=tag, values=v, unit="1") for tag, v in columns.items())
    return Sheet(name=name, rows=rows, series=series, us=us)


def _loop(real_sets: Path) -> dict[str, np.ndarray]:
    """Read the real water loop: 1 Hz, from which two loggers are made."""
    path = real_sets / "skab" / "anomaly-free" / "anomaly-free.csv"
    frame = pl.read_csv(path, separator=";")
    return {
        name: frame[name].to_numpy()
        for name in frame.columns
        if frame.schema[name] == pl.Float64
    }


@pytest.mark.parametrize("late_s", [-120, -5, 0, 5, 37, 600])
def test_a_clock_that_is_wrong_is_found_to_the_row(
    real_sets: Path, late_s: int
) -> None:
    loop = _loop(real_sets)
    tag = "Accelerometer1RMS"
    one = _sheet("dcs", {tag: loop[tag], "Pressure": loop["Pressure"]})
    other = _sheet(
        "logger", {tag.lower(): loop[tag], "Current": loop["Current"]}, late_s=late_s
    )
    lag = lag_between(one, other)
    assert lag is not None
    assert lag.us == late_s * SECOND
    tally = agree([one, other])
    assert (tally.bad, tally.of) == (int(late_s != 0), 1)
    assert len(tally.findings) == int(late_s != 0)


def test_a_finding_names_both_sources_and_the_lag(real_sets: Path) -> None:
    loop = _loop(real_sets)
    tags = {"Accelerometer1RMS": loop["Accelerometer1RMS"]}
    tally = agree([_sheet("dcs", tags), _sheet("logger", tags, late_s=600)])
    (found,) = tally.findings
    assert found.kind == "clock-lag"
    assert "logger is 10 min behind dcs" in found.what


def test_one_dead_time_is_no_wrong_clock() -> None:
    rng = np.random.default_rng(0)
    feed = rng.normal(size=3000).cumsum()
    outlet = np.roll(feed, 40) + 0.1 * rng.normal(size=3000)
    noise = rng.normal(size=3000).cumsum()
    one, other = _sheet("a", {"FT1": feed, "X": noise}), _sheet("b", {"FT2": outlet})
    assert lag_between(one, other) is None
    assert agree([one, other]).of == 0


def test_three_pairs_at_one_lag_are_a_wrong_clock() -> None:
    rng = np.random.default_rng(1)
    signals = rng.normal(size=(3, 3000)).cumsum(axis=1)
    one = _sheet("a", {f"A{i}": s for i, s in enumerate(signals)})
    other = _sheet("b", {f"B{i}": 2 * s for i, s in enumerate(signals)}, late_s=90)
    lag = lag_between(one, other)
    assert lag is not None
    assert (lag.us, len(lag.by)) == (90 * SECOND, 3)


@pytest.mark.parametrize("seed", range(5))
def test_sources_that_have_nothing_in_common_say_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one = _sheet("a", {f"T{i}": rng.normal(size=2000).cumsum() for i in range(6)})
    other = _sheet("b", {f"U{i}": rng.normal(size=2000).cumsum() for i in range(6)})
    assert lag_between(one, other) is None


def test_a_slower_source_is_compared_at_its_own_rate() -> None:
    walk = np.random.default_rng(3).normal(size=9000).cumsum()
    fast = _sheet("dcs", {"T": walk})
    slow = _sheet("logger", {"T": fast.series[0].values[::10]}, step_s=10, late_s=60)
    lag = lag_between(fast, slow)
    assert lag is not None
    assert lag.us == 60 * SECOND
