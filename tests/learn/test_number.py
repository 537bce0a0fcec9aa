"""Recipes for a number on a made plant whose physics is known: a heated, stirred tank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import Ridge

from tundish.catalog.documents import parse_document
from tundish.catalog.mechanism import Mechanism, Monotone, Prior
from tundish.catalog.scenario import Balance, Constant, Scenario
from tundish.learn import balances, prior
from tundish.learn.check_recipe import check_recipe
from tundish.learn.errors import MaterialUnfitError, PartMissingError
from tundish.learn.folds import learnable
from tundish.learn.graph import GraphWriter
from tundish.learn.judge import answers, judge
from tundish.learn.material import Material, Windows
from tundish.learn.recipe import Options, Recipe, Scorer
from tundish.learn.recipes.boost import BoostRecipe
from tundish.learn.recipes.gp import GaussianRecipe
from tundish.learn.recipes.inputs import inputs_of, row_weights
from tundish.learn.recipes.linear import LinearRecipe, pls_path, ridge_path
from tundish.model.session import evaluate

Opener = Callable[[bytes, Windows], Scorer]
ROWS = 8

TANK = b"""
format: tundish.scenario
version: 1
key: C26.21.test-tank
name: {en: Tank, zh: "\xe7\xbd\x90"}
problem: none
decision: {what: nothing, who: nobody}
task: regress
signals:
  - {name: power, description: heat put in, unit: kW, range: [0, 200], period_s: 60}
  - {name: flow, description: water through the tank, unit: kg/s, range: [0.1, 5], period_s: 60}
  - {name: inlet, description: temperature of the water that comes in, unit: degC, range: [0, 40], period_s: 60}
target: {name: outlet, description: temperature of the water that leaves, unit: degC, range: [0, 150]}
window: {rows: 8, stride: 1}
recipe: linear
candidates:
  linear: {recipe: linear, why: test}
acceptance:
  tolerance: 3.0
  coverage: 0.9
  limits:
    - {metric: rmse, at_most: 3.0, why: test}
baseline: the last laboratory value
parity_tolerance: 0.0001
stale_after_s: 600
risk: {outcome: low, ambiguity: low, autonomy: advise, why: test}
"""

HEAT = Prior(
    formula="inlet + power / (4.19 * flow)",
    use="residual",
    why="energy balance of a stirred tank at rest",
)
RISES = (
    Monotone(signal="power", target="rises", why="heat warms"),
    Monotone(signal="inlet", target="rises", why="warm in, warm out"),
    Monotone(signal="flow", target="falls", why="the same heat for more water"),
)
QUICK: dict[str, Options] = {
    "linear": {"components": (1, 2, 3), "strengths": (0.01, 0.1)},
    "boost": {"leaves": (6,), "bases": (0.0, 0.1), "most_trees": 80, "splits": 2},
    "gp": {"plans": ("newest",), "scores": (0,), "most_samples": 60, "splits": 2},
}
RECIPES: dict[str, Recipe] = {
    "linear": LinearRecipe(),
    "boost": BoostRecipe(),
    "gp": GaussianRecipe(),
}


@pytest.fixture(scope="module")
def tank() -> Scenario:
    return parse_document(TANK, Scenario, "tank.yaml")


def with_physics(scenario: Scenario, **declared: object) -> Scenario:
    known = Mechanism.model_validate(declared)
    return scenario.model_copy(update={"mechanism": known})


def plant(power: tuple[float, float], count: int, seed: int) -> Material:
    """Return windows of a tank that loses heat to the hall, at powers in a range."""
    rng = np.random.default_rng(seed)
    level = np.stack(
        [
            rng.uniform(*power, count),
            rng.uniform(0.5, 2.0, count),
            rng.uniform(5.0, 20.0, count),
        ],
        axis=1,
    )
    course = level[:, None] + rng.normal(0.0, 0.02, (count, ROWS, 3))
    heat, flow, inlet = course[:, -1].T
    outlet = inlet + heat / (4.19 * flow)
    outlet = outlet - 0.06 * (outlet - 20.0) + rng.normal(0.0, 0.2, count)
    start = np.datetime64("2024-01-01T00:00:00", "us")
    return Material(
        x=course.astype(np.float32),
        y=outlet,
        part=np.full(count, "fit", dtype="<U9"),
        source=np.full(count, "tank"),
        event=np.full(count, -1),
        group=np.arange(count),
        at=start + np.arange(count) * np.timedelta64(3600, "s"),
    )


@pytest.fixture(scope="module")
def material() -> Material:
    whole = plant((20.0, 100.0), 320, 1)
    part = np.repeat(["fit", "calibrate", "judge"], [160, 80, 80])
    return replace(whole, part=part)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def rmse(found: np.ndarray, y: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found[:, 0] - y) ** 2)))


@pytest.mark.parametrize("name", sorted(RECIPES))
@pytest.mark.parametrize("use", ["none", "feature", "residual"])
def test_a_recipe_for_a_number_keeps_what_every_recipe_promises(
    name: str, use: str, tank: Scenario, material: Material, opener: Opener
) -> None:
    scenario = tank
    if use != "none":
        formula = HEAT.model_copy(update={"use": use})
        scenario = with_physics(tank, low=0.0, high=150.0, prior=formula)
    fitted = check_recipe(
        RECIPES[name], material, scenario, QUICK[name], open_graph=opener
    )
    run = opener(fitted.graph, fitted.golden_window)
    verdict = judge(material, scenario, run, fitted.claim)
    seen = {figure.metric: figure.value for figure in verdict.figures}
    assert seen["rmse"] is not None
    assert seen["rmse"] < 3.0
    assert fitted.promise.parts == ("calibrate",)
    assert seen["interval_coverage"] is not None
    assert seen["interval_coverage"] > 0.75


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_contributions_lead_from_the_usual_answer_to_this_one(
    name: str, tank: Scenario, material: Material
) -> None:
    """They add up, but for a Gaussian process's two points on the way."""
    fitted = RECIPES[name].fit(material, tank, QUICK[name], rng())
    out = fitted.reference(material.x)
    level = out["estimate"][:, 0] - out["contribution"].sum(axis=1)
    assert np.ptp(level) < {"linear": 1e-6, "boost": 1e-6, "gp": 4.0}[name]
    for channel, sign in enumerate((1.0, -1.0, 1.0)):
        moved, value = out["contribution"][:, channel], material.x[:, -1, channel]
        assert sign * np.corrcoef(moved, value)[0, 1] > 0.75


@pytest.mark.parametrize("name", ["boost", "linear"])
def test_a_graph_keeps_declared_monotone_relations_that_noise_would_break(
    name: str, tank: Scenario, material: Material, opener: Opener
) -> None:
    noise = np.random.default_rng(7).normal(0.0, 15.0, len(material))
    noisy = replace(material, y=material.y + noise)
    bound = with_physics(tank, monotone=RISES)
    shares = {}
    for label, scenario in (("free", tank), ("bound", bound)):
        options = {**QUICK[name], "bases": (0.0,)} if name == "boost" else QUICK[name]
        fitted = RECIPES[name].fit(noisy, scenario, options, rng())
        run = opener(fitted.graph, fitted.golden_window)
        verdict = judge(noisy, bound, run, fitted.claim)
        figures = {figure.metric: figure.value for figure in verdict.figures}
        shares[label] = figures["share_against_monotone"]
    assert shares["bound"] == 0.0
    if name == "boost":
        assert shares["free"] is not None
        assert shares["free"] > 0.2


def test_a_graph_stays_inside_the_declared_limits_even_where_they_round(
    tank: Scenario, material: Material, opener: Opener
) -> None:
    scenario = with_physics(tank, low=20.1, high=40.1)
    for name, recipe in RECIPES.items():
        fitted = recipe.fit(material, scenario, QUICK[name], rng())
        run = opener(fitted.graph, fitted.golden_window)
        found = answers(run, material.x, scenario)
        for output in ("estimate", "lower", "upper"):
            assert found[output].min() >= 20.1
            assert found[output].max() <= 40.1
        verdict = judge(material, scenario, run, fitted.claim)
        figures = {figure.metric: figure.value for figure in verdict.figures}
        assert figures["share_beyond_physics"] == 0.0


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_what_is_learnt_beside_physics_goes_on_where_no_data_was(
    name: str, tank: Scenario, material: Material
) -> None:
    beyond = plant((140.0, 200.0), 60, 2)
    physics = with_physics(tank, prior=HEAT)
    off = {}
    for label, scenario in (("blind", tank), ("physics", physics)):
        fitted = RECIPES[name].fit(material, scenario, QUICK[name], rng())
        off[label] = rmse(fitted.reference(beyond.x)["estimate"], beyond.y)
    assert off["physics"] < 0.5 * off["blind"]


def test_a_formula_is_the_same_in_numpy_and_in_the_graph(
    tank: Scenario, material: Material
) -> None:
    scenario = with_physics(
        tank,
        prior=Prior(
            formula="-inlet + power / (flow - flow) * 2 - -3.5",
            use="feature",
            why="test: a divisor that is zero",
        ),
    )
    for declared in (scenario, with_physics(tank, prior=HEAT)):
        formula = prior.prior_of(declared, material.x)
        assert formula is not None
        writer = GraphWriter(ROWS, 3)
        raw = writer.window()
        value = formula.add(writer, raw)
        moved = formula.add_moved(writer, raw, value)
        graph = writer.write({"v": value, "m": moved}, {"v": 1, "m": None})
        found = evaluate(graph, material.x)
        assert np.isfinite(found["v"]).all()
        np.testing.assert_allclose(found["v"], formula.values(material.x), rtol=1e-6)
        np.testing.assert_allclose(
            found["m"], formula.moved(material.x), rtol=1e-5, atol=1e-5
        )


def test_an_interval_is_wider_where_errors_are_larger(tank: Scenario) -> None:
    whole = plant((20.0, 100.0), 900, 3)
    draw = np.random.default_rng(4).normal(0.0, 1.0, 900)
    wild = whole.x[:, -1, 1] > 1.25
    y = whole.y + draw * np.where(wild, 6.0, 0.2)
    part = np.repeat(["fit", "calibrate", "judge"], [500, 200, 200])
    noisy = replace(whole, y=y, part=part)
    fitted = BoostRecipe().fit(noisy, tank, QUICK["boost"], rng())
    judged = noisy.of("judge")
    out = fitted.reference(judged.x)
    width = (out["upper"] - out["lower"])[:, 0]
    there = judged.x[:, -1, 1] > 1.25
    assert np.median(width[there]) > 2.0 * np.median(width[~there])
    inside = (out["lower"][:, 0] <= judged.y) & (judged.y <= out["upper"][:, 0])
    assert inside.mean() > 0.84


def test_without_a_calibrate_part_the_promise_says_what_it_rests_on(
    tank: Scenario, material: Material
) -> None:
    fit = material.take(material.part != "calibrate")
    for name, recipe in RECIPES.items():
        fitted = recipe.fit(fit, tank, QUICK[name], rng())
        assert fitted.promise.parts == ("fit",)
        assert "held out" in fitted.promise.note


def test_splits_never_part_a_group_and_never_share_rows(
    tank: Scenario, material: Material
) -> None:
    few = material.take(material.part == "fit")
    group = np.arange(len(few)) // 4
    together = replace(few, group=group)
    for at in (together.at, None):
        part = learnable(replace(together, at=at), tank, 4)
        for split in part.splits:
            assert not set(group[split.learn]) & set(group[split.held])
            gaps = np.abs(split.learn[:, None] - split.held[None])
            assert gaps.min() >= ROWS
        assert (
            np.sort(np.concatenate([s.held for s in part.splits])) == np.arange(160)
        ).all()
    batches = replace(together, source=np.array([f"b{i // 8}" for i in range(160)]))
    for split in learnable(batches, tank, 4).splits:
        assert not set(batches.source[split.learn]) & set(batches.source[split.held])


def test_every_plan_weighs_each_row_it_sees_and_starts_with_the_newest() -> None:
    for plan in ("newest", "mean", "lags", "fading", "stretches"):
        weights = row_weights(plan, 40)
        np.testing.assert_allclose(weights.sum(axis=1), 1.0)
        assert weights[0, -1] > 0.0
    assert (row_weights("fading", 40) > 0).sum(axis=1).tolist() == [
        1,
        1,
        2,
        4,
        8,
        16,
        8,
    ]


def test_our_linear_models_are_those_of_scikit_learn() -> None:
    draw = rng()
    x, y = draw.normal(size=(40, 9)), draw.normal(size=40)
    x, y = x - x.mean(axis=0), y - y.mean()
    found = pls_path(x, y, 5)
    for k in range(1, 6):
        theirs = PLSRegression(k, scale=False).fit(x, y).coef_[0]
        np.testing.assert_allclose(found[:, k - 1], theirs, rtol=1e-7)
    slopes, freedom = ridge_path(x, y, [0.5, 8.0])
    for place, strength in enumerate((0.5, 8.0)):
        theirs = Ridge(strength, fit_intercept=False).fit(x, y).coef_
        np.testing.assert_allclose(slopes[:, place], theirs, rtol=1e-9)
    assert freedom[0] > freedom[1] > 0.0


def test_a_target_that_never_moves_and_too_few_windows_are_refused(
    tank: Scenario, material: Material
) -> None:
    still = replace(material, y=np.full(len(material), 4.0))
    for name, recipe in RECIPES.items():
        with pytest.raises(MaterialUnfitError, match="4 in all"):
            recipe.fit(still, tank, QUICK[name], rng())
        with pytest.raises(PartMissingError):
            recipe.fit(material.take(np.arange(5)), tank, QUICK[name], rng())


def test_the_judge_says_on_how_much_of_the_judged_part_a_balance_was_broken(
    tank: Scenario, material: Material, opener: Opener
) -> None:
    balance = Balance(
        name="heater",
        residual="power - current * volts",
        unit="kW",
        tolerance=45.0,
        constants={
            "current": Constant(value=150.0, unit="A"),
            "volts": Constant(value=400.0, unit="V"),
        },
        why="test: the heater draws 60 kW, give or take the controller's 45",
    )
    scenario = tank.model_copy(update={"balances": (balance,)})
    fitted = LinearRecipe().fit(material, tank, QUICK["linear"], rng())
    run = opener(fitted.graph, fitted.golden_window)
    spoilt = material.x.copy()
    judged = np.flatnonzero(material.part == "judge")
    spoilt[judged[:20], :, 0] += 60.0  # the power meter reads too much
    broken = replace(material, x=spoilt)
    shares = [
        balances.broken(balance, found.of("judge"), scenario)
        for found in (material, broken)
    ]
    judged_power = spoilt[judged, -1, 0]
    assert shares[0] == 0.0
    assert shares[1] == float(np.mean(judged_power > 105.0)) > 0.1
    notes = judge(broken, scenario, run, fitted.claim).notes
    assert any("'heater'" in note and f"{shares[1]:.1%}" in note for note in notes)


def test_weights_of_prepared_channels_are_weights_of_the_channels_themselves() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(7, 4, 5)).astype(np.float32)
    for prepared in (None, rng.normal(size=(5, 3))):
        inputs = inputs_of("lags", (4, 5), matrix=prepared)
        weights = rng.normal(size=(inputs.linear, 2))
        plain, own = inputs.unprepared(weights)
        assert plain.columns is None
        np.testing.assert_allclose(
            plain.values(x) @ own, inputs.values(x) @ weights, atol=1e-12
        )
