from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_threat_model_names_exists() -> None:
    text = (ROOT / "docs/security/threat-model.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", text))
    sources = [
        path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")
    ]
    there = set(re.findall(r"def (test_[a-z0-9_]+)\(", "\n".join(sources)))
    assert len(named) > 30
    assert named <= there, sorted(named - there)


def test_every_guarantee_names_a_test() -> None:
    text = (ROOT / "docs/security/threat-model.md").read_text(encoding="utf-8")
    rows = [
        line
        for line in text.splitlines()
        if line.startswith("| ") and "|---" not in line
    ]
    for row in rows[1:]:
        assert "`test_" in row, row


def test_every_bug_class_names_its_tests_or_says_that_the_part_is_not_there() -> None:
    text = (ROOT / "docs/security/bug-classes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \|(.*)$", text, flags=re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 29))
    for number, row in rows:
        assert ("`test_" in row) != ("not in this version" in row), number
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", text))
    sources = [
        path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")
    ]
    there = set(re.findall(r"def (test_[a-z0-9_]+)\(", "\n".join(sources)))
    assert named <= there, sorted(named - there)
