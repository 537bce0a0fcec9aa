"""What to record or relabel next, in order of what it should bring."""

from __future__ import annotations

import math

import numpy as np

from tundish.learn.gaps_report import Action, Cause, Collect, Gain, Weakness, Where
from tundish.learn.material import Floats

ROUNDS = 400
ENOUGH = 40
_ACTION: dict[Cause, Action] = {
    "data": "record",
    "labels": "relabel",
    "signal": "add-signal",
    "shift": "record-again",
    "recipe": "change-recipe",
}


def gain_of(
    weak: Weakness, own: Floats, overall: float, judged: int, seed: int
) -> Gain:
    """Return what mending a slice should take off the overall loss.

    Args:
        weak: The slice.
        own: Losses of its samples.
        overall: Mean loss of all judged samples.
        judged: How many these are.
        seed: For the interval.
    """
    share = len(own) / judged / overall if overall > 0 else 0.0
    rng = np.random.default_rng(seed)
    drawn = own[rng.integers(0, len(own), (ROUNDS, len(own)))].mean(axis=1)
    low, high = np.quantile(drawn, [0.05, 0.95])
    mean = float(own.mean())
    if weak.cause == "data" and weak.slope is not None and _no_gap(weak):
        ends = [share * mean * (1.0 - 2.0**b) for b in weak.slope]
        return _gain(
            (ends[0], ends[2], ends[1]), "learning curve, for twice the samples"
        )
    reached, basis = _reachable(weak)
    ends = [share * (loss - reached) for loss in (mean, float(low), float(high))]
    if weak.cause == "signal":
        return _gain((ends[0], 0.0, ends[2]), f"at most: {basis}")
    return _gain((ends[0], ends[1], ends[2]), basis)


def samples_of(weak: Weakness, fit: int, doubtful: int) -> int:
    """Return how many samples to record or relabel.

    Args:
        weak: The slice.
        fit: Samples of the whole fit part.
        doubtful: Doubtful labels in the slice; 0 if all of them are off alike.
    """
    if weak.cause == "labels":
        return doubtful or weak.count
    if weak.cause in {"signal", "recipe"}:
        return 0
    held = weak.coverage.fit or 0
    if weak.cause == "data" and _no_gap(weak):
        return max(ENOUGH, held)
    return max(ENOUGH, math.ceil(weak.coverage.share_of_judge * fit) - held)


def ranked(items: list[tuple[Weakness, int, Gain]]) -> tuple[Collect, ...]:
    """Return the list in order of expected gain."""
    order = sorted(items, key=lambda item: -item[2].value)
    return tuple(
        Collect(
            rank=rank,
            action=_ACTION[weak.cause],
            where=weak.where,
            samples=samples,
            gain=gain,
            text=_text(weak, samples, gain),
        )
        for rank, (weak, samples, gain) in enumerate(order, start=1)
    )


def named(where: Where) -> str:
    """Return what a slice is called in a sentence."""
    return (
        where.name if where.by in {"moment", "region"} else f"{where.by} {where.name}"
    )


def _no_gap(weak: Weakness) -> bool:
    return weak.why.startswith("its loss still falls")


def _reachable(weak: Weakness) -> tuple[float, str]:
    if weak.cause != "signal" and weak.peer is not None and weak.cause != "labels":
        reached = max(weak.elsewhere, weak.peer[0])
        if reached > weak.elsewhere:
            return min(reached, weak.loss), (
                "if it becomes as good as a plain forest that saw such windows"
            )
    return weak.elsewhere, "if it becomes as good as elsewhere"


def _gain(ends: tuple[float, float, float], basis: str) -> Gain:
    value, low, high = (min(1.0, max(0.0, end)) for end in ends)
    return Gain(value=value, low=min(low, value), high=max(high, value), basis=basis)


def _text(weak: Weakness, samples: int, gain: Gain) -> str:
    place = named(weak.where)
    todo = {
        "data": f"Record {samples} more samples of {place}",
        "labels": f"Look again at {samples} labels of {place}",
        "signal": f"Find a signal that tells {place} apart; more of the same data will not help",
        "shift": f"Record {samples} samples of {place}, and ask what was changed then",
        "recipe": f"Try another recipe on {place}; its data is there",
    }[weak.cause]
    return (
        f"{todo}. The overall loss should fall by {gain.value:.0%} "
        f"({gain.low:.0%} to {gain.high:.0%}; {gain.basis})."
    )
