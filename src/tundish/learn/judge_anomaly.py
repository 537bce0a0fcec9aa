"""Judging a detector: events missed, how late, and false alarms a week."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.learn import baseline, bootstrap, events
from tundish.learn.events import Found, Watch
from tundish.learn.injection import Scale, injected
from tundish.learn.judging import Case
from tundish.learn.material import period_s, seconds, step_s
from tundish.learn.ranking import auroc, recall_at
from tundish.learn.slices import cuts
from tundish.learn.verdict import (
    EventResult,
    Figure,
    InjectedResult,
    Slice,
    Verdict,
    finite,
    hold_limits,
    narrow_notes,
    spread_figure,
)

Answers = dict[str, NDArray[np.float64]]
Bools = NDArray[np.bool_]

_POISSON = "exact Poisson, 90 %"
_BETA = "exact binomial, 90 %"
_PLAIN_BIAS = 4.0
_FEW_EVENTS = 60


@dataclass(frozen=True, kw_only=True)
class _Count:
    """What a set of alarms amounts to."""

    found: tuple[Found, ...]
    false_alarms: int
    weeks: float
    alarm_share: float
    event_share: float

    @property
    def missed(self) -> int:
        return sum(not event.found for event in self.found)


def judge_anomaly(case: Case, outputs: Answers) -> Verdict:
    """Return the verdict on a detector."""
    score = outputs["score"][:, 0]
    watch = _watch(case)
    alarm = score > 1.0
    count = _count(alarm, watch)
    withheld = float(np.mean(outputs["applicability"][:, 0] > 1.0))
    faults = _injected(case, watch)
    figures = (
        *_figures(count, case.shift_s),
        *_ranking(score, watch, case),
        *_bias_found(faults),
        Figure(metric="share_withheld", value=withheld),
    )
    limits = hold_limits(case.scenario, figures)
    plain = _count(baseline.range_alarms(case.material.x, case.claim.envelope), watch)
    return Verdict(
        scenario=case.scenario.key,
        task="anomaly",
        graph=case.claim.graph,
        accepted=all(limit.holds for limit in limits),
        limits=limits,
        figures=figures,
        baseline_name=baseline.RANGE,
        baseline=_figures(plain, case.shift_s),
        promise=case.claim.promise,
        slices=_slices(case, alarm, watch),
        events=_events(count, score, watch),
        injected=faults,
        judged=len(score),
        notes=(*_notes(case, count), *narrow_notes(limits)),
        seed=case.seed,
    )


def _watch(case: Case) -> Watch:
    run = np.zeros(len(case.material), dtype=np.int64)
    for number, piece in enumerate(case.pieces):
        run[piece.index] = number
    period = period_s(case.scenario)
    return Watch(
        at=seconds(case.material, case.scenario),
        event=case.material.event,
        run=run,
        span_s=case.scenario.window.rows * period,
        step_s=step_s(case.scenario),
    )


def _count(alarm: Bools, watch: Watch) -> _Count:
    normal = watch.event < 0
    share = float(alarm[normal].mean()) if normal.any() else float("nan")
    inside = float(alarm[~normal].mean()) if (~normal).any() else float("nan")
    return _Count(
        found=events.found_events(alarm, watch),
        false_alarms=len(events.false_alarm_starts(alarm, watch)),
        weeks=watch.weeks,
        alarm_share=share,
        event_share=inside,
    )


def _figures(count: _Count, shift_s: float | None) -> tuple[Figure, ...]:
    delays = [event.delay_s for event in count.found if event.delay_s is not None]
    rate = count.false_alarms / count.weeks if count.weeks else float("nan")
    low, high = events.poisson_interval(count.false_alarms)
    weeks = count.weeks or float("nan")
    total = len(count.found)
    bound = events.miss_bound(count.missed, total) if total else float("nan")
    return (
        Figure(metric="events", value=float(total)),
        Figure(metric="missed_events", value=float(count.missed) if total else None),
        Figure(metric="missed_share_upper_bound", value=finite(bound)),
        Figure(metric="longest_delay", value=max(delays) if delays else None, unit="s"),
        Figure(
            metric="false_alarms_per_week",
            value=finite(rate),
            unit="1/week",
            low=finite(low / weeks),
            high=finite(high / weeks),
            spread=_POISSON,
        ),
        Figure(metric="false_alarm_events", value=float(count.false_alarms)),
        Figure(metric="normal_weeks", value=count.weeks, unit="week"),
        Figure(
            metric="share_of_normal_windows_alarmed", value=finite(count.alarm_share)
        ),
        Figure(
            metric="share_of_event_windows_alarmed", value=finite(count.event_share)
        ),
        Figure(
            metric="false_alarms_per_week_bound",
            value=finite(high / weeks),
            unit="1/week",
        ),
        *_per_shift(count, shift_s),
    )


def _per_shift(count: _Count, shift_s: float | None) -> tuple[Figure, ...]:
    """Return false alarms per running shift, where the site has a calendar."""
    if shift_s is None:
        return ()
    shifts = count.weeks * events.WEEK_S / shift_s or float("nan")
    low, high = events.poisson_interval(count.false_alarms)
    return (
        Figure(
            metric="false_alarms_per_shift",
            value=finite(count.false_alarms / shifts),
            unit="1/shift",
            low=finite(low / shifts),
            high=finite(high / shifts),
            spread=_POISSON,
        ),
        Figure(metric="running_shifts", value=finite(shifts), unit="shift"),
    )


def _ranking(
    score: NDArray[np.float64], watch: Watch, case: Case
) -> tuple[Figure, ...]:
    """Return how well the score tells marked from normal, whatever the limit."""
    bad = watch.event >= 0
    if not bad.any() or bad.all():
        return ()
    drawn = bootstrap.draws_of(case.material.source, case.rng)
    return tuple(
        spread_figure(
            name,
            lambda at, m=measure: m(score[at], bad[at]),  # type: ignore[misc]
            drawn,
            len(score),
        )
        for name, measure in _RANKS.items()
    )


_RANKS: dict[str, Callable[[NDArray[np.float64], Bools], float]] = {
    "auroc": auroc,
    "recall_at_5_percent_false_alarms": lambda score, bad: recall_at(score, bad, 0.05),
}


def _events(
    count: _Count, score: NDArray[np.float64], watch: Watch
) -> tuple[EventResult, ...]:
    return tuple(
        EventResult(
            event=event.event,
            found=event.found,
            delay_s=event.delay_s,
            peak=float(score[watch.event == event.event].max()),
        )
        for event in count.found
    )


def _injected(case: Case, watch: Watch) -> tuple[InjectedResult, ...]:
    """Put faults into the judged windows if no event says what is missed."""
    if case.run is None or (watch.event >= 0).any():
        return ()
    scale = Scale.of(case.claim.envelope, case.scenario)
    return injected(case.material.x, case.run, scale, case.rng)


def _bias_found(faults: tuple[InjectedResult, ...]) -> tuple[Figure, ...]:
    """Return how many tags that read four spreads off are found, if any were injected.

    Where nobody marked an event, a scenario needs a limit on it: a detector that never
    alarms keeps every limit on false alarms.
    """
    return tuple(
        Figure(
            metric="injected_bias_found",
            value=fault.found,
            low=fault.low,
            high=fault.high,
            spread=_BETA,
        )
        for fault in faults
        if fault.fault == "bias" and fault.size == _PLAIN_BIAS
    )


def _slices(case: Case, alarm: Bools, watch: Watch) -> tuple[Slice, ...]:
    return tuple(
        Slice(
            by=cut.by,
            name=cut.name,
            count=len(cut.index),
            figures=_figures(
                _count(alarm[cut.index], watch.take(cut.index)), case.shift_s
            ),
        )
        for cut in cuts(case)
    )


def _notes(case: Case, count: _Count) -> tuple[str, ...]:
    notes = []
    promise = case.claim.promise
    if promise:
        kept = "kept" if count.alarm_share <= promise.promised else "not kept"
        notes.append(
            f"promised: at most {promise.promised:.2%} of normal windows alarm; seen: "
            f"{count.alarm_share:.2%} ({kept})"
        )
    if count.weeks:
        bound = events.poisson_bound(count.false_alarms, 0.95) / count.weeks
        notes.append(
            f"{count.false_alarms} false alarm events in {count.weeks:.2f} normal weeks "
            f"support, with 95 % confidence, no better than {bound:.2f} a week"
        )
        notes += [
            f"so few weeks do not prove the limit of {limit.at_most:g} a week"
            for limit in case.scenario.acceptance.limits
            if limit.metric == "false_alarms_per_week"
            and limit.at_most is not None
            and count.false_alarms / count.weeks <= limit.at_most < bound
        ]
    total = len(count.found)
    if not total:
        notes.append(
            "no event is marked in the judged part: nothing says what is missed; the "
            "table of faults below is injected, not real"
        )
    elif total < _FEW_EVENTS:
        bound = events.miss_bound(count.missed, total)
        notes.append(
            f"{count.missed} of {total} marked events missed supports, with 95 % "
            f"confidence, no better than {bound:.0%} missed"
        )
    return tuple(notes)
