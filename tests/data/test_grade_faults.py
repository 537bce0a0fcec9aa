"""Known faults put into clean data are found where they are; clean data has none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tundish.data.grade.checks import Brief, grade_sheets
from tundish.data.grade.file import grade_file
from tundish.data.grade.report import Finding, GradeReport
from tundish.data.grade.sheet import Series, Sheet
from tundish.data.times import SECOND

NOW_US = 1_780_272_000 * SECOND
START_US = 1_767_225_600 * SECOND
TEN_MINUTES = 600 * SECOND

Columns = list[np.ndarray]


def _plant(seed: int, rows: int = 4000) -> tuple[Columns, np.ndarray]:
    """Make a level, a skewed flow, a coarse temperature, a motor and a slow drift."""
    rng = np.random.default_rng(seed)
    at = np.arange(rows)
    daily = np.sin(at / 144 * 2 * np.pi + rng.uniform(0, 6))
    drift = np.cumsum(rng.normal(size=rows)) * 0.2
    on = np.sin(at / 400 + rng.uniform(0, 6)) > -0.6
    columns = [
        50 + 10 * daily + rng.normal(size=rows),
        5 * np.exp(0.4 * daily + 0.2 * rng.normal(size=rows)),
        np.round(20 + 5 * daily + 0.3 * rng.normal(size=rows), 1),
        np.where(on, 30 + 3 * daily + rng.normal(size=rows), 0.0),
        100 + drift + rng.normal(size=rows),
    ]
    return [np.round(c, 3) for c in columns], START_US + at * TEN_MINUTES


def _grade(columns: Columns, us: np.ndarray, zone: str = "UTC") -> GradeReport:
    sheet = Sheet(
        name="plant",
        rows=len(us),
        series=tuple(
            Series(tag=f"T{i}", values=np.asarray(c, dtype=float), unit="1")
            for i, c in enumerate(columns)
        ),
        us=us.astype(np.int64),
        zone=zone,
        lines=len(us),
    )
    brief = Brief(name="plant", task="anomaly", now_us=NOW_US, licence="own")
    return grade_sheets([sheet], brief)


def _only(report: GradeReport, *kinds: str) -> Finding:
    found = [f for f in report.findings if f.kind in kinds]
    assert len(found) == 1, [(f.kind, f.tag, f.what) for f in report.findings]
    return found[0]


@pytest.mark.parametrize("seed", range(6))
def test_clean_data_gives_no_finding(seed: int) -> None:
    assert _grade(*_plant(seed)).findings == ()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tag", [0, 2, 4])
def test_a_frozen_sensor_is_found_with_tag_and_time(seed: int, tag: int) -> None:
    columns, us = _plant(seed)
    columns[tag][1500:1560] = columns[tag][1499]
    found = _only(_grade(columns, us), "stuck")
    assert found.tag == f"T{tag}"
    assert found.rows >= 60
    assert found.first.startswith("2026-01-11T")
    assert found.mend


@pytest.mark.parametrize("share", [0.01, 0.2])
def test_a_frozen_sensor_is_one_stretch_though_cells_are_missing(share: float) -> None:
    columns, us = _plant(1)
    columns[0][1500:1700] = columns[0][1499]
    rng = np.random.default_rng(0)
    columns[0][rng.random(len(us)) < share] = np.nan
    found = _only(_grade(columns, us), "stuck")
    assert found.rows >= 200 * (1 - share) * 0.9


def test_a_set_point_that_stands_is_not_stuck() -> None:
    columns, us = _plant(2)
    rng = np.random.default_rng(2)
    set_point = np.repeat(np.round(rng.normal(50, 10, 40), 2), 100)
    report = _grade([*columns, set_point], us)
    assert not [f for f in report.findings if f.kind in {"stuck", "idle"}]


def test_a_history_that_stores_changes_only_is_not_stuck() -> None:
    columns, us = _plant(3)
    held = [np.repeat(c[::20], 20)[: len(us)] for c in columns]
    report = _grade(held, us)
    assert not [f for f in report.findings if f.indicator == "Q08"]


def test_a_machine_that_stops_is_not_stuck() -> None:
    columns, us = _plant(4)
    columns[3][2000:2400] = 0.0
    assert not [f for f in _grade(columns, us).findings if f.kind == "stuck"]


def test_a_record_that_stands_still_as_a_whole_is_said_once() -> None:
    columns, us = _plant(5)
    columns = [columns[0], columns[4], np.round(columns[0] * 1.5 + columns[4], 3)]
    for column in columns:
        column[1000:1040] = column[999]
    found = _only(_grade(columns, us), "frozen-together")
    assert found.rows >= 40


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tag", [0, 2, 4])
def test_a_spike_is_found_in_its_row(seed: int, tag: int) -> None:
    columns, us = _plant(seed)
    columns[tag][1234] += 12 * columns[tag].std()
    found = _only(_grade(columns, us), "spike", "outlier")
    assert found.tag == f"T{tag}"
    assert found.rows == 1
    assert found.first == found.last == "2026-01-09T13:40:00+00:00"


@pytest.mark.parametrize("tag", [0, 1, 4])
def test_a_clipped_transmitter_is_found(tag: int) -> None:
    columns, us = _plant(7)
    limit = np.quantile(columns[tag], 0.95)
    columns[tag] = np.minimum(columns[tag], limit)
    found = _only(_grade(columns, us), "clipped")
    assert found.tag == f"T{tag}"
    assert found.rows == int((columns[tag] == limit).sum())


def test_a_gap_is_found_with_its_length() -> None:
    columns, us = _plant(8)
    keep = np.ones(len(us), dtype=bool)
    keep[700:748] = False
    report = _grade([c[keep] for c in columns], us[keep])
    found = _only(report, "gap")
    assert found.rows == 48
    assert "8.17 h" in found.what
    completeness = next(i for i in report.indicators if i.id == "Q02")
    assert completeness.bad == 48 * 5


def test_rows_copied_in_are_found() -> None:
    columns, us = _plant(9)
    again = np.sort(np.r_[np.arange(len(us)), np.arange(300, 350)])
    report = _grade([c[again] for c in columns], us[again])
    assert _only(report, "duplicate-row").rows == 50
    assert _only(report, "duplicate-time").rows == 50


def test_a_block_copied_to_another_time_is_found_without_time() -> None:
    columns, us = _plant(10)
    for column in columns:
        column[2000:2100] = column[1000:1100]
    sheet = Sheet(
        name="plant",
        rows=len(us),
        series=tuple(
            Series(tag=f"T{i}", values=c, unit="1") for i, c in enumerate(columns)
        ),
        lines=len(us),
    )
    brief = Brief(name="plant", task="anomaly", now_us=NOW_US)
    assert _only(grade_sheets([sheet], brief), "duplicate-row").rows == 100


@pytest.mark.parametrize("value", [-999.0, -9999.0, 99999.0])
def test_a_code_for_no_value_is_named_as_one(value: float) -> None:
    columns, us = _plant(11)
    columns[2][500:520] = value
    found = _only(_grade(columns, us), "code-value")
    assert found.tag == "T2"
    assert found.rows == 20


@pytest.mark.parametrize("direction", ["spring", "autumn"])
def test_a_clock_change_is_named_as_one(direction: str) -> None:
    columns, _ = _plant(12)
    start = {"spring": 1_774_224_000, "autumn": 1_760_832_000}[direction] * SECOND
    us = start + np.arange(len(columns[0])) * TEN_MINUTES
    change = {"spring": 1_774_746_000, "autumn": 1_761_440_400}[direction] * SECOND
    at = int(np.searchsorted(us, change))
    moved = us.copy()
    if direction == "spring":  # the logger keeps winter time, its offset is summer's
        moved[at + 6 :] -= 6 * TEN_MINUTES
        kinds = ("clock-change",)
    else:
        moved[at:] += 6 * TEN_MINUTES
        kinds = ("clock-change-gap",)
    report = _grade(columns, moved, "Europe/Berlin")
    found = _only(report, *kinds)
    assert "Europe/Berlin" in found.what
    assert not [f for f in report.findings if f.kind in {"gap", "duplicate-time"}]


def test_times_of_the_future_and_of_1970_are_found() -> None:
    columns, us = _plant(13)
    us = us.copy()
    us[0] = 0
    found = _only(_grade(columns, us), "impossible-time")
    assert found.first == "1970-01-01T00:00:00+00:00"


def _written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def _skab(real_sets: Path) -> pl.DataFrame:
    path = real_sets / "skab" / "anomaly-free" / "anomaly-free.csv"
    return pl.read_csv(path, separator=";")


def _stuck(frame: pl.DataFrame) -> pl.DataFrame:
    values = frame["Thermocouple"].to_numpy().copy()
    values[3000:3100] = values[2999]
    return frame.with_columns(Thermocouple=values)


def _spiked(frame: pl.DataFrame) -> pl.DataFrame:
    values = frame["Temperature"].to_numpy().copy()
    values[4000] += 60
    return frame.with_columns(Temperature=values)


def _doubled(frame: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([frame[:500], frame[400:]])


@pytest.mark.parametrize(
    ("fault", "kind", "tag"),
    [
        (_stuck, "stuck", "Thermocouple"),
        (_spiked, "outlier", "Temperature"),
        (_doubled, "duplicate-row", ""),
    ],
)
def test_a_fault_in_real_data_is_found_and_was_not_there_before(
    real_sets: Path,
    tmp_path: Path,
    now: datetime,
    fault: Callable[[pl.DataFrame], pl.DataFrame],
    kind: str,
    tag: str,
) -> None:
    clean = _skab(real_sets)
    clean.write_csv(tmp_path / "clean.csv")
    fault(clean).write_csv(tmp_path / "fault.csv")
    before = grade_file(tmp_path / "clean.csv", now=now)
    after = grade_file(tmp_path / "fault.csv", now=now)
    assert {f.kind for f in before.findings} == {"gap"}
    assert [f.tag for f in after.findings if f.kind in {kind, "spike"}] == [tag]
