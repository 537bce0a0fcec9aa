"""What the detectors promise, and what each of them sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tundish.catalog.scenario import Scenario, Window
from tundish.learn import calibration
from tundish.learn.check_recipe import check_recipe
from tundish.learn.errors import OptionsInvalidError
from tundish.learn.material import Material, Windows
from tundish.learn.recipe import Fitted, Options, Recipe, Scorer
from tundish.learn.recipes.cva import CvaRecipe
from tundish.learn.recipes.iforest import ForestRecipe
from tundish.learn.recipes.mahalanobis import MahalanobisRecipe
from tundish.learn.recipes.moving import MovingRecipe
from tundish.learn.recipes.neighbours import NeighboursRecipe, farthest_first
from tundish.learn.recipes.quadratic import QuadraticModel, Statistic
from tundish.learn.recipes.reconstruct import ReconstructRecipe
from tundish.learn.recipes.rows import fit_columns, vectors_of

Opener = Callable[[bytes, Windows], Scorer]

KINDS: list[tuple[Recipe, Options]] = [
    (MahalanobisRecipe(), {}),
    (MahalanobisRecipe(), {"shrink": "ledoit-wolf", "lags": 2}),
    (CvaRecipe(), {}),
    (CvaRecipe(), {"statistics": "all", "past": 2, "states": 2}),
    (MovingRecipe(), {}),
    (ForestRecipe(), {}),
    (NeighboursRecipe(), {}),
]


@pytest.mark.parametrize(("recipe", "options"), KINDS)
def test_every_detector_keeps_what_every_recipe_promises(
    flow: Scenario,
    flow_material: Material,
    opener: Opener,
    recipe: Recipe,
    options: Options,
) -> None:
    fitted = check_recipe(recipe, flow_material, flow, options, open_graph=opener)
    assert fitted.promise.promised == 0.02
    found = opener(fitted.graph, fitted.golden_window)(flow_material.x)
    np.testing.assert_allclose(found["contribution"].sum(axis=1), 1.0, rtol=1e-5)
    assert (found["contribution"] >= 0.0).all()


def test_the_network_keeps_what_every_recipe_promises(
    flow: Scenario, flow_material: Material, opener: Opener
) -> None:
    pytest.importorskip("torch")
    options: Options = {"epochs": 3}
    fitted = check_recipe(
        ReconstructRecipe(), flow_material, flow, options, open_graph=opener
    )
    assert "torch" in fitted.versions


def fit(recipe: Recipe, material: Material, scenario: Scenario) -> Fitted:
    return recipe.fit(material, scenario, {}, np.random.default_rng(0))


def test_a_broken_relation_is_seen_where_each_value_is_in_range(
    flow: Scenario, flow_material: Material
) -> None:
    fitted = fit(MahalanobisRecipe(), flow_material, flow)
    x = flow_material.of("judge").x[:100].copy()
    x[:, :, 0], x[:, :, 1] = 97.0, 103.0  # each is usual, both together are not
    answer = fitted.reference(x)
    assert (answer["score"] > 1.0).all()
    assert (answer["contribution"][:, :2].sum(axis=1) > 0.8).all()


def test_a_moving_middle_forgives_a_new_level_and_sees_the_step_to_it(
    flow: Scenario, flow_material: Material
) -> None:
    fitted = fit(MovingRecipe(), flow_material, flow)
    x = flow_material.of("judge").x[:100].copy()
    x[:, :, :2] += 80.0
    assert np.mean(fitted.reference(x)["score"] > 1.0) < 0.1
    x[:, :2, :2] -= 80.0
    assert (fitted.reference(x)["score"] > 1.0).all()


@pytest.mark.parametrize("recipe", [NeighboursRecipe(), CvaRecipe()])
def test_a_far_level_of_one_tag_is_found_and_named(
    flow: Scenario, flow_material: Material, recipe: Recipe
) -> None:
    fitted = fit(recipe, flow_material, flow)
    x = flow_material.of("judge").x[:100].copy()
    x[:, :, 1] += 60.0
    answer = fitted.reference(x)
    assert (answer["score"] > 1.0).all()
    assert np.mean(answer["contribution"].argmax(axis=1) == 1) > 0.9


def test_the_forest_ranks_a_far_level_higher_and_names_its_tag(
    flow: Scenario, flow_material: Material
) -> None:
    fitted = fit(ForestRecipe(), flow_material, flow)
    x = flow_material.of("judge").x[:100].copy()
    usual = fitted.reference(x)["score"]
    x[:, :, 1] += 60.0
    answer = fitted.reference(x)
    assert (answer["score"] > usual).all()
    assert np.mean(answer["contribution"].argmax(axis=1) == 1) > 0.9


def test_the_parts_of_a_quadratic_form_sum_to_the_statistic(
    flow: Scenario, flow_material: Material
) -> None:
    x = flow_material.x[:50]
    columns = fit_columns(x, flow)
    width = columns.width * 2
    draw = np.random.default_rng(0).normal(size=(width, width))
    form = Statistic(name="any", matrix=draw @ draw.T, scale=3.0)
    model = QuadraticModel(columns=columns, size=2, step=1, statistics=(form,))
    np.testing.assert_allclose(
        model.parts(x).sum(axis=1), model.raw_score(x), rtol=1e-9
    )


def test_every_row_counts_once_among_the_vectors(
    flow: Scenario, flow_material: Material
) -> None:
    part = flow_material.of("fit")
    columns = fit_columns(part.x, flow)
    assert len(vectors_of(part, columns, 1)) == len(part) + flow.window.rows - 1
    torn = part.take(np.arange(0, len(part), 7))
    assert len(vectors_of(torn, columns, 1)) == flow.window.rows * len(torn)


def test_a_tag_that_never_moved_alarms_when_it_moves_and_is_named_in_the_notes(
    flow: Scenario, flow_material: Material
) -> None:
    still = flow_material.x.copy()
    still[:, :, 0] = 100.0
    fitted = fit(MahalanobisRecipe(), replace(flow_material, x=still), flow)
    assert any("inlet did not move" in note for note in fitted.notes)
    moved = still[-200:].copy()
    moved[:, :, 0] = 110.0
    assert (fitted.reference(moved)["score"] > 1.0).all()


def test_a_limit_part_in_another_state_is_said(
    flow: Scenario, flow_material: Material
) -> None:
    x = flow_material.x.copy()
    x[flow_material.part == "calibrate", :, 1] += 50.0
    fitted = fit(MahalanobisRecipe(), replace(flow_material, x=x), flow)
    assert any("is unlike the fit part" in note for note in fitted.notes)
    as_it_was = fit(MahalanobisRecipe(), flow_material, flow)
    assert not any("is unlike" in note for note in as_it_was.notes)


def test_a_window_without_older_rows_is_refused_by_the_moving_middle(
    flow: Scenario, flow_material: Material
) -> None:
    with pytest.raises(OptionsInvalidError, match="newest 3 rows"):
        MovingRecipe().fit(flow_material, flow, {"newest": 3}, np.random.default_rng(0))


def test_the_forest_says_what_scikit_learn_says(
    flow: Scenario, flow_material: Material, opener: Opener
) -> None:
    fitted = fit(ForestRecipe(), flow_material, flow)
    run = opener(fitted.graph, fitted.golden_window)
    x = flow_material.x[:300]
    np.testing.assert_allclose(run(x)["score"], fitted.reference(x)["score"], rtol=2e-6)


def test_farthest_first_keeps_the_lonely_state() -> None:
    draw = np.random.default_rng(0)
    crowd = draw.normal(size=(500, 2))
    lonely = np.array([[40.0, 0.0]])
    kept = farthest_first(np.concatenate([crowd, lonely]), 20)
    assert 500 in kept
    assert len(set(kept.tolist())) == 20
    assert len(farthest_first(np.zeros((30, 2)), 20)) == 1


def test_a_limit_from_few_independent_windows_is_raised_and_one_from_many_is_not(
    flow: Scenario,
) -> None:
    draw = np.random.default_rng(0)
    long = flow.model_copy(update={"window": Window(rows=40, stride=1)})
    course = np.exp(np.convolve(draw.normal(size=159), np.ones(40) / 6.3, "valid"))
    plain, _ = calibration.alarm(course, long)
    raised, promise = calibration.alarm(course, long, cautious=True)
    assert raised.limit > plain.limit
    assert "was raised by a factor" in promise.note
    many = np.exp(draw.normal(size=5000))
    short = flow.model_copy(update={"window": Window(rows=1, stride=1)})
    plain, _ = calibration.alarm(many, short)
    raised, _ = calibration.alarm(many, short, cautious=True)
    assert raised.limit == pytest.approx(plain.limit, rel=0.1)
