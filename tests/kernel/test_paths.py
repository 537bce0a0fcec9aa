from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.kernel import paths
from tundish.kernel.errors import (
    DiskFullError,
    FileTooLargeError,
    PathMissingError,
    UnsafePathError,
)
from tundish.kernel.paths import read_file

UNSAFE = [
    "", "/etc/passwd", "../x", "a/../x", "a//b", "./a", "a/.", "C:/x", "a\\b", "nul",
    "a/COM1.txt", "a.", "a ", "a\0b", "a\nb", "e\u0301", "x" * 241, "a/b/..", "~/../x/..",
    # letters that turn the text around, that cannot be seen, that look like a step
    "photo\u202egnp.exe", "a\u200bb", "a\ufeffb", "a\u2066b", "a\u00adb", "a\u2028b",
    "\uff0e\uff0e/x", "\u2024\u2024/x", "\u2025/x", "a\u2215b", "a\uff0fb", "a\uff3cb", "a\u2044b",
    "a\x7fb", "a\ue000b", "\ud800", "\u2026x", "a\u29f8b",
]  # fmt: skip


@pytest.mark.parametrize("name", UNSAFE)
def test_a_name_that_could_lead_outside_is_refused(name: str) -> None:
    with pytest.raises(UnsafePathError):
        paths.check_name(name)


@given(st.text(max_size=30))
def test_an_accepted_name_stays_inside_its_folder(name: str) -> None:
    folder = Path("/srv/room")
    try:
        path = paths.join(folder, name)
    except UnsafePathError:
        return
    assert folder in path.parents
    assert ".." not in path.parts


def test_a_write_replaces_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    paths.write_whole(path, b"old", mode=0o600)
    paths.write_whole(path, b"new", mode=0o600)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in path.parent.iterdir()] == ["file"]


def test_a_full_disk_is_said_and_the_old_file_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def no_room(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(DiskFullError, match="no room"):
        paths.write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_path_says_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(PathMissingError, match="a folder is there"):
        paths.existing_file(tmp_path)
    with pytest.raises(PathMissingError, match="nothing is there"):
        paths.existing_folder(tmp_path / "no")


def test_a_file_far_larger_than_its_kind_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "grant.txt"
    with path.open("wb") as stream:
        stream.truncate(6 * 1024**3)  # a hole: it takes no disk
    with pytest.raises(FileTooLargeError, match="more than 16777216 bytes"):
        read_file(path)
    path.write_bytes(b"abc")
    assert read_file(path, most=3) == b"abc"
    with pytest.raises(FileTooLargeError):
        read_file(path, most=2)
