"""Provider cards: who serves which trades, and the evidence beside each skill.

An open form: anybody may write one in any editor. What it says is a claim, until a piece
of evidence that lies beside it is verified under a key that the reader trusts.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from tundish.catalog.datasets import Sha256
from tundish.catalog.scenario import Key
from tundish.catalog.sectors import Names, SectorCode, is_sector
from tundish.catalog.tasks import Label
from tundish.kernel.records import Record

ENDING = ".provider.yaml"

Line = Annotated[
    str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f]*$")
]
LevelOfSkill: TypeAlias = Literal["known", "data", "model", "line"]
LEVELS_OF_SKILL: tuple[LevelOfSkill, ...] = ("known", "data", "model", "line")
EvidenceKind: TypeAlias = Literal["package", "certificate", "plant"]
SHOWS: dict[EvidenceKind, LevelOfSkill] = {
    "certificate": "data",
    "package": "model",
    "plant": "line",
}
"""Kind of evidence -> the highest level that it shows."""


class Piece(Record):
    """One piece of evidence: a file beside the card.

    Attributes:
        kind: ``package``: a signed package whose verdict is accepted. ``certificate``: a
            signed grade A or B. ``plant``: a plant's signed word of what a package does
            on its line; the package must be among the evidence too.
        file: Its name beside the card.
        sha256: Of the file.
    """

    kind: EvidenceKind
    file: Line
    sha256: Sha256


class Skill(Record):
    """What a provider can do for one sector and reference scenario.

    Attributes:
        sector: The division of GB/T 4754.
        reference_scenario: Its number, 1 to 40.
        scenario: Key of one scenario, if the skill is that narrow.
        level: ``known``: knows it. ``data``: has brought data to a good grade.
            ``model``: has delivered an accepted model. ``line``: has one at work.
        ai, trade: What they know of AI and of the trade.
        evidence: Keys of pieces of evidence; without any the skill is a claim.
    """

    sector: SectorCode
    reference_scenario: Annotated[int, Field(ge=1, le=40)]
    scenario: Key | None = None
    level: LevelOfSkill
    ai: Line
    trade: Line
    evidence: Annotated[tuple[Label, ...], Field(max_length=100)] = ()

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if not is_sector(self.sector):
            msg = f"sector {self.sector} is neither one of the 31 (C13 to C43) nor a utility (D44 to D46)"
            raise ValueError(msg)
        place = f"{self.sector}.{self.reference_scenario}."
        if self.scenario is not None and not self.scenario.startswith(place):
            msg = f"scenario {self.scenario} is not of {place}*"
            raise ValueError(msg)
        return self


class ProviderCard(Record):
    """A card.

    Attributes:
        country: Code of two letters (ISO 3166-1).
        contact: Where they are reached.
        what: Who they are, in a sentence.
        skills: At least one.
        evidence: Key -> piece.
    """

    format: Literal["tundish.provider"]
    version: Literal[1]
    name: Names
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
    contact: Line
    what: Line | None = None
    skills: Annotated[tuple[Skill, ...], Field(min_length=1, max_length=1000)]
    evidence: Annotated[dict[Label, Piece], Field(max_length=200)] = Field(
        default_factory=dict
    )

    @model_validator(mode="after")
    def _evidence_is_there(self) -> Self:
        for place, skill in enumerate(self.skills):
            lost = [key for key in skill.evidence if key not in self.evidence]
            if lost:
                msg = f"skills[{place}].evidence names {', '.join(lost)}, which evidence does not hold"
                raise ValueError(msg)
        used = {key for skill in self.skills for key in skill.evidence}
        spare = sorted({*self.evidence} - used)
        if spare:
            msg = f"evidence holds {', '.join(spare)}, which no skill names"
            raise ValueError(msg)
        return self


TEMPLATE = """\
# A provider's card. Replace the words in brackets; 'tundish provider check FILE' reads it.
# Each skill is a claim until a piece of evidence that lies beside this file is verified.
format: tundish.provider
version: 1
name: {en: "(name in English)", zh: "(中文名称)"}
country: CN  # two letters, ISO 3166-1
contact: "(where you are reached)"
skills:
  - sector: C34               # a division of GB/T 4754: tundish catalog coverage lists them
    reference_scenario: 27    # 1 to 40
    # scenario: C34.27.water-pump   # only if the skill is that narrow
    level: known              # known, data, model or line
    ai: "(what you know of AI for it)"
    trade: "(what you know of the trade)"
    # evidence: [pump]
# evidence:
#   pump:
#     kind: package           # package (signed, accepted), certificate (grade A or B), plant
#     file: pump-v1.tar       # beside this file
#     sha256: (sha256sum pump-v1.tar)
# Then sign the card with the key that signed the packages: tundish provider sign FILE
"""
