"""Laws of freshness: never back in version, time or uses."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.kernel.digest import of_bytes
from tundish.seal import freshness
from tundish.seal.errors import (
    ClockSetBackError,
    FreshnessUnreadableError,
    GrantOlderError,
    GrantUsedUpError,
    PackageForkedError,
    PackageOlderError,
)
from tundish.seal.freshness import (
    FileFreshness,
    LettingOlder,
    MemoryFreshness,
    Seen,
)

NOW = datetime(2026, 5, 4, 6, 0, tzinfo=UTC)
A, B = of_bytes(b"a"), of_bytes(b"b")
Kept = FileFreshness | MemoryFreshness


@pytest.fixture(params=["file", "memory"])
def seen(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    return (
        FileFreshness(tmp_path / "s" / "seen.json")
        if request.param == "file"
        else (MemoryFreshness())
    )


def test_an_older_version_is_refused_once_a_newer_was_seen(seen: Kept) -> None:
    seen.see_package("pump", 2, A)
    seen.see_package("pump", 2, A)
    seen.see_package("fan", 1, B)
    with pytest.raises(PackageOlderError, match="version 2"):
        seen.see_package("pump", 1, B)
    seen.see_package("pump", 3, B)
    with pytest.raises(PackageOlderError):
        seen.see_package("pump", 2, A)


def test_two_packages_of_one_version_are_refused(seen: Kept) -> None:
    seen.see_package("pump", 2, A)
    with pytest.raises(PackageForkedError):
        seen.see_package("pump", 2, B)


def test_a_clock_set_back_is_noticed(seen: Kept) -> None:
    seen.see_time(NOW)
    seen.see_time(NOW - timedelta(seconds=60))
    with pytest.raises(ClockSetBackError):
        seen.see_time(NOW - timedelta(seconds=121))
    seen.see_time(NOW + timedelta(days=1))
    with pytest.raises(ClockSetBackError):
        seen.see_time(NOW)


def test_many_small_steps_back_do_not_add_up(seen: Kept) -> None:
    seen.see_time(NOW)
    seen.see_time(NOW - timedelta(seconds=100))
    with pytest.raises(ClockSetBackError):
        seen.see_time(NOW - timedelta(seconds=200))


def test_uses_are_counted_and_end(seen: Kept) -> None:
    assert seen.use_grant("g", series="s", version=1, uses=2) == 1
    assert seen.use_grant("g", series="s", version=1, uses=2) == 0
    with pytest.raises(GrantUsedUpError):
        seen.use_grant("g", series="s", version=1, uses=2)
    assert seen.use_grant("free", series="t", version=1, uses=None) is None


def test_an_older_grant_is_refused_once_a_newer_was_used(seen: Kept) -> None:
    seen.use_grant("old", series="s", version=1, uses=None)
    seen.use_grant("new", series="s", version=2, uses=None)
    with pytest.raises(GrantOlderError):
        seen.use_grant("old", series="s", version=1, uses=None)


@given(st.lists(st.integers(1, 6), max_size=20))
def test_the_version_never_goes_down(versions: list[int]) -> None:
    seen, newest = Seen(), 0
    for version in versions:
        try:
            seen = freshness.after_package(seen, "pump", version, A)
        except PackageOlderError:
            assert version < newest
        else:
            assert version >= newest
            newest = version


def test_a_file_remembers_over_restarts(tmp_path: Path) -> None:
    path = tmp_path / "seen.json"
    FileFreshness(path).see_package("pump", 2, A)
    FileFreshness(path).see_time(NOW)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(PackageOlderError):
        FileFreshness(path).see_package("pump", 1, A)
    with pytest.raises(ClockSetBackError):
        FileFreshness(path).see_time(NOW - timedelta(days=1))


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"not json", b'{"format":"tundish.seen"']
)
def test_an_unreadable_record_opens_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "seen.json"
    path.write_bytes(content)
    if content == b"{}":
        path.write_bytes(b'{"format":"other"}')
    with pytest.raises(FreshnessUnreadableError):
        FileFreshness(path).see_time(NOW)
    with pytest.raises(FreshnessUnreadableError):
        FileFreshness(path).see_package("pump", 1, A)


def test_uses_are_counted_right_by_many_at_once(tmp_path: Path) -> None:
    path = tmp_path / "seen.json"
    left: list[int | None] = []

    def use() -> None:
        kept = FileFreshness(path)
        left.extend(
            kept.use_grant("g", series="s", version=1, uses=40) for _ in range(5)
        )

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for number in left if number is not None) == list(range(40))


def test_only_the_named_package_passes_when_it_is_older(seen: Kept) -> None:
    letting = LettingOlder(seen, [A])
    letting.see_package("pump", 1, A)
    letting.see_package("pump", 2, B)
    letting.see_package("pump", 1, A)
    with pytest.raises(PackageOlderError):
        letting.see_package("pump", 1, of_bytes(b"c"))
    with pytest.raises(PackageForkedError):
        letting.see_package("pump", 2, A)
    with pytest.raises(PackageOlderError):
        seen.see_package("pump", 1, A)


def test_nobody_else_can_hold_the_lock_of_the_record(tmp_path: Path) -> None:
    """Whoever may read a file may lock it: a line would wait for ever."""
    lock = tmp_path / "seen.json.lock"
    lock.touch(mode=0o644)
    for _ in ("one of an earlier version", "a new one"):
        FileFreshness(tmp_path / "seen.json").see_time(NOW)
        assert lock.stat().st_mode & 0o777 == 0o600
        lock.unlink()
