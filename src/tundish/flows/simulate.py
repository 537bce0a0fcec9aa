"""Generate a stream from a scenario, before the first sensor is wired."""

from __future__ import annotations

from pathlib import Path

from tundish.catalog import library
from tundish.catalog.simulation import FailureMode
from tundish.data.simulated import tables
from tundish.data.simulated.writing import SITE, write
from tundish.data.version import version_of
from tundish.flows.outputs import new_folder
from tundish.flows.workspace import Workspace
from tundish.kernel.digest import Digest
from tundish.kernel.records import Record


class SimulateReport(Record):
    """What was generated.

    Attributes:
        rows: File -> its rows (``pictures`` -> their number).
        failures: Name of each failure mode in it -> what it does, in short.
        digest: Of the set.
    """

    scenario: str
    folder: str
    site: str
    seed: int
    rows: dict[str, int]
    failures: dict[str, str]
    digest: str


def simulate(
    name: str, out: Path, *, seed: int = 0, workspace: Workspace | None = None
) -> SimulateReport:
    """Generate a set from a scenario into a new folder, marked as generated.

    The same seed gives the same values. With a workspace, the act is in its ledger.

    Args:
        name: A scenario of the catalogue, or a YAML file.
        out: A folder that does not exist yet, or is empty.
        seed: Seed of all chance.
        workspace: Where it is recorded.

    Raises:
        UnknownNameError, DocumentInvalidError: for the scenario.
        NotSimulatedError: if it does not say how its signals move.
        OutExistsError: if something is at ``out``.
    """
    scenario = library.scenario(name)
    with new_folder(out) as made:
        rows = write(scenario, made, seed)
    digest = Digest(version_of(out).digest)
    if workspace is not None:
        workspace.record(
            "data-generated",
            outputs=[digest],
            names={digest: f"generated from {scenario.key}"},
            detail={"scenario": scenario.key, "seed": seed},
        )
    return SimulateReport(
        scenario=scenario.key,
        folder=str(out),
        site=str(out / SITE),
        seed=seed,
        rows=rows,
        failures={mode.name: _told(mode) for mode in tables.modes_of(scenario)},
        digest=digest,
    )


def _told(mode: FailureMode) -> str:
    parts = [f"{change.signal}: {change.change}" for change in mode.signature]
    return ", ".join([*parts, *(look.blemish for look in mode.looks)])
