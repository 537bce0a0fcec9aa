"""What may be asked of the plant: inside the envelope, for good reasons, or the fallback."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.catalog.documents import parse_document
from tundish.catalog.scenario import Scenario
from tundish.kernel.digest import of_bytes
from tundish.line.errors import ControlInvalidError
from tundish.line.estimates import Estimate
from tundish.line.governor import Governor
from tundish.line.linefile import ControlSpec
from tundish.line.samples import Quality, Sample

MODEL = of_bytes(b"model")
SCENARIO = parse_document(
    b"""
format: tundish.scenario
version: 1
key: C30.21.test-governor
name: {en: Kiln, zh: Kiln}
problem: none
decision: {what: fuel, who: operator}
task: regress
target: {name: lime, description: free lime, unit: "%", range: [0, 10]}
acceptance: {tolerance: 1, limits: [{metric: rmse, at_most: 1, why: test}]}
window: {rows: 1, stride: 1}
recipe: any
candidates: {any: {recipe: any, why: test}}
baseline: none
parity_tolerance: 0.0001
stale_after_s: 10
risk: {outcome: low, ambiguity: low, autonomy: control, why: test}
signals:
  - {name: fuel, description: fuel, unit: t/h, range: [0, 100], period_s: 1}
  - {name: draught, description: draught, unit: mbar, range: [-100, 0], period_s: 1}
  - {name: spectrum, description: flame, unit: "1", range: [0, 9], period_s: 1, axis: {quantity: wavelength, first: 1, last: 3, points: 3, unit: nm}}
""",
    Scenario,
    "kiln.yaml",
)
SINK = {
    "kind": "opcua",
    "endpoint": "opc.tcp://127.0.0.1:4840",
    "nodes": {"request": "a", "valid": "b", "heartbeat": "c"},
}


def spec(**changed: object) -> ControlSpec:
    said: dict[str, object] = {
        "sink": SINK,
        "request": "fuel + 2 * (estimate - 1.5)",
        "envelope": {"low": 10.0, "high": 20.0},
        "fallback": 12.0,
        "interlocks": ("draught < -5",),
        "watchdog_s": 5.0,
        "breaker": {"stops": 3, "within_s": 60.0},
        **changed,
    }
    return ControlSpec.model_validate(said)


def answer(value: float | None = 2.0, quality: Quality = "good") -> Estimate:
    reason = "" if quality == "good" else "a reason"
    return Estimate(
        at_us=0, quality=quality, value=value, reason=reason, model=MODEL, input=MODEL
    )


def sample(signal: str, value: float, quality: Quality = "good") -> Sample:
    values = None if quality == "bad" else np.array([value])
    return Sample(
        signal=signal, at_us=0, quality=quality, values=values, reason="a status"
    )


def running(now_s: float = 0.0, **changed: object) -> Governor:
    governor = Governor(spec(**changed), SCENARIO)
    governor.heard((sample("fuel", 15.0), sample("draught", -20.0)), now_s)
    governor.answered(answer(), now_s)
    return governor


def test_a_good_answer_becomes_a_request() -> None:
    request = running().beat(0.0)
    assert (request.value, request.valid, request.reason) == (16.0, True, "")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda g: g.answered(answer(None, "bad"), 0.0), "the answer is bad: a reason"),
        (
            lambda g: g.answered(answer(2.0, "uncertain"), 0.0),
            "the answer is uncertain",
        ),
        (lambda g: g.heard((sample("draught", -1.0),), 0.0), "draught < -5 does not"),
        (
            lambda g: g.heard((sample("draught", 0, "bad"),), 0.0),
            "draught is bad: a st",
        ),
        (
            lambda g: g.heard((sample("fuel", 15, "uncertain"),), 0.0),
            "fuel is uncertain",
        ),
        (lambda g: g.heard((sample("fuel", float("nan")),), 0.0), "fuel is good"),
        (lambda g: g.answered(answer(float("nan")), 0.0), "has no value"),
    ],
)
def test_whatever_is_not_good_falls_back(
    spoil: Callable[[Governor], None], reason: str
) -> None:
    governor = running()
    assert governor.beat(0.0).valid
    spoil(governor)
    request = governor.beat(0.0)
    assert (request.value, request.valid) == (12.0, False)
    assert reason in request.reason
    assert governor.counts.stops == 1


def test_silence_falls_back() -> None:
    governor = running()
    assert governor.beat(5.0).valid
    assert "no answer for 6 s" in governor.beat(6.0).reason
    governor.answered(answer(), 11.0)
    assert "draught is stale" in governor.beat(11.0).reason


def test_nothing_is_asked_before_everything_is_known() -> None:
    governor = Governor(spec(), SCENARIO)
    assert governor.beat(0.0).reason == "there is no answer yet"
    governor.answered(answer(), 0.0)
    assert governor.beat(0.0).reason == "draught is not known yet"
    assert governor.counts.stops == 0  # nothing was stopped: nothing had begun


@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 4.0),
            st.floats(-1e6, 1e6) | st.just(float("inf")) | st.just(float("nan")),
            st.floats(-50, 0),
        ),
        max_size=40,
    )
)
def test_no_request_ever_leaves_the_envelope_or_moves_faster(
    steps: list[tuple[float, float, float]],
) -> None:
    governor = running(envelope={"low": 10.0, "high": 20.0, "per_s": 0.5})
    now_s, before = 0.0, governor.beat(0.0)
    for wait_s, estimate, draught in steps:
        now_s += wait_s
        governor.heard((sample("fuel", 15.0), sample("draught", draught)), now_s)
        governor.answered(answer(estimate), now_s)
        request = governor.beat(now_s)
        assert 10.0 <= request.value <= 20.0
        assert abs(request.value - before.value) <= 0.5 * wait_s + 1e-9
        assert request.beat == before.beat + 1
        before = request


def test_stops_in_a_row_open_the_breaker_until_somebody_resets_it() -> None:
    governor = running(breaker={"stops": 2, "within_s": 60.0})
    for now_s in (0.0, 1.0, 2.0, 3.0):
        quality: Quality = "good" if now_s in {0.0, 2.0} else "bad"
        governor.answered(answer(2.0, quality), now_s)
        governor.beat(now_s)
    assert governor.counts.trips == 1
    governor.answered(answer(), 4.0)
    request = governor.beat(4.0)
    assert (request.valid, request.value) == (False, 12.0)
    assert "the breaker is open after 2 stops within 2 s" in request.reason
    governor.reset()
    assert governor.beat(4.5).valid


def test_stops_far_apart_leave_the_breaker_closed() -> None:
    governor = running(breaker={"stops": 2, "within_s": 60.0})
    for now_s in (0.0, 100.0, 200.0, 300.0):
        governor.heard((sample("fuel", 15.0), sample("draught", -20.0)), now_s)
        quality: Quality = "good" if now_s in {0.0, 200.0} else "bad"
        governor.answered(answer(2.0, quality), now_s)
        governor.beat(now_s)
    assert (governor.counts.stops, governor.counts.trips) == (2, 0)


def test_a_breaker_that_was_open_stays_open_through_a_restart() -> None:
    governor = Governor(spec(), SCENARIO, "the breaker was opened yesterday")
    governor.heard((sample("fuel", 15.0), sample("draught", -20.0)), 0.0)
    governor.answered(answer(), 0.0)
    assert governor.beat(0.0).reason == "the breaker was opened yesterday"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"request": "estimate + level"}, "'level' is none of"),
        ({"request": "spectrum * 2"}, "'spectrum' is none of"),
        ({"interlocks": ("estimate < 3",)}, "'estimate' is none of"),
    ],
)
def test_what_the_line_does_not_know_is_refused(
    changed: dict[str, object], said: str
) -> None:
    with pytest.raises(ControlInvalidError, match=said):
        Governor(spec(**changed), SCENARIO)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"fallback": 25.0}, "fallback: 25 lies outside the envelope 10 to 20"),
        ({"envelope": {"low": 5.0, "high": 5.0}}, "low 5 is not below high 5"),
        (
            {"sink": {**SINK, "nodes": {"request": "a", "valid": "b"}}},
            "no node for 'heartb",
        ),
    ],
)
def test_a_control_that_is_not_safe_is_refused(
    changed: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        spec(**changed)
