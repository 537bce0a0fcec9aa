"""The line's answer for one source time, and what it may be trusted for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tundish.kernel.digest import Digest
from tundish.line.samples import Quality

Why = Literal[
    "",
    "missing",
    "out-of-range",
    "dead",
    "shape",
    "bad-status",
    "uncertain-status",
    "too-few-rows",
    "outside-envelope",
    "outside-target-range",
    "not-finite",
    "budget",
    "no-result",
    "undecided",
]


class Scorer(Protocol):
    """What answers: an opened package's session, or a fake in a test."""

    def run(self, window: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        """Score windows of shape [N, T, C]; outputs by name, first axis N."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One answer; its id is ``at_us``.

    Attributes:
        at_us: Source time of the window's last row, microseconds since 1970 UTC.
        quality: ``bad`` if the model abstained; then there is no number.
        value: The estimate (regress, rul; forecast: at the end of the horizon; unit of
            the target), the score (anomaly, inspect; 1.0 = at the alarm limit) or the
            place of the class (diagnose); ``None`` if abstained.
        lower, upper: Conformal interval of an estimate.
        applicability: Distance from the training envelope, 1.0 = at its limit.
        alarm: Whether the score is above its limit, or the class is no good one.
        because: Which tags the number comes from (see ``because``); for alarms and
            estimates of a graph that says so, else empty.
        why: Kind of reason when not good; ``reason`` says it for people.
        model: Digest of the model that answered or abstained.
        input: Digest of the window's float32 bytes, row by row, little-endian.
    """

    at_us: int
    quality: Quality
    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    applicability: float | None = None
    alarm: bool | None = None
    because: str = ""
    why: Why = ""
    reason: str = ""
    model: Digest
    input: Digest

    @property
    def abstained(self) -> bool:
        """Whether no number was given."""
        return self.value is None
