"""The scenarios, site profiles and data sets of the catalogue, by name.

They ship with Tundish; packs of other people may be put beside them (``beside``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeAlias, TypeVar, cast

from pydantic import BaseModel

from tundish.catalog.datasets import DatasetEntry, TreeSource
from tundish.catalog.documents import parse_document
from tundish.catalog.errors import UnknownNameError
from tundish.catalog.evidence import Evidence
from tundish.catalog.filelist import MOST_LIST_BYTES, PinnedFile, parse_list
from tundish.catalog.scenario import Scenario
from tundish.catalog.shelf import FILE_LIST, FOLDERS, Shelf
from tundish.catalog.site import SiteProfile
from tundish.kernel import paths

T = TypeVar("T", bound=BaseModel)
Shelves: TypeAlias = Callable[[], Sequence[Shelf]]

_PLAIN = re.compile(r"[\w.-]{1,100}")
_NEAR = 12  # names that a message bears
_BESIDE: ContextVar[Shelves] = ContextVar("beside", default=tuple)


@contextmanager
def beside(shelves: Shelves) -> Iterator[None]:
    """Let the catalogue have the documents of packs too.

    A thread that is started inside does not have them, and so refuses their names.

    Args:
        shelves: Gives packs that were verified; asked whenever names are looked up.
            What ships with Tundish comes first: no pack takes its place.
    """
    token = _BESIDE.set(shelves)
    try:
        yield
    finally:
        _BESIDE.reset(token)


def dataset(name: str) -> DatasetEntry:
    """Return a data-set entry by its key, or from a file.

    Raises:
        UnknownNameError, DocumentInvalidError, DocumentMalformedError.
    """
    return _find(name, DatasetEntry)


def files_of(name: str) -> tuple[PinnedFile, ...]:
    """Return the pinned files of a data set; none for wheels and sets fetched by hand.

    The list lies beside the entry as ``KEY.files.tsv``, also beside an entry of one's own.

    Args:
        name: As ``dataset`` takes it.

    Raises:
        FileListRefusedError: if the list is not the one that the entry pins.
        PathMissingError: if there is none; and as ``dataset``.
    """
    entry = dataset(name)
    if not isinstance(entry.source, TreeSource):
        return ()
    wanted = f"{entry.key}{FILE_LIST}"
    if name in shipped(DatasetEntry):
        data = _folder(DatasetEntry).joinpath(wanted).read_bytes()
    elif (held := _held(lambda shelf: shelf.file_list(name))) is not None:
        data = held
    else:
        data = paths.read_file(Path(name).parent / wanted, most=MOST_LIST_BYTES)
    return parse_list(data, entry.source, entry.key)


def scenario(name: str) -> Scenario:
    """Return a scenario by its key, or from a file; raises as ``dataset``."""
    return _find(name, Scenario)


def site(name: str) -> SiteProfile:
    """Return a site profile by its name, or from a file; raises as ``dataset``."""
    return _find(name, SiteProfile)


def evidence() -> list[Evidence]:
    """Return the evidence that ships with Tundish, and what packs say (``told``)."""
    return [*shipped_evidence(), *told()]


def told() -> list[Evidence]:
    """Return what the makers of packs say of their own scenarios, as far as it may count.

    A scenario that ships, or that another pack has first, is not theirs, though a file of
    that name lies in the pack. ``shown`` must name a set that ships, with its origin:
    "others made it" is nothing that a pack can say of a set that it brings.
    """
    ours = {kind: set(shipped(kind)) for kind in (Scenario, DatasetEntry)}
    found = []
    for shelf in _BESIDE.get()():
        named = set(shelf.names(Scenario)) - ours[Scenario]
        ours[Scenario] |= named
        found += [
            one
            for one in shelf.evidence()
            if one.scenario in named and _may_count(one, ours[DatasetEntry])
        ]
    return found


def _may_count(one: Evidence, sets: set[str]) -> bool:
    if one.level != "shown":
        return one.level == "simulated"
    return one.data in sets and dataset(one.data).origin == one.origin


def shipped_evidence() -> list[Evidence]:
    """Return the evidence that ships with Tundish, by its file names."""
    root = resources.files("tundish.catalog").joinpath("declared", "evidence")
    files = sorted(
        (item for item in root.iterdir() if item.name.endswith(".json")),
        key=lambda item: item.name,
    )
    return [parse_document(f.read_bytes(), Evidence, f.name) for f in files]


def source(name: str, kind: type[BaseModel]) -> bytes:
    """Return the bytes of a document as its file stands; raises as ``dataset``."""
    item = _folder(kind).joinpath(f"{name}.yaml")
    if _PLAIN.fullmatch(name) and item.is_file():
        return item.read_bytes()
    if (held := _held(lambda shelf: shelf.source(kind, name))) is not None:
        return held
    if name.endswith((".yaml", ".yml")) or _is_file(name):
        return paths.read_file(Path(name))
    have = names(kind)
    near = get_close_matches(name, have, n=_NEAR, cutoff=0)
    said = ", ".join(have) if len(have) <= _NEAR else f"nearest: {', '.join(near)}"
    msg = (
        f"There is no {name!r} among the {len(have)} {FOLDERS[kind]} of the catalogue "
        f"({said}), and no such file."
    )
    raise UnknownNameError(msg)


def _held(get: Callable[[Shelf], bytes | None]) -> bytes | None:
    """Return what the first pack gives that has it."""
    return next(filter(None, map(get, _BESIDE.get()())), None)


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # no name of a file at all
        return False


def names(kind: type[BaseModel]) -> list[str]:
    """Return the names of a kind of document."""
    further = {name for shelf in _BESIDE.get()() for name in shelf.names(kind)}
    return sorted(further | set(shipped(kind)))


def shipped(kind: type[BaseModel]) -> list[str]:
    """Return the names that ship with Tundish for a kind of document."""
    files = (i.name for i in _folder(kind).iterdir() if i.name.endswith(".yaml"))
    return sorted(name.removesuffix(".yaml") for name in files)


def _find(name: str, kind: type[T]) -> T:
    return cast("T", _read(source(name, kind), kind, name))


@lru_cache(maxsize=512)
def _read(data: bytes, kind: type[BaseModel], name: str) -> BaseModel:
    """Return what bytes say; records are frozen, and the catalogue is walked often."""
    return parse_document(data, kind, name)


def _folder(kind: type[BaseModel]) -> Traversable:
    return resources.files("tundish.catalog").joinpath("declared", FOLDERS[kind])
