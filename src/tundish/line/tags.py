"""What is known of every tag right now, kept up to date by what comes in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tundish.line.samples import Sample
from tundish.line.state import Moment, Reading, TagState, tag_state


class Tags:
    """Readings of all tags.

    Args:
        signals: Names, in contract order.
        stale_after_s: The contract's period.
    """

    def __init__(self, signals: Iterable[str], stale_after_s: float) -> None:
        self._readings = {
            name: Reading(signal=name, link_down="not connected yet")
            for name in signals
        }
        self._stale_after_s = stale_after_s

    def heard(self, samples: Sequence[Sample], monotonic_s: float) -> None:
        """Take note of live notifications, new or repeated.

        A repeated source time changes the quality (the last good value sent again
        as bad is bad), but it is not newer.
        """
        for sample in samples:
            known = self._readings[sample.signal]
            at_us = sample.at_us
            if at_us is not None and known.at_us is not None and at_us < known.at_us:
                continue
            newer = at_us is not None and (known.at_us is None or at_us > known.at_us)
            self._readings[sample.signal] = replace(
                known,
                quality=sample.quality,
                reason=sample.reason,
                at_us=at_us if newer else known.at_us,
                fresh_s=monotonic_s if newer else known.fresh_s,
            )

    def link(self, signals: Iterable[str], down: str) -> None:
        """Take note of a link; ``down`` is empty if it is up."""
        for name in signals:
            self._readings[name] = replace(self._readings[name], link_down=down)

    def states(self, moment: Moment) -> list[TagState]:
        """Return the state of every tag at a moment."""
        return [
            tag_state(reading, moment, stale_after_s=self._stale_after_s)
            for reading in self._readings.values()
        ]
