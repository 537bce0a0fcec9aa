"""Laws of honest state: a pure function of what is known and of the clock."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.kernel.digest import of_bytes
from tundish.line.estimates import Estimate, Why
from tundish.line.samples import Quality, Sample
from tundish.line.state import (
    SEVERITY,
    Moment,
    Reading,
    State,
    TagState,
    line_state,
    tag_state,
)
from tundish.line.tags import Tags

STALE_S = 225.0
SECOND_US = 1_000_000
MODEL = of_bytes(b"model")


def _state(
    reading: Reading, *, now_s: float, source_now_s: float | None = None
) -> State:
    source_s = now_s if source_now_s is None else source_now_s
    moment = Moment(at_us=round(source_s * SECOND_US), monotonic_s=now_s)
    return tag_state(reading, moment, stale_after_s=STALE_S).state


def _reading(
    quality: Quality = "good", at_s: float = 1000.0, down: str = ""
) -> Reading:
    return Reading(
        signal="t",
        quality=quality,
        reason="why",
        at_us=round(at_s * SECOND_US),
        fresh_s=at_s,
        link_down=down,
    )


def _estimate(quality: Quality, why: Why, value: float | None) -> Estimate:
    return Estimate(
        at_us=1, quality=quality, value=value, why=why, model=MODEL, input=MODEL
    )


def test_nothing_received_is_stale_never_good() -> None:
    assert _state(Reading(signal="t"), now_s=0.0) == "stale"


def test_a_value_that_cannot_be_held_over_a_lost_link_is_stale_at_once() -> None:
    """Such as behind a server whose heartbeat stands still: nobody knows its age."""
    held = _reading(down="the heartbeat stands still")
    assert _state(held, now_s=1000.0) == "uncertain"
    lost = replace(held, link_stale=True)
    assert _state(lost, now_s=1000.0) == "stale"
    assert _state(replace(lost, link_down=""), now_s=1000.0) == "good"


def test_silence_beyond_the_contract_is_stale_to_the_second() -> None:
    reading = _reading()
    assert _state(reading, now_s=1000.0 + STALE_S) == "good"
    assert _state(reading, now_s=1000.0 + STALE_S + 0.1) == "stale"


def test_what_went_bad_and_then_stale_still_says_why() -> None:
    long_s = 1001.0 + STALE_S
    for source_s, line_s in ((1000.0, long_s), (long_s, 1000.0)):  # silent; old times
        moment = Moment(at_us=round(source_s * SECOND_US), monotonic_s=line_s)
        found = tag_state(_reading("bad"), moment, stale_after_s=STALE_S)
        assert found.state == "stale"
        assert "(why)" in found.reason
        good = tag_state(_reading("good"), moment, stale_after_s=STALE_S)
        assert "why" not in good.reason


def test_an_old_source_time_is_stale_though_it_came_just_now() -> None:
    reading = _reading(at_s=1000.0)
    assert _state(reading, now_s=1000.0, source_now_s=1000.0 + STALE_S + 1) == "stale"


def test_a_source_clock_ahead_is_uncertain() -> None:
    reading = _reading(at_s=1000.0)
    assert (
        _state(reading, now_s=1000.0, source_now_s=1000.0 - STALE_S - 1) == "uncertain"
    )


def test_a_lost_link_is_uncertain_at_once_and_stale_in_time() -> None:
    reading = _reading(down="cable out")
    assert _state(reading, now_s=1001.0) == "uncertain"
    assert _state(reading, now_s=1001.0 + STALE_S) == "stale"


@given(
    quality=st.sampled_from(["good", "uncertain", "bad"]),
    age=st.floats(0, 1e6),
    down=st.sampled_from(["", "cable out"]),
)
def test_time_alone_never_makes_a_tag_better(
    quality: Quality, age: float, down: str
) -> None:
    reading = _reading(quality, down=down)
    before = _state(reading, now_s=1000.0 + age)
    after = _state(reading, now_s=1000.0 + age + 1)
    assert SEVERITY[after] >= SEVERITY[before]


@given(st.lists(st.sampled_from(["good", "uncertain", "bad", "stale"]), min_size=1))
def test_the_line_is_as_bad_as_its_worst_tag(states: list[State]) -> None:
    tags = [TagState(signal=str(n), state=state) for n, state in enumerate(states)]
    worst = max(states, key=lambda state: SEVERITY[state])
    assert line_state(tags, None).state == worst


@pytest.mark.parametrize(
    ("why", "value", "expected"),
    [
        ("dead", None, "bad"),
        ("outside-envelope", None, "uncertain"),
        ("outside-target-range", 70.0, "uncertain"),
    ],
)
def test_a_line_whose_model_abstains_is_not_good(
    why: Why, value: float | None, expected: State
) -> None:
    tags = [TagState(signal="t", state="good")]
    quality: Quality = "bad" if value is None else "uncertain"
    found = line_state(tags, _estimate(quality, why, value))
    assert found.state == expected
    assert found.signal == "*"


def test_the_last_good_value_sent_again_as_bad_is_bad_and_not_newer() -> None:
    tags = Tags(["t"], STALE_S)
    tags.link(["t"], "")
    good = Sample(signal="t", at_us=1000, quality="good", values=None)
    again = Sample(signal="t", at_us=1000, quality="bad", values=None, reason="bad now")
    tags.heard([good], 10.0)
    tags.heard([again], 200.0)
    assert tags.states(Moment(at_us=1000, monotonic_s=201.0))[0].state == "bad"
    assert tags.states(Moment(at_us=1000, monotonic_s=236.0))[0].state == "stale"


def test_a_frozen_gateway_that_repeats_itself_goes_stale() -> None:
    tags = Tags(["t"], STALE_S)
    tags.link(["t"], "")
    same = Sample(signal="t", at_us=1000, quality="good", values=None)
    for second in range(0, 300, 10):
        tags.heard([same], float(second))
    assert tags.states(Moment(at_us=1000, monotonic_s=300.0))[0].state == "stale"


def test_an_older_sample_does_not_speak_for_the_present() -> None:
    tags = Tags(["t"], STALE_S)
    tags.link(["t"], "")
    tags.heard([Sample(signal="t", at_us=2000, quality="good", values=None)], 1.0)
    tags.heard([Sample(signal="t", at_us=1000, quality="bad", values=None)], 2.0)
    assert tags.states(Moment(at_us=2000, monotonic_s=3.0))[0].state == "good"


seconds = st.sampled_from([0.0, STALE_S - 0.0005, STALE_S, STALE_S + 0.0005, 300.0])
events = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from(["good", "uncertain", "bad", "down", "up"]),
    seconds,
)


@given(st.lists(events, max_size=12), seconds, seconds)
def test_the_worst_tag_is_found_without_judging_the_good_ones(
    happened: list[tuple[str, str, float]], source_s: float, now_s: float
) -> None:
    tags = Tags("abc", STALE_S)
    for name, kind, at_s in happened:
        if kind in {"down", "up"}:
            why = "cable" if kind == "down" else ""
            tags.link([name], why, stale=at_s == 0.0)
            continue
        quality: Quality = kind  # type: ignore[assignment]
        at_us = round(at_s * SECOND_US)
        tags.heard([Sample(name, at_us, quality, None, "why")], at_s)
    moment = Moment(at_us=round(source_s * SECOND_US), monotonic_s=now_s)
    assert line_state(tags.worst(moment), None) == line_state(tags.states(moment), None)
