"""Rank providers for a scenario by evidence; a claim never stands before evidence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

from tundish.catalog import library, sectors
from tundish.catalog.provider import ENDING, LEVELS_OF_SKILL, SHOWS, LevelOfSkill
from tundish.catalog.scenario import Scenario
from tundish.flows.errors import ScenarioPlaceError
from tundish.flows.provider import ProviderReport, read_card
from tundish.flows.provider_evidence import Limits, Reader
from tundish.kernel import paths
from tundish.kernel.digest import short
from tundish.kernel.errors import RefusedError, UsageError
from tundish.kernel.records import Record

Nearness: TypeAlias = Literal["this scenario", "this cell", "same sector", "same problem"]  # fmt: skip
_NEAR: tuple[Nearness, ...] = (
    "same problem",
    "same sector",
    "this cell",
    "this scenario",
)


class Wanted(Record):
    """What is looked for: a cell of sector and reference scenario, perhaps one key."""

    sector: str
    reference_scenario: int
    scenario: str | None = None


class Reason(Record):
    """Why a card stands where it does.

    Attributes:
        near: How near the skill is to what is wanted.
        level: What evidence shows; of a claim, what is claimed.
        rests: Whether it rests on evidence.
        limits: Of evidence: whose limits the model kept.
        what: In a sentence.
    """

    near: Nearness
    level: LevelOfSkill
    rests: bool
    limits: Limits | None = None
    what: str


class Match(Record):
    """A card that has to do with what is wanted, with its best reasons first."""

    place: int
    file: str
    name: dict[str, str]
    country: str
    contact: str
    signer: str | None
    reasons: tuple[Reason, ...]


class MatchReport(Record):
    """The order of the cards.

    Attributes:
        cards: How many were read.
        refused: File -> why it was not taken.
    """

    wanted: Wanted
    matches: tuple[Match, ...]
    cards: int
    refused: dict[str, str]


def wanted_of(name: str) -> Wanted:
    """Return what is wanted of ``C34.27``, or of a scenario's key or file.

    Raises:
        ScenarioPlaceError: if ``C34.27`` is no place of the catalogue.
        UnknownNameError: if there is no such scenario.
    """
    sector, _, number = name.partition(".")
    if re.fullmatch(r"[0-9]+", number):
        numbers = map(str, sectors.links().scenarios)
        if not (sectors.is_sector(sector) and number in numbers):
            msg = (
                f"{name[:40]} is no sector and reference scenario; C34.27 would be one."
            )
            raise ScenarioPlaceError(msg)
        return Wanted(sector=sector, reference_scenario=int(number))
    found: Scenario = library.scenario(name)
    return Wanted(
        sector=found.sector,
        reference_scenario=found.reference_scenario,
        scenario=found.key,
    )


def read_cards(
    folder: Path, reader: Reader
) -> tuple[list[ProviderReport], dict[str, str]]:
    """Return the cards of a folder and of those in it; and which were refused, and why.

    Raises:
        PathMissingError: if there is no such folder.
    """
    found: list[ProviderReport] = []
    refused: dict[str, str] = {}
    root = paths.existing_folder(folder)
    for path in sorted([*root.glob(f"*{ENDING}"), *root.glob(f"*/*{ENDING}")]):
        try:
            found.append(read_card(path, reader))
        except (RefusedError, UsageError) as error:
            refused[str(path.relative_to(root))] = error.message
    return found, refused


def match(name: str, folder: Path, reader: Reader) -> MatchReport:
    """Rank the cards of a folder for a scenario.

    Evidence for this scenario and this cell comes first, then that for the same sector,
    then that for the same problem in another sector; claims come after all evidence.
    Within these a higher level counts, then limits of the catalogue before the provider's
    own. How many pieces there are does not: it costs nothing to sign ten packages.

    Args:
        name: A scenario, or sector and reference scenario such as ``C34.27``.
        folder: Of the cards. Untrusted.
        reader: Whose trust counts.

    Raises:
        ScenarioPlaceError, UnknownNameError, PathMissingError: as their names say.
    """
    wanted = wanted_of(name)
    cards, refused = read_cards(folder, reader)
    ranked = sorted(
        ((card, reasons) for card in cards if (reasons := _reasons(card, wanted))),
        key=lambda one: (_order(one[1][0]), one[0].file),
    )
    return MatchReport(
        wanted=wanted,
        matches=tuple(
            Match(
                place=place,
                file=card.file,
                name=card.name,
                country=card.country,
                contact=card.contact,
                signer=None if card.signer is None else short(card.signer),
                reasons=tuple(reasons),
            )
            for place, (card, reasons) in enumerate(ranked, 1)
        ),
        cards=len(cards),
        refused=refused,
    )


def with_evidence(cards: Iterable[ProviderReport]) -> list[str]:
    """Return one line for each provider with a skill that rests; a key counts once."""
    found: dict[str, str] = {}
    for card in cards:
        if card.signer is not None and card.rests:
            text = f"{card.name['en']} ({len(card.rests)} skills, key {short(card.signer)})"  # fmt: skip
            found.setdefault(card.signer, text)
    return list(found.values())


def _reasons(card: ProviderReport, wanted: Wanted) -> list[Reason]:
    return sorted([*_shown(card, wanted), *_claims(card, wanted)], key=_order)


def _shown(card: ProviderReport, wanted: Wanted) -> Iterator[Reason]:
    """Give a reason for each piece that counts, by what the piece itself says."""
    counting = {key for skill in card.skills for key in skill.evidence}
    pieces = {
        one.shown.digest: (one.kind, one.shown)
        for one in card.pieces
        if one.shown is not None and one.key in counting
    }
    for kind, shown in pieces.values():
        near = _near(shown.scenario, wanted)
        if near is not None:
            yield Reason(
                near=near,
                level=SHOWS[kind],
                rests=True,
                limits=shown.limits,
                what=shown.what,
            )


def _claims(card: ProviderReport, wanted: Wanted) -> Iterator[Reason]:
    for skill in card.skills:
        place = f"{skill.sector}.{skill.reference_scenario}."
        near = _near(skill.scenario or place, wanted)
        if skill.shown is None and near is not None:
            yield Reason(near=near, level=skill.claimed, rests=False, what=skill.why)


def _near(key: str, wanted: Wanted) -> Nearness | None:
    sector, number, _ = key.split(".", maxsplit=2)
    same_sector = sector == wanted.sector
    same_problem = int(number) == wanted.reference_scenario
    if same_sector and same_problem:
        return "this scenario" if key == wanted.scenario else "this cell"
    if same_sector:
        return "same sector"
    return "same problem" if same_problem else None


def _order(reason: Reason) -> tuple[int, int, int, int]:
    return (
        -int(reason.rests),
        -_NEAR.index(reason.near),
        -LEVELS_OF_SKILL.index(reason.level),
        -int(reason.limits == "catalogue"),
    )
