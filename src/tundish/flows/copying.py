"""Measure how far copies of a run's graph agree, and write the report beside the run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tundish.flows import runs
from tundish.flows.judge import material_of
from tundish.flows.workspace import Workspace
from tundish.kernel import digest as digests
from tundish.kernel.digest import Digest
from tundish.learn import copying as trials
from tundish.learn.copying import Asked
from tundish.learn.copying_report import CopyingReport
from tundish.model.session import Session

Told = Callable[[str, float], None]


def copying(
    workspace: Workspace, run: str = "", tell: Told = lambda _text, _share: None
) -> CopyingReport:
    """Train copies on the answers of a run's graph; write the report beside it.

    Args:
        workspace: Holds the run.
        run: Its name, the beginning of it, or "" for the newest.
        tell: Told what is done, and the share of the work that is behind.

    Raises:
        RunMissingError, RunDamagedError: as their names say.
        MaterialUnfitError: if the judge part is too small to hold copies against.
    """
    found = runs.find(workspace, run)
    asked = Asked(
        scorer=Session(found.graph, found.golden).run,
        digest=found.record.graph,
        material=material_of(found),
        scenario=found.scenario,
    )
    report = trials.measure(asked, np.random.default_rng(found.record.seed), tell)
    runs.write(found.folder, {runs.COPYING: report})
    made = digests.of_json(report.to_json())
    workspace.record(
        "copying-measured",
        inputs=[found.digest, Digest(found.record.graph)],
        outputs=[made],
        names={made: f"{found.name} copying"},
    )
    return report
