"""Find values that stand still behind a good status; pure.

A sensor that hangs, or a gateway that repeats what it once read, gives the same value
with ever newer times and a good status. Where the contract says how long a signal may
stay the same (``frozen_after_s``), what has stood longer is uncertain, with the reason.
Judged by source time, so that a replay finds the same as the plant did.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tundish.catalog.scenario import Scenario
from tundish.line.samples import Floats, Sample


@dataclass(slots=True, kw_only=True)
class _Standing:
    """The value that was seen last, and since when it is the same."""

    values: Floats
    since_us: int
    at_us: int


class FrozenWatch:
    """Remembers of each signal since when its value is the same.

    Args:
        scenario: The contract; signals without ``frozen_after_s`` are not watched.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._after_us = {
            signal.name: int(signal.frozen_after_s * 1e6)
            for signal in scenario.signals
            if signal.frozen_after_s is not None
        }
        self._standing: dict[str, _Standing] = {}

    @property
    def watched_us(self) -> dict[str, int]:
        """For each watched signal, how long it may stay the same."""
        return dict(self._after_us)

    def restore(self, samples: Iterable[Sample]) -> None:
        """Go on after a restart with samples of before, in order of time."""
        for sample in samples:
            self._see(sample)

    def marked(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        """Return the samples; good ones whose value has stood too long are uncertain."""
        if not self._after_us:
            return samples
        return [self._marked(sample) for sample in samples]

    def _marked(self, sample: Sample) -> Sample:
        after_us = self._after_us.get(sample.signal)
        if after_us is None:
            return sample
        stood_us = self._see(sample)
        if sample.quality != "good" or stood_us <= after_us:
            return sample
        reason = (
            f"the value has been the same for {stood_us / 1e6:.0f} s, and the contract "
            f"expects a change within {after_us / 1e6:g} s"
        )
        return sample._replace(quality="uncertain", reason=reason)

    def _see(self, sample: Sample) -> int:
        """Take note of a sample; return for how long its value has been the same."""
        at_us, values = sample.at_us, sample.values
        if at_us is None or values is None or sample.signal not in self._after_us:
            return 0
        standing = self._standing.get(sample.signal)
        if standing is None:
            self._standing[sample.signal] = _Standing(
                values=values, since_us=at_us, at_us=at_us
            )
            return 0
        if at_us < standing.at_us:  # an old one says nothing of the present
            return 0
        standing.at_us = at_us
        if not np.array_equal(values, standing.values, equal_nan=True):
            standing.values, standing.since_us = values, at_us
        return at_us - standing.since_us
