"""What a generated stream may ask for: refused before, and while, it is made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.catalog.simulation import Simulation
from tundish.data.errors import StreamUnfitError

Floats = NDArray[np.float64]

MOST_VALUES = 50_000_000  # 400 MB of numbers, and a few times that while they are made
MOST_STRUCK = 5_000_000_000  # values that failures go over, one after the other
MOST_S = 1000 * 365.25 * 86400.0  # a thousand years of plant, within the calendar
LEAST_S = 1e-6  # times are written in whole microseconds


def refuse_too_much(scenario: Scenario, simulation: Simulation, quiet: int) -> None:
    """Refuse a stream that is too large or too long, before a value is made.

    Args:
        scenario: The contract.
        simulation: Its own.
        quiet: Normal stretches before each failure, in lengths of a failure.

    Raises:
        StreamUnfitError: naming what asks for too much.
    """
    step_s = min(signal.period_s for signal in scenario.signals)
    if step_s < LEAST_S:
        msg = f"The fastest signal of {scenario.key} has a value every {step_s:g} s; generated times are {LEAST_S:g} s apart or more."
        raise StreamUnfitError(msg)
    modes = sum(1 for mode in scenario.failures if mode.signature)
    rows, strikes = _asked(scenario, simulation, modes, quiet)
    values = rows * (scenario.channels + len(simulation.hidden) + 1)
    if values > MOST_VALUES or strikes * values > MOST_STRUCK:
        msg = (
            f"The stream of {scenario.key} would have {rows:,} rows of {scenario.channels:,} channels with "
            f"{strikes:,} failures in them; {MOST_VALUES:,} values, and {MOST_STRUCK:,} looks of failures at one, are the most."
        )
        advice = "Ask for fewer rows, episodes, failure modes or points of an axis."
        raise StreamUnfitError(msg, advice=advice)


def _asked(
    scenario: Scenario, simulation: Simulation, modes: int, quiet: int
) -> tuple[int, int]:
    """Return the rows of the largest stream, and how many failures go over all of it."""
    if simulation.lives is not None:
        lives = simulation.lives
        return round(lives.units * lives.rows * (1 + lives.spread)), 1
    episodes = simulation.episodes
    if scenario.task == "diagnose":
        return episodes * simulation.episode_rows * len(scenario.classes), 1
    watched = modes * episodes * simulation.episode_rows * (quiet + 1)
    return max(simulation.rows, watched), modes * episodes


def refuse_times(scenario: Scenario, last_s: float) -> None:
    """Refuse a stream whose last row no calendar has.

    Args:
        scenario: The contract.
        last_s: Seconds from the start to it.
    """
    if not last_s <= MOST_S:
        msg = f"The stream of {scenario.key} would last for {last_s / 86400 / 365.25:.3g} years; {MOST_S / 86400 / 365.25:,.0f} are the most."
        advice = "Correct period_s of its signals, or ask for fewer rows."
        raise StreamUnfitError(msg, advice=advice)


def refuse_boundless(scenario: Scenario, name: str, values: Floats) -> None:
    """Refuse values that are infinite or no number; what is missing is made later.

    Args:
        scenario: The contract.
        name: Of the quantity.
        values: Its values.
    """
    bad = values.size - int(np.isfinite(values).sum())
    if bad:
        msg = f"Of the values of {name} that {scenario.key} generates {bad:,} of {values.size:,} are no numbers: a division by zero, or a number that is too great."
        raise StreamUnfitError(msg)
