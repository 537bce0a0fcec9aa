"""What an entry may say of the files of a set."""

from __future__ import annotations

import pytest

from tundish.catalog import library
from tundish.catalog.datasets import DatasetEntry
from tundish.catalog.documents import parse_document
from tundish.catalog.errors import DocumentInvalidError
from tundish.catalog.setforms import SetForm, TableForm
from tundish.data.units import unit_of
from tundish.kernel.records import Record


class _Holder(Record):
    load: dict[str, SetForm]


def form(text: str) -> SetForm:
    return parse_document(f"load: {{a: {text}}}".encode(), _Holder, "test").load["a"]


def test_a_bare_name_is_a_signal_of_numbers() -> None:
    found = form("{kind: table, files: [a.csv], columns: [x, {name: y}], rows: 3}")
    assert isinstance(found, TableForm)
    assert [(c.name, c.role, c.holds) for c in found.columns] == [
        ("x", "signal", "number"),
        ("y", "signal", "number"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{kind: table, files: [a.csv], columns: [x], rows: 3, sep: ';'}", "sep"),
        ("{kind: table, files: [a.csv], columns: [{name: x, uni: m}], rows: 3}", "uni"),
        ("{kind: table, files: [a.csv], columns: [x, x], rows: 3}", "stands twice"),
        ("{kind: table, files: [a.csv], rows: 3}", "columns or rest"),
        ("{kind: table, files: [a.csv], columns: [x], rows: 0}", "rows"),
        ("{kind: table, files: [], columns: [x], rows: 1}", "files"),
        ("{kind: sheet, files: [a.csv]}", "kind"),
        (
            "{kind: log, files: [a.csv], columns: [c, a], case: c, activity: a, start: t, rows: 1}",
            "'t' is not among them",
        ),
        ("{kind: pictures, files: ['*.png'], label: name}", "label: name needs it"),
        (
            "{kind: table, files: [a.csv], columns: [x], rows: 1, file_columns: [{name: f, pattern: 'a(b)', after_rows: 3}]}",
            "after_rows and before",
        ),
    ],
)
def test_a_form_that_says_too_much_or_too_little_is_refused(
    text: str, said: str
) -> None:
    with pytest.raises(DocumentInvalidError, match=said):
        form(text)


def _loadable() -> list[DatasetEntry]:
    entries = [library.dataset(key) for key in library.names(DatasetEntry)]
    return [entry for entry in entries if entry.load]


def test_every_unit_of_a_loadable_set_is_a_unit_that_is_known() -> None:
    ours = {"cycles", "degR", "pps/psi", "lbm/s", "Btu/lb", "km3/h", "1"}
    units = {u for entry in _loadable() for u in entry.stated_units.values()}
    units |= {
        form.rest.unit
        for entry in _loadable()
        for form in entry.tables.values()
        if form.rest and form.rest.unit
    }
    for unit in units - ours:
        unit_of(unit)


def test_each_set_of_a_package_says_what_its_files_hold() -> None:
    entries = [library.dataset(key) for key in library.names(DatasetEntry)]
    for entry in entries:
        if not entry.members:
            continue
        saved = {name for m in entry.members for name in m.parts.values()}
        saved |= {m.save_as for m in entry.members if not m.parts}
        named = {name for form in entry.load.values() for name in form.files}
        assert named, f"{entry.key} says nothing of its files"
        assert named <= saved, entry.key
        prose = {name for name in saved if name.endswith((".names", ".rst"))}
        assert saved - named <= prose, entry.key


def test_what_is_hinted_for_a_grade_is_among_what_is_loaded() -> None:
    for entry in _loadable():
        hint = entry.grade
        if hint is None or hint.part is None:
            continue
        assert hint.part in entry.load, entry.key
        form = entry.tables.get(hint.part)
        if form is None or form.rest is not None:
            continue
        names = {column.name for column in form.columns}
        names |= {column.name for column in form.file_columns}
        for column in (hint.time, hint.unit, hint.target):
            assert column is None or column in names, (entry.key, column)


def test_the_sites_and_scenarios_that_a_set_names_are_there() -> None:
    for entry in _loadable():
        for site in entry.sites:
            assert str(library.site(site).scenario) in entry.scenarios, entry.key
        for scenario in entry.scenarios:
            library.scenario(scenario)
