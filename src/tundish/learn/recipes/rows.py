"""Rows of a window as standardised columns, and blocks of neighbouring rows.

What detectors of this folder share: angles enter as sine and cosine, every column is
standardised by the fit part, and rows that follow each other stand side by side in one
long vector, so that a relation in time is a relation between columns (W. Ku, R. H.
Storer, C. Georgakis, Chemometrics and Intelligent Laboratory Systems 30 (1995) 179).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices, Material
from tundish.learn.reach import Reach

STILL_STEP = 0.01
MOST_VECTORS = 20_000
_STILL = 1e-9


@dataclass(frozen=True, kw_only=True)
class RowColumns:
    """How a row of C channels becomes one of F standardised columns.

    Attributes:
        rows: T.
        names: Name of each channel, [C].
        plain: Channels that enter as they are.
        circular: Channels in degrees that enter as sine and cosine.
        middle, half: Middle and half width of each channel's plausible range, [C].
        mean, std: Of each column in the fit part, [F].
        still: Channels that did not move in the fit part.
    """

    rows: int
    names: tuple[str, ...]
    plain: Indices
    circular: Indices
    middle: Floats
    half: Floats
    mean: Floats
    std: Floats
    still: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Number of columns of a row (F)."""
        return len(self.plain) + 2 * len(self.circular)

    @property
    def owner(self) -> Indices:
        """Return the channel of each column, [F]."""
        return np.concatenate([self.plain, self.circular, self.circular])

    def of(self, window: NDArray[np.floating]) -> Floats:
        """Return the standardised columns of windows, [N, T, F]."""
        return np.asarray((_columns(window, self) - self.mean) / self.std)

    @property
    def reach(self) -> Reach:
        """Return how far windows reach to the edge of the plausible ranges.

        Being far from the fit part is what a score reports; only a value that the
        instrument cannot mean makes a detector keep silent.
        """
        return Reach(middle=self.middle, half=self.half)

    def notes(self) -> list[str]:
        """Return what a reader must know of still channels."""
        if not self.still:
            return []
        listed = ", ".join(self.still)
        return [
            f"{listed} did not move in the fit part: a step of {STILL_STEP:.0%} of half "
            "the plausible range counts as one standard deviation of it"
        ]


def _columns(window: NDArray[np.floating], columns: RowColumns) -> Floats:
    wide = window.astype(np.float64)
    radians = np.deg2rad(wide[:, :, columns.circular])
    parts = (wide[:, :, columns.plain], np.sin(radians), np.cos(radians))
    return np.concatenate(parts, axis=2)


def fit_columns(x: NDArray[np.float32], scenario: Scenario) -> RowColumns:
    """Return the columns of a scenario, standardised by normal windows [N, T, C].

    A channel that never moves has no spread; a hundredth of half its plausible range
    stands for it, so that its first real move is unusual and not infinitely so.
    """
    names, circular, ranges = [], [], []
    for signal in scenario.signals:
        names += [signal.name] * signal.channels
        circular += [signal.circular] * signal.channels
        ranges += [signal.range] * signal.channels
    low, high = np.asarray(ranges, dtype=np.float64).T
    turning = np.asarray(circular)
    bare = RowColumns(
        rows=scenario.window.rows,
        names=tuple(names),
        plain=np.flatnonzero(~turning).astype(np.int64),
        circular=np.flatnonzero(turning).astype(np.int64),
        middle=(low + high) / 2.0,
        half=(high - low) / 2.0,
        mean=np.zeros(1),
        std=np.ones(1),
    )
    raw = _columns(x, bare).reshape(-1, bare.width)
    mean, std = raw.mean(axis=0), raw.std(axis=0)
    still = std <= _STILL * np.maximum(1.0, np.abs(mean))
    wide = np.concatenate([bare.half[bare.plain], np.ones(2 * len(bare.circular))])
    return RowColumns(
        rows=bare.rows,
        names=bare.names,
        plain=bare.plain,
        circular=bare.circular,
        middle=bare.middle,
        half=bare.half,
        mean=mean,
        std=np.where(still, STILL_STEP * wide, std),
        still=tuple(dict.fromkeys(names[at] for at in bare.owner[still])),
    )


def block_rows(rows: int, size: int, step: int) -> Indices:
    """Return the rows of each block of a window, oldest first, [B, size].

    The newest block ends at the newest row; each earlier one ends ``step`` rows before.
    """
    ends = np.arange(rows, size - 1, -step)
    return np.stack([np.arange(end - size, end) for end in ends]).astype(np.int64)


def vectors_of(fit: Material, columns: RowColumns, size: int) -> Floats:
    """Return each block of ``size`` rows of the fit part once, in order, [M, size * F].

    A window that goes on where the last one stood brings only its newest block; else
    every row would count as often as there are windows over it.
    """
    z = columns.of(fit.x)
    ends = block_rows(columns.rows, size, 1)[::-1]
    goes_on = np.zeros(len(z), dtype=bool)
    goes_on[1:] = (fit.x[1:, :-1] == fit.x[:-1, 1:]).all(axis=(1, 2)) & (
        fit.source[1:] == fit.source[:-1]
    )
    first = np.flatnonzero(~goes_on)
    parts = [
        z[a : a + 1, ends].reshape(len(ends), -1)
        if b == a + 1
        else np.concatenate(
            [
                z[a : a + 1, ends].reshape(len(ends), -1),
                z[a + 1 : b, columns.rows - size :].reshape(b - a - 1, -1),
            ]
        )
        for a, b in zip(first, [*first[1:], len(z)], strict=True)
    ]
    found = np.concatenate(parts)
    if len(found) > MOST_VECTORS:
        found = found[np.linspace(0, len(found) - 1, MOST_VECTORS).astype(np.int64)]
    return found


def add_centred(writer: GraphWriter, raw: str, columns: RowColumns) -> str:
    """Add ``RowColumns.of`` before the division by the spread, [N, T, F].

    Who divides later divides fewer numbers, or puts the spread into a weight.

    Args:
        writer: The graph.
        raw: [N, T, C] in double.
        columns: Which.
    """
    parts = []
    if len(columns.plain):
        parts.append(writer.pick(raw, columns.plain, hint="plain"))
    if len(columns.circular):
        degrees = writer.pick(raw, columns.circular, hint="degrees")
        factor = writer.constant(np.array([np.pi / 180.0]), "radians_per_degree")
        radians = writer.add("Mul", degrees, factor, hint="radians")
        parts += [writer.add("Sin", radians), writer.add("Cos", radians)]
    wide = parts[0]
    if len(parts) > 1:
        wide = writer.add("Concat", *parts, axis=2, hint="columns")
    mean = writer.constant(columns.mean, "mean")
    return writer.add("Sub", wide, mean, hint="centred")


def add_blocks(
    writer: GraphWriter, z: str, places: Indices, form: tuple[int, int]
) -> str:
    """Add the rows of each block side by side as one vector, [N, B, size * F].

    Args:
        writer: The graph.
        z: Columns of rows, [N, *form] in double.
        places: The rows of each block, the newest block first, [B, size].
        form: Rows and columns.
    """
    rows, width = form
    flat = places[::-1].reshape(-1)  # the oldest block first
    if (np.diff(flat) == 1).all():  # blocks end to end: nothing to copy
        picked = writer.pick(z, flat, width=rows, axis=1, hint="picked")
    else:
        index = writer.constant(flat, "block_rows")
        picked = writer.add("Gather", z, index, axis=1, hint="picked")
    count, size = places.shape
    shape = writer.constant(np.array([-1, count, size * width]), "blocks_shape")
    return writer.add("Reshape", picked, shape, hint="blocks")
