"""The card of a data set: what is known of it beside its values.

A card is written by a person (YAML, ``format: tundish.card``), read from a foreign form
(Croissant, Frictionless data package) or made from an entry of the catalogue. What is
not known is absent; nothing is ever guessed into a card.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from tundish.catalog import documents
from tundish.catalog.datasets import Sha256
from tundish.catalog.scenario import Bilingual, Range
from tundish.catalog.tasks import Text
from tundish.kernel.clock import is_zone
from tundish.kernel.records import Record

Origin = Literal["real", "simulated", "synthetic", "altered"]
SecurityGrade = Literal["general", "important", "core"]
Role = Literal["time", "unit", "target"]
LicenceKind = Literal["A", "A*", "B", "N", "U"]
Use = Literal["product", "research", "internal"]
Day = Annotated[str, StringConstraints(pattern=r"^\d{4}(-\d{2}(-\d{2})?)?$")]
FullDay = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class CardLicence(Record):
    """The terms as stated: a name, and an SPDX id, class or address where known."""

    name: Text
    spdx: Text | None = None
    kind: LicenceKind | None = None
    url: Text | None = None


class CardSource(Record):
    """Something the set was made from.

    Attributes:
        name: What it is called: a historian, a laboratory system, another data set.
        url: Where it is, if it has an address.
        digest: ``sha256:`` and 64 hex digits, if it is known to the byte.
        licence: Its own terms, if it has some.
        made_by: What was done to it to get this set.
    """

    name: Text
    url: Text | None = None
    digest: (
        Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")] | None
    ) = None
    licence: CardLicence | None = None
    made_by: Text | None = None


class Period(Record):
    """First and last day of collection."""

    first: Day
    last: Day


class Annotation(Record):
    """How the labels came about; names as in Croissant RAI."""

    protocol: tuple[Text, ...] = ()
    platform: tuple[Text, ...] = ()
    analysis: tuple[Text, ...] = ()
    per_item: Text | None = None
    annotators: tuple[Text, ...] = ()
    tools: tuple[Text, ...] = ()


class Terms(Record):
    """What the owner allows beside the licence.

    Attributes:
        uses: Uses allowed; empty if nothing is said.
        until: Last day on which the set may be used.
        note: Further conditions, in words.
    """

    uses: tuple[Use, ...] = ()
    until: FullDay | None = None
    note: Text | None = None


class FieldNote(Record):
    """What is known of a column.

    Attributes:
        name: The column as the file writes it.
        file: The file it stands in; ``None`` for every file.
        recipe: True if it tells the plant's recipe and must not leave unprotected.
    """

    name: Text
    description: Text | None = None
    unit: Text | None = None
    role: Role | None = None
    range: Range | None = None
    recipe: bool = False
    file: Text | None = None


class CardFile(Record):
    """A file of the set: its path below the card's folder, its digest if known."""

    path: Text
    sha256: Sha256 | None = None
    bytes: Annotated[int, Field(ge=0)] | None = None


class Card(Record):
    """A card. Every key but the name may be left out.

    Attributes:
        origin: Measured, simulated by a model, invented, or measured and then changed.
        generated_share: Share of rows that were computed and not measured.
        security_grade: Grade under the data-security law that applies.
        handling: How data of that grade is kept and passed on.
        collection: How the values came about: instruments, sampling, storage.
        collection_type: After Croissant RAI, such as ``Direct measurement``.
        preprocessing: Steps before this form; say ``none`` if there were none.
        personal: Personal or sensitive information in the set; ``none`` if there is none.
        evaluation: How a model made from the set is to be judged.
        cases: Where it was used already.
        time_zone: Zone of local times.
    """

    format: Literal["tundish.card"] = "tundish.card"
    version: Literal[1] = 1
    name: Text
    title: Bilingual | None = None
    description: Text | None = None
    data_version: Text | None = None
    published: Day | None = None
    modified: Day | None = None
    creator: Text | None = None
    contact: Text | None = None
    url: Text | None = None
    access: Text | None = None
    citation: Text | None = None
    licence: CardLicence | None = None
    terms: Terms | None = None
    origin: Origin | None = None
    generated_share: Annotated[float, Field(ge=0, le=1)] | None = None
    security_grade: SecurityGrade | None = None
    handling: Text | None = None
    sources: tuple[CardSource, ...] = ()
    collection: Text | None = None
    collection_type: tuple[Text, ...] = ()
    missing_data: Text | None = None
    raw_data: Text | None = None
    period: Period | None = None
    preprocessing: tuple[Text, ...] = ()
    imputation: Text | None = None
    manipulation: Text | None = None
    annotation: Annotation | None = None
    personal: tuple[Text, ...] = ()
    social_impact: Text | None = None
    biases: tuple[Text, ...] = ()
    limitations: tuple[Text, ...] = ()
    uses: tuple[Text, ...] = ()
    maintenance: Text | None = None
    evaluation: Text | None = None
    cases: tuple[Text, ...] = ()
    scenarios: tuple[Text, ...] = ()
    sector: Text | None = None
    task: Text | None = None
    time_zone: Text | None = None
    fields: Annotated[tuple[FieldNote, ...], Field(max_length=50_000)] = ()
    files: Annotated[tuple[CardFile, ...], Field(max_length=10_000)] = ()

    @model_validator(mode="after")
    def _zone_is_known(self) -> Card:
        if self.time_zone is not None and not is_zone(self.time_zone):
            msg = f"time_zone: {self.time_zone!r} is not an IANA zone such as Asia/Shanghai"
            raise ValueError(msg)
        return self

    def notes(self, file: str) -> tuple[FieldNote, ...]:
        """Return what is known of the columns of a file.

        Of a table that was put together from several files (a folder of batches), all
        that is known of any file counts, each column once.
        """
        named = {None, file}
        mine = tuple(
            note
            for note in self.fields
            if note.file in named or (note.file or "").rpartition("/")[2] in named
        )
        if mine or self.file(file) is not None:
            return mine
        return tuple({note.name: note for note in reversed(self.fields)}.values())

    def file(self, path: str) -> CardFile | None:
        """Return the entry of a file, by its path or by its name alone."""
        named = [f for f in self.files if path in {f.path, f.path.rpartition("/")[2]}]
        return named[0] if len(named) == 1 else None


def read_card(path: Path) -> Card:
    """Read a card in Tundish's own form.

    Raises:
        PathMissingError, DocumentMalformedError, DocumentInvalidError: as
            ``catalog.documents.read_document``; untrusted content.
    """
    return documents.read_document(path, Card)
