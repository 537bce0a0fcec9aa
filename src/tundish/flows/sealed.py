"""Does the sealed package answer as the graph that was judged?

A package carries its graph encrypted, perhaps carried over from the last version. It is
opened once in memory before it is written, and asked.
"""

from __future__ import annotations

import numpy as np

from tundish.flows.runs import Run
from tundish.learn import parity as parities
from tundish.learn.backends import few
from tundish.learn.material import Windows
from tundish.model import package as packages
from tundish.model.package import Package
from tundish.model.session import Session
from tundish.seal.envelope import Identity

_WINDOWS = 8
_VALUES = 2**18


def require_same_answers(
    package: Package, identity: Identity | None, found: Run
) -> parities.ParityReport:
    """Compare the package's answers to those of the judged graph.

    Args:
        package: As it will be written.
        identity: Opens it; None if it is not encrypted.
        found: The run that was judged.

    Raises:
        ParityBrokenError: if they differ by more than the scenario allows.
    """
    windows = _windows(found)
    golden = packages.unlocked(package, identity).golden
    with packages.clear_graph(package, identity) as graph:
        opened = Session(graph.data, golden)
    sealed = opened.run(windows)
    judged = Session(found.graph, found.golden).run(windows)
    names = ("judged graph", "sealed package")
    report = parities.compare(judged, sealed, found.scenario, names=names)
    parities.require(report)
    return report


def _windows(found: Run) -> Windows:
    """Return the golden windows and some drawn from the statistics of training."""
    golden = found.golden.window.array()
    mean, std = np.array(found.envelope.mean), np.array(found.envelope.std)
    shape = (_WINDOWS, *golden.shape[1:])
    drawn = mean + std * np.random.default_rng(0).standard_normal(shape)
    return few(np.concatenate([golden, drawn.astype(np.float32)]), 32, _VALUES)
