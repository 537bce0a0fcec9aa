"""What the line may ask of the plant: a request inside an envelope, or the fallback; pure.

Automation owns the PLC: the line writes request tags with a heartbeat, and the PLC
clamps, permits, interlocks and falls back when the heartbeat stops. What is written here
was limited before it left. A request is *valid* only while the newest answer is good and
fresh, all interlocks hold, and the breaker is closed; each time that it ceases to be valid
counts as a stop. Too many stops within a time open the breaker: the fallback stands until
somebody resets it.

In the modes ``shadow`` and ``advise`` the same is computed and counted ("would have
stopped n times"), and nothing is written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tundish.catalog.expression import compile_condition, compile_formula
from tundish.catalog.scenario import Scenario
from tundish.line.errors import ControlInvalidError
from tundish.line.estimates import Estimate
from tundish.line.linefile import ControlSpec
from tundish.line.samples import Quality, Sample

ANSWER = ("estimate", "lower", "upper", "alarm")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of the plant at one beat.

    Attributes:
        value: Inside the envelope, moved no faster than it allows.
        valid: Whether the PLC may take it; if not, ``value`` is on its way to the
            fallback.
        reason: Why it is not valid, or was limited; empty otherwise.
        beat: Counts up with every request.
    """

    value: float
    valid: bool
    reason: str
    beat: int


@dataclass(kw_only=True)
class Governed:
    """What the governor did since the line started.

    Attributes:
        requests: Beats.
        valid: Of these.
        stops: How often requests ceased to be valid.
        limited: Beats whose wish lay outside the limits, or moved too fast.
        trips: How often the breaker opened.
    """

    requests: int = 0
    valid: int = 0
    stops: int = 0
    limited: int = 0
    trips: int = 0


@dataclass(kw_only=True)
class _Known:
    quality: Quality
    value: float
    reason: str
    heard_s: float


class Governor:
    """Decides each request; see the module.

    Args:
        spec: Envelope, interlocks, fallback, watchdog and breaker.
        scenario: The contract: interlocks and the formula name its scalar signals.
        open_reason: Why the breaker is open from the start; empty if it is closed.

    Raises:
        ControlInvalidError: if a formula or interlock names what the line does not know.
        ConditionInvalidError: if one cannot be read.
    """

    def __init__(
        self, spec: ControlSpec, scenario: Scenario, open_reason: str = ""
    ) -> None:
        self.counts = Governed()
        self.open_reason = open_reason
        self._spec = spec
        self._stale_s = scenario.stale_after_s
        self._formula = compile_formula(spec.request)
        self._interlocks = [compile_condition(text) for text in spec.interlocks]
        scalars = {signal.name for signal in scenario.signals if signal.axis is None}
        _require(self._formula.tags, scalars | set(ANSWER), spec.request)
        for lock in self._interlocks:
            _require(lock.tags, scalars, lock.text)
        self._used = frozenset().union(
            self._formula.tags - set(ANSWER), *(lock.tags for lock in self._interlocks)
        )
        self._known: dict[str, _Known] = {}
        self._answer: tuple[Estimate, float] | None = None
        self._value = spec.fallback
        self._at_s: float | None = None
        self._valid = False
        self._over = ""
        self._stops: deque[float] = deque(maxlen=spec.breaker.stops)

    def heard(self, samples: Iterable[Sample], now_s: float) -> None:
        """Take note of what came in, live."""
        for sample in samples:
            if sample.signal in self._used:
                value = float("nan") if sample.values is None else sample.values[0]
                self._known[sample.signal] = _Known(
                    quality=sample.quality,
                    value=float(value),
                    reason=sample.reason,
                    heard_s=now_s,
                )

    def answered(self, estimate: Estimate, now_s: float) -> None:
        """Take note of the newest answer."""
        self._answer = (estimate, now_s)

    def end(self, reason: str) -> None:
        """Ask for nothing any more."""
        self._over = reason

    def go_on(self) -> None:
        """Ask again after an ``end``."""
        self._over = ""

    def reset(self) -> None:
        """Close the breaker; the stops before it are forgotten."""
        self.open_reason = ""
        self._stops.clear()

    def beat(self, now_s: float) -> Request:
        """Return the request of this moment.

        Args:
            now_s: Monotonic second of the wall clock.
        """
        wish, reason = self._wish(now_s)
        valid = wish is not None
        goal = self._spec.fallback if wish is None else wish
        value, limited = self._limited(goal, now_s)
        if self._valid and not valid and not self._over:
            self._stopped(reason, now_s)
        self._valid = valid
        self._value, self._at_s = value, now_s
        self.counts.requests += 1
        self.counts.valid += valid
        self.counts.limited += bool(limited and valid)
        return Request(
            value=value,
            valid=valid,
            reason=self._over or self.open_reason or reason or limited,
            beat=self.counts.requests,
        )

    def _wish(self, now_s: float) -> tuple[float | None, str]:
        """Return what the model asks for, or None and why it may ask for nothing."""
        reason = self._over or self.open_reason or self._unanswered(now_s)
        reason = reason or self._unknown(now_s) or self._locked()
        if reason or self._answer is None:
            return None, reason
        estimate, _ = self._answer
        value = self._formula.at({**self._numbers(), **_numbers_of(estimate)})
        if not np.isfinite(value):
            return None, f"the request {self._spec.request} has no value"
        return value, ""

    def _unanswered(self, now_s: float) -> str:
        if self._answer is None:
            return "there is no answer yet"
        estimate, at_s = self._answer
        if now_s - at_s > self._spec.watchdog_s:
            return f"no answer for {now_s - at_s:.0f} s"
        if estimate.quality != "good" or estimate.value is None:
            return f"the answer is {estimate.quality}: {estimate.reason}"
        return ""

    def _unknown(self, now_s: float) -> str:
        for name in sorted(self._used):
            known = self._known.get(name)
            if known is None:
                return f"{name} is not known yet"
            if known.quality != "good" or not np.isfinite(known.value):
                return f"{name} is {known.quality}: {known.reason}"
            if now_s - known.heard_s > self._stale_s:
                return f"{name} is stale"
        return ""

    def _locked(self) -> str:
        columns = {name: np.array([value]) for name, value in self._numbers().items()}
        for lock in self._interlocks:
            if not lock.on(columns)[0]:
                return f"the interlock {lock.text} does not hold"
        return ""

    def _numbers(self) -> dict[str, float]:
        return {name: self._known[name].value for name in self._used}

    def _limited(self, goal: float, now_s: float) -> tuple[float, str]:
        envelope = self._spec.envelope
        value = min(max(goal, envelope.low), envelope.high)
        reason = ""
        if value != goal:
            reason = f"{goal:.6g} is held at {value:.6g}, the end of the envelope"
        if envelope.per_s is not None:
            passed_s = 0.0 if self._at_s is None else now_s - self._at_s
            step = envelope.per_s * passed_s
            near = min(max(value, self._value - step), self._value + step)
            if near != value:
                reason = reason or f"on the way to {value:.6g}"
            value = near
        return value, reason

    def _stopped(self, reason: str, now_s: float) -> None:
        self.counts.stops += 1
        breaker = self._spec.breaker
        self._stops.append(now_s)
        full = len(self._stops) == breaker.stops
        if full and now_s - self._stops[0] <= breaker.within_s:
            self.counts.trips += 1
            self.open_reason = (
                f"the breaker is open after {breaker.stops} stops within "
                f"{now_s - self._stops[0]:.0f} s, the last because {reason}"
            )


def _numbers_of(estimate: Estimate) -> dict[str, float]:
    numbers = {
        "estimate": estimate.value,
        "lower": estimate.lower,
        "upper": estimate.upper,
        "alarm": None if estimate.alarm is None else float(estimate.alarm),
    }
    return {n: float("nan") if v is None else v for n, v in numbers.items()}


def _require(tags: Iterable[str], known: set[str], text: str) -> None:
    for tag in sorted(set(tags) - known):
        msg = (
            f"The line's control says {text!r}, and {tag!r} is none of "
            f"{', '.join(sorted(known))}."
        )
        raise ControlInvalidError(msg)
