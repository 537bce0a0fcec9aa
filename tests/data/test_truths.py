"""Truths of every kind reach the window that they belong to, and no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tundish.catalog.documents import parse_document
from tundish.catalog.errors import ContractBrokenError, DocumentInvalidError
from tundish.catalog.scenario import Scenario
from tundish.catalog.site import SiteProfile
from tundish.data.binding import bind
from tundish.data.samples import Samples, make_samples

HEAD = """
format: tundish.scenario
version: 1
key: C34.27.test-truth
name: {en: Part, zh: 件}
problem: none
decision: {what: nothing, who: nobody}
recipe: any
candidates: {any: {recipe: any, why: test}}
baseline: none
parity_tolerance: 0.0001
stale_after_s: 600
risk: {outcome: low, ambiguity: low, autonomy: advise, why: test}
signals: [{name: load, description: load, unit: kW, range: [0, 1000], period_s: 60}]
target: {name: answer, description: answer, unit: "1", range: [0, 1000]}
acceptance: {tolerance: 1, limits: [{metric: rmse, at_most: 1, why: test}]}
"""
SITE = """
format: tundish.site
version: 1
scenario: C34.27.test-truth
site: here
tags: {load: {column: load}}
"""
RUL = "task: rul\nwindow: {rows: 2}\n"
FORECAST = "task: forecast\nwindow: {rows: 2}\nhorizon: {rows: 3}\n"
DIAGNOSE = (
    "task: diagnose\nclasses: [{name: good, description: good, good: true}, "
    "{name: worn, description: worn}]\n"
)


def write(folder: Path, name: str, *lines: str) -> None:
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def samples(folder: Path, task: str, tables: str) -> Samples:
    scenario = parse_document((HEAD + task).encode(), Scenario, "s.yaml")
    site = parse_document((SITE + tables).encode(), SiteProfile, "site.yaml")
    return make_samples(bind(site, scenario, folder), scenario, site)


def test_the_rows_left_count_down_to_the_end_of_each_unit(tmp_path: Path) -> None:
    write(
        tmp_path, "a.csv", "unit,load", *(f"{u},{n}" for u in (7, 9) for n in range(4))
    )
    made = samples(
        tmp_path,
        RUL,
        "tables: {runs: {file: a.csv, unit_column: unit, target: {by: unit-end, scale: 2}}}\n"
        "uses: [{part: fit, table: runs}]",
    )
    assert made.y.tolist() == [4, 2, 0, 4, 2, 0]  # a window's newest row counts


def test_one_truth_a_unit_belongs_to_its_last_row(tmp_path: Path) -> None:
    write(
        tmp_path, "a.csv", "unit,load", *(f"{u},{n}" for u in (9, 7) for n in range(3))
    )
    write(tmp_path, "left.csv", "left", "50", "60")
    tables = (
        "tables: {runs: {file: a.csv, unit_column: unit, "
        "target: {file: left.csv, column: left, by: unit-last}}}\n"
        "uses: [{part: judge, table: runs}]"
    )
    made = samples(tmp_path, RUL, tables)
    assert made.y.tolist() == [50, 60]  # in the order of the file, not of the names
    assert made.x[:, -1, 0].tolist() == [2, 2]
    write(tmp_path, "left.csv", "left", "50")
    with pytest.raises(ContractBrokenError, match="1 truths for the 2 units"):
        samples(tmp_path, RUL, tables)


def test_classes_are_found_as_numbers_and_as_words(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "load,state,word", "1,100,ok", "2,73,worn", "3,5,?")
    tables = (
        "tables: {{parts: {{file: a.csv, target: "
        "{{file: a.csv, column: {}, by: row, classes: {}}}}}}}"
    )
    numbers = tables.format("state", '{"100": good, "73.0": worn}')
    words = tables.format("word", "{ok: good, worn: worn}")
    for text in (numbers, words):
        made = samples(tmp_path, DIAGNOSE, text)
        assert made.y.tolist() == [0, 1]
        assert made.x[:, 0, 0].tolist() == [1, 2]  # the third has no label
    with pytest.raises(ContractBrokenError, match="'fine'"):
        samples(tmp_path, DIAGNOSE, tables.format("word", "{ok: fine}"))
    with pytest.raises(ContractBrokenError, match="it holds"):
        samples(tmp_path, DIAGNOSE, tables.format("word", "{no: good}"))


def test_a_forecast_never_looks_over_a_gap_or_into_another_part(tmp_path: Path) -> None:
    clock = [*range(10), *range(12, 22)]  # two hours are missing
    lines = [f"2024-01-01T{hour:02d}:00:00Z,{hour}" for hour in clock]
    write(tmp_path, "a.csv", "time,load", *lines)
    tables = (
        "tables: {t: {file: a.csv, time_column: time, "
        "target: {file: a.csv, column: load, by: row}}}\n"
        "uses: [{part: fit, table: t, share: 0.5}, {part: judge, table: t}]"
    )
    hourly = FORECAST + "balances: []\n"
    text = HEAD.replace("period_s: 60", "period_s: 3600")
    scenario = parse_document((text + hourly).encode(), Scenario, "s.yaml")
    site = parse_document((SITE + tables).encode(), SiteProfile, "site.yaml")
    made = make_samples(bind(site, scenario, tmp_path), scenario, site)
    np.testing.assert_array_equal(made.y, made.x[:, -1] + [1, 2, 3])
    newest = made.x[:, -1, 0].tolist()
    assert newest == [1, 2, 3, 4, 5, 6, 13, 14, 15, 16, 17, 18]


def test_a_signal_may_lie_in_a_file_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, "profile.csv", "state", "100", "73")
    write(tmp_path, "heat.csv", "c1,c2,c3", "1,2,3", "4,5,6")
    axis = "axis: {quantity: time, unit: s, first: 0, last: 2, points: 3}"
    text = HEAD.replace("period_s: 60}", f"period_s: 60, {axis}}}")
    scenario = parse_document((text + DIAGNOSE).encode(), Scenario, "s.yaml")
    site = SITE.replace("{column: load}", "{file: heat.csv, columns: all}") + (
        "tables: {cycles: {file: profile.csv, target: {file: profile.csv, column: "
        'state, by: row, classes: {"100": good, "73": worn}}}}'
    )
    profile = parse_document(site.encode(), SiteProfile, "site.yaml")
    made = make_samples(bind(profile, scenario, tmp_path), scenario, profile)
    assert made.x[:, 0].tolist() == [[1, 2, 3], [4, 5, 6]]
    write(tmp_path, "heat.csv", "c1,c2,c3", "1,2,3")
    with pytest.raises(ContractBrokenError, match="1 rows"):
        bind(profile, scenario, tmp_path)


def test_a_file_on_its_side_is_turned(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "9,8,7,6", "1,2,3,4")
    site = SITE.replace("column: load", "column: column_1") + (
        "tables: {t: {file: a.csv, transposed: true, target: {by: unit-end}}}"
    )
    scenario = parse_document((HEAD + RUL).encode(), Scenario, "s.yaml")
    profile = parse_document(site.encode(), SiteProfile, "site.yaml")
    bound = bind(profile, scenario, tmp_path)
    assert bound.tables["t"].channels[:, 0].tolist() == [9, 8, 7, 6]


def test_a_whole_table_may_be_of_one_class(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "load", "1", "2")
    write(tmp_path, "b.csv", "load", "3")
    made = samples(
        tmp_path,
        DIAGNOSE,
        "tables:\n  a: {file: a.csv, target: {by: table, label: worn}}\n"
        "  b: {file: b.csv, target: {by: table, label: good}}\n",
    )
    assert made.x[:, 0, 0].tolist() == [1, 2, 3]
    assert made.y.tolist() == [1, 1, 0]


def test_a_table_of_a_class_that_the_scenario_lacks_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "load", "1")
    site = "tables: {a: {file: a.csv, target: {by: table, label: lost}}}\n"
    with pytest.raises(ContractBrokenError, match=r"lost.*good, worn"):
        samples(tmp_path, DIAGNOSE, site)


@pytest.mark.parametrize("said", ["{by: table}", "{by: unit-end, label: worn}"])
def test_a_class_of_the_table_is_said_with_it_or_not_at_all(said: str) -> None:
    site = SITE + f"tables: {{a: {{file: a.csv, target: {said}}}}}\n"
    with pytest.raises(DocumentInvalidError, match="label"):
        parse_document(site.encode(), SiteProfile, "site.yaml")


def test_a_late_value_stands_in_the_row_in_which_it_was_known(tmp_path: Path) -> None:
    write(
        tmp_path, "a.csv", "unit,t,load,answer", "a,0,1,0", "a,60,,0", "a,120,3,0",
        "a,180,4,0", "b,180,9,0", "b,240,10,0", "b,360,11,0",
    )  # fmt: skip
    site = (
        SITE.replace("{column: load}", "{column: load, known_after_s: 61}")
        + 'tables: {a: {file: a.csv, clock: {start: "2024-01-01T00:00:00Z", column: t}, '
        "unit_column: unit, target: {file: a.csv, column: answer, by: row}}}\n"
    )
    scenario = parse_document((HEAD + "task: regress\n").encode(), Scenario, "s.yaml")
    bound = bind(parse_document(site.encode(), SiteProfile, "x"), scenario, tmp_path)
    known = bound.tables["a"].channels[:, 0]
    np.testing.assert_array_equal(known, [np.nan, np.nan, 1, 1, np.nan, np.nan, 10])


def test_a_late_value_needs_times(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "load,answer", "1,0")
    site = (
        SITE.replace("{column: load}", "{column: load, known_after_s: 60}")
        + "tables: {a: {file: a.csv, target: {file: a.csv, column: answer, by: row}}}\n"
    )
    scenario = parse_document((HEAD + "task: regress\n").encode(), Scenario, "s.yaml")
    with pytest.raises(ContractBrokenError, match="known_after_s"):
        bind(parse_document(site.encode(), SiteProfile, "x"), scenario, tmp_path)


@pytest.mark.parametrize(
    ("header", "columns", "unit"),
    [
        ("500 nm,510 nm,520 nm", "numeric", "nm"),
        ("first,a,last", "first..last", "nm"),
        ("c_500,c_510,c_520", "c_", "nm"),
        ("c_1,c_2,c_11", "c_", '"1"'),  # a unit with which a number may end
    ],
)
def test_a_spectrum_is_found_by_its_names_or_between_two_of_them(
    tmp_path: Path, header: str, columns: str, unit: str
) -> None:
    write(tmp_path, "a.csv", f"id,{header},answer", "x1,1,2,3,9", "x2,4,5,6,8")
    ends = "first: 500, last: 520" if unit == "nm" else "first: 1, last: 11"
    axis = f"axis: {{quantity: place, unit: {unit}, {ends}, points: 3}}"
    text = HEAD.replace("period_s: 60", f"period_s: 60, {axis}") + "task: regress\n"
    site = (
        SITE.replace("{column: load}", f"{{columns: {columns}}}")
        + "tables: {a: {file: a.csv, target: {file: a.csv, column: answer, by: row}}}\n"
    )
    scenario = parse_document(text.encode(), Scenario, "s.yaml")
    bound = bind(parse_document(site.encode(), SiteProfile, "x"), scenario, tmp_path)
    assert bound.tables["a"].channels.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_a_stretch_of_columns_of_another_length_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "a,b,c,answer", "1,2,3,9")
    axis = "axis: {quantity: wavelength, unit: nm, first: 500, last: 520, points: 3}"
    text = HEAD.replace("period_s: 60", f"period_s: 60, {axis}") + "task: regress\n"
    site = (
        SITE.replace("{column: load}", "{columns: a..b}")
        + "tables: {a: {file: a.csv, target: {file: a.csv, column: answer, by: row}}}\n"
    )
    scenario = parse_document(text.encode(), Scenario, "s.yaml")
    with pytest.raises(ContractBrokenError, match=r"2 columns from a to b.*needs 3"):
        bind(parse_document(site.encode(), SiteProfile, "x"), scenario, tmp_path)


WORDS = "tags: {load: {column: drive, values: {soft: 2, hard: 5}}}\n"


def bound(folder: Path, tags: str) -> list[float]:
    scenario = parse_document((HEAD + "task: regress\n").encode(), Scenario, "s.yaml")
    text = SITE.replace("tags: {load: {column: load}}\n", tags)
    tables = "tables: {a: {file: a.csv}}\nuses: [{part: fit, table: a}]\n"
    site = parse_document((text + tables).encode(), SiteProfile, "site.yaml")
    found: list[float] = (
        bind(site, scenario, folder).tables["a"].channels[:, 0].tolist()
    )
    return found


def test_a_word_counts_as_the_number_that_the_site_gives_it(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "drive,answer", "soft,1", "hard,2", "soft,3")
    assert bound(tmp_path, WORDS) == [2, 5, 2]


def test_a_word_that_the_site_does_not_know_is_missing(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "drive,answer", "soft,1", "rubber,2", "hard,3")
    found = bound(tmp_path, WORDS)
    assert found[0] == 2
    assert np.isnan(found[1])
    assert found[2] == 5


def test_a_column_without_any_known_word_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "drive,answer", "felt,1", "rubber,2", "felt,3")
    with pytest.raises(ContractBrokenError, match="felt, rubber"):
        bound(tmp_path, WORDS)


@pytest.mark.parametrize("other", ["scale: 2", "unit: kW", "columns: all"])
def test_words_are_numbers_already_and_take_no_second_scale(
    tmp_path: Path, other: str
) -> None:
    column = "" if other.startswith("columns") else "column: drive, "
    tags = f"tags: {{load: {{{column}{other}, values: {{soft: 2}}}}}}\n"
    write(tmp_path, "a.csv", "drive,answer", "soft,1", "hard,2", "soft,3")
    with pytest.raises(DocumentInvalidError, match="values"):
        bound(tmp_path, tags)
