"""The judges of diagnosis, remaining life, forecast and inspection count what they say.

Each case is small enough to be counted by hand.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tundish.catalog import library
from tundish.catalog.documents import parse_document
from tundish.catalog.scenario import Scenario
from tundish.kernel import digest
from tundish.learn.judge import judge
from tundish.learn.judge_rul import nasa_score
from tundish.learn.material import Material
from tundish.learn.ranking import auroc, recall_at
from tundish.learn.recipe import Claim, Envelope, Outputs, Promise
from tundish.learn.verdict import Slice, Verdict

DECLARED = Path(library.__file__).parent / "declared" / "scenarios"
HEAD = b"""
format: tundish.scenario
version: 1
key: C34.27.test-part
name: {en: Part, zh: "\xe4\xbb\xb6"}
problem: none
decision: {what: nothing, who: nobody}
window: {rows: 1, stride: 1}
recipe: any
candidates: {any: {recipe: any, why: test}}
baseline: none
parity_tolerance: 0.0001
stale_after_s: 600
risk: {outcome: low, ambiguity: low, autonomy: advise, why: test}
signals: [{name: load, description: load, unit: kW, range: [-1000, 1000], period_s: 60}]
"""
DIAGNOSE = b"""
task: diagnose
target: {name: state, description: state, unit: "1", range: [0, 2]}
classes:
  - {name: good, description: as new, good: true}
  - {name: worn, description: leaks}
  - {name: broken, description: stands}
modes: [{name: low load, when: load < 5}]
costs: {unit: EUR, escape: 100, false_reject: 10, why: test}
acceptance: {limits: [{metric: escapes_per_1000, at_most: 0, why: test}]}
"""
RUL = b"""
task: rul
target: {name: life, description: rest, unit: cycles, range: [0, 500], cap: 100}
costs: {unit: EUR, late: 5, early: 1, why: test}
acceptance: {tolerance: 10, limits: [{metric: late_share, at_most: 0.5, why: test}]}
mechanism: {low: 0}
"""
FORECAST = b"""
task: forecast
target: {name: demand, description: demand, unit: kW, range: [0, 1000]}
horizon: {rows: 2, season_rows: 4}
acceptance: {tolerance: 1, limits: [{metric: rmse, at_most: 1, why: test}]}
"""
INSPECT = b"""
task: inspect
picture: {height: 8, width: 8, colours: 1, map_height: 2, map_width: 2}
acceptance: {limits: [{metric: escapes_per_1000, at_most: 0, why: test}]}
"""


def scenario(tail: bytes) -> Scenario:
    text = HEAD + tail
    if b"inspect" in tail:
        text = text.replace(b"rows: 1, stride", b"rows: 64, stride")
    return parse_document(text, Scenario, "test.yaml")


def claim(channels: int = 1, **more: object) -> Claim:
    nothing = (0.0,) * channels
    envelope = Envelope.model_validate(
        {
            "count": 9, "mean": nothing, "std": nothing, "min": nothing,
            "max": (10.0,) * channels, "target_mean": 50.0, **more,
        }
    )  # fmt: skip
    promise = Promise(
        kind="interval", asked=0.9, promised=0.9, count=30, parts=("fit",), note="test"
    )
    return Claim(graph=digest.of_bytes(b"graph"), promise=promise, envelope=envelope)


def material(y: np.ndarray, x: np.ndarray | None = None, **more: object) -> Material:
    count = len(y)
    made: dict[str, object] = {
        "x": np.arange(count, dtype=np.float32)[:, None, None] if x is None else x,
        "y": np.asarray(y, dtype=np.float64),
        "part": np.full(count, "judge"),
        "source": np.full(count, "m1"),
        "event": np.full(count, -1, dtype=np.int64),
        "group": np.arange(count, dtype=np.int64),
        "at": np.datetime64("2024-01-01", "us")
        + np.arange(count) * np.timedelta64(60, "s"),
        **more,
    }
    return Material(**made)  # type: ignore[arg-type]


def judged(case: Scenario, data: Material, outputs: Outputs, **more: object) -> Verdict:
    """Judge a graph that answers these outputs, found again by the first value of x."""
    keys = [one.tobytes() for one in data.x]

    def run(window: np.ndarray) -> Outputs:
        at = [keys.index(one.tobytes()) for one in window]
        return {name: np.asarray(value)[at] for name, value in outputs.items()}

    channels = data.x.shape[2]
    return judge(data, case, run, claim(channels, **more))


def value(verdict: Verdict | Slice, metric: str) -> float | None:
    return next(f.value for f in verdict.figures if f.metric == metric)


@pytest.fixture
def diagnosis() -> Verdict:
    # truth:   good x4, worn x4, broken x2
    truth = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
    forced = np.array([0, 0, 0, 1, 1, 1, 1, 0, 2, 1])
    label = np.array([0, 0, -1, 1, 1, 1, 1, 0, 2, -1])
    outputs = {
        "probability": np.eye(3)[forced],
        "label": label[:, None],
        "applicability": np.zeros((10, 1)),
    }
    return judged(
        scenario(DIAGNOSE), material(truth), outputs, class_shares=(0.5, 0.3, 0.2)
    )


def test_escapes_and_false_rejects_are_counted_on_what_was_decided(
    diagnosis: Verdict,
) -> None:
    assert value(diagnosis, "escapes_per_1000") == pytest.approx(100)  # worn as good
    assert value(diagnosis, "false_rejects_per_1000") == pytest.approx(100)
    assert value(diagnosis, "cost_per_1000") == pytest.approx(100 * 100 + 100 * 10)
    assert value(diagnosis, "share_left_open") == pytest.approx(0.2)
    assert value(diagnosis, "share_right_when_decided") == pytest.approx(6 / 8)
    assert not diagnosis.accepted


def test_f1_is_that_of_the_most_probable_class(diagnosis: Verdict) -> None:
    good = 2 * 3 / (2 * 3 + 1 + 1)
    worn = 2 * 3 / (2 * 3 + 1 + 2)
    broken = 2 * 1 / (2 * 1 + 1)
    assert value(diagnosis, "macro_f1") == pytest.approx((good + worn + broken) / 3)
    assert value(diagnosis, "worst_class_recall") == pytest.approx(0.5)


def test_the_confusion_has_a_column_for_what_was_left_open(diagnosis: Verdict) -> None:
    assert diagnosis.confusion is not None
    assert diagnosis.confusion.counts == ((2, 1, 0, 1), (1, 3, 0, 0), (0, 0, 1, 1))


def test_the_baseline_is_the_commonest_class(diagnosis: Verdict) -> None:
    plain = {figure.metric: figure.value for figure in diagnosis.baseline}
    assert plain["escapes_per_1000"] == pytest.approx(600)
    assert plain["false_rejects_per_1000"] == 0


def test_slices_speak_of_classes_and_modes(diagnosis: Verdict) -> None:
    found = {(cut.by, cut.name): cut for cut in diagnosis.slices}
    assert found["class", "worn"].count == 4
    assert value(found["class", "worn"], "escapes_per_1000") == pytest.approx(250)
    assert found["mode", "low load"].count == 5  # load 0 to 4


def test_windows_of_one_part_weigh_one() -> None:
    truth = np.array([0, 0, 0, 1])
    outputs = {
        "probability": np.eye(3)[[1, 1, 1, 1]],
        "label": np.array([[1], [1], [1], [1]]),
        "applicability": np.zeros((4, 1)),
    }
    data = material(truth, group=np.array([7, 7, 7, 8]))
    verdict = judged(scenario(DIAGNOSE), data, outputs)
    assert value(verdict, "false_rejects_per_1000") == pytest.approx(500)
    assert verdict.judged == 2


def test_late_and_early_lives_cost_what_the_scenario_says() -> None:
    truth = np.array([20.0, 50.0, 90.0, 150.0])
    estimate = np.array([40.0, 45.0, 70.0, 100.0])[:, None]
    outputs = {
        "estimate": estimate, "lower": estimate - 25, "upper": estimate + 25,
        "applicability": np.zeros((4, 1)),
    }  # fmt: skip
    verdict = judged(scenario(RUL), material(truth), outputs)
    assert value(verdict, "late_share") == pytest.approx(0.25)
    assert value(verdict, "early_share") == pytest.approx(0.5)
    assert value(verdict, "cost_per_unit") == pytest.approx((5 * 20 + 5 + 20 + 50) / 4)
    assert value(verdict, "rmse_capped") == pytest.approx(
        np.sqrt((20**2 + 5**2 + 20**2 + 0) / 4)
    )
    assert value(verdict, "interval_coverage") == pytest.approx(0.75)
    assert value(verdict, "share_beyond_physics") == 0
    assert verdict.baseline_name == "the mean of the fit part"
    held = np.sqrt(np.mean((50.0 - truth) ** 2))
    assert verdict.baseline[0].value == pytest.approx(held)


def test_the_nasa_score_is_the_published_one() -> None:
    expected = (np.exp(13 / 13) - 1) + (np.exp(10 / 10) - 1)
    assert nasa_score(np.array([-13.0, 10.0])) == pytest.approx(expected)


def test_a_spread_over_many_machines_is_drawn_by_machine() -> None:
    truth = np.repeat(np.arange(10.0), 3)
    estimate = truth[:, None] + np.repeat([0.0] * 5 + [9.0] * 5, 3)[:, None]
    outputs = {
        "estimate": estimate, "lower": estimate, "upper": estimate,
        "applicability": np.zeros((30, 1)),
    }  # fmt: skip
    source = np.repeat([f"m{number}" for number in range(10)], 3)
    verdict = judged(scenario(RUL), material(truth, source=source), outputs)
    assert "sources" in verdict.figure("rmse").spread
    assert sum(cut.by == "source" for cut in verdict.slices) == 10


def test_a_forecast_is_held_against_the_season_before() -> None:
    # the demand of row r is r % 4; a window at row i forecasts rows i + 1 and i + 2
    rows = np.arange(40)
    y = np.stack([(rows + 1) % 4, (rows + 2) % 4], axis=1).astype(np.float64)
    estimate = y + np.array([1.0, 3.0])
    outputs = {
        "estimate": estimate, "lower": estimate - 2, "upper": estimate + 2,
        "applicability": np.zeros((40, 1)),
    }  # fmt: skip
    verdict = judged(scenario(FORECAST), material(y), outputs)
    assert value(verdict, "rmse") == pytest.approx(np.sqrt((1 + 9) / 2))
    assert value(verdict, "interval_coverage") == pytest.approx(0.5)
    assert verdict.baseline[0].value == 0  # a season repeats exactly
    ahead = {cut.name: cut for cut in verdict.slices if cut.by == "horizon"}
    assert value(ahead["1 rows ahead"], "rmse") == pytest.approx(1)
    assert value(ahead["2 rows ahead"], "rmse") == pytest.approx(3)


def test_the_plain_forecast_knows_nothing_of_the_future() -> None:
    rows = np.arange(30)
    y = np.stack([rows + 1, rows + 2], axis=1).astype(np.float64)  # a ramp
    outputs = {
        "estimate": y, "lower": y, "upper": y, "applicability": np.zeros((30, 1)),
    }  # fmt: skip
    verdict = judged(scenario(FORECAST), material(y), outputs)
    assert verdict.baseline[0].value == pytest.approx(4)  # always one season late


def test_an_inspection_counts_parts_and_cells() -> None:
    x = np.arange(6, dtype=np.float32)[:, None, None] * np.ones((1, 64, 1), np.float32)
    mask = np.zeros((6, 4), dtype=np.bool_)
    mask[4:, 0] = True
    cells = np.zeros((6, 4))
    cells[4:, 0] = 2.0
    cells[0, 3] = 3.0
    outputs = {
        "score": np.array([[0.1], [0.2], [1.5], [0.3], [2.0], [0.9]]),
        "map": cells,
        "applicability": np.zeros((6, 1)),
    }
    data = material(np.array([0, 0, 0, 0, 1, 1]), x, mask=mask)
    verdict = judged(scenario(INSPECT), data, outputs)
    assert value(verdict, "escapes_per_1000") == pytest.approx(1000 / 6)
    assert value(verdict, "false_rejects_per_1000") == pytest.approx(1000 / 6)
    assert value(verdict, "image_auroc") == pytest.approx(7 / 8)
    assert value(verdict, "pixel_auroc") == pytest.approx(1 - 2 / (2 * 22))
    assert verdict.confusion is not None
    assert verdict.confusion.counts == ((3, 1, 0), (1, 1, 0))


def test_ranking_knows_ties_and_the_one_sided() -> None:
    bad = np.array([False, False, True, True])
    assert auroc(np.array([1.0, 2.0, 2.0, 3.0]), bad) == pytest.approx(3.5 / 4)
    assert np.isnan(auroc(np.ones(3), np.ones(3, dtype=np.bool_)))
    score = np.concatenate([np.linspace(0, 1, 101), [0.97, 0.5]])
    flags = np.arange(103) > 100
    assert recall_at(score, flags, 0.05) == pytest.approx(0.5)
