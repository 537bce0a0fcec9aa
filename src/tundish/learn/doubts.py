"""Labels and marked events that the rest of the data contradicts, one by one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tundish.catalog.scenario import Scenario
from tundish.learn import regions
from tundish.learn.gaps_report import DoubtfulLabel
from tundish.learn.losses import CLASSES
from tundish.learn.material import Floats, Material
from tundish.learn.peers import Opinion

TIMES_USUAL = 3.0
MOST_SAID = 5


def doubt(
    material: Material, scenario: Scenario, place: int, said: Opinion | None
) -> DoubtfulLabel:
    """Return a doubtful label: where it stands, and what the rest of the data says."""

    def text(value: float) -> str:
        if scenario.task in CLASSES and scenario.classes:
            return scenario.classes[int(value)].name
        return f"{value:.6g}"

    label = material.y[place] if material.y.ndim == 1 else material.y[place].mean()
    rather = said.rather[place] if said is not None else float("nan")
    return _where(material, place, text(float(label)), text(float(rather)))


def _where(material: Material, place: int, said: str, rather: str) -> DoubtfulLabel:
    return DoubtfulLabel(
        part=str(material.part[place]),
        source=str(material.source[place]),
        at=regions.moments(material, np.array([place]))[0],
        place=int(place),
        said=said,
        rather=rather,
    )


def events(
    material: Material, scenario: Scenario, outputs: Mapping[str, Floats]
) -> list[DoubtfulLabel]:
    """Return marked events whose windows all look like ordinary ones (anomaly)."""
    if scenario.task != "anomaly":
        return []
    score = outputs["score"][:, 0]
    usual = float(np.quantile(score[material.event < 0], 0.9))
    found = []
    for event in np.unique(material.event[material.event >= 0]):
        inside = np.flatnonzero(material.event == event)
        if score[inside].max() <= 1.0 and np.median(score[inside]) <= usual:
            found.append(_where(material, int(inside[0]), f"event {event}", "normal"))
    return found


def unseen(
    material: Material, scenario: Scenario, outputs: Mapping[str, Floats]
) -> list[str]:
    """Return a note on judged events that alarm no more than normal operation (anomaly)."""
    if scenario.task != "anomaly":
        return []
    alarms, judged = outputs["score"][:, 0] > 1.0, material.part == "judge"
    normal = judged & (material.event < 0)
    usual = float(alarms[normal].mean()) if normal.any() else 0.0
    marked = np.unique(material.event[judged & (material.event >= 0)])
    found = []
    for event in marked:
        inside = judged & (material.event == event)
        if float(alarms[inside].mean()) <= TIMES_USUAL * usual:
            found.append(str(material.source[np.argmax(inside)]))
    if not found:
        return []
    more = f" and {len(found) - MOST_SAID} more" if len(found) > MOST_SAID else ""
    return [
        f"{len(found)} of {len(marked)} marked events alarm hardly more than normal "
        f"operation does (in {', '.join(found[:MOST_SAID])}{more}): these tags do not "
        "show them, or the marks are wrong"
    ]
