"""Evidence that a scenario runs, and the level that follows from it: computed, never claimed.

``described``: the card is valid. ``simulated``: it meets its limits on the stream that is
generated from it, which proves the plumbing. ``shown``: it is accepted on a set of the
catalogue that others made. ``proven``: a plant says so, signed, of its own line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

from tundish.catalog.scenario import Key, Scenario
from tundish.catalog.tasks import Text
from tundish.kernel.digest import Digest
from tundish.kernel.records import Record

LevelName: TypeAlias = Literal["described", "simulated", "shown", "proven"]
LEVELS: tuple[LevelName, ...] = ("described", "simulated", "shown", "proven")


class EvidenceLimit(Record):
    """One limit of the scenario and what was measured."""

    metric: Text
    limit: Text
    value: float | None
    holds: bool


class Evidence(Record):
    """One run of a scenario, judged.

    Attributes:
        contract: Digest of what was run: of the whole scenario for ``simulated``, of
            all but its generator for ``shown``.
        data: Key of a set of the catalogue, ``generated``, or the name of a plant.
        pin: What pins the set's bytes in its entry; of a generated one, its digest; of a
            plant, the digest of what it signed.
        origin: Of the set: ``real``, ``simulated`` by others, ..., ``generated``, ``plant``.
        site: Name and digest of the site profile.
        candidate, graph: What was trained, and the digest of the graph.
        judged: Number of judged samples.
        made_by: Version of Tundish.
    """

    format: Literal["tundish.evidence"] = "tundish.evidence"
    version: Literal[1] = 1
    scenario: Key
    contract: Text
    level: LevelName
    data: Text
    pin: Text
    origin: Text
    site: Text
    site_digest: Text
    candidate: Text
    graph: Text
    seed: int
    accepted: bool
    judged: int
    limits: tuple[EvidenceLimit, ...]
    made_by: Text


class Standing(Record):
    """The level of a scenario, what it rests on, and what lacks for the next.

    Attributes:
        evidence: What the level rests on; none for ``described``.
        refused: Runs that missed a limit: honest, and no evidence.
        stale: Runs of an older form of the scenario or of another version of the set.
        missing: What is needed for the next level.
    """

    scenario: Key
    level: LevelName
    evidence: tuple[Evidence, ...]
    refused: tuple[Evidence, ...]
    stale: tuple[Evidence, ...]
    missing: Text


def contract_of(scenario: Scenario, level: LevelName) -> Digest:
    """Return the digest that evidence of a level is bound to."""
    return scenario.digest if level == "simulated" else scenario.judged_digest


def standing(
    scenario: Scenario, found: Iterable[Evidence], pins: dict[str, str]
) -> Standing:
    """Return the level that follows from evidence.

    Args:
        scenario: As it stands now.
        found: Evidence of it.
        pins: Key of each set of the catalogue -> what pins its bytes now.
    """
    mine = [one for one in found if one.scenario == scenario.key]
    fresh = [one for one in mine if _fresh(one, scenario, pins)]
    good = [one for one in fresh if one.accepted]
    level: LevelName = "described"
    for name in LEVELS[1:]:
        if any(one.level == name for one in good):
            level = name
    return Standing(
        scenario=scenario.key,
        level=level,
        evidence=tuple(good),
        refused=tuple(one for one in fresh if not one.accepted),
        stale=tuple(one for one in mine if one not in fresh),
        missing=_missing(scenario, level, fresh),
    )


def _fresh(one: Evidence, scenario: Scenario, pins: dict[str, str]) -> bool:
    if one.contract != contract_of(scenario, one.level):
        return False
    return one.level != "shown" or pins.get(one.data) == one.pin


def _missing(scenario: Scenario, level: LevelName, fresh: Sequence[Evidence]) -> str:
    if level == "proven":
        return "nothing"
    if level == "shown":
        return "a plant's own signed evidence: tundish scenario attest"
    refused = [one for one in fresh if not one.accepted and one.level == "shown"]
    if refused:
        missed = ", ".join(x.metric for x in refused[0].limits if not x.holds)
        return f"the limits that were missed on {refused[0].data}: {missed}"
    if level == "simulated":
        return "an accepted run on a set of the catalogue that others made"
    if scenario.simulation is None:
        return "a part 'simulation' that says how the signals move"
    return "an accepted run on its own generated stream: tundish scenario run"
