"""How well a score tells bad from good, whatever its limit.

AUROC is the share of pairs of a bad and a good sample that the score puts in order
(Mann-Whitney, ties count half); recall at a false-alarm rate is what is found when the
limit is set so that this share of good samples alarms. Neither says that the *shipped*
limit is right: for that there are the counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from tundish.learn.material import Floats


def auroc(score: Floats, bad: NDArray[np.bool_]) -> float:
    """Return the AUROC, 0 to 1; NaN if all samples are of one kind."""
    positive = int(np.count_nonzero(bad))
    negative = len(bad) - positive
    if not positive or not negative:
        return float("nan")
    ranks = rankdata(score)
    return float(
        (ranks[bad].sum() - positive * (positive + 1) / 2) / (positive * negative)
    )


def recall_at(score: Floats, bad: NDArray[np.bool_], rate: float) -> float:
    """Return the share of bad samples above the limit that ``rate`` of the good exceed."""
    if not bad.any() or bad.all():
        return float("nan")
    limit = np.quantile(score[~bad], 1.0 - rate, method="higher")
    return float(np.mean(score[bad] > limit))
