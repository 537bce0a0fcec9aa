"""Run a scenario on a public set or on a generated stream, and keep what came of it.

What is kept is evidence: the level of a scenario is computed from it.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tundish.catalog import library
from tundish.catalog.datasets import DatasetEntry
from tundish.catalog.errors import UnknownNameError
from tundish.catalog.evidence import LEVELS, Evidence, EvidenceLimit, contract_of
from tundish.catalog.scenario import Scenario
from tundish.flows import runs
from tundish.flows.coverage import RAN
from tundish.flows.fetch import Progress
from tundish.flows.run_all import RunAllOrder, RunAllReport, run_all
from tundish.flows.simulate import simulate
from tundish.flows.train import Order
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical, digest, paths
from tundish.kernel.records import Record
from tundish.learn.verdict import LimitResult, Verdict

GENERATED = "generated"


@dataclass(frozen=True, kw_only=True)
class On:
    """What a scenario is run on.

    Attributes:
        data: Key of a set of the catalogue, or ``generated``.
        site: Name of a site profile, or a file; of a generated set it is its own.
        mirror: Folder that holds the set, if no network is used.
        seed: Of the stream and of the training.
        candidate: One of the scenario's candidates; None: its recipe.
    """

    data: str = GENERATED
    site: str | None = None
    mirror: Path | None = None
    seed: int = 0
    candidate: str | None = None


class ScenarioRunReport(Record):
    """One run: the evidence, the verdict, and the letter of the data's grade."""

    evidence: Evidence
    verdict: Verdict
    letter: str
    run: str


def sites_of(scenario: Scenario) -> list[tuple[DatasetEntry, str]]:
    """Return each set of the catalogue that can show a scenario, and its site profile."""
    found = []
    for key in library.names(DatasetEntry):
        entry = library.dataset(key)
        if scenario.key in entry.scenarios:
            found += [
                (entry, name)
                for name in entry.sites
                if library.site(name).scenario == scenario.key
            ]
    return found


def run_scenario(
    workspace: Workspace, name: str, on: On, *, progress: Progress | None = None
) -> ScenarioRunReport:
    """Grade, train and judge a scenario; nothing is sealed.

    Args:
        workspace: Keeps the run, and the act in its ledger.
        name: A scenario of the catalogue, or a YAML file.
        on: On what.
        progress: Is told what is being done.

    Raises:
        UnknownNameError: if no set of the catalogue can show it, the set is not one
            of them, or a site profile is named for a generated stream.
        NotSimulatedError: if it does not say how its signals move.
    """
    scenario = library.scenario(name)
    if on.data == GENERATED:
        if on.site is not None:
            msg = f"The site profile {on.site!r} was named for a generated stream, which comes with its own."
            advice = "Name the set that it binds by --on, or leave --site out."
            raise UnknownNameError(msg, advice=advice)
        with tempfile.TemporaryDirectory(prefix="tundish-generated-") as work:
            out = Path(work) / GENERATED
            made = simulate(name, out, seed=on.seed, workspace=workspace)
            order = _order(str(out), name, made.site, on)
            report = run_all(workspace, order, progress=progress)
            pinned = _Pinned(made.digest, GENERATED, "its own")
            return _kept(workspace, scenario, on, report, pinned)
    entry, site = _chosen(scenario, on)
    order = _order(entry.key, name, site, on)
    report = run_all(workspace, order, mirror=on.mirror, progress=progress)
    pinned = _Pinned(entry.pin, entry.origin, site)
    return _kept(workspace, scenario, on, report, pinned)


@dataclass(frozen=True)
class _Pinned:
    pin: str
    origin: str
    site: str


def _order(data: str, scenario: str, site: str, on: On) -> RunAllOrder:
    asked = Order(
        data=data, scenario=scenario, site=site, candidate=on.candidate, seed=on.seed
    )
    shown = on.data != GENERATED
    return RunAllOrder(train=asked, despite_gates=shown)


def _chosen(scenario: Scenario, on: On) -> tuple[DatasetEntry, str]:
    if on.site is not None and on.data in library.names(DatasetEntry):
        return library.dataset(on.data), on.site
    able = [(e, s) for e, s in sites_of(scenario) if e.key == on.data]
    if not able:
        have = ", ".join(f"{e.key}" for e, _ in sites_of(scenario)) or "none"
        msg = f"The set {on.data!r} cannot show {scenario.key}; these can: {have}."
        raise UnknownNameError(msg)
    return able[0]


def _kept(
    workspace: Workspace,
    scenario: Scenario,
    on: On,
    report: RunAllReport,
    pinned: _Pinned,
) -> ScenarioRunReport:
    found = runs.find(workspace, report.train.run)
    verdict = report.verdict
    level = LEVELS[1] if on.data == GENERATED else LEVELS[2]
    evidence = Evidence(
        scenario=scenario.key,
        contract=contract_of(scenario, level),
        level=level,
        data=on.data,
        pin=pinned.pin,
        origin=pinned.origin,
        site=pinned.site,
        site_digest=digest.of_json(found.site.beyond_defaults()),
        candidate=report.train.candidate,
        graph=report.train.digest,
        seed=on.seed,
        accepted=verdict.accepted,
        judged=verdict.judged,
        limits=tuple(_limit(limit) for limit in verdict.limits),
        made_by=metadata.version("tundish"),
    )
    made = digest.of_json(evidence.to_json())
    keep(evidence, workspace.evidence)
    workspace.record(
        RAN,
        inputs=[found.digest],
        outputs=[made],
        names={made: f"{scenario.key} on {on.data}"},
        detail={"accepted": verdict.accepted, "level": level},
    )
    return ScenarioRunReport(
        evidence=evidence,
        verdict=verdict,
        letter=report.grade.letter,
        run=report.train.run,
    )


def _limit(limit: LimitResult) -> EvidenceLimit:
    text = (
        f">= {limit.at_least:g}"
        if limit.at_least is not None
        else f"<= {limit.at_most:g}"
    )
    return EvidenceLimit(
        metric=limit.metric, limit=text, value=limit.value, holds=limit.holds
    )


def evidence_name(evidence: Evidence) -> str:
    """Return the name of the file that evidence is kept in."""
    site = "" if evidence.level == "simulated" else f".{Path(evidence.site).stem}"
    return f"{evidence.scenario}.{evidence.data}{site}.json"


def keep(evidence: Evidence, folder: Path) -> Path:
    """Write evidence into a folder, in canonical JSON."""
    path = folder / evidence_name(evidence)
    paths.write_whole(path, canonical.dumps(evidence.to_json()) + b"\n")
    return path
