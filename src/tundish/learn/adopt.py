"""Adopting a model of another tool: its graph inside one that keeps the convention.

Around the foreign nodes stand the form of the window, the interval or limit that is
calibrated on the calibrate part, and applicability: ``adopting`` has a module for each kind
of task. Nothing of the foreign model is trained or changed. The reference for parity is
the foreign file itself, run as it came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Task
from tundish.kernel import digest
from tundish.learn import recipe as recipes
from tundish.learn.adopting import anomalies, classes, forecasts, numbers, pictures
from tundish.learn.adopting.adoption import Adoption, Wrapped
from tundish.learn.adopting.foreign import ForeignGraph, read_foreign
from tundish.learn.material import Material, Windows
from tundish.learn.recipe import Envelope, Fitted
from tundish.learn.recipes.picture_parts import golden_picture

__all__ = ["RECIPE", "Adoption", "adopt"]

RECIPE = "imported"
_NUMBERS = frozenset({"regress", "rul", "forecast"})
_Wrap: TypeAlias = Callable[[ForeignGraph, Adoption, Material, Scenario], Wrapped]
_WRAPS: dict[Task, _Wrap] = {
    "regress": numbers.wrap,
    "rul": numbers.wrap,
    "forecast": forecasts.wrap,
    "anomaly": anomalies.wrap,
    "diagnose": classes.wrap,
    "inspect": pictures.wrap,
}


def adopt(data: bytes, how: Adoption, material: Material, scenario: Scenario) -> Fitted:
    """Wrap a foreign model and calibrate what is put around it; never looks at judge.

    Args:
        data: Untrusted bytes of an ONNX file.
        how: How it is to be read.
        material: Windows with their parts; ``calibrate`` is needed.
        scenario: The contract.

    Raises:
        ForeignUnfitError: if it does not fit the scenario.
        PartMissingError: if there is nothing to calibrate on.
        Exception: what ``graphcheck.check_graph`` refuses.
    """
    graph = read_foreign(data)
    learnt = material.take(material.part != "judge")
    wrapped = _WRAPS[scenario.task](graph, how, learnt, scenario)
    envelope, golden = _golden(wrapped.seen, scenario)
    return Fitted(
        recipe=RECIPE,
        task=scenario.task,
        graph=wrapped.estimator.write(),
        golden_window=golden,
        golden_outputs=recipes.as_float32(wrapped.estimator(golden)),
        envelope=envelope,
        promise=wrapped.promise,
        search=(),
        chosen=({"foreign": digest.of_bytes(data), **wrapped.chosen},),
        thresholds=wrapped.thresholds,
        versions=recipes.versions("numpy", "onnx", "onnxruntime"),
        notes=(
            f"imported, not trained here: {digest.of_bytes(data)} written by "
            f"{graph.producer or 'an unnamed tool'}, operator sets {graph.changed}",
            *wrapped.notes,
            "what it was trained on is not known here: if windows of the judge part were "
            "among it, the verdict flatters",
        ),
        reference=wrapped.estimator,
    )


def _golden(seen: Material, scenario: Scenario) -> tuple[Envelope, Windows]:
    task, rows = scenario.task, seen.x.shape[1]
    envelope = recipes.envelope_of(
        seen, with_target=task in _NUMBERS, classes=len(scenario.classes)
    )
    if task == "inspect":
        return envelope, golden_picture(envelope, rows)
    return envelope, recipes.golden_window(envelope, rows)
