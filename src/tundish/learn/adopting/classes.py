"""A foreign classifier: its columns in the scenario's order, and when it does not decide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tundish.catalog.scenario import Scenario
from tundish.learn import calibration
from tundish.learn import recipe as recipes
from tundish.learn.adopting.adoption import LEAST, Adoption, Wrapped, fit_or, softmax
from tundish.learn.adopting.answers import one_answer
from tundish.learn.adopting.feed import window_feed
from tundish.learn.adopting.foreign import ForeignGraph
from tundish.learn.adopting.foreign_model import ForeignModel
from tundish.learn.errors import ForeignUnfitError
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Material, Windows
from tundish.learn.reach import Reach, reach_of
from tundish.learn.recipe import Outputs
from tundish.model.session import Foreign

_SUM_WITHIN = 1e-3


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The scenario's classes among the columns of a foreign output.

    Attributes:
        order: Column of each class.
        logits: Whether they are log-odds.
    """

    order: tuple[int, ...]
    logits: bool

    def of(self, raw: Floats) -> Floats:
        """Return the probability of each class, [N, K]."""
        found = raw.reshape(len(raw), -1)[:, list(self.order)]
        return softmax(found) if self.logits else found

    def add(self, writer: GraphWriter, raw: str) -> str:
        """Add the same to a graph; ``raw`` is in double."""
        shape = writer.constant(np.array([-1, len(self.order)]), "answer_shape")
        value = writer.add("Reshape", raw, shape, hint="answer")
        places = writer.constant(np.array(self.order), "class_order")
        value = writer.add("Gather", value, places, axis=1, hint="in_order")
        return writer.add("Softmax", value, axis=1) if self.logits else value

    def check(self, raw: Floats, output: str) -> None:
        """Refuse answers that are no probabilities.

        Raises:
            ForeignUnfitError: if they do not sum to 1 or lie outside 0 to 1.
        """
        found = self.of(raw)
        total = found.sum(axis=1)
        if not np.allclose(total, 1.0, atol=_SUM_WITHIN) or found.min() < -_SUM_WITHIN:
            msg = f"The output {output!r} sums to {total[0]:.3g} for a window, with {found.min():.3g} as its least value; probabilities sum to 1."
            advice = (
                "If it gives log-odds, as most exports of PyTorch do, say --logits."
            )
            raise ForeignUnfitError(msg, advice=advice)


def columns_of(how: Adoption, names: tuple[str, ...]) -> Columns:
    """Return where the classes of those names stand in a foreign output.

    Raises:
        ForeignUnfitError: if the classes given are not those.
    """
    given = how.classes or names
    if sorted(given) != sorted(names):
        msg = f"The classes {', '.join(given)} are not those of the scenario: {', '.join(names)}."
        raise ForeignUnfitError(msg)
    order = tuple(given.index(name) for name in names)
    return Columns(order=order, logits=how.logits)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Classifier:
    """The estimator.

    Attributes:
        least: Probability at which a class is held possible.
    """

    model: ForeignModel
    output: str
    scenario: Scenario
    reach: Reach
    columns: Columns
    least: float

    def __call__(self, window: Windows) -> Outputs:
        """Return the outputs for windows."""
        found = self.columns.of(self.model.ask(window, [self.output])[0])
        single = found.astype(np.float32).astype(np.float64)
        label = calibration.labels(single, float(np.float32(self.least)))
        return {
            "probability": found,
            "label": label[:, None],
            "applicability": self.reach.of(window),
        }

    def write(self) -> bytes:
        """Return the graph that does the same."""
        writer = GraphWriter(self.scenario.window.rows, self.scenario.channels)
        window = writer.window()
        (raw,) = self.model.add(writer, window, [self.output])
        probability = self.columns.add(writer, raw)
        outputs = {
            "probability": probability,
            "label": calibration.add_labels(writer, probability, self.least),
            "applicability": self.reach.add(writer),
        }
        return writer.write(outputs, recipes.outputs_of(self.scenario))


def wrap(
    graph: ForeignGraph, how: Adoption, learnt: Material, scenario: Scenario
) -> Wrapped:
    """Calibrate when a foreign classifier decides; see ``adopt.adopt``."""
    calibrate = learnt.needed("calibrate", LEAST)
    columns = columns_of(how, tuple(item.name for item in scenario.classes))
    feed = window_feed(graph.inputs, how, scenario)
    model = ForeignModel(graph=graph, foreign=Foreign(graph.data), feed=feed)
    width = len(columns.order)
    output = one_answer(model, how, "probability", calibrate.x, width)
    (raw,) = model.ask(calibrate.x, [output])
    columns.check(raw, output)
    truth = calibrate.y.astype(np.int64)
    least, promise = calibration.classes(
        columns.of(raw), truth, scenario, calibrate.weights()
    )
    return Wrapped(
        estimator=_Classifier(
            model=model,
            output=output,
            scenario=scenario,
            reach=reach_of(learnt, scenario),
            columns=columns,
            least=least,
        ),
        seen=fit_or(learnt, calibrate),
        promise=promise,
        chosen={"output": output, "layout": feed.layout},
        thresholds={"least_probability": least},
    )
