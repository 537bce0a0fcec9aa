"""Times in any usual form; local clocks, epochs, elapsed time; roles of columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.data.errors import ColumnMissingError, TimeUnreadableError
from tundish.data.readers import read_text
from tundish.data.roles import Named, find_roles
from tundish.data.times import NO_TIME, SECOND, parse_elapsed, parse_times

FORMS = [
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d-%b-%Y %H:%M:%S",
    "%d-%b-%y %H:%M:%S",
    "%d/%m/%Y %H:%M",
]
MOMENTS = st.lists(
    st.integers(947_721_600 // 60, 2_840_140_800 // 60).map(
        lambda minute: datetime.fromtimestamp(60 * minute, UTC)
    ),
    min_size=3,
    max_size=40,
)


def _us(moment: datetime) -> int:
    return round(
        (moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)
    )


@given(moments=MOMENTS, form=st.sampled_from(FORMS))
def test_a_written_time_is_read_back(moments: list[datetime], form: str) -> None:
    moments = [*moments, datetime(2026, 5, 31, tzinfo=UTC)]  # settles day against month
    cells = pl.Series("t", [moment.strftime(form) for moment in moments])
    times = parse_times(cells, "UTC")
    assert times is not None
    assert times.kind == "local"
    assert times.us.tolist() == [_us(m) for m in moments]


@given(moments=MOMENTS, factor=st.sampled_from([1, 1_000, 1_000_000]))
def test_an_epoch_is_read_back(moments: list[datetime], factor: int) -> None:
    seconds = [_us(m) // SECOND for m in moments]
    times = parse_times(pl.Series("t", [float(s * factor) for s in seconds]), "UTC")
    assert times is not None
    assert times.kind == "epoch"
    assert times.us.tolist() == [s * SECOND for s in seconds]


def test_an_offset_wins_over_the_zone() -> None:
    cells = pl.Series("t", ["2022-03-20T11:00:00+01:00", "2022-03-20T10:30:00Z"])
    times = parse_times(cells, "Asia/Shanghai")
    assert times is not None
    assert times.kind == "zoned"
    assert times.us[0] == times.us[1] - 30 * 60 * SECOND + 0


def test_a_changing_offset_names_a_zone_that_fits() -> None:
    zone = ZoneInfo("Europe/Paris")
    start = datetime(2026, 3, 1, tzinfo=UTC)
    cells = [
        (start + timedelta(days=i)).astimezone(zone).isoformat() for i in range(60)
    ]
    times = parse_times(pl.Series("t", cells), "")
    assert times is not None
    assert times.zone == "Europe/Berlin"


def test_the_hour_that_stands_twice_is_told_by_order() -> None:
    zone = ZoneInfo("Europe/Berlin")
    start = datetime(2025, 10, 25, 23, 0, tzinfo=UTC)
    moments = [start + timedelta(minutes=10 * i) for i in range(24)]
    cells = pl.Series(
        "t", [m.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S") for m in moments]
    )
    times = parse_times(cells, "Europe/Berlin")
    assert times is not None
    assert times.us.tolist() == [_us(m) for m in moments]


def test_times_that_no_clock_showed_are_moved_and_counted() -> None:
    cells = pl.Series(
        "t", [f"2026-03-29 0{h}:{m}:00" for h in (1, 2, 3) for m in (10, 40)]
    )
    times = parse_times(cells, "Europe/Berlin")
    assert times is not None
    assert times.absent == 2
    assert times.us[2] == times.us[4]


def test_day_and_month_are_told_apart_where_they_can_be() -> None:
    american = parse_times(pl.Series("t", ["3/14/2026 6:00", "4/1/2026 7:00"]), "UTC")
    european = parse_times(pl.Series("t", ["14/3/2026 6:00", "1/4/2026 7:00"]), "UTC")
    assert american is not None
    assert european is not None
    assert american.us.tolist() == european.us.tolist()


def test_a_few_cells_that_are_no_times_are_counted() -> None:
    cells = [f"2026-01-01 00:{i:02d}:00" for i in range(60)]
    cells[7] = "off"
    times = parse_times(pl.Series("t", cells), "UTC")
    assert times is not None
    assert times.unreadable == 1
    assert times.us[7] == NO_TIME


@pytest.mark.parametrize("cells", [["a", "b"], ["1.5", "x"], ["T001", "T002"]])
def test_words_are_no_times(cells: list[str]) -> None:
    assert parse_times(pl.Series("t", cells), "UTC") is None


def test_elapsed_time_takes_its_unit_from_the_name() -> None:
    times = parse_elapsed(pl.Series("hours", [0.0, 0.5, 1.0]))
    assert times is not None
    assert times.us.tolist() == [0, 1800 * SECOND, 3600 * SECOND]


def _farm(units: int = 3, rows: int = 40) -> bytes:
    lines = ["turbine,time,power,mode"]
    lines += [
        f"T{u},2026-01-01 {i // 6:02d}:{i % 6}0:00,{i * 7 % 13 + u},run"
        for i in range(rows)
        for u in range(units)
    ]
    return "\n".join(lines).encode()


def test_time_and_unit_are_found_and_said() -> None:
    roles = find_roles(read_text(_farm(), "farm.csv"), Named())
    assert roles.times is not None
    assert roles.times.column == "time"
    assert roles.unit == "turbine"
    assert roles.numbers == ("power",)
    said = [a.otherwise for a in roles.assumptions]
    assert any("--time" in text for text in said)
    assert any("--unit" in text for text in said)


def test_what_is_named_wins() -> None:
    table = read_text(_farm(), "farm.csv")
    roles = find_roles(table, Named(unit="mode", target="power"))
    assert roles.unit == "mode"
    assert roles.target == "power"
    assert roles.numbers == ()


def test_batches_are_found_by_the_count_that_restarts() -> None:
    lines = [f"{u} {i} {(i * 7 + u) % 11}.5" for u in range(1, 6) for i in range(1, 21)]
    roles = find_roles(read_text("\n".join(lines).encode(), "b.txt"), Named())
    assert roles.unit == "column_1"
    assert roles.set_aside == ("column_2",)
    assert roles.numbers == ("column_3",)


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    table = read_text(_farm(), "farm.csv")
    with pytest.raises(ColumnMissingError, match="turbine, time, power"):
        find_roles(table, Named(time="when"))
    with pytest.raises(TimeUnreadableError, match="mode"):
        find_roles(table, Named(time="mode"))


def test_a_target_is_guessed_only_for_a_task_that_needs_one() -> None:
    text = b"x,y\n" + b"".join(
        f"{i * i % 7}.5,{i * 3 % 5}.1\n".encode() for i in range(9)
    )
    table = read_text(text, "t.csv")
    assert find_roles(table, Named()).target is None
    roles = find_roles(table, Named(task="regress"))
    assert roles.target == "y"
    assert any("--target" in a.otherwise for a in roles.assumptions)


def test_datetimes_have_nat_where_there_is_no_time() -> None:
    times = parse_times(pl.Series("t", ["2026-01-01 00:00:00", None]), "UTC")
    assert times is not None
    assert np.isnat(times.datetimes()).tolist() == [False, True]


def _mixed(changed_at: int, rows: int = 40) -> bytes:
    forms = ("%d.%m.%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S")
    start = datetime(2026, 3, 9, 10, tzinfo=UTC)
    lines = [
        f"{(start + timedelta(seconds=i)).strftime(forms[i >= changed_at])};{i * 7 % 13},5"
        for i in range(rows)
    ]
    return "\n".join(["Zeit;Druck", *lines]).encode()


def test_a_column_of_two_forms_of_time_is_not_lost_in_silence() -> None:
    table = read_text(_mixed(25), "export.csv")
    roles = find_roles(table, Named())
    assert roles.times is None
    (said,) = (a for a in roles.assumptions if "not taken as the time" in a.what)
    assert "25 of 40 cells have the form %d.%m.%Y %H:%M:%S" in said.why
    assert "row 26 has '2026-03-09 10:00:25'" in said.why
    with pytest.raises(
        TimeUnreadableError, match=r"25 of 40 cells .* row 26 has '2026"
    ):
        find_roles(table, Named(time="Zeit"))


def test_a_cell_that_is_no_time_is_named_with_its_row() -> None:
    table = read_text(_mixed(40) + b"\nSumme;240,5", "export.csv")
    for named in (Named(), Named(time="Zeit")):
        roles = find_roles(table, named)
        assert roles.times is not None
        assert roles.times.unreadable == 1
        (said,) = (a for a in roles.assumptions if "is the time" in a.what)
        assert "1 of them has not, and those rows have no time: row 41 has 'Summe'" in (
            said.why
        )


def test_a_column_of_words_is_not_said_to_be_nearly_a_time() -> None:
    text = "name,a\n" + "".join(f"lot {i},{i * i % 7}.5\n" for i in range(30))
    roles = find_roles(read_text(text.encode(), "t.csv"), Named())
    assert not [a for a in roles.assumptions if "taken as the time" in a.what]
    with pytest.raises(TimeUnreadableError, match="its first cell is 'lot 0'"):
        find_roles(read_text(text.encode(), "t.csv"), Named(time="name"))


@pytest.mark.parametrize("zone", ["Europe/Berln", "Berlin", "../etc/passwd", "x" * 300])
def test_a_zone_that_is_none_is_refused_with_its_name(zone: str) -> None:
    """A slip of the hand ended the grade with "Tundish made a mistake of its own"."""
    table = read_text(_mixed(40), "export.csv")
    with pytest.raises(TimeUnreadableError, match="is no zone"):
        find_roles(table, Named(time_zone=zone))
