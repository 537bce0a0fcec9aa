"""One loss for each task by which ``auto`` compares recipes; lower is better.

- regress, rul, forecast: squared error (rul: of the life capped as the scenario says);
- diagnose: minus the logarithm of the true class's probability, each class weighing alike;
- anomaly, inspect: one minus the AUROC of the score, against marked events or bad parts;
  where none is marked, against faults that are injected into the held-out windows: one
  channel shifted by two of its spreads, frozen, or noisy; a pale patch in a picture.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.learn.auto_splits import Split
from tundish.learn.material import Floats, Material, Windows
from tundish.learn.ranking import auroc
from tundish.learn.recipe import Scorer

LEAST_PROBABILITY = 1e-3
SPREADS = 2.0
INJECTED = "no event is marked in what is held out, so faults were injected there to compare recipes"


def losses(run: Scorer, split: Split, scenario: Scenario) -> Floats:
    """Return the loss of each block of a split, [B]; NaN where it cannot be had."""
    return _LOSSES[scenario.task](run, split, scenario)


def injects(split: Split, scenario: Scenario) -> bool:
    """Tell whether a split has no bad window of its own."""
    if scenario.task not in {"anomaly", "inspect"}:
        return False
    bad = _bad(split.held, scenario)
    return not bad.any() or bool(bad.all())


def _squared(run: Scorer, split: Split, scenario: Scenario) -> Floats:
    held = split.held
    estimate = np.asarray(run(held.x)["estimate"], dtype=np.float64)
    truth = held.y if held.y.ndim == 2 else held.y[:, None]
    cap = scenario.target.cap if scenario.target else None
    if cap is not None:
        truth, estimate = np.minimum(truth, cap), np.minimum(estimate, cap)
    square = (estimate - truth) ** 2
    known = np.isfinite(square)
    each = np.where(known, square, 0.0).sum(axis=1) / np.maximum(1, known.sum(axis=1))
    return _by_block(each, held.weights() * known.any(axis=1), split)


def _log_loss(run: Scorer, split: Split, scenario: Scenario) -> Floats:
    held = split.held
    place = held.y.astype(np.int64)
    probability = np.asarray(run(held.x)["probability"], dtype=np.float64)
    own = probability[np.arange(len(place)), place]
    weight = held.weights()
    share = np.bincount(place, weight, minlength=len(scenario.classes))
    weight = weight / share[place]
    return _by_block(-np.log(np.maximum(own, LEAST_PROBABILITY)), weight, split)


def _by_block(each: Floats, weight: Floats, split: Split) -> Floats:
    return np.array(
        [
            np.average(each[at], weights=weight[at]) if weight[at].sum() > 0 else np.nan
            for at in split.blocks
        ]
    )


def _unranked(run: Scorer, split: Split, scenario: Scenario) -> Floats:
    held = split.held
    if injects(split, scenario):
        normal = held.take(~_bad(held, scenario))
        if not len(normal):
            return np.array([np.nan])
        made = injected(normal.x, split.learn.of("fit").x, picture=_edge(scenario))
        score = np.concatenate([_score(run, normal.x), _score(run, made)])
        bad = np.arange(len(score)) >= len(normal)
        runs = np.array_split(np.arange(len(normal)), min(len(split.blocks), len(made)))
        return np.array(
            [
                1.0 - auroc(score[both], bad[both])
                for at in runs
                if len(both := np.concatenate([at, at + len(normal)]))
            ]
        )
    bad = _bad(held, scenario)
    return np.array([1.0 - auroc(_score(run, held.x), bad)])


def injected(x: Windows, usual: Windows, *, picture: int = 0) -> Windows:
    """Return a copy of windows with one fault in each, in turn over channels and kinds.

    Args:
        x: Windows, [N, T, C].
        usual: Windows of the fit part, for the spread of each channel.
        picture: Edge of the square patch for pictures; 0: no picture.
    """
    made = x.astype(np.float64)
    spread = usual.reshape(-1, x.shape[2]).std(axis=0, dtype=np.float64)
    rng = np.random.default_rng(0)  # the same faults for every recipe
    for place in range(len(made)):
        channel = place % x.shape[2]
        size = SPREADS * spread[channel]
        course = made[place, :, channel]
        if picture:
            course[_patch(len(course), picture, rng)] += size
        elif (kind := place // x.shape[2] % 3) == 1 and len(course) > 1:
            course[:] = course[0]
        elif kind == 2 and len(course) > 1:
            course += rng.normal(0.0, size, len(course))
        else:
            course += size * (-1.0) ** place
    return made.astype(np.float32)


def _patch(pixels: int, width: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the pixels of a square patch, an eighth of the width each way."""
    edge, height = max(2, width // 8), pixels // width
    top = int(rng.integers(0, max(1, height - edge)))
    left = int(rng.integers(0, width - edge))
    rows = np.arange(top, min(height, top + edge))[:, None] * width
    return np.asarray((rows + np.arange(left, left + edge)).ravel(), dtype=np.int64)


def _edge(scenario: Scenario) -> int:
    return scenario.picture.width if scenario.picture else 0


def _score(run: Scorer, x: Windows) -> Floats:
    return np.asarray(run(x)["score"], dtype=np.float64)[:, 0]


def _bad(held: Material, scenario: Scenario) -> NDArray[np.bool_]:
    if scenario.task == "anomaly":
        return np.asarray(held.event >= 0)
    good = [place for place, item in enumerate(scenario.classes) if item.good] or [0]
    return ~np.isin(held.y.astype(np.int64), good)


_LOSSES: dict[str, Callable[[Scorer, Split, Scenario], Floats]] = {
    "regress": _squared,
    "rul": _squared,
    "forecast": _squared,
    "diagnose": _log_loss,
    "anomaly": _unranked,
    "inspect": _unranked,
}
