"""Q06: one shot that stands twice, byte for byte or saved again."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.data.grade.images.scene import Scene, Seen, examples, names
from tundish.data.grade.images.shown import BLANK_STD
from tundish.data.grade.tally import Tally
from tundish.data.images.looking import compare

ALIKE = 0.93
LOCAL = 20.0
NEAR = 0.85
DIMENSIONS = 64
MANY = 512
MOST_PAIRS = 4_000
NEIGHBOURS = 3
_BLOCK = 1_024

Pair = tuple[Seen, Seen]


@dataclass(frozen=True, kw_only=True)
class Twins:
    """Pictures that show one and the same shot.

    Attributes:
        exact: Groups with equal pixels.
        near: Pairs that differ only in how they were saved, scaled or lit.
        unchecked: Candidate pairs that were too many to compare.
    """

    exact: tuple[tuple[Seen, ...], ...]
    near: tuple[Pair, ...]
    unchecked: int = 0

    @property
    def groups(self) -> list[tuple[Seen, ...]]:
        """All groups of the same shot."""
        return [*self.exact, *self.near]


def find_twins(scene: Scene) -> Twins:
    """Find pictures of one and the same shot.

    Equal pixels are found by digest. Others are looked for among nearest neighbours of
    small copies (among many also by whitened principal components, so that what all
    parts of a type share does not count) and are claimed only if their fine detail agrees: two shots of one
    part, or of two parts on one place, differ in noise and fractions of a pixel.
    """
    by_digest: dict[str, list[Seen]] = defaultdict(list)
    for one in (one for one in scene.sound if one.look.std >= BLANK_STD):
        by_digest[one.look.digest].append(one)
    exact = tuple(tuple(g) for g in by_digest.values() if len(g) > 1)
    pairs = _candidates([group[0] for group in by_digest.values()])
    kept = pairs[:MOST_PAIRS]
    found = compare([(a.shot.path, b.shot.path) for a, b in kept])
    near = tuple(
        pair
        for pair, like in zip(kept, found, strict=True)
        if like.alike >= ALIKE and like.local < LOCAL
    )
    return Twins(exact=exact, near=near, unchecked=len(pairs) - len(kept))


def copies(scene: Scene, twins: Twins) -> Tally:
    """Count pictures beyond the first of each shot, within a class and part."""
    remarks = scene.remarks("Q06")
    total = len(scene.sound)
    exact = [one for group in twins.exact for one in group[1:]]
    if exact:
        remarks.add(
            "copy",
            f"{len(exact):,} pictures repeat another pixel for pixel: {_shown(twins.exact)}.",
            "Keep one of each; find out which export wrote them twice.",
            names=names(exact),
            of=total,
        )
    seen: dict[str, Seen] = {pair[1].name: pair[1] for pair in twins.near}
    near = list(seen.values())
    if near:
        remarks.add(
            "near-copy",
            f"{len(near):,} pictures are another one saved again, scaled or brightened: "
            f"{_shown(twins.near)}.",
            "Keep the camera's own picture; make variants during training, after the split.",
            names=names(near),
            of=total,
        )
    detail = f"{twins.unchecked:,} pairs not compared" if twins.unchecked else ""
    return remarks.tally(len({*names(exact), *seen}), total, detail)


def _shown(groups: tuple[tuple[Seen, ...], ...]) -> str:
    first = examples(list(groups[0]))
    return first + (f" and {len(groups) - 1:,} more groups" if len(groups) > 1 else "")


def _candidates(some: list[Seen]) -> list[Pair]:
    """Return pairs of near neighbours, the nearest first."""
    if len(some) < 2:
        return []
    thumbs = np.array([one.look.thumb for one in some], dtype=np.float32)
    thumbs -= thumbs.mean(axis=1, keepdims=True)
    thumbs /= np.maximum(thumbs.std(axis=1, keepdims=True), 1e-3)
    found = _neighbours(_unit(thumbs - thumbs.mean(axis=0)))
    if len(some) >= MANY:
        found |= _neighbours(_whitened(thumbs))
    ranked = sorted(found, key=lambda pair: (-found[pair], pair))
    return [(some[a], some[b]) for a, b in ranked if _agree(thumbs[a], thumbs[b])]


def _neighbours(points: NDArray[np.float32]) -> dict[tuple[int, int], float]:
    """Return the nearest neighbours among unit vectors: pair -> cosine."""
    found: dict[tuple[int, int], float] = {}
    for start in range(0, len(points), _BLOCK):
        close = points[start : start + _BLOCK] @ points.T
        rows = np.arange(len(close))
        close[rows, rows + start] = -1.0
        for _ in range(min(NEIGHBOURS, len(points) - 1)):
            best = close.argmax(axis=1)
            value = close[rows, best]
            for row in np.flatnonzero(value > NEAR):
                a, b = sorted((int(row) + start, int(best[row])))
                found[a, b] = float(value[row])
            close[rows, best] = -1.0
    return found


def _agree(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return float((one * other).mean()) > NEAR


def _whitened(thumbs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return unit vectors in which what all pictures share has no weight."""
    centred = thumbs - thumbs.mean(axis=0)
    moments = (centred.T @ centred) / len(centred)
    levels, axes = np.linalg.eigh(moments.astype(np.float64))
    keep = DIMENSIONS
    floor = max(float(levels[-1]) * 1e-4, 1e-9)
    scales = np.sqrt(np.maximum(levels[-keep:], floor))
    return _unit((centred @ (axes[:, -keep:] / scales)).astype(np.float32))


def _unit(points: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    return np.asarray(points / np.maximum(lengths, 1e-9), dtype=np.float32)
