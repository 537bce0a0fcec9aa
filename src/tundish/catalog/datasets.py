"""Data-set entries: where a public set comes from, pinned by digest, and its terms."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tundish.catalog.scenario import Bilingual, Name
from tundish.catalog.tasks import Text
from tundish.kernel.records import Record

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
SetKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,60}$")]


class WheelSource(Record):
    """A wheel in a Python package index, fetched through pip's own configuration.

    ``python_version``, ``abi`` and ``platform`` are the tags of the pinned wheel,
    so that the same bytes are had on any machine and nothing is ever built.
    """

    kind: Literal["wheel"]
    package: Text
    version: Text
    file: Text
    sha256: Sha256
    bytes: Annotated[int, Field(gt=0)]
    python_version: Text = "3.11"
    implementation: Text = "py"
    abi: Text = "none"
    platform: Text = "any"


class Member(Record):
    """One file inside the source; if it is a zip, files inside that.

    Attributes:
        path: The member's path inside the wheel.
        save_as: Its name in the fetched folder.
        inner: For a zip member: name inside -> name in the fetched folder.
    """

    path: Text
    sha256: Sha256
    save_as: Text
    inner: dict[Text, Text] = Field(default_factory=dict)


class Licence(Record):
    """The terms as stated, and their class (A permissive ... U unstated)."""

    name: Text
    spdx: Text | None = None
    stated_in: Text
    kind: Literal["A", "A*", "B", "N", "U"]


class GradeHint(Record):
    """Which file ``tundish grade KEY`` reads, and the roles of its columns."""

    file: Text
    time: Text | None = None
    unit: Text | None = None
    target: Text | None = None
    time_zone: Text = "UTC"
    site: Text | None = None


class DatasetEntry(Record):
    """One data set of the catalogue."""

    format: Literal["tundish.dataset"]
    version: Literal[1]
    key: SetKey
    name: Bilingual
    description: Text
    sector: Text
    task: Text
    origin: Literal["real", "simulated", "synthetic", "altered"]
    source: WheelSource
    members: Annotated[tuple[Member, ...], Field(min_length=1)]
    licence: Licence
    citation: Text
    caveats: tuple[Text, ...] = ()
    units: dict[Text, Text] = Field(default_factory=dict)
    grade: GradeHint
    scenarios: tuple[Name | Text, ...] = ()
