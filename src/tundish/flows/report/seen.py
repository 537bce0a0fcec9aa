"""What the pictures of a judged run are drawn from, and how much of it is drawn."""

from __future__ import annotations

import html
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.learn.judging import Case
from tundish.learn.material import Floats, Indices, Material
from tundish.learn.verdict import Verdict

BINS = 500
LONGEST = 38
GAP_STEPS = 5.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """The judged windows, the graph's answers to them, and the verdict.

    Attributes:
        case: The judge part alone, the scenario, the claim.
        outputs: The graph's outputs, [N, width] each.
        verdict: What the judge said.
        shifts: Running shifts that the judged windows lie in; None without a calendar.
    """

    case: Case
    outputs: dict[str, NDArray[np.float64]]
    verdict: Verdict
    shifts: int | None = None

    @property
    def material(self) -> Material:
        """The judged windows."""
        return self.case.material

    @property
    def scenario(self) -> Scenario:
        """The contract."""
        return self.case.scenario

    def output(self, name: str) -> Floats:
        """Return the first column of an output, [N]."""
        return self.outputs[name][:, 0]

    def place(self) -> NDArray[np.generic]:
        """Return where each window stands on the axis of time, [N].

        Its moment, if moments rise throughout; else its number.
        """
        at = self.material.at
        rises = (
            at is not None
            and not np.isnat(at).any()
            and bool((np.diff(at.astype(np.int64)) > 0).all())
        )
        return at if rises and at is not None else np.arange(len(self.material))

    def runs(self) -> Indices:
        """Return the number of the unbroken run that each window lies in, [N].

        A run ends at another source, and where the time to the next window is long.
        """
        source, place = self.material.source, self.place()
        new = source[1:] != source[:-1]
        if place.dtype.kind == "M":
            steps = np.diff(place.astype("datetime64[us]").astype(np.int64))
            new |= steps > GAP_STEPS * np.median(steps) if len(steps) else False
        return np.concatenate([[0], np.cumsum(new)]).astype(np.int64)

    @property
    def axis(self) -> str:
        """Name of the axis of time."""
        return "" if self.place().dtype.kind == "M" else "window, in order"

    def channels(self) -> list[str]:
        """Return the name of each channel, [C]."""
        found = []
        for signal in self.scenario.signals:
            if signal.axis is None:
                found.append(signal.name)
            else:
                found += [f"{signal.name} {i + 1}" for i in range(signal.channels)]
        return found

    @property
    def unit(self) -> str:
        """The unit of the target; empty for shares."""
        target = self.scenario.target
        return "" if target is None or target.unit == "1" else target.unit


def label(text: str) -> str:
    """Return a text for a picture: Plotly would read tags in it, so there are none."""
    short = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}\u2026"
    return html.escape(short, quote=False)


def envelope(
    place: NDArray[np.generic], values: Floats, runs: Indices
) -> tuple[NDArray[np.generic], Floats]:
    """Return a curve of at most ``2 * BINS`` points that shows each highest and lowest.

    Between runs the curve is broken by an empty point.

    Args:
        place: Axis of time, rising, [n].
        values: The curve, [n].
        runs: Number of the unbroken run of each point, [n].
    """
    size = max(1, -(-len(values) // BINS))
    ends = np.flatnonzero(runs[1:] != runs[:-1]) + 1
    kept: list[int] = []
    gaps: list[int] = []
    for run in np.split(np.arange(len(values)), ends):
        if kept and len(run):
            gaps.append(len(kept))
        for first in range(0, len(run), size):
            part = run[first : first + size]
            low, high = part[values[part].argmin()], part[values[part].argmax()]
            kept += sorted({int(low), int(high)})
    at = np.asarray(kept, dtype=np.int64)
    return (
        np.insert(place[at], gaps, place[at[gaps]] if gaps else place[:0]),
        np.insert(values[at], gaps, np.nan),
    )


def bands(
    place: NDArray[np.generic],
    lower: Floats,
    upper: Floats,
    runs: Indices,
) -> list[tuple[NDArray[np.generic], Floats]]:
    """Return the closed outline (x, y) of an interval for each run, in few points.

    Args:
        place: Axis of time, [n].
        lower: Lower ends, [n].
        upper: Upper ends, [n].
        runs: Number of the unbroken run of each point, [n].
    """
    size = max(1, -(-len(lower) // BINS))
    ends = np.flatnonzero(runs[1:] != runs[:-1]) + 1
    found = []
    for run in np.split(np.arange(len(lower)), ends):
        firsts = np.arange(0, len(run), size)
        low = np.minimum.reduceat(lower[run], firsts)
        high = np.maximum.reduceat(upper[run], firsts)
        x = place[run[firsts]]
        found.append((np.concatenate([x, x[::-1]]), np.concatenate([high, low[::-1]])))
    return found


def thinned(count: int, most: int) -> Indices:
    """Return at most ``most`` places, evenly spread over ``count``."""
    if count <= most:
        return np.arange(count, dtype=np.int64)
    return np.unique(np.linspace(0, count - 1, most).astype(np.int64))
