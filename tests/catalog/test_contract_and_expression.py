from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.catalog import library
from tundish.catalog.contract import check_window
from tundish.catalog.errors import ConditionInvalidError
from tundish.catalog.expression import compile_condition, compile_formula, quoted
from tundish.catalog.sectors import divisions, sector_name

GLUCOSE = library.scenario("C25.21.fermentation-glucose")
WIND = library.scenario("D44.27.wind-turbine")


def test_a_sound_window_breaks_nothing() -> None:
    assert check_window(WIND, np.array([[0, 900, 8, 1, 12, 200, 201.0]])) == ()


@pytest.mark.parametrize(
    ("column", "value", "signal", "reason"),
    [
        (4, -273.2, "outdoor_temperature", "out-of-range"),
        (1, np.nan, "power", "missing"),
        (2, np.inf, "wind_speed", "missing"),
    ],
)
def test_a_bad_value_is_named_by_signal(
    column: int, value: float, signal: str, reason: str
) -> None:
    window = np.array([[0, 900, 8, 1, 12, 200, 201.0]])
    window[0, column] = value
    (violation,) = check_window(WIND, window)
    assert (violation.signal, violation.reason) == (signal, reason)


def test_a_flat_spectrum_is_dead() -> None:
    (violation,) = check_window(GLUCOSE, np.ones((1, 1047)))
    assert violation.reason == "dead"


def test_another_number_of_channels_is_refused() -> None:
    (violation,) = check_window(GLUCOSE, np.ones((1, 1046)))
    assert violation.reason == "shape"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a > 1", [False, True, False]),
        ("a >= 1 and not b < 0", [False, True, False]),
        ("0 <= a <= 1 or b == -5", [True, False, False]),
        ("a > 0 or b > -9", [True, True, False]),
    ],
)
def test_a_condition_holds_where_it_says(text: str, expected: list[bool]) -> None:
    columns = {"a": np.array([1.0, 2.0, np.nan]), "b": np.array([-5.0, 1.0, 1.0])}
    assert list(compile_condition(text).on(columns)) == expected


@pytest.mark.parametrize(
    "tag", ["TIC101.PV", "Water flow [l/s]", "P-101", "压力", "class", "1FT", "it's"]
)
def test_a_tag_of_any_name_can_be_written(tag: str) -> None:
    condition = compile_condition(f"{quoted(tag)} > 1")
    assert condition.tags == {tag}
    assert condition.on({tag: np.array([1.0, 2.0])}).tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("steam - feed * 1.02", {"steam", "feed"}),
        ("-(a + 'b c') / 2", {"a", "b c"}),
        ("FT1.PV - FT2.PV", {"FT1.PV", "FT2.PV"}),
    ],
)
def test_a_formula_names_its_tags(text: str, tags: set[str]) -> None:
    assert compile_formula(text).tags == tags


@pytest.mark.parametrize(
    "text", ["a > 1", "a ** 9", "f(a)", "1 + 2", "a if b else c", "a[0]", "a @ b"]
)
def test_what_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(ConditionInvalidError):
        compile_formula(text)


@pytest.mark.parametrize(
    "text",
    ["__import__('os').system('x')", "f().b > 1", "a[0] > 1", "f(a)", "a > ''", "a", "1 > 0",
     "a > 1 if b else c", "lambda: 1", "a > b + 1", "(a := 1) > 0", "", "a in b", "x" * 600, "a >"],
)  # fmt: skip
def test_an_expression_that_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ConditionInvalidError):
        compile_condition(text)


@given(st.text(max_size=60))
def test_any_text_is_a_condition_or_a_refusal(text: str) -> None:
    try:
        condition = compile_condition(text)
    except ConditionInvalidError:
        return
    columns = {tag: np.zeros(2) for tag in condition.tags}
    assert condition.on(columns).shape == (2,)


def test_a_condition_names_the_tag_that_is_absent() -> None:
    with pytest.raises(ConditionInvalidError, match="names 'speed'"):
        compile_condition("speed > 0").on({"flow": np.zeros(1)})


def test_there_are_31_divisions_with_two_names() -> None:
    assert divisions() == [f"C{n}" for n in range(13, 44)]
    assert all(all(sector_name(code)) for code in divisions())
