"""Answer windows of a client as the line answers its own: gate, budget, model, doubt.

A window that breaks the contract, or is beyond the signed budget, is not shown to the
model; where the model may not be trusted its numbers are taken out. Batches are treated
as a whole, and only the windows that are not good one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.line import guard
from tundish.line.because import because
from tundish.line.budget import Meter
from tundish.line.estimates import Scorer, Why
from tundish.line.guard import InputGate
from tundish.line.samples import Quality

Floats = NDArray[np.float32]
Shapes = Mapping[str, tuple[int, ...]]

DISTANCE = "applicability"
PARTS = "contribution"
_TELLING = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubted:
    """Why one window has no number, or an uncertain one.

    Attributes:
        quality: ``bad``: it has none.
        why: Kind of reason; ``reason`` says it for people.
    """

    quality: Quality
    why: Why
    reason: str


class Answered(NamedTuple):
    """Answers to some windows.

    Attributes:
        outputs: float32 by name, first axis windows; NaN where the model abstained.
        doubted: The windows that are not good, by their place.
        because: Which signals each answer comes from, where asked for and told.
    """

    outputs: dict[str, Floats]
    doubted: Mapping[int, Doubted]
    because: Mapping[int, str]


class Answerer:
    """Answers windows with one model.

    Args:
        scenario: The contract.
        scorer: The model.
        shapes: Shape of each output for one window, as the golden answer has it.
        meter: Of the grant.
    """

    def __init__(
        self, scenario: Scenario, scorer: Scorer, shapes: Shapes, meter: Meter
    ) -> None:
        self.scenario = scenario
        self.outputs = {n: s for n, s in shapes.items() if _is_given(n, s)}
        self._scorer = scorer
        self._meter = meter
        self._gate = InputGate(scenario)
        self._number = guard.NUMBERS[scenario.task][0]
        self._needed = {*guard.NUMBERS[scenario.task], DISTANCE} <= {*self.outputs}
        self._ends = _target_range(scenario)

    def answer(self, windows: Floats, *, told: bool = False) -> Answered:
        """Answer windows, float32 [N, T, C] of the right shape and any values.

        Args:
            windows: In the contract's units and order.
            told: Whether to say which signals each answer comes from.

        Raises:
            TundishError: if the model fails, or the record of the budget.
        """
        doubted = {
            place: Doubted(quality="bad", why=why, reason=reason)
            for place, (why, reason) in self._gate.broken(windows).items()
        }
        fit = self._within_budget(len(windows), doubted)
        if not fit:
            return Answered(self._nothing(len(windows)), doubted, {})
        whole = len(fit) == len(windows)
        found = self._scorer.run(windows if whole else windows[np.asarray(fit)])
        self._doubt(found, fit, doubted)
        outputs = self._given(found, fit, len(windows), doubted)
        parts = found.get(PARTS)
        because_of = {}
        if told and parts is not None:
            because_of = {
                place: because(self.scenario, parts[at])
                for at, place in enumerate(fit)
                if place not in doubted or doubted[place].quality != "bad"
            }
        return Answered(outputs, doubted, because_of)

    def _within_budget(
        self, windows: int, doubted: dict[int, Doubted]
    ) -> Sequence[int]:
        """Return the places of the windows that the model may be asked about."""
        fit: Sequence[int] = range(windows)
        if doubted:
            fit = [place for place in fit if place not in doubted]
        given = self._meter.take(len(fit)) if fit else 0
        if given < len(fit):
            reason = (
                f"the grant's budget of {self._meter.per_day} answers a day is spent"
            )
            spent = Doubted(quality="bad", why="budget", reason=reason)
            doubted.update(dict.fromkeys(fit[given:], spent))
        return fit[:given]

    def _doubt(
        self,
        found: Mapping[str, Floats],
        fit: Sequence[int],
        doubted: dict[int, Doubted],
    ) -> None:
        """Add the windows whose answers may not be trusted, or only somewhat."""
        for at in self._suspects(found, len(fit)):
            said = self._judged(found, at)
            if said.why:
                doubted[fit[at]] = said

    def _suspects(self, found: Mapping[str, Floats], windows: int) -> list[int]:
        """Return the answers to look at closely: whatever is not plainly good."""
        if not self._needed:
            return list(range(windows))
        if windows == 1:  # the usual case: plain numbers are quicker than arrays
            return [] if self._is_plainly_good(found) else [0]
        low, high = self._ends
        last = found[self._number][:, -1]
        good = (found[DISTANCE][:, 0] <= 1.0) & (last >= low) & (last <= high)
        for name in self.outputs:
            good &= np.isfinite(found[name]).all(axis=1)
        return [] if good.all() else np.flatnonzero(~good).tolist()

    def _is_plainly_good(self, found: Mapping[str, Floats]) -> bool:
        low, high = self._ends
        for name in self.outputs:
            values = found[name].ravel().tolist()
            if not all(map(isfinite, values)):
                return False
            if name == DISTANCE and values[0] > 1.0:
                return False
            if name == self._number and not low <= values[-1] <= high:
                return False
        return True

    def _judged(self, found: Mapping[str, Floats], at: int) -> Doubted:
        finite = self._needed and all(
            np.isfinite(found[name][at]).all() for name in self.outputs
        )
        distance = found.get(DISTANCE)
        why, reason = guard.doubt(
            [0.0 if finite else float("nan")],
            float("nan") if distance is None else float(distance[at].item()),
        )
        value = 0.0 if why else float(found[self._number][at, -1])
        if not why and self.scenario.task == "diagnose" and value < 0:
            why, reason = "undecided", "no single class fits, or more than one does"
        if why:
            return Doubted(quality="bad", why=why, reason=reason)
        why, reason = guard.outside_target(self.scenario, value)
        return Doubted(quality="uncertain", why=why, reason=reason)

    def _given(
        self,
        found: Mapping[str, Floats],
        fit: Sequence[int],
        windows: int,
        doubted: Mapping[int, Doubted],
    ) -> dict[str, Floats]:
        """Return what goes out: no number of a window that abstained but its distance."""
        bad = [place for place, item in doubted.items() if item.quality == "bad"]
        if not bad:
            return {name: found[name] for name in self.outputs}
        outputs, places = self._nothing(windows), np.asarray(fit)
        for name, values in outputs.items():
            values[places] = found[name]
            if name != DISTANCE:
                values[bad] = np.nan
        distance = outputs.get(DISTANCE)
        if distance is not None:
            distance[~np.isfinite(distance)] = np.nan
        return outputs

    def _nothing(self, windows: int) -> dict[str, Floats]:
        return {
            name: np.full((windows, *shape), np.nan, np.float32)
            for name, shape in self.outputs.items()
        }


def _is_given(name: str, shape: tuple[int, ...]) -> bool:
    """Tell whether an output goes out: what ``score`` gives, and a forecast's course.

    Probabilities, maps and contributions stay here: whoever copies a model by asking it
    learns more from them, and what a copy gains was measured without.
    """
    course = len(shape) == 1 and name in guard.NUMBERS["forecast"]
    return name != PARTS and (shape == (1,) or course)


def _target_range(scenario: Scenario) -> tuple[float, float]:
    """Return where an answer is plainly good."""
    if scenario.task == "diagnose":
        return 0.0, float("inf")
    if scenario.target is None:
        return float("-inf"), float("inf")
    return scenario.target.range


def cut(reason: str) -> str:
    """Return a reason that is short enough for a parameter of an answer."""
    return reason if len(reason) <= _TELLING else f"{reason[:_TELLING]}..."
