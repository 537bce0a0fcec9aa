"""What is known of every tag right now, kept up to date by what comes in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tundish.line.samples import Quality, Sample
from tundish.line.state import Moment, Reading, TagState, tag_state

_MARGIN_S = 1e-3


@dataclass(slots=True)
class _Known:
    quality: Quality = "good"
    reason: str = ""
    at_us: int | None = None
    fresh_s: float | None = None
    link_down: str = "not connected yet"
    link_stale: bool = False


class Tags:
    """Readings of all tags.

    Args:
        signals: Names, in contract order.
        stale_after_s: The contract's period.
    """

    def __init__(self, signals: Iterable[str], stale_after_s: float) -> None:
        self._known = {name: _Known() for name in signals}
        self._first = [*self._known][:1]
        self._stale_after_s = stale_after_s

    def heard(self, samples: Sequence[Sample], monotonic_s: float) -> None:
        """Take note of live notifications, new or repeated.

        A repeated source time changes the quality (the last good value sent again
        as bad is bad), but it is not newer.
        """
        for sample in samples:
            known, at_us = self._known[sample.signal], sample.at_us
            if at_us is not None:
                if known.at_us is not None and at_us < known.at_us:
                    continue
                if known.at_us is None or at_us > known.at_us:
                    known.at_us, known.fresh_s = at_us, monotonic_s
            known.quality, known.reason = sample.quality, sample.reason

    def link(self, signals: Iterable[str], down: str, *, stale: bool = False) -> None:
        """Take note of a link; ``down`` is empty if it is up.

        Args:
            signals: Whose link it is.
            down: Why it is down.
            stale: Whether the last values cannot be held.
        """
        for name in signals:
            known = self._known[name]
            known.link_down, known.link_stale = down, stale

    def newest_us(self, signal: str) -> int | None:
        """Return the newest source time received of a signal."""
        return self._known[signal].at_us

    def states(self, moment: Moment) -> list[TagState]:
        """Return the state of every tag at a moment."""
        return [self._state(name, moment) for name in self._known]

    def worst(self, moment: Moment) -> list[TagState]:
        """Return the states among which the worst is, without judging each good tag.

        A line looks at its state with every batch, and of a thousand tags most are
        plainly good: those are passed over by comparing numbers.
        """
        least_s = moment.monotonic_s - self._stale_after_s + _MARGIN_S
        reach_us = int((self._stale_after_s - _MARGIN_S) * 1e6)
        first_us, last_us = moment.at_us - reach_us, moment.at_us + reach_us
        doubted = [
            name
            for name, known in self._known.items()
            if known.quality != "good"
            or known.link_down
            or known.at_us is None
            or known.fresh_s is None
            or known.fresh_s < least_s
            or not first_us <= known.at_us <= last_us
        ]
        return [self._state(name, moment) for name in (*self._first, *doubted)]

    def _state(self, name: str, moment: Moment) -> TagState:
        known = self._known[name]
        return tag_state(
            Reading(
                signal=name,
                quality=known.quality,
                reason=known.reason,
                at_us=known.at_us,
                fresh_s=known.fresh_s,
                link_down=known.link_down,
                link_stale=known.link_stale,
            ),
            moment,
            stale_after_s=self._stale_after_s,
        )
