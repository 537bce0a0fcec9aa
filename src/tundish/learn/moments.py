"""From which moment on a promise breaks: a conformal test martingale over losses.

Each loss gets its p-value among all earlier ones. As long as they are exchangeable the
p-values are independent and uniform, and money that bets against that never grows:
the chance that it ever reaches 1/a is at most a (Ville). The bets are the Simple
Jumper's, on small p-values only (larger losses), with stakes 0, 1 and 2.

Source: V. Vovk, I. Petej, I. Nouretdinov, E. Ahlberg, L. Carlsson, A. Gammerman, "Retrain
or not retrain: conformal test martingales for change-point detection", COPA 2021
(PMLR 152).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tundish.learn.material import Floats

JUMP = 0.01
STAKES = (0.0, 1.0, 2.0)
LEAST = 10


@dataclass(frozen=True, kw_only=True)
class Change:
    """A moment at which losses rose.

    Attributes:
        place: First place of the new state.
        capital: The most that the bets ever made of 1.
        p: 1 over it, at most 1.
    """

    place: int
    capital: float
    p: float


def capital(losses: Floats, rng: np.random.Generator) -> Floats:
    """Return what the bets have made of 1 after each loss, [n].

    Args:
        losses: In order of time; neighbours must not be correlated.
        rng: Breaks ties.
    """
    wealth = np.full(len(STAKES), 1.0 / len(STAKES))
    stakes = np.array(STAKES)
    found = np.empty(len(losses))
    for i, loss in enumerate(losses):
        past = losses[:i]
        ties = np.count_nonzero(past == loss) + 1
        p = (np.count_nonzero(past > loss) + rng.uniform() * ties) / (i + 1)
        wealth = (1.0 - JUMP) * wealth + JUMP * wealth.sum() / len(STAKES)
        wealth = wealth * (1.0 - stakes * (p - 0.5))
        found[i] = wealth.sum()
    return found


def change(losses: Floats, rng: np.random.Generator) -> Change | None:
    """Return the likeliest moment from which losses are larger; None if too few.

    Args:
        losses: Loss of each sample in order of time, finite, [n].
        rng: Breaks ties.
    """
    count = len(losses)
    margin = max(LEAST, count // 20)
    if count < 4 * margin:
        return None
    place = _split(losses, margin)
    inside = np.arange(count) >= place
    length = int(np.ceil(memory(levelled(losses, inside))))
    whole = count - count % length
    blocks = losses[count - whole :].reshape(-1, length).mean(axis=1)
    most = float(capital(blocks, rng).max())
    return Change(place=place, capital=most, p=min(1.0, 1.0 / most))


def levelled(losses: Floats, inside: np.ndarray) -> Floats:
    """Return losses less the mean of their side, [n]."""
    means = [losses[side].mean() if side.any() else 0.0 for side in (inside, ~inside)]
    return np.asarray(losses - np.where(inside, *means))


def memory(values: Floats) -> float:
    """Return how many neighbours are worth one independent value (at least 1).

    One plus twice the sum of the autocorrelations up to the first below 0.1.
    """
    count = len(values)
    power = float(values @ values)
    if count < 8 or power <= 0.0:
        return 1.0
    total = 1.0
    for lag in range(1, min(count // 4, 200)):
        near = float(values[lag:] @ values[:-lag]) / power
        if near < 0.1:
            break
        total += 2.0 * near
    return total


def _split(losses: Floats, margin: int) -> int:
    """Return where the means before and after differ most, upwards."""
    count = len(losses)
    summed = np.cumsum(losses)
    places = np.arange(margin, count - margin + 1)
    before = summed[places - 1] / places
    after = (summed[-1] - summed[places - 1]) / (count - places)
    weight = np.sqrt(places * (count - places) / count)
    return int(places[np.argmax((after - before) * weight)])
