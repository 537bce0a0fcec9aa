"""What happened on a line, one record each, for a ledger or a screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from tundish.kernel.canonical import Json

Kind = Literal[
    "started",
    "state",
    "link-lost",
    "link-restored",
    "backfilled",
    "gap",
    "dropped",
    "late",
    "no-result",
    "progress",
    "sink-lost",
    "sink-restored",
    "sink-refused",
    "alarm",
    "alarm-over",
    "request-stopped",
    "request-lost",
    "request-restored",
    "breaker",
    "clock",
    "clock-jump",
    "slow-server",
    "grant",
    "grant-over",
    "client-refused",
    "version",
    "switched",
    "rolled-back",
    "stopped",
]


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event.

    Attributes:
        at: Moment on the line's clock.
        kind: What it is.
        text: One sentence for people.
        detail: Names, counts, times and digests; never values of the plant.
    """

    at: datetime
    kind: Kind
    text: str
    detail: dict[str, Json] = field(default_factory=dict)


Listener = Callable[[Event], None]


def unheard(event: Event) -> None:
    """Take an event and do nothing with it."""
    del event
