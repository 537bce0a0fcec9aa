"""Do other runtimes compute the same? The graph in two that share no code with the first.

onnxruntime fuses and reorders operators. The reference evaluator of ``onnx`` computes
each by itself with NumPy, in Python; tract (the extra ``[tract]``) is an inference engine
in Rust, made for small boxes. Where they agree within the scenario's tolerance, the
answer is the graph's and not the runtime's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import numpy as np
from onnx.reference import ReferenceEvaluator

from tundish.catalog.scenario import Scenario
from tundish.learn import parity
from tundish.learn.material import Windows
from tundish.learn.parity import ParityReport
from tundish.learn.recipe import Outputs, Scorer, optional_outputs, outputs_of
from tundish.model.graphcheck import check_graph

MOST = 16
MOST_VALUES = 2**16  # a picture's graph takes seconds a picture in the evaluator
RUNTIME = "graph in onnxruntime"
NAME, TRACT = "onnx reference evaluator", "runtime tract"

Answers = Callable[[list[str], Windows], Outputs | None]


def few(x: Windows, most: int = MOST, values: int = MOST_VALUES) -> Windows:
    """Return some windows, evenly spread over all of them; at least one."""
    count = max(1, min(most, len(x), values // max(1, x[0].size)))
    return x[np.linspace(0, len(x) - 1, count).round().astype(np.int64)]


def against_others(
    graph: bytes, run: Scorer, x: Windows, scenario: Scenario
) -> tuple[ParityReport, ...]:
    """Compare the graph in onnxruntime to the graph in each runtime that can run it.

    Args:
        graph: The graph.
        run: The graph in onnxruntime.
        x: Windows; a few of them are compared.
        scenario: Its tolerance counts.

    Returns:
        A report for each runtime that has all operators of the graph.

    Raises:
        ParityBrokenError: if an output is missing or has another shape.
    """
    others: dict[str, Answers] = {
        NAME: partial(_evaluated, graph),
        TRACT: partial(_in_tract, graph),
    }
    asked = few(x)
    found = run(asked)
    names = [*outputs_of(scenario)]
    names += [name for name in optional_outputs(scenario) if name in found]
    reports = []
    for name, answers in others.items():
        other = answers(names, asked)
        if other is not None:
            mine = {output: found[output] for output in names}
            said = (RUNTIME, f"graph in the {name}")
            reports.append(parity.compare(mine, other, scenario, names=said))
    return tuple(reports)


def _evaluated(graph: bytes, names: list[str], x: Windows) -> Outputs | None:
    """Ask the reference evaluator; None for its own gaps: it is written for clarity.

    Its GatherElements, for one, takes 64 rows at most.
    """
    try:
        values = ReferenceEvaluator(graph).run(names, {"window": x})
    except (NotImplementedError, RuntimeError, TypeError, ValueError, IndexError):
        return None
    return dict(zip(names, map(np.asarray, values), strict=True))


def _in_tract(graph: bytes, names: list[str], x: Windows) -> Outputs | None:
    """Ask tract; None if it is not installed, or lacks an operator (trees, for one)."""
    try:
        import tract  # noqa: PLC0415 -- an extra
    except ImportError:
        return None
    # it reads a path only: one without a name, which never lies on a disk
    held = os.memfd_create("graph")
    try:
        with os.fdopen(os.dup(held), "wb") as file:
            file.write(graph)
        model = tract.onnx().load(f"/proc/self/fd/{held}")
        model.set_input_fact(0, ",".join(map(str, x.shape)) + ",f32")
        values = model.into_model().into_runnable().run([x])
    except tract.TractError:
        return None
    finally:
        os.close(held)
    outputs = [item.name for item in check_graph(graph).outputs]  # it keeps the order
    return {name: values[outputs.index(name)].to_numpy() for name in names}
