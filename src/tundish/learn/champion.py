"""Champion and challenger: a new model is kept only if it is worse on no slice.

Both graphs answer the same judged windows, none of which either was trained on. For
each slice the difference of their losses is drawn again by the paired bootstrap
(``learn.bootstrap``); the challenger is not worse there if the upper end of the 90 %
interval (a test at 5 %) stays under a margin that was declared before. All slices must
hold, which needs no correction (R. L. Berger, Technometrics 24 (1982) 295), and the
whole must not get worse at all, so that no margin is eaten up step by step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.kernel import digest
from tundish.kernel.records import Record
from tundish.learn import bootstrap, regions
from tundish.learn.errors import MaterialUnfitError
from tundish.learn.losses import losses, truths_of, unit_of
from tundish.learn.material import Floats, Material
from tundish.learn.recipe import Scorer

Bools = NDArray[np.bool_]
MARGIN = 0.1
LEAST = 20


class Duel(Record):
    """One slice under both graphs.

    Attributes:
        by, name: The slice; ``all`` for the whole.
        champion, challenger: Mean losses.
        change, low, high: Mean of challenger less champion, and its 90 % interval.
        holds: Not worse beyond the margin; None: too few samples to decide.
    """

    by: str
    name: str
    count: int
    champion: float
    challenger: float
    change: float
    low: float
    high: float
    holds: bool | None


class Comparison(Record):
    """The decision between two graphs.

    Attributes:
        margin: What counts as worse, in the unit of the losses: a share of the
            champion's loss on the whole.
        skipped: Judged windows that one of the two was trained on, left out.
    """

    format: Literal["tundish.comparison"] = "tundish.comparison"
    version: Literal[1] = 1
    scenario: str
    champion: str
    challenger: str
    unit: str
    margin: float
    judged: int
    skipped: int
    slices: tuple[Duel, ...]
    replace: bool
    why: str


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two: its graph, the graph's digest, and what it was trained on."""

    run: Scorer
    graph: str
    learned: Material


def compare(
    material: Material,
    scenario: Scenario,
    sides: tuple[Side, Side],
    *,
    margin: float = MARGIN,
    seed: int = 0,
) -> Comparison:
    """Hold a challenger against the champion.

    Args:
        material: The new version of the data; only its judge part is read.
        scenario: The contract.
        sides: Champion and challenger.
        margin: Share of the champion's loss that counts as worse.
        seed: Of the bootstrap.

    Raises:
        MaterialUnfitError: if hardly a window is left that neither was trained on.
    """
    judged = material.of("judge")
    fresh = ~(_seen(judged, sides[0].learned) | _seen(judged, sides[1].learned))
    left = judged.take(fresh)
    truths = truths_of(left)
    both = [truths.mean(losses(side.run, left, scenario)) for side in sides]
    known = np.isfinite(both[0]) & np.isfinite(both[1])
    if known.sum() < LEAST:
        msg = f"Only {known.sum()} judged samples are new to both models; {LEAST} are needed to compare them."
        raise MaterialUnfitError(msg)
    old, new = both[0][known], both[1][known]
    bound = margin * float(old.mean())
    first = truths.first[known]
    inside = [("all", "all", np.ones(len(old), dtype=bool))]
    inside += [
        (one.where.by, one.where.name, one.inside[first])
        for one in regions.known(left, scenario)
    ]
    duels = tuple(
        _duel((by, name), (old[own], new[own]), left.source[first][own], bound, seed)
        for by, name, own in inside
        if own.any()
    )
    worse = [duel for duel in duels if duel.holds is False]
    creep = float(new.mean()) > float(old.mean()) or np.array_equal(new, old)
    return Comparison(
        scenario=scenario.key,
        champion=sides[0].graph,
        challenger=sides[1].graph,
        unit=unit_of(scenario),
        margin=bound,
        judged=len(old),
        skipped=int((~fresh).sum()),
        slices=duels,
        replace=not worse and not creep,
        why=_why(duels, worse, same=np.array_equal(new, old)),
    )


def _duel(
    named: tuple[str, str],
    pair: tuple[Floats, Floats],
    source: NDArray[np.str_],
    bound: float,
    seed: int,
) -> Duel:
    old, new = pair
    off = new - old
    drawn = bootstrap.draws_of(source, np.random.default_rng(seed))
    low, high = bootstrap.interval(lambda at: float(off[at].mean()), drawn.places)
    holds = None if len(off) < LEAST else high <= bound
    if named[0] == "all":
        holds = high <= bound
    return Duel(
        by=named[0],
        name=named[1],
        count=len(off),
        champion=float(old.mean()),
        challenger=float(new.mean()),
        change=float(off.mean()),
        low=low,
        high=high,
        holds=holds,
    )


def _why(duels: tuple[Duel, ...], worse: list[Duel], *, same: bool) -> str:
    whole = duels[0]
    said = f"the loss goes from {whole.champion:.3g} to {whole.challenger:.3g} on the whole"
    if worse:
        first = max(worse, key=lambda duel: duel.high)
        return (
            f"on {first.by} {first.name} the new model may be worse by up to "
            f"{first.high:.3g} ({first.champion:.3g} to {first.challenger:.3g}); {said}"
        )
    if whole.challenger > whole.champion:
        return f"{said}, which is no gain"
    if same:
        return f"{said}: the same on every sample, which is no gain"
    few = sum(duel.holds is None for duel in duels)
    small = f"; {few} slices are too small to say" if few else ""
    return f"not worse on any slice; {said}{small}"


def _seen(judged: Material, learned: Material) -> Bools:
    """Return which judged windows stand in what a model was trained on, value for value."""
    known = {digest.of_bytes(row.tobytes()) for row in _rows(learned)}
    return np.array(
        [digest.of_bytes(row.tobytes()) in known for row in _rows(judged)], dtype=bool
    )


def _rows(material: Material) -> NDArray[np.float64]:
    flat = material.x.reshape(len(material), -1).astype(np.float64)
    truth = np.nan_to_num(material.y.reshape(len(material), -1), nan=-1.0)
    return np.ascontiguousarray(np.concatenate([flat, truth], axis=1))
