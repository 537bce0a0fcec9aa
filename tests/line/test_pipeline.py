"""Laws from sample to answer: order, gaps, abstaining, and going on after a stop."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tundish.line.errors import ModeRefusedError
from tundish.line.guard import check_mode, oversight
from tundish.line.pipeline import Pipeline
from tundish.line.rows import Aligner

Kit = Any  # the class lives in conftest, which cannot be imported
shared = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40
)


def _pipeline(kit: Kit, path: Path, scenario: Any, scorer: Any = None) -> Pipeline:
    return Pipeline(
        scenario=scenario,
        scorer=scorer or kit.MeanScorer(),
        model=kit.MODEL,
        buffer=kit.buffer(path, scenario),
    )


def _rows(kit: Kit, pipeline: Pipeline) -> list[float]:
    found = pipeline.buffer.estimates_after(0, limit=10**6)
    return [(e.at_us - kit.START_US) / 1e7 for e in found]


def test_all_that_is_ready_is_scored_in_one_call(kit: Kit, tmp_path: Path) -> None:
    scorer = kit.MeanScorer()
    pipeline = _pipeline(kit, tmp_path / "b", kit.scenario(), scorer)
    pipeline.take([kit.sample(row) for row in range(100)], live=True)
    answers = pipeline.step()
    assert scorer.calls == [100]
    assert [a.value for a in answers] == list(range(100))
    assert all(a.model == kit.MODEL for a in answers)
    assert len({a.input for a in answers}) == 100
    pipeline.buffer.close()


@shared
@given(
    order=st.permutations(range(12)), rows=st.integers(1, 4), stride=st.integers(1, 3)
)
def test_any_order_of_arrival_gives_the_same_answers_in_order(
    kit: Kit, tmp_path_factory: Any, order: list[int], rows: int, stride: int
) -> None:
    folder = tmp_path_factory.mktemp("order")
    scenario = kit.scenario(rows=rows, stride=stride)
    pipeline = _pipeline(kit, folder / "b", scenario)
    pipeline.take([kit.sample(row) for row in order], live=True)
    answers = pipeline.step()
    due = [row for row in range(12) if (row + 1 - rows) % stride == 0]
    assert _rows(kit, pipeline) == due
    full = [a for a in answers if not a.abstained]
    assert [a.value for a in full] == [
        pytest.approx(np.mean(range(row - rows + 1, row + 1)))
        for row in due
        if row >= rows - 1
    ]
    assert {a.why for a in answers if a.abstained} <= {"too-few-rows"}
    pipeline.buffer.close()


@shared
@given(
    kinds=st.lists(st.sampled_from("gggggubomx"), min_size=5, max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=6),
    rows=st.integers(1, 4),
    stride=st.integers(1, 3),
)
def test_however_samples_come_together_each_gets_the_answer_it_gets_alone(
    kit: Kit,
    tmp_path_factory: Any,
    kinds: list[str],
    cuts: list[int],
    rows: int,
    stride: int,
) -> None:
    """Good, uncertain, bad, out of the range, one signal missing, or a gap."""
    folder = tmp_path_factory.mktemp("batches")
    scenario = kit.scenario(rows=rows, stride=stride, periods={"a": 10.0, "b": 10.0})
    batches: list[list[Any]] = []
    for row, kind in enumerate(kinds):
        a, b = (kit.sample(row, row + n / 2, signal="ab"[n]) for n in range(2))
        if kind == "u":
            a = a._replace(quality="uncertain", reason="the source says so")
        elif kind == "b":
            b = kit.bad_sample(row, signal="b")
        elif kind == "o":
            b = kit.sample(row, 2000.0, signal="b")
        batches.append({"m": [a], "x": []}.get(kind, [a, b]))
    ends = sorted({*cuts, len(kinds)})
    joined = [
        [sample for batch in batches[first:last] for sample in batch]
        for first, last in itertools.pairwise([0, *ends])
    ]
    said = []
    for number, taken in enumerate((batches, joined)):
        pipeline = _pipeline(kit, folder / str(number), scenario)
        for batch in taken:
            pipeline.take(batch, live=True)
            while pipeline.step():
                pass
        while pipeline.step(waited_until_us=2**62):
            pass
        said.append(pipeline.buffer.estimates_after(0, limit=10**6))
        pipeline.buffer.close()
    assert said[0] == said[1]
    assert len(said[0]) >= sum(kind in "guo" for kind in kinds) // stride - 1


@shared
@given(
    steps=st.lists(st.sampled_from([1.0, 1.0, 1.0, 1.2, 3.0]), min_size=5, max_size=30),
    cuts=st.lists(st.integers(0, 30), max_size=4),
    rows=st.integers(1, 4),
    stride=st.integers(1, 3),
)
def test_stops_and_restarts_change_no_answer(
    kit: Kit,
    tmp_path_factory: Any,
    steps: list[float],
    cuts: list[int],
    rows: int,
    stride: int,
) -> None:
    folder = tmp_path_factory.mktemp("restart")
    scenario = kit.scenario(rows=rows, stride=stride)
    samples = [kit.sample(time) for time in np.cumsum(steps)]
    whole = _pipeline(kit, folder / "whole", scenario)
    whole.take(samples, live=True)
    whole.step()
    bounds = sorted({0, len(samples), *(cut for cut in cuts if cut < len(samples))})
    for first, end in itertools.pairwise(bounds):
        part = _pipeline(kit, folder / "parts", scenario)
        part.restore()
        part.take(samples[max(first - 2, 0) : end], live=True)
        part.step()
        part.buffer.close()
    parts = _pipeline(kit, folder / "parts", scenario)
    expected = whole.buffer.estimates_after(0, limit=999)
    assert parts.buffer.estimates_after(0, limit=999) == expected
    whole.buffer.close()
    parts.buffer.close()


def test_what_was_stored_but_not_scored_is_scored_after_a_restart(
    kit: Kit, tmp_path: Path
) -> None:
    first = _pipeline(kit, tmp_path / "b", kit.scenario())
    first.take([kit.sample(row) for row in range(3000)], live=True)
    first.step()
    first.buffer.close()
    second = _pipeline(kit, tmp_path / "b", kit.scenario())
    known = second.restore()
    assert known == {"level": kit.sample(255).at_us}
    while second.step():
        pass
    assert _rows(kit, second) == list(range(3000))
    assert second.counts.estimates == 3000 - 256
    second.buffer.close()


def test_a_window_never_spans_a_gap(kit: Kit, tmp_path: Path) -> None:
    pipeline = _pipeline(kit, tmp_path / "b", kit.scenario(rows=3))
    taken = pipeline.take(
        [kit.sample(row) for row in (0, 1, 2, 3, 6, 7, 8, 9)], live=True
    )
    answers = pipeline.step()
    assert [(h.from_us, h.to_us) for h in taken.holes] == [
        (kit.sample(3).at_us, kit.sample(6).at_us)
    ]
    assert [a.value for a in answers if not a.abstained] == [1, 2, 7, 8]
    reasons = [a.reason for a in answers if a.abstained]
    assert reasons[2:] == [
        "1 of 3 rows since the last gap",
        "2 of 3 rows since the last gap",
    ]
    pipeline.buffer.close()


def test_a_bad_status_never_becomes_a_number(kit: Kit, tmp_path: Path) -> None:
    scorer = kit.MeanScorer()
    pipeline = _pipeline(kit, tmp_path / "b", kit.scenario(rows=2), scorer)
    pipeline.take(
        [kit.sample(0), kit.bad_sample(1), kit.sample(2), kit.sample(3)], live=True
    )
    answers = pipeline.step()
    assert [a.why for a in answers] == ["too-few-rows", "bad-status", "bad-status", ""]
    assert [a.value for a in answers] == [None, None, None, 2.5]
    assert scorer.calls == [1]
    assert dict(pipeline.counts.abstained) == {"too-few-rows": 1, "bad-status": 2}
    pipeline.buffer.close()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (np.nan, "missing"),
        (np.inf, "missing"),
        (1e300, "missing"),
        (5000.0, "out-of-range"),
    ],
)
def test_an_input_outside_the_contract_is_not_scored(
    kit: Kit, tmp_path: Path, value: float, why: str
) -> None:
    pipeline = _pipeline(kit, tmp_path / "b", kit.scenario())
    pipeline.take([kit.sample(0, value)], live=True)
    (answer,) = pipeline.step()
    assert (answer.why, answer.value, answer.quality) == (why, None, "bad")
    pipeline.buffer.close()


def test_outside_the_envelope_the_model_abstains_with_a_reason(
    kit: Kit, tmp_path: Path
) -> None:
    scorer = kit.MeanScorer(applicability=1.3)
    pipeline = _pipeline(kit, tmp_path / "b", kit.scenario(), scorer)
    pipeline.take([kit.sample(0)], live=True)
    (answer,) = pipeline.step()
    assert answer.abstained
    assert answer.why == "outside-envelope"
    assert answer.applicability == pytest.approx(1.3)
    assert "1.30" in answer.reason
    pipeline.buffer.close()


@pytest.mark.parametrize("output", ["estimate", "lower", "applicability"])
def test_a_graph_that_gives_no_finite_number_abstains(
    kit: Kit, tmp_path: Path, output: str
) -> None:
    class Broken(kit.MeanScorer):  # type: ignore[misc]
        def run(self, window: Any) -> Any:
            found = dict(super().run(window))
            found[output] = found[output] * np.nan
            return found

    pipeline = _pipeline(kit, tmp_path / "b", kit.scenario(), Broken())
    pipeline.take([kit.sample(0)], live=True)
    (answer,) = pipeline.step()
    assert answer.why == "not-finite"
    assert answer.abstained
    pipeline.buffer.close()


def test_an_uncertain_input_or_an_answer_out_of_range_is_uncertain(
    kit: Kit, tmp_path: Path
) -> None:
    target = {**kit.scenario().target.model_dump(), "range": (0.0, 5.0)}
    pipeline = _pipeline(kit, tmp_path / "b", kit.scenario(target=target))
    doubtful = kit.sample(1)
    doubtful = type(doubtful)(
        signal="level",
        at_us=doubtful.at_us,
        quality="uncertain",
        values=doubtful.values,
        reason="the source says UncertainLastUsableValue",
    )
    pipeline.take([kit.sample(0), doubtful, kit.sample(2, 9.0)], live=True)
    answers = pipeline.step()
    assert [a.why for a in answers] == ["", "uncertain-status", "outside-target-range"]
    assert [a.quality for a in answers] == ["good", "uncertain", "uncertain"]
    assert [a.value for a in answers] == [0.0, 1.0, 9.0]
    pipeline.buffer.close()


def test_an_anomaly_scenario_answers_with_score_and_alarm(
    kit: Kit, tmp_path: Path
) -> None:
    acceptance = {**kit.scenario().acceptance.model_dump(), "tolerance": None}
    scenario = kit.scenario(task="anomaly", target=None, acceptance=acceptance)
    pipeline = _pipeline(kit, tmp_path / "b", scenario)
    pipeline.take([kit.sample(0, 0.4), kit.sample(1, 1.5)], live=True)
    answers = pipeline.step()
    assert [a.alarm for a in answers] == [False, True]
    assert [a.lower for a in answers] == [None, None]
    assert pipeline.buffer.estimates_after(0, limit=9) == answers
    pipeline.buffer.close()


def test_duplicates_out_of_order_and_late_samples_are_counted(
    kit: Kit, tmp_path: Path
) -> None:
    pipeline = _pipeline(kit, tmp_path / "b", kit.scenario())
    pipeline.take([kit.sample(0), kit.sample(2), kit.sample(1)], live=True)
    pipeline.take([kit.sample(2, 99.0)], live=True)
    pipeline.step()
    late = pipeline.take([kit.sample(1.5)], live=True)
    pipeline.step()
    counts = pipeline.counts
    assert (counts.received, counts.duplicates) == (4, 1)
    assert (counts.out_of_order, counts.late, late.late) == (2, 1, 1)
    assert _rows(kit, pipeline) == [0, 1, 2]
    pipeline.buffer.close()


def test_nothing_after_a_hold_is_scored(kit: Kit, tmp_path: Path) -> None:
    pipeline = _pipeline(kit, tmp_path / "b", kit.scenario())
    pipeline.take([kit.sample(row) for row in range(6)], live=True)
    pipeline.step(until_us=kit.sample(2).at_us)
    assert _rows(kit, pipeline) == [0, 1, 2]
    pipeline.step()
    assert _rows(kit, pipeline) == list(range(6))
    pipeline.buffer.close()


def test_a_row_takes_the_newest_value_before_it_and_none_from_the_future(
    kit: Kit,
) -> None:
    scenario = kit.scenario(periods={"fast": 10.0, "slow": 20.0})
    aligner = Aligner(scenario)
    aligner.add([kit.sample(row, signal="fast") for row in range(6)])
    aligner.add([kit.sample(row, 100 + row, signal="slow") for row in (0, 2.1, 4)])
    rows = aligner.take(until_us=None, waited_until_us=None, limit=99)
    assert [row.values.tolist() for row in rows] == [
        [0, 100],
        [1, 100],
        [2, 100],
        [3, pytest.approx(102.1)],
        [4, 104],
    ]
    assert aligner.waiting == 1
    rows = aligner.take(until_us=None, waited_until_us=kit.sample(5).at_us, limit=99)
    assert [row.values.tolist() for row in rows] == [[5, 104]]


def test_samples_that_rows_have_passed_are_let_go(kit: Kit) -> None:
    scenario = kit.scenario(periods={"fast": 10.0, "slow": 20.0})
    aligner = Aligner(scenario)
    for row in range(200):
        for signal in ("fast", "slow"):
            aligner.add([kit.sample(row, signal=signal)])
        aligner.take(until_us=None, waited_until_us=None, limit=99)
        assert len(aligner.times_after("slow", 0)) <= 10


def test_a_signal_that_stays_away_makes_rows_bad_and_is_named(kit: Kit) -> None:
    scenario = kit.scenario(periods={"fast": 10.0, "slow": 20.0})
    aligner = Aligner(scenario)
    aligner.add([kit.sample(row, signal="fast") for row in range(8)])
    aligner.add([kit.sample(0, 100, signal="slow")])
    rows = aligner.take(until_us=None, waited_until_us=kit.sample(9).at_us, limit=99)
    assert [row.quality for row in rows] == ["good"] * 4 + ["bad"] * 4
    assert rows[-1].reason == "slow has no value"
    assert np.isnan(rows[-1].values[1])


def test_a_buffer_that_gives_samples_up_makes_a_gap_not_a_guess(
    kit: Kit, tmp_path: Path
) -> None:
    scenario = kit.scenario(rows=2)
    pipeline = Pipeline(
        scenario=scenario,
        scorer=kit.MeanScorer(),
        model=kit.MODEL,
        buffer=kit.buffer(tmp_path / "b", scenario, max_rows=20),
    )
    pipeline.take([kit.sample(0), kit.sample(1)], live=True)
    pipeline.step()
    held = kit.sample(1).at_us
    pipeline.take([kit.sample(row) for row in range(2, 30)], live=True)
    pipeline.step(until_us=held)
    answers = pipeline.step()
    assert len(pipeline.buffer.gaps()) == 1
    assert answers[0].why == "too-few-rows"
    assert all(a.value is not None for a in answers[1:])
    pipeline.buffer.close()


def test_a_mode_beyond_the_scenarios_autonomy_is_refused(kit: Kit) -> None:
    risk = kit.scenario().risk.model_dump()
    check_mode(kit.scenario(), "shadow")
    check_mode(kit.scenario(), "advise")
    with pytest.raises(ModeRefusedError, match="no more than 'advise'"):
        check_mode(kit.scenario(), "control")
    with pytest.raises(ModeRefusedError, match="no more than 'perceive'"):
        check_mode(kit.scenario(risk={**risk, "autonomy": "perceive"}), "advise")
    check_mode(kit.scenario(risk={**risk, "autonomy": "control"}), "control")


@pytest.mark.parametrize(
    ("outcome", "ambiguity", "approvals"),
    [
        ("low", "low", 0), ("low", "medium", 0), ("low", "high", None),
        ("medium", "low", 0), ("medium", "medium", None), ("medium", "high", None),
        ("high", "low", 1), ("high", "medium", 2), ("high", "high", None),
    ],
)  # fmt: skip
def test_who_must_approve_follows_from_risk_and_ambiguity(
    kit: Kit, outcome: str, ambiguity: str, approvals: int | None
) -> None:
    risk = {
        "outcome": outcome, "ambiguity": ambiguity, "autonomy": "control", "why": "test",
    }  # fmt: skip
    scenario = kit.scenario(risk=risk)
    if approvals is None:
        with pytest.raises(ModeRefusedError, match="a person decides each time"):
            oversight(scenario, 3)
        return
    assert oversight(scenario, 1).approvals == approvals
    if outcome == "high":
        with pytest.raises(ModeRefusedError, match="needs an interlock"):
            oversight(scenario, 0)
