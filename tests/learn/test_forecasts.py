"""Forecasts of a made load: a day's course, a slow level, and a channel that leads it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tundish.catalog.documents import parse_document
from tundish.catalog.scenario import Scenario
from tundish.learn.check_recipe import check_recipe
from tundish.learn.errors import OptionsInvalidError, PartMissingError
from tundish.learn.graph import GraphWriter
from tundish.learn.judge import judge
from tundish.learn.material import Material, Windows
from tundish.learn.recipe import Scorer
from tundish.learn.recipes.boost_forecast import BoostForecastRecipe
from tundish.learn.recipes.forecast_parts import (
    past_channel,
    plain_forecasts,
    quantile_rungs,
)
from tundish.learn.recipes.seasonal import SeasonalRecipe
from tundish.model.session import evaluate

Opener = Callable[[bytes, Windows], Scorer]
DAY, ROWS, AHEAD = 24, 48, 8

LOAD = """
format: tundish.scenario
version: 1
key: C31.16.test-load
name: {en: Load, zh: 负荷}
problem: none
decision: {what: nothing, who: nobody}
task: forecast
signals:
  - {name: order, description: tonnes ordered, unit: t, range: [-50, 50], period_s: 3600}
  - {name: load, description: load, unit: MW, range: [-100, 300], period_s: 3600}
target: {name: load, description: load, unit: MW, range: [-100, 300]}
window: {rows: 48}
horizon: {rows: 8, season_rows: 24}
recipe: plain
candidates: {plain: {recipe: seasonal, why: test}}
acceptance:
  tolerance: 5
  limits: [{metric: share_of_baseline_error, at_most: 0.95, why: test}]
baseline: the same hour yesterday
parity_tolerance: 0.0001
stale_after_s: 7200
risk: {outcome: low, ambiguity: low, autonomy: advise, why: test}
"""
OPTIONS = {"trees": 40, "learning_rate": 0.15}


@pytest.fixture(scope="module")
def load() -> Scenario:
    return parse_document(LOAD.encode(), Scenario, "load.yaml")


@pytest.fixture(scope="module")
def made() -> Material:
    """Return eighty days; an order moves the load from two hours later on."""
    rng = np.random.default_rng(1)
    hours = np.arange(80 * DAY)
    order = np.repeat(rng.normal(0, 10, len(hours) // 8), 8)
    load = 80.0 + 30.0 * np.sin(hours * 2 * np.pi / DAY) + np.roll(order, 2)
    load += rng.normal(0, 1.5, len(hours))
    rows = np.stack([order, load], axis=1)
    last = np.arange(ROWS - 1, len(hours) - AHEAD)
    x = rows[last[:, None] + np.arange(1 - ROWS, 1)].astype(np.float32)
    part = np.select(
        [last < 45 * DAY, last < 55 * DAY, last < 66 * DAY],
        ["fit", "select", "calibrate"],
        "judge",
    )
    return Material(
        x=x,
        y=load[last[:, None] + np.arange(1, AHEAD + 1)],
        part=part,
        source=np.full(len(last), "works"),
        event=np.full(len(last), -1),
        group=np.arange(len(last)),
        at=np.datetime64("2024-01-01T00", "us") + last * np.timedelta64(3600, "s"),
    )


def test_the_plain_recipe_keeps_what_recipes_promise(
    load: Scenario, made: Material, opener: Opener
) -> None:
    fitted = check_recipe(SeasonalRecipe(), made, load, {}, open_graph=opener)
    assert fitted.chosen == ({"plain": "the mean of 2 seasons"},)
    run = opener(fitted.graph, fitted.golden_window)
    verdict = judge(made, load, run, fitted.claim)
    assert verdict.accepted
    assert 0.86 < (verdict.figure("interval_coverage").value or 0) < 0.98


def test_boosting_keeps_them_too_and_hears_what_leads_the_load(
    load: Scenario, made: Material, opener: Opener
) -> None:
    recipe = BoostForecastRecipe()
    fitted = check_recipe(recipe, made, load, OPTIONS, open_graph=opener)
    run = opener(fitted.graph, fitted.golden_window)
    verdict = judge(made, load, run, fitted.claim)
    plain = SeasonalRecipe().fit(made, load, {}, np.random.default_rng(0))
    beaten = judge(made, load, opener(plain.graph, plain.golden_window), plain.claim)
    mine, theirs = (one.figure("rmse").value or 0.0 for one in (verdict, beaten))
    assert mine < 0.85 * theirs
    assert 0.85 < (verdict.figure("interval_coverage").value or 0) < 0.98
    told = run(made.x)
    assert np.all(told["lower"] <= told["estimate"])
    assert np.all(told["estimate"] <= told["upper"])
    assert np.abs(told["contribution"][:, 0]).mean() > 1.0


def test_a_correction_that_proves_good_for_nothing_is_left_out(load: Scenario) -> None:
    rng = np.random.default_rng(4)
    walk = 50.0 + np.cumsum(rng.normal(0, 1, 900))  # nothing beats its last value
    last = np.arange(ROWS - 1, 900 - AHEAD)
    past = walk[last[:, None] + np.arange(1 - ROWS, 1)]
    noise = rng.normal(0, 1, past.shape)
    material = Material(
        x=np.stack([noise, past], axis=2).astype(np.float32),
        y=walk[last[:, None] + np.arange(1, AHEAD + 1)],
        part=np.select([last < 400, last < 600, last < 700], ["fit", "select", "calibrate"], "judge"),
        source=np.full(len(last), "walk"),
        event=np.full(len(last), -1),
        group=np.arange(len(last)),
    )  # fmt: skip
    fitted = BoostForecastRecipe().fit(
        material, load, OPTIONS, np.random.default_rng(0)
    )
    judged = material.of("judge")
    off = evaluate(fitted.graph, judged.x)["estimate"] - judged.y
    held = judged.x[:, -1:, 1] - judged.y
    assert np.sqrt(np.mean(off**2)) < 1.15 * np.sqrt(np.mean(held**2))


def test_a_plain_forecast_never_looks_beyond_the_window() -> None:
    for plain in plain_forecasts(ROWS, 30, DAY):
        np.testing.assert_allclose(plain.weights.sum(axis=0), 1.0)
    course = np.tile(np.arange(DAY, dtype=float), 3)
    past, future = course[None, :ROWS], course[ROWS : ROWS + 20]
    seasonal = [p for p in plain_forecasts(ROWS, 20, DAY) if "season" in p.name]
    assert [p.name for p in seasonal] == ["the season before", "the mean of 2 seasons"]
    for plain in seasonal:
        np.testing.assert_allclose(plain.of(past)[0], future)
    short = plain_forecasts(12, 20, DAY)  # the window holds no season
    assert not [p for p in short if "season" in p.name]


def test_rungs_mean_the_same_in_numpy_and_graph() -> None:
    rng = np.random.default_rng(2)
    level = rng.normal(0, 5, (400, 3))
    rungs = quantile_rungs(level, level**2 + rng.normal(size=(400, 3)), 0.9, 5)
    x = rng.normal(0, 9, (100, 1, 3)).astype(np.float32)
    writer = GraphWriter(1, 3)
    value = rungs.add(writer, writer.flat(writer.window()))
    found = evaluate(writer.write({"estimate": value}, {"estimate": 3}), x)["estimate"]
    expected = rungs.at(x[:, 0].astype(np.float64))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_what_a_forecast_needs_is_asked_for(load: Scenario, made: Material) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(OptionsInvalidError, match="'steam'"):
        SeasonalRecipe().fit(made, load, {"past": "steam"}, rng)
    with pytest.raises(PartMissingError, match="calibrate"):
        SeasonalRecipe().fit(made.take(made.part != "calibrate"), load, {}, rng)
    assert past_channel(load, None, "seasonal") == 1
