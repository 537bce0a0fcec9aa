from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.data import version
from tundish.data.version import FileVersion, combine, version_of, version_of_files
from tundish.kernel import canonical, digest
from tundish.kernel.errors import PathMissingError, UnsafePathError
from tundish.ledger import merkle


def _made(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


FILES = {"a.csv": b"x\n1\n", "b/c.csv": b"y\n2\n", "b/d.csv": b""}


def test_order_time_stamps_modes_and_the_folders_name_have_no_part_in_it(
    tmp_path: Path,
) -> None:
    one = _made(tmp_path / "one", FILES)
    two = _made(tmp_path / "two", dict(reversed(FILES.items())))
    os.utime(two / "a.csv", (1, 1))
    (two / "a.csv").chmod(0o600)
    assert version_of(one) == version_of(two)


@pytest.mark.parametrize(
    "change",
    [
        {"a.csv": b"x\n2\n"},
        {"b/d.csv": b"\n"},
        {"e.csv": b""},
    ],
)
def test_a_changed_byte_or_another_file_is_another_version(
    tmp_path: Path, change: dict[str, bytes]
) -> None:
    one = _made(tmp_path / "one", FILES)
    two = _made(tmp_path / "two", FILES | change)
    assert version_of(one).digest != version_of(two).digest


def test_names_are_part_of_the_version(tmp_path: Path) -> None:
    one = _made(tmp_path / "one", {"a.csv": b"1", "b.csv": b"2"})
    two = _made(tmp_path / "two", {"a.csv": b"2", "b.csv": b"1"})
    assert version_of(one).digest != version_of(two).digest


def test_a_file_is_the_same_set_as_a_folder_that_holds_it_alone(
    tmp_path: Path,
) -> None:
    folder = _made(tmp_path / "one", {"a.csv": b"x\n1\n"})
    assert version_of(folder) == version_of(folder / "a.csv")


def test_hidden_files_and_notes_beside_the_set_are_no_part_of_it(
    tmp_path: Path,
) -> None:
    folder = _made(tmp_path / "one", FILES)
    before = version_of(folder)
    _made(folder, {".cache/x": b"1", "lineage.json": b"{}", "fetched.json": b"{}"})
    assert version_of(folder) == before
    _made(folder, {"b/lineage.json": b"{}"})
    assert version_of(folder) != before


def test_the_root_is_the_merkle_root_of_the_chunks(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    path = tmp_path / "big.bin"
    path.write_bytes(data)
    cut = [data[i : i + version.CHUNK] for i in range(0, len(data), version.CHUNK)]
    root = merkle.root([merkle.leaf_hash(chunk) for chunk in cut])
    found = version_of(path, sha256=True)
    assert len(cut) == 3
    assert found.files[0].root == f"sha256:{root.hex()}"
    assert found.files[0].sha256 == digest.of_bytes(data)
    leaf: dict[str, canonical.Json]
    leaf = {"name": "big.bin", "size": len(data), "root": found.files[0].root}
    assert found.root == f"sha256:{merkle.leaf_hash(canonical.dumps(leaf)).hex()}"


def test_a_digest_written_down_once_stays(tmp_path: Path) -> None:
    folder = _made(tmp_path / "one", FILES)
    assert version_of(folder).digest == (
        "sha256:a57f594e3f41c3aca681fc000742e4047a014c549ff5414991f8d598f6412246"
    )


@given(st.permutations(range(6)))
def test_the_order_of_files_does_not_count(order: list[int]) -> None:
    files = [
        FileVersion(name=f"{i}.csv", size=i, root=digest.of_bytes(bytes([i])))
        for i in range(6)
    ]
    assert combine(files[i] for i in order) == combine(files)


def test_memory_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "big.bin"
    with path.open("wb") as stream:
        stream.truncate(64 * version.CHUNK)
    told: list[str] = []
    tracemalloc.start()
    version_of(path, progress=told.append)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * version.CHUNK
    assert told


@pytest.mark.parametrize("kind", ["link", "link to a folder", "pipe"])
def test_links_and_special_files_are_refused(tmp_path: Path, kind: str) -> None:
    folder = _made(tmp_path / "one", FILES)
    if kind == "pipe":
        os.mkfifo(folder / "odd")
    else:
        (folder / "odd").symlink_to("/etc/hosts" if kind == "link" else "/etc")
    with pytest.raises(UnsafePathError, match="odd"):
        version_of(folder)


def test_names_that_differ_in_their_unicode_form_only_are_refused(
    tmp_path: Path,
) -> None:
    folder = _made(tmp_path / "one", {"\u00e4.csv": b"1", "a\u0308.csv": b"2"})
    with pytest.raises(UnsafePathError, match="Two files"):
        version_of(folder)


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.csv")).write_bytes(b"1")
    with pytest.raises(UnsafePathError, match="no text"):
        version_of(tmp_path)


def test_a_file_that_vanishes_is_said(tmp_path: Path) -> None:
    with pytest.raises(PathMissingError, match="cannot be read"):
        version_of_files({"a.csv": tmp_path / "a.csv"})


def test_an_empty_folder_and_a_missing_one_are_said(tmp_path: Path) -> None:
    with pytest.raises(PathMissingError, match="holds no file"):
        version_of(tmp_path)
    with pytest.raises(PathMissingError, match="no file or folder"):
        version_of(tmp_path / "no")
