"""What the pages tell a newcomer to look for is found, and said once."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tundish.cli import main

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/how-to/data-sets.md", "docs/how-to/scenarios.md")
SEARCHES = sorted(
    {
        found.strip()
        for page in PAGES
        for found in re.findall(
            r"^ *tundish ((?:data|scenario|control) list[^#\n]*)",
            (ROOT / page).read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    }
)


@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_that_a_page_shows_finds_something(
    search: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.status([*shlex.split(search), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("page", PAGES)
def test_no_line_of_a_page_stands_twice(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = [line[:60] for line in text.splitlines() if len(line) > 60]
    assert sorted({line for line in lines if lines.count(line) > 1}) == []
