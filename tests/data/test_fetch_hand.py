"""Sets that only people are given: what is pinned is checked, what came first is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.data.hosts import sha

from tundish.catalog.datasets import DatasetEntry
from tundish.data.errors import ByHandError, DigestMismatchError, FetchTooLargeError
from tundish.data.fetch import copying, obtain
from tundish.data.fetch.cache import Fetched
from tundish.data.fetch.mirror import Mirror
from tundish.data.fetch.obtain import How
from tundish.data.fetch.proof import Prover
from tundish.kernel.errors import PathMissingError, UnsafePathError

LABELS = b"wafer,good\n1,1\n"


def by_hand(**changes: object) -> DatasetEntry:
    value: dict[str, object] = {
        "format": "tundish.dataset",
        "version": 1,
        "key": "handset",
        "name": {"en": "A line", "zh": "产线"},
        "description": "by its maker",
        "sector": "C39",
        "task": "inspect",
        "origin": "real",
        "source": {
            "kind": "hand",
            "address": "https://maker.example/set",
            "steps": ("Fill in the form.", "Unpack what is sent."),
            "files": (
                {"name": "*.mat", "what": "one bearing each"},
                {"name": "labels.csv", "what": "labels", "sha256": sha(LABELS)},
            ),
        },
        "licence": {"name": "MIT", "stated_in": "its page", "kind": "A"},
        "citation": "its maker",
    }
    return DatasetEntry.model_validate(value | changes)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    folder = tmp_path / "filled"
    (folder / "rig").mkdir(parents=True)
    (folder / "rig/97.mat").write_bytes(b"normal")
    (folder / "rig/105.mat").write_bytes(b"inner race")
    (folder / "labels.csv").write_bytes(LABELS)
    (folder / "readme.txt").write_bytes(b"not of the set")
    return folder


def _take(tmp_path: Path, folder: Path | None, **how: object) -> Fetched:
    made = How(by_hand=folder, **how)  # type: ignore[arg-type]
    return obtain.fetch(by_hand(), (), tmp_path / "cache", made)


def test_the_files_that_the_entry_names_are_taken_and_others_left(
    tmp_path: Path, filled: Path
) -> None:
    got = _take(tmp_path, filled)
    assert set(got.files) == {"rig/97.mat", "rig/105.mat", "labels.csv"}
    assert set(got.first_use) == {"rig/97.mat", "rig/105.mat"}
    assert _take(tmp_path, None).digest == got.digest, "the cache needs no folder"


def test_other_bytes_than_came_first_are_refused(tmp_path: Path, filled: Path) -> None:
    got = _take(tmp_path, filled)
    (filled / "rig/97.mat").write_bytes(b"NORMAL")
    with pytest.raises(DigestMismatchError, match=r"97\.mat.*imported here first"):
        _take(tmp_path, filled)
    again = _take(tmp_path, None)
    assert again.digest == got.digest, "and what is in the cache stays"


def test_what_came_first_is_known_also_when_the_cached_set_is_gone(
    tmp_path: Path, filled: Path
) -> None:
    got = _take(tmp_path, filled)
    got.folder.rename(tmp_path / "gone")
    (filled / "rig/97.mat").write_bytes(b"NORMAL")
    with pytest.raises(DigestMismatchError):
        _take(tmp_path, filled)


def test_a_damaged_note_of_what_came_first_is_not_taken_for_none(
    tmp_path: Path, filled: Path
) -> None:
    _take(tmp_path, filled)
    (tmp_path / "cache/pins/handset.json").write_bytes(b"{}")
    with pytest.raises(DigestMismatchError, match="first imported"):
        _take(tmp_path, filled)


def test_a_pinned_file_of_other_bytes_is_refused(tmp_path: Path, filled: Path) -> None:
    (filled / "labels.csv").write_bytes(LABELS + b"2,0\n")
    with pytest.raises(DigestMismatchError, match=r"labels\.csv"):
        _take(tmp_path, filled)
    assert not (tmp_path / "cache/datasets").exists()


def test_a_missing_file_and_one_that_is_there_twice_are_told(
    tmp_path: Path, filled: Path
) -> None:
    (filled / "rig/labels.csv").write_bytes(LABELS)
    with pytest.raises(ByHandError, match="2 files"):
        _take(tmp_path, filled)
    (filled / "labels.csv").unlink()
    (filled / "rig/labels.csv").unlink()
    with pytest.raises(ByHandError, match=r"holds no labels\.csv"):
        _take(tmp_path, filled)


def test_without_a_folder_the_makers_page_is_named(tmp_path: Path) -> None:
    with pytest.raises(ByHandError, match=r"https://maker\.example/set"):
        _take(tmp_path, None)


def test_a_folder_that_is_too_large_is_not_copied(tmp_path: Path, filled: Path) -> None:
    with pytest.raises(FetchTooLargeError):
        _take(tmp_path, filled, most_bytes=10)


def test_links_are_refused_and_a_missing_folder_is_told(
    tmp_path: Path, filled: Path
) -> None:
    with pytest.raises(PathMissingError):
        _take(tmp_path, tmp_path / "none")
    (filled / "rig/1.mat").symlink_to("/etc/passwd")
    with pytest.raises(UnsafePathError):
        _take(tmp_path, filled)


def test_a_cached_file_that_changed_is_noticed(tmp_path: Path, filled: Path) -> None:
    got = _take(tmp_path, filled)
    got.files["rig/97.mat"].write_bytes(b"NORMAL")
    with pytest.raises(ByHandError):
        _take(tmp_path, None)


def test_a_mirror_carries_such_a_set_to_another_machine(
    tmp_path: Path, filled: Path
) -> None:
    got = _take(tmp_path, filled)
    out = tmp_path / "stick"
    held = copying.add(by_hand(), (), out, tmp_path / "cache", How())
    copying.note(out, "handset", held)
    there = obtain.fetch(by_hand(), (), tmp_path / "there", How(mirror=out))
    assert there.digest == got.digest
    assert set(there.first_use) == {"rig/97.mat", "rig/105.mat"}


def test_files_that_nobody_pinned_are_said_to_be_unpinned(
    tmp_path: Path, filled: Path
) -> None:
    filled.rename(tmp_path / "handset")
    prover = Prover(mirror=Mirror.at(tmp_path))
    proof = prover.prove(by_hand(), ())
    assert (proof.result, proof.files, proof.on_trust) == ("proven", 1, 2)
    (tmp_path / "handset/labels.csv").unlink()
    proof = prover.prove(by_hand(), ())
    assert (proof.result, proof.files, proof.on_trust) == ("unpinned", 0, 2)


def test_a_mirror_that_does_not_list_such_a_set_gives_none(tmp_path: Path) -> None:
    (tmp_path / "stick").mkdir()
    with pytest.raises(ByHandError):
        _take(tmp_path, None, mirror=tmp_path / "stick")
    with pytest.raises(ByHandError, match="not imported yet"):
        copying.add(by_hand(), (), tmp_path / "stick", tmp_path / "cache", How())
