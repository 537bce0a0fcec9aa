"""The page of a judged run speaks of every task, loads nothing and escapes what it shows."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import cast, get_args

import numpy as np
import pytest
import yaml
from tests.learn.test_judges import (
    DIAGNOSE,
    FORECAST,
    INSPECT,
    RUL,
    claim,
    judged,
    material,
    scenario,
)

from tundish.catalog import library
from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Metric
from tundish.flows import runs
from tundish.flows import workspace as workspaces
from tundish.flows.judge import judge
from tundish.flows.repeat import repeat
from tundish.flows.report.judged_parts import chapters, contributions, tiles
from tundish.flows.report.number_pictures import over_time
from tundish.flows.report.page import Page, render
from tundish.flows.report.plain import WORDS, sentence
from tundish.flows.report.run_page import running_shifts, write_page
from tundish.flows.report.seen import BINS, Seen, envelope, label
from tundish.flows.train import Order, train
from tundish.learn.judging import Case
from tundish.learn.material import Material, pieces
from tundish.learn.recipe import Outputs
from tundish.learn.verdict import InjectedResult

ANOMALY = b"""
task: anomaly
acceptance:
  alarm_rate: 0.05
  limits: [{metric: missed_events, at_most: 0, why: "<b>the duty engineer</b> asks so"}]
"""
REGRESS = b"""
task: regress
target: {name: purity, description: purity of the product, unit: "%", range: [0, 200]}
acceptance: {tolerance: 2, limits: [{metric: rmse, at_most: 2.5, why: "the laboratory repeats to 1 %"}]}
"""
RNG = np.random.default_rng(7)


@pytest.fixture(autouse=True)
def same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin the draws anew, so that tests do not depend on their order and worker."""
    monkeypatch.setattr(sys.modules[__name__], "RNG", np.random.default_rng(7))


def seen(case: Scenario, data: Material, outputs: Outputs, **more: object) -> Seen:
    verdict = judged(case, data, outputs, **more)
    return Seen(
        case=Case(
            material=data, pieces=pieces(data, "judge"), scenario=case,
            claim=claim(data.x.shape[2], **more), seed=0,
        ),
        outputs={name: np.asarray(value, np.float64) for name, value in outputs.items()},
        verdict=verdict,
    )  # fmt: skip


def anomaly() -> Seen:
    rows = np.arange(1500)
    event = np.where((rows >= 400) & (rows < 460), 0, -1)
    event = np.where((rows >= 1000) & (rows < 1060), 1, event)
    x = 50 + 10 * np.sin(rows / 90) + RNG.normal(0, 1, 1500)
    window = np.where(event == 0, x + 30, x).astype(np.float32)[:, None, None]
    score = np.abs(RNG.normal(0, 0.3, 1500)) + np.where(event == 0, 2.0, 0.0)
    outputs = {
        "score": score[:, None],
        "contribution": score[:, None] * 0.5,
        "applicability": np.zeros((1500, 1)),
    }
    return seen(scenario(ANOMALY), material(np.full(1500, np.nan), window, event=event), outputs)  # fmt: skip


def regress() -> Seen:
    rows = np.arange(300)
    truth = 90 + 5 * np.sin(rows / 20) + RNG.normal(0, 1, 300)
    estimate = (truth + RNG.normal(0, 1.2, 300) + (rows > 240) * 3.0)[:, None]
    outputs = {
        "estimate": estimate, "lower": estimate - 2, "upper": estimate + 2,
        "applicability": np.zeros((300, 1)), "contribution": RNG.normal(0, 1, (300, 1)),
    }  # fmt: skip
    source = np.where(rows < 150, "column A", "column <b>B</b>")
    return seen(scenario(REGRESS), material(truth, source=source), outputs)


def rul() -> Seen:
    truth = np.concatenate([np.arange(40.0, 40.0 - n, -1) for n in range(12, 36)])
    source = np.concatenate([[f"engine {n}"] * n for n in range(12, 36)])
    estimate = (truth * 0.9 + RNG.normal(0, 8, len(truth)))[:, None]
    outputs = {
        "estimate": estimate, "lower": estimate - 12, "upper": estimate + 12,
        "applicability": np.zeros((len(truth), 1)),
    }  # fmt: skip
    return seen(scenario(RUL), material(truth, source=source), outputs)


def forecast() -> Seen:
    rows = np.arange(200)
    tail = FORECAST.replace(b"rows: 2, season_rows: 4", b"rows: 12, season_rows: 24")
    wave = 100 + 20 * np.sin(np.arange(220) * 2 * np.pi / 24) + RNG.normal(0, 2, 220)
    y = np.stack([wave[rows + step] for step in range(1, 13)], axis=1)
    estimate = y + RNG.normal(0, 3, y.shape)
    outputs = {
        "estimate": estimate, "lower": estimate - 5, "upper": estimate + 5,
        "applicability": np.zeros((200, 1)),
    }  # fmt: skip
    return seen(scenario(tail), material(y), outputs)


def diagnose() -> Seen:
    truth = np.arange(300) % 3
    taken = np.where(RNG.uniform(size=300) < 0.12, RNG.integers(0, 3, 300), truth)
    open_ = RNG.uniform(size=300) < 0.05
    outputs = {
        "probability": np.eye(3)[taken],
        "label": np.where(open_, -1, taken)[:, None],
        "applicability": np.zeros((300, 1)),
        "contribution": RNG.normal(0, 1, (300, 1)),
    }
    return seen(
        scenario(DIAGNOSE), material(truth), outputs, class_shares=(0.5, 0.3, 0.2)
    )


def inspect() -> Seen:
    bad = np.arange(60) % 5 == 0
    part = np.arange(60)[:, None, None]
    x = (part + np.linspace(0, 60, 64)[None, :, None]).astype(np.float32)
    cells = np.abs(RNG.normal(0, 0.2, (60, 4)))
    cells[bad, 2] = 1.8
    score = np.where(bad, 1.5, 0.4) + RNG.normal(0, 0.4, 60)
    outputs = {
        "score": score[:, None], "map": cells, "applicability": np.zeros((60, 1)),
    }  # fmt: skip
    return seen(scenario(INSPECT), material(bad.astype(np.int64), x), outputs)


MADE: dict[str, tuple[Callable[[], Seen], tuple[str, ...]]] = {
    "anomaly": (anomaly, ("event, missed", "alarm limit", "Marked events")),
    "regress": (regress, ("Over time", "close enough", "measured, outside it")),
    "rul": (rul, ("true rest of life", "too long: the failure comes first")),
    "forecast": (forecast, ("plain rule", "what came", "rows ahead")),
    "diagnose": (diagnose, ("left open", "of 1,000", "worn")),
    "inspect": (inspect, ("Parts to look at", "of 1,000", "bad")),
}


@pytest.fixture(params=sorted(MADE))
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@cache
def html_of(task: str) -> str:
    shown = MADE[task][0]()
    page = Page(
        title=task, subtitle="made", footer="made",
        tiles=tiles(shown.verdict), parts=chapters(shown),
    )  # fmt: skip
    html = render(page)
    folder = os.environ.get("TUNDISH_PAGES")  # to look at them
    if folder:
        (Path(folder) / f"{task}.html").write_text(html, encoding="utf-8")
    return html


def test_every_task_is_shown_with_its_own_pictures(task: str) -> None:
    html = html_of(task)
    for said in (
        *MADE[task][1],
        "Is it good enough?",
        "Against what needs no model",
        "What to keep in mind",
    ):
        assert said in html, said


def test_the_page_of_a_run_loads_nothing_and_is_small(task: str) -> None:
    html = html_of(task)
    assert not re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=", html)
    script = html.index("plotly.js v")
    assert html.count("plotly.js v") == 1
    own = len(html) - len(re.search(r"<script[^>]*>[^<]*plotly\.js v.*?</script>", html, re.DOTALL)[0])  # type: ignore[index]  # fmt: skip
    assert own < 400_000, (own, script)


def test_what_people_named_is_escaped_in_texts_and_pictures() -> None:
    assert "<b>the duty engineer" not in html_of("anomaly")
    assert "&lt;b&gt;the duty engineer" in html_of("anomaly")
    html = html_of("regress")
    assert "<b>B</b>" not in html
    assert label("<b>B</b>") == "&lt;b&gt;B&lt;/b&gt;"


def test_a_long_curve_keeps_its_highest_and_lowest_in_few_points() -> None:
    values = RNG.normal(0, 1, 100_000)
    values[54_321], values[77_777] = 99.0, -99.0
    runs = (np.arange(100_000) >= 60_000).astype(np.int64)
    at, shown = envelope(np.arange(100_000), values, runs)
    assert len(at) <= 2 * BINS + 3
    assert np.nanmax(shown) == 99.0
    assert np.nanmin(shown) == -99.0
    assert np.isnan(shown).sum() == 1  # no line from one run to the next


def test_a_night_shift_counts_once_and_a_silent_day_is_no_shift() -> None:
    hours = np.array([22, 23, 24, 25, 30, 31, 22 + 48, 23 + 48])
    names = np.array(["night"] * 4 + ["early"] * 2 + ["night"] * 2)
    at = np.datetime64("2024-01-01", "us") + hours * np.timedelta64(3600, "s")
    data = material(np.zeros(8), at=at, shift=names)
    assert running_shifts(data, 8 * 3600.0) == 3
    assert running_shifts(material(np.zeros(8)), 8 * 3600.0) is None


def test_every_figure_that_a_limit_may_name_has_plain_words() -> None:
    assert set(get_args(Metric)) <= set(WORDS)


def test_made_faults_are_called_made() -> None:
    shown = anomaly()
    made = InjectedResult(
        fault="stuck", size=None, windows=50, found=0.8, low=0.7, high=0.9,
        unchanged=0.01, named=0.5,
    )  # fmt: skip
    verdict = shown.verdict.model_copy(update={"injected": (made,)})
    blocks = [
        b for part in chapters(replace(shown, verdict=verdict)) for b in part.blocks
    ]
    (block,) = [b for b in blocks if b.title == "Made faults, not real ones"]
    assert [cell.text for cell in block.rows[0]] == ["stuck", "", "80% (70% to 90%)", "1.0%", "50%"]  # fmt: skip


def test_a_promise_that_was_not_kept_is_seen_first() -> None:
    found = {tile.label: tile for tile in tiles(regress().verdict)}
    promised = found["what its own uncertainty promised"]
    assert (promised.value, promised.tone) == ("not kept", "bad")


def test_no_curve_is_drawn_across_days_that_nobody_judged() -> None:
    minutes = np.concatenate([np.arange(10), np.arange(5000, 5010)])
    at = np.datetime64("2024-01-01", "us") + minutes * np.timedelta64(60, "s")
    truth = np.arange(20.0)
    outputs = {
        "estimate": truth[:, None], "lower": truth[:, None], "upper": truth[:, None],
        "applicability": np.zeros((20, 1)),
    }  # fmt: skip
    shown = seen(scenario(REGRESS), material(truth, at=at), outputs)
    assert shown.runs().tolist() == [0] * 10 + [1] * 10
    figure = over_time(shown)
    outlines = [trace for trace in figure.data if trace.name == "interval"]
    assert len(outlines) == 2
    (line,) = [trace for trace in figure.data if trace.name == "estimate"]
    assert np.isnan(line.y).sum() == 1


def test_a_note_of_the_judge_names_no_code() -> None:
    said = sentence("the limit of 3 on rmse holds, but lies inside the spread")
    assert (
        said == 'The limit of 3 on "typical error" holds, but lies inside the spread.'
    )


@pytest.mark.e2e
def test_a_search_on_the_real_water_main_repeats_to_the_byte(
    water_flow: Path, tmp_path: Path
) -> None:
    assert water_flow.is_dir()
    text = library.source("D46.27.pipeline-flow", Scenario).decode()
    found = yaml.safe_load(text)
    found["candidates"]["search"] = {
        "recipe": "auto",
        "why": "test",
        "options": {"tries": 3, "splits": 2, "recipes": ["pca", "mahalanobis"]},
    }
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump(found, allow_unicode=True), encoding="utf-8")
    plant = workspaces.create(tmp_path / "plant")
    order = Order(
        data="water-flow", scenario=str(own), site="water-flow", candidate="search"
    )
    made = train(plant, order)
    record = runs.find(plant, made.run).record
    assert sum("try" in item.setting for item in record.search) == 3
    assert repeat(plant, made.run).same
    judge(plant)
    page = tmp_path / "run.html"
    write_page(plant, "", page)
    assert "Score, alarms" in page.read_text(encoding="utf-8")


def test_the_channels_of_one_signal_are_added_up() -> None:
    """A course of many points is one tag; the channels of a lone signal are its tags."""
    case = library.scenario("C34.28.hydraulic-valve")
    part = np.zeros((3, case.channels))
    second = case.first_channels[1]
    part[:, second : second + 2] = 2.0
    part[:, 0] = -1.0
    shown = SimpleNamespace(
        scenario=case, outputs={"contribution": part, "probability": np.eye(3)},
        material=SimpleNamespace(y=np.zeros(3)),
    )  # fmt: skip
    (block,) = contributions(cast("Seen", shown)).blocks
    assert block.figure is not None
    first, *_ = block.figure.data[1].y
    assert first == case.signals[1].name
    assert list(block.figure.data[1].x[:2]) == [4.0, 1.0]
