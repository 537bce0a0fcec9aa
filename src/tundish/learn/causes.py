"""Why a slice is weak: want of data, of signal or of labels, a shift, or the recipe.

The causes are asked in an order in which each question makes sense only if the ones
before it were answered with no: a slice that training never saw cannot be said to want
signals, and one whose labels contradict each other has no noise floor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.neighbors import NearestNeighbors

from tundish.catalog.scenario import Scenario
from tundish.learn.described import Described
from tundish.learn.gaps_report import Cause, Coverage, Point, Weakness
from tundish.learn.growth import Growth
from tundish.learn.losses import NUMBERS
from tundish.learn.material import Floats, Material, by_source
from tundish.learn.peers import Opinion, careless, outsiders
from tundish.learn.regions import KNOWN, Candidate
from tundish.learn.sensors import noisy, still
from tundish.learn.weak import Named

NEIGHBOURS = 5
FEW = 20
SHORT = 0.34
ABSENT = 0.1
MOST_BEYOND = 0.4
TIMES_BEYOND = 3.0
FALLS = -0.15
DOUBTS = 0.1
BROAD = 1.5
HALF = 0.5
CHANCE = 1e-3
OF_PEOPLE = frozenset({"source", "shift", "stretch"})
"""Slices that are cut by who and when, not by what the signals say."""
ASKABLE = frozenset({"mode", "source", "class", "shift", "region"})

Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Grounds:
    """What causes are told from.

    Attributes:
        beyond: Windows that lie farther from the fit part than training windows do, [N].
        opinion: The forest's, where there is a truth.
        growth: Losses on growing shares, if measured.
    """

    material: Material
    scenario: Scenario
    described: Described
    beyond: Bools
    opinion: Opinion | None
    growth: Growth | None


def distances(material: Material, described: Described) -> tuple[Floats, Bools]:
    """Return how far each window lies from the fit part, and if that is beyond it, [N].

    The distance to the fifth nearest window of fit (of another group), in robust
    spreads; "beyond" is more than 99 % of the calibrate windows, or of fit's own.
    """
    scaled = np.clip(described.scaled, -20.0, 20.0)
    fit = np.flatnonzero(material.part == "fit")
    count = min(NEIGHBOURS + 1, len(fit))
    index = NearestNeighbors(n_neighbors=count).fit(scaled[fit])
    far = index.kneighbors(scaled)[0]
    own = material.part == "fit"
    distance = np.where(own, far[:, -1], far[:, max(0, count - 2)])
    reference = material.part == "calibrate"
    if reference.sum() < 30:
        reference = own
    return distance, distance > 1.5 * np.quantile(distance[reference], 0.99)


def short(one: Candidate, material: Material) -> bool:
    """Tell whether fit holds far less of a slice than the judge part; looks at no error."""
    fit, judge = material.part == "fit", material.part == "judge"
    if one.where.by not in ASKABLE or (
        one.where.by == "source" and by_source(material)
    ):
        return False
    return _share(one.inside, fit) <= SHORT * _share(one.inside, judge)


def absent(one: Candidate, material: Material) -> bool:
    """Tell whether fit holds next to nothing of a slice that people know."""
    fit, judge = material.part == "fit", material.part == "judge"
    return (
        one.where.by in KNOWN
        and short(one, material)
        and _share(one.inside, fit) <= ABSENT * _share(one.inside, judge)
    )


def weakness(named: Named, own: Bools, grounds: Grounds, seed: int) -> Weakness:
    """Return a confirmed slice with its likely cause.

    Args:
        named: The slice and its test.
        own: Its samples among the judged ones (the growth's columns), [G].
        grounds: What causes are told from.
        seed: For the curve's interval.
    """
    where = named.slice.where
    inside = named.slice.windows
    coverage = _coverage(inside, where.by, grounds)
    frozen: tuple[str, ...] = ()
    if where.by in OF_PEOPLE:  # a mode may be what makes a signal stand still
        frozen = still(
            inside, where, grounds.described, grounds.material, grounds.scenario
        )
    curve: tuple[Point, ...] = ()
    slope = steeper = None
    if grounds.growth is not None:
        curve = grounds.growth.curve(own)
        slope = grounds.growth.slope(own, np.random.default_rng(seed))
        steeper = grounds.growth.steeper(own, np.random.default_rng(seed))
    peer, doubtful = _opinions(inside, grounds)
    found = Weakness(
        where=where,
        count=named.test.count,
        loss=named.test.loss,
        elsewhere=named.test.elsewhere,
        p=named.test.p,
        cause="hard",
        why="",
        beyond=named.beyond,
        coverage=coverage,
        curve=curve,
        slope=slope,
        peer=peer,
        doubtful=doubtful,
        still=frozen,
    )
    cause, why = _cause(found, inside, grounds, steeper=bool(steeper))
    return found.model_copy(update={"cause": cause, "why": why})


def _coverage(inside: Bools, by: str, grounds: Grounds) -> Coverage:
    material = grounds.material
    fit, judge = material.part == "fit", material.part == "judge"
    rest = judge & ~inside
    groups = len(np.unique(material.group[fit & inside]))
    every = max(1, len(np.unique(material.group[fit])))
    askable = by in ASKABLE
    if by == "source":  # units of the judge part are never in fit where parts are units
        shared = np.isin(np.unique(material.source[judge]), material.source[fit])
        askable = bool(shared.any())
    return Coverage(
        fit=groups if askable else None,
        share_of_fit=groups / every if askable else None,
        share_of_judge=float(inside[judge].mean()),
        beyond=_share(grounds.beyond, judge & inside),
        beyond_elsewhere=_share(grounds.beyond, rest),
    )


def _opinions(
    inside: Bools, grounds: Grounds
) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    opinion = grounds.opinion
    if opinion is None:
        return None, None
    known = np.isfinite(opinion.loss)
    judge = (grounds.material.part == "judge") & known
    return (
        (
            mean_over(opinion.loss, judge & inside),
            mean_over(opinion.loss, judge & ~inside),
        ),
        (
            _share(opinion.doubtful, known & inside),
            _share(opinion.doubtful, known & ~inside),
        ),
    )


def _cause(
    found: Weakness, inside: Bools, grounds: Grounds, *, steeper: bool
) -> tuple[Cause, str]:
    coverage = found.coverage
    far = coverage.beyond >= MOST_BEYOND and (
        coverage.beyond >= TIMES_BEYOND * coverage.beyond_elsewhere
    )
    if found.where.by == "moment":
        also = (
            f"; {coverage.beyond:.0%} of the windows since lie beyond what fit holds"
            if far
            else "; the inputs look as before"
        )
        return "shift", (
            f"losses rise from {found.elsewhere:.3g} to {found.loss:.3g} and stay there: "
            f"the promise breaks from {found.where.start} on{also}"
        )
    if found.still:
        return (
            "signal",
            f"{', '.join(found.still)} stands still there and moves elsewhere",
        )
    little = _short(coverage, gap=found.beyond is not False)
    if little or (far and found.beyond is not False):
        return "data", little or (
            f"{coverage.beyond:.0%} of its windows lie beyond what fit holds "
            f"({coverage.beyond_elsewhere:.0%} elsewhere)"
        )
    doubts = _doubts(found, inside, grounds)
    if doubts:
        return "labels", doubts
    if found.where.by in OF_PEOPLE:
        broken = noisy(inside, found.where, grounds.described, grounds.scenario)
        if broken:
            return "signal", (
                f"{broken[0]} scatters there about what the other signals say of it, "
                "more than elsewhere"
            )
    return _by_curve(found, steeper=steeper)


def _by_curve(found: Weakness, *, steeper: bool) -> tuple[Cause, str]:
    if found.slope is not None and found.slope[2] < FALLS and steeper:
        return "data", (
            f"its loss still falls as fit grows: exponent {found.slope[0]:.2f} "
            f"({found.slope[1]:.2f} to {found.slope[2]:.2f}), faster than elsewhere"
        )
    curve = (
        "its curve was not measured"
        if found.slope is None
        else "more data helps there no more than elsewhere: exponent "
        f"{found.slope[0]:.2f} ({found.slope[1]:.2f} to {found.slope[2]:.2f})"
    )
    if found.peer is None:
        return "hard", (
            f"training saw as much of it as of the rest, and {curve}; "
            "without truths nothing tells a gap from what is harder by nature"
        )
    forest = f"{found.peer[0]:.3g} ({found.peer[1]:.3g} elsewhere)"
    if found.beyond:
        return "recipe", (
            f"training saw enough of it and {curve}, but a plain forest that saw such "
            f"windows has {forest} where the graph has {found.loss:.3g}"
        )
    if found.where.by in OF_PEOPLE:
        return "signal", (
            f"training saw enough of it and {curve}; a plain forest does no better "
            f"({forest}): labels that are off, or something that no tag tells"
        )
    return "hard", (
        f"harder there as much as expected: a plain forest that saw such windows has "
        f"{forest}; {curve}. Noise, and a signal that nobody records, look alike here"
    )


def _short(coverage: Coverage, *, gap: bool) -> str:
    """Return how little fit holds of a slice; few samples count only in a gap."""
    if coverage.fit is None or coverage.share_of_fit is None:
        return ""
    few = gap and coverage.fit < FEW
    if not few and coverage.share_of_fit > SHORT * coverage.share_of_judge:
        return ""
    return (
        f"fit holds {coverage.fit} samples of it ({coverage.share_of_fit:.1%}), "
        f"the judge part {coverage.share_of_judge:.1%}"
    )


def against(said: Opinion, scenario: Scenario) -> Floats:
    """Return which labels speak against the forest, [N]; NaN without one.

    Numbers that lie far outside the others' scatter, classes that it would not say.
    """
    if scenario.task in NUMBERS:
        return np.where(np.isfinite(said.loss), said.doubtful, np.nan)
    return said.loss


def doubted(weak: Weakness, inside: Bools, grounds: Grounds) -> Bools:
    """Return the doubtful labels of a slice that wants labels, [N]."""
    opinion = grounds.opinion
    if weak.cause != "labels" or opinion is None:
        return np.zeros(len(inside), dtype=bool)
    return _suspects(weak.where.by, inside, opinion, grounds)[0] & inside


def _suspects(
    by: str, inside: Bools, opinion: Opinion, grounds: Grounds
) -> tuple[Bools, float]:
    """Return contradicted labels of a slice and of the rest, [N], and the share confirmed."""
    if grounds.scenario.task in NUMBERS or by == "class":
        return opinion.doubtful, 1.0
    outside, confirmed = outsiders(
        grounds.material, grounds.described, inside, opinion, 0
    )
    if confirmed <= HALF and careless(opinion, inside, grounds.material.source):
        return opinion.loss > 0, 1.0
    return opinion.doubtful | outside, confirmed


def _doubts(found: Weakness, inside: Bools, grounds: Grounds) -> str:
    """Return why labels are doubted: contradicted ones, or an offset of a source."""
    opinion = grounds.opinion
    if opinion is None:
        return ""
    known = np.isfinite(opinion.loss)
    flagged, confirmed = _suspects(found.where.by, inside, opinion, grounds)
    here = _share(flagged, known & inside)
    there = _share(flagged, known & ~inside)
    many = _concentrated(here, there, known, inside)
    if grounds.scenario.task not in NUMBERS:
        if many and here >= DOUBTS and confirmed > HALF:
            return (
                f"{here:.0%} of its labels are contradicted by windows like them "
                f"({there:.0%} elsewhere)"
            )
        return ""
    residual = opinion.residual
    outliers = (
        f"{here:.0%} of its truths lie far outside the scatter of the others "
        f"({there:.1%} elsewhere), and without them it is as narrow as elsewhere"
    )
    return _of_numbers(
        found.where.by,
        (
            residual[known & inside & ~flagged],
            residual[known & ~inside & ~flagged],
        ),
        outliers if many else "",
    )


def _concentrated(here: float, there: float, known: Bools, inside: Bools) -> bool:
    """Tell whether doubtful labels crowd in a slice beyond chance (binomial test)."""
    count = int((known & inside).sum())
    usual = min(1.0, max(there, 1.0 / known.sum()))
    chance = float(stats.binom.sf(round(here * count) - 1, count, usual))
    return here >= max(0.02, 2.0 * there) and chance < CHANCE


def _of_numbers(by: str, residuals: tuple[Floats, Floats], outliers: str) -> str:
    inner, outer = residuals
    bulk = _bulk(inner)
    if bulk > BROAD * _bulk(outer):
        return ""
    off = float(np.median(inner) - np.median(outer))
    if abs(off) > 2.0 * bulk and by != "region":
        return (
            f"its truths lie {off:+.3g} off what windows like them say elsewhere, "
            "and scatter no more than elsewhere: a calibration or an offset"
        )
    return outliers


def _bulk(values: Floats) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _share(flags: Bools, where: Bools) -> float:
    return float(flags[where].mean()) if where.any() else 0.0


def mean_over(values: Floats, where: Bools) -> float:
    """Return the mean over some places; 0 over none."""
    return float(values[where].mean()) if where.any() else 0.0
