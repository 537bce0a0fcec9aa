"""The compiled loops over one column: each value is touched once per loop, nothing is copied.

Values come in the order of units and time, NaN where missing; ``starts`` marks where a
unit begins. The loops release the interpreter's lock, so columns run side by side in
threads. They have one signature each, which takes arrays that are read-only: what a
first process compiled, later ones load from the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from tundish.kernel import settings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Hashes = NDArray[np.uint64]

Loop = TypeVar("Loop", bound=Callable[..., object])

BLOCK = 512
AROUND = 3


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """The loops, compiled; see the functions of the same names."""

    fused: Callable[[Floats, Bools, Ints, Ints, Floats], None]
    histogram: Callable[[Floats, float, float, Ints], None]
    off_histogram: Callable[[Floats, Bools, tuple[float, float], Ints], None]
    step_histogram: Callable[[Floats, tuple[float, float], Ints], None]
    spikes: Callable[[Floats, Bools, tuple[float, float, float], Ints], int]
    every: Callable[[Floats, int, Floats], int]
    moving: Callable[[Floats], tuple[int, int]]
    mix: Callable[[Hashes, Hashes], None]
    mix_numbers: Callable[[Hashes, Hashes], None]
    largest: Callable[[Floats], float]
    sketch: Callable[[Floats, int, Ints, Ints, int], int]
    follow: Callable[[Floats, Floats, Ints, Ints, Floats], None]
    jumps: Callable[[Floats, Floats, Floats], None]
    candidates: Callable[[Floats, tuple[float, float, float], Floats], int]
    activity: Callable[[Floats, tuple[int, int], Ints, Ints], None]


def fused(  # noqa: C901, PLR0912, PLR0915  (one loop touches each value once)
    values: Floats, starts: Bools, lengths: Ints, runs: Ints, out: Floats
) -> None:
    """Count, take moments and extremes, follow constant runs, find the largest jumps.

    Args:
        values: Shape [n].
        starts: Shape [n].
        lengths: Filled with the number of runs by length (the last: longer), [L].
        runs: Filled with first place, last place and cells of runs of at least five
            cells, [R, 3].
        out: Filled with count, low, high, cells at low, cells at high, mean, sum of
            squares about it, steps, changes, runs kept, largest step, largest
            deviation from the middle of two neighbours, [12].
    """
    n = len(values)
    count = kept = at_low = at_high = steps = changes = first = last = length = 0
    low, high = np.inf, -np.inf
    mean = square = previous = largest_step = largest_off = 0.0
    for begin in range(0, n, BLOCK):
        end = min(begin + BLOCK, n)
        taken, total, squares = 0, 0.0, 0.0
        for i in range(begin, end):
            x = values[i]
            if starts[i] and length:
                lengths[min(length, len(lengths)) - 1] += 1
                if length >= 5 and kept < len(runs):
                    runs[kept, 0], runs[kept, 1], runs[kept, 2] = first, last, length
                    kept += 1
                length = 0
            if x != x:
                continue
            taken += 1
            shifted = x - mean
            total += shifted
            squares += shifted * shifted
            if length:
                steps += 1
                if x == previous:
                    length += 1
                    last = i
                    at_low += x == low
                    at_high += x == high
                    continue
                changes += 1
                if length == 1:
                    lengths[0] += 1
                else:
                    lengths[min(length, len(lengths)) - 1] += 1
                    if length >= 5 and kept < len(runs):
                        runs[kept, 0], runs[kept, 1], runs[kept, 2] = (
                            first,
                            last,
                            length,
                        )
                        kept += 1
            if x <= low:
                at_low = at_low * (x == low) + 1
                low = x
            if x >= high:
                at_high = at_high * (x == high) + 1
                high = x
            previous = x
            first = last = i
            length = 1
        if taken:
            part = total / taken
            within = max(squares - total * part, 0.0)
            both = count + taken
            square += within + part * part * (count * (taken / both))
            mean += total / both
            count = both
    if length:
        lengths[min(length, len(lengths)) - 1] += 1
        if length >= 5 and kept < len(runs):
            runs[kept, 0], runs[kept, 1], runs[kept, 2] = first, last, length
            kept += 1
    for i in range(1, n):
        largest_step = max(largest_step, abs(values[i] - values[i - 1]))
    for i in range(1, n - 1):
        off = abs(values[i] - 0.5 * (values[i - 1] + values[i + 1]))
        if off > largest_off and not starts[i] and not starts[i + 1]:
            largest_off = off
    if not count:
        low = high = mean = np.nan
    out[0], out[1], out[2] = count, low, high
    out[3], out[4], out[5], out[6] = at_low, at_high, mean, square
    out[7], out[8], out[9] = steps, changes, kept
    out[10], out[11] = largest_step, largest_off


def histogram(values: Floats, low: float, high: float, counts: Ints) -> None:
    """Count values from ``low`` to ``high`` in equal bins."""
    scale = len(counts) / (high - low)
    top = len(counts) - 1
    for i in range(len(values)):
        x = values[i]
        if x >= low and x <= high:
            counts[min(int((x - low) * scale), top)] += 1


def off_histogram(
    values: Floats, starts: Bools, span: tuple[float, float], counts: Ints
) -> None:
    """Count how far cells stand off the middle of their two neighbours, in equal bins."""
    low, high = span
    scale = len(counts) / (high - low)
    top = len(counts) - 1
    for i in range(1, len(values) - 1):
        off = abs(values[i] - 0.5 * (values[i - 1] + values[i + 1]))
        if off >= low and off <= high and not starts[i] and not starts[i + 1]:
            counts[min(int((off - low) * scale), top)] += 1


def step_histogram(values: Floats, span: tuple[float, float], counts: Ints) -> None:
    """Count the sizes of steps between neighbouring cells, zero left out."""
    low, high = span
    scale = len(counts) / (high - low)
    top = len(counts) - 1
    for i in range(1, len(values)):
        step = abs(values[i] - values[i - 1])
        if step > 0 and step >= low and step <= high:
            counts[min(int((step - low) * scale), top)] += 1


def spikes(
    values: Floats, starts: Bools, terms: tuple[float, float, float], found: Ints
) -> int:
    """Find cells that stand off both neighbours, which agree, and off alone.

    Args:
        values: Shape [n].
        starts: Shape [n].
        terms: Least deviation; least share of it that another one within three rows
            must not exceed; largest share by which the neighbours may differ.
        found: Filled with their places, shape [m].

    Returns:
        How many there are; more than m if ``found`` was too short.
    """
    least, swing, agree = terms
    n = len(values)
    count = 0
    for i in range(1, n - 1):
        off = abs(values[i] - 0.5 * (values[i - 1] + values[i + 1]))
        if not off > least or starts[i] or starts[i + 1]:
            continue
        if not abs(values[i + 1] - values[i - 1]) <= agree * off:
            continue
        alone = True
        for j in range(max(1, i - AROUND), min(n - 1, i + AROUND + 1)):
            if j == i or starts[j] or starts[j + 1]:
                continue
            near = abs(values[j] - 0.5 * (values[j - 1] + values[j + 1]))
            if near > swing * off:
                alone = False
        if alone:
            if count < len(found):
                found[count] = i
            count += 1
    return count


def every(values: Floats, stride: int, out: Floats) -> int:
    """Take each ``stride``-th filled cell; return how many were taken."""
    taken = left = 0
    for i in range(len(values)):
        x = values[i]
        if x != x:
            continue
        if left == 0:
            if taken == len(out):
                break
            out[taken] = x
            taken += 1
            left = stride
        left -= 1
    return taken


def moving(values: Floats) -> tuple[int, int]:
    """Return the number of filled cells, and of steps between them that change."""
    filled = changes = 0
    previous = 0.0
    for i in range(len(values)):
        x = values[i]
        if x != x:
            continue
        changes += filled > 0 and x != previous
        filled += 1
        previous = x
    return filled, changes


def mix(words: Hashes, state: Hashes) -> None:
    """Mix one column's words into the hash of each row (multiply and rotate)."""
    factor = np.uint64(0x9E3779B97F4A7C15)
    for i in range(len(words)):
        h = state[i] ^ (words[i] * factor)
        h = (h << np.uint64(13)) | (h >> np.uint64(51))
        h *= factor
        state[i] = h ^ (h >> np.uint64(29))


def mix_numbers(words: Hashes, state: Hashes) -> None:
    """Mix the bits of one column of doubles; zeros are alike, and so are missing cells."""
    factor = np.uint64(0x9E3779B97F4A7C15)
    nothing = np.uint64(0x7FF8000000000000)
    endless = np.uint64(0x7FF0000000000000)
    unsigned = np.uint64(0x7FFFFFFFFFFFFFFF)
    for i in range(len(words)):
        word = words[i]
        size = word & unsigned
        if size > endless:
            word = nothing
        elif size == np.uint64(0):
            word = size
        h = state[i] ^ (word * factor)
        h = (h << np.uint64(13)) | (h >> np.uint64(51))
        h *= factor
        state[i] = h ^ (h >> np.uint64(29))


def largest(values: Floats) -> float:
    """Return the largest size of a finite value; 0 if there is none."""
    found = 0.0
    for i in range(len(values)):
        size = abs(values[i])
        if size > found and size < np.inf:
            found = size
    return found


def sketch(  # noqa: C901, PLR0912, PLR0915  (an open table, coarsened on the way)
    values: Floats, level: int, keys: Ints, counts: Ints, most: int
) -> int:
    """Count values in cells of width 2^level in an open table, coarsened when it fills.

    Args:
        values: Shape [n]; those that are not finite are left out.
        level: First level; a cell's key must fit 62 bits.
        keys: Zeros, a power of two long; filled with the keys.
        counts: Zeros; filled with the counts, 0 where no cell is.
        most: Cells that may be occupied.

    Returns:
        The level.
    """
    mask = len(keys) - 1
    factor = np.uint64(0x9E3779B97F4A7C15)
    scale = 2.0 ** float(-level)
    halves = level < -1000  # 2^1074 is no double
    if halves:
        scale = 2.0**1000
    held = 0
    last_key, last_place = 0, -1
    for i in range(len(values)):
        x = values[i]
        if not abs(x) < np.inf:
            continue
        scaled = x * scale
        if halves:
            scaled *= 2.0 ** float(-level - 1000)
        key = int(np.floor(scaled))
        if x < 0 and scaled == 0.0:  # too small for a double, and still below 0
            key = -1
        if last_place >= 0 and key == last_key:
            counts[last_place] += 1
            continue
        place = int((np.uint64(key) * factor) >> np.uint64(40)) & mask
        while counts[place] and keys[place] != key:
            place = (place + 1) & mask
        if not counts[place]:
            keys[place] = key
            held += 1
        counts[place] += 1
        last_key, last_place = key, place
        while held > most:
            level += 1
            halves = level < -1000
            scale = 2.0**1000 if halves else 2.0 ** float(-level)
            old_keys, old_counts = keys.copy(), counts.copy()
            counts[:] = 0
            held, last_place = 0, -1
            for j in range(len(old_keys)):
                if old_counts[j]:
                    key = old_keys[j] >> 1
                    place = int((np.uint64(key) * factor) >> np.uint64(40)) & mask
                    while counts[place] and keys[place] != key:
                        place = (place + 1) & mask
                    if not counts[place]:
                        keys[place] = key
                        held += 1
                    counts[place] += old_counts[j]
    return level


def follow(  # noqa: C901, PLR0912, PLR0915  (one loop touches each value once)
    values: Floats, runs: Floats, lengths: Ints, kept: Ints, out: Floats
) -> None:
    """Follow constant runs through one piece of a column; the edges stay open.

    Args:
        values: Shape [n].
        runs: Filled with first place, last place, cells, value and value before of
            inner runs of at least five cells, [R, 5].
        lengths: Filled with the number of inner runs by length (the last: longer), [L].
        kept: Filled with the number of such long runs (more than R if they did not
            fit), filled cells, leading, trailing empty cells, stretches of empty cells,
            first place and cells of the longest, [7].
        out: Filled with the first run and the last one (places, cells, value, value
            before; NaN if there is none), then of the inner runs low, high, cells at
            low, cells at high, runs at low, runs at high; [16].
    """
    n = len(values)
    count = first = last = length = long = closed = 0
    empty = stretches = longest = longest_at = lead = 0
    previous = before = np.nan
    low, high = np.inf, -np.inf
    at_low = at_high = touch_low = touch_high = 0
    for i in range(16):
        out[i] = np.nan
    for i in range(n + 1):
        ended = i == n
        x = np.nan if ended else values[i]
        if x != x and not ended:
            empty += 1
            continue
        if empty and (not ended or empty):
            stretches += 1
            if empty > longest:
                longest, longest_at = empty, i - empty
            if i == empty:
                lead = empty
            if not ended:
                empty = 0
        if not ended:
            count += 1
        if length and not ended and x == previous:
            length += 1
            last = i
            continue
        if length:
            if closed == 0:
                out[0], out[1], out[2], out[3], out[4] = (
                    first,
                    last,
                    length,
                    previous,
                    before,
                )
            elif not ended:
                lengths[min(length, len(lengths)) - 1] += 1
                if length >= 5:
                    if long < len(runs):
                        runs[long, 0], runs[long, 1], runs[long, 2] = (
                            first,
                            last,
                            length,
                        )
                        runs[long, 3], runs[long, 4] = previous, before
                    long += 1
                if previous < low:
                    low, at_low, touch_low = previous, 0, 0
                if previous > high:
                    high, at_high, touch_high = previous, 0, 0
                if previous == low:
                    at_low += length
                    touch_low += 1
                if previous == high:
                    at_high += length
                    touch_high += 1
            if ended:
                out[5], out[6], out[7], out[8], out[9] = (
                    first,
                    last,
                    length,
                    previous,
                    before,
                )
            closed += 1
            before = previous
        if not ended:
            previous = x
            first = last = i
            length = 1
    out[10], out[11], out[12], out[13] = low, high, at_low, at_high
    out[14], out[15] = touch_low, touch_high
    kept[0], kept[1], kept[2], kept[3] = long, count, lead, empty
    kept[4], kept[5], kept[6] = stretches, longest_at, longest


def jumps(values: Floats, steps: Floats, offs: Floats) -> None:
    """Take the sizes of steps, and of deviations from the middle of two neighbours.

    Args:
        values: Shape [n].
        steps: Filled for each cell but the first; NaN where there is none or it is 0.
        offs: Filled for each inner cell, else NaN.
    """
    n = len(values)
    for i in range(n):
        step = abs(values[i] - values[i - 1]) if i else np.nan
        steps[i] = step if step > 0 else np.nan
        inner = i > 0 and i < n - 1
        offs[i] = (
            abs(values[i] - 0.5 * (values[i - 1] + values[i + 1])) if inner else np.nan
        )


def candidates(values: Floats, terms: tuple[float, float, float], found: Floats) -> int:
    """Find what may be spikes in one piece; see ``spikes``, with no units inside.

    Args:
        values: Shape [n].
        terms: Least deviation, ``swing`` and ``agree``.
        found: Filled with place, deviation and value of the m largest, [m, 3].

    Returns:
        How many were filled in.
    """
    least, swing, agree = terms
    n = len(values)
    count = smallest = 0
    for i in range(1, n - 1):
        off = abs(values[i] - 0.5 * (values[i - 1] + values[i + 1]))
        if not off > least:
            continue
        if count == len(found) and off <= found[smallest, 1]:
            continue
        if not abs(values[i + 1] - values[i - 1]) <= agree * off:
            continue
        alone = True
        for j in range(max(1, i - AROUND), min(n - 1, i + AROUND + 1)):
            near = abs(values[j] - 0.5 * (values[j - 1] + values[j + 1]))
            if j != i and near > swing * off:
                alone = False
        if not alone:
            continue
        at = count if count < len(found) else smallest
        found[at, 0], found[at, 1], found[at, 2] = i, off, values[i]
        count = min(count + 1, len(found))
        if count == len(found):
            smallest = int(np.argmin(found[:, 1]))
    return count


def activity(
    values: Floats, place: tuple[int, int], steps: Ints, changes: Ints
) -> None:
    """Count steps between filled cells, and those that change, by blocks of rows.

    Args:
        values: Shape [n].
        place: Number of the first row, and the binary logarithm of a block's rows.
        steps: Filled; a step belongs to the block of its later cell, [b].
        changes: Filled, [b].
    """
    first, shift = place
    previous, started = 0.0, False
    for i in range(len(values)):
        x = values[i]
        if x != x:
            continue
        if started:
            block = ((first + i) >> shift) - (first >> shift)
            steps[block] += 1
            changes[block] += x != previous
        previous, started = x, True


@cache
def kernels() -> Kernels:
    """Compile on first use; later processes take the machine code from the cache."""
    from numba import types  # noqa: PLC0415  (half a second to load)

    void, real, whole = types.void, types.float64, types.int64
    numbers, fixed = types.Array(real, 1, "C"), types.Array(real, 1, "C", readonly=True)
    starts = types.Array(types.boolean, 1, "C", readonly=True)
    words = types.Array(types.uint64, 1, "C", readonly=True)
    state = types.Array(types.uint64, 1, "C")
    ints, runs = types.Array(whole, 1, "C"), types.Array(whole, 2, "C")
    table = types.Array(real, 2, "C")
    tuples = types.UniTuple
    places = tuples(whole, 2)  # type: ignore[no-untyped-call]
    pair, triple = tuples(real, 2), tuples(real, 3)  # type: ignore[no-untyped-call]
    return Kernels(
        fused=_compiled(fused, void(fixed, starts, ints, runs, numbers)),
        histogram=_compiled(histogram, void(fixed, real, real, ints)),
        off_histogram=_compiled(off_histogram, void(fixed, starts, pair, ints)),
        step_histogram=_compiled(step_histogram, void(fixed, pair, ints)),
        spikes=_compiled(spikes, whole(fixed, starts, triple, ints)),
        every=_compiled(every, whole(fixed, whole, numbers)),
        moving=_compiled(moving, places(fixed)),
        mix=_compiled(mix, void(words, state)),
        mix_numbers=_compiled(mix_numbers, void(words, state)),
        largest=_compiled(largest, real(fixed)),
        sketch=_compiled(sketch, whole(fixed, whole, ints, ints, whole)),
        follow=_compiled(follow, void(fixed, table, ints, ints, numbers)),
        jumps=_compiled(jumps, void(fixed, numbers, numbers)),
        candidates=_compiled(candidates, whole(fixed, triple, table)),
        activity=_compiled(activity, void(fixed, places, ints, ints)),
    )


def _compiled(loop: Loop, signature: object) -> Loop:
    settings.keep_numba_cache(Path(__file__).parent)
    from numba import njit  # noqa: PLC0415  (half a second to load)

    return cast("Loop", njit(cast("str", signature), cache=True, nogil=True)(loop))
