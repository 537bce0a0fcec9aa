"""Until when a line may answer: the end of a grant, its grace, and the safe point.

Nothing stops in the middle of a batch because a date has passed: the line file names
times of day at which it may be stopped. From the end on, the line stops at the next of
them, at the latest when the signed grace is over. Without grace it stops at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Term:
    """What is known of the end at one look.

    Attributes:
        ends_at: When the grant (or the package) ends, or was withdrawn.
        stops_at: When the line stops for it.
        over: Whether that moment has come.
        reason: Why it stops, for people.
        note: Something new to tell: a warning, a renewal, a refused renewal.
    """

    ends_at: datetime
    stops_at: datetime
    over: bool
    reason: str
    note: str = ""


class Permit(Protocol):
    """What lets a line answer; asked again and again while it runs."""

    def look(self) -> Term:
        """Return the term as of now; never raises for a grant that does not fit."""
        ...


def stop_moment(
    ends_at: datetime, grace_s: float, safe_points: Sequence[str]
) -> datetime:
    """Return when a line stops for an end.

    Args:
        ends_at: The end, in UTC.
        grace_s: Signed seconds after it.
        safe_points: Times of day ``HH:MM`` in UTC at which the line may be stopped;
            none: at any moment.
    """
    latest = ends_at + timedelta(seconds=grace_s)
    if not safe_points:
        return ends_at
    days = [ends_at.date(), ends_at.date() + timedelta(days=1)]
    moments = [
        datetime.combine(day, time.fromisoformat(point), ends_at.tzinfo)
        for day in days
        for point in safe_points
    ]
    following = min(moment for moment in moments if moment >= ends_at)
    return min(following, latest)
