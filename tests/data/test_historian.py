"""A historian's export is read as it is: long or wide, with quality, on its own clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from tundish.data.errors import ColumnMissingError
from tundish.data.grade.file import grade_file
from tundish.data.grade.report import GradeReport
from tundish.data.historian import unfold
from tundish.data.quality import judged, read_quality
from tundish.data.readers import read_table
from tundish.data.roles import Named

BIBMON = ("bibmon-real-process", "real_process_data.csv")
START = datetime(2026, 3, 2, tzinfo=UTC)


def _real(real_sets: Path) -> pl.DataFrame:
    path = real_sets.joinpath(*BIBMON)
    frame = pl.read_csv(path, infer_schema_length=0)
    return frame.rename({frame.columns[0]: "when"})


def _long(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.unpivot(index="when", variable_name="tag", value_name="value").filter(
        pl.col("value").is_not_null()
    )


def _walks(names: dict[str, float], rows: int = 600, seed: int = 0) -> pl.DataFrame:
    """Make a long table of tags of different scale, one value a minute."""
    rng = np.random.default_rng(seed)
    when = [(START + timedelta(minutes=i)).isoformat() for i in range(rows)]
    parts = [
        pl.DataFrame(
            {
                "when": when,
                "tag": [name] * rows,
                "value": np.round(
                    scale * (5 + rng.normal(size=rows).cumsum() * 0.1), 4
                ),
            }
        )
        for name, scale in names.items()
    ]
    return pl.concat(parts)


def _said(report: GradeReport) -> str:
    return " ".join(a.what for a in report.assumptions)


def _found(report: GradeReport) -> list[tuple[str, str, str, str, int]]:
    return [(f.kind, f.tag, f.first, f.last, f.rows) for f in report.findings]


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_long_form_gives_the_findings_of_the_wide_one(
    real_sets: Path, tmp_path: Path, now: datetime, kind: str, *, shuffled: bool
) -> None:
    wide = _real(real_sets)
    wide.write_csv(tmp_path / "wide.csv")
    long = _long(wide)
    if shuffled:
        long = long.select("value", "when", "tag").sample(
            fraction=1, shuffle=True, seed=7
        )
    path = tmp_path / f"long.{kind}"
    long.write_csv(path) if kind == "csv" else long.write_parquet(path)
    report = grade_file(path, now=now, deep=False)
    assert "long form of a historian" in _said(report)
    assert list(report.tables.values()) == [wide.height]
    expected = grade_file(tmp_path / "wide.csv", now=now, deep=False)
    assert sorted(_found(report)) == sorted(_found(expected))


@pytest.mark.parametrize(
    ("names", "known"),
    [
        (("Timestamp", "TagName", "Value"), True),
        (("时间", "位号", "值"), True),
        (("Zeitstempel", "Messstelle", "Wert"), True),
        (("a", "b", "c"), True),  # told by their values: three scales, moments shared
        (("time", "machine", "temperature"), True),
    ],
)
def test_names_in_any_language_are_known(
    tmp_path: Path, names: tuple[str, str, str], *, known: bool
) -> None:
    long = _walks({"FT1": 1.0, "PT1": 100.0, "TT1": 20.0})
    long.columns = list(names)
    long.write_csv(tmp_path / "x.csv")
    parts = unfold(read_table(tmp_path / "x.csv"), Named())
    assert (parts[0].times is not None) == known


def test_machines_with_one_signal_are_no_historian_export(tmp_path: Path) -> None:
    long = _walks({"M1": 1.0, "M2": 1.1, "M3": 0.9})
    long.columns = ["time", "machine", "temperature"]
    long.write_csv(tmp_path / "x.csv")
    (part,) = unfold(read_table(tmp_path / "x.csv"), Named())
    assert part.times is None


def test_the_user_may_keep_the_lines(tmp_path: Path) -> None:
    _walks({"FT1": 1.0, "PT1": 100.0}).write_csv(tmp_path / "x.csv")
    (part,) = unfold(read_table(tmp_path / "x.csv"), Named(unit="tag"))
    assert part.table.frame.height == 1200


def test_tags_with_clocks_of_their_own_are_graded_on_them(
    tmp_path: Path, now: datetime
) -> None:
    fast = _walks({"FT1": 1.0, "PT1": 100.0}, rows=2000)
    slow = _walks({"TT1": 20.0}, rows=300, seed=1)
    late = [
        (START + timedelta(minutes=7 * i, seconds=11)).isoformat() for i in range(300)
    ]
    slow = slow.with_columns(when=pl.Series(late)).filter(
        ~pl.int_range(pl.len()).is_between(100, 119)
    )
    pl.concat([fast, slow]).write_csv(tmp_path / "x.csv")
    report = grade_file(tmp_path / "x.csv", now=now)
    assert sorted(report.tables.values()) == [280, 2000]
    assert [(f.kind, f.tag, f.rows) for f in report.findings] == [("gap", "TT1", 20)]
    completeness = next(i for i in report.indicators if i.id == "Q02")
    assert completeness.bad == 20  # no empty cell was made by the other clock


def test_values_stored_on_change_have_no_gaps(tmp_path: Path, now: datetime) -> None:
    """A dead band of 0.5 on a real thermometer: few values, none of them missing."""
    rng = np.random.default_rng(3)
    walk = 20 + rng.normal(size=20_000).cumsum() * 0.2
    kept, last = [], np.inf
    for i, value in enumerate(walk):
        if abs(value - last) >= 0.5:
            kept.append((i, round(value, 3)))
            last = value
    when = [(START + timedelta(minutes=i)).isoformat() for i, _ in kept]
    pl.DataFrame({"when": when, "TT1": [v for _, v in kept]}).write_csv(
        tmp_path / "x.csv"
    )
    report = grade_file(tmp_path / "x.csv", now=now)
    assert not report.findings
    why = next(n.why for n in report.not_measured if n.id == "Q07")
    assert "when they change" in why or "as events do" in why


@pytest.mark.parametrize(
    ("cells", "named", "bad"),
    [
        (["Good", "Bad", "Good", "Uncertain", "good (192)"], False, [1, 3]),
        (["好", "坏", "良好", "不确定", "好"], False, [1, 3]),
        (["192", "0", "192", "64", "216"], False, [1, 3]),
        (["0", "2147483648", "0", "1073741824", "0"], False, [1, 3]),
        (["1", "0", "1", "1", "1"], True, [1]),
        (["0", "1", "0", "0", "0"], True, [1]),
        (["0", "0", "0", "0", "0"], True, []),
        (["RUN", "STOP", "RUN", "RUN", "RUN"], False, None),
        (["1", "2", "3", "1", "1"], False, None),
    ],
)
def test_quality_is_understood(
    cells: list[str], *, named: bool, bad: list[int] | None
) -> None:
    found = read_quality(pl.Series("q", cells), named=named)
    if bad is None:
        assert found is None
    else:
        assert found is not None
        assert np.flatnonzero(found.bad).tolist() == bad


@pytest.mark.parametrize(
    ("value", "quality"),
    [
        ("TIC101.PV", "TIC101.Quality"),
        ("FT1", "FT1 status"),
        ("PT 7 [bar]", "Quality"),
        ("压力.值", "压力.质量"),
    ],
)
def test_a_quality_column_per_tag_empties_what_is_not_good(
    tmp_path: Path, value: str, quality: str
) -> None:
    words = ["Good"] * 50
    words[7] = words[8] = "Bad"
    frame = pl.DataFrame({value: np.arange(50.0) ** 0.5, quality: words})
    frame.write_csv(tmp_path / "x.csv")
    table = judged(read_table(tmp_path / "x.csv"))
    assert table.frame.columns == [value]
    assert table.frame[value].is_null().arg_true().to_list() == [7, 8]
    assert {w: r.tolist() for w, r in table.flags[value].items()} == {"Bad": [7, 8]}


def test_bad_values_are_said_with_their_time(tmp_path: Path, now: datetime) -> None:
    long = _walks({"FT1": 1.0, "PT1": 100.0}).with_columns(quality=pl.lit("192"))
    rows = pl.int_range(pl.len())
    long = long.with_columns(
        quality=pl.when(rows.is_between(100, 109))
        .then(pl.lit("0"))
        .otherwise("quality")
    )
    long.write_csv(tmp_path / "x.csv")
    (found,) = grade_file(tmp_path / "x.csv", now=now).findings
    assert (found.kind, found.tag, found.rows) == ("bad-quality", "FT1", 10)
    assert found.first == "2026-03-02T01:40:00+00:00"


def test_each_text_is_said_with_its_time(tmp_path: Path, now: datetime) -> None:
    long = _walks({"FT1": 1.0, "PT1": 100.0}).with_columns(pl.col("value").cast(str))
    rows = pl.int_range(pl.len())
    texts = pl.when(rows.is_between(600, 604)).then(pl.lit("I/O Timeout"))
    long = long.with_columns(
        value=texts.when(rows == 900).then(pl.lit("Shutdown")).otherwise("value")
    )
    long.write_csv(tmp_path / "x.csv")
    (found,) = grade_file(tmp_path / "x.csv", now=now).findings
    assert (found.kind, found.tag, found.rows) == ("text-state", "PT1", 6)
    assert "'I/O Timeout' 5x (2026-03-02T00:00:00+00:00 to" in found.what
    assert "'Shutdown' 1x (2026-03-02T05:00:00+00:00)" in found.what


@pytest.mark.parametrize("order", ["by tag", "by time", "newest first"])
def test_the_hour_that_stands_twice_is_told_apart_tag_by_tag(
    tmp_path: Path, order: str
) -> None:
    zone = ZoneInfo("Europe/Berlin")
    first = datetime(2025, 10, 25, 20, tzinfo=UTC)
    moments = [first + timedelta(minutes=10 * i) for i in range(60)]
    walls = [m.astimezone(zone).strftime("%d.%m.%Y %H:%M:%S") for m in moments]
    frame = pl.DataFrame(
        {
            "Zeit": walls * 2,
            "Tag": ["FT1"] * 60 + ["PT1"] * 60,
            "Wert": np.arange(120.0),
            "at": [m.timestamp() for m in moments] * 2,
        }
    )
    if order == "by time":
        frame = frame.sort("at", maintain_order=True)
    if order == "newest first":
        frame = frame.reverse()
    frame.drop("at").write_csv(tmp_path / "x.csv", separator=";")
    (part,) = unfold(read_table(tmp_path / "x.csv"), Named(time_zone="Europe/Berlin"))
    assert part.times is not None
    assert part.times.us.tolist() == [round(m.timestamp() * 1e6) for m in moments]
    assert part.table.frame["FT1"].to_list() == list(range(60))


def test_the_change_of_the_clocks_is_said_once(tmp_path: Path, now: datetime) -> None:
    zone = ZoneInfo("Europe/Berlin")
    first = datetime(2025, 10, 20, tzinfo=UTC)
    rng = np.random.default_rng(0)
    parts = []
    for k, second in enumerate((0, 13, 29)):  # three loggers, three clocks
        moments = [
            first + timedelta(minutes=10 * i, seconds=second) for i in range(1500)
        ]
        walls = [m.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S") for m in moments]
        values = (100.0**k * rng.normal(size=1500)).round(4)
        parts.append(
            pl.DataFrame({"time": walls, "tag": [f"T{k}"] * 1500, "value": values})
        )
    pl.concat(parts).write_csv(tmp_path / "x.csv")
    (found,) = grade_file(tmp_path / "x.csv", now=now).findings
    assert found.kind == "clock-change"
    assert "2 other tables" in found.what
    known = grade_file(tmp_path / "x.csv", now=now, time_zone="Europe/Berlin")
    assert not known.findings


def test_a_target_that_no_tag_is_is_refused(tmp_path: Path, now: datetime) -> None:
    _walks({"FT1": 1.0, "PT1": 100.0}).write_csv(tmp_path / "x.csv")
    grade_file(tmp_path / "x.csv", now=now, target="PT1")
    with pytest.raises(ColumnMissingError, match="FT9"):
        grade_file(tmp_path / "x.csv", now=now, target="FT9")
