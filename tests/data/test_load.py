"""A set is loaded as its entry says, or refused with what was found and expected."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from tundish.catalog.datasets import DatasetEntry
from tundish.catalog.documents import parse_document
from tundish.data.errors import SetUnfitError, TableUnreadableError
from tundish.data.load import load
from tundish.data.sets.instances import read_instance
from tundish.data.sets.loaded import LoadedSet
from tundish.kernel.errors import TundishError

ENTRY = """
format: tundish.dataset
version: 1
key: test-set
name: {en: Test, zh: 测试}
description: A set of a test.
sector: C34
task: regress
origin: synthetic
source: {kind: github, files: 1, bytes: 1, sha256: "0000000000000000000000000000000000000000000000000000000000000000"}
licence: {name: MIT, stated_in: here, kind: A}
citation: nobody
units: {load: kN}
"""
TABLE = """load:
  runs:
    kind: table
    files: [runs.csv]
    columns:
      - {name: at, found: Time, role: time}
      - {name: machine, role: unit}
      - {name: load, meaning: force}
      - {name: speed, unit: rpm, stray: [Bad]}
      - {name: count, kind: whole}
    rows: 3
"""
GOOD = """Time,machine,load,speed,count
2024-01-01 00:00:00,7,1.5,100,3
2024-01-01 00:00:01,7,1.6,Bad,4
2024-01-01 00:00:02,8,1.7,102,5
"""


def entry(said: str) -> DatasetEntry:
    return parse_document((ENTRY + said).encode(), DatasetEntry, "test")


def loaded(said: str, folder: Path, **files: str) -> LoadedSet:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_csv", ".csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return load(entry(said), folder)


def test_stray_texts_that_look_like_names_are_missing_numbers(tmp_path: Path) -> None:
    said = TABLE.replace("stray: [Bad]", "stray: [422-528]")
    table = loaded(said, tmp_path, runs_csv=GOOD.replace("Bad", "422-528"))
    assert table.tables["runs"].frame["speed"].to_list() == [100.0, None, 102.0]
    with pytest.raises(SetUnfitError, match="holds '422-528' 1x"):
        loaded(TABLE, tmp_path)


def test_columns_come_with_type_unit_role_and_meaning(tmp_path: Path) -> None:
    table = loaded(TABLE, tmp_path, runs_csv=GOOD).tables["runs"]
    assert dict(table.frame.schema) == {
        "at": pl.Datetime("us", "UTC"),
        "machine": pl.String(),
        "load": pl.Float64(),
        "speed": pl.Float64(),
        "count": pl.Int64(),
    }
    assert table.frame["machine"].to_list() == ["7", "7", "8"]
    assert table.frame["speed"].to_list() == [100.0, None, 102.0]
    assert table.units == {"load": "kN", "speed": "rpm"}
    assert table.of_role("unit") == ["machine"]
    assert table.columns[2].meaning == "force"


BROKEN = {
    "a column is gone": (GOOD.replace("speed", "spd"), "lacks the column 'speed'"),
    "a column too many": (
        "\n".join(f"{line},9" if i else f"{line},more" for i, line in enumerate(GOOD.splitlines())),
        "1 columns beside those named",
    ),
    "a line with a comma too many": (
        GOOD.replace("1.6", "1,6"),
        "1 lines with another number of fields, the first is line 3",
    ),
    "a word among numbers": (
        GOOD.replace("1.6", "Shutdown"),
        "'load' of runs.csv is one of numbers, and holds 'Shutdown' 1x",
    ),
    "texts instead of numbers": (
        GOOD.replace("1.5", "low").replace("1.6", "mid").replace("1.7", "high"),
        "'load' of runs.csv is one of numbers, and holds 'low'",
    ),
    "a part where whole numbers stand": (
        GOOD.replace(",4\n", ",4.5\n"),
        "whole numbers, and holds 4.5",
    ),
    "a time that is none": (
        GOOD.replace("2024-01-01 00:00:01", "yesterday"),
        "holds no times",
    ),
    "a record less": (
        GOOD.rsplit("2024", 1)[0],
        "2 records, and the entry says 3",
    ),
    "only the header": ("Time,machine,load,speed,count\n", "no record below it"),
    "nothing": ("", "is empty"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_table_is_refused_with_what_was_found(
    tmp_path: Path, what: str
) -> None:
    text, said = BROKEN[what]
    with pytest.raises((SetUnfitError, TableUnreadableError), match=said) as found:
        loaded(TABLE, tmp_path, runs_csv=text)
    assert "runs" in found.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetUnfitError, match=r"needs 1 files \(runs.csv\).* 0 are"):
        loaded(TABLE, tmp_path)


ROWS = "1 2 3\n4 5 6\n7 8 9\n10 11 12\n"
PLACED = """load:
  runs: {kind: table, files: [runs.csv], by: place, columns: [a, b, c], rows: 4}
"""
TURNED = """load:
  runs: {kind: table, files: [runs.csv], by: place, transposed: true, columns: [a, b, c, d], rows: 3}
"""


def test_columns_without_a_header_are_named_by_their_place(tmp_path: Path) -> None:
    frame = loaded(PLACED, tmp_path, runs_csv=ROWS).tables["runs"].frame
    assert frame.columns == ["a", "b", "c"]
    assert frame["c"].to_list() == [3, 6, 9, 12]


def test_a_file_that_lies_the_other_way_round_is_turned_if_said(tmp_path: Path) -> None:
    frame = loaded(TURNED, tmp_path, runs_csv=ROWS).tables["runs"].frame
    assert frame["d"].to_list() == [10, 11, 12]


def test_a_file_that_lies_the_other_way_round_is_refused_if_not_said(
    tmp_path: Path,
) -> None:
    across = "1 4 7 10\n2 5 8 11\n3 6 9 12\n"
    with pytest.raises(SetUnfitError, match="4 columns, and the entry says 3; is it"):
        loaded(PLACED, tmp_path, runs_csv=across)
    with pytest.raises(SetUnfitError, match="3 columns, and the entry says 4"):
        loaded(TURNED, tmp_path, runs_csv=across)


def test_numbers_that_stand_for_nothing_are_missing(tmp_path: Path) -> None:
    said = PLACED.replace("rows: 4", "rows: 4, missing: [-999]")
    frame = loaded(said, tmp_path, runs_csv=ROWS.replace("5", "-999")).tables["runs"]
    assert frame.missing == 1


STACKED = """load:
  runs:
    kind: table
    files: ["*/*.csv"]
    many: 3
    columns: [x]
    file_columns:
      - {name: lot, pattern: "^(.+)/", role: batch}
      - {name: state, pattern: "run([0-9]+)", role: label, after_rows: 1, before: fine}
    rows: 6
"""


def test_values_in_the_names_of_files_become_columns(tmp_path: Path) -> None:
    text = "x\n1\n2\n"
    files = {"a__run2_csv": text, "a__run10_csv": text, "b__run1_csv": text}
    table = loaded(STACKED, tmp_path, **files).tables["runs"]
    assert table.files == ("a/run2.csv", "a/run10.csv", "b/run1.csv")
    assert table.frame["lot"].to_list() == ["a"] * 4 + ["b"] * 2
    assert table.frame["state"].to_list() == ["fine", "2", "fine", "10", "fine", "1"]
    assert table.of_role("batch") == ["lot"]


def test_a_file_more_or_less_is_refused(tmp_path: Path) -> None:
    text = "x\n1\n2\n"
    with pytest.raises(SetUnfitError, match="needs 3 files"):
        loaded(STACKED, tmp_path, a__run2_csv=text, a__run10_csv=text)


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text("x\n1\n2\n")
    folder = tmp_path / "set" / "a"
    folder.mkdir(parents=True)
    (folder / "run1.csv").symlink_to(outside)
    with pytest.raises(SetUnfitError, match="and 0 are there"):
        load(entry(STACKED), tmp_path / "set")


def test_words_are_kept_as_they_are_written(tmp_path: Path) -> None:
    said = "load: {terms: {kind: table, files: [terms.csv], words: true, columns: [{name: term, role: text}, {name: weight}], rows: 3}}"
    text = "term,weight\n007,0.5\nmissing,0.25\nnut,1\n"
    frame = loaded(said, tmp_path, terms_csv=text).tables["terms"].frame
    assert frame["term"].to_list() == ["007", "missing", "nut"]
    assert frame["weight"].to_list() == [0.5, 0.25, 1.0]


SPECTRA = """load:
  spectra: {kind: table, files: [s.csv], by: place, columns: [{name: id, role: key}], rest: {count: 3, names: "nm_{}", first: 600, step: 0.5, unit: AU}, rows: 2}
"""


def test_the_columns_of_a_spectrum_are_named_by_its_axis(tmp_path: Path) -> None:
    table = loaded(SPECTRA, tmp_path, s_csv="T1,1,2,3\nT2,4,5,6\n").tables["spectra"]
    assert table.frame.columns == ["id", "nm_600", "nm_600.5", "nm_601"]
    assert set(table.units.values()) == {"AU"}


def test_parts_without_a_file_are_left_out_only_if_asked(tmp_path: Path) -> None:
    two = TABLE + PLACED.replace("load:\n  runs:", "  more:").replace(
        "runs.csv", "more.csv"
    )
    (tmp_path / "runs.csv").write_text(GOOD)
    found = load(entry(two), tmp_path, partial=True)
    assert (list(found.tables), found.absent) == (["runs"], ("more",))
    with pytest.raises(SetUnfitError, match=r"more needs 1 files"):
        load(entry(two), tmp_path)
    (tmp_path / "runs.csv").unlink()
    with pytest.raises(SetUnfitError, match="None of the files"):
        load(entry(two), tmp_path, partial=True)


def test_an_entry_that_does_not_say_how_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetUnfitError, match="does not say"):
        load(entry(""), tmp_path)


PICTURES = """load:
  parts: {kind: pictures, files: ["*/*_test.png"], many: 2, label: boxes, kinds: {"1": scratch}, group: "^(.+)/", templates: "*/*_temp.png", width: 32, height: 16}
"""


def _pictures(folder: Path, size: tuple[int, int] = (32, 16), box: str = "1") -> None:
    for lot in ("a", "b"):
        (folder / lot).mkdir()
        for kind in ("test", "temp"):
            Image.new("L", size).save(folder / lot / f"{lot}1_{kind}.png")
        (folder / lot / f"{lot}1.txt").write_text(f"1 2 5 6 {box}\n")


def test_pictures_come_with_boxes_lot_and_template(tmp_path: Path) -> None:
    _pictures(tmp_path)
    found = load(entry(PICTURES), tmp_path).pictures["parts"]
    assert [(p.name, p.group, p.labels) for p in found.pictures] == [
        ("a/a1_test.png", "a", ("scratch",)),
        ("b/b1_test.png", "b", ("scratch",)),
    ]
    assert all(
        p.template and p.template.name.endswith("_temp.png") for p in found.pictures
    )
    assert found.labels == {"scratch": 2}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / "a" / "a1_temp.png").unlink(), "no template"),
        (lambda f: (f / "a" / "a1.txt").unlink(), "no file of boxes"),
        (lambda f: (f / "a" / "a1.txt").write_text("a b c"), "cannot be read"),
        (lambda f: (f / "a" / "a1.txt").write_text("1 2 5 6 9\n"), "none of 1"),
        (lambda f: (f / "a" / "a1_test.png").write_bytes(b"\x89PNG"), "cannot be opened"),
        (lambda f: Image.new("L", (8, 8)).save(f / "a" / "a1_test.png"), "8 x 8 pixels"),
        (lambda f: (f / "a" / "a1_test.png").unlink(), "1 pictures, and the entry says 2"),
    ],
)  # fmt: skip
def test_broken_pictures_are_refused(tmp_path: Path, change, said: str) -> None:  # type: ignore[no-untyped-def]
    _pictures(tmp_path)
    change(tmp_path)
    with pytest.raises(SetUnfitError, match=said):
        load(entry(PICTURES), tmp_path)


QUESTIONS = "load: {quiz: {kind: texts, files: [quiz.jsonl], rows: 2, answered: true}}"


def _question(**more: object) -> str:
    asked = {"question": "Which sensor tells of wear?", "options": ["flow", "force"]}
    return json.dumps({**asked, "correct": [False, True], **more}) + "\n"


def test_questions_come_with_their_right_option(tmp_path: Path) -> None:
    (tmp_path / "quiz.jsonl").write_text(_question() + _question())
    items = load(entry(QUESTIONS), tmp_path).texts["quiz"].items
    assert [(i.options, i.right) for i in items] == [(("flow", "force"), (1,))] * 2


def test_questions_without_an_answer_or_too_few_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "quiz.jsonl"
    file.write_text(_question() + _question(correct=[False, False]))
    with pytest.raises(SetUnfitError, match="record 2 has neither"):
        load(entry(QUESTIONS), tmp_path)
    file.write_text(_question())
    with pytest.raises(SetUnfitError, match="1 texts, and the entry says 2"):
        load(entry(QUESTIONS), tmp_path)


SHOP = "2 2\n2 2 0 25 1 37 1 1 24\n1 1 1 45\n"


def test_a_flexible_job_shop_is_read_with_its_choices() -> None:
    found = read_instance(SHOP.encode(), "shop")
    assert found.machines == 2
    assert found.jobs == ((((0, 25), (1, 37)), ((1, 24),)), (((1, 45),),))
    assert found.operations == 3


def test_a_plain_job_shop_is_read_with_one_choice_each() -> None:
    found = read_instance(b"2 3\n0 4 1 5 2 6\n2 7 1 8 0 9\n", "shop")
    assert found.jobs[1] == (((2, 7),), ((1, 8),), ((0, 9),))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("two jobs", "does not begin"),
        ("", "does not begin"),
        ("3 2\n1 1 0 5\n1 1 1 5\n", "says 3 jobs, and 2 lines follow"),
        ("1 3\n2 1 0 5\n", "ends before its operations do"),
        ("1 2\n1 1 0 5 9\n", "ends before its operations do, or goes on"),
        ("1 2\n1 1 2 5\n", "names the machine 2"),
        ("1 2\n1 1 0 -5\n", "for -5"),
        ("1 2\n1 0\n", "ends before"),
    ],
)
def test_a_broken_job_shop_is_refused(text: str, said: str) -> None:
    with pytest.raises(SetUnfitError, match=said):
        read_instance(text.encode(), "shop")


BOOK = """{"a": {"duration_matrix": [[4, 5], [7, 8]], "machines_matrix": [[0, 1], [1, 0]],
"metadata": {"optimum": null, "lower_bound": 15, "upper_bound": 17}},
"b": {"duration_matrix": [[3]], "machines_matrix": [[0]], "metadata": {"optimum": 3}}}"""
BOOKED = "load: {shops: {kind: instances, files: [book.json], problems: 2}}"


def test_a_book_of_job_shops_is_read_with_its_bounds(tmp_path: Path) -> None:
    (tmp_path / "book.json").write_text(BOOK)
    one, other = load(entry(BOOKED), tmp_path).instances["shops"].instances
    assert one.jobs == ((((0, 4),), ((1, 5),)), (((1, 7),), ((0, 8),)))
    assert (one.name, one.machines, one.lower, one.upper) == ("book.json#a", 2, 15, 17)
    assert (other.operations, other.lower, other.upper) == (1, 3, 3)


@pytest.mark.parametrize(
    ("text", "other", "said"),
    [
        ("[[4, 5], [7, 8]]", "[[4, 5], [7]]", "of the same jobs"),
        ("[[4, 5], [7, 8]]", "[[4, 5], [7, 8.5]]", "of the same jobs"),
        ("[[4, 5], [7, 8]]", "[[4, 5], [7, -8]]", "for -8"),
        ("duration_matrix", "times", "of the same jobs"),
        ("[[0, 1], [1, 0]]", "[[0, 1], [1, -1]]", "names the machine -1"),
        ('"lower_bound": 15', '"lower_bound": 18', "at least 18 and at most 17"),
        ('"b"', '"c": 5, "b"', "#c has no durations"),
    ],
)
def test_a_broken_book_is_refused(
    text: str, other: str, said: str, tmp_path: Path
) -> None:
    assert text in BOOK
    (tmp_path / "book.json").write_text(BOOK.replace(text, other, 1))
    with pytest.raises(SetUnfitError, match=said):
        load(entry(BOOKED), tmp_path)


def test_a_book_with_a_problem_less_is_refused(tmp_path: Path) -> None:
    (tmp_path / "book.json").write_text(BOOK.split(',\n"b"', maxsplit=1)[0] + "}")
    with pytest.raises(SetUnfitError, match="has 1 problems, and the entry says 2"):
        load(entry(BOOKED), tmp_path)


BOUNDED = "load: {shops: {kind: instances, files: [a.txt], bounds: known.json%s}}"


def _known(**more: object) -> str:
    return json.dumps([{"path": "a.txt", "jobs": 2, "machines": 2, **more}])


def test_the_list_of_bounds_is_believed_only_where_it_fits(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(SHOP)
    known = tmp_path / "known.json"
    known.write_text(_known(optimum=None, bounds={"lower": 60, "upper": 70}))
    one = load(entry(BOUNDED % ""), tmp_path).instances["shops"].instances[0]
    assert (one.lower, one.upper) == (60, 70)
    known.write_text(_known(optimum=None, bounds={"lower": 70, "upper": 60}))
    with pytest.raises(SetUnfitError, match="at least 70 and at most 60"):
        load(entry(BOUNDED % ""), tmp_path)
    doubted = load(entry(BOUNDED % ", doubted: [a.txt]"), tmp_path)
    assert doubted.instances["shops"].instances[0].upper is None
    known.write_text(_known(optimum=60).replace('"machines": 2', '"machines": 5'))
    with pytest.raises(SetUnfitError, match="2 jobs and 2 machines, and the list says"):
        load(entry(BOUNDED % ""), tmp_path)


STREAM = "load: {tags: {kind: stream, files: [t.txt], described: Devices.xml, rows: 6}}"
SHDR = """2024-01-01T00:00:00Z|Xact|1.5|Sload|40
2024-01-01T00:00:01Z|Xact|1.6|mode|AUTOMATIC
2024-01-01T00:00:02Z|Xact|UNAVAILABLE|Sload|41
"""
DEVICES = """<Devices><DataItem id="x1" name="Xact" units="MILLIMETER"/>
<DataItem id="s1" name="Sload" units="PERCENT"/><DataItem id="m" name="mode"/></Devices>"""


def test_a_recording_of_tags_gets_units_from_its_description(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text(SHDR)
    (tmp_path / "Devices.xml").write_text(DEVICES)
    table = load(entry(STREAM), tmp_path).tables["tags"]
    assert table.described == {"Xact": "mm", "Sload": "%"}
    assert table.frame["number"].to_list() == [1.5, 40.0, 1.6, None, None, 41.0]


def test_a_description_with_entities_or_of_another_device_is_refused(
    tmp_path: Path,
) -> None:
    (tmp_path / "t.txt").write_text(SHDR)
    bomb = '<!DOCTYPE d [<!ENTITY a "x">]><Devices>&a;</Devices>'
    for text in (bomb, "<Devices/>", "no XML"):
        (tmp_path / "Devices.xml").write_text(text)
        with pytest.raises(TundishError, match=r"Devices.xml"):
            load(entry(STREAM), tmp_path)
