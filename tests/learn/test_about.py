"""Laws of what recipes say of themselves: method, source, and every option."""

from __future__ import annotations

import pytest

from tundish.learn.about import about, every
from tundish.learn.errors import RecipeUnknownError
from tundish.learn.recipe import names


def test_every_recipe_says_its_method_and_where_it_comes_from() -> None:
    found = every()
    assert [one.name for one in sorted(found, key=lambda one: one.name)] == names()
    for one in found:
        assert one.line, one.name
        assert "Source" in one.note, one.name


def test_every_option_says_what_it_does() -> None:
    for one in every():
        assert one.options, one.name
        for option in one.options:
            assert option.text, (one.name, option.name)


def test_a_recipe_that_is_not_there_is_said_with_those_that_are() -> None:
    with pytest.raises(RecipeUnknownError, match="installed are: auto, "):
        about("magic")
