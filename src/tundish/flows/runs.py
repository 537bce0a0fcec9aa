"""The run folder: what ``train`` writes and ``judge`` and ``seal`` read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from tundish.catalog.documents import parse_document
from tundish.catalog.scenario import Scenario
from tundish.catalog.site import SiteProfile
from tundish.flows.errors import RunDamagedError, RunMissingError
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical, paths
from tundish.kernel import digest as digests
from tundish.kernel.digest import Digest
from tundish.kernel.records import Record
from tundish.learn.copying_report import CopyingReport
from tundish.learn.parity import ParityReport
from tundish.learn.recipe import Claim, Envelope
from tundish.learn.record import RunRecord
from tundish.learn.verdict import Verdict
from tundish.model.golden import Golden

GRAPH, GOLDEN, RECORD, PARITY = "graph.onnx", "golden.json", "run.json", "parity.json"
ENVELOPE, VERDICT, PLACE = "envelope.json", "verdict.json", "place.json"
COPYING = "copying.json"
SCENARIO, SITE = "scenario.yaml", "site.yaml"


class Place(Record):
    """Where the data of a run lies on this machine, and on which terms.

    Not part of the run record: another machine has it elsewhere.
    """

    data: str
    root: str
    name: str
    licence: str
    citation: str
    trained_at: str


class RunLine(Record):
    """One line of the list of runs."""

    run: str
    scenario: str
    candidate: str
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run, read back and checked against its own record."""

    name: str
    folder: Path
    record: RunRecord
    scenario: Scenario
    scenario_yaml: str
    site: SiteProfile
    place: Place
    graph: bytes
    golden: Golden
    envelope: Envelope
    parity: ParityReport
    verdict: Verdict | None
    copying: CopyingReport | None = None

    @property
    def digest(self) -> Digest:
        """The run's name in the ledger: the digest of its record."""
        return digests.of_json(self.record.to_json())

    @property
    def claim(self) -> Claim:
        """What the judge needs to know besides the graph's answers."""
        return Claim(
            graph=Digest(self.record.graph),
            promise=self.record.promise,
            envelope=self.envelope,
        )


def write(folder: Path, files: dict[str, Record | bytes]) -> None:
    """Write the files of a run."""
    for name, content in files.items():
        data = (
            content
            if isinstance(content, bytes)
            else canonical.dumps(content.to_json())
        )
        paths.write_whole(folder / name, data)


def list_runs(workspace: Workspace) -> list[RunLine]:
    """Return the runs of a workspace, oldest first."""
    return [_line(find(workspace, name)) for name in names(workspace)]


def find(workspace: Workspace, name: str) -> Run:
    """Return a run by its name, the beginning of its name, or the newest for "".

    Raises:
        RunMissingError: if no run, or more than one, is meant.
        RunDamagedError: if its files are not what its record says.
    """
    known = names(workspace)
    found = [run for run in known if run.startswith(name)] if name else known[-1:]
    if not known:
        msg = f"The workspace {workspace.name} has no run yet."
        advice = "Train one: 'tundish train --help' says how."
        raise RunMissingError(msg, advice=advice)
    if len(found) != 1:
        have = ", ".join(known[-5:]) or "none"
        msg = f"The workspace has no single run {name!r}; the newest are: {have}."
        raise RunMissingError(msg)
    return _read(workspace.runs / found[0])


def copying_of(workspace: Workspace, graph: str) -> CopyingReport | None:
    """Return the report on copies of a graph that was trained and measured here."""
    for item in workspace.runs.glob(f"*/{COPYING}"):
        found = _read(item.parent)
        if found.record.graph == graph:
            return found.copying
    return None


def names(workspace: Workspace) -> list[str]:
    """Return the names of the runs of a workspace, oldest first."""
    return sorted(item.parent.name for item in workspace.runs.glob(f"*/{RECORD}"))


def _line(run: Run) -> RunLine:
    word = "not judged"
    if run.verdict is not None:
        word = "accepted" if run.verdict.accepted else "refused"
    return RunLine(
        run=run.name,
        scenario=run.record.scenario,
        candidate=run.record.candidate,
        verdict=word,
    )


def _read(folder: Path) -> Run:
    try:
        verdict, copying = folder / VERDICT, folder / COPYING
        scenario_yaml = (folder / SCENARIO).read_bytes()
        run = Run(
            name=folder.name,
            folder=folder,
            record=RunRecord.model_validate_json((folder / RECORD).read_bytes()),
            scenario=parse_document(scenario_yaml, Scenario, str(folder / SCENARIO)),
            scenario_yaml=scenario_yaml.decode(),
            site=parse_document(
                (folder / SITE).read_bytes(), SiteProfile, str(folder / SITE)
            ),
            place=Place.model_validate_json((folder / PLACE).read_bytes()),
            graph=(folder / GRAPH).read_bytes(),
            golden=Golden.model_validate_json((folder / GOLDEN).read_bytes()),
            envelope=Envelope.model_validate_json((folder / ENVELOPE).read_bytes()),
            parity=ParityReport.model_validate_json((folder / PARITY).read_bytes()),
            verdict=Verdict.model_validate_json(verdict.read_bytes())
            if verdict.exists()
            else None,
            copying=CopyingReport.model_validate_json(copying.read_bytes())
            if copying.exists()
            else None,
        )
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        msg = f"The run {folder.name} cannot be read: {type(error).__name__}."
        raise RunDamagedError(msg) from error
    _check(run)
    return run


def _check(run: Run) -> None:
    if digests.of_bytes(run.graph) != run.record.graph:
        msg = f"The graph of the run {run.name} is not the one that was trained."
        raise RunDamagedError(msg)
    if run.scenario.digest != run.record.scenario_digest:
        msg = f"The scenario of the run {run.name} was changed after training."
        raise RunDamagedError(msg)
    if run.verdict is not None and run.verdict.graph != run.record.graph:
        msg = f"The verdict of the run {run.name} speaks of another graph."
        raise RunDamagedError(msg)
    if run.copying is not None and run.copying.graph != run.record.graph:
        msg = f"The report on copies of the run {run.name} speaks of another graph."
        raise RunDamagedError(msg)
