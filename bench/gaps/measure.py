"""Diagnose a case, and hold what was named against what was planted and against proof."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from time import process_time

import numpy as np
from bench.gaps.models import maker_of
from bench.gaps.planting import Bools, Case, losses_of
from bench.gaps.sets import Table
from scipy import stats

from tundish.kernel import canonical
from tundish.learn import gaps, regions
from tundish.learn.described import describe
from tundish.learn.gaps_report import Weakness
from tundish.learn.material import Floats, Material
from tundish.learn.patient import Patient

MOST = 99.0
"""Ratios are cut here: the rest of a slice may be without any error."""
ALIKE = 0.5
"""Judged windows that both share of those that either has: "the same slice"."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """One slice that was named.

    Attributes:
        by, name, cause: What it was called and what it wants.
        alike: Share of judged windows in both it and the planted slice of those in
            either; 0 if nothing was planted.
        ratio: Its loss over that of the rest, on judge.
        proof: The same on proof, the two nearer to 1 by two standard errors... None
            where proof has fewer than eight of its windows.
        again: Whether it is weaker on proof too, by a one-sided test at 5 %.
    """

    by: str
    name: str
    cause: str
    p: float
    alike: float
    ratio: float
    proof: float | None
    again: bool | None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One diagnosis."""

    set: str
    use: str
    task: str
    plant: str
    size: float
    split: int
    cost: float
    tested: int
    seconds: float
    found: tuple[Found, ...]

    def line(self) -> str:
        """Return it as one line of JSON."""
        return canonical.dumps(asdict(self)).decode()


def outcome(table: Table, case: Case, plant: str, size: float, split: int) -> Outcome:
    """Diagnose a case without its proof part."""
    maker = maker_of(case.scenario)
    seen = case.material.take(case.material.part != "proof")
    begun = process_time()
    report = gaps.diagnose(
        Patient(
            material=seen, scenario=case.scenario, run=maker(seen),
            graph="sha256:" + "0" * 64, maker=maker, seed=split,
        )
    )  # fmt: skip
    took = process_time() - begun
    loss = losses_of(case)
    judge = case.material.part == "judge"
    return Outcome(
        set=table.name, use=table.use, task=table.task, plant=plant, size=size,
        split=split, tested=report.tested, seconds=round(took, 2),
        cost=_ratio(loss, case.planted & judge, ~case.planted & judge),
        found=tuple(_found(one, case, loss) for one in report.weak),
    )  # fmt: skip


def _found(weak: Weakness, case: Case, loss: Floats) -> Found:
    inside = _inside(weak, case)
    judge, proof = (case.material.part == part for part in ("judge", "proof"))
    own = inside & judge
    either = (own | (case.planted & judge)).sum()
    here, rest = loss[inside & proof], loss[~inside & proof]
    here, rest = here[np.isfinite(here)], rest[np.isfinite(rest)]
    enough = len(here) >= 8 and len(rest) >= 8
    again = None
    if enough:
        test = stats.ttest_ind(here, rest, equal_var=False, alternative="greater")
        again = bool(test.pvalue <= 0.05)
    return Found(
        by=weak.where.by, name=weak.where.name, cause=weak.cause, p=round(weak.p, 5),
        alike=round(float((own & case.planted).sum() / max(1, either)), 3),
        ratio=_ratio(loss, own, ~inside & judge),
        proof=_ratio(loss, inside & proof, ~inside & proof) if enough else None,
        again=again,
    )  # fmt: skip


def _inside(weak: Weakness, case: Case) -> Bools:
    """Return the windows of a named slice, proof too, [N]."""
    material, where = case.material, weak.where
    if where.by == "region":
        described = describe(material, case.scenario)
        return regions.region_of(described, where.conditions).inside
    if where.by in {"moment", "stretch"}:
        at = material.at
        if at is None:
            return np.zeros(len(material), dtype=bool)
        inside = at >= np.datetime64(where.start)
        return inside & (at <= np.datetime64(where.end)) if where.end else inside
    part = np.where(material.part == "proof", "judge", material.part)
    every: Material = replace(material, part=part)
    return next(
        one.inside
        for one in regions.known(every, case.scenario)
        if (one.where.by, one.where.name) == (where.by, where.name)
    )


def _ratio(loss: Floats, here: Bools, there: Bools) -> float:
    if not here.any() or not there.any():
        return 1.0
    ratio = float(np.nanmean(loss[here])) / max(1e-12, float(np.nanmean(loss[there])))
    return round(min(MOST, ratio), 3)
