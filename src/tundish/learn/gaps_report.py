"""What a diagnosis of the data says: weak slices, why, and what to collect next."""

from __future__ import annotations

from typing import Literal

from tundish.kernel.records import Record

Cause = Literal["data", "signal", "labels", "shift", "recipe", "hard"]
Action = Literal["record", "relabel", "add-signal", "record-again", "change-recipe"]


class Condition(Record):
    """One edge of a region: ``above`` < what it names <= ``upto``."""

    name: str
    above: float | None = None
    upto: float | None = None


class Where(Record):
    """Which windows a slice holds, so that it can be found in other data too.

    Attributes:
        by: ``mode``, ``source``, ``class``, ``shift``, ``region`` (conditions found),
            ``stretch`` or ``moment`` (from a moment on).
        name: For people.
        conditions: Of a region.
        start, end: First and last moment of a stretch or moment, ISO 8601.
    """

    by: str
    name: str
    conditions: tuple[Condition, ...] = ()
    start: str = ""
    end: str = ""


class Point(Record):
    """One point of a learning curve: samples of fit, and the slice's loss."""

    samples: int
    loss: float


class Coverage(Record):
    """What training saw of a slice.

    Attributes:
        fit: Samples of the fit part in the slice; None if it cannot be asked there.
        share_of_fit, share_of_judge: Shares of each part.
        beyond, beyond_elsewhere: Share of the slice's windows (of the others) that lie
            farther from their nearest neighbours in fit than 99 % of held-out training
            windows do.
    """

    fit: int | None
    share_of_fit: float | None
    share_of_judge: float
    beyond: float
    beyond_elsewhere: float


class Gain(Record):
    """What the overall loss should fall by, as a share of it, with a 90 % interval."""

    value: float
    low: float
    high: float
    basis: str


class Weakness(Record):
    """One slice in which the shipped graph is worse than elsewhere.

    Attributes:
        where: The slice.
        count: Judged samples in it.
        loss, elsewhere: Mean loss there and in the rest.
        p: Of the test, corrected for all slices that were tested.
        cause: The likely cause; ``hard``: no gap, harder there for anyone.
        why: The numbers that speak for it, in words.
        coverage: What training saw of it.
        curve: The slice's learning curve; empty if it was not measured.
        slope: Exponent of loss against samples, with its 90 % interval.
        peer: Loss in the slice, and elsewhere, of a plain forest that has seen other
            windows of it; None where there is no truth to learn.
        doubtful: Share of the slice's labels that are doubtful, and of the others.
        still: Signals that stand still in the slice and move elsewhere.
        beyond: Whether the loss is larger than a forest that has seen such windows lets
            expect there; None: nothing to expect it from.
    """

    where: Where
    count: int
    loss: float
    elsewhere: float
    p: float
    cause: Cause
    why: str
    coverage: Coverage
    curve: tuple[Point, ...] = ()
    slope: tuple[float, float, float] | None = None
    peer: tuple[float, float] | None = None
    doubtful: tuple[float, float] | None = None
    still: tuple[str, ...] = ()
    beyond: bool | None = None


class Collect(Record):
    """One thing to do next, and what it should bring."""

    rank: int
    action: Action
    where: Where
    samples: int
    gain: Gain
    text: str


class DoubtfulLabel(Record):
    """One label (or marked event) that the rest of the data contradicts.

    Attributes:
        part, source, at: Where it stands.
        place: The window's place in the material.
        said: What the label says; ``rather``: what the rest of the data says.
    """

    part: str
    source: str
    at: str
    place: int
    said: str
    rather: str


class GapsReport(Record):
    """The diagnosis of one run's data.

    Attributes:
        tested: How many slices were tested.
        level: Chance that anything at all is named on data without a weak slice.
        weak: What was confirmed, the strongest first.
        collect: What to do next, by expected gain.
        doubts: Doubtful labels, of all parts.
        unsaid: Slices too small to say anything about.
        notes: What a reader must know.
    """

    format: Literal["tundish.gaps"] = "tundish.gaps"
    version: Literal[1] = 1
    scenario: str
    graph: str
    unit: str
    loss: float
    judged: int
    tested: int
    level: float
    weak: tuple[Weakness, ...]
    collect: tuple[Collect, ...]
    doubts: tuple[DoubtfulLabel, ...]
    unsaid: tuple[str, ...]
    notes: tuple[str, ...]
