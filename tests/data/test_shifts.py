"""A shift is one of local time: night shifts cross midnight, summer time moves them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tundish.catalog import library
from tundish.catalog.documents import parse_document
from tundish.catalog.site import SiteProfile
from tundish.data.shifts import OUTSIDE, shift_length_s, shift_names

SITE = (
    Path(library.__file__).parent / "declared" / "sites" / "water-flow.yaml"
).read_text(encoding="utf-8")
CALENDAR = """
shifts:
  - {name: day, start: "06:00", hours: 10}
  - {name: night, start: "22:00", hours: 8}
"""


def site(text: str = CALENDAR) -> SiteProfile:
    return parse_document((SITE + text).encode(), SiteProfile, "site.yaml")


def named(*moments: str) -> list[str]:
    found = shift_names(np.array(moments, dtype="datetime64[us]"), site())
    assert found is not None
    return [str(name) for name in found]


def test_a_night_shift_crosses_midnight() -> None:
    # Rome in January: one hour ahead of UTC
    assert named("2022-01-10T20:59", "2022-01-10T21:00", "2022-01-11T04:59") == [
        OUTSIDE,
        "night",
        "night",
    ]


def test_summer_time_moves_the_shift() -> None:
    assert named("2022-01-10T05:00", "2022-07-10T04:00", "2022-07-10T03:59") == [
        "day",
        "day",
        "night",
    ]


def test_a_moment_that_nobody_knows_lies_outside() -> None:
    assert named("2022-01-10T12:00", "NaT") == ["day", OUTSIDE]


def test_without_a_calendar_there_are_no_shifts() -> None:
    moments = np.array(["2022-01-10T05:00"], dtype="datetime64[us]")
    assert shift_names(moments, site("")) is None
    assert shift_length_s(site("")) is None
    assert shift_length_s(site()) == 9 * 3600
