"""Names sort by the time when they were given, also within one second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tundish.kernel.ids import new_id


def test_names_of_one_second_sort_by_time() -> None:
    begin = datetime(2026, 5, 1, tzinfo=UTC)
    moments = [begin + timedelta(milliseconds=n) for n in range(2500)]
    names = [new_id("run", moment) for moment in moments]
    assert sorted(names) == names


def test_names_of_one_moment_differ() -> None:
    begin = datetime(2026, 5, 1, tzinfo=UTC)
    assert len({new_id("run", begin) for _ in range(100)}) == 100
