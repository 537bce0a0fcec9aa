"""Judge a run's graph in plant terms against its scenario."""

from __future__ import annotations

from pathlib import Path

from tundish.data.shifts import shift_length_s
from tundish.flows import runs
from tundish.flows.errors import RunDamagedError
from tundish.flows.fetch import locate
from tundish.flows.material import material_from
from tundish.flows.workspace import Workspace
from tundish.kernel import digest as digests
from tundish.kernel.errors import PathMissingError
from tundish.learn.judge import judge as judge_graph
from tundish.learn.material import Material
from tundish.learn.verdict import Verdict
from tundish.model.session import Session


def judge(workspace: Workspace, run: str = "") -> Verdict:
    """Run the graph, and nothing else, on the judge part; write the verdict.

    Args:
        workspace: Holds the run.
        run: Its name, the beginning of it, or "" for the newest.

    Raises:
        RunMissingError, RunDamagedError: as their names say; also if the data is no
            longer what the run was trained on.
    """
    found = runs.find(workspace, run)
    material = material_of(found)
    session = Session(found.graph, found.golden)
    verdict = judge_graph(
        material,
        found.scenario,
        session.run,
        found.claim,
        seed=found.record.seed,
        shift_s=shift_length_s(found.site),
    )
    runs.write(found.folder, {runs.VERDICT: verdict})
    made = digests.of_json(verdict.to_json())
    workspace.record(
        "judged",
        inputs=[found.digest],
        outputs=[made],
        names={made: f"{found.name} verdict"},
        detail={
            "accepted": verdict.accepted,
            "graph": found.record.graph,
            "samples": verdict.judged,
        },
    )
    return verdict


def material_of(found: runs.Run) -> Material:
    """Return the windows of a run, made again from its data.

    Raises:
        RunDamagedError: if the data is no longer what the run was trained on.
    """
    material = material_from(found.site, found.scenario, _root(found))
    learnable = material.take(material.part != "judge")
    if learnable.digest() != found.record.material:
        msg = f"The data of the run {found.name} has changed since it was trained."
        raise RunDamagedError(msg)
    return material


def _root(found: runs.Run) -> Path:
    """Return the folder of the run's data; a catalogue set is found by its key."""
    try:
        located = locate(found.place.data)
    except PathMissingError:
        located = locate(found.place.root)
    if located.digest != found.record.data:
        located = locate(found.place.root)
    return located.root
