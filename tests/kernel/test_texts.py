"""Laws of foreign text: nothing in it steers a terminal, and a person can read it."""

from __future__ import annotations

import pytest

from tundish.cli import show
from tundish.kernel.texts import natural_order, visible

STEERING = ("\x1b[31mred", "a\rb", "\u202eabc", "zero\u200bwidth", "\ud800", "\x9b2J")


@pytest.mark.parametrize("text", STEERING)
def test_letters_that_steer_are_written_out(text: str) -> None:
    assert visible(text).isprintable()
    assert visible(text) != text


def test_what_can_be_read_stays_as_it_is() -> None:
    text = "Kühlwasser 冷却水 12 °C\n"
    assert visible(text, keep="\n") == text
    assert visible(text).endswith("\\n")


@pytest.mark.parametrize("text", STEERING)
def test_no_name_of_a_foreign_file_steers_the_terminal(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show.line(text)
    show.heading(text)
    show.table(text, ["name"], [[text]])
    shown = capsys.readouterr().out
    assert "".join(shown.split("\n")).isprintable()
    assert "\\" in shown


def test_ten_comes_after_nine_and_no_number_is_too_long() -> None:
    names = ["run10", "run9", "run9b", "run", "10", "9", "9" * 5000]
    found = sorted(names, key=natural_order)
    assert [name for name in found if len(name) < 9] == [
        "9", "10", "run", "run9", "run9b", "run10",
    ]  # fmt: skip
