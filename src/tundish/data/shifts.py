"""Which shift a moment lies in, by the site's calendar in local time."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.site import Shift, SiteProfile

OUTSIDE = "outside shifts"
_DAY_MIN = 1440
_HOUR_US = 3_600_000_000


def shift_names(
    at: NDArray[np.datetime64], site: SiteProfile
) -> NDArray[np.str_] | None:
    """Return the name of the shift of each moment, [N].

    Args:
        at: Moments in UTC, ``datetime64[us]``, [N]; NaT lies outside.
        site: Its shifts and time zone.

    Returns:
        None if the site has no calendar, or no moment is known.
    """
    known = ~np.isnat(at)
    if not site.shifts or not known.any():
        return None
    minutes = _local_minutes(at[known].astype("datetime64[us]").astype(np.int64), site)
    found = np.full(int(known.sum()), OUTSIDE, dtype=object)
    for shift in reversed(site.shifts):
        since = (minutes - _start(shift)) % _DAY_MIN
        found[since < shift.hours * 60] = shift.name
    names = np.full(len(at), OUTSIDE, dtype=object)
    names[known] = found
    return names.astype(np.str_)


def shift_length_s(site: SiteProfile) -> float | None:
    """Return the mean length of a shift in seconds; None without a calendar."""
    if not site.shifts:
        return None
    return float(np.mean([shift.hours for shift in site.shifts])) * 3600.0


def _local_minutes(us: NDArray[np.int64], site: SiteProfile) -> NDArray[np.int64]:
    """Return the minute of the local day, [N]; the offset is looked up once an hour."""
    zone = ZoneInfo(site.time_zone)
    hours, place = np.unique(us // _HOUR_US, return_inverse=True)
    offsets = [_offset_min(int(hour), zone) for hour in hours]
    local = us // 60_000_000 + np.asarray(offsets, dtype=np.int64)[place]
    return np.asarray(local % _DAY_MIN)


def _offset_min(hour: int, zone: ZoneInfo) -> int:
    moment = datetime.fromtimestamp(hour * 3600, UTC).astimezone(zone)
    offset = moment.utcoffset()
    return round(offset.total_seconds() / 60) if offset else 0


def _start(shift: Shift) -> int:
    hour, minute = shift.start.split(":")
    return int(hour) * 60 + int(minute)
