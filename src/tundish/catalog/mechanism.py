"""What the plant's people know before any data: physics that a scenario declares.

Recipes use it (monotone constraints, a first-principles formula as a feature or as the
part that is not learnt), and the judge checks that a graph keeps it.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from tundish.catalog.errors import ConditionInvalidError
from tundish.catalog.expression import compile_formula
from tundish.kernel.records import Record

MechanismText = Annotated[str, StringConstraints(min_length=1, max_length=4000)]


class Monotone(Record):
    """The target only rises (or only falls) with a signal, all else equal.

    Attributes:
        signal: A signal with one channel.
        target: ``rises`` or ``falls`` when the signal rises.
        tolerance: Movement the wrong way, in the target's unit, that is still taken
            for noise of the model.
        why: The physics.
    """

    signal: MechanismText
    target: Literal["rises", "falls"]
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    why: MechanismText


class Prior(Record):
    """A first-principles formula for the target, in its unit.

    Attributes:
        formula: Sums, products and quotients of single-valued signals and numbers,
            on the window's newest row.
        use: ``feature`` adds its value to the inputs; ``residual`` learns only what
            it leaves over.
        why: Where the formula comes from and when it holds.
    """

    formula: MechanismText
    use: Literal["feature", "residual"]
    why: MechanismText

    @property
    def tags(self) -> frozenset[str]:
        """The signals that it names."""
        return compile_formula(self.formula).tags

    @model_validator(mode="after")
    def _readable(self) -> Self:
        try:
            compile_formula(self.formula)
        except ConditionInvalidError as error:
            msg = f"formula: {error.message}"
            raise ValueError(msg) from error
        return self


class Mechanism(Record):
    """All that is declared.

    Attributes:
        low, high: The target cannot lie below or above, in its unit.
        monotone: Relations.
        prior: A formula.
    """

    low: float | None = None
    high: float | None = None
    monotone: tuple[Monotone, ...] = ()
    prior: Prior | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self == Mechanism.model_construct():
            msg = "declare at least one of low, high, monotone, prior"
            raise ValueError(msg)
        if self.low is not None and self.high is not None and self.low >= self.high:
            msg = f"low must lie below high, found {self.low:g} and {self.high:g}"
            raise ValueError(msg)
        names = [item.signal for item in self.monotone]
        if len(set(names)) != len(names):
            msg = "monotone: a signal stands twice"
            raise ValueError(msg)
        return self

    @property
    def names(self) -> frozenset[str]:
        """The signals that it speaks of."""
        prior = self.prior.tags if self.prior else frozenset()
        return prior | {item.signal for item in self.monotone}
