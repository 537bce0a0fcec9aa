"""The flows that load and grade the sets of the catalogue."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tundish.catalog import library
from tundish.catalog.datasets import DatasetEntry
from tundish.data.errors import DigestMismatchError, SetUnfitError
from tundish.flows.errors import OutExistsError, SetAbsentError
from tundish.flows.grade import GradeOptions, grade
from tundish.flows.grade_sets import gradable, grade_all, page
from tundish.flows.load_set import load_set, refuse_changed

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "dataset-grades.md"


@pytest.fixture
def mirror(real_sets: Path, tmp_path: Path) -> Path:
    """Return a mirror of one's own with two small sets in it."""
    for key in ("concrete-slump", "openmv-rubber-colour"):
        shutil.copytree(real_sets / key, tmp_path / "mirror" / key)
    for path in (tmp_path / "mirror").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return tmp_path / "mirror"


def test_tables_are_written_as_parquet_with_units_in_the_metadata(
    real_sets: Path, tmp_path: Path
) -> None:
    report = load_set("concrete-strength", mirror=real_sets, out=tmp_path / "out")
    (part,) = report.parts
    assert part.units["csMPa"] == "MPa"
    assert part.roles["target"] == ("csMPa",)
    table = pq.read_table(part.file)
    assert table.num_rows == part.rows == 1030
    strength = table.schema.field("csMPa").metadata
    assert strength[b"unit"] == b"MPa"
    assert strength[b"role"] == b"target"
    said = table.schema.metadata
    assert (said[b"set"], said[b"licence"]) == (
        b"concrete-strength",
        report.licence.encode(),
    )


def test_a_changed_byte_in_a_mirror_is_never_loaded(mirror: Path) -> None:
    file = mirror / "openmv-rubber-colour" / "rubber-colour.csv"
    text = file.read_text()
    load_set("openmv-rubber-colour", mirror=mirror)
    file.write_text(re.sub(r"\d$", "0", text.strip()) + "\n")
    with pytest.raises(DigestMismatchError, match=r"rubber-colour.csv"):
        load_set("openmv-rubber-colour", mirror=mirror)


@pytest.mark.parametrize("here", [True, False])
def test_an_entry_of_ones_own_is_loaded_as_pinned_wherever_it_lies(
    real_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, here: bool
) -> None:
    monkeypatch.setenv("TUNDISH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    said = library.source("concrete-slump", DatasetEntry).decode()
    (tmp_path / "mine.yaml").write_text(said.replace("concrete-slump", "mine", 1))
    listed = Path(library.__file__).parent / "declared" / "datasets"
    shutil.copy(listed / "concrete-slump.files.tsv", tmp_path / "mine.files.tsv")
    if here:  # a folder of the key's name is no set
        (tmp_path / "mine").mkdir()
        (tmp_path / "concrete-slump").mkdir()
    report = load_set("mine.yaml", mirror=real_sets / "concrete-slump")
    assert report.parts == load_set("concrete-slump", mirror=real_sets).parts
    assert load_set("mine.yaml").parts == report.parts  # from the cache
    load_set("concrete-slump", mirror=real_sets / "concrete-slump")


def test_nothing_is_written_over_something_else(mirror: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(OutExistsError):
        load_set("concrete-slump", mirror=mirror, out=out)
    assert (out / "mine.txt").read_text() == "mine"


def test_a_set_that_is_there_in_part_is_loaded_in_part_if_asked(
    real_sets: Path,
) -> None:
    with pytest.raises(SetUnfitError, match="needs 1 files"):
        load_set("cmapss", mirror=real_sets)
    report = load_set("cmapss", mirror=real_sets, partial=True)
    assert {part.name for part in report.parts} == {
        f"{kind}_fd00{n}" for kind in ("train", "test", "rul") for n in (1, 3)
    }
    assert len(report.absent) == 6


def test_the_sets_that_are_there_are_graded_and_the_others_named(mirror: Path) -> None:
    keys = ["concrete-slump", "openmv-ldpe", "fjsp-instances", "openmv-rubber-colour"]
    grades = grade_all(mirror, keys=keys, quick=True)
    assert [one.key for one in grades.graded] == [keys[0], keys[3]]
    assert grades.absent == ("openmv-ldpe",)
    assert all(one.letter in "ABCD" and one.worst for one in grades.graded)
    text = page(grades)
    for key in (keys[0], keys[1], keys[3]):
        assert f"`{key}`" in text
    assert keys[2] not in text


def test_a_folder_without_any_set_is_no_table_of_none(tmp_path: Path) -> None:
    with pytest.raises(SetAbsentError, match="holds none of the"):
        grade_all(tmp_path)


def test_a_set_that_cannot_be_graded_stops_no_other(mirror: Path) -> None:
    broken = mirror / "concrete-slump" / "data.csv.gz"
    broken.write_bytes(b"")
    one, other = grade_all(
        mirror, keys=["concrete-slump", "openmv-rubber-colour"], quick=True
    ).graded
    assert (one.letter, other.letter) == ("", "B")
    assert "data.csv.gz" in one.worst


@pytest.mark.parametrize("strange", ["link", "pipe", "folder", "gone"])
def test_a_strange_thing_in_a_set_stops_no_other(mirror: Path, strange: str) -> None:
    place = mirror / "concrete-slump" / "data.csv.gz"
    place.unlink()
    if strange == "link":
        place.symlink_to("/dev/zero")
    elif strange == "pipe":
        os.mkfifo(place)
    elif strange == "folder":
        place.mkdir()
    keys = ["concrete-slump", "openmv-rubber-colour"]
    grades = grade_all(mirror, keys=keys, quick=True)
    assert [one.letter for one in grades.graded] == ["", "B"]
    assert page(grades)


def test_changed_bytes_are_never_graded_under_the_name_of_a_set(mirror: Path) -> None:
    (file,) = (mirror / "openmv-rubber-colour").glob("*.csv")
    text = file.read_text()
    file.write_text(re.sub(r"\d$", "0", text.strip()) + "\n")
    (one,) = grade_all(mirror, keys=["openmv-rubber-colour"], quick=True).graded
    assert one.letter == ""
    assert "not the file that the catalogue pins" in one.worst


def test_a_set_out_of_a_wheel_is_held_to_its_pins_in_a_folder_too(
    tmp_path: Path,
) -> None:
    entry = library.dataset("fermentation")
    name = entry.members[0].save_as
    (tmp_path / name).write_bytes(b"other")
    with pytest.raises(DigestMismatchError, match=name):
        refuse_changed(entry, (), tmp_path)
    (tmp_path / name).unlink()
    refuse_changed(entry, (), tmp_path)


def test_a_set_is_graded_alone_as_among_all(mirror: Path) -> None:
    every = grade_all(mirror, keys=["concrete-slump"], quick=True).graded[0]
    alone = grade("concrete-slump", GradeOptions(quick=True), mirror=mirror)
    assert alone.letter == every.letter
    assert alone.tables == {"mixes": 103}


def test_the_page_names_just_the_sets_that_can_be_graded() -> None:
    text = PAGE.read_text()
    said = set(re.findall(r"^\| `([a-z0-9-]+)` \| ([A-D]|none) \|", text, re.MULTILINE))
    absent = re.search(r"^Not here: (.*)\.$", text, re.MULTILINE)
    named = {key for key, _ in said}
    named |= set(re.findall(r"`([a-z0-9-]+)`", absent[1])) if absent else set()
    entries = [library.dataset(key) for key in library.names(DatasetEntry)]
    assert named == {entry.key for entry in entries if gradable(entry)}
