"""The slices that a diagnosis looks at: those people know, and those that trees find.

Regions are sought on windows whose errors are not used to confirm them: a shallow tree
over the errors of the parts select and calibrate, and one over how far the judged
windows lie from the fit part (which looks at no error). What they find is only a
question; ``learn.weak`` answers it on the judge part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeRegressor

from tundish.catalog.scenario import Scenario
from tundish.learn.described import Described
from tundish.learn.gaps_report import Condition, Where
from tundish.learn.material import Floats, Indices, Material, pieces
from tundish.learn.slices import MOST, in_mode

Bools = NDArray[np.bool_]
KNOWN = frozenset({"mode", "source", "class", "shift"})
DEPTH = 2
LEAST = 20
BANDS = 4
LONG = 200


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A slice of the whole material, [N], and how to find it elsewhere."""

    where: Where
    inside: Bools


def known(material: Material, scenario: Scenario) -> Iterator[Candidate]:
    """Return modes, sources, classes and shifts that the judge part holds."""
    for mode in scenario.modes:
        for name, inside in in_mode(mode, material, scenario).items():
            yield Candidate(where=Where(by="mode", name=name), inside=inside)
    yield from _texts("source", material.source, material)
    if scenario.classes and material.y.ndim == 1:
        for place, item in enumerate(scenario.classes):
            yield Candidate(
                where=Where(by="class", name=item.name), inside=material.y == place
            )
    if material.shift is not None:
        yield from _texts("shift", material.shift, material)


def stretches(material: Material) -> Iterator[Candidate]:
    """Return the unbroken runs of the judge part; a long one in four."""
    places = np.flatnonzero(material.part == "judge")
    runs = [
        part
        for piece in pieces(material, "judge")
        for part in np.array_split(piece.index, BANDS if len(piece.index) > LONG else 1)
    ]
    if len(runs) > MOST or len(runs) < 2:
        return
    for number, run in enumerate(runs, start=1):
        inside = np.zeros(len(material), dtype=bool)
        inside[places[run]] = True
        ends = moments(material, places[run])
        source = material.source[places[run[0]]]
        said = f"{ends[0]} to {ends[1]}" if ends[0] else f"stretch {number}"
        yield Candidate(
            where=Where(
                by="stretch", name=f"{source}, {said}", start=ends[0], end=ends[1]
            ),
            inside=inside,
        )


def moments(material: Material, places: Indices) -> tuple[str, str]:
    """Return first and last moment of some windows; empty without time."""
    if material.at is None or np.isnat(material.at[places]).all():
        return "", ""
    at = material.at[places]
    at = at[~np.isnat(at)]
    first, last = at.min(), at.max()
    return str(first.astype("datetime64[s]")), str(last.astype("datetime64[s]"))


def found(
    described: Described, seek: Bools, values: Floats, *, least_share: float = 0.05
) -> list[Candidate]:
    """Return the leaves of a shallow tree that lie above the mean.

    Args:
        described: All windows.
        seek: Windows that the tree is grown on, [N].
        values: What it looks for: errors, or distances, [N].
        least_share: Of the windows sought in, for a leaf.
    """
    use = seek & np.isfinite(values)
    least = max(LEAST, int(least_share * use.sum()))
    if use.sum() < 2 * least:
        return []
    tree = DecisionTreeRegressor(
        max_depth=DEPTH, min_samples_leaf=least, random_state=0
    )
    tree.fit(described.values[use], values[use])
    mean = float(values[use].mean())
    regions = [
        region
        for region, level in _leaves(tree, described.names)
        if level > mean and region
    ]
    return [
        region_of(described, conditions) for conditions in [*regions, *_hulls(regions)]
    ]


def _hulls(regions: Sequence[Sequence[Condition]]) -> list[list[Condition]]:
    """Return for each single number the band that spans all its regions."""
    bands: dict[str, list[Condition]] = {}
    for region in regions:
        if len(region) == 1:
            bands.setdefault(region[0].name, []).append(region[0])
    hulls = []
    for name, band in bands.items():
        low, high = [one.above for one in band], [one.upto for one in band]
        hull = Condition(
            name=name,
            above=None
            if None in low
            else min(edge for edge in low if edge is not None),
            upto=None
            if None in high
            else max(edge for edge in high if edge is not None),
        )
        if hull not in band and (hull.above is not None or hull.upto is not None):
            hulls.append([hull])
    return hulls


def region_of(described: Described, conditions: Sequence[Condition]) -> Candidate:
    """Return the windows that keep some conditions."""
    inside = np.ones(len(described.values), dtype=bool)
    for one in conditions:
        column = described.values[:, described.names.index(one.name)]
        if one.above is not None:
            inside &= column > one.above
        if one.upto is not None:
            inside &= column <= one.upto
    name = " and ".join(_said(one) for one in conditions)
    return Candidate(
        where=Where(by="region", name=name, conditions=tuple(conditions)), inside=inside
    )


def _said(one: Condition) -> str:
    if one.above is None:
        return f"{one.name} up to {one.upto:.4g}"
    if one.upto is None:
        return f"{one.name} above {one.above:.4g}"
    return f"{one.name} from {one.above:.4g} to {one.upto:.4g}"


def _leaves(
    tree: DecisionTreeRegressor, names: Sequence[str]
) -> Iterator[tuple[list[Condition], float]]:
    """Return each leaf's conditions and its mean; also each inner node's but the root's."""
    nodes = tree.tree_

    def walk(
        node: int, edges: dict[str, tuple[float | None, float | None]]
    ) -> Iterator[tuple[list[Condition], float]]:
        conditions = [
            Condition(name=name, above=low, upto=high)
            for name, (low, high) in edges.items()
        ]
        yield conditions, float(nodes.value[node].ravel()[0])
        left, right = int(nodes.children_left[node]), int(nodes.children_right[node])
        if left == right:
            return
        name, edge = names[nodes.feature[node]], float(nodes.threshold[node])
        low, high = edges.get(name, (None, None))
        yield from walk(left, {**edges, name: (low, edge)})
        yield from walk(right, {**edges, name: (edge, high)})

    yield from walk(0, {})


def _texts(by: str, texts: NDArray[np.str_], material: Material) -> Iterator[Candidate]:
    names, counts = np.unique(texts[material.part == "judge"], return_counts=True)
    if len(names) < 2 and len(np.unique(texts)) < 2:
        return
    for name in names[np.argsort(-counts, kind="stable")][:MOST]:
        yield Candidate(where=Where(by=by, name=str(name)), inside=texts == name)
