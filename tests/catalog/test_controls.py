"""The security controls point to what is there, and say where nothing is."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path

import pytest
import yaml

from tundish.catalog import library
from tundish.catalog.controls import Controls, control, controls
from tundish.catalog.documents import parse_document
from tundish.catalog.errors import DocumentInvalidError, UnknownNameError
from tundish.catalog.scenario import Scenario

ROOT = Path(__file__).parents[2]
SHIPPED = Path(library.__file__).parent / "declared/terms/controls.yaml"
COUNTS = {"D": 14, "M": 13, "S": 6, "R": 8, "G": 11, "A": 10, "C": 4}


@cache
def laws_of(path: str) -> set[str]:
    """Return the names of a test file's tests; none if there is no such file."""
    file = ROOT / path
    if not file.is_file():
        return set()
    return {
        node.name
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }


def missing(read: Controls) -> list[str]:
    """Return what controls point to and is not there."""
    lost = []
    for key, one in read.controls.items():
        for test in one.tests:
            path, _, name = test.partition("::")
            there = laws_of(path)
            if not there or (name and name not in there):
                lost.append(f"{key}: {test}")
        lost += [
            f"{key}: {module}"
            for module in one.modules
            if importlib.util.find_spec(module) is None
        ]
    return lost


def changed(key: str, **fields: object) -> bytes:
    whole = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    whole["controls"][key] |= fields
    return yaml.safe_dump(whole, allow_unicode=True).encode()


def test_every_control_points_to_tests_and_code_that_are_there() -> None:
    assert missing(controls()) == []


def test_a_control_that_points_to_nothing_is_found() -> None:
    tests = ["tests/ledger/test_log.py::test_no_such_law", "tests/nowhere/test_it.py"]
    wrong = parse_document(
        changed("A1", tests=tests, modules=["tundish.ledger.nowhere"]), Controls, "it"
    )
    assert missing(wrong) == [
        *(f"A1: {test}" for test in tests),
        "A1: tundish.ledger.nowhere",
    ]


def test_every_module_of_a_control_imports() -> None:
    for one in controls().controls.values():
        for module in one.modules:
            importlib.import_module(module)


def test_every_control_of_the_reference_is_there_once() -> None:
    found = [(key[0], int(key[1:])) for key in controls().controls]
    wanted = [
        (letter, n) for letter, last in COUNTS.items() for n in range(1, last + 1)
    ]
    assert found == wanted


def test_every_control_that_a_scenario_names_is_in_the_catalogue() -> None:
    for name in library.names(Scenario):
        named = library.scenario(name).controls
        assert {*named} <= {*controls().controls}, name


def test_no_control_claims_conformity() -> None:
    text = SHIPPED.read_text(encoding="utf-8").lower()
    for word in ("compliant", "complies", "compliance", "certified to", "合规"):
        assert word not in text, word


@pytest.mark.parametrize(
    ("key", "fields", "said"),
    [
        ("D8", {"kind": "tested"}, "kind is tested, so it names code and a test"),
        ("A1", {"kind": "planned"}, "nothing serves it"),
        ("D8", {"lacks": None}, "'lacks' says so"),
        ("M5", {"tests": []}, "names code and a test"),
        ("M5", {"references": ["atlas AML.T9999"]}, "is not among the items"),
        ("M5", {"tests": ["src/tundish/line/budget.py"]}, "tests"),
    ],
)
def test_a_kind_that_does_not_fit_what_serves_it_is_refused(
    key: str, fields: dict[str, object], said: str
) -> None:
    with pytest.raises(DocumentInvalidError, match=said):
        parse_document(changed(key, **fields), Controls, "controls.yaml")


def test_a_control_that_is_not_there_is_said() -> None:
    with pytest.raises(UnknownNameError, match="no control 'Z9'"):
        control("Z9")
