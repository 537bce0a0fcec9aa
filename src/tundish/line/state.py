"""Honest state after OPC UA: good, uncertain, bad or stale; a pure function.

A tag is stale when nothing newer has come for the contract's ``stale_after_s``, be
it that nothing was received (receipt, on the monotonic clock) or that what is
received is old (source time, on the line's clock). A value sent again with the same
source time is not newer. Stale is the worst: it says that nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tundish.line.estimates import Estimate
from tundish.line.samples import Quality

State = Literal["good", "uncertain", "bad", "stale"]
SEVERITY: dict[State, int] = {"good": 0, "uncertain": 1, "bad": 2, "stale": 3}

_REFUSED_INPUT = {"missing", "out-of-range", "dead", "shape", "bad-status"}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What is known of a tag.

    Attributes:
        quality: Of the notification received last, even if it repeats a sample.
        at_us: Newest source time received, microseconds since 1970 UTC.
        fresh_s: Monotonic second of the line's clock at which a newer source time
            was last received.
        link_down: Why the connection is down; empty if it is up.
        link_stale: The last value cannot be held while it is down.
    """

    signal: str
    quality: Quality = "good"
    reason: str = ""
    at_us: int | None = None
    fresh_s: float | None = None
    link_down: str = ""
    link_stale: bool = False


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A point on the line's clock, wall and monotonic."""

    at_us: int
    monotonic_s: float


@dataclass(frozen=True, kw_only=True)
class TagState:
    """State of one tag or of the whole line (then ``signal`` is the worst one's)."""

    signal: str
    state: State
    reason: str = ""


def tag_state(reading: Reading, moment: Moment, *, stale_after_s: float) -> TagState:
    """Return the state of one tag at a moment.

    Args:
        reading: What is known of the tag.
        moment: The moment on the line's clock.
        stale_after_s: The contract's period, in seconds of the line's clock.
    """
    state, reason = _stale(reading, moment, stale_after_s)
    if state == "good":
        state, reason = _received(reading, moment, stale_after_s)
    return TagState(signal=reading.signal, state=state, reason=reason)


def line_state(tags: Iterable[TagState], newest: Estimate | None) -> TagState:
    """Return the state of the line: the worst of its tags and its own answer.

    Args:
        tags: States of all tags.
        newest: The newest answer; one the model abstained from makes a line of good
            tags uncertain (bad, if the input broke the contract).
    """
    worst = max(tags, key=lambda tag: SEVERITY[tag.state])
    if worst.state != "good" or newest is None or newest.quality == "good":
        return worst
    state: State = "bad" if newest.why in _REFUSED_INPUT else "uncertain"
    verb = "abstains" if newest.abstained else "doubts its answer"
    return TagState(
        signal="*", state=state, reason=f"the model {verb}: {newest.reason}"
    )


def _stale(reading: Reading, moment: Moment, stale_after_s: float) -> tuple[State, str]:
    if reading.at_us is None or reading.fresh_s is None:
        why = reading.link_down or reading.reason
        return "stale", "nothing has been received yet" + (f": {why}" if why else "")
    if reading.link_down and reading.link_stale:
        return "stale", reading.link_down
    silent_s = moment.monotonic_s - reading.fresh_s
    known = reading.link_down or (reading.quality != "good" and reading.reason)
    why = f" ({known})" if known else ""
    if silent_s > stale_after_s:
        return "stale", f"nothing newer for {silent_s:.0f} s{why}"
    behind_s = (moment.at_us - reading.at_us) / 1e6
    if behind_s > stale_after_s:
        return (
            "stale",
            f"the newest source time is {behind_s:.0f} s old, received "
            f"{silent_s:.0f} s ago{why}",
        )
    return "good", ""


def _received(
    reading: Reading, moment: Moment, stale_after_s: float
) -> tuple[State, str]:
    if reading.quality == "bad":
        return "bad", reading.reason
    if reading.link_down:
        return "uncertain", f"the last value is held: {reading.link_down}"
    if reading.quality == "uncertain":
        return "uncertain", reading.reason
    ahead_s = ((reading.at_us or 0) - moment.at_us) / 1e6
    if ahead_s > stale_after_s:
        return "uncertain", f"the source's clock is {ahead_s:.0f} s ahead"
    return "good", ""
