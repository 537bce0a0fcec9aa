"""Values as they were known: an analysis stands under its sample's time, and comes later.

A file of the past holds each result beside the moment to which it belongs. Whoever
trains on it so lets the model see results that nobody had yet. Here each row gets the
newest value that was known at its time, which is also what the tag on the line shows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.errors import ContractBrokenError
from tundish.data.times import NO_TIME, SECOND

Floats = NDArray[np.float64]
Micros = NDArray[np.int64]


def as_known(
    channels: Floats,
    delays_s: Floats,
    us: Micros | None,
    group: NDArray[np.str_] | None,
) -> Floats:
    """Return channels in which late values stand where they were known, [n, C].

    Args:
        channels: Values as the file has them, [n, C]; NaN where empty.
        delays_s: Seconds by which each channel is known later, [C]; 0: at once.
        us: Time of each row, [n], or ``None``.
        group: Unit of each row, [n], or ``None``; nothing is known across units.

    Raises:
        ContractBrokenError: if a channel is late and the rows have no times.
    """
    late = np.flatnonzero(delays_s > 0.0)
    if not len(late):
        return channels
    if us is None:
        msg = "known_after_s needs times: the table has neither time_column nor clock."
        raise ContractBrokenError(msg)
    found = channels.copy()
    names = (
        np.zeros(len(us)) if group is None else np.unique(group, return_inverse=True)[1]
    )
    for unit in np.unique(names):
        rows = np.flatnonzero((names == unit) & (us != NO_TIME))
        rows = rows[np.argsort(us[rows], kind="stable")]
        for channel in late:
            delay = round(float(delays_s[channel]) * SECOND)
            found[rows, channel] = _newest(channels[rows, channel], us[rows], delay)
    found[np.ix_(us == NO_TIME, late)] = np.nan
    return found


def _newest(values: Floats, us: Micros, delay: int) -> Floats:
    """Return the newest value at least ``delay`` old at each time; NaN before the first."""
    given = np.flatnonzero(np.isfinite(values))
    place = np.searchsorted(us[given], us - delay, side="right") - 1
    held = np.append(values[given], np.nan)  # place -1: nothing is known yet
    return held[place]
