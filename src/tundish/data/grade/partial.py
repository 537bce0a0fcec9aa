"""What is known of a piece of a table, so that pieces add up to the whole.

``Partial.of`` looks at one piece, ``merge`` joins two that follow each other. Joining is
associative: any cut of a table into pieces gives the same state, because each count is
kept with what crosses a border: the open constant run at either edge, empty cells at the
edges, the last rows for jumps, rows with the time of the border. Its size does not grow
with the rows: sketches, blocks and the lists of longest runs and largest jumps are
bounded, and the bounds do not depend on the cut.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tundish.data.columns import side_by_side
from tundish.data.grade.kernels import Floats, Hashes, Ints, kernels
from tundish.data.grade.scan import LENGTHS
from tundish.data.grade.sketch import Sketch
from tundish.data.grade.timepart import TimePart
from tundish.data.times import NO_TIME

EDGE = 4
MOST_RUNS = 2000
MOST_JUMPS = 256
MOST_BLOCKS = 8192
SMALLEST_BLOCK = 10
SWING = 0.7
AGREE = 0.3
_RUN = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Piece:
    """Rows of a table that follow each other.

    Attributes:
        first: Number of the first row in the whole table.
        values: Values of each tag, NaN where missing, [tags][n].
        us: Times, or ``None``.
        texts: Hash of the other cells of each row, [n].
    """

    first: int
    values: tuple[Floats, ...]
    us: Ints | None
    texts: Hashes

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.texts)


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """A stretch of equal values, empty cells inside it passed over."""

    first: int
    last: int
    length: int
    value: float
    before: float

    def joined(self, later: Run) -> Run:
        """Return this run, continued by a later one of the same value."""
        return replace(self, last=later.last, length=self.length + later.length)

    @property
    def row(self) -> Floats:
        """The run as a row of a list of runs."""
        found = (self.first, self.last, self.length, self.value, self.before)
        return np.array([found], dtype=np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Empty:
    """Stretches of empty cells: at the edges, how many, and the longest."""

    lead: int
    trail: int
    stretches: int
    longest: int
    longest_at: int

    def merge(self, later: Empty, rows: tuple[int, int], border: int) -> Empty:
        """Join; ``rows`` are those of both pieces, ``border`` the later one's first."""
        touching = self.trail > 0 and later.lead > 0
        spans = [
            (self.longest, self.longest_at),
            (later.longest, later.longest_at),
            (self.trail + later.lead, border - self.trail),
        ]
        longest, at = max(spans, key=lambda span: (span[0], -span[1]))
        return Empty(
            lead=self.lead + (later.lead if self.lead == rows[0] else 0),
            trail=later.trail + (self.trail if later.trail == rows[1] else 0),
            stretches=self.stretches + later.stretches - touching,
            longest=longest,
            longest_at=at,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class TagPart:
    """What is known of one tag in a piece.

    Attributes:
        count: Filled cells.
        empty: Stretches of empty ones.
        head, tail: The first and the last run, still open; the same one if ``inner`` is
            0; ``None`` if nothing is filled.
        inner: Runs between them.
        ends: Of inner runs: low, high, cells at low and high, runs at low and high.
        lengths: Inner runs by length (the last: longer), [LENGTHS].
        runs: The longest inner runs of at least five cells, [m, 5].
        values, steps, offs: Sketches of values, of the sizes of steps that are not
            zero, and of deviations from the middle of two neighbours.
        jumps: The largest deviations that may be spikes: row, size, value; [m, 3].
    """

    count: int
    empty: Empty
    head: Run | None
    tail: Run | None
    inner: int
    ends: Floats
    lengths: Ints
    runs: Floats
    values: Sketch
    steps: Sketch
    offs: Sketch
    jumps: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Partial:
    """What is known of a piece of a table.

    Attributes:
        first, rows: Its place.
        tags: Its tags, in order.
        opening, closing: Its first and last eight rows, [tags, <= 8].
        silent: Stretches in which all tags are empty, and how many rows.
        shift: Binary logarithm of the rows of a block.
        moves: Steps, and steps with a change, by tag and block, [2, tags, blocks].
        times: What is known of the times, or ``None``.
    """

    first: int
    rows: int
    tags: tuple[TagPart, ...]
    opening: Floats
    closing: Floats
    silent: tuple[Empty, int]
    shift: int
    moves: NDArray[np.int32]
    times: TimePart | None

    @staticmethod
    def of(piece: Piece) -> Partial:
        """Look at one piece of at least one row."""
        kernels()
        shift = _shift(piece.first, piece.rows)

        def one(values: Floats) -> tuple[TagPart, NDArray[np.int32]]:
            return _tag(values, piece.first), _moves(values, piece.first, shift)

        found = side_by_side(one, piece.values, piece.rows)
        matrix = [values[: 2 * EDGE] for values in piece.values]
        ending = [values[-2 * EDGE :] for values in piece.values]
        shape = (len(piece.values), min(2 * EDGE, piece.rows))
        return Partial(
            first=piece.first,
            rows=piece.rows,
            tags=tuple(part for part, _ in found),
            opening=np.array(matrix).reshape(shape),
            closing=np.array(ending).reshape(shape),
            silent=_silent(piece),
            shift=shift,
            moves=np.array([moves for _, moves in found], dtype=np.int32)
            .reshape(len(found), 2, _blocks(piece.first, piece.rows, shift))
            .transpose(1, 0, 2),
            times=None if piece.us is None else TimePart.of(piece.us, _hashes(piece)),
        )

    def merge(self, later: Partial) -> Partial:
        """Join with the piece that follows.

        Raises:
            ValueError: if the other piece does not begin where this one ends.
        """
        if later.first != self.first + self.rows:
            msg = f"Rows from {later.first} do not follow row {self.first + self.rows}."
            raise ValueError(msg)
        rows = self.rows + later.rows
        border = np.concatenate((self.closing, later.opening), axis=1)
        begin = later.first - self.closing.shape[1]
        inner = (EDGE, border.shape[1] - EDGE)
        tags = tuple(
            _merged(a, b, self, later)
            for a, b in zip(self.tags, later.tags, strict=True)
        )
        if inner[1] > inner[0]:
            tags = tuple(
                _with_jumps(tag, np.ascontiguousarray(values), inner, begin)
                for tag, values in zip(tags, border, strict=True)
            )
        return Partial(
            first=self.first,
            rows=rows,
            tags=tags,
            opening=np.concatenate((self.opening, later.opening), axis=1)[:, : 2 * EDGE]
            if self.rows < 2 * EDGE
            else self.opening,
            closing=border[:, -2 * EDGE :] if later.rows < 2 * EDGE else later.closing,
            silent=(
                self.silent[0].merge(
                    later.silent[0], (self.rows, later.rows), later.first
                ),
                self.silent[1] + later.silent[1],
            ),
            shift=_shift(self.first, rows),
            moves=_joined_moves(self, later),
            times=self.times.merge(later.times) if self.times and later.times else None,
        )

    def closed(self) -> Partial:
        """Return the state with its edges closed: nothing follows any more."""
        tags = []
        for i, tag in enumerate(self.tags):
            done = _closed(tag)
            if self.rows < 2 * EDGE:
                whole = np.ascontiguousarray(self.opening[i])
                done = _with_jumps(done, whole, (0, self.rows), self.first)
            else:
                begin = self.first + self.rows - 2 * EDGE
                opening = np.ascontiguousarray(self.opening[i])
                closing = np.ascontiguousarray(self.closing[i])
                done = _with_jumps(done, opening, (0, EDGE), self.first)
                done = _with_jumps(done, closing, (EDGE, 2 * EDGE), begin)
            tags.append(done)
        times = self.times.closed() if self.times else None
        return replace(self, tags=tuple(tags), times=times)


def _shift(first: int, rows: int) -> int:
    """Return the least block size at which the rows lie in at most ``MOST_BLOCKS``."""
    shift = SMALLEST_BLOCK
    while _blocks(first, rows, shift) > MOST_BLOCKS:
        shift += 1
    return shift


def _blocks(first: int, rows: int, shift: int) -> int:
    return ((first + rows - 1) >> shift) - (first >> shift) + 1


def _tag(values: Floats, first: int) -> TagPart:
    n = len(values)
    lengths = np.zeros(LENGTHS, dtype=np.int64)
    runs = np.empty((n // 5 + 1, _RUN))
    kept = np.zeros(7, dtype=np.int64)
    out = np.empty(16)
    kernels().follow(values, runs, lengths, kept, out)
    long, count, lead, trail, stretches, longest_at, longest = kept.tolist()
    found = runs[:long]
    found[:, :2] += first
    steps, offs = np.empty(n), np.empty(n)
    kernels().jumps(values, steps, offs)
    part = TagPart(
        count=count,
        empty=Empty(
            lead=lead,
            trail=trail,
            stretches=stretches,
            longest=longest,
            longest_at=first + longest_at,
        ),
        head=_run(out[:_RUN], first),
        tail=_run(out[_RUN : 2 * _RUN], first),
        inner=int(lengths.sum()),
        ends=out[2 * _RUN :].copy(),
        lengths=lengths,
        runs=_longest(found),
        values=Sketch.of(values),
        steps=Sketch.of(steps[EDGE : max(EDGE, n - EDGE)]),
        offs=Sketch.of(offs[EDGE : max(EDGE, n - EDGE)]),
        jumps=np.empty((0, 3)),
    )
    return replace(part, jumps=_largest(_jumps(values, (EDGE, n - EDGE), first)))


def _run(row: Floats, first: int) -> Run | None:
    if np.isnan(row[0]):
        return None
    return Run(
        first=int(row[0]) + first,
        last=int(row[1]) + first,
        length=int(row[2]),
        value=float(row[3]),
        before=float(row[4]),
    )


def _longest(runs: Floats) -> Floats:
    order = np.lexsort((runs[:, 0], -runs[:, 2]))[:MOST_RUNS]
    return runs[order]


def _jumps(values: Floats, inside: tuple[int, int], first: int) -> Floats:
    """Return what may be spikes at the places from ``inside[0]`` to ``inside[1]``."""
    found = np.empty((MOST_JUMPS + 2 * EDGE, 3))
    held = kernels().candidates(values, (0.0, SWING, AGREE), found)
    found = found[:held]
    found = found[(found[:, 0] >= inside[0]) & (found[:, 0] < inside[1])]
    found[:, 0] += first
    return found


def _largest(jumps: Floats) -> Floats:
    order = np.lexsort((jumps[:, 0], -jumps[:, 1]))[:MOST_JUMPS]
    return jumps[order]


def _with_jumps(
    tag: TagPart, values: Floats, inside: tuple[int, int], first: int
) -> TagPart:
    """Add the places of a small window that could not be judged before."""
    steps, offs = np.empty(len(values)), np.empty(len(values))
    kernels().jumps(values, steps, offs)
    some = slice(*inside)
    more = _jumps(values, inside, first)
    return replace(
        tag,
        steps=tag.steps.merge(Sketch.of(steps[some])),
        offs=tag.offs.merge(Sketch.of(offs[some])),
        jumps=_largest(np.concatenate((tag.jumps, more))) if len(more) else tag.jumps,
    )


def _moves(values: Floats, first: int, shift: int) -> NDArray[np.int32]:
    blocks = _blocks(first, len(values), shift)
    steps, changes = np.zeros(blocks, np.int64), np.zeros(blocks, np.int64)
    kernels().activity(values, (first, shift), steps, changes)
    return np.array([steps, changes], dtype=np.int32)


def _joined_moves(a: Partial, b: Partial) -> NDArray[np.int32]:
    shift = _shift(a.first, a.rows + b.rows)
    base = a.first >> shift
    blocks = _blocks(a.first, a.rows + b.rows, shift)
    moves = np.zeros((2, len(a.tags), blocks), dtype=np.int32)
    for part in (a, b):
        at = (np.arange(part.moves.shape[2]) + (part.first >> part.shift)) >> (
            shift - part.shift
        )
        for to in np.unique(at - base).tolist():
            moves[:, :, to] += part.moves[:, :, at - base == to].sum(axis=2)
    for i, (one, two) in enumerate(zip(a.tags, b.tags, strict=True)):
        if one.tail and two.head:
            block = (two.head.first >> shift) - base
            moves[0, i, block] += 1
            moves[1, i, block] += one.tail.value != two.head.value
    return moves


def _silent(piece: Piece) -> tuple[Empty, int]:
    rows = np.arange(piece.rows)
    for values in piece.values:
        rows = rows[np.isnan(values[rows])]
        if not len(rows):
            break
    marks = np.zeros(piece.rows)
    marks[rows] = np.nan
    if len(piece.values) < 2:
        marks[:] = 0.0
    kept = np.zeros(7, dtype=np.int64)
    kernels().follow(
        marks, np.empty((0, _RUN)), np.zeros(LENGTHS, np.int64), kept, np.empty(16)
    )
    _, filled, lead, trail, stretches, at, longest = kept.tolist()
    empty = Empty(
        lead=lead,
        trail=trail,
        stretches=stretches,
        longest=longest,
        longest_at=piece.first + at,
    )
    return empty, piece.rows - filled


def _hashes(piece: Piece) -> Hashes:
    """Return a hash of each row that shares its time with a neighbour; 0 for others.

    Rows that are less than half filled count as no copies: 0 as well.
    """
    us = piece.us
    found = np.zeros(piece.rows, dtype=np.uint64)
    if us is None:
        return found
    same = us[1:] == us[:-1]
    twins = np.zeros(piece.rows, dtype=bool)
    twins[1:] |= same
    twins[:-1] |= same
    known = us[us != NO_TIME]
    if len(known):  # a twin may stand beyond the border
        twins |= (us == known[0]) | (us == known[-1])
    rows = np.flatnonzero(twins)
    state = piece.texts[rows].copy()
    filled = np.zeros(len(rows), dtype=np.int64)
    for values in piece.values:
        some = np.ascontiguousarray(values[rows])
        kernels().mix_numbers(some.view(np.uint64), state)
        filled += np.isfinite(some)
    half = filled >= max(1, len(piece.values) / 2)
    found[rows] = np.where(half, state | np.uint64(1), np.uint64(0))
    return found


def _merged(a: TagPart, b: TagPart, one: Partial, two: Partial) -> TagPart:
    """Join two states of a tag, except for jumps across the border."""
    head, tail, closed = _border(a, b)
    ends, lengths = _joined_ends(a.ends, b.ends), a.lengths + b.lengths
    runs = np.concatenate((a.runs, b.runs))
    for run in closed:
        ends, more = _joined_ends(ends, _ends_of(run)), run.row
        lengths[min(run.length, LENGTHS) - 1] += 1
        if run.length >= 5:
            runs = np.concatenate((runs, more))
    return TagPart(
        count=a.count + b.count,
        empty=a.empty.merge(b.empty, (one.rows, two.rows), two.first),
        head=head,
        tail=tail,
        inner=a.inner + b.inner + len(closed),
        ends=ends,
        lengths=lengths,
        runs=_longest(runs),
        values=a.values.merge(b.values),
        steps=a.steps.merge(b.steps),
        offs=a.offs.merge(b.offs),
        jumps=_largest(np.concatenate((a.jumps, b.jumps))),
    )


def _single(tag: TagPart) -> bool:
    return (
        tag.head is not None
        and tag.tail is not None
        and tag.head.first == tag.tail.first
    )


def _border(a: TagPart, b: TagPart) -> tuple[Run | None, Run | None, tuple[Run, ...]]:
    """Return the open runs at the outer edges, and those that the border closes."""
    if a.tail is None or a.head is None:
        return b.head, b.tail, ()
    if b.tail is None or b.head is None:
        return a.head, a.tail, ()
    if a.tail.value == b.head.value:
        middle = [a.tail.joined(b.head)]
    else:
        middle = [a.tail, replace(b.head, before=a.tail.value)]
    runs = middle if _single(a) else [a.head, *middle]
    runs = runs if _single(b) else [*runs, b.tail]
    return runs[0], runs[-1], tuple(runs[1:-1])


def _ends_of(run: Run) -> Floats:
    value, cells = run.value, run.length
    return np.array([value, value, cells, cells, 1, 1], dtype=np.float64)


def _joined_ends(a: Floats, b: Floats) -> Floats:
    low, high = min(a[0], b[0]), max(a[1], b[1])
    found = np.array([low, high, 0, 0, 0, 0], dtype=np.float64)
    for ends in (a, b):
        found[[2, 4]] += ends[[2, 4]] * (ends[0] == low)
        found[[3, 5]] += ends[[3, 5]] * (ends[1] == high)
    return found


def _closed(tag: TagPart) -> TagPart:
    """Close the runs at both edges."""
    if tag.head is None or tag.tail is None:
        return tag
    open_runs = (tag.head,) if _single(tag) else (tag.head, tag.tail)
    ends, lengths, runs = tag.ends, tag.lengths.copy(), tag.runs
    for run in open_runs:
        ends = _joined_ends(ends, _ends_of(run))
        lengths[min(run.length, LENGTHS) - 1] += 1
        if run.length >= 5:
            runs = np.concatenate((runs, run.row))
    return replace(
        tag,
        inner=tag.inner + len(open_runs),
        ends=ends,
        lengths=lengths,
        runs=_longest(runs),
    )
