"""Does another runtime compute the same? The graph on ONNX's reference evaluator.

onnxruntime fuses and reorders operators; the reference evaluator of ``onnx`` computes
each by itself with NumPy. Where both agree within the scenario's tolerance, the answer is
the graph's and not the runtime's.
"""

from __future__ import annotations

import numpy as np
from onnx.reference import ReferenceEvaluator

from tundish.catalog.scenario import Scenario
from tundish.learn import parity
from tundish.learn.material import Windows
from tundish.learn.parity import ParityReport
from tundish.learn.recipe import Outputs, Scorer, optional_outputs, outputs_of

MOST = 16
MOST_VALUES = 2**16  # a picture's graph takes seconds a picture there
NAME = "onnx reference evaluator"


def few(x: Windows, most: int = MOST, values: int = MOST_VALUES) -> Windows:
    """Return some windows, evenly spread over all of them; at least one."""
    count = max(1, min(most, len(x), values // max(1, x[0].size)))
    return x[np.linspace(0, len(x) - 1, count).round().astype(np.int64)]


def against_reference(
    graph: bytes, run: Scorer, x: Windows, scenario: Scenario
) -> ParityReport | None:
    """Compare the graph in onnxruntime to the graph in the reference evaluator.

    Args:
        graph: The graph.
        run: The graph in onnxruntime.
        x: Windows; a few of them are compared.
        scenario: Its tolerance counts.

    Returns:
        None if the evaluator has no such operator, or cannot run one that onnxruntime
        can (its GatherElements, for one, takes 64 rows at most).

    Raises:
        ParityBrokenError: if an output is missing or has another shape.
    """
    asked = few(x)
    names = [*outputs_of(scenario)]
    found = run(asked)
    names += [name for name in optional_outputs(scenario) if name in found]
    try:
        values = ReferenceEvaluator(graph).run(names, {"window": asked})
    except (NotImplementedError, RuntimeError, TypeError, ValueError, IndexError):
        return None  # the evaluator's own gaps; it is written for clarity
    other: Outputs = dict(zip(names, map(np.asarray, values), strict=True))
    return parity.compare(
        {name: found[name] for name in names},
        other,
        scenario,
        names=("graph in onnxruntime", f"graph in the {NAME}"),
    )
