"""Will it work on the next machine? The recipe fitted without each machine in turn.

For each source (machine, asset, batch) the recipe learns from all the others and is
judged on that one as on a machine nobody has seen. The figures' spread over the sources
is what a next one may get.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tundish.catalog.scenario import Scenario
from tundish.kernel.errors import RefusedError, UsageError
from tundish.kernel.records import Record
from tundish.learn.errors import MaterialUnfitError
from tundish.learn.judge import judge
from tundish.learn.material import Material
from tundish.learn.recipe import Fitted, Scorer
from tundish.learn.verdict import Figure

MOST = 12
LEAST_SOURCES = 3
Tell = Callable[[str, float], None]
FitMaker = Callable[[Material], Fitted]


class LeftOut(Record):
    """One source that a model had never seen.

    Attributes:
        accepted: Whether every limit of the scenario holds there.
        refused: Why no model could be fitted or judged; empty if it could.
    """

    source: str
    windows: int
    accepted: bool
    figures: tuple[Figure, ...]
    refused: str = ""


class Spread(Record):
    """One figure over the sources: what a next machine may get."""

    metric: str
    unit: str
    mean: float
    deviation: float
    worst: float
    best: float


class LeaveOneOut(Record):
    """The report.

    Attributes:
        left: Sources that were not left out in turn, because there are many.
    """

    format: Literal["tundish.leave-one-out"] = "tundish.leave-one-out"
    version: Literal[1] = 1
    scenario: str
    sources: tuple[LeftOut, ...]
    spread: tuple[Spread, ...]
    left: int


@dataclass(frozen=True, kw_only=True)
class Machines:
    """What is fitted without each source in turn.

    Attributes:
        make: Fits the run's recipe on a material.
        open: Loads the graph that was fitted, as the line does.
    """

    material: Material
    scenario: Scenario
    make: FitMaker
    open: Callable[[Fitted], Scorer]
    seed: int = 0


def leave_one_out(
    machines: Machines,
    most: int = MOST,
    tell: Tell = lambda _text, _share: None,
) -> LeaveOneOut:
    """Fit without each source in turn and judge on it.

    Args:
        machines: What is fitted.
        most: How many sources at most, the largest first.
        tell: Told what is done, and the share that is behind.

    Raises:
        MaterialUnfitError: with fewer than three sources there is no other machine.
    """
    material = machines.material
    names, counts = np.unique(material.source, return_counts=True)
    if len(names) < LEAST_SOURCES:
        msg = (
            f"The data has {len(names)} sources; leaving one out needs {LEAST_SOURCES}."
        )
        raise MaterialUnfitError(msg)
    chosen = names[np.argsort(-counts, kind="stable")][:most]
    rows = []
    for number, name in enumerate(chosen):
        tell(f"without {name}", number / len(chosen))
        rows.append(_without(machines, str(name)))
    return LeaveOneOut(
        scenario=machines.scenario.key,
        sources=tuple(rows),
        spread=_spread(machines.scenario, rows),
        left=len(names) - len(chosen),
    )


def _without(machines: Machines, name: str) -> LeftOut:
    material = machines.material
    own = material.source == name
    kept = material.take(own | (material.part != "judge"))
    mine = kept.source == name
    asked = replace(kept, part=np.where(mine, "judge", kept.part))
    try:
        fitted = machines.make(asked.take(~mine))
        verdict = judge(
            asked,
            machines.scenario,
            machines.open(fitted),
            fitted.claim,
            seed=machines.seed,
        )
    except (UsageError, RefusedError) as error:
        return LeftOut(
            source=name,
            windows=int(own.sum()),
            accepted=False,
            figures=(),
            refused=error.message,
        )
    return LeftOut(
        source=name,
        windows=int(own.sum()),
        accepted=verdict.accepted,
        figures=verdict.figures,
    )


def _spread(scenario: Scenario, rows: list[LeftOut]) -> tuple[Spread, ...]:
    found = []
    lower_is_worse = {
        limit.metric
        for limit in scenario.acceptance.limits
        if limit.at_least is not None
    }
    metrics = [figure.metric for row in rows for figure in row.figures]
    for metric in dict.fromkeys(metrics):
        known = [
            figure
            for row in rows
            for figure in row.figures
            if figure.metric == metric and figure.value is not None
        ]
        values = np.array([figure.value for figure in known], dtype=np.float64)
        if len(values) < 2:
            continue
        low, high = float(values.min()), float(values.max())
        down = metric in lower_is_worse
        found.append(
            Spread(
                metric=metric,
                unit=known[0].unit,
                mean=float(values.mean()),
                deviation=float(values.std(ddof=1)),
                worst=low if down else high,
                best=high if down else low,
            )
        )
    return tuple(found)
