"""Event logs: what must be told, and what must not be claimed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tundish.data.events.roles import find_roles
from tundish.data.grade.checks import Brief
from tundish.data.grade.events.grading import grade_events
from tundish.data.grade.kind import kind_of
from tundish.data.grade.report import Finding, GradeReport
from tundish.data.readers import read_table

NOW = round(datetime(2026, 6, 1, tzinfo=UTC).timestamp() * 1e6)
STEPS = ["Receive", "Turn", "Grind", "Inspect", "Pack"]

MIXED = ["Turning Q.C.", "Milling Q.C.", "Step 11", "Step 12", *["Packing"] * 20, "Picking", "Unpacking"]  # fmt: skip

Row = dict[str, str]


def events(cases: int = 60) -> list[Row]:
    """A shop with one machine per step; orders start 97 minutes after each other."""
    rng = np.random.default_rng(1)
    rows = []
    for case in range(cases):
        at = datetime(2026, 1, 5, 6, 3, tzinfo=UTC) + timedelta(minutes=97 * case)
        for step in STEPS:
            end = at + timedelta(minutes=int(rng.integers(5, 17)), seconds=20)
            rows.append(
                {
                    "case_id": f"A{case:03d}",
                    "activity": step,
                    "resource": f"{step} machine",
                    "start": f"{at:%Y-%m-%d %H:%M:%S}",
                    "end": f"{end:%Y-%m-%d %H:%M:%S}",
                }
            )
            at = end + timedelta(minutes=1)
    return rows


def write(path: Path, rows: list[Row]) -> Path:
    pl.DataFrame(rows).write_csv(path)
    return path


def grade(path: Path) -> GradeReport:
    return grade_events(
        [read_table(path)], Brief(name=path.name, task="unsaid", now_us=NOW)
    )


def kinds(report: GradeReport) -> set[str]:
    return {finding.kind for finding in report.findings}


def only(report: GradeReport, kind: str) -> Finding:
    found = [finding for finding in report.findings if finding.kind == kind]
    assert len(found) == 1, kinds(report)
    return found[0]


def test_a_clean_log_has_no_finding(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", events())
    assert kind_of(path) == "events"
    report = grade(path)
    assert kinds(report) == set()
    assert report.tables == {"log.csv": 300}


Change = Callable[[list[Row]], None]


def _no_case(rows: list[Row]) -> None:
    rows[12]["case_id"] = ""


def _copied(rows: list[Row]) -> None:
    rows.insert(13, dict(rows[12]))


def _back(rows: list[Row]) -> None:
    rows[12], rows[13] = rows[13], rows[12]


def _reversed(rows: list[Row]) -> None:
    rows[12]["start"], rows[12]["end"] = rows[12]["end"], rows[12]["start"]


def _cut(rows: list[Row]) -> None:
    del rows[:2]


def _spelled(rows: list[Row]) -> None:
    rows[13]["activity"] = "inspect "


def _slip(rows: list[Row]) -> None:
    rows[13]["activity"] = "Inspcet"


def _unknown(rows: list[Row]) -> None:
    rows[12]["resource"] = ""


def _future(rows: list[Row]) -> None:
    for row in rows[-1:]:
        row["start"] = row["end"] = "2036-01-01 08:00:01"


def _dates(rows: list[Row]) -> None:
    for row in rows:
        row["start"] = row["start"][:10] + " 00:00:00"
        row["end"] = row["end"][:10] + " 00:00:00"


def _pool(rows: list[Row]) -> None:
    for row in rows:
        if row["activity"] == "Grind":
            row["end"] = (datetime.fromisoformat(row["end"]) + timedelta(hours=10)).isoformat(sep=" ")  # fmt: skip


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (_no_case, "event-incomplete"),
        (_copied, "duplicate-event"),
        (_back, "backward-time"),
        (_reversed, "end-before-start"),
        (_cut, "case-cut"),
        (_spelled, "spelling"),
        (_slip, "spelling"),
        (_unknown, "no-resource"),
        (_future, "impossible-time"),
        (_dates, "no-time-of-day"),
        (_pool, "overload"),
    ],
)
def test_one_fault_is_named(tmp_path: Path, change: Change, kind: str) -> None:
    rows = events()
    change(rows)
    assert only(grade(write(tmp_path / "log.csv", rows)), kind).mend


def test_activities_that_share_words_are_not_one(tmp_path: Path) -> None:
    rows = events()
    for i, row in enumerate(rows):
        if row["activity"] == "Inspect":
            row["activity"] = ["Turning Q.C.", "Milling Q.C.", "Step 11", "Step 12"][
                i % 4
            ]
    assert "spelling" not in kinds(grade(write(tmp_path / "log.csv", rows)))


def test_alarms_cut_at_midnight_are_told(real_sets: Path) -> None:
    path = real_sets / "assetopsbench" / "alert_events.csv"
    assert kind_of(path) == "events"
    finding = only(grade(path), "cut-event")
    assert 600 < finding.rows < 950


@pytest.mark.parametrize("name", ["Production.csv", "Production.xes"])
def test_both_forms_of_a_real_log_say_the_same(real_sets: Path, name: str) -> None:
    report = grade(real_sets / "production-event-log" / name)
    assert "211 of 225 cases" in only(report, "variants").what
    assert only(report, "order-unknown").rows == 102
    assert "case-cut" not in kinds(report)
    assert "spelling" not in kinds(report)


@pytest.mark.parametrize(
    "columns",
    [
        {"time": ["2026-01-01 00:00"], "pressure": ["1.5"], "state": ["run"]},
        {"timestamp": ["2026-01-01 00:00"], "machine": ["M1"], "code": ["7"],
         "a": ["1.5"], "b": ["2.5"], "c": ["3.5"], "d": ["0.5"]},
    ],
)  # fmt: skip
def test_sensor_tables_are_no_logs(columns: dict[str, list[str]]) -> None:
    assert find_roles(pl.DataFrame(columns)) is None
