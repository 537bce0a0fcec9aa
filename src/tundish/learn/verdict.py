"""The verdict: what the judge found, in plant terms, with a spread and frankly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import numpy as np

from tundish.catalog.scenario import Limit, Scenario
from tundish.catalog.tasks import Task
from tundish.kernel.records import Record
from tundish.learn.bootstrap import Draws, Indices, interval
from tundish.learn.recipe import Promise


class Figure(Record):
    """One measured figure.

    Attributes:
        metric: Its name, such as ``rmse``.
        value: None where it cannot be computed.
        unit: Its unit; empty for shares and counts.
        low, high: 90 % interval, where a spread could be had.
        spread: How the interval was made; empty without one.
    """

    metric: str
    value: float | None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    spread: str = ""


class LimitResult(Record):
    """One limit of the scenario against its measured figure."""

    metric: str
    value: float | None
    low: float | None
    high: float | None
    at_least: float | None
    at_most: float | None
    holds: bool
    why: str


class EventResult(Record):
    """One marked event.

    Attributes:
        event: Its number in the site profile, from 0.
        found: Whether any window that overlaps it alarmed.
        delay_s: Seconds from its first window to the first alarm.
        peak: Highest score in it.
    """

    event: int
    found: bool
    delay_s: float | None
    peak: float


class Slice(Record):
    """The figures of one part of what was judged.

    Attributes:
        by: What it is cut by: ``stretch``, ``source``, ``mode``, ``class``, ``shift``,
            ``horizon``.
    """

    by: str = "stretch"
    name: str
    count: int
    figures: tuple[Figure, ...]


class InjectedResult(Record):
    """What was found of one fault that was put into real held-out windows.

    Attributes:
        fault: Its name; see ``learn.injection``.
        size: Its size, in standard deviations of the tag (gain: factor less one); None
            where a fault has no size.
        windows: Number of windows that it was put into.
        found: Share of them that alarm.
        low, high: 90 % interval of that share.
        unchanged: Share of the same windows that alarm without the fault.
        named: Share of the alarms whose largest contribution is the changed tag.
    """

    fault: str
    size: float | None
    windows: int
    found: float
    low: float
    high: float
    unchanged: float
    named: float | None


class Confusion(Record):
    """What was taken for what.

    Attributes:
        classes: Names, in the scenario's order.
        counts: Samples, row: what it was; column: what it was taken for; the last
            column: left open.
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


class Verdict(Record):
    """What the judge says of one graph.

    Attributes:
        scenario: Key of the scenario.
        graph: Digest of the graph that was judged.
        accepted: True if every limit holds.
        limits: Each limit with its number.
        figures: All figures of the graph.
        baseline_name, baseline: What the plant has today, and its figures.
        promise: What the threshold promised; ``figures`` hold what was seen.
        slices: Figures by stretch, source, mode, class and shift.
        events: Each marked event (anomaly).
        confusion: What was taken for what (diagnose, inspect).
        injected: What was found of faults put into the judged windows, where no event is
            marked (anomaly). They are not real.
        judged: Number of judged samples (laboratory values; windows for anomaly).
        notes: What a reader must know.
        seed: Seed of the bootstrap.
    """

    format: Literal["tundish.verdict"] = "tundish.verdict"
    version: Literal[1] = 1
    scenario: str
    task: Task
    graph: str
    accepted: bool
    limits: tuple[LimitResult, ...]
    figures: tuple[Figure, ...]
    baseline_name: str
    baseline: tuple[Figure, ...]
    promise: Promise | None
    slices: tuple[Slice, ...]
    events: tuple[EventResult, ...] = ()
    confusion: Confusion | None = None
    injected: tuple[InjectedResult, ...] = ()
    judged: int
    notes: tuple[str, ...]
    seed: int

    def figure(self, metric: str) -> Figure:
        """Return the graph's figure of a metric; ``KeyError`` if there is none."""
        return {figure.metric: figure for figure in self.figures}[metric]


def spread_figure(
    metric: str,
    measure: Callable[[Indices], float],
    drawn: Draws,
    count: int,
    unit: str = "",
) -> Figure:
    """Return a figure of all samples with its spread over draws of them.

    Args:
        metric: Its name.
        measure: The figure of the samples at some places; NaN if there is none.
        drawn: See ``bootstrap.draws_of``.
        count: Number of samples.
        unit: Of the figure.
    """
    low, high = interval(measure, drawn.places)
    return Figure(
        metric=metric,
        value=finite(measure(np.arange(count))),
        unit=unit,
        low=finite(low),
        high=finite(high),
        spread=drawn.name,
    )


def finite(value: float) -> float | None:
    """Return a number that a record can hold: None for NaN and infinities."""
    return float(value) if math.isfinite(value) else None


def hold_limits(
    scenario: Scenario, figures: Iterable[Figure]
) -> tuple[LimitResult, ...]:
    """Hold each limit of a scenario against the figures.

    A figure that is missing or could not be computed keeps no limit: fail closed.
    """
    by_metric = {figure.metric: figure for figure in figures}
    return tuple(_hold(limit, by_metric) for limit in scenario.acceptance.limits)


def narrow_notes(limits: Iterable[LimitResult]) -> list[str]:
    """Return a note for each limit that lies inside its figure's own spread."""
    notes = []
    for limit in limits:
        bound = limit.at_least if limit.at_most is None else limit.at_most
        if bound is None or limit.low is None or limit.high is None:
            continue
        if limit.low < bound < limit.high:
            verb = "holds" if limit.holds else "is missed"
            notes.append(
                f"the limit of {bound:g} on {limit.metric} {verb}, but lies inside the 90 % "
                f"spread of {limit.low:.3g} to {limit.high:.3g}: another run may fall on "
                "the other side"
            )
    return notes


def _hold(limit: Limit, by_metric: Mapping[str, Figure]) -> LimitResult:
    figure = by_metric.get(limit.metric) or Figure(metric=limit.metric, value=None)
    value = math.nan if figure.value is None else figure.value
    return LimitResult(
        metric=limit.metric,
        value=figure.value,
        low=figure.low,
        high=figure.high,
        at_least=limit.at_least,
        at_most=limit.at_most,
        holds=limit.holds(value),
        why=limit.why,
    )
