"""Holding a graph to the physics that its scenario declares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.mechanism import Monotone
from tundish.catalog.scenario import Scenario
from tundish.learn.judging import Case
from tundish.learn.material import Floats, Windows
from tundish.learn.recipe import Envelope, Scorer
from tundish.learn.verdict import Figure

STEPS = 9
WINDOWS = 200


def figures(case: Case, estimate: Floats) -> tuple[Figure, ...]:
    """Return how far the graph keeps the declared physics; empty if none is declared.

    ``share_beyond_physics``: estimates below ``low`` or above ``high``.
    ``share_against_monotone``: judged windows on which the estimate moves the wrong way
    by more than the tolerance while one signal is led through its training range, all
    other values as they were.
    """
    declared = case.scenario.mechanism
    if declared is None:
        return ()
    found = []
    if declared.low is not None or declared.high is not None:
        low = -np.inf if declared.low is None else declared.low
        high = np.inf if declared.high is None else declared.high
        beyond = float(np.mean((estimate < low) | (estimate > high)))
        found.append(Figure(metric="share_beyond_physics", value=beyond))
    if declared.monotone and case.run is not None:
        rng = case.rng
        count = min(WINDOWS, len(case.material))
        picked = np.sort(rng.choice(len(case.material), count, replace=False))
        x = case.material.x[picked]
        wrong = np.zeros(count, dtype=np.bool_)
        for relation in declared.monotone:
            place = channel_of(case.scenario, relation.signal)
            swept = sweep(x, place, case.claim.envelope)
            wrong |= against(case.run, swept, relation)
        share = float(wrong.mean())
        found.append(Figure(metric="share_against_monotone", value=share))
    return tuple(found)


def channel_of(scenario: Scenario, signal: str) -> int:
    """Return the first channel of a signal."""
    at = 0
    for item in scenario.signals:
        if item.name == signal:
            return at
        at += item.channels
    raise KeyError(signal)


def sweep(x: Windows, channel: int, envelope: Envelope) -> NDArray[np.float32]:
    """Return windows with one channel moved through its training range.

    The channel keeps its course within the window; its level is shifted.

    Returns:
        float32 [STEPS, N, T, C], rising along the first axis.
    """
    levels = np.linspace(envelope.min[channel], envelope.max[channel], STEPS)
    moved = np.repeat(x[None], STEPS, axis=0)
    course = x[:, :, channel] - x[:, -1:, channel]
    moved[:, :, :, channel] = levels[:, None, None] + course[None]
    return moved


def against(
    run: Scorer, swept: NDArray[np.float32], relation: Monotone
) -> NDArray[np.bool_]:
    """Return which windows move the wrong way by more than the tolerance, [N]."""
    answers = np.stack([run(step)["estimate"][:, -1] for step in swept])
    steps = np.diff(answers.astype(np.float64), axis=0)
    if relation.target == "falls":
        steps = -steps
    return np.asarray((steps < -relation.tolerance).any(axis=0))
