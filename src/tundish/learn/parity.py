"""Parity: does the graph compute what the trained estimator computes?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from tundish.catalog.scenario import Scenario
from tundish.kernel.records import Record
from tundish.learn.errors import ParityBrokenError
from tundish.learn.material import Windows
from tundish.learn.recipe import Outputs, Scorer, optional_outputs, outputs_of

BATCH_VALUES = 2**20


class OutputParity(Record):
    """The largest differences of one output.

    Attributes:
        output: Its name.
        max_abs: Largest difference in the output's unit; None if a value is not finite.
        max_rel: Largest difference over the scale or the value, whichever is larger;
            None if a value is not finite.
        scale: Width of the target's range for values in its unit, 1 else.
    """

    output: str
    max_abs: float | None
    max_rel: float | None
    scale: float


class ParityReport(Record):
    """Two ways to compute the same outputs, compared over all windows.

    Attributes:
        reference, candidate: What was compared, such as ``estimator`` and ``graph``.
        windows: Number of windows.
        tolerance: Largest relative difference that the scenario allows.
        passed: True if every output lies within it.
        besides: The same graph compared otherwise: in other runtimes, and with the graph
            in double precision that it was made from.
    """

    format: Literal["tundish.parity"] = "tundish.parity"
    version: Literal[1] = 1
    reference: str
    candidate: str
    windows: int
    outputs: tuple[OutputParity, ...]
    tolerance: float
    passed: bool
    besides: tuple[ParityReport, ...] = ()

    def each(self) -> Iterator[ParityReport]:
        """Yield this report and all besides."""
        yield self
        for report in self.besides:
            yield from report.each()

    def worst(self) -> OutputParity:
        """Return the output that differs most; one that is not finite differs most."""
        return max(
            self.outputs,
            key=lambda row: np.inf if row.max_rel is None else row.max_rel,
        )


def batched(run: Scorer, x: Windows) -> Outputs:
    """Run a graph over many windows, or a few pictures, a batch at a time."""
    size = max(1, BATCH_VALUES // max(1, x[0].size))
    parts = [run(x[first : first + size]) for first in range(0, len(x), size)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def compare(
    reference: Outputs,
    candidate: Outputs,
    scenario: Scenario,
    *,
    names: tuple[str, str] = ("estimator", "graph"),
) -> ParityReport:
    """Compare two sets of outputs over the same windows.

    Raises:
        ParityBrokenError: if an output is missing or has another shape.
    """
    rows = []
    required = tuple(outputs_of(scenario))
    besides = [
        name
        for name in optional_outputs(scenario)
        if name in reference or name in candidate
    ]
    for output in (*required, *besides):
        _refuse_misfit(output, reference, candidate, names)
        rows.append(_row(output, reference, candidate, scenario))
    tolerance = scenario.parity_tolerance
    passed = all(row.max_rel is not None and row.max_rel <= tolerance for row in rows)
    return ParityReport(
        reference=names[0],
        candidate=names[1],
        windows=len(reference[required[0]]),
        outputs=tuple(rows),
        tolerance=tolerance,
        passed=passed,
    )


def require(report: ParityReport) -> None:
    """Refuse a report that did not pass: nothing beyond the tolerance is sealed.

    Raises:
        ParityBrokenError: names the worst output and its difference.
    """
    for item in report.each():
        if item.passed:
            continue
        worst = item.worst()
        msg = (
            f"The {item.candidate} differs from the {item.reference} in {worst.output!r} "
            f"by {said(worst)}, and {item.tolerance:g} is allowed."
        )
        raise ParityBrokenError(msg)


def said(row: OutputParity) -> str:
    """Return a difference in words."""
    if row.max_rel is None:
        return "values that are not finite"
    return f"{row.max_rel:.3g} (relative)"


def _refuse_misfit(
    output: str, reference: Outputs, candidate: Outputs, names: tuple[str, str]
) -> None:
    shapes = [
        side[output].shape if output in side else None
        for side in (reference, candidate)
    ]
    if shapes[0] is None or shapes[0] != shapes[1]:
        msg = f"The output {output!r} has the shape {shapes[0]} in the {names[0]} and {shapes[1]} in the {names[1]}."
        raise ParityBrokenError(msg)


def _row(
    output: str, reference: Outputs, candidate: Outputs, scenario: Scenario
) -> OutputParity:
    scale = 1.0
    if scenario.target is not None and output in {"estimate", "lower", "upper"}:
        scale = scenario.target.range[1] - scenario.target.range[0]
    truth = reference[output].astype(np.float64)
    other = candidate[output].astype(np.float64)
    if not (np.isfinite(truth).all() and np.isfinite(other).all()):
        return OutputParity(output=output, max_abs=None, max_rel=None, scale=scale)
    off = np.abs(truth - other)
    relative = off / np.maximum(scale, np.abs(truth))
    return OutputParity(
        output=output,
        max_abs=float(off.max(initial=0.0)),
        max_rel=float(relative.max(initial=0.0)),
        scale=scale,
    )
