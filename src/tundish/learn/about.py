"""What each installed recipe says of itself: its note and its options.

The note is the docstring of the recipe's module (method, why, source), so that there is
one text for whoever reads the code, ``tundish recipe show`` and the docs.
"""

from __future__ import annotations

import inspect
import re
import sys

from pydantic_core import PydanticUndefined

from tundish.catalog.tasks import Task
from tundish.kernel.records import Record
from tundish.learn.recipe import AUTO, installed, names

_ENTRY = re.compile(
    r"^\s{4}(?P<names>[\w, ]+): (?P<text>.*(?:\n\s{8}.*)*)", re.MULTILINE
)


class OptionAbout(Record):
    """One option of a recipe: its default as text, and what it does."""

    name: str
    default: str
    text: str


class About(Record):
    """What a recipe says of itself.

    Attributes:
        name: As a scenario's candidate names it.
        task: What it is for; None: whatever the scenario asks for.
        line: In one line.
        note: Method, reasons and sources.
        options: Those that a candidate may give, in order.
    """

    name: str
    task: Task | None
    line: str
    note: str
    options: tuple[OptionAbout, ...]


def every() -> list[About]:
    """Return what all installed recipes say, by task and name."""
    found = [about(name) for name in names()]
    return sorted(found, key=lambda one: (one.task or "~", one.name))


def about(name: str) -> About:
    """Return what one recipe says.

    Raises:
        RecipeUnknownError: if there is none of that name.
    """
    maker = installed(name).load()
    module = sys.modules[maker.__module__]
    first, _, rest = inspect.cleandoc(module.__doc__ or "").partition("\n")
    line = first.partition(": ")[2] or first
    return About(
        name=name,
        task=None if name == AUTO else maker.task,
        line=line[:1].upper() + line[1:].rstrip("."),
        note=rest.strip(),
        options=_options(vars(module)),
    )


def _options(found: dict[str, object]) -> tuple[OptionAbout, ...]:
    """Return the options of the record in a module whose name ends in ``Options``.

    A module's own record counts before one that it imports; what a record takes over from
    others is described there.
    """
    records = [
        value
        for name, value in found.items()
        if name.endswith("Options")
        and isinstance(value, type)
        and issubclass(value, Record)
    ]
    if not records:
        return ()
    own = [one for one in records if one.__module__ == found["__name__"]]
    record = (own or records)[0]
    texts: dict[str, str] = {}
    for one in reversed(record.__mro__):
        texts |= _texts(inspect.cleandoc(one.__doc__ or ""))
    return tuple(
        OptionAbout(
            name=key,
            default="" if field.default is PydanticUndefined else repr(field.default),
            text=texts.get(key, ""),
        )
        for key, field in record.model_fields.items()
    )


def _texts(note: str) -> dict[str, str]:
    """Return what a record's docstring says of its attributes."""
    found = {}
    for entry in _ENTRY.finditer(note.partition("Attributes:\n")[2]):
        text = " ".join(entry["text"].split())
        found.update({name.strip(): text for name in entry["names"].split(",")})
    return found
