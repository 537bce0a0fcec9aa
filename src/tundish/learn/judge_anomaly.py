"""Judging a detector: events missed, how late, and false alarms a week."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.learn import baseline, events
from tundish.learn.events import Found, Watch
from tundish.learn.judging import Case
from tundish.learn.material import Indices, period_s, seconds, step_s
from tundish.learn.verdict import (
    EventResult,
    Figure,
    Slice,
    Verdict,
    finite,
    hold_limits,
    narrow_notes,
)

Answers = dict[str, NDArray[np.float64]]
Bools = NDArray[np.bool_]

_POISSON = "exact Poisson, 90 %"
_FEW_EVENTS = 60


@dataclass(frozen=True, kw_only=True)
class _Count:
    """What a set of alarms amounts to."""

    found: tuple[Found, ...]
    false_alarms: int
    weeks: float
    alarm_share: float

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
    figures = (
        *_figures(count),
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
        baseline=_figures(plain),
        promise=case.claim.promise,
        slices=_slices(case, alarm, watch),
        events=_events(count, score, watch),
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
    return _Count(
        found=events.found_events(alarm, watch),
        false_alarms=len(events.false_alarm_starts(alarm, watch)),
        weeks=watch.weeks,
        alarm_share=share,
    )


def _figures(count: _Count) -> tuple[Figure, ...]:
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
    )


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


def _slices(case: Case, alarm: Bools, watch: Watch) -> tuple[Slice, ...]:
    found = []
    for piece in case.pieces:
        at: Indices = piece.index
        figures = _figures(_count(alarm[at], watch.take(at)))
        found.append(Slice(name=piece.name, count=len(at), figures=figures))
    return tuple(found)


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
            "no event is marked in the judged part: nothing says what is missed"
        )
    elif total < _FEW_EVENTS:
        bound = events.miss_bound(count.missed, total)
        notes.append(
            f"{count.missed} of {total} marked events missed supports, with 95 % "
            f"confidence, no better than {bound:.0%} missed"
        )
    return tuple(notes)
