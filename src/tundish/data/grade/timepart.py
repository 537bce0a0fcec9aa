"""What is known of the times of a piece of a table; joins exactly like ``Partial``."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tundish.data.grade.kernels import Hashes, Ints
from tundish.data.times import NO_TIME

MOST_STEPS = 20_000
MOST_GAPS = 256
MOST_TWINS = 10_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Twins:
    """Rows at one time: how many are at least half filled, and their different hashes."""

    us: int
    rows: int
    hashes: Hashes

    @property
    def copies(self) -> int:
        """Rows that repeat another one of the same time."""
        full = len(self.hashes) >= MOST_TWINS  # then nobody knows
        return 0 if full else self.rows - len(self.hashes)

    def joined(self, other: Twins) -> Twins:
        """Return the rows of both."""
        hashes = np.union1d(self.hashes, other.hashes)[:MOST_TWINS]
        return replace(self, rows=self.rows + other.rows, hashes=hashes)


@dataclass(frozen=True, kw_only=True, eq=False)
class TimePart:
    """Times of a piece.

    Attributes:
        rows: All rows.
        known: Rows with a time; the others are passed over.
        low, high: Earliest and latest.
        steps, counts: Different steps forward in microseconds, and how often, [s]; the
            rarest are dropped above ``MOST_STEPS``, and ``cut`` is set.
        gaps: The longest steps: microseconds, and the time before; [g, 2].
        twice: Steps of zero, with the time of the first and the last.
        back: Steps back, with the time of the first and the last.
        copies: Rows that repeat another one, edges left out.
        head, tail: The rows at the first and at the last time, which the border may
            join with others; the same if there is one time only.
    """

    rows: int
    known: int
    low: int
    high: int
    steps: Ints
    counts: Ints
    cut: bool
    gaps: Ints
    twice: tuple[int, int, int]
    back: tuple[int, int, int]
    copies: int
    head: Twins | None
    tail: Twins | None

    @staticmethod
    def of(us: Ints, hashes: Hashes) -> TimePart:
        """Look at the times of a piece, in the order of its rows.

        Args:
            us: Microseconds; ``NO_TIME`` where there is none, [n].
            hashes: Hash of the rows that share their time with a neighbour, else 0, [n].
        """
        rows = len(us)
        fine = us != NO_TIME
        if not fine.all():
            us, hashes = us[fine], hashes[fine]
        if not len(us):
            return _nothing(rows)
        sizes = np.diff(us)
        steps, counts = np.unique(sizes[sizes > 0], return_counts=True)
        twice, back = np.flatnonzero(sizes == 0), np.flatnonzero(sizes < 0)
        first = int(np.argmax(us != us[0])) if (us != us[0]).any() else len(us)
        last = len(us) - (int(np.argmax(us[::-1] != us[-1])) if first < len(us) else 0)
        inner = slice(first, last) if first < len(us) else slice(0, 0)
        return _bounded(
            TimePart(
                rows=rows,
                known=len(us),
                low=int(us.min()),
                high=int(us.max()),
                steps=steps,
                counts=counts,
                cut=False,
                gaps=_gaps(us, sizes),
                twice=_stretch(us, twice),
                back=_stretch(us, back),
                copies=_copies(us[inner], hashes[inner]),
                head=_twins(int(us[0]), hashes[:first]),
                tail=_twins(int(us[-1]), hashes[last:] if first < len(us) else hashes),
            )
        )

    def merge(self, later: TimePart) -> TimePart:
        """Join with the times that follow."""
        if self.tail is None or self.head is None:
            return replace(later, rows=self.rows + later.rows)
        if later.tail is None or later.head is None:
            return replace(self, rows=self.rows + later.rows)
        size = later.head.us - self.tail.us
        at = self.tail.us
        steps = np.concatenate((self.steps, later.steps, [size] if size > 0 else []))
        counts = np.concatenate((self.counts, later.counts, [1] if size > 0 else []))
        levels, where = np.unique(steps.astype(np.int64), return_inverse=True)
        total = np.zeros(len(levels), dtype=np.int64)
        np.add.at(total, where, counts.astype(np.int64))
        crossing = np.array([[size, at]] if size > 0 else np.empty((0, 2)), np.int64)
        head, tail, copies = _border(self, later)
        return _bounded(
            TimePart(
                rows=self.rows + later.rows,
                known=self.known + later.known,
                low=min(self.low, later.low),
                high=max(self.high, later.high),
                steps=levels,
                counts=total,
                cut=self.cut or later.cut,
                gaps=_longest(np.concatenate((self.gaps, crossing, later.gaps))),
                twice=_both(self.twice, later.twice, at if size == 0 else None),
                back=_both(self.back, later.back, at if size < 0 else None),
                copies=self.copies + later.copies + copies,
                head=head,
                tail=tail,
            )
        )

    def closed(self) -> TimePart:
        """Count the copies at the edges too: nothing follows any more."""
        if self.head is None or self.tail is None:
            return self
        edges = [self.head] if self.head.us == self.tail.us else [self.head, self.tail]
        return replace(self, copies=self.copies + sum(e.copies for e in edges))


def _nothing(rows: int) -> TimePart:
    none = np.zeros(0, dtype=np.int64)
    return TimePart(
        rows=rows,
        known=0,
        low=NO_TIME,
        high=NO_TIME,
        steps=none,
        counts=none,
        cut=False,
        gaps=np.zeros((0, 2), dtype=np.int64),
        twice=(0, 0, 0),
        back=(0, 0, 0),
        copies=0,
        head=None,
        tail=None,
    )


def _bounded(part: TimePart) -> TimePart:
    if len(part.steps) <= MOST_STEPS:
        return part
    kept = np.sort(np.argsort(-part.counts, kind="stable")[:MOST_STEPS])
    return replace(part, steps=part.steps[kept], counts=part.counts[kept], cut=True)


def _gaps(us: Ints, sizes: Ints) -> Ints:
    if len(sizes) > MOST_GAPS:
        least = max(1, int(np.partition(sizes, -MOST_GAPS)[-MOST_GAPS]))
        ties = np.flatnonzero(sizes == least)[:MOST_GAPS]
        at = np.concatenate((np.flatnonzero(sizes > least), ties))
    else:
        at = np.flatnonzero(sizes > 0)
    return _longest(np.stack((sizes[at], us[at]), axis=1))


def _longest(gaps: Ints) -> Ints:
    return gaps[np.lexsort((gaps[:, 1], -gaps[:, 0]))[:MOST_GAPS]]


def _stretch(us: Ints, at: Ints) -> tuple[int, int, int]:
    return (len(at), int(us[at[0]]), int(us[at[-1]])) if len(at) else (0, 0, 0)


def _both(
    a: tuple[int, int, int], b: tuple[int, int, int], between: int | None
) -> tuple[int, int, int]:
    parts = [a, b] if between is None else [a, (1, between, between), b]
    parts = [part for part in parts if part[0]]
    if not parts:
        return (0, 0, 0)
    return (sum(part[0] for part in parts), parts[0][1], parts[-1][2])


def _twins(us: int, hashes: Hashes) -> Twins:
    held = hashes[hashes != 0]
    return Twins(us=us, rows=len(held), hashes=np.unique(held)[:MOST_TWINS])


def _copies(us: Ints, hashes: Hashes) -> int:
    """Count rows whose time and hash stood before; rows of one time lie together."""
    held = np.flatnonzero(hashes)
    if len(held) < 2:
        return 0
    pairs = np.stack((us[held].view(np.uint64), hashes[held]), axis=1)
    return len(pairs) - len(np.unique(pairs, axis=0))


def _border(a: TimePart, b: TimePart) -> tuple[Twins | None, Twins | None, int]:
    """Return the rows at the outer times, and the copies that the border completes."""
    if a.head is None or a.tail is None or b.head is None or b.tail is None:
        return a.head or b.head, b.tail or a.tail, 0
    same = a.tail.us == b.head.us
    middle = [a.tail.joined(b.head)] if same else [a.tail, b.head]
    runs = middle if a.head.us == a.tail.us else [a.head, *middle]
    runs = runs if b.head.us == b.tail.us else [*runs, b.tail]
    return runs[0], runs[-1], sum(run.copies for run in runs[1:-1])
