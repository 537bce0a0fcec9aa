"""The judge: runs a graph on the judge part and says, in plant terms, if it will do.

Only the graph is run, only judge windows are looked at (a range or a mean of the fit
part comes as a claim, for the baseline), and every limit of the scenario is held
against its figure. What cannot be computed keeps no limit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Task
from tundish.learn.errors import OutputInvalidError
from tundish.learn.judge_anomaly import judge_anomaly
from tundish.learn.judge_diagnose import judge_diagnose
from tundish.learn.judge_forecast import judge_forecast
from tundish.learn.judge_inspect import judge_inspect
from tundish.learn.judge_regress import judge_regress
from tundish.learn.judge_rul import judge_rul
from tundish.learn.judging import Case
from tundish.learn.material import Material, Windows, pieces
from tundish.learn.recipe import (
    Claim,
    Outputs,
    Scorer,
    optional_outputs,
    outputs_of,
)
from tundish.learn.verdict import Verdict

BATCH = 256
BATCH_VALUES = 2**24  # values in a batch: a picture has a million of them

_JUDGES: dict[Task, Callable[[Case, dict[str, NDArray[np.float64]]], Verdict]] = {
    "regress": judge_regress,
    "anomaly": judge_anomaly,
    "diagnose": judge_diagnose,
    "rul": judge_rul,
    "forecast": judge_forecast,
    "inspect": judge_inspect,
}


def judge(
    material: Material,
    scenario: Scenario,
    run: Scorer,
    claim: Claim,
    *,
    seed: int = 0,
    shift_s: float | None = None,
) -> Verdict:
    """Judge a graph on the judge part.

    Args:
        material: Windows of all parts; those of other parts are never read.
        scenario: The contract with its limits.
        run: The graph: windows float32 [n, T, C] -> its outputs.
        claim: What the graph's maker claims of it.
        seed: Seed of the bootstrap.
        shift_s: Length of a shift, where the site has a calendar.

    Raises:
        PartMissingError: if there is nothing to judge on.
        OutputInvalidError: if the graph's answers cannot be judged.
    """
    judged = material.needed("judge")
    outputs = answers(run, judged.x, scenario)
    case = Case(
        material=judged,
        pieces=pieces(material, "judge"),
        scenario=scenario,
        claim=claim,
        seed=seed,
        run=run,
        shift_s=shift_s,
    )
    return _JUDGES[scenario.task](case, outputs)


def answers(
    run: Scorer, x: Windows, scenario: Scenario
) -> dict[str, NDArray[np.float64]]:
    """Run a graph in batches and return its checked outputs.

    Raises:
        OutputInvalidError: if an output is missing, misshapen or not finite.
    """
    size = max(1, min(BATCH, BATCH_VALUES // max(1, x[0].size))) if len(x) else 1
    batches = [run(x[first : first + size]) for first in range(0, len(x), size)]
    besides = {
        name: width
        for name, width in optional_outputs(scenario).items()
        if batches and name in batches[0]
    }
    wanted = {**outputs_of(scenario), **besides}
    return {
        name: _checked(name, batches, (len(x), width), scenario)
        for name, width in wanted.items()
    }


def _checked(
    name: str, batches: list[Outputs], shape: tuple[int, int], scenario: Scenario
) -> NDArray[np.float64]:
    if any(name not in batch for batch in batches):
        msg = (
            f"The graph has no output {name!r}, which the task {scenario.task!r} needs."
        )
        raise OutputInvalidError(msg)
    value = np.concatenate([batch[name] for batch in batches]).astype(np.float64)
    if value.shape != shape:
        msg = f"The graph's output {name!r} has the shape {list(value.shape)}; {list(shape)} was expected."
        raise OutputInvalidError(msg)
    bad = int(np.count_nonzero(~np.isfinite(value).all(axis=1)))
    if bad:
        msg = f"The graph's output {name!r} is not finite for {bad} of {shape[0]} windows."
        raise OutputInvalidError(msg)
    return value
