"""A foreign inspector: its score brought to "bad above 1", its map to the scenario's cells.

The limit is the largest that the good parts of any lot need, and applicability is that of
the whole picture, as for recipes for pictures (``picture_parts``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.learn import recipe as recipes
from tundish.learn.adopting.adoption import LEAST, Adoption, Wrapped, fit_or
from tundish.learn.adopting.classes import Columns, columns_of
from tundish.learn.adopting.foreign import ForeignGraph
from tundish.learn.adopting.foreign_model import ForeignModel
from tundish.learn.adopting.picture_answers import Cells, Found, found_in
from tundish.learn.adopting.picture_feed import picture_feed
from tundish.learn.adopting.scale import Scale, scale_of
from tundish.learn.errors import ForeignUnfitError
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Material, Windows
from tundish.learn.recipe import Outputs
from tundish.learn.recipes.picture_parts import (
    Overall,
    good_of,
    overall_of,
    picture_of,
    worst_lot,
)
from tundish.model.session import Foreign

_GOOD_BAD = ("good", "bad")
_RAW = Scale(sign=1.0, middle=0.0, spread=1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Inspector:
    """The estimator.

    Attributes:
        columns: Its classes, if it tells them.
        bad: Which of them are bad, [K].
        cells: Its map, if it gives one.
        sign: -1 if score and map are high for what is good.
        scale, map_scale: Of score and map, once they are signed.
    """

    model: ForeignModel
    found: Found
    scenario: Scenario
    overall: Overall
    columns: Columns | None
    bad: NDArray[np.bool_]
    cells: Cells | None
    sign: float
    scale: Scale = _RAW
    map_scale: Scale = _RAW

    def __call__(self, window: Windows) -> Outputs:
        """Return the outputs for windows."""
        raw, cells, probability = self.raw(window)
        score = self.scale.of(raw)[:, None]
        outputs = {
            "score": score,
            "map": score.repeat(self._width, axis=1)
            if cells is None
            else self.map_scale.of(cells),
            "applicability": self.overall.of(window),
        }
        if probability is not None:
            outputs["probability"] = probability
        return {name: outputs[name] for name in recipes.outputs_of(self.scenario)}

    @property
    def _width(self) -> int:
        return recipes.outputs_of(self.scenario)["map"]

    def raw(self, x: Windows) -> tuple[Floats, Floats | None, Floats | None]:
        """Return score [N], cells of the map and probabilities, before they are scaled."""
        names = self.found.outputs
        said = dict(zip(names, self.model.ask(x, names), strict=True))
        cells, probability = None, None
        if self.cells is not None:
            cells = self.cells.of(self.sign * said[self.found.map])
        if self.columns is not None:
            probability = self.columns.of(said[self.found.classes])
            score = probability[:, self.bad].sum(axis=1)
        else:
            own = said[self.found.score or self.found.map]
            score = (self.sign * own).reshape(len(x), -1).max(axis=1)
        return score, cells, probability

    def write(self) -> bytes:
        """Return the graph that does the same."""
        writer = GraphWriter(self.scenario.window.rows, self.scenario.channels)
        names = self.found.outputs
        said = dict(
            zip(names, self.model.add(writer, writer.window(), names), strict=True)
        )
        outputs = {"applicability": self.overall.add(writer)}
        if self.columns is not None:
            probability = self.columns.add(writer, said[self.found.classes])
            outputs["probability"] = probability
            which = writer.constant(np.flatnonzero(self.bad), "which_classes")
            bad = writer.add("Gather", probability, which, axis=1, hint="bad_classes")
            score = writer.sum_last(bad, "bad")
        else:
            score = self._add_score(writer, said)
        outputs["score"] = self.scale.add(writer, score)
        outputs["map"] = self._add_map(writer, said, outputs["score"])
        wanted = recipes.outputs_of(self.scenario)
        return writer.write({name: outputs[name] for name in wanted}, wanted)

    def _add_score(self, writer: GraphWriter, said: dict[str, str]) -> str:
        own = self._signed(writer, said[self.found.score or self.found.map])
        row = writer.constant(np.array([0, -1]), "as_row")
        flat = writer.add("Reshape", own, row, hint="answer")
        return writer.add("ReduceMax", flat, axes=[1], keepdims=1, hint="worst")

    def _add_map(self, writer: GraphWriter, said: dict[str, str], score: str) -> str:
        if self.cells is None:
            one = writer.constant(np.ones((1, self._width)), "everywhere")
            return writer.add("Mul", score, one, hint="flat_map")
        own = self._signed(writer, said[self.found.map])
        return self.map_scale.add(writer, self.cells.add(writer, own))

    def _signed(self, writer: GraphWriter, value: str) -> str:
        if self.sign > 0:
            return value
        return writer.add("Neg", value, hint="signed")


def wrap(
    graph: ForeignGraph, how: Adoption, learnt: Material, scenario: Scenario
) -> Wrapped:
    """Calibrate the limit of a foreign score on good parts; see ``adopt.adopt``."""
    good = good_of(learnt, scenario)
    calibrate = good.needed("calibrate", LEAST)
    picture = picture_of(scenario)
    feed = picture_feed(graph.inputs, how, picture)
    model = ForeignModel(graph=graph, foreign=Foreign(graph.data), feed=feed)
    names = tuple(item.name for item in scenario.classes) or _GOOD_BAD
    found = found_in(model, how, calibrate.x, len(names))
    _check_told(found, how, scenario)
    model.check(calibrate.x, found.outputs)
    inspector = _Inspector(
        model=model,
        found=found,
        scenario=scenario,
        overall=overall_of(learnt if found.classes else good),
        columns=columns_of(how, names) if found.classes else None,
        bad=np.array([not item.good for item in scenario.classes] or [False, True]),
        cells=Cells(form=found.map_form, picture=picture) if found.map else None,
        sign=-1.0 if how.high_is_normal else 1.0,
    )
    if inspector.columns:
        few = model.ask(calibrate.x[:LEAST], [found.classes])[0]
        inspector.columns.check(few, found.classes)
    return _calibrated(inspector, calibrate, learnt, feed.said())


def _check_told(found: Found, how: Adoption, scenario: Scenario) -> None:
    if scenario.classes and not found.classes:
        msg = f"The model gives a score and no classes, and the scenario {scenario.key} tells {len(scenario.classes)} classes apart."
        advice = "Name the output with its classes, or take a scenario that only tells good from bad."
        raise ForeignUnfitError(msg, advice=advice)
    if found.classes and not scenario.classes and not how.classes:
        msg = f"The output {found.classes!r} has two columns, and the scenario {scenario.key} has no classes; which column is 'bad'?"
        advice = "Say --classes good,bad or --classes bad,good."
        raise ForeignUnfitError(msg, advice=advice)


def _calibrated(
    inspector: _Inspector, calibrate: Material, learnt: Material, fed: str
) -> Wrapped:
    found, scenario = inspector.found, inspector.scenario
    score, cells, _ = inspector.raw(calibrate.x)
    limit, promise = worst_lot(score, calibrate.source, scenario)
    answer = found.score or found.classes or found.map
    scale = scale_of(score, limit, 1.0, answer)
    notes = [fed, _where(inspector)]
    if np.sum(score == limit) > 1 and inspector.raw(learnt.x)[0].max() <= limit:
        notes.append(
            f"{answer!r} seems to be clipped at the limit: no part seen lies beyond, good or bad"
        )
    map_scale = scale
    if cells is not None and answer != found.map:
        map_scale = _map_scale(cells, calibrate.source, scenario)
    done = replace(inspector, scale=scale, map_scale=map_scale)
    return Wrapped(
        estimator=done,
        seen=fit_or(good_of(learnt, scenario), calibrate),
        promise=promise,
        chosen={"output": answer, "map_output": found.map, "map_form": found.map_form},
        thresholds=scale.thresholds(),
        notes=tuple(notes),
    )


def _map_scale(cells: Floats, lots: NDArray[np.str_], scenario: Scenario) -> Scale:
    """Return the scale of a map of its own; it shows where, and decides nothing.

    A map that is clipped reaches its end on good parts too: it stays as it is.
    """
    worst = cells.max(axis=1)
    limit, _ = worst_lot(worst, lots, scenario)
    middle = float(np.median(cells))
    return (
        replace(_RAW, middle=middle, spread=limit - middle) if limit > middle else _RAW
    )


def _where(inspector: _Inspector) -> str:
    if inspector.cells is None:
        return "the model does not say where: its map holds the score everywhere"
    down, across = inspector.cells.form
    picture = inspector.cells.picture
    return (
        f"the map {inspector.found.map!r} of {down} x {across} is brought to "
        f"{picture.map_height} x {picture.map_width} cells, the largest value in each"
    )
