"""What was once claimed falsely on files from other trades, and must not be again."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tundish.data.grade.file import grade_file
from tundish.data.grade.report import GradeReport
from tundish.flows.fetch import locate
from tundish.flows.grade import GradeOptions, grade
from tundish.kernel.errors import TundishError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DRAWS = np.random.default_rng(11)


@pytest.fixture(autouse=True)
def same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin the draws anew, so that tests do not depend on their order."""
    monkeypatch.setattr(sys.modules[__name__], "DRAWS", np.random.default_rng(11))


def graded(folder: Path, header: str, rows: list[str]) -> GradeReport:
    path = folder / "table.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return grade_file(path, now=NOW, deep=False)


def kinds(report: GradeReport) -> set[str]:
    return {finding.kind for finding in report.findings}


def dated(start: datetime, step: timedelta, rows: int, columns: int = 2) -> list[str]:
    values = DRAWS.normal(50, 3, size=(rows, columns)).round(4)
    return [
        ",".join([(start + i * step).strftime("%Y-%m-%d %H:%M:%S"), *map(str, row)])
        for i, row in enumerate(values)
    ]


def test_a_record_of_the_seventies_is_old_and_not_impossible(tmp_path: Path) -> None:
    rows = dated(datetime(1969, 1, 1, tzinfo=UTC), timedelta(days=7), 600)
    report = graded(tmp_path, "time,a,b", rows)
    assert "impossible-time" not in kinds(report)
    assert report.name == "table.csv"


@pytest.mark.parametrize("when", ["1970-01-01 00:00:07", "1980-01-01 00:00:07"])
def test_a_clock_that_was_not_set_is_found(when: str, tmp_path: Path) -> None:
    rows = dated(datetime(2024, 1, 1, tzinfo=UTC), timedelta(minutes=1), 300)
    rows[:20] = [f"{when[:-2]}{i:02d},50.1{i},49.{i}" for i in range(20)]
    report = graded(tmp_path, "time,a,b", rows)
    found = next(f for f in report.findings if f.kind == "impossible-time")
    assert found.rows == 20


def test_rows_in_any_order_have_no_spikes(tmp_path: Path) -> None:
    values = DRAWS.lognormal(0, 0.4, size=(400, 3)).round(4)
    values[7, 1] = 21.0
    report = graded(tmp_path, "a,b,c", [",".join(map(str, row)) for row in values])
    assert "spike" not in kinds(report)


def test_a_record_without_time_still_shows_its_spikes(tmp_path: Path) -> None:
    walk = np.cumsum(DRAWS.normal(size=(4000, 2)), axis=0)
    level = (40 + walk - np.linspace(0, 1, 4000)[:, None] * walk[-1]).round(4)
    level[1000, 0] = 900.0
    report = graded(tmp_path, "a,b", [",".join(map(str, row)) for row in level])
    assert kinds(report) & {"spike", "outlier"}


def test_columns_that_are_merely_numbered_are_no_spectrum(tmp_path: Path) -> None:
    scores = DRAWS.uniform(0.8, 1.0, size=(60, 30)).round(3)
    scores[::9] = 1.0
    header = ",".join(["set", *map(str, range(30))])
    rows = [",".join([f"s{i}", *map(str, row)]) for i, row in enumerate(scores)]
    assert "dead-spectrum" not in kinds(graded(tmp_path, header, rows))


def test_what_belongs_to_a_subject_was_not_held(tmp_path: Path) -> None:
    ages = DRAWS.uniform(18, 70, size=80).round(1)
    rows = [
        f"{subject + 1},{ages[subject]},{DRAWS.normal(9, 3):.3f}"
        for subject in range(80)
        for _ in range(4)
    ]
    assert "interpolated" not in kinds(graded(tmp_path, "subject,age,base", rows))


def test_a_rating_called_quality_empties_nothing(tmp_path: Path) -> None:
    rows = [
        f"{DRAWS.normal(5, 1):.3f},{DRAWS.choice([0, 0, 0, 1, 3, 4, 5])}"
        for _ in range(300)
    ]
    report = graded(tmp_path, "visits,quality", rows)
    assert "bad-quality" not in kinds(report)
    assert not any("quality of the values" in a.what for a in report.assumptions)


def test_numbers_with_a_letter_are_names(tmp_path: Path) -> None:
    rows = [
        f"{200 + i}{'a' * (i % 40 == 0)},{DRAWS.normal(5, 1):.3f}" for i in range(300)
    ]
    report = graded(tmp_path, "subject,flow", rows)
    assert "text-state" not in kinds(report)
    assert report.letter == "B"


def test_values_below_detection_are_said_and_readable(tmp_path: Path) -> None:
    rows = [
        "<0.01" if i % 3 == 0 else f"{DRAWS.lognormal(-3, 1):.4f}" for i in range(200)
    ]
    report = graded(tmp_path, "ammonium", rows)
    assert kinds(report) >= {"censored"}
    assert "text-state" not in kinds(report)
    readable = next(gate for gate in report.gates if gate.name == "readable")
    assert readable.state == "passed"


def test_five_working_days_a_week_leave_no_gap(tmp_path: Path) -> None:
    days = dated(datetime(2023, 1, 2, tzinfo=UTC), timedelta(days=1), 364)
    worked = [row for i, row in enumerate(days) if i % 7 < 5]
    report = graded(tmp_path, "time,a,b", worked)
    assert "gap" not in kinds(report)
    missing_week = [*worked[:100], *worked[110:]]
    assert "gap" in kinds(graded(tmp_path, "time,a,b", missing_week))


@pytest.mark.parametrize(
    ("day", "zone"),
    [("2023-03-26", "Europe/Berlin"), ("2023-03-12", "America/New_York")],
)
def test_the_clocks_of_the_right_continent_are_named(
    day: str, zone: str, tmp_path: Path
) -> None:
    start = datetime.fromisoformat(f"{day} 00:00:00+00:00") - timedelta(days=3)
    rows = dated(start, timedelta(minutes=10), 1000)
    kept = [row for row in rows if not row.startswith(f"{day} 02:")]
    report = graded(tmp_path, "time,a,b", kept)
    found = next(f for f in report.findings if f.kind == "clock-change-gap")
    assert zone in found.what


def test_a_code_for_no_value_is_said_once_for_many_units(tmp_path: Path) -> None:
    rows = []
    for unit in range(40):
        for row in range(10):
            value = -999 if unit % 5 == 0 and row < 3 else round(DRAWS.normal(50, 2), 3)
            rows.append(f"U{unit},{value},{DRAWS.normal(7, 1):.3f}")
    report = graded(tmp_path, "unit,a,b", rows)
    assert [f.kind for f in report.findings].count("code-value") == 1


def test_a_parked_rotor_is_idle_and_not_stuck() -> None:
    """Blades of a parked turbine stand still for days while its power only flickers."""
    try:
        root = locate("la-haute-borne").root
    except TundishError:
        pytest.skip("la-haute-borne is not in the cache; 'make test' fetches it")
    [path] = root.rglob("*.zip") if any(root.rglob("*.zip")) else root.rglob("*.csv")
    report = grade_file(path, now=NOW, deep=False)
    parked = {f.kind for f in report.findings if f.tag == "Ba_avg"}
    assert "idle" in parked
    assert "stuck" not in parked


def test_a_file_in_which_nothing_was_understood_is_no_b(tmp_path: Path) -> None:
    rows = [f"id{i} {'x' * (i % 7)}-{i % 3} years" for i in range(60)]
    report = graded(tmp_path, "what it is", rows)
    gate = next(gate for gate in report.gates if gate.name == "readable")
    assert gate.state == "failed"
    assert "separator" in gate.detail
    assert report.letter == "D"


@pytest.mark.parametrize("unit", ["mPa·s", "N*m", "kW.h", "g/cm³", "m3/h"])
def test_a_unit_made_of_two_is_a_unit(unit: str, tmp_path: Path) -> None:
    rows = [f"{DRAWS.normal(50, 2):.3f},{DRAWS.normal(5, 2):.3f}" for _ in range(50)]
    report = graded(tmp_path, f"a [{unit}],b [bar]", rows)
    known = next(item for item in report.indicators if item.id == "Q12")
    assert known.value == 1.0


def test_a_changed_copy_of_a_file_is_found(real_sets: Path) -> None:
    report = grade(str(real_sets / "debutanizer-column"), GradeOptions(quick=True))
    found = next(f for f in report.findings if f.kind == "unit-copied")
    assert 2_000 < found.rows < 2_394
    assert "withFault" in found.what
