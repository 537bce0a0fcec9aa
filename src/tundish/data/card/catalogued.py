"""The card of a set of the catalogue: what its entry says, and no more."""

from __future__ import annotations

from tundish.catalog.datasets import DatasetEntry
from tundish.data.card.card import (
    Card,
    CardFile,
    CardLicence,
    CardSource,
    FieldNote,
)


def card_of(entry: DatasetEntry) -> Card:
    """Return the card of a catalogue entry."""
    roles = {
        entry.grade.time: "time",
        entry.grade.unit: "unit",
        entry.grade.target: "target",
    }
    names = [*entry.units, *(n for n in roles if n and n not in entry.units)]
    fields = [
        FieldNote.model_validate(
            {"name": name, "unit": entry.units.get(name), "role": roles.get(name)}
        )
        for name in names
        if name
    ]
    source = entry.source
    return Card(
        name=entry.key,
        title=entry.name,
        description=entry.description,
        data_version=source.version,
        citation=entry.citation,
        access=f"tundish data fetch {entry.key}",
        licence=CardLicence(
            name=entry.licence.name, spdx=entry.licence.spdx, kind=entry.licence.kind
        ),
        origin=entry.origin,
        sources=(
            CardSource(
                name=f"{source.file}, carried by the Python package {source.package} {source.version}",
                digest=f"sha256:{source.sha256}",
                made_by="files were taken out unchanged",
            ),
        ),
        limitations=entry.caveats,
        scenarios=tuple(str(scenario) for scenario in entry.scenarios),
        sector=entry.sector,
        task=entry.task,
        time_zone=entry.grade.time_zone,
        fields=tuple(fields),
        files=tuple(
            CardFile(path=member.save_as, sha256=member.sha256)
            for member in entry.members
            if not member.inner
        ),
    )
