"""Q13: do the clocks of two sources agree? Told by signals that both of them saw.

The steps of two signals are correlated at every lag. A lag between different signals may
be a dead time of the process, so a clock is called wrong only if

* a tag of the same name stands in both sources and its steps agree at one lag (0.8), or
* at least three pairs of different tags agree (0.6) at one and the same lag: dead times
  differ from pair to pair, a clock does not.

The peak must stand out: outside its neighbourhood no lag reaches four fifths of it. Lags
below one row of the slower source cannot be seen. Where nothing moves alike in both
sources, nothing is said. Method: cross-correlation of first differences (Box and Jenkins,
Time Series Analysis, 1970, ch. 11).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from tundish.data.grade.sheet import Floats, Ints, Sheet, duration
from tundish.data.grade.tally import Notes, Tally
from tundish.data.times import NO_TIME

SAME_TAG = 0.8
OTHER_TAG = 0.6
AGREEING = 3
STANDS_OUT = 0.8
MIN_POINTS = 200
MOST_POINTS = 20_000
MOST_TAGS = 12
MOST_SHEETS = 20
NEIGHBOURHOOD = 3
LONGEST = 0.25


@dataclass(frozen=True, kw_only=True)
class Lag:
    """What two sources say of each other's clock.

    Attributes:
        steps: Rows by which the second is behind the first; 0 if they agree.
        us: The same in microseconds.
        strength: Correlation of the steps at that lag.
        by: Tags that show it.
    """

    steps: int
    us: int
    strength: float
    by: tuple[str, ...]


def agree(sheets: Sequence[Sheet]) -> Tally:
    """Compare the clocks of sources that cover the same time."""
    timed = [
        s for s in sheets if s.us is not None and not s.elapsed and not s.made_clock
    ]
    if len(sheets) < 2:
        return Tally(id="Q13", bad=0, of=0, detail="there is one source only")
    found: list[Tally] = []
    for one, other in combinations(timed[:MOST_SHEETS], 2):
        if one.alone and other.alone:
            continue  # two clocks of one historian's storage, not two clocks
        lag = lag_between(one, other)
        if lag is not None:
            found.append(_told(one, other, lag))
    if not found:
        detail = "no signal moves alike in two sources of the same time"
        return Tally(id="Q13", bad=0, of=0, detail=detail)
    return Tally(
        id="Q13",
        bad=sum(t.bad for t in found),
        of=len(found),
        detail=f"{len(found)} pairs of sources compared",
        findings=tuple(f for t in found for f in t.findings),
    )


def lag_between(one: Sheet, other: Sheet) -> Lag | None:
    """Return by how much the second source is behind the first, or nothing."""
    grid = _grid(one, other)
    if grid is None:
        return None
    step = int(grid[1] - grid[0])
    mine, theirs = _steps_on(one, grid), _steps_on(other, grid)
    named = {tag.lower(): tag for tag in theirs}
    lags: list[tuple[int, float, str]] = []
    for tag, moves in mine.items():
        twin = named.get(tag.lower())
        if twin is None:
            continue
        at, strength = peak(moves, theirs[twin])
        if strength >= SAME_TAG:
            return Lag(steps=at, us=at * step, strength=strength, by=(tag,))
    for tag, moves in mine.items():
        every = [(*peak(moves, far), name) for name, far in theirs.items()]
        at, strength, name = max(every, key=lambda e: e[1], default=(0, 0.0, ""))
        if strength >= OTHER_TAG:
            lags.append((at, strength, f"{tag} and {name}"))
    for at, strength, _ in sorted(lags, key=lambda e: -e[1]):
        same = [e for e in lags if abs(e[0] - at) <= 1]
        if len(same) >= AGREEING:
            by = tuple(e[2] for e in same)
            return Lag(steps=at, us=at * step, strength=strength, by=by)
    return None


def peak(one: Floats, other: Floats) -> tuple[int, float]:
    """Return the lag of the second behind the first, and the correlation there.

    Args:
        one: Steps of a signal, shape [n].
        other: Steps of another, shape [n].

    Returns:
        Lag in rows and absolute correlation; 0 and 0.0 if no peak stands out.
    """
    n = len(one)
    x, y = one - one.mean(), other - other.mean()
    size = float(np.sqrt((x**2).sum() * (y**2).sum()))
    if size == 0:
        return 0, 0.0
    room = 1 << int(2 * n - 1).bit_length()
    crossed = np.fft.irfft(np.fft.rfft(y, room) * np.conj(np.fft.rfft(x, room)), room)
    most = int(LONGEST * n)
    lags = np.concatenate((np.arange(most + 1), np.arange(-most, 0)))
    strength = np.abs(crossed[lags]) / size
    best = int(np.argmax(strength))
    at = int(lags[best])
    away = np.abs(lags - at) > NEIGHBOURHOOD
    if strength[away].max(initial=0.0) >= STANDS_OUT * strength[best]:
        return 0, 0.0
    return at, float(strength[best])


def _grid(one: Sheet, other: Sheet) -> Ints | None:
    """Return moments at the slower source's rate over the time both cover."""
    if one.us is None or other.us is None:
        return None
    ends = [
        (s.us[s.us != NO_TIME], s.usual_step) for s in (one, other) if s.us is not None
    ]
    if any(len(us) < MIN_POINTS for us, _ in ends):
        return None
    first, last = max(us.min() for us, _ in ends), min(us.max() for us, _ in ends)
    step = max(step for _, step in ends)
    if step <= 0 or (last - first) // step < MIN_POINTS:
        return None
    count = min(MOST_POINTS, int((last - first) // step))
    return np.asarray(first + np.arange(count, dtype=np.int64) * step)


def _steps_on(sheet: Sheet, grid: Ints) -> dict[str, Floats]:
    """Return the steps of a source's liveliest tags on a grid."""
    if sheet.us is None or sheet.group is not None:
        return {}
    order = sheet.order[sheet.us[sheet.order] != NO_TIME]
    at = sheet.us[order]
    found: dict[str, Floats] = {}
    for series in sheet.series:
        values = series.values[order]
        known = np.isfinite(values)
        if known.sum() < MIN_POINTS:
            continue
        on_grid = np.interp(grid, at[known], values[known])
        moves = np.diff(on_grid)
        if float(np.mean(moves != 0)) > 0.5:
            found[series.tag] = moves
        if len(found) >= MOST_TAGS:
            break
    return found


def _told(one: Sheet, other: Sheet, lag: Lag) -> Tally:
    if abs(lag.steps) < 1:
        return Tally(id="Q13", bad=0, of=1)
    notes = Notes(other, "Q13")
    side = "behind" if lag.us > 0 else "ahead of"
    rows = other.order[[0, -1]]
    notes.add(
        "clock-lag",
        notes.spot("", int(rows[0]), int(rows[1]), other.rows),
        f"{other.name} is {duration(abs(lag.us))} {side} {one.name}: the steps of "
        f"{', '.join(lag.by[:3])} agree at that lag (correlation {lag.strength:.2f}).",
        f"Shift {other.name} by that much before joining, and set both loggers by one time "
        "server.",
    )
    return Tally(id="Q13", bad=1, of=1, findings=tuple(notes.found))
