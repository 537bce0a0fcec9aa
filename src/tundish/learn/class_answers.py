"""From scores of classes to the answers of a diagnosis, as numbers and as nodes.

Contributions are those of whole signals: what a signal moved the log-odds of the most
probable class against the others (each weighed by how probable it is among them), away
from what the fit part's mean gives. They are sums of parts that the model states itself,
so they cost no second evaluation. A signal with many channels has its contribution spread
evenly over them: added up over its channels it is the signal's again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from tundish.catalog.scenario import Scenario
from tundish.learn import calibration
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices, Windows
from tundish.learn.reach import Reach
from tundish.learn.recipe import CONTRIBUTION, Outputs

_FAR = 1e9
ROUNDING = 1e-6
"""Taken off the least probability: the window that set it must not fall to rounding."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What turns scores into answers.

    Attributes:
        classes: Number of classes (K).
        temperature: Scores are divided by it before the softmax.
        least: Probability at which a class is held possible.
        reach: How far a window reaches beyond training.
        signal_of: Place of the signal of each channel, [C].
    """

    classes: int
    temperature: float
    least: float
    reach: Reach
    signal_of: Indices

    def probability(self, scores: Floats) -> Floats:
        """Return the probability of each class, [N, K]."""
        return np.asarray(softmax(scores / self.temperature, axis=1))

    def of(self, x: Windows, scores: Floats, parts: Floats) -> Outputs:
        """Return the outputs.

        Args:
            x: Windows [N, T, C].
            scores: Of each class, [N, K].
            parts: What each signal moved each score, [N, K, S].
        """
        probability = self.probability(scores)
        seen = probability.astype(np.float32)
        best = np.eye(scores.shape[1])[seen.argmax(axis=1)]
        others = softmax(scores / self.temperature - _FAR * best, axis=1)
        moved = np.einsum("nk,nks->ns", best - others, parts / self.temperature)
        least = np.float32(self.least)
        return {
            "probability": probability,
            "label": calibration.labels(seen.astype(np.float64), float(least))[:, None],
            "applicability": self.reach.of(x),
            CONTRIBUTION: moved[:, self.signal_of] * self._even,
        }

    def add(self, writer: GraphWriter, scores: str, parts: str) -> dict[str, str]:
        """Add the same to a graph; ``scores`` [N, K] and ``parts`` [N, K, S] in double."""
        warm = writer.constant(np.array(self.temperature), "temperature")
        scaled = writer.add("Div", scores, warm, hint="scaled")
        probability = writer.add("Softmax", scaled, axis=1, hint="probable")
        return {
            "probability": probability,
            "label": calibration.add_labels(writer, probability, self.least),
            "applicability": self.reach.add(writer),
            CONTRIBUTION: self._add_moved(writer, scaled, probability, parts),
        }

    @property
    def _even(self) -> Floats:
        return np.asarray(1.0 / np.bincount(self.signal_of)[self.signal_of])

    def _add_moved(
        self, writer: GraphWriter, scaled: str, probability: str, parts: str
    ) -> str:
        single = writer.add("Cast", probability, to=writer.FLOAT)
        place = writer.add("ArgMax", single, axis=1, keepdims=1, hint="most")
        classes = writer.constant(np.arange(self.classes)[None], "classes")
        best = writer.add(
            "Cast", writer.add("Equal", place, classes), to=writer.DOUBLE, hint="best"
        )
        far = writer.add("Mul", best, writer.constant(np.array(_FAR), "far"))
        others = writer.add("Softmax", writer.add("Sub", scaled, far), axis=1)
        weight = writer.add("Sub", best, others, hint="against")
        axis = writer.constant(np.array([1]), "axis")
        flat = writer.add("Unsqueeze", weight, axis)  # [N, 1, K]
        moved = writer.add("Squeeze", writer.add("MatMul", flat, parts), axis)
        member = np.arange(self.signal_of.max() + 1)[:, None] == self.signal_of
        even = writer.constant(member * self._even / self.temperature, "even")
        return writer.add("MatMul", moved, even, hint="moved_by")


def channel_signals(scenario: Scenario) -> Indices:
    """Return the place of the signal that each channel belongs to, [C]."""
    each = [signal.channels for signal in scenario.signals]
    return np.repeat(np.arange(len(each)), each).astype(np.int64)


def temperature_of(scores: Floats, classes: Indices, weights: Floats) -> float:
    """Return the temperature at which probabilities of unseen windows are most honest.

    Source: C. Guo et al., "On calibration of modern neural networks", ICML 2017.

    Args:
        scores: Of windows that the model did not see, [n, K].
        classes: Place of the true class, [n].
        weights: Of each window, [n].
    """

    def loss(log_warm: float) -> float:
        return float(
            np.average(
                losses(scores, classes, float(np.exp(log_warm))), weights=weights
            )
        )

    found = minimize_scalar(loss, bounds=(-4.0, 6.0), method="bounded")
    return float(f"{np.exp(float(found.x)):.6g}")


def losses(scores: Floats, classes: Indices, temperature: float) -> Floats:
    """Return the negative logarithm of the true class's probability, [n]."""
    logs = log_softmax(scores / temperature, axis=1)
    return np.asarray(-logs[np.arange(len(classes)), classes])
