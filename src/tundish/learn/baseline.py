"""Plain baselines: what the plant has without a model. A graph must beat them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tundish.learn.material import Floats
from tundish.learn.recipe import Envelope

LAST_VALUE = "the last laboratory value, held until the next one"
MEAN = "the mean of the fit part"
RANGE = "an alarm when one value leaves the range of the fit part"


def held_values(truth: Floats, source: NDArray[np.str_]) -> Floats:
    """Return for each laboratory value the one before it, [n].

    NaN for the first of each source: nothing outside the judged part is looked at.

    Args:
        truth: Laboratory values in order of time, [n].
        source: Where each comes from, [n].
    """
    held = np.full(len(truth), np.nan)
    if len(truth) > 1:
        same = source[1:] == source[:-1]
        held[1:] = np.where(same, truth[:-1], np.nan)
    return held


def range_alarms(x: NDArray[np.float32], envelope: Envelope) -> NDArray[np.bool_]:
    """Return which windows alarm because a value of the newest row leaves the range.

    Args:
        x: Windows, [N, T, C].
        envelope: Statistics of the fit part; its minimum and maximum are the range.
    """
    newest = x[:, -1, :].astype(np.float64)
    outside = (newest < np.asarray(envelope.min)) | (newest > np.asarray(envelope.max))
    return np.asarray(outside.any(axis=1))
