"""Alarms are counted as people meet them."""

from __future__ import annotations

import numpy as np
import pytest

from tundish.learn import bootstrap, events
from tundish.learn.events import Watch

HOUR_S = 3600.0


def watch(count: int, *, event: dict[int, int] | None = None, gap: int = 0) -> Watch:
    at = np.arange(count, dtype=np.float64) * HOUR_S
    if gap:
        at[gap:] += 100 * HOUR_S
    marks = np.full(count, -1, dtype=np.int64)
    for place, number in (event or {}).items():
        marks[place] = number
    run = np.zeros(count, dtype=np.int64)
    return Watch(at=at, event=marks, run=run, span_s=4 * HOUR_S, step_s=HOUR_S)


def alarms(count: int, *places: int) -> np.ndarray:
    alarm = np.zeros(count, dtype=bool)
    alarm[list(places)] = True
    return alarm


def test_alarms_whose_windows_touch_are_one_event() -> None:
    found = events.false_alarm_starts(alarms(50, 5, 6, 7, 11), watch(50))
    assert found.tolist() == [5]


def test_alarms_further_apart_than_a_window_are_two_events() -> None:
    found = events.false_alarm_starts(alarms(50, 5, 10), watch(50))
    assert found.tolist() == [5, 10]


def test_a_gap_in_time_ends_an_event() -> None:
    found = events.false_alarm_starts(alarms(50, 9, 10), watch(50, gap=10))
    assert found.tolist() == [9, 10]


def test_another_piece_is_another_event() -> None:
    seen = watch(50)
    seen.run[10:] = 1
    assert events.false_alarm_starts(alarms(50, 9, 10), seen).tolist() == [9, 10]


def test_windows_that_overlap_a_marked_event_are_never_false() -> None:
    marked = watch(50, event={20: 0, 21: 0, 22: 0})
    assert not len(events.false_alarm_starts(alarms(50, 20, 21, 22), marked))


def test_a_marked_event_does_not_swallow_the_alarms_around_it() -> None:
    marked = watch(50, event={20: 0})
    found = events.false_alarm_starts(alarms(50, 19, 20, 21), marked)
    assert found.tolist() == [19, 21]


def test_a_detector_that_always_alarms_has_a_false_alarm_every_day() -> None:
    count = 24 * 14
    found = events.false_alarm_starts(np.ones(count, dtype=bool), watch(count))
    assert len(found) == 14


def test_one_alarm_anywhere_in_an_event_finds_it_and_the_delay_is_known() -> None:
    marked = watch(50, event={20: 0, 21: 0, 22: 0, 30: 1})
    first, second = events.found_events(alarms(50, 22), marked)
    assert (first.found, first.delay_s) == (True, 2 * HOUR_S)
    assert (second.found, second.delay_s) == (False, None)


def test_no_alarm_in_three_weeks_supports_no_better_than_one_a_week() -> None:
    assert events.poisson_bound(0, 0.95) / 3.0 == pytest.approx(1.0, abs=0.01)


def test_four_found_events_do_not_prove_a_detector() -> None:
    assert events.miss_bound(0, 4) == pytest.approx(1 - 0.05**0.25)
    assert events.miss_bound(4, 4) == 1.0


def test_the_poisson_interval_holds_its_mean_nine_times_in_ten() -> None:
    rng = np.random.default_rng(1)
    counts = rng.poisson(6.0, 4000)
    inside = [
        low <= 6.0 <= high
        for low, high in map(events.poisson_interval, map(int, counts))
    ]
    assert np.mean(inside) >= 0.9 - 0.015


def test_block_draws_stay_inside_and_keep_neighbours_together() -> None:
    drawn = bootstrap.draws(27, np.random.default_rng(0), rounds=50)
    assert drawn.shape == (50, 27)
    assert drawn.min() >= 0
    assert drawn.max() < 27
    blocks = drawn.reshape(50, 9, 3)
    assert (np.diff(blocks, axis=2) == 1).all()


def test_the_spread_repeats_with_its_seed() -> None:
    values = np.random.default_rng(2).normal(size=40)
    ends = [
        bootstrap.interval(
            lambda at: float(values[at].mean()),
            bootstrap.draws(40, np.random.default_rng(7)),
        )
        for _ in range(2)
    ]
    assert ends[0] == ends[1]
