"""Repeat a run from its record, and compare graphs to the byte."""

from __future__ import annotations

from tundish.flows import runs
from tundish.flows.judge import material_of
from tundish.flows.workspace import Workspace
from tundish.kernel.digest import short
from tundish.kernel.records import Record
from tundish.learn import train as training


class RepeatReport(Record):
    """Whether a training gave the same graph again."""

    run: str
    graph: str
    again: str
    same: bool
    said: str


def repeat(workspace: Workspace, run: str = "") -> RepeatReport:
    """Train again from the run's record; nothing of the first run is changed.

    The same library versions on the same kind of processor give the same bytes.

    Raises:
        RunMissingError, RunDamagedError: as their names say.
    """
    found = runs.find(workspace, run)
    again = training.repeat(
        material_of(found), found.scenario, found.record
    ).record.graph
    same = again == found.record.graph
    workspace.record(
        "run-repeated", inputs=[found.digest], detail={"same": same, "graph": again}
    )
    said = (
        "the same graph, bit for bit"
        if same
        else f"another graph, {short(again)} instead of {short(found.record.graph)}"
    )
    return RepeatReport(
        run=found.name, graph=found.record.graph, again=again, same=same, said=said
    )
