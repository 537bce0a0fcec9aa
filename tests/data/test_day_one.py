"""The first file of a plant: what an engineer would want to read is said, and no more.

A workbook as a historian writes it in Germany: 40 real tags (bibmon's process, tags that
are live and stored as they were measured), decimal commas, local time over the October
change of the clocks, texts in cells of numbers, and one flow that was frozen for 41 hours
while its pump ran.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from tundish.data.grade.file import grade_file
from tundish.data.grade.report import GradeReport
from tundish.data.readers import read_table

TAGS = 40
ROWS = 3000
STEP = timedelta(minutes=5)
ZONE = ZoneInfo("Europe/Berlin")
FIRST = datetime(2025, 10, 19, 22, tzinfo=UTC)  # midnight of the 20th, summer time
FROZEN_AT = datetime(2025, 10, 23, 4, 0, tzinfo=UTC)
HOURS = 41
FROZEN = "FIC117.PV"
PUMP = "P117.I"


def _clean(real_sets: Path) -> dict[str, np.ndarray]:
    """Take the live tags of which nothing is said: real signals without a known fault."""
    path = real_sets / "bibmon-real-process" / "real_process_data.csv"
    report = grade_file(path, now=datetime(2026, 6, 1, tzinfo=UTC), deep=False)
    named = " ".join(
        f"{f.tag} {f.what}" for f in report.findings if f.kind != "constant"
    )
    frame = read_table(path).frame
    clean = {}
    for series in frame.get_columns():
        if series.dtype != pl.Float64 or series.null_count() > 0.1 * len(series):
            continue
        values = series.fill_null(strategy="forward").fill_null(0.0).to_numpy()[:ROWS]
        alive = float(np.mean(np.diff(values) != 0))
        spoken = f"{series.name} " in f"{named} " or f"{series.name}," in named
        if alive > 0.9 and not spoken and not _jumps(values):
            clean[series.name] = values
    return clean


def _jumps(values: np.ndarray) -> bool:
    """Tell whether a single row stands far off its neighbours: a true spike."""
    off = np.abs(values[1:-1] - (values[:-2] + values[2:]) / 2)
    return bool(off.max() > 6 * np.quantile(off, 0.95))


def _workbook(real_sets: Path) -> tuple[pl.DataFrame, dict[str, np.ndarray]]:
    clean = _clean(real_sets)
    rng = np.random.default_rng(117)
    bases = list(clean.values())
    names = [FROZEN, PUMP, *(f"TI{200 + i}.PV" for i in range(TAGS - 2))]
    tags = {}
    for i, name in enumerate(names):
        base = bases[i % len(bases)]
        turn = i // len(bases) * 700
        noise = rng.normal(size=ROWS) * 0.05 * np.std(np.diff(base))
        tags[name] = np.round(80 + 10 * (np.roll(base, turn) + noise), 2)
    first = int((FROZEN_AT - FIRST) / STEP)
    tags[FROZEN][first : first + HOURS * 12] = tags[FROZEN][first]
    walls = [(FIRST + i * STEP).astimezone(ZONE) for i in range(ROWS)]
    cells = {
        name: [f"{v:.2f}".replace(".", ",") for v in values]
        for name, values in tags.items()
    }
    for row in range(500, 512):
        cells["TI205.PV"][row] = "Bad Input"
    cells["TI211.PV"][1200] = "I/O Timeout"
    times = [wall.strftime("%d.%m.%Y %H:%M:%S") for wall in walls]
    return pl.DataFrame({"Zeit": times, **cells}), tags


def _written(frame: pl.DataFrame, folder: Path, kind: str) -> Path:
    path = folder / f"export.{kind}"
    if kind == "xlsx":
        frame.write_excel(path, worksheet="Trend")
    else:
        frame.write_csv(path, separator=";")
    return path


def _long(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.unpivot(index="Zeit", variable_name="Tag", value_name="Wert")


def _found(report: GradeReport) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for finding in report.findings:
        found.setdefault(finding.kind, set()).add(finding.tag)
    return found


@pytest.mark.parametrize("kind", ["csv", "xlsx", "long.csv"])
def test_the_first_file_says_what_an_engineer_wants_to_read(
    real_sets: Path, tmp_path: Path, now: datetime, kind: str
) -> None:
    frame, _ = _workbook(real_sets)
    frame = _long(frame) if kind.startswith("long") else frame
    path = _written(frame, tmp_path, kind)
    report = grade_file(path, now=now, deep=False)
    assert _found(report) == {
        "stuck": {FROZEN},
        "clock-change": {""},
        "text-state": {"TI205.PV", "TI211.PV"},
    }
    stuck = report.findings[0]
    assert stuck.kind == "stuck"
    assert f"({HOURS} h)" in stuck.what
    assert (
        stuck.first == "2025-10-23T06:00:00+00:00"
    )  # the wall clock's, no zone is known
    assert stuck.last.startswith("2025-10-24T22:55:00")
    assert f"of {TAGS - 1} other live tags go on changing" in stuck.what
    (clock,) = [f for f in report.findings if f.kind == "clock-change"]
    assert "Europe/Berlin" in clock.what
    assert "2025-10-26T02:00:00" in clock.what
    texts = {f.tag: f for f in report.findings if f.kind == "text-state"}
    assert "'Bad Input' 12x (2025-10-21T17:40:00" in texts["TI205.PV"].what
    assert "'I/O Timeout' 1x" in texts["TI211.PV"].what
    assert any("decimal comma" in a.what for a in report.assumptions) or kind == "xlsx"


@pytest.mark.parametrize("kind", ["csv", "long.csv"])
def test_with_zone_and_running_state_all_is_said_in_true_time(
    real_sets: Path, tmp_path: Path, now: datetime, kind: str
) -> None:
    frame, _ = _workbook(real_sets)
    frame = _long(frame) if kind.startswith("long") else frame
    report = grade_file(
        _written(frame, tmp_path, kind),
        now=now,
        time_zone="Europe/Berlin",
        running=f"{PUMP} > 0",
        deep=False,
    )
    assert _found(report) == {"stuck": {FROZEN}, "text-state": {"TI205.PV", "TI211.PV"}}
    stuck = report.findings[0]
    assert stuck.first == "2025-10-23T06:00:00+02:00"
    assert f"({HOURS} h)" in stuck.what
    assert any("0 stops" in a.what for a in report.assumptions)


def test_the_same_book_without_the_faults_is_quiet(
    real_sets: Path, tmp_path: Path, now: datetime
) -> None:
    _, tags = _workbook(real_sets)
    times = [(FIRST + i * STEP).isoformat() for i in range(ROWS)]
    names = [name for name in tags if name != FROZEN]
    frame = pl.DataFrame({"time": times, **{name: tags[name] for name in names}})
    report = grade_file(_written(frame, tmp_path, "csv"), now=now, deep=False)
    assert report.findings == ()
