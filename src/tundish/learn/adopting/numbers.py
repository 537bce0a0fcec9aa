"""A foreign model that estimates one number: its conformal interval, and its reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tundish.catalog.scenario import Scenario
from tundish.learn import calibration
from tundish.learn import recipe as recipes
from tundish.learn.adopting.adoption import LEAST, Adoption, Wrapped, fit_or
from tundish.learn.adopting.answers import one_answer
from tundish.learn.adopting.feed import window_feed
from tundish.learn.adopting.foreign import ForeignGraph
from tundish.learn.adopting.foreign_model import ForeignModel
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Material, Windows
from tundish.learn.reach import Reach, reach_of
from tundish.learn.recipe import Outputs
from tundish.model.session import Foreign


@dataclass(frozen=True, kw_only=True, eq=False)
class _Number:
    """The estimator.

    Attributes:
        half: Half width of the interval, in the target's unit.
    """

    model: ForeignModel
    output: str
    scenario: Scenario
    reach: Reach
    half: float

    def __call__(self, window: Windows) -> Outputs:
        """Return the outputs for windows."""
        estimate = _asked(self.model, self.output, window)
        return {
            "estimate": estimate,
            "lower": estimate - self.half,
            "upper": estimate + self.half,
            "applicability": self.reach.of(window),
        }

    def write(self) -> bytes:
        """Return the graph that does the same."""
        writer = GraphWriter(self.scenario.window.rows, self.scenario.channels)
        window = writer.window()
        (raw,) = self.model.add(writer, window, [self.output])
        estimate = writer.add("Reshape", raw, writer.constant(np.array([-1, 1]), "one"))
        half = writer.constant(np.array(self.half), "half_width")
        outputs = {
            "estimate": estimate,
            "lower": writer.add("Sub", estimate, half, hint="low"),
            "upper": writer.add("Add", estimate, half, hint="high"),
            "applicability": self.reach.add(writer),
        }
        return writer.write(outputs, recipes.outputs_of(self.scenario))


def wrap(
    graph: ForeignGraph, how: Adoption, learnt: Material, scenario: Scenario
) -> Wrapped:
    """Calibrate an interval around a foreign estimate; see ``adopt.adopt``."""
    calibrate = learnt.needed("calibrate", LEAST)
    feed = window_feed(graph.inputs, how, scenario)
    model = ForeignModel(graph=graph, foreign=Foreign(graph.data), feed=feed)
    output = one_answer(model, how, "estimate", calibrate.x, 1)
    misfit = np.abs(calibrate.y - _asked(model, output, calibrate.x)[:, 0])
    found, promise = calibration.interval(misfit, scenario, calibrate.weights())
    reach = reach_of(learnt, scenario)
    return Wrapped(
        estimator=_Number(
            model=model,
            output=output,
            scenario=scenario,
            reach=reach,
            half=found.limit,
        ),
        seen=fit_or(learnt, calibrate),
        promise=promise,
        chosen={"output": output, "layout": feed.layout},
        thresholds={"half_width": found.limit},
    )


def _asked(model: ForeignModel, output: str, x: Windows) -> Floats:
    return model.ask(x, [output])[0].reshape(-1, 1)
