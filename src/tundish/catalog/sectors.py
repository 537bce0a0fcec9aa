"""Sectors, links and priority industries: declared data, bilingual.

The 31 manufacturing divisions of GB/T 4754-2017 (C13-C43) and their place in ISIC Rev. 4;
the 40 reference scenarios over 8 links; the 20 priority industries. Utilities (D44-D46)
may be named by a scenario and are not counted among the 31.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Annotated, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, Field, StringConstraints

from tundish.catalog.documents import parse_document
from tundish.catalog.tasks import Label, Text
from tundish.kernel.records import Record

SectorCode = Annotated[str, StringConstraints(pattern=r"^[CD]\d{2}$")]
Autonomy: TypeAlias = Literal["perceive", "advise", "control"]
T = TypeVar("T", bound=BaseModel)

_FIRST, _LAST = 13, 43
UTILITIES = ("D44", "D45", "D46")


class Names(Record):
    """A name in English and Chinese."""

    en: Text
    zh: Text


class Isic(Record):
    """Where a sector lies in ISIC Rev. 4.

    Attributes:
        code: Division, group or class.
        kind: The same (exact), most of the sector (broad), or some of it (partial).
    """

    code: Annotated[str, StringConstraints(pattern=r"^\d{2,4}$")]
    kind: Literal["exact", "broad", "partial"]
    note: Text | None = None


class Sector(Record):
    """One division.

    Attributes:
        process: How it works: continuous, batch, discrete, project, service, mixed.
        problems: What people first ask of AI there.
        group: Group of policy, if it belongs to one.
        counted: Whether it is one of the 31.
    """

    name: Names
    process: tuple[Text, ...]
    problems: tuple[Text, ...] = ()
    group: Label | None = None
    counted: bool = True
    isic: Annotated[tuple[Isic, ...], Field(min_length=1)]


class Link(Record):
    """One of the 8 links, and the one of the 5 that it belongs to."""

    name: Names
    five: Label


class Reference(Record):
    """One of the 40 reference scenarios.

    Attributes:
        link: Key of the link (of 8).
        five: Key of the link (of 5), where it is not that of its link.
        task, data, metric: What is usual.
        autonomy: What a model may do at most.
    """

    link: Label
    five: Label | None = None
    name: Names
    task: Text
    data: Text
    metric: Text
    autonomy: tuple[Autonomy, ...]


class Industry(Record):
    """One of the 20 priority industries and its divisions; software has none."""

    name: Names
    divisions: tuple[SectorCode, ...]


class Sectors(Record):
    """The file of sectors."""

    format: Literal["tundish.sectors"]
    version: Literal[1]
    sectors: dict[SectorCode, Sector]


class Links(Record):
    """The file of links and reference scenarios."""

    format: Literal["tundish.links"]
    version: Literal[1]
    links: dict[Label, Link]
    five: dict[Label, Names]
    scenarios: dict[int, Reference]

    def five_of(self, number: int) -> str:
        """Return the key of the link (of 5) of a reference scenario."""
        reference = self.scenarios[number]
        return reference.five or self.links[reference.link].five


class Industries(Record):
    """The file of priority industries."""

    format: Literal["tundish.industries"]
    version: Literal[1]
    industries: dict[Label, Industry]


@cache
def sectors() -> dict[str, Sector]:
    """Return all sectors by code, in order; see ``Sector``."""
    return dict(_read("sectors.yaml", Sectors).sectors)


@cache
def links() -> Links:
    """Return links and reference scenarios, both in the order of the guide."""
    read = _read("links.yaml", Links)
    numbered = dict(sorted(read.scenarios.items()))
    order = dict.fromkeys(one.link for one in numbered.values())
    named = {key: read.links[key] for key in order}
    return read.model_copy(update={"scenarios": numbered, "links": named})


@cache
def industries() -> dict[str, Industry]:
    """Return the priority industries by key."""
    return dict(_read("industries.yaml", Industries).industries)


def divisions() -> list[str]:
    """Return the codes of the 31 manufacturing divisions."""
    return [code for code, sector in sectors().items() if sector.counted]


def is_sector(code: str) -> bool:
    """Tell whether a code is a division or a utility, without reading a file.

    An edge box asks this at every start.
    """
    if code in UTILITIES:
        return True
    number = code[1:]
    return code[:1] == "C" and number.isdecimal() and _FIRST <= int(number) <= _LAST


def sector_name(code: str) -> tuple[str, str]:
    """Return the English and the Chinese name of a sector code.

    Raises:
        KeyError: if the code is neither a division nor a utility.
    """
    name = sectors()[code].name
    return name.en, name.zh


def _read(name: str, kind: type[T]) -> T:
    root = resources.files("tundish.catalog").joinpath("declared", "terms")
    return parse_document(root.joinpath(name).read_bytes(), kind, name)
