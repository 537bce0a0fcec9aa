"""Law: what the page on chaos counts is there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.line.chaos_matrix import CASES, PAGE, PROTOCOLS, named_in, written


@pytest.mark.parametrize("case", CASES)
def test_every_case_names_tests_that_exist_or_says_why_not(case: str) -> None:
    row = CASES[case]
    assert len(row) == len(PROTOCOLS)
    assert all(row)
    for file, name in named_in(row):
        tree = ast.parse((Path(__file__).parent / file).read_text("utf-8"))
        names = {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}
        assert name in names


def test_the_page_shows_the_present_table() -> None:
    page = PAGE.read_text("utf-8")
    assert written(page) == page
