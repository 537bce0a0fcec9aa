"""A shelf: documents of the catalogue that somebody else wrote, as the files of one folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from tundish.catalog.datasets import DatasetEntry, TreeSource
from tundish.catalog.documents import parse_document
from tundish.catalog.errors import PackMalformedError
from tundish.catalog.evidence import Evidence
from tundish.catalog.filelist import parse_list
from tundish.catalog.scenario import Scenario
from tundish.catalog.site import SiteProfile
from tundish.catalog.tasks import Text
from tundish.kernel.errors import TundishError
from tundish.kernel.records import Record

CARD = "pack.yaml"
BESIDE = frozenset({"README.md", "LICENSE"})
FOLDERS: dict[type[BaseModel], str] = {
    DatasetEntry: "datasets",
    Scenario: "scenarios",
    SiteProfile: "sites",
}
EVIDENCE = "evidence"
FILE_LIST = ".files.tsv"
_SAID = 12  # faults that a message bears

# a site's name has no dot: "site.yaml" would take the place of a person's own file
_PLACES = re.compile(
    r"scenarios/[A-Za-z0-9.-]{1,100}\.yaml|sites/[a-z0-9][a-z0-9_-]{0,99}\.yaml"
    r"|datasets/[a-z0-9-]{1,100}(\.yaml|\.files\.tsv)|evidence/[\w.-]{1,100}\.json",
    re.ASCII,
)


class PackCard(Record):
    """What the maker of a pack says of it, in ``pack.yaml``.

    Attributes:
        name: Short, in lower case; it names the pack for good.
        release: Counter from 1; raised by one whenever anything changes.
        title: What is in it.
        licence: Of the documents, as an SPDX expression.
        maker: Who answers for them, and how they are reached.
    """

    format: Literal["tundish.pack-card"]
    version: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,49}$")]
    release: Annotated[int, Field(ge=1, le=2**31 - 1)]
    title: Text
    licence: Text
    maker: Text


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """The documents of one pack; whether they are trusted was decided before.

    Attributes:
        name: Of the pack.
        files: Name inside the folder, with ``/`` -> bytes.
    """

    name: str
    files: Mapping[str, bytes]

    def names(self, kind: type[BaseModel]) -> list[str]:
        """Return the names of its documents of a kind."""
        return self._stems(FOLDERS[kind], ".yaml")

    def source(self, kind: type[BaseModel], name: str) -> bytes | None:
        """Return the bytes of a document; None if it is not here."""
        return self._at(f"{FOLDERS[kind]}/{name}.yaml")

    def file_list(self, key: str) -> bytes | None:
        """Return the list of a data set's files; None if it is not here."""
        return self._at(f"{FOLDERS[DatasetEntry]}/{key}{FILE_LIST}")

    def evidence(self) -> Iterator[Evidence]:
        """Give its evidence, which speaks of its own scenarios only."""
        mine = set(self.names(Scenario))
        for stem in self._stems(EVIDENCE, ".json"):
            name = f"{EVIDENCE}/{stem}.json"
            found = parse_document(self.files[name], Evidence, name)
            if found.scenario in mine:
                yield found

    def _at(self, place: str) -> bytes | None:
        return self.files.get(place) if _PLACES.fullmatch(place) else None

    def _stems(self, folder: str, ending: str) -> list[str]:
        start = f"{folder}/"
        return sorted(
            name.removeprefix(start).removesuffix(ending)
            for name in self.files
            if name.startswith(start) and name.endswith(ending)
            if self._at(name) is not None
        )


def read_card(files: Mapping[str, bytes]) -> PackCard:
    """Return what the maker says of a pack.

    Raises:
        PackMalformedError: if there is no card.
        DocumentInvalidError, DocumentMalformedError: if it is wrong.
    """
    if CARD not in files:
        msg = f"The folder has no {CARD}, so it is no scenario pack."
        fields = ", ".join(PackCard.model_fields)
        advice = f"Write one with {fields}; tundish scenario pack --help shows it."
        raise PackMalformedError(msg, advice=advice)
    return parse_document(files[CARD], PackCard, CARD)


def check(shelf: Shelf, taken: Mapping[type[BaseModel], set[str]]) -> None:
    """Make sure that every file of a pack is a valid document in its place.

    Args:
        shelf: All files of the folder but the signature.
        taken: Names that the catalogue has without it.

    Raises:
        PackMalformedError: naming each file that is wrong, and why.
    """
    faults = list(_faults(shelf, taken))
    if faults:
        count = "a fault" if len(faults) == 1 else f"{len(faults)} faults"
        more = f"; and {len(faults) - _SAID} more" if len(faults) > _SAID else ""
        msg = f"The pack {shelf.name} has {count}: {'; '.join(faults[:_SAID])}{more}."
        raise PackMalformedError(msg)


def _faults(shelf: Shelf, taken: Mapping[type[BaseModel], set[str]]) -> Iterator[str]:
    strange = [
        name
        for name in shelf.files
        if name not in BESIDE | {CARD} and not _PLACES.fullmatch(name)
    ]
    for name in sorted(strange):
        yield f"{name!r} has no place in a pack: {_why_strange(name)}"
    yield from _twins(shelf.files)
    if not shelf.names(Scenario):
        yield "it holds no scenario"
    for kind, folder in FOLDERS.items():
        for name in shelf.names(kind):
            try:
                _check_document(shelf, kind, name, taken)
            except TundishError as error:
                yield f"{folder}/{name}.yaml: {error.message}"
    try:
        _check_evidence(shelf)
    except TundishError as error:
        yield error.message


def _why_strange(name: str) -> str:
    if name.startswith("sites/") and name.endswith(".yaml"):
        return "the name of a site has small letters, digits, - and _"
    return "it holds documents only, no code"


def _twins(names: Iterable[str]) -> Iterator[str]:
    """Name the files that would be one where large and small letters are the same."""
    seen: dict[str, str] = {}
    for name in sorted(names):
        twin = seen.setdefault(name.casefold(), name)
        if twin != name:
            yield f"{twin!r} and {name!r} differ in large and small letters only"


def _check_document(
    shelf: Shelf,
    kind: type[BaseModel],
    name: str,
    taken: Mapping[type[BaseModel], set[str]],
) -> None:
    data = shelf.source(kind, name) or b""
    document = parse_document(data, kind, name)
    said = getattr(document, "key", name)
    if said != name:
        msg = f"its key is {said}, so it must be the name of the file"
        raise PackMalformedError(msg)
    if name in taken.get(kind, set()):
        msg = "the catalogue has one of that name already; nothing is put in its place"
        raise PackMalformedError(msg)
    if isinstance(document, SiteProfile):
        known = taken.get(Scenario, set()) | set(shelf.names(Scenario))
        if document.scenario not in known:
            msg = f"there is no scenario {document.scenario}"
            raise PackMalformedError(msg)
    if isinstance(document, DatasetEntry) and isinstance(document.source, TreeSource):
        listed = shelf.file_list(document.key)
        if listed is None:
            msg = f"its list {name}{FILE_LIST} is missing"
            raise PackMalformedError(msg)
        parse_list(listed, document.source, document.key)


def _check_evidence(shelf: Shelf) -> None:
    for one in shelf.evidence():
        wrong = _why_not_said(shelf, one)
        if wrong:
            msg = f"evidence of {one.scenario}: {wrong}"
            raise PackMalformedError(msg)


def _why_not_said(shelf: Shelf, one: Evidence) -> str:
    if one.level not in {"simulated", "shown"}:
        return f"{one.level!r} rests on a plant's own signed evidence, not on a pack's word"
    if one.level == "shown" and one.data in shelf.names(DatasetEntry):
        return f"{one.data} is a set of the pack itself, so nobody else stands for it; who adds the pack can run it"
    if one.accepted and not (one.limits and all(limit.holds for limit in one.limits)):
        return "it says accepted, and not that each limit holds"
    return ""
