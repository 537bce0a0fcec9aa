"""Siblings: what the owner's own recipe makes of half of the data.

Somebody else who uses the same recipe on the same process gets a model that may agree far,
and stole nothing. How far is measured here, so that such a model is not called a copy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tundish.flows.runs import Run
from tundish.kernel.digest import Digest
from tundish.kernel.errors import RefusedError
from tundish.learn import train as training
from tundish.learn.material import Material, Windows
from tundish.learn.recipe import Outputs
from tundish.model.session import run_foreign

Share = Callable[[Outputs], float]
Siblings = Callable[[Share, Windows], list[tuple[str, float]]]
"""Returns name and share of each sibling, given how a share is taken and the windows."""
HALVES = 2


def no_siblings(_share: Share, _windows: Windows) -> list[tuple[str, float]]:
    """Return none: a foreign graph has no recipe here."""
    return []


def of_halves(found: Run, material: Material) -> Siblings:
    """Return what trains the run's candidate on either half of each part.

    Groups stay whole and alternate. A half that the recipe refuses gives no sibling.
    """

    def measured(share: Share, windows: Windows) -> list[tuple[str, float]]:
        made = []
        for half in range(HALVES):
            graph = _trained(found, _half(material, half))
            if graph is not None:
                name = f"{found.record.recipe} on half {half + 1}"
                made.append((name, share(run_foreign(graph, windows))))
        return made

    return measured


def _half(material: Material, half: int) -> Material:
    kept = np.zeros(len(material), np.bool_)
    for part in np.unique(material.part):
        mine = np.flatnonzero(material.part == part)
        _, place = np.unique(material.group[mine], return_inverse=True)
        kept[mine[place % HALVES == half]] = True
    return material.take(kept)


def _trained(found: Run, material: Material) -> bytes | None:
    record = found.record
    try:
        made = training.train(
            material,
            found.scenario,
            data=Digest(record.data),
            candidate=record.candidate,
            seed=record.seed,
        )
    except RefusedError:
        return None
    return made.fitted.graph
