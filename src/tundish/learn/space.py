"""What a recipe may declare besides ``Recipe``, so that ``auto`` can search it.

All are optional. ``space(scenario)`` names options that are worth trying and between
which bounds; a recipe without it is tried with its defaults. ``simplicity`` is a class
attribute: 1 for a linear model, 2 for trees and neighbours, 3 for networks; between
recipes that cannot be told apart the simpler is kept. A recipe that says nothing counts
as 2. Among equals the smaller graph is the simpler. ``needs`` names the module of an extra
without which it cannot train; where that is not installed it is not tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Protocol, Self, TypeAlias, runtime_checkable

from pydantic import model_validator

from tundish.catalog.scenario import Option, Scenario
from tundish.kernel.records import Record

UNSAID = 2


class Among(Record):
    """One of some values."""

    values: tuple[Option, ...]


class Between(Record):
    """A number between two bounds, both included.

    Attributes:
        log: Whether orders of magnitude matter rather than differences.
        whole: Whether it is a whole number.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high or (self.log and self.low <= 0):
            msg = f"bounds must rise (from above 0 for log), found {self.low} and {self.high}"
            raise ValueError(msg)
        return self


Space: TypeAlias = Mapping[str, Among | Between]


@runtime_checkable
class Searchable(Protocol):
    """A recipe that says which options are worth trying."""

    def space(self, scenario: Scenario) -> Space:
        """Return the options to try, by name."""
        ...


def space_of(recipe: object, scenario: Scenario) -> Space:
    """Return what a recipe declares, or nothing."""
    return recipe.space(scenario) if isinstance(recipe, Searchable) else {}


def simplicity_of(recipe: object) -> int:
    """Return how simple a recipe says it is; smaller is simpler."""
    return int(getattr(recipe, "simplicity", UNSAID))


def can_train(recipe: object) -> bool:
    """Tell whether the module that a recipe says it needs is installed."""
    needed = getattr(recipe, "needs", None)
    return needed is None or find_spec(str(needed)) is not None
