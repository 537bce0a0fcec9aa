"""Promises: what a limit, an interval or a set of classes holds, and on what ground.

All by split-conformal calibration (``learn.conformal``): nothing is promised that the
calibration part does not support, and the judge checks each promise on later data.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from tundish.catalog.scenario import Scenario
from tundish.learn.conformal import ConformalLimit, split_limit
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, step_s
from tundish.learn.recipe import Promise

WEEK_S = 7 * 24 * 3600.0
OPEN = -1
_LEAST_FREEDOM = 3.0  # below it the limit would be so high that nothing ever alarms


def interval(
    scores: Floats, scenario: Scenario, weights: Floats | None = None
) -> tuple[ConformalLimit, Promise]:
    """Return the limit of a score of misfit, and the promise of the interval it makes.

    Args:
        scores: How far each calibration truth lay outside what the model said, [n]:
            the absolute error; that over a local scale; or the distance outside two
            quantiles, negative inside (Y. Romano, E. Patterson, E. Candes, "Conformalized
            quantile regression", NeurIPS 2019).
        scenario: Its coverage is asked for.
        weights: Of each score, if several share one truth.
    """
    coverage = scenario.acceptance.coverage
    limit = split_limit(scores, 1.0 - coverage, weights=weights)
    promised = coverage if limit.supported else 1.0 - limit.rate
    note = (
        f"{promised:.1%} of true values inside the interval, calibrated on {limit.count} "
        "samples of the calibrate part"
    )
    if not limit.supported:
        note += f"; so few do not support the {coverage:.1%} asked for"
    return limit, Promise(
        kind="interval",
        asked=coverage,
        promised=promised,
        count=limit.count,
        parts=("calibrate",),
        note=f"{note}; exact only if later samples resemble these, which the judge checks",
    )


def alarm(
    scores: Floats, scenario: Scenario, *, cautious: bool = False
) -> tuple[ConformalLimit, Promise]:
    """Return the limit that normal scores exceed at the scenario's rate, and the promise.

    Args:
        scores: Scores of normal windows of the calibrate part, [n].
        scenario: Its alarm rate is asked for.
        cautious: Raise the limit to ``few_limit`` where that is higher. A higher limit
            keeps every promise that the lower one keeps.
    """
    asked = scenario.acceptance.alarm_rate
    limit = split_limit(scores, asked)
    higher = few_limit(scores, scenario) if cautious else limit.limit
    raised = higher / limit.limit if higher > limit.limit > 0 else 1.0
    limit = replace(limit, limit=limit.limit * raised)
    rate = max(asked, limit.rate)
    per_week = rate * WEEK_S / step_s(scenario)
    note = (
        f"at most {rate:.2%} of normal windows alarm ({per_week:.3g} a week), calibrated "
        f"on {limit.count} windows, which support nothing finer than "
        f"{1.0 / (limit.count + 1):.2%}"
    )
    if not limit.supported:
        note += f"; the {asked:.2%} asked for is not supported and not promised"
    if scenario.window.rows > scenario.window.stride:
        worth = limit.count * scenario.window.stride // scenario.window.rows
        note += (
            f"; neighbouring windows share rows, so they are worth about {worth} "
            "independent ones"
        )
    if raised > 1.0:
        note += f"; for these few the limit was raised by a factor of {raised:.3g}"
    return limit, Promise(
        kind="alarm",
        asked=asked,
        promised=rate,
        count=limit.count,
        parts=("calibrate",),
        per_week=per_week,
        note=note,
    )


def few_limit(scores: Floats, scenario: Scenario) -> float:
    """Return the limit that few independent scores support for a later stretch.

    Windows that share rows repeat each other: n of them are worth about n * stride /
    rows. Where that is a handful, their empirical quantile is close to their largest
    value, and the next stretch exceeds it much more often than promised. The limit here
    is the upper prediction limit of Student's t for the logarithm of a later score, with
    that handful as the sample size (G. J. Hahn, W. Q. Meeker, "Statistical Intervals",
    1991, 4.8). It assumes scores near lognormal; with many independent windows the
    empirical quantile is about as high.

    Args:
        scores: Scores of normal windows, [n], not negative.
        scenario: Its alarm rate, rows and stride.
    """
    window = scenario.window
    shared = max(1.0, window.rows / window.stride)
    worth = max(2.0, len(scores) / shared)
    logs = np.log(np.maximum(scores, np.finfo(np.float64).tiny))
    factor = float(
        t.ppf(1.0 - scenario.acceptance.alarm_rate, max(_LEAST_FREEDOM, worth - 1.0))
    )
    spread = float(logs.std(ddof=1)) * float(np.sqrt(1.0 + 1.0 / worth))
    return float(np.exp(float(logs.mean()) + factor * spread))


def classes(
    probability: Floats,
    truth: NDArray[np.int64],
    scenario: Scenario,
    weights: Floats | None = None,
) -> tuple[float, Promise]:
    """Return the least probability at which a class is held possible, and the promise.

    A window is decided if exactly one class is possible, so that a wrong decision needs
    the true class to be impossible (M. Sadinle, J. Lei, L. Wasserman, J. Amer. Statist.
    Assoc. 114 (2019) 223).

    Args:
        probability: Of each class on the calibrate part, [n, K].
        truth: Place of the true class, [n].
        scenario: Its coverage is asked for.
        weights: Of each window, if several share one truth.
    """
    asked = scenario.acceptance.coverage
    scores = 1.0 - probability[np.arange(len(truth)), truth]
    limit = split_limit(scores, 1.0 - asked, weights=weights)
    promised = asked if limit.supported else 1.0 - limit.rate
    note = (
        f"{promised:.1%} of windows right or left open, calibrated on {limit.count} "
        "samples of the calibrate part"
    )
    if not limit.supported:
        note += f"; so few do not support the {asked:.1%} asked for"
    return 1.0 - limit.limit, Promise(
        kind="classes",
        asked=asked,
        promised=promised,
        count=limit.count,
        parts=("calibrate",),
        note=f"{note}; exact only if later samples resemble these, which the judge checks",
    )


def labels(probability: Floats, least: float) -> Floats:
    """Return the class of each window, or ``OPEN`` if none or several are possible, [N]."""
    possible = probability >= least
    alone = possible.sum(axis=1) == 1
    return np.where(alone, probability.argmax(axis=1), OPEN).astype(np.float64)


def add_labels(writer: GraphWriter, probability: str, least: float) -> str:
    """Add ``labels`` to a graph; ``probability`` is [N, K] in double.

    Compared in float32, as the probabilities leave the graph: what a reader of the
    outputs computes from them is what the graph decided.
    """
    single = writer.add("Cast", probability, to=writer.FLOAT, hint="seen")
    floor = writer.constant(np.array(least), "least", single=True)
    below = writer.add("Less", single, floor)
    possible = writer.add("Cast", writer.add("Not", below), to=writer.DOUBLE)
    count = writer.sum_last(possible, "possible")
    one = writer.constant(np.array(1.0), "one")
    alone = writer.add("Equal", count, one, hint="alone")
    best = writer.add("ArgMax", single, axis=1, keepdims=1)
    place = writer.add("Cast", best, to=writer.DOUBLE, hint="place")
    left = writer.constant(np.array(float(OPEN)), "left_open")
    return writer.add("Where", alone, place, left, hint="decision")
