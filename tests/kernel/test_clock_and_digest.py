from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.kernel import clock, digest


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_comes_back_from_its_text(moment: datetime) -> None:
    assert clock.from_text(clock.to_text(moment)) == moment


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        clock.from_text("2026-01-01T00:00:00")
    with pytest.raises(ValueError, match="zone"):
        clock.to_text(datetime(2026, 1, 1))  # noqa: DTZ001


def test_texts_of_one_moment_are_one_text() -> None:
    east = datetime(2026, 1, 1, 8, tzinfo=timezone(timedelta(hours=8)))
    assert clock.to_text(east) == "2026-01-01T00:00:00Z"


def test_a_manual_clock_never_goes_back_in_monotonic_seconds() -> None:
    manual = clock.ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    manual.advance(5)
    manual.advance(-10)
    assert manual.monotonic_s() == 0.0


def test_a_file_and_its_bytes_have_one_digest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"melt")
    assert digest.of_file(path) == digest.of_bytes(b"melt")
    assert digest.is_digest(digest.of_file(path))
    assert not digest.is_digest("sha256:" + "G" * 64)
    assert digest.of_bytes(b"melt").endswith(digest.hex_part(digest.of_bytes(b"melt")))
