"""The public check of a recipe: a plug-in author's test is one call.

It fits the recipe twice on the author's own material and holds the graph to all that
the judge, the package and the line rely on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx

from tundish.catalog.scenario import Scenario
from tundish.learn import parity
from tundish.learn.errors import RecipeBrokenError
from tundish.learn.judge import answers
from tundish.learn.material import Material, Windows
from tundish.learn.recipe import (
    Fitted,
    Options,
    Recipe,
    Scorer,
    optional_outputs,
    outputs_of,
)

OpenGraph = Callable[[bytes, Windows], Scorer]

NEWEST_OPSET = 21
_DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}
_CONTROL = {"If", "Loop", "Scan"}


def check_recipe(
    recipe: Recipe,
    material: Material,
    scenario: Scenario,
    options: Options,
    *,
    open_graph: OpenGraph,
    seed: int = 0,
) -> Fitted:
    """Fit a recipe and hold it to what every recipe promises.

    Args:
        recipe: The recipe.
        material: Material with all the parts that it needs, and a judge part.
        scenario: A scenario of its task.
        options: Its options.
        open_graph: Loads a graph (and may try it on the windows given) and returns
            what runs it.
        seed: Seed of its generator.

    Returns:
        What the recipe made.

    Raises:
        RecipeBrokenError: names the promise that is broken.
        ParityBrokenError: if graph and estimator differ.
        OutputInvalidError: if an output is missing, misshapen or not finite.
        Exception: what the recipe itself refuses.
    """
    if recipe.task != scenario.task:
        msg = f"The recipe {recipe.name!r} is for {recipe.task!r}, the scenario for {scenario.task!r}."
        raise RecipeBrokenError(msg)
    fitted = recipe.fit(material, scenario, options, np.random.default_rng(seed))
    _check_repeats(recipe, material, scenario, options, seed, fitted)
    _check_form(recipe.name, fitted.graph, scenario)
    run = open_graph(fitted.graph, fitted.golden_window)
    found = answers(run, material.x, scenario)
    parity.require(parity.compare(fitted.reference(material.x), found, scenario))
    golden = answers(run, fitted.golden_window, scenario)
    parity.require(parity.compare(fitted.golden_outputs, golden, scenario))
    _check_alone(recipe.name, run, material.x, scenario)
    _check_promise(recipe.name, fitted)
    return fitted


def _check_repeats(
    recipe: Recipe,
    material: Material,
    scenario: Scenario,
    options: Options,
    seed: int,
    fitted: Fitted,
) -> None:
    """Refuse a graph that another training, or other judge data, would change."""
    judged = material.part == "judge"
    other = replace(material, x=np.where(judged[:, None, None], 0, material.x))
    tries = ((material, "the same material"), (other, "another judge part"))
    for again, what in tries:
        graph = recipe.fit(again, scenario, options, np.random.default_rng(seed)).graph
        if graph != fitted.graph:
            msg = f"The recipe {recipe.name!r} made another graph from {what} with the same seed."
            raise RecipeBrokenError(msg)


def _check_form(name: str, graph: bytes, scenario: Scenario) -> None:
    model = onnx.load_from_string(graph)
    onnx.checker.check_model(model, full_check=True)
    problem = (
        _opset_problem(model)
        or _input_problem(model, scenario)
        or _output_problem(model, scenario)
        or _node_problem(model)
    )
    if problem:
        msg = f"The graph of the recipe {name!r} {problem}."
        raise RecipeBrokenError(msg)


def _opset_problem(model: onnx.ModelProto) -> str:
    for opset in model.opset_import:
        if opset.domain not in _DOMAINS:
            return f"uses operators of the domain {opset.domain!r}"
        if opset.domain != "ai.onnx.ml" and opset.version > NEWEST_OPSET:
            return f"has opset {opset.version}; at most {NEWEST_OPSET} was expected"
    return ""


def _input_problem(model: onnx.ModelProto, scenario: Scenario) -> str:
    expected = ["window", scenario.window.rows, scenario.channels]
    found = [
        [entry.name, *(dim.dim_value for dim in entry.type.tensor_type.shape.dim[1:])]
        for entry in model.graph.input
    ]
    if found != [expected]:
        return f"has the inputs {found}; one input {expected} was expected"
    kind = model.graph.input[0].type.tensor_type.elem_type
    return "" if kind == onnx.TensorProto.FLOAT else "takes no float32"


def _output_problem(model: onnx.ModelProto, scenario: Scenario) -> str:
    expected = sorted(outputs_of(scenario))
    besides = set(optional_outputs(scenario))
    found = sorted(entry.name for entry in model.graph.output)
    if sorted(set(found) - besides) != expected or len(set(found)) != len(found):
        return f"has the outputs {found}; {expected} was expected"
    wrong = [
        entry.name
        for entry in model.graph.output
        if entry.type.tensor_type.elem_type != onnx.TensorProto.FLOAT
    ]
    return f"gives {wrong[0]!r} in another type than float32" if wrong else ""


def _node_problem(model: onnx.ModelProto) -> str:
    for node in model.graph.node:
        if node.op_type in _CONTROL:
            return f"has the control flow {node.op_type!r}"
        if node.domain not in _DOMAINS:
            return f"uses the custom operator {node.domain}.{node.op_type}"
    external = onnx.TensorProto.EXTERNAL
    if any(item.data_location == external for item in model.graph.initializer):
        return "keeps weights outside itself"
    return ""


def _check_alone(name: str, run: Scorer, x: Windows, scenario: Scenario) -> None:
    """Refuse a graph whose answer for a window depends on the rest of the batch."""
    together = run(x[:3])
    for place in range(min(3, len(x))):
        alone = run(x[place : place + 1])
        for output in outputs_of(scenario):
            near = np.allclose(
                alone[output][0], together[output][place], rtol=1e-5, atol=1e-6
            )
            if not near:
                msg = f"The recipe {name!r} answers {output!r} for one window differently when it stands in a batch."
                raise RecipeBrokenError(msg)


def _check_promise(name: str, fitted: Fitted) -> None:
    promise = fitted.promise
    finest = 1.0 / (promise.count + 1)
    promised = promise.promised if promise.kind == "alarm" else 1.0 - promise.promised
    if promised < finest - 1e-12:
        msg = f"The recipe {name!r} promises a rate of {promised:.3g}, and {promise.count} calibration samples support none below {finest:.3g}."
        raise RecipeBrokenError(msg)
