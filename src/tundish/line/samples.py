"""Samples as they arrive: source time, quality, and a number only if there is one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tundish.line.clocks import ClockReading

Quality = Literal["good", "uncertain", "bad"]
Floats = NDArray[np.float64]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Sample(NamedTuple):
    """One value of one signal at one source time.

    A named tuple, since it is made in half the time of a frozen dataclass and the line
    makes one for each value.

    Attributes:
        signal: Name of the signal in the contract.
        at_us: Source time in microseconds since 1970 UTC; ``None`` if the source
            gave none, and then it changes the tag's state but is never kept.
        quality: After the OPC UA severity.
        values: Shape [channels], in the contract's unit; ``None`` if bad, and if it
            is no number.
        reason: Why it is not good, for people.
        code: The OPC UA StatusCode that the source gave; 0 if it gave none.
        said: A truth value or a text, of a signal that may be one; see ``contract``.
    """

    signal: str
    at_us: int | None
    quality: Quality
    values: Floats | None
    reason: str = ""
    code: int = 0
    said: bool | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChange:
    """The connection to a source was lost or is back.

    Attributes:
        stale: The last values cannot be held either, such as those of a device whose
            heartbeat has stopped: the tags are stale at once.
    """

    up: bool
    reason: str = ""
    stale: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What came in together: one network message, or one change of the link.

    Attributes:
        samples: In the order in which the source sent them. Untrusted values.
        received_s: Monotonic seconds of the wall clock at receipt.
        link: Set if the connection changed.
        announced: Source times of pictures that were seen and are still to be read.
        clock: Set if the source's clock was compared with ours.
    """

    samples: tuple[Sample, ...] = ()
    received_s: float = 0.0
    link: LinkChange | None = None
    announced: tuple[int, ...] = ()
    clock: ClockReading | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A stretch of source time of which a signal has no samples.

    Attributes:
        from_us: Source time of the last sample before it.
        to_us: Source time of the first sample after it.
    """

    signal: str
    from_us: int
    to_us: int
    reason: str


def to_us(moment: datetime) -> int:
    """Return microseconds since 1970; a moment without zone is read as UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def from_us(at_us: int) -> datetime:
    """Return the moment of microseconds since 1970, in UTC."""
    return _EPOCH + timedelta(microseconds=at_us)


OLDEST_US = to_us(datetime(2000, 1, 1, tzinfo=UTC))
NEWEST_US = to_us(datetime(2200, 1, 1, tzinfo=UTC))
"""A source whose clock says something outside these has no clock that runs."""


def to_times(at_us: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """Return ``datetime64[us]`` for microseconds since 1970."""
    return at_us.astype("datetime64[us]")
