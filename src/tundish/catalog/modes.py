"""Operating modes that a scenario declares: the cells that data must visit.

A mode is a condition over signals, bands of one signal, or months of the year.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from tundish.catalog.errors import ConditionInvalidError
from tundish.catalog.expression import compile_condition
from tundish.kernel.records import Record

ModeText = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Month = Annotated[int, Field(ge=1, le=12)]


class Mode(Record):
    """One declared mode, or one factor that is cut into bands.

    Attributes:
        name: What the plant calls it: "low load", "product A", "winter".
        when: A condition over the contract's signals, such as ``power > 1500``.
        signal, edges: A signal and the edges of its bands; each band is one cell.
        months: Months (1-12, local time) of a season.
        min_rows: Rows that count as a visit.
    """

    name: ModeText
    when: ModeText | None = None
    signal: ModeText | None = None
    edges: Annotated[tuple[float, ...], Field(min_length=2, max_length=100)] | None = (
        None
    )
    months: Annotated[tuple[Month, ...], Field(min_length=1)] | None = None
    min_rows: Annotated[int, Field(ge=1)] = 10

    @property
    def names(self) -> frozenset[str]:
        """The signals that the mode speaks of."""
        if self.when is not None:
            return compile_condition(self.when).tags
        return frozenset() if self.signal is None else frozenset((self.signal,))

    @property
    def cells(self) -> tuple[str, ...]:
        """The names of its cells, for people."""
        if self.edges is None:
            return (self.name,)
        pairs = zip(self.edges, self.edges[1:], strict=False)
        return tuple(f"{self.name} {low:g} to {high:g}" for low, high in pairs)

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        bands = self.signal is not None or self.edges is not None
        forms = [self.when is not None, bands, self.months is not None]
        if sum(forms) != 1 or (self.signal is None) != (self.edges is None):
            msg = "give one of: when; signal and edges; months"
            raise ValueError(msg)
        if self.edges is not None and list(self.edges) != sorted(set(self.edges)):
            msg = f"edges must rise, found {list(self.edges)}"
            raise ValueError(msg)
        if self.when is not None:
            try:
                compile_condition(self.when)
            except ConditionInvalidError as error:
                msg = f"when: {error.message}"
                raise ValueError(msg) from error
        return self
