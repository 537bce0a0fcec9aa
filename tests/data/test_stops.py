"""Stops are cut out and counted before anything is called stuck, missing or an outlier."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tundish.catalog.errors import ConditionInvalidError
from tundish.data.grade.checks import Brief, grade_sheets
from tundish.data.grade.file import grade_file
from tundish.data.grade.report import GradeReport
from tundish.data.grade.sheet import Series, Sheet
from tundish.data.grade.stops import counted, with_running
from tundish.data.times import SECOND

ROWS = 4000
START_US = 1_767_225_600 * SECOND
MINUTE = 60 * SECOND
BRIEF = Brief(name="t", task="anomaly", now_us=1_780_272_000 * SECOND, licence="own")


def _on() -> np.ndarray:
    on = np.ones(ROWS, dtype=bool)
    for first, length in ((600, 90), (1700, 160), (2900, 60)):
        on[first : first + length] = False
    return on


def _plant(seed: int = 0) -> dict[str, np.ndarray]:
    """Make a pump with its flow, pressure and current, and a thermometer outdoors."""
    rng = np.random.default_rng(seed)
    on, load = _on(), 1 + 0.1 * np.sin(np.arange(ROWS) / 300)
    noise = rng.normal(size=(4, ROWS))
    return {
        "FT1": np.where(on, 50 * load + noise[0], 0.0).round(2),
        "PT1": np.where(on, 6 * load + 0.05 * noise[1], 0.02).round(3),
        "P1 [A]": np.where(on, 18 * load + 0.3 * noise[2], 0.0).round(2),
        "TT1": (10 + 5 * np.sin(np.arange(ROWS) / 229) + 0.2 * noise[3]).round(2),
    }


def _sheet(columns: dict[str, np.ndarray], keep: np.ndarray | None = None) -> Sheet:
    kept = np.ones(ROWS, dtype=bool) if keep is None else keep
    return Sheet(
        name="plant",
        rows=int(kept.sum()),
        series=tuple(
            Series(tag=tag, values=values[kept].astype(float), unit="1")
            for tag, values in columns.items()
        ),
        us=(START_US + np.arange(ROWS, dtype=np.int64) * MINUTE)[kept],
        lines=int(kept.sum()),
    )


def _grade(sheet: Sheet, running: str = "'P1 [A]' > 1") -> GradeReport:
    return grade_sheets(with_running([sheet], running), BRIEF)


def test_stops_are_counted() -> None:
    (sheet,) = with_running([_sheet(_plant())], "'P1 [A]' > 1")
    stops = counted(sheet)
    assert (stops.count, stops.rows, stops.us) == (3, 310, 310 * MINUTE)


@pytest.mark.parametrize("seed", range(4))
def test_a_plant_that_stops_is_well_once_it_is_said(seed: int) -> None:
    assert _grade(_sheet(_plant(seed))).findings == ()


def test_unsaid_stops_are_pointed_out_with_the_condition() -> None:
    sheet = _sheet(_plant())
    (found,) = [f for f in grade_sheets([sheet], BRIEF).findings if f.kind == "stops"]
    assert "3 stretches, 5.17 h in all" in found.what
    condition = found.mend.partition('"')[2].partition('"')[0]
    (again,) = with_running([sheet], condition)
    assert again.running is not None
    assert (again.running == _on()).all()


def test_clean_data_without_stops_gets_no_such_advice() -> None:
    columns = {"TT1": _plant()["TT1"], "TT2": _plant(1)["TT1"], "TT3": _plant(2)["TT1"]}
    assert grade_sheets([_sheet(columns)], BRIEF).findings == ()


def test_a_sensor_stuck_while_the_plant_runs_is_found_with_its_hours() -> None:
    columns = _plant()
    columns["FT1"][1000:1240] = columns["FT1"][999]
    (found,) = _grade(_sheet(columns)).findings
    assert (found.kind, found.tag) == ("stuck", "FT1")
    assert "241 rows (4.02 h)" in found.what


def test_a_sensor_stuck_over_a_stop_is_one_stretch() -> None:
    columns = _plant()
    columns["FT1"][1600:1960] = columns["FT1"][1599]
    (found,) = [f for f in _grade(_sheet(columns)).findings if f.kind == "stuck"]
    assert found.tag == "FT1"
    assert found.rows == 361 - 160  # running rows only


def test_a_thermometer_outdoors_is_watched_in_stops_too() -> None:
    columns = _plant()
    columns["TT1"][1700:1860] = columns["TT1"][1699]
    (found,) = [f for f in _grade(_sheet(columns)).findings if f.kind == "stuck"]
    assert found.tag == "TT1"


def test_gaps_and_empty_cells_count_in_running_time_only() -> None:
    columns, on = _plant(), _on()
    keep = np.ones(ROWS, dtype=bool)
    keep[1720:1800] = False  # the historian slept in a stop
    columns["PT1"][2910:2950] = np.nan  # and a transmitter was off in another
    sheet = _sheet(columns, keep)
    assert _grade(sheet).findings == ()
    report = _grade(sheet)
    complete = next(i for i in report.indicators if i.id == "Q02")
    assert (complete.bad, complete.of) == (0, int(on.sum()) * 4)
    even = next(i for i in report.indicators if i.id == "Q07")
    assert "rows of stops left out" in even.detail


def test_impossible_values_count_in_stops_too() -> None:
    columns = _plant()
    columns["TT1"][1710:1720] = -300
    sheet = _sheet(columns)
    series = tuple(
        replace(s, unit="degC") if s.tag == "TT1" else s for s in sheet.series
    )
    kinds = {f.kind for f in _grade(replace(sheet, series=series)).findings}
    assert "impossible" in kinds


def test_an_empty_cell_of_the_running_tag_keeps_the_state() -> None:
    columns = _plant()
    columns["P1 [A]"][100:110] = np.nan
    (sheet,) = with_running([_sheet(columns)], "'P1 [A]' > 1")
    assert counted(sheet).rows == 310


def test_a_tag_on_another_clock_tells_when_the_plant_runs() -> None:
    columns = _plant()
    pump = _sheet({"P1 [A]": columns["P1 [A]"]})
    every = np.arange(ROWS) % 10 == 0
    rest = _sheet({"FT1": columns["FT1"], "PT1": columns["PT1"]}, every)
    made = with_running([rest, pump], "'P1 [A]' > 1")
    assert made[0].running is not None
    assert (made[0].running == _on()[every]).all()


def test_a_condition_on_no_tag_of_the_file_is_refused() -> None:
    with pytest.raises(ConditionInvalidError, match="names 'XY'"):
        with_running([_sheet(_plant())], "XY > 1")


def test_running_is_said_and_counted_in_a_file(tmp_path: Path, now: datetime) -> None:
    times = [
        f"2026-01-{1 + m // 1440:02d}T{m // 60 % 24:02d}:{m % 60:02d}:00Z"
        for m in range(ROWS)
    ]
    pl.DataFrame({"time": times, **_plant()}).write_csv(tmp_path / "x.csv")
    report = grade_file(tmp_path / "x.csv", now=now, running="'P1 [A]' > 1")
    (said,) = [a.what for a in report.assumptions if "stops" in a.what]
    assert "3 stops, 310 of 4,000 rows" in said
    assert "5.17 h" in said
    assert report.findings == ()
