"""Remaining life: made machines that wear, at one and at three operating points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tundish.catalog.documents import parse_document
from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Costs
from tundish.learn import trees
from tundish.learn.bank import bank_of
from tundish.learn.check_recipe import check_recipe
from tundish.learn.errors import MaterialUnfitError, OptionsInvalidError
from tundish.learn.graph import GraphWriter
from tundish.learn.judge import judge
from tundish.learn.ladder import Ladder, weighted_quantile
from tundish.learn.material import Material, Windows
from tundish.learn.recipe import Options, Scorer
from tundish.learn.recipes.boost_life import BoostLifeRecipe
from tundish.learn.recipes.conv_life import ConvLifeRecipe
from tundish.learn.regimes import regimes_of
from tundish.model.session import evaluate

Opener = Callable[[bytes, Windows], Scorer]

PUMP = """
format: tundish.scenario
version: 1
key: C34.28.test-wear
name: {en: Wear, zh: 磨损}
problem: none
decision: {what: nothing, who: nobody}
task: rul
signals:
  - {name: hours, description: hours run, unit: h, range: [0, 1000], period_s: 3600}
  - {name: speed, description: speed, unit: rpm, range: [0, 4000], period_s: 3600}
  - {name: heat, description: heat, unit: degC, range: [-500, 900], period_s: 3600}
  - {name: hum, description: hum, unit: mm/s, range: [-500, 900], period_s: 3600}
  - {name: plate, description: never moves, unit: "1", range: [0, 10], period_s: 3600}
target: {name: left, description: hours left, unit: h, range: [0, 500], cap: 50}
window: {rows: 16, begins: hours <= 1}
recipe: life
candidates: {life: {recipe: boost_life, why: test}}
acceptance:
  tolerance: 10
  limits: [{metric: rmse_capped, at_most: 10, why: test}]
baseline: mean
parity_tolerance: 0.001
stale_after_s: 7200
risk: {outcome: low, ambiguity: low, autonomy: advise, why: test}
"""
OPTIONS: Options = {"trees": 30, "learning_rate": 0.2, "boosters": 3}
SPEEDS = np.array([1000.0, 2000.0, 3000.0])


@pytest.fixture(scope="module")
def wear() -> Scenario:
    return parse_document(PUMP.encode(), Scenario, "wear.yaml")


def machines(count: int, seed: int, *, speeds: bool) -> Material:
    """Return windows of machines that wear faster towards their end."""
    rng = np.random.default_rng(seed)
    parts = []
    for unit in range(count):
        life = int(rng.integers(50, 110))
        left = np.arange(life)[::-1].astype(float)
        wear = np.exp(-left / 20.0)
        place = rng.integers(0, 3, life) if speeds else np.ones(life, dtype=int)
        rows = np.stack(
            [
                np.arange(1, life + 1),
                SPEEDS[place] + rng.normal(0, 1, life),
                50.0 * place + 6.0 * wear + rng.normal(0, 1, life),
                -80.0 * place + 4.0 * wear + rng.normal(0, 1, life),
                np.full(life, 7.0),
            ],
            axis=1,
        )
        picks = np.maximum(np.arange(life)[:, None] + np.arange(-15, 1), 0)
        judged = unit % 3 == 2
        kept = np.array([int(rng.integers(5, life))]) if judged else np.arange(life)
        parts.append((rows[picks][kept], left[kept], unit, judged))
    sizes = [len(part[1]) for part in parts]
    total = sum(sizes)
    return Material(
        x=np.concatenate([part[0] for part in parts]).astype(np.float32),
        y=np.concatenate([part[1] for part in parts]),
        part=np.repeat(["judge" if part[3] else "fit" for part in parts], sizes),
        source=np.repeat([f"pump/{part[2]}" for part in parts], sizes),
        event=np.full(total, -1),
        group=np.arange(total),
    )


def test_the_recipe_keeps_what_recipes_promise(wear: Scenario, opener: Opener) -> None:
    material = machines(36, 1, speeds=False)
    fitted = check_recipe(BoostLifeRecipe(), material, wear, OPTIONS, open_graph=opener)
    run = opener(fitted.graph, fitted.golden_window)
    verdict = judge(material, wear, run, fitted.claim)
    assert verdict.accepted
    assert (verdict.figure("share_of_baseline_error").value or 9) < 0.6
    told = run(material.x)
    assert np.all(told["lower"] <= told["estimate"])
    assert np.all(told["estimate"] <= told["upper"])
    assert np.all(told["estimate"] <= 50.0)
    assert not told["contribution"][:, 4].any()  # what never moves, moves nothing


@pytest.mark.parametrize("settings", [(), ("speed",)])
def test_a_network_keeps_what_recipes_promise(
    wear: Scenario, opener: Opener, settings: tuple[str, ...]
) -> None:
    pytest.importorskip("torch")
    material = machines(30, 1, speeds=bool(settings))
    options: Options = {"settings": settings, "networks": 2, "passes": 8}
    fitted = check_recipe(ConvLifeRecipe(), material, wear, options, open_graph=opener)
    run = opener(fitted.graph, fitted.golden_window)
    verdict = judge(material, wear, run, fitted.claim)
    assert verdict.accepted
    assert (verdict.figure("share_of_baseline_error").value or 9) < 0.6
    told = run(material.x)
    assert np.all(told["lower"] <= told["estimate"])
    assert np.all(told["estimate"] <= told["upper"])
    assert not told["contribution"][:, 4].any()  # what never moves, moves nothing
    assert "torch" in fitted.versions


def test_a_network_stops_where_unseen_machines_are_told_best(wear: Scenario) -> None:
    pytest.importorskip("torch")
    material = machines(18, 1, speeds=False)
    error = [
        ConvLifeRecipe()
        .fit(material, wear, {"networks": 2, "passes": most}, np.random.default_rng(0))
        .search[0]
        .scores["rmse_without_the_unit"]
        for most in (1, 2, 6)
    ]
    assert error[0] > error[1] >= error[2]


def test_contributions_add_up_to_the_way_from_the_mean(wear: Scenario) -> None:
    material = machines(24, 2, speeds=False)
    fitted = BoostLifeRecipe().fit(material, wear, OPTIONS, np.random.default_rng(0))
    told = evaluate(fitted.graph, material.x)
    inside = (told["estimate"] > 1.0) & (told["estimate"] < 49.0)  # not clipped
    base = (told["estimate"] - told["contribution"].sum(axis=1, keepdims=True))[inside]
    assert inside.sum() > 200
    assert np.ptp(base) < 1e-3
    assert base[0] == pytest.approx(np.minimum(material.of("fit").y, 50).mean(), abs=3)


def test_regimes_are_found_and_taken_out(wear: Scenario, opener: Opener) -> None:
    material = machines(30, 3, speeds=True)
    options: Options = {**OPTIONS, "settings": ("speed",)}
    recipe = BoostLifeRecipe()
    fitted = check_recipe(recipe, material, wear, options, open_graph=opener)
    assert any("3 operating regimes" in note for note in fitted.notes)
    blind = recipe.fit(material, wear, OPTIONS, np.random.default_rng(0))
    with_them, without = (
        min(tried.scores["rmse_without_the_unit"] for tried in one.search)
        for one in (fitted, blind)
    )
    assert with_them < 0.9 * without


def test_settings_that_only_scatter_make_no_regimes() -> None:
    x = machines(12, 4, speeds=False).x
    found = regimes_of(x, [1], np.random.default_rng(0))
    assert len(found) == 1
    assert found.kept.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("speeds", [True, False])
def test_regimes_mean_the_same_in_numpy_and_graph(speeds: bool) -> None:
    x = machines(9, 5, speeds=speeds).x
    found = regimes_of(x, [1], np.random.default_rng(0))
    bank = bank_of(16)

    def add(writer: GraphWriter, raw: str) -> str:
        looks = bank.add(writer, found.add(writer, raw))
        form = writer.constant(np.array([-1, len(bank) * len(found.kept)]), "form")
        return writer.add("Reshape", looks, form)

    expected = bank.of(found.of(x)).reshape(len(x), -1)
    np.testing.assert_allclose(
        trees.features_of(add, x), expected, rtol=1e-5, atol=1e-5
    )


def test_where_late_costs_more_shorter_lives_are_told(wear: Scenario) -> None:
    material = machines(30, 6, speeds=False)
    costs = Costs(unit="CNY", late=9.0, early=1.0, why="test")
    dear = wear.model_copy(update={"costs": costs})
    plain, careful = (
        BoostLifeRecipe().fit(material, one, OPTIONS, np.random.default_rng(0))
        for one in (wear, dear)
    )
    fresh = machines(60, 7, speeds=False)
    fit = fresh.take(fresh.part == "fit")
    truth = np.minimum(fit.y, 50)
    late = [
        np.mean(evaluate(one.graph, fit.x)["estimate"][:, 0] > truth + 1e-6)
        for one in (plain, careful)
    ]
    off = [
        evaluate(one.graph, fit.x)["estimate"][:, 0] - truth for one in (plain, careful)
    ]
    spent = [np.mean(np.where(error > 0, 9.0 * error, -error)) for error in off]
    assert late[1] < 0.25 < late[0]
    assert spent[1] < 0.8 * spent[0]


def test_the_interval_holds_on_new_machines_cut_anywhere(wear: Scenario) -> None:
    material = machines(45, 8, speeds=False)
    fitted = BoostLifeRecipe().fit(material, wear, OPTIONS, np.random.default_rng(0))
    fresh = machines(240, 9, speeds=False).of("judge")
    told = evaluate(fitted.graph, fresh.x)
    inside = (told["lower"][:, 0] <= fresh.y) & (fresh.y <= told["upper"][:, 0])
    assert fitted.promise.count == 30  # machines, not windows
    assert fitted.promise.promised == 0.9
    assert inside.mean() > 0.8


def test_machines_kept_apart_calibrate(wear: Scenario) -> None:
    material = machines(60, 10, speeds=False)
    number = np.array([int(name.split("/")[1]) for name in material.source])
    part = np.where(
        (number % 3 == 1) & (material.part == "fit"), "calibrate", material.part
    )
    fitted = BoostLifeRecipe().fit(
        replace(material, part=part), wear, OPTIONS, np.random.default_rng(0)
    )
    assert fitted.promise.parts == ("calibrate",)
    assert fitted.promise.count == 20


def test_what_cannot_be_learnt_is_refused(wear: Scenario) -> None:
    recipe, rng = BoostLifeRecipe(), np.random.default_rng(0)
    material = machines(6, 11, speeds=False)
    alone = material.take(material.source == "pump/0")
    with pytest.raises(MaterialUnfitError, match="1 unit"):
        recipe.fit(alone, wear, OPTIONS, rng)
    with pytest.raises(OptionsInvalidError, match="'load'"):
        recipe.fit(material, wear, {**OPTIONS, "settings": ("load",)}, rng)
    with pytest.raises(OptionsInvalidError, match="64 rows; the window has 16"):
        recipe.fit(material, wear, {**OPTIONS, "lengths": (64,)}, rng)


@pytest.mark.parametrize("rungs", [1, 2, 5])
def test_a_ladder_means_the_same_in_numpy_and_graph(rungs: int) -> None:
    rng = np.random.default_rng(rungs)
    ladder = Ladder(
        knots=np.cumsum(rng.uniform(1, 5, rungs)), values=rng.normal(0, 9, rungs)
    )
    x = rng.uniform(-5, 30, (200, 1, 1)).astype(np.float32)
    writer = GraphWriter(1, 1)
    level = writer.flat(writer.window())
    graph = writer.write({"estimate": ladder.add(writer, level)}, {"estimate": 1})
    expected = ladder.at(x[:, 0, 0].astype(np.float64))
    np.testing.assert_allclose(
        evaluate(graph, x)["estimate"][:, 0], expected, rtol=1e-6, atol=1e-6
    )


def test_a_weighted_quantile_counts_weight() -> None:
    values, weights = np.array([3.0, 1.0, 2.0]), np.array([1.0, 8.0, 1.0])
    assert weighted_quantile(values, 0.8, weights) == 1.0
    assert weighted_quantile(values, 0.85, weights) == 2.0
    assert weighted_quantile(values, 1.0, weights) == 3.0
