"""Adopting a model of another tool: its graph inside one that keeps the convention.

Around the foreign nodes stand the form of the window, the interval or limit that is
calibrated on the calibrate part, applicability (``reach``), and for detectors the share
of each channel (``contributions``). Nothing of the foreign model is trained or changed.
The reference for parity is the foreign file itself, run as it came.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tundish.catalog.scenario import Scenario
from tundish.kernel import digest
from tundish.kernel.records import Record
from tundish.learn import calibration
from tundish.learn import recipe as recipes
from tundish.learn.contributions import (
    add_contributions,
    contributions,
    usual_course,
)
from tundish.learn.errors import ForeignUnfitError
from tundish.learn.foreign import ForeignGraph, Layout, read_foreign, roles
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Material, Windows
from tundish.learn.reach import Reach, reach_of
from tundish.learn.recipe import Fitted, Outputs, Promise
from tundish.model.session import Foreign

LEAST = 10
RECIPE = "imported"
_BATCH = 256
_ROLE = {
    "regress": "estimate",
    "rul": "estimate",
    "anomaly": "score",
    "diagnose": "probability",
}


class Adoption(Record):
    """How a foreign model is to be read.

    Attributes:
        output: Its output that answers; "" if it has only one that is a number.
        layout: ``channels-first`` if it takes [N, C, T].
        high_is_normal: Its score is high for normal windows, as scikit-learn's are
            (anomaly).
        classes: The scenario's classes in the order of its columns; none: the
            scenario's order (diagnose).
    """

    output: str = ""
    layout: Layout = "rows-first"
    high_is_normal: bool = False
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Adopted:
    """A foreign model as an estimator: its own file, and what is put around it.

    Attributes:
        order: Column of each of the scenario's classes (diagnose).
        sign: -1 if a high score is normal.
        middle, spread: score = (signed score - middle) / spread (anomaly).
        limit: Half width (regress, rul) or least probability (diagnose).
    """

    foreign: Foreign
    graph: ForeignGraph
    output: str
    how: Adoption
    scenario: Scenario
    reach: Reach
    usual: Floats
    order: tuple[int, ...] = ()
    sign: float = 1.0
    middle: float = 0.0
    spread: float = 1.0
    limit: float = 0.0

    def raw(self, x: Windows) -> Floats:
        """Return what the foreign file answers to windows, [N, K]."""
        asked = x.transpose(0, 2, 1) if self.how.layout == "channels-first" else x
        found = [
            self.foreign.run(asked[first : first + _BATCH], self.output)
            for first in range(0, len(x), _BATCH)
        ]
        return np.concatenate(found).astype(np.float64).reshape(len(x), -1)

    def __call__(self, window: Windows) -> Outputs:
        """Return the outputs for windows, float64."""
        raw, task = self.raw(window), self.scenario.task
        reach = {"applicability": self.reach.of(window)}
        if task == "anomaly":
            shares = contributions(
                window, self.usual, lambda x: self.scaled(self.raw(x))[:, 0]
            )
            return {"score": self.scaled(raw), "contribution": shares, **reach}
        if task == "diagnose":
            found = raw[:, list(self.order)]
            single = found.astype(np.float32).astype(np.float64)
            label = calibration.labels(single, float(np.float32(self.limit)))
            return {"probability": found, "label": label[:, None], **reach}
        half = self.limit
        return {"estimate": raw, "lower": raw - half, "upper": raw + half, **reach}

    def scaled(self, raw: Floats) -> Floats:
        """Return scores that alarm above 1."""
        return (self.sign * raw - self.middle) / self.spread

    def write(self) -> bytes:
        """Return the graph that does the same."""
        scenario = self.scenario
        form = (scenario.window.rows, scenario.channels)
        writer = GraphWriter(*form)
        window = writer.window()
        answer = self._answer(writer, window)
        outputs = {"applicability": self.reach.add(writer)}
        if scenario.task == "anomaly":
            outputs["score"] = answer
            outputs["contribution"] = add_contributions(
                writer, window, answer, self._answer, self.usual
            )
        elif scenario.task == "diagnose":
            outputs["probability"] = answer
            outputs["label"] = calibration.add_labels(writer, answer, self.limit)
        else:
            half = writer.constant(np.array(self.limit), "half_width")
            outputs["estimate"] = answer
            outputs["lower"] = writer.add("Sub", answer, half, hint="low")
            outputs["upper"] = writer.add("Add", answer, half, hint="high")
        wanted = recipes.outputs_of(scenario)
        return writer.write({name: outputs[name] for name in wanted}, wanted)

    def _answer(self, writer: GraphWriter, window: str) -> str:
        scenario = self.scenario
        form = (scenario.window.rows, scenario.channels)
        (raw,) = self.graph.add(writer, window, form, [self.output], self.how.layout)
        width = len(self.order) or 1
        shape = writer.constant(np.array([-1, width]), "answer_shape")
        value = writer.add("Reshape", raw, shape, hint="answer")
        if scenario.task == "diagnose":
            places = writer.constant(np.array(self.order), "class_order")
            return writer.add("Gather", value, places, axis=1, hint="in_order")
        if scenario.task == "anomaly":
            sign = writer.constant(np.array(self.sign), "sign")
            middle = writer.constant(np.array(self.middle), "middle")
            off = writer.add("Sub", writer.add("Mul", value, sign), middle, hint="off")
            spread = writer.constant(np.array(self.spread), "spread")
            return writer.add("Div", off, spread, hint="scaled_score")
        return value


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
    role = _ROLE.get(scenario.task)
    if role is None:
        msg = f"Models for the task {scenario.task!r} cannot be imported yet; for {', '.join(_ROLE)} they can."
        raise ForeignUnfitError(msg)
    graph = read_foreign(data)
    graph.check_form((scenario.window.rows, scenario.channels))
    output = _output(graph, how, role)
    learnt = material.take(material.part != "judge")
    normal = learnt.take(learnt.event < 0) if scenario.task == "anomaly" else learnt
    calibrate = normal.needed("calibrate", LEAST)
    seen = normal.of("fit") if len(normal.of("fit")) else calibrate
    model = _Adopted(
        foreign=Foreign(graph.model.SerializeToString(deterministic=True)),
        graph=graph,
        output=output,
        how=how,
        scenario=scenario,
        reach=reach_of(normal, scenario),
        usual=usual_course(seen.x),
        order=_order(how, scenario),
        sign=-1.0 if how.high_is_normal else 1.0,
    )
    _check_answers(model, calibrate)
    model, promise = _calibrated(model, calibrate)
    return _fitted(model, seen, promise, digest.of_bytes(data))


def _output(graph: ForeignGraph, how: Adoption, role: str) -> str:
    if how.output:
        return roles({role: how.output}, graph)[role]
    if len(graph.outputs) != 1:
        have = ", ".join(item.name for item in graph.outputs) or "none"
        msg = f"The model has several outputs that are numbers, or none ({have}); which one is {role!r}?"
        raise ForeignUnfitError(msg)
    return graph.outputs[0].name


def _order(how: Adoption, scenario: Scenario) -> tuple[int, ...]:
    names = tuple(item.name for item in scenario.classes)
    given = how.classes or names
    if sorted(given) != sorted(names):
        msg = f"The classes {', '.join(given)} are not those of the scenario: {', '.join(names)}."
        raise ForeignUnfitError(msg)
    return tuple(given.index(name) for name in names)


def _check_answers(model: _Adopted, calibrate: Material) -> None:
    """Refuse answers of another form, without values, or that a batch changes."""
    width = len(model.order) or 1
    together = model.raw(calibrate.x[:3])
    if together.shape[1] != width:
        msg = f"The output {model.output!r} gives {together.shape[1]} numbers for a window; {width} were expected."
        raise ForeignUnfitError(msg)
    alone = np.concatenate([model.raw(x[None]) for x in calibrate.x[:3]])
    if not np.allclose(alone, together, rtol=1e-5, atol=1e-6):
        msg = f"The output {model.output!r} for one window depends on the rest of the batch."
        raise ForeignUnfitError(msg)
    if model.scenario.task == "diagnose":
        total = together.sum(axis=1)
        if not np.allclose(total, 1.0, atol=1e-3):
            msg = f"The output {model.output!r} sums to {total[0]:.3g} for a window; probabilities sum to 1."
            raise ForeignUnfitError(msg)


def _calibrated(model: _Adopted, calibrate: Material) -> tuple[_Adopted, Promise]:
    scenario, raw = model.scenario, model.raw(calibrate.x)
    if scenario.task == "anomaly":
        scores = model.sign * raw[:, 0]
        limit, promise = calibration.alarm(scores, scenario)
        middle = float(np.median(scores))
        spread = max(limit.limit - middle, 1e-9 * max(1.0, abs(middle)))
        return replace(model, middle=middle, spread=spread), promise
    if scenario.task == "diagnose":
        least, promise = calibration.classes(
            raw[:, list(model.order)],
            calibrate.y.astype(np.int64),
            scenario,
            calibrate.weights(),
        )
        return replace(model, limit=least), promise
    misfit = np.abs(calibrate.y - raw[:, 0])
    found, promise = calibration.interval(misfit, scenario, calibrate.weights())
    return replace(model, limit=found.limit), promise


def _fitted(model: _Adopted, seen: Material, promise: Promise, foreign: str) -> Fitted:
    task = model.scenario.task
    envelope = recipes.envelope_of(
        seen,
        with_target=task in {"regress", "rul"},
        classes=len(model.scenario.classes) if task == "diagnose" else 0,
    )
    golden = recipes.golden_window(envelope, seen.x.shape[1])
    return Fitted(
        recipe=RECIPE,
        task=task,
        graph=model.write(),
        golden_window=golden,
        golden_outputs=recipes.as_float32(model(golden)),
        envelope=envelope,
        promise=promise,
        search=(),
        chosen=(
            {"foreign": foreign, "output": model.output, "layout": model.how.layout},
        ),
        thresholds={
            "limit": model.limit,
            "middle": model.middle,
            "spread": model.spread,
        },
        versions=recipes.versions("numpy", "onnx", "onnxruntime"),
        notes=(
            f"imported, not trained here: {foreign} written by "
            f"{model.graph.producer or 'an unnamed tool'}, operator sets {model.graph.changed}",
            "what it was trained on is not known here: if windows of the judge part were "
            "among it, the verdict flatters",
        ),
        reference=model,
    )
