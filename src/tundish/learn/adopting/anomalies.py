"""A foreign detector: its score brought to "alarm above 1", and which tags moved it."""

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
from tundish.learn.adopting.scale import Scale, scale_of
from tundish.learn.contributions import (
    add_contributions,
    contributions,
    usual_course,
)
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Material, Windows
from tundish.learn.reach import Reach, reach_of
from tundish.learn.recipe import Outputs
from tundish.model.session import Foreign


@dataclass(frozen=True, kw_only=True, eq=False)
class _Detector:
    """The estimator.

    Attributes:
        usual: Mean window of the fit part, [T, C].
    """

    model: ForeignModel
    output: str
    scenario: Scenario
    reach: Reach
    usual: Floats
    scale: Scale

    def __call__(self, window: Windows) -> Outputs:
        """Return the outputs for windows."""
        return {
            "score": self._score(window),
            "contribution": contributions(
                window, self.usual, lambda x: self._score(x)[:, 0]
            ),
            "applicability": self.reach.of(window),
        }

    def _score(self, window: Windows) -> Floats:
        return self.scale.of(self.model.ask(window, [self.output])[0].reshape(-1, 1))

    def write(self) -> bytes:
        """Return the graph that does the same."""
        writer = GraphWriter(self.scenario.window.rows, self.scenario.channels)
        window = writer.window()
        score = self._add(writer, window)
        outputs = {
            "score": score,
            "contribution": add_contributions(
                writer, window, score, self._add, self.usual
            ),
            "applicability": self.reach.add(writer),
        }
        return writer.write(outputs, recipes.outputs_of(self.scenario))

    def _add(self, writer: GraphWriter, window: str) -> str:
        (raw,) = self.model.add(writer, window, [self.output])
        one = writer.constant(np.array([-1, 1]), "answer_shape")
        return self.scale.add(writer, writer.add("Reshape", raw, one, hint="answer"))


def wrap(
    graph: ForeignGraph, how: Adoption, learnt: Material, scenario: Scenario
) -> Wrapped:
    """Calibrate the limit of a foreign score on normal windows; see ``adopt.adopt``."""
    normal = learnt.take(learnt.event < 0)
    calibrate = normal.needed("calibrate", LEAST)
    feed = window_feed(graph.inputs, how, scenario)
    model = ForeignModel(graph=graph, foreign=Foreign(graph.data), feed=feed)
    output = one_answer(model, how, "score", calibrate.x, 1)
    sign = -1.0 if how.high_is_normal else 1.0
    scores = sign * model.ask(calibrate.x, [output])[0].reshape(-1)
    limit, promise = calibration.alarm(scores, scenario)
    scale = scale_of(scores, limit.limit, sign, output)
    seen = fit_or(normal, calibrate)
    return Wrapped(
        estimator=_Detector(
            model=model,
            output=output,
            scenario=scenario,
            reach=reach_of(normal, scenario),
            usual=usual_course(seen.x),
            scale=scale,
        ),
        seen=seen,
        promise=promise,
        chosen={"output": output, "layout": feed.layout},
        thresholds=scale.thresholds(),
    )
