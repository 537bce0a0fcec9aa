"""Diagnose the data of a run, and write the list of what to collect next."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Annotated, Literal

import yaml
from pydantic import Field

from tundish.flows import runs
from tundish.flows.judge import material_of
from tundish.flows.refit import Refit
from tundish.flows.workspace import Workspace
from tundish.kernel import digest as digests
from tundish.kernel.digest import Digest
from tundish.kernel.records import Record
from tundish.learn import gaps
from tundish.learn.collecting import named
from tundish.learn.gaps_report import Collect, GapsReport
from tundish.learn.leave_out import MOST, LeaveOneOut, Machines, leave_one_out
from tundish.learn.patient import Patient
from tundish.model.session import Session

GAPS, TEXT, TABLE, LIST = "gaps.json", "collect.txt", "collect.csv", "collect.yaml"
LEFT_OUT = "leave-one-out.json"
REFITS = 5
COLUMNS = (
    "rank", "action", "by", "slice", "samples", "gain", "gain_low", "gain_high", "basis",
)  # fmt: skip

Told = Callable[[str, float], None]


class CollectList(Record):
    """The list as ``tundish loop`` reads it: what was asked for, and how much of it."""

    format: Literal["tundish.collect"] = "tundish.collect"
    version: Literal[1] = 1
    scenario: str
    graph: str
    items: Annotated[tuple[Collect, ...], Field(default=())]


def diagnose(
    workspace: Workspace,
    run: str = "",
    *,
    refits: int = REFITS,
    tell: Told = lambda _text, _share: None,
) -> GapsReport:
    """Diagnose; write ``gaps.json`` and the list (text, CSV, YAML) beside the run.

    Args:
        workspace: Holds the run.
        run: Its name, the beginning of it, or "" for the newest.
        refits: How often the recipe is fitted again for the learning curve, at most;
            0 or 1: no curve.
        tell: Told what is done, and the share of the work that is behind.

    Raises:
        RunMissingError, RunDamagedError: as their names say.
        MaterialUnfitError: if the judge part is too small to say anything.
    """
    found = runs.find(workspace, run)
    again = Refit(run=found)
    report = gaps.diagnose(
        Patient(
            material=material_of(found),
            scenario=found.scenario,
            run=Session(found.graph, found.golden).run,
            graph=found.record.graph,
            maker=again.graph,
            seed=found.record.seed,
            refits=refits,
        ),
        tell,
    )
    runs.write(found.folder, {GAPS: report, **_lists(report)})
    made = digests.of_json(report.to_json())
    workspace.record(
        "diagnosed",
        inputs=[found.digest, Digest(found.record.graph)],
        outputs=[made],
        names={made: f"{found.name} gaps"},
        detail={"weak": len(report.weak), "doubtful": len(report.doubts)},
    )
    return report


def leave_out(
    workspace: Workspace,
    run: str = "",
    *,
    most: int = MOST,
    tell: Told = lambda _text, _share: None,
) -> LeaveOneOut:
    """Fit without each source in turn; write the report beside the verdict.

    Args:
        workspace: Holds the run.
        run: Its name, the beginning of it, or "" for the newest.
        most: How many sources at most.
        tell: Told what is done, and the share of the work that is behind.

    Raises:
        RunMissingError, RunDamagedError: as their names say.
        MaterialUnfitError: with fewer than three sources.
    """
    found = runs.find(workspace, run)
    again = Refit(run=found)
    report = leave_one_out(
        Machines(
            material=material_of(found),
            scenario=found.scenario,
            make=again.fit,
            open=again.open,
            seed=found.record.seed,
        ),
        most,
        tell,
    )
    runs.write(found.folder, {LEFT_OUT: report})
    made = digests.of_json(report.to_json())
    workspace.record(
        "left-out",
        inputs=[found.digest],
        outputs=[made],
        names={made: f"{found.name} leave-one-out"},
        detail={"sources": len(report.sources)},
    )
    return report


def as_text(report: GapsReport) -> str:
    """Return the list for people, one line for each item, then what is no gap."""
    lines = [f"{item.rank}. {item.text}" for item in report.collect]
    if not lines:
        lines = ["No gap: more data of any kind is as good as any other."]
    lines += [
        f"No gap, but harder there: {named(one.where)} ({one.why})."
        for one in report.weak
        if one.cause == "hard"
    ]
    return "".join(f"{line}\n" for line in lines)


def _lists(report: GapsReport) -> dict[str, Record | bytes]:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for item in report.collect:
        gain = item.gain
        shares = (f"{share:.4f}" for share in (gain.value, gain.low, gain.high))
        place = (item.rank, item.action, item.where.by, item.where.name, item.samples)
        writer.writerow((*place, *shares, gain.basis))
    asked = CollectList(
        scenario=report.scenario, graph=report.graph, items=report.collect
    )
    return {
        TEXT: as_text(report).encode(),
        TABLE: table.getvalue().encode(),
        LIST: yaml.safe_dump(
            asked.to_json(), sort_keys=False, allow_unicode=True
        ).encode(),
    }
