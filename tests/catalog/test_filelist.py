"""The list of a set's files: strictly read, pinned by its entry, and safe to the name."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.data.hosts import COMMIT, entry_of, list_of, sha

from tundish.catalog import filelist, library
from tundish.catalog.datasets import DatasetEntry, TreeSource
from tundish.catalog.errors import FileListRefusedError
from tundish.catalog.filelist import HEADER, PinnedFile, parse_list
from tundish.kernel import paths
from tundish.kernel.errors import PathMissingError

FILES = {"a.csv": b"1\n", "runs/b.csv": b"22\n"}
GOOD = f"a.csv\to/n\t{COMMIT}\td/a.csv\t2\t{'a' * 64}"


def _source(data: bytes, kind: str, files: int = 1, size: int = 2) -> TreeSource:
    value = {"kind": kind, "files": files, "bytes": size, "sha256": sha(data)}
    return TreeSource.model_validate(value)


def _read(*lines: str, kind: str = "github") -> tuple[PinnedFile, ...]:
    data = ("\n".join([HEADER, *lines]) + "\n").encode()
    size = sum(int(f) for line in lines if (f := line.split("\t")[4]).isdigit())
    return parse_list(data, _source(data, kind, len(lines), max(size, 1)), "plantset")


def _with(place: int, text: str) -> str:
    fields = GOOD.split("\t")
    fields[place] = text
    return "\t".join(fields)


def test_a_list_is_read_as_it_stands() -> None:
    (file,) = _read(GOOD)
    assert file == PinnedFile(
        name="a.csv", place="o/n", version=COMMIT, path="d/a.csv", bytes=2,
        sha256="a" * 64,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("place", "text", "said"),
    [
        (0, "../a.csv", "not safe"), (0, "/a.csv", "not safe"), (0, "a\\b", "not safe"),
        (0, "con.txt", "not safe"), (0, "", "not safe"), (0, "Fetched.json", "a note"), (0, "a\u202e.csv", "not safe"),
        (1, "o", "no place"), (1, "o/../n", "no place"), (1, "o/n?x", "no place"),
        (1, "-o/n", "no place"), (1, "o/..", "no place"), (2, "main", "no commit"),
        (2, COMMIT[:12], "no commit"), (2, "-", "no commit"), (3, "../x", "'.' or '..'"),
        (3, "a//b", "empty"), (3, "/a", "empty"), (3, "", "no path"), (3, "a\x1b", "no path"),
        (4, "-1", "no number"), (4, "02", "no number"), (4, "2.0", "no number"),
        (4, "1e3", "no number"), (4, str(2**40 + 1), "no number"), (5, "A" * 64, "no SHA"),
        (5, "a" * 63, "no SHA"), (5, f"{'a' * 64} ", "no SHA"),
    ],
)  # fmt: skip
def test_a_field_of_another_form_is_refused(place: int, text: str, said: str) -> None:
    with pytest.raises(FileListRefusedError, match=said):
        _read(_with(place, text))


@pytest.mark.parametrize(
    ("kind", "place", "version"),
    [
        ("zenodo", "0", "-"), ("zenodo", "12a", "-"), ("zenodo", "12", COMMIT),
        ("https", "http://h.example/", "-"), ("https", "https://h.example/a", "-"),
        ("https", "https://u@h.example/", "-"), ("https", "https://h.example/?a=/", "-"),
        ("https", "https://h.example/a/../", "-"), ("https", "https://h.example/#/", "-"),
        ("https", "https://h.example/%2e%2e/", "-"), ("https", "https:///a/", "-"),
        ("https", "https://[::1]/", "-"), ("https", "https://h.example//", "-"),
        ("https", "https://h.example/", "1.0"), ("huggingface", "o/n", "main"),
    ],
)  # fmt: skip
def test_a_place_of_another_form_is_refused(
    kind: str, place: str, version: str
) -> None:
    with pytest.raises(FileListRefusedError):
        _read(f"a\t{place}\t{version}\ta\t2\t{'a' * 64}", kind=kind)


@pytest.mark.parametrize(
    "other", ["a.csv", "A.CSV", "a.csv/b", "A.csv/B"]
)  # the last two: a file and a folder
def test_two_names_for_one_place_are_refused(other: str) -> None:
    with pytest.raises(FileListRefusedError, match=r"twice|a folder"):
        _read(GOOD, _with(0, other))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n", HEADER.encode(), HEADER.encode() + b"\n",
        HEADER.encode() + b"\n" + GOOD.encode(), b"\xff" + HEADER.encode() + b"\n",
        f"{HEADER}\n{GOOD}\r\n".encode(), f"{HEADER}\n{GOOD}\n\n".encode(),
        f"{HEADER}\n{GOOD}\t\n".encode(), f"{HEADER}\r\n{GOOD}\n".encode(),
    ],
)  # fmt: skip
def test_a_list_of_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(FileListRefusedError):
        parse_list(data, _source(data, "github"), "plantset")


def test_a_list_that_is_not_the_pinned_one_is_refused_whichever_byte_changed() -> None:
    entry, _ = entry_of(FILES)
    assert isinstance(entry.source, TreeSource)
    data = list_of(FILES)
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(FileListRefusedError, match="pins"):
            parse_list(bytes(changed), entry.source, entry.key)


@pytest.mark.parametrize(("files", "size"), [(2, 2), (1, 3)])
def test_sums_that_differ_from_the_entrys_are_refused(files: int, size: int) -> None:
    data = f"{HEADER}\n{GOOD}\n".encode()
    with pytest.raises(FileListRefusedError, match="its entry says"):
        parse_list(data, _source(data, "github", files, size), "plantset")


def test_a_list_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filelist, "MOST_FILES", 2)
    with pytest.raises(FileListRefusedError, match="longer"):
        _read(*(_with(0, f"{n}.csv") for n in range(3)))


@given(st.text(alphabet="ab/.\\\t\n\x00 \u202e", max_size=12))
def test_no_name_that_is_taken_leads_outside(name: str) -> None:
    try:
        (file,) = _read(_with(0, name))
    except FileListRefusedError:
        return
    folder = Path("/somewhere")
    assert paths.join(folder, file.name).is_relative_to(folder)


def test_an_entry_of_ones_own_has_its_list_beside_it(tmp_path: Path) -> None:
    entry, files = entry_of(FILES)
    place = tmp_path / "mine.yaml"
    place.write_text(yaml.safe_dump(entry.to_json()), encoding="utf-8")
    with pytest.raises(PathMissingError):
        library.files_of(str(place))
    (tmp_path / "plantset.files.tsv").write_bytes(list_of(FILES))
    assert library.files_of(str(place)) == files
    (tmp_path / "plantset.files.tsv").write_bytes(list_of(FILES) + b"\n")
    with pytest.raises(FileListRefusedError):
        library.files_of(str(place))


def test_every_entry_that_ships_has_the_list_that_it_pins() -> None:
    for name in library.names(DatasetEntry):
        source = library.dataset(name).source
        files = library.files_of(name)
        assert bool(files) == isinstance(source, TreeSource), name
