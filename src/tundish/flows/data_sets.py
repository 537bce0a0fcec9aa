"""The data sets of the catalogue: found by what they are about, and shown whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tundish.catalog import library, sectors
from tundish.catalog.datasets import DatasetEntry, HandSource, TreeSource
from tundish.catalog.errors import UnknownNameError
from tundish.data.fetch import cache as cache_state
from tundish.data.fetch.mirror import Mirror
from tundish.flows import terms
from tundish.kernel import settings
from tundish.kernel.canonical import Json
from tundish.kernel.records import Record


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which sets are meant; what is left out does not count.

    Attributes:
        words: All of them stand somewhere in the entry, in any case.
        sector: A division such as ``C34``, its first or a further one.
        task: Such as ``anomaly``.
        licence: A class: ``A``, ``A*``, ``B``, ``N`` or ``U``.
        origin: ``real``, ``simulated``, ``synthetic`` or ``altered``.
        here: Only those in the cache, or in the mirror.
        mirror: A folder to look in as well.
    """

    words: tuple[str, ...] = ()
    sector: str | None = None
    task: str | None = None
    licence: str | None = None
    origin: str | None = None
    here: bool = False
    mirror: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Found:
    """One set, and where it is: ``cache``, ``mirror`` or nowhere here."""

    entry: DatasetEntry
    where: str


class SetReport(Record):
    """All that is known of one set.

    Attributes:
        entry: As it stands in the catalogue.
        where: ``cache``, ``mirror``, or empty.
        files: How many it has; none if only its maker knows.
        bytes: What is fetched for it; none if only its maker knows.
        terms: The licence as stated, its class, and where it stands.
        accepted: Whether the terms were accepted here, or need not be.
        steps: What a person does to get it, if no program may.
    """

    entry: DatasetEntry
    where: str
    files: int | None
    bytes: int | None
    terms: str
    accepted: bool
    steps: tuple[str, ...] = ()


def find_sets(wanted: Filter) -> list[Found]:
    """Return the sets of the catalogue that fit, by key.

    Raises:
        UnknownNameError: if there is no such sector or task.
        PathMissingError: if the mirror is no folder.
    """
    entries = [library.dataset(name) for name in library.names(DatasetEntry)]
    _refuse_unknown(entries, wanted)
    mirror = None if wanted.mirror is None else Mirror.at(wanted.mirror)
    found = [
        Found(entry=entry, where=where_of(entry, mirror))
        for entry in entries
        if _fits(entry, wanted)
    ]
    return [one for one in found if one.where or not wanted.here]


def show_set(key: str, mirror: Path | None = None) -> SetReport:
    """Return all that is known of one set.

    Args:
        key: Of the catalogue, or the file of an entry.
        mirror: A folder to look in as well.

    Raises:
        UnknownNameError: if there is none of that name.
    """
    entry = library.dataset(key)
    source = entry.source
    files: int | None = len(entry.members)
    if isinstance(source, TreeSource):
        files = source.files
    elif isinstance(source, HandSource):
        files = None
    return SetReport(
        entry=entry,
        where=where_of(entry, None if mirror is None else Mirror.at(mirror)),
        files=files,
        bytes=None if isinstance(source, HandSource) else source.bytes,
        terms=terms.text_of(entry),
        accepted=terms.is_accepted(entry, settings.cache_dir()),
        steps=source.steps if isinstance(source, HandSource) else (),
    )


def to_mirror() -> list[str]:
    """Return the keys of all sets that can be mirrored: those by hand once they are here."""
    entries = [library.dataset(name) for name in library.names(DatasetEntry)]
    cache = settings.cache_dir()
    return [
        entry.key
        for entry in entries
        if entry.source.kind != "hand" or cache_state.is_there(entry, cache)
    ]


def where_of(entry: DatasetEntry, mirror: Mirror | None) -> str:
    """Return where a set seems to be; ``tundish data verify`` proves it."""
    if cache_state.is_there(entry, settings.cache_dir()):
        return "cache"
    if mirror is None:
        return ""
    listed = mirror.index is not None and entry.key in mirror.index.sets
    return "mirror" if listed or mirror.folders(entry) else ""


def _refuse_unknown(entries: list[DatasetEntry], wanted: Filter) -> None:
    """Refuse a sector or a task that there is not: an empty list would hide the slip."""
    known = {
        "sector": (wanted.sector, set(sectors.sectors())),
        "task": (wanted.task, {entry.task for entry in entries}),
    }
    for what, (given, names) in known.items():
        if given is not None and given not in names:
            msg = f"There is no {what} {given!r}; there are {', '.join(sorted(names))}."
            raise UnknownNameError(msg, advice="Name one of those.")


def _fits(entry: DatasetEntry, wanted: Filter) -> bool:
    sectors = {entry.sector, *entry.further_sectors}
    pairs = (
        (wanted.sector, sectors),
        (wanted.task, {entry.task}),
        (wanted.licence, {entry.licence.kind}),
        (wanted.origin, {entry.origin}),
    )
    if any(one is not None and one not in among for one, among in pairs):
        return False
    text = " ".join(_words(entry.to_json())).casefold()
    return all(word.casefold() in text for word in wanted.words)


def _words(value: Json) -> list[str]:
    """Return every text of an entry, its keys among them: units name columns."""
    if isinstance(value, dict):
        return [w for k, v in value.items() for w in (k, *_words(v))]
    if isinstance(value, list):
        return [word for part in value for word in _words(part)]
    return [value] if isinstance(value, str) else []
