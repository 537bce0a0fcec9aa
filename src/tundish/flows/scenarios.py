"""Search the scenarios of the catalogue, and say at which level each stands."""

from __future__ import annotations

import re
from typing import get_args

from tundish.catalog import controls, library, sectors
from tundish.catalog.errors import UnknownNameError
from tundish.catalog.evidence import LEVELS, Standing, standing
from tundish.catalog.scenario import Bilingual, Scenario
from tundish.catalog.tasks import Task
from tundish.flows.coverage import pins_of, standings
from tundish.kernel.records import Record


class Search(Record):
    """What is looked for; all that is given must fit.

    Attributes:
        words: Each stands somewhere in its texts.
        sector: Code of a division.
        link: Key of a link, or number of a reference scenario.
        task: Its task.
        signals: Each is the name, or a word of the description, of one of its signals.
        level: At least this one.
    """

    words: tuple[str, ...] = ()
    sector: str | None = None
    link: str | None = None
    task: str | None = None
    signals: tuple[str, ...] = ()
    level: str | None = None


class Found(Record):
    """One scenario in a list."""

    key: str
    name: Bilingual
    task: str
    level: str
    sector: str
    link: str


def search(wanted: Search) -> list[Found]:
    """Return the scenarios that fit, by key.

    Raises:
        UnknownNameError: if there is no such sector, link, task or level.
    """
    _check(wanted)
    links = sectors.links()
    least = LEVELS.index(wanted.level) if wanted.level in LEVELS else 0
    return [
        Found(
            key=scenario.key,
            name=scenario.name,
            task=scenario.task,
            level=one.level,
            sector=sectors.sector_name(scenario.sector)[0],
            link=links.links[links.scenarios[scenario.reference_scenario].link].name.en,
        )
        for scenario, one in standings()
        if LEVELS.index(one.level) >= least and _fits(scenario, wanted)
    ]


def checked(name: str) -> Scenario:
    """Return a scenario that also names nothing that Tundish does not know.

    A later release may know more controls: what was sealed with them is read all the same.

    Raises:
        UnknownNameError: if it names a control that there is none of.
        DocumentInvalidError, DocumentMalformedError: if it is no scenario.
    """
    scenario = library.scenario(name)
    for key in scenario.controls:
        controls.control(key)
    return scenario


def standing_of(scenario: Scenario) -> Standing:
    """Return the level of a scenario from what ships."""
    mine = [one for one in library.evidence() if one.scenario == scenario.key]
    return standing(scenario, mine, pins_of(mine))


def _check(wanted: Search) -> None:
    links = sectors.links()
    known: dict[str, tuple[str | None, list[str]]] = {
        "sector": (wanted.sector, list(sectors.sectors())),
        "link": (wanted.link, [*links.links, *map(str, links.scenarios)]),
        "task": (wanted.task, [str(task) for task in get_args(Task)]),
        "level": (wanted.level, [str(level) for level in LEVELS]),
    }
    for what, (given, names) in known.items():
        if given is not None and given not in names:
            msg = f"There is no {what} {given!r}; there are {', '.join(names)}."
            raise UnknownNameError(msg, advice="Name one of those.")


def _fits(scenario: Scenario, wanted: Search) -> bool:
    reference = sectors.links().scenarios[scenario.reference_scenario]
    places = {reference.link, str(scenario.reference_scenario)}
    texts = _texts(scenario)
    return (
        wanted.sector in {None, scenario.sector}
        and (wanted.link is None or wanted.link in places)
        and wanted.task in {None, scenario.task}
        and all(_stands(word, texts) for word in wanted.words)
        and all(_measures(scenario, signal) for signal in wanted.signals)
    )


def _texts(scenario: Scenario) -> str:
    told = [scenario.key, scenario.name.en, scenario.name.zh, scenario.problem]
    told += [scenario.decision.what, scenario.decision.who, scenario.baseline]
    told += [f"{signal.name} {signal.description}" for signal in scenario.signals]
    told += [
        mode if isinstance(mode, str) else f"{mode.name} {mode.what}"
        for mode in scenario.failure_modes
    ]
    if scenario.target is not None:
        told += [scenario.target.name, scenario.target.description]
    return "\n".join(told).casefold()


def _stands(word: str, text: str) -> bool:
    """Tell whether a word of the text begins so; Chinese has no gaps between words."""
    start = r"(?<![a-z0-9])" if word[:1].isascii() else ""
    return re.search(start + re.escape(word.casefold()), text) is not None


def _measures(scenario: Scenario, wanted: str) -> bool:
    """Tell whether one of the signals is that, by a word of its name or description."""
    return any(
        _stands(wanted, f"{signal.name} {signal.description}".casefold())
        for signal in scenario.signals
    )
