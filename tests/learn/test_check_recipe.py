"""The public check of recipes finds each broken promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper

from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Task
from tundish.learn.check_recipe import check_recipe
from tundish.learn.errors import OutputInvalidError, RecipeBrokenError
from tundish.learn.material import Material, Windows
from tundish.learn.recipe import Fitted, Options, Outputs, Scorer
from tundish.learn.recipes.pls import PlsRecipe

Change = Callable[[Fitted], Fitted]


class Changed:
    """A recipe whose result is changed before it is handed out."""

    name = "changed"
    task: Task = "regress"

    def __init__(self, change: Change) -> None:
        self._change = change

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,
    ) -> Fitted:
        return self._change(PlsRecipe().fit(material, scenario, options, rng))


def on_model(edit: Callable[[onnx.ModelProto], object]) -> Change:
    def change(fitted: Fitted) -> Fitted:
        model = onnx.load_from_string(fitted.graph)
        edit(model)
        return replace(fitted, graph=model.SerializeToString(deterministic=True))

    return change


def newer(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 22


def foreign(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.example", 1))


def renamed_output(model: onnx.ModelProto) -> None:
    name = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["guess" if item == name else item for item in node.output]
    model.graph.output[0].name = "guess"


def looser_window(model: onnx.ModelProto) -> None:
    rows = model.graph.input[0].type.tensor_type.shape.dim[1]
    rows.ClearField("dim_value")
    rows.dim_param = "T"


def too_fine(fitted: Fitted) -> Fitted:
    promise = fitted.promise.model_copy(update={"promised": 0.9999})
    return replace(fitted, promise=promise)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (on_model(newer), "opset 22"),
        (on_model(foreign), "domain 'com.example'"),
        (on_model(renamed_output), "outputs"),
        (on_model(looser_window), "inputs"),
        (too_fine, "support none below"),
    ],
    ids=["opset", "domain", "outputs", "input", "promise"],
)
def test_each_broken_promise_is_named(
    sugar: Scenario,
    sugar_material: Material,
    sugar_options: Options,
    opener: Callable[[bytes, Windows], Scorer],
    change: Change,
    said: str,
) -> None:
    with pytest.raises(RecipeBrokenError, match=said):
        check_recipe(
            Changed(change), sugar_material, sugar, sugar_options, open_graph=opener
        )


def test_an_answer_that_depends_on_its_neighbours_is_found_out(
    sugar: Scenario,
    sugar_material: Material,
    sugar_options: Options,
    opener: Callable[[bytes, Windows], Scorer],
) -> None:
    def leaking(graph: bytes, window: Windows) -> Scorer:
        inner = opener(graph, window)

        def run(x: Windows) -> Outputs:
            found = dict(inner(x))
            shift = 0.001 * (len(x) == 1)
            return found | {"estimate": found["estimate"] + shift}

        return run

    with pytest.raises(RecipeBrokenError, match="stands in a batch"):
        check_recipe(
            PlsRecipe(), sugar_material, sugar, sugar_options, open_graph=leaking
        )


def test_an_answer_that_is_not_finite_is_found_out(
    sugar: Scenario, sugar_material: Material, sugar_options: Options
) -> None:
    def broken(graph: bytes, window: Windows) -> Scorer:
        def run(x: Windows) -> Outputs:
            names = ("estimate", "lower", "upper", "applicability")
            return {name: np.full((len(x), 1), np.nan) for name in names}

        return run

    with pytest.raises(OutputInvalidError, match="not finite"):
        check_recipe(
            PlsRecipe(), sugar_material, sugar, sugar_options, open_graph=broken
        )


def test_a_recipe_for_another_task_is_found_out(
    flow: Scenario,
    flow_material: Material,
    flow_options: Options,
    opener: Callable[[bytes, Windows], Scorer],
) -> None:
    with pytest.raises(RecipeBrokenError, match="'anomaly'"):
        check_recipe(PlsRecipe(), flow_material, flow, flow_options, open_graph=opener)
