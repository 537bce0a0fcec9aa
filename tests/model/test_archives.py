"""Laws of the archive, the layout and the folder, for any content."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tundish.kernel.errors import TundishError, UnsafePathError
from tundish.model import folder, layout, tarball
from tundish.model.errors import PackageFileExtraError, PackagePlaceTakenError
from tundish.seal.statement import make_statement

STATEMENT = make_statement(
    product="p",
    version=3,
    not_after="2027-01-01T00:00:00Z",
    created_at="2026-01-01T00:00:00Z",
)
# four letters at least: "lpt0" is no file's name on Windows, and refused
names = st.from_regex(r"[a-z]{4,8}[0-9]{1,2}\.(json|yaml|onnx)", fullmatch=True)
contents = st.dictionaries(names, st.binary(max_size=1500), min_size=1, max_size=6)


@given(contents)
def test_an_archive_gives_back_its_files(files: dict[str, bytes]) -> None:
    assert tarball.read(tarball.write(files)) == files


@given(contents)
def test_a_layout_gives_back_its_files(files: dict[str, bytes]) -> None:
    entries = layout.pack(files, STATEMENT)
    found = layout.unpack(entries)
    assert found == files
    layout.check(entries, found, STATEMENT)


@settings(max_examples=300)
@given(contents, st.data())
def test_an_archive_that_is_read_is_the_one_that_is_written(
    files: dict[str, bytes], data: st.DataObject
) -> None:
    """Whatever is done to it: refused, or byte for byte what Tundish writes."""
    body = bytearray(tarball.write(files))
    at = data.draw(st.integers(0, len(body) - 1))
    how = data.draw(st.sampled_from(["set", "insert", "delete", "block"]))
    if how == "set":
        body[at] = data.draw(st.integers(0, 255))
    elif how == "insert":
        body[at:at] = data.draw(st.binary(min_size=1, max_size=600))
    elif how == "delete":
        del body[at : at + data.draw(st.integers(1, 600))]
    else:
        del body[at // 512 * 512 : at // 512 * 512 + 512]
    try:
        found = tarball.read(bytes(body))
    except TundishError:
        return
    assert tarball.write(found) == bytes(body)


def test_folders_within_folders_are_read_only_where_allowed(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c.txt").write_bytes(b"deep")
    (tmp_path / "d.txt").write_bytes(b"flat")
    assert folder.read(tmp_path, depth=2) == {"a/b/c.txt": b"deep", "d.txt": b"flat"}
    for depth in (0, 1):
        with pytest.raises(PackageFileExtraError):
            folder.read(tmp_path, depth=depth)


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(UnsafePathError):
        folder.write(tmp_path / "p", {"good.txt": b"1", "../bad.txt": b"2"})
    assert list(tmp_path.iterdir()) == []
    folder.write(tmp_path / "new" / "p", {"good.txt": b"1"})
    assert folder.read(tmp_path / "new" / "p") == {"good.txt": b"1"}
    with pytest.raises(PackagePlaceTakenError):
        folder.write(tmp_path / "new" / "p", {"good.txt": b"2"})


def test_a_name_that_no_system_reads_alike_is_refused(tmp_path: Path) -> None:
    for name in ("a:b", "con.txt", "a ", "cafe\u0301.txt"):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(UnsafePathError):
            folder.read(tmp_path)
        (tmp_path / name).unlink()
