"""Security controls: declared data. What each asks, what serves it here, and what lacks.

A control *supports evidence for* the items that it refers to. It makes nothing
conform to them: whoever assesses a plant decides that.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from tundish.catalog.documents import parse_document
from tundish.catalog.errors import UnknownNameError
from tundish.catalog.sectors import Names
from tundish.catalog.tasks import Label, Text
from tundish.kernel.records import Record

Kind: TypeAlias = Literal["implemented", "tested", "evidence", "planned"]
ControlId = Annotated[str, StringConstraints(pattern=r"^[A-Z]\d{1,2}$")]
Module = Annotated[str, StringConstraints(pattern=r"^tundish(\.[a-z_0-9]+)+$")]
TestId = Annotated[
    str, StringConstraints(pattern=r"^tests/[a-z0-9_/]+\.py(::test_[a-z0-9_]+)?$")
]


class Family(Record):
    """A group of controls; ``key`` is the letter of their ids."""

    key: Annotated[str, StringConstraints(pattern=r"^[A-Z]$")]
    name: Names
    what: Text


class Framework(Record):
    """A public framework that controls refer to.

    Attributes:
        edition: Which one, as far as known.
        note: How its ids were checked.
    """

    name: Text
    edition: Text
    note: Text


class Item(Record):
    """One item of a framework.

    Attributes:
        name: What it is called there, in short.
        checked: Whether id and name were seen in a public text of the framework or one
            that quotes it; else they were noted from memory: look before you quote.
    """

    name: Text
    checked: bool


class Control(Record):
    """One control, as it truly stands today.

    Attributes:
        kind: ``implemented``: Tundish does it, and tests hold it. ``tested``: Tundish
            measures it and reports numbers. ``evidence``: Tundish collects what a
            person judges. ``planned``: nothing serves it yet.
        how: What is done, or would be.
        references: Keys of items; see ``Controls.items``.
        modules: Code that serves it.
        tests: Tests that show it: a file, or one test in it.
        lacks: What of it is not there.
    """

    name: Names
    kind: Kind
    how: Text
    references: tuple[Text, ...] = ()
    modules: tuple[Module, ...] = ()
    tests: tuple[TestId, ...] = ()
    lacks: Text | None = None

    @property
    def served_by(self) -> tuple[str, ...]:
        """All that serves it: code, then tests."""
        return (*self.modules, *self.tests)

    @model_validator(mode="after")
    def _kind_fits(self) -> Self:
        if self.kind == "planned":
            problem = (
                "kind is planned, so nothing serves it and 'lacks' says so"
                if self.served_by or self.lacks is None
                else ""
            )
        elif not self.modules or not self.tests:
            problem = f"kind is {self.kind}, so it names code and a test"
        else:
            problem = ""
        if problem:
            raise ValueError(problem)
        return self


class Controls(Record):
    """The file of controls.

    Attributes:
        items: ``framework id`` -> the item.
    """

    format: Literal["tundish.controls"]
    version: Literal[1]
    families: tuple[Family, ...]
    frameworks: dict[Label, Framework]
    items: dict[Text, Item]
    controls: Annotated[dict[ControlId, Control], Field(min_length=1)]

    @model_validator(mode="after")
    def _all_named(self) -> Self:
        letters = {family.key for family in self.families}
        for key, one in self.controls.items():
            if key[0] not in letters:
                msg = f"controls.{key}: there is no family {key[0]}"
                raise ValueError(msg)
            for reference in one.references:
                if reference not in self.items:
                    msg = f"controls.{key}: {reference!r} is not among the items"
                    raise ValueError(msg)
        for key in self.items:
            if key.split(" ")[0] not in self.frameworks:
                msg = f"items.{key}: there is no such framework"
                raise ValueError(msg)
        return self

    def item(self, reference: str) -> tuple[str, str, Item]:
        """Return the framework's name, the id in it and the item of a reference."""
        framework, _, number = reference.partition(" ")
        return self.frameworks[framework].name, number, self.items[reference]


@cache
def controls() -> Controls:
    """Return the controls of the catalogue, by family and number."""
    root = resources.files("tundish.catalog").joinpath("declared", "terms")
    name = "controls.yaml"
    read = parse_document(root.joinpath(name).read_bytes(), Controls, name)
    letters = [family.key for family in read.families]
    ordered = sorted(
        read.controls.items(),
        key=lambda one: (letters.index(one[0][0]), int(one[0][1:])),
    )
    return read.model_copy(update={"controls": dict(ordered)})


def of_family(letter: str) -> dict[str, Control]:
    """Return the controls of a family by their ids.

    Raises:
        UnknownNameError: if there is no such family.
    """
    letters = [family.key for family in controls().families]
    if letter not in letters:
        msg = f"There is no family {letter!r} of controls; there are {', '.join(letters)}."
        raise UnknownNameError(msg, advice="tundish control list")
    return {k: one for k, one in controls().controls.items() if k[0] == letter}


def control(key: str) -> Control:
    """Return a control by its id.

    Raises:
        UnknownNameError: if there is none.
    """
    found = controls().controls.get(key)
    if found is None:
        families = ", ".join(family.key for family in controls().families)
        msg = f"There is no control {key!r}; ids are a letter ({families}) and a number, such as D1."
        raise UnknownNameError(msg, advice="tundish control list")
    return found
