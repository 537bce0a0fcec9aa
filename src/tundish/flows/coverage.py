"""What the catalogue covers: sectors by reference scenarios, with the level of each cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tundish.catalog import library, sectors
from tundish.catalog.datasets import DatasetEntry
from tundish.catalog.documents import read_document
from tundish.catalog.evidence import LEVELS, Evidence, LevelName, Standing, standing
from tundish.catalog.scenario import Scenario
from tundish.flows.ledger import list_ledger
from tundish.flows.workspace import Workspace
from tundish.kernel import digest as digests
from tundish.kernel.records import Record

RAN = "scenario-run"


class Cell(Record):
    """One sector and reference scenario that somebody wrote a scenario for.

    Attributes:
        level: The highest of its scenarios.
        scenarios: Their keys.
        missing: What the highest one lacks for the next level.
    """

    sector: str
    reference: int
    level: LevelName
    scenarios: tuple[str, ...]
    missing: str


class CoverageReport(Record):
    """What is covered.

    Attributes:
        cells: Those with a scenario; all others have none.
        standings: Each scenario's.
        levels: Level -> number of scenarios at it (not above).
        sectors_shown: Divisions with a scenario that is shown or proven.
        sectors_described: Divisions with any.
        links_shown: Links with one that is shown or proven.
        on_real, on_simulated: Scenarios shown on a measured set; only on a benchmark
            that others simulated.
        on_word: Those of them that rest on nothing but what the maker of a pack says.
    """

    cells: tuple[Cell, ...]
    standings: tuple[Standing, ...]
    levels: dict[str, int]
    sectors_shown: tuple[str, ...]
    sectors_described: tuple[str, ...]
    links_shown: tuple[str, ...]
    on_real: tuple[str, ...]
    on_simulated: tuple[str, ...]
    on_word: tuple[str, ...] = ()


def standings(further: Iterable[Evidence] = ()) -> list[tuple[Scenario, Standing]]:
    """Return each scenario of the catalogue with its level.

    Args:
        further: Evidence beside what ships.
    """
    found = [*library.evidence(), *further]
    pins = pins_of(found)
    scenarios = [library.scenario(name) for name in library.names(Scenario)]
    return [(one, standing(one, found, pins)) for one in scenarios]


def pins_of(found: Iterable[Evidence]) -> dict[str, str]:
    """Return what pins each set of the catalogue that evidence names."""
    named = {one.data for one in found} & set(library.names(DatasetEntry))
    return {key: library.dataset(key).pin for key in named}


def own_evidence(workspace: Workspace) -> list[Evidence]:
    """Return what scenarios that were run here gave, as far as the ledger knows it."""
    known = {
        digest
        for _, entry in list_ledger(workspace)
        if entry.act == RAN and entry.outcome == "done"
        for digest in entry.outputs
    }
    found = [
        read_document(path, Evidence)
        for path in sorted(workspace.evidence.glob("*.json"))
    ]
    return [one for one in found if digests.of_json(one.to_json()) in known]


def coverage(further: Iterable[Evidence] = ()) -> CoverageReport:
    """Compute what is covered from evidence; what rests on a pack's word is said apart.

    Args:
        further: Evidence beside what ships; see ``own_evidence`` and ``flows.attest``.
    """
    further = list(further)
    found = standings(further)
    known = [*library.shipped_evidence(), *further]
    links = sectors.links()
    cells = _cells(found)
    shown = [s for s, st in found if st.level in {"shown", "proven"}]
    divisions = sectors.divisions()
    named = {scenario.sector for scenario, _ in found}
    at = dict.fromkeys(LEVELS, 0)
    for _, one in found:
        at[one.level] += 1
    real = [
        s.key for s, st in found if s in shown and _on(st, "real", "altered", "plant")
    ]
    return CoverageReport(
        cells=tuple(cells),
        standings=tuple(st for _, st in found),
        levels={str(level): count for level, count in at.items()},
        sectors_shown=tuple(d for d in divisions if d in {s.sector for s in shown}),
        sectors_described=tuple(d for d in divisions if d in named),
        links_shown=tuple(
            link
            for link in links.links
            if any(links.scenarios[s.reference_scenario].link == link for s in shown)
        ),
        on_real=tuple(real),
        on_simulated=tuple(s.key for s in shown if s.key not in real),
        on_word=tuple(
            st.scenario for s, st in found if s in shown and not _rests_on(st, known)
        ),
    )


def _cells(found: Sequence[tuple[Scenario, Standing]]) -> list[Cell]:
    groups: dict[tuple[str, int], list[Standing]] = {}
    for scenario, one in found:
        place = (scenario.sector, scenario.reference_scenario)
        groups.setdefault(place, []).append(one)
    cells = []
    for (sector, reference), mine in sorted(groups.items()):
        best = max(mine, key=lambda one: LEVELS.index(one.level))
        cells.append(
            Cell(
                sector=sector,
                reference=reference,
                level=best.level,
                scenarios=tuple(one.scenario for one in mine),
                missing=best.missing,
            )
        )
    return cells


def _rests_on(one: Standing, known: Sequence[Evidence]) -> bool:
    return any(e.level in {"shown", "proven"} and e in known for e in one.evidence)


def _on(one: Standing, *origins: str) -> bool:
    return any(e.origin in origins for e in one.evidence)
