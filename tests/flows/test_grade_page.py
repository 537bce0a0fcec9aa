"""The page of a grade: whole, self-contained, safe, in two languages."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tundish.data.grade import chinese
from tundish.data.grade.asked import Asked
from tundish.data.grade.catalogue import SPECS, IndicatorSpec
from tundish.data.grade.file import graded_file
from tundish.data.grade.kinds import KINDS
from tundish.data.grade.pictures import draw
from tundish.data.roles import Named
from tundish.flows.report.grade_page import for_people, grade_page
from tundish.flows.report.grade_words import FAMILIES, WORDS, Language

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOSTILE = '<script>alert("x")</script>'


class Tags(HTMLParser):
    """Collects elements and what they would load."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.loads += [v or "" for k, v in attrs if k in {"src", "href", "xlink:href"}]


def page(folder: Path, language: Language, tag: str = "flow") -> tuple[str, Tags]:
    """Grade a small file with a stuck tag and return its page."""
    lines = [f"time,{tag},level"]
    for row in range(600):
        value = 7.777 if 200 <= row < 350 else round(5 + (row * 7919 % 101) / 17, 3)
        when = f"2026-01-0{1 + row // 300}T{row % 300 // 60:02d}:{row % 60:02d}:00Z"
        lines.append(f"{when},{value},{(row * 104729 % 997) / 31:.4f}")
    file = folder / "plant.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    graded = graded_file(file, Named(), Asked(now=NOW))
    html = grade_page(
        graded.report, draw(graded.report, graded.sheets), now=NOW, language=language
    )
    parsed = Tags()
    parsed.feed(html)
    return html, parsed


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_says_the_verdict_and_loads_nothing(
    tmp_path: Path, language: Language
) -> None:
    html, parsed = page(tmp_path, language)
    assert parsed.loads == []
    assert "script" not in parsed.names
    assert "polygon" in parsed.names
    assert WORDS[language]["mend"] in html
    stuck = "stuck" if language == "en" else chinese.PHRASES["stuck"].name
    assert f">{stuck}</span>" in html
    assert "2026-01-01 03:20 to 2026-01-02 00:49" in html


def test_texts_from_the_file_stay_texts(tmp_path: Path) -> None:
    html, parsed = page(tmp_path, "en", tag=HOSTILE.replace('"', "'"))
    assert "script" not in parsed.names
    assert "&lt;script&gt;" in html


def test_both_languages_have_the_same_words() -> None:
    assert WORDS["en"].keys() == WORDS["zh"].keys()
    for key, text in WORDS["en"].items():
        assert WORDS["zh"][key].count("{") == text.count("{")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_finding_speaks_chinese_and_has_a_colour(kind: str) -> None:
    phrase = chinese.PHRASES[kind]
    assert phrase.what.format(rows="3", share="1 %")
    assert all(any("一" <= c <= "鿿" for c in text) for text in phrase)
    assert FAMILIES.get(kind, "other") in WORDS["en"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-01-02T03:04:00+00:00", "2026-01-02 03:04"),
        ("2026-01-02T03:04:05+00:00", "2026-01-02 03:04:05"),
        (
            "2026-03-29T01:00:00+01:00 to 2026-03-29T03:00:00+02:00",
            "2026-03-29 01:00+01:00 to 2026-03-29 03:00+02:00",
        ),
        ("row 7", "row 7"),
    ],
)
def test_times_are_short_unless_the_offset_changes(text: str, shown: str) -> None:
    assert for_people(text) == shown


@pytest.mark.parametrize("spec", SPECS, ids=[spec.id for spec in SPECS])
def test_every_indicator_has_its_reasons_in_chinese(spec: IndicatorSpec) -> None:
    assert all(
        any("一" <= c <= "鿿" for c in text) for text in chinese.REASONS[spec.id]
    )
