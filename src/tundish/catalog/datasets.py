"""Data-set entries: where a public set comes from, pinned by digest, and its terms."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from tundish.catalog.scenario import Bilingual, Name
from tundish.catalog.setforms import SetForm, Tabular
from tundish.catalog.tasks import Text
from tundish.kernel import digest as digests
from tundish.kernel.records import Record

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
SetKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,60}$")]
# pip is given these: a blank or a line's end would be an option, an address, another package
Package = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?$")
]
Release = Annotated[str, StringConstraints(pattern=r"^[0-9][A-Za-z0-9.!+_-]{0,99}$")]
WheelFile = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._!+-]{0,195}\.whl$")
]
WheelTag = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.]{0,99}$")
]


class WheelSource(Record):
    """A wheel in a Python package index, fetched through pip's own configuration.

    ``python_version``, ``abi`` and ``platform`` are the tags of the pinned wheel,
    so that the same bytes are had on any machine and nothing is ever built.
    """

    kind: Literal["wheel"]
    package: Package
    version: Release
    file: WheelFile
    sha256: Sha256
    bytes: Annotated[int, Field(gt=0)]
    python_version: WheelTag = "3.11"
    implementation: WheelTag = "py"
    abi: WheelTag = "none"
    platform: WheelTag = "any"


class TreeSource(Record):
    """Single files of a public place, each pinned in the list beside the entry.

    The list is ``KEY.files.tsv``: a header, then one line for each file, tabs between
    ``file`` (its name in the fetched folder), ``place`` (GitHub and Hugging Face:
    ``owner/name``; Zenodo: the number of the record; HTTPS: the address of a folder),
    ``version`` (the commit or revision; ``-`` if there is none), ``path`` (inside the
    place), ``bytes`` and ``sha256``.

    Attributes:
        files: How many files the list has.
        bytes: Bytes of all of them.
        sha256: Of the list itself, so that the entry pins every byte of the set.
    """

    kind: Literal["github", "huggingface", "zenodo", "https"]
    files: Annotated[int, Field(ge=1, le=100_000)]
    bytes: Annotated[int, Field(gt=0)]
    sha256: Sha256


class HandFile(Record):
    """One file that a person fetches from the maker; digests only if they were seen.

    Attributes:
        name: Its name, or a pattern such as ``*.mat``.
        what: What it holds.
    """

    name: Text
    what: Text
    bytes: Annotated[int, Field(gt=0)] | None = None
    sha256: Sha256 | None = None


class HandSource(Record):
    """A set that its maker gives out only to people: a form, an account, a licence click.

    Attributes:
        address: The maker's page.
        steps: What a person does there, in order.
        files: What then lies in the folder that ``tundish data fetch KEY --from`` reads.
    """

    kind: Literal["hand"]
    address: Text
    steps: Annotated[tuple[Text, ...], Field(min_length=1)]
    files: Annotated[tuple[HandFile, ...], Field(min_length=1)]


Source: TypeAlias = Annotated[
    WheelSource | TreeSource | HandSource, Field(discriminator="kind")
]


class Member(Record):
    """One file inside the source; if it is a zip, files inside that.

    Attributes:
        path: The member's path inside the wheel.
        save_as: Its name in the fetched folder.
        inner: For a zip member: name inside -> name in the fetched folder.
        tables: For a JSON member that holds many tables: the way to one, such as
            ``experiments/NAME/runs`` -> name of a CSV file in the fetched folder. A step
            is a key, or the ``name`` of an element of a list; at its end are
            ``columns`` and ``rows``.
    """

    path: Text
    sha256: Sha256
    save_as: Text
    inner: dict[Text, Text] = Field(default_factory=dict)
    tables: dict[Text, Text] = Field(default_factory=dict)

    @property
    def parts(self) -> dict[str, str]:
        """What it is taken apart into: name inside -> name in the fetched folder."""
        return self.inner | self.tables


class Licence(Record):
    """The terms as stated, and their class (A permissive ... U unstated)."""

    name: Text
    spdx: Text | None = None
    stated_in: Text
    kind: Literal["A", "A*", "B", "N", "U"]


class GradeHint(Record):
    """Which file ``tundish grade KEY`` reads, and the roles of its columns.

    Attributes:
        part: The part of ``load`` that is graded; all of its kind if absent.
    """

    file: Text
    part: Name | None = None
    time: Text | None = None
    unit: Text | None = None
    target: Text | None = None
    time_zone: Text = "UTC"
    site: Text | None = None


class DatasetEntry(Record):
    """One data set of the catalogue.

    Attributes:
        sector: The division of GB/T 4754 it speaks of first, such as ``C34``.
        further_sectors: Others that it serves.
        isic: Divisions or classes of ISIC Rev. 4, such as ``2813``.
        members: What is taken out of a wheel; other sources have none.
        units: Column -> unit, as far as its maker states them and ``load`` does not.
        load: Name -> table, log, pictures, texts or instances that the files hold.
        grade: What ``tundish grade KEY`` reads; none for sets that are no table.
        scenarios: Keys of the scenarios that it can show.
        sites: Names of the site profiles that bind it to them.
    """

    format: Literal["tundish.dataset"]
    version: Literal[1]
    key: SetKey
    name: Bilingual
    description: Text
    sector: Text
    further_sectors: tuple[Text, ...] = ()
    isic: tuple[Text, ...] = ()
    task: Text
    origin: Literal["real", "simulated", "synthetic", "altered"]
    source: Source
    members: tuple[Member, ...] = ()
    licence: Licence
    citation: Text
    caveats: tuple[Text, ...] = ()
    units: dict[Text, Text] = Field(default_factory=dict)
    load: dict[Name, SetForm] = Field(default_factory=dict)
    grade: GradeHint | None = None
    scenarios: tuple[Name | Text, ...] = ()
    sites: tuple[Text, ...] = ()

    @property
    def pin(self) -> str:
        """What pins its bytes: the digest of the wheel, of the list, of the steps."""
        if isinstance(self.source, HandSource):
            return digests.of_json(self.source.to_json())
        return f"sha256:{self.source.sha256}"

    @model_validator(mode="after")
    def _members_of_wheels(self) -> Self:
        if (self.source.kind == "wheel") != bool(self.members):
            msg = "members: a wheel needs them, other sources have none"
            raise ValueError(msg)
        return self

    @property
    def tables(self) -> dict[str, Tabular]:
        """The tables and event logs among what it holds."""
        return {k: f for k, f in self.load.items() if isinstance(f, Tabular)}

    @property
    def stated_units(self) -> dict[str, str]:
        """Column -> unit, wherever the entry states it."""
        named = {
            column.name: column.unit
            for form in self.tables.values()
            for column in form.columns
            if column.unit is not None
        }
        return {**named, **self.units}
