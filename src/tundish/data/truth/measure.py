"""Recall and false findings of the detectors, counted on plants with known faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import sqrt

import numpy as np

from tundish.data.grade.checks import Brief, grade_sheets
from tundish.data.grade.report import Finding
from tundish.data.times import SECOND
from tundish.data.truth.faults import Fault, Faulty
from tundish.data.truth.plants import Plant, sheet_of

NOW_US = 1_790_000_000 * SECOND
Z = 1.96


@dataclass(frozen=True, kw_only=True)
class Base:
    """A plant without a known fault, and where it comes from.

    Attributes:
        name: Kind of plant, or real set.
        seed: Makes the fault's place (and the plant, if it was made).
        real: True for a stretch of a real set.
    """

    name: str
    seed: int
    plant: Plant
    real: bool = False

    @property
    def unlabelled(self) -> Plant:
        """The plant without a target: most faults need none."""
        return replace(self.plant, target=None)

    @cached_property
    def of_itself(self) -> tuple[Finding, ...]:
        """What is found before a fault is put in."""
        return findings_of(self.unlabelled)


@dataclass
class Count:
    """What was counted for one fault of one size.

    Attributes:
        tried: Faults put in.
        found: Named rightly at the right place and tag.
        noticed: Found at the right place under another name only.
        beside: Further findings elsewhere that the plant did not have before.
        missed: (Plant, seed) of those that were neither found nor noticed.
    """

    tried: int = 0
    found: int = 0
    noticed: int = 0
    beside: int = 0
    missed: list[tuple[str, int]] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """Share found."""
        return self.found / self.tried if self.tried else float("nan")


def findings_of(plant: Plant) -> tuple[Finding, ...]:
    """Grade a plant; the indicators that fit models only if it has a target."""
    task = "regress" if plant.target is not None else "unsaid"
    brief = Brief(
        name=plant.kind,
        task=task,
        now_us=NOW_US,
        licence="own",
        deep=plant.target is not None,
    )
    return grade_sheets([sheet_of(plant)], brief).findings


def false_findings(bases: Iterable[Base]) -> tuple[Counter[str], dict[str, int]]:
    """Return findings in plants without a fault, by kind, and the sets by name."""
    found: Counter[str] = Counter()
    sets: Counter[str] = Counter()
    for base in bases:
        sets[base.name] += 1
        for finding in findings_of(base.unlabelled):
            if not known(base.plant, finding):
                found[finding.kind] += 1
    return found, dict(sets)


def known(plant: Plant, finding: Finding) -> bool:
    """Tell whether a finding is true of the plant as it was made or looked at."""
    return (finding.kind, finding.tag) in plant.known


def recall(fault: Fault, size: float, bases: Sequence[Base]) -> Count:
    """Put one fault into each plant and count what is found.

    Plants that have no place for the fault are passed over.
    """
    count = Count()
    for base in bases:
        rng = np.random.default_rng([base.seed, 7])
        plant = base.plant if fault.labels else base.unlabelled
        faulty = fault.put(plant, size, rng)
        if faulty is None:
            continue
        before = findings_of(plant) if fault.labels else base.of_itself
        _judge(count, fault, faulty, base, before)
    return count


def _judge(
    count: Count,
    fault: Fault,
    faulty: Faulty,
    base: Base,
    before: tuple[Finding, ...],
) -> None:
    count.tried += 1
    same = {(f.kind, f.tag, f.stretches) for f in before}
    alike = {(f.kind, f.tag) for f in before}
    new = [
        f for f in findings_of(faulty.plant) if (f.kind, f.tag, f.stretches) not in same
    ]
    here = [f for f in new if touches(f, faulty)]
    if any(f.kind in fault.kinds for f in here):
        count.found += 1
    elif any((f.kind, f.tag) not in alike for f in here):
        count.noticed += 1
    else:
        count.missed.append((base.name, base.seed))
    count.beside += sum(
        not touches(f, faulty) and (f.kind, f.tag) not in alike for f in new
    )


def touches(finding: Finding, faulty: Faulty) -> bool:
    """Tell whether a finding is about the fault's tag and lies where the fault is."""
    about = set(faulty.tags)
    tagged = not about or not finding.tag or bool(about & set(_names(finding.tag)))
    if not tagged:
        return False
    if not finding.stretches:
        return True
    return any(
        first <= faulty.last + 1 and last >= faulty.first - 1
        for first, last in finding.stretches
    )


def _names(tag: str) -> list[str]:
    return [name.strip() for name in tag.replace(" and ", ",").split(",")]


def interval(found: int, tried: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927)."""
    if not tried:
        return 0.0, 1.0
    share = found / tried
    middle = (share + Z**2 / (2 * tried)) / (1 + Z**2 / tried)
    half = (
        Z
        * sqrt(share * (1 - share) / tried + Z**2 / (4 * tried**2))
        / (1 + Z**2 / tried)
    )
    return max(0.0, middle - half), min(1.0, middle + half)
