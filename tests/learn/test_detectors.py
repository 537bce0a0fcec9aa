"""What the detectors promise, and what each of them sees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tundish.catalog.scenario import Scenario
from tundish.learn.check_recipe import check_recipe
from tundish.learn.material import Material, Windows
from tundish.learn.recipe import Options, Recipe, Scorer
from tundish.learn.recipes.cva import CvaRecipe
from tundish.learn.recipes.iforest import ForestRecipe
from tundish.learn.recipes.mahalanobis import MahalanobisRecipe
from tundish.learn.recipes.moving import MovingRecipe
from tundish.learn.recipes.neighbours import NeighboursRecipe
from tundish.learn.recipes.reconstruct import ReconstructRecipe

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
