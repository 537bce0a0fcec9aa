"""The guard: what may not be scored, and which answers may not be given; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.contract import Violation, check_window
from tundish.catalog.scenario import Level, Scenario
from tundish.catalog.tasks import Task
from tundish.kernel.digest import Digest
from tundish.line.because import because
from tundish.line.errors import ModeRefusedError
from tundish.line.estimates import Estimate, Why
from tundish.line.windows import Window

Mode = Literal["shadow", "advise", "control"]
Outputs = Mapping[str, NDArray[np.float32]]

_NO_DOUBT: tuple[Why, str] = ("", "")
_INTERVAL = ("estimate", "lower", "upper")
NUMBERS: dict[Task, tuple[str, ...]] = {
    "regress": _INTERVAL,
    "rul": _INTERVAL,
    "forecast": _INTERVAL,
    "anomaly": ("score",),
    "inspect": ("score",),
    "diagnose": ("label",),
}
_AUTONOMY = {"perceive": 0, "advise": 1, "control": 2}
_ASKED = {"shadow": 0, "advise": 1, "control": 2}


def check_mode(scenario: Scenario, mode: Mode) -> None:
    """Refuse a mode that the scenario does not allow.

    Raises:
        ModeRefusedError: if the scenario's autonomy is lower.
    """
    allowed = scenario.risk.autonomy
    if _ASKED[mode] > _AUTONOMY[allowed]:
        msg = (
            f"The line asks for the mode {mode!r}, and the scenario {scenario.key} "
            f"allows no more than {allowed!r}."
        )
        raise ModeRefusedError(msg)


@dataclass(frozen=True, kw_only=True)
class Oversight:
    """What must stand behind a line that writes requests.

    Attributes:
        approvals: Signatures of so many persons.
        interlock: Whether at least one interlock must be declared.
    """

    approvals: int = 0
    interlock: bool = False


_OVERSIGHT: dict[tuple[Level, Level], Oversight] = {
    ("low", "low"): Oversight(),
    ("low", "medium"): Oversight(),
    ("medium", "low"): Oversight(),
    ("high", "low"): Oversight(approvals=1, interlock=True),
    ("high", "medium"): Oversight(approvals=2, interlock=True),
}
"""By risk of a bad outcome and ambiguity of the case, after the matrix of oversight of
the World Economic Forum's lighthouses. Where it says "suggest" a person decides each time:
that is the mode ``advise``."""


def oversight(scenario: Scenario, interlocks: int) -> Oversight:
    """Return what a scenario asks for before a line may write requests.

    Args:
        scenario: The contract.
        interlocks: How many the line declares.

    Raises:
        ModeRefusedError: if its autonomy is lower, a person must decide each time, or an
            interlock is missing.
    """
    check_mode(scenario, "control")
    risk = scenario.risk
    found = _OVERSIGHT.get((risk.outcome, risk.ambiguity))
    case = f"The risk of {scenario.key} is {risk.outcome} and its ambiguity {risk.ambiguity}"
    if found is None:
        msg = f"{case}: there a person decides each time, in the mode 'advise'."
        raise ModeRefusedError(msg)
    if found.interlock and not interlocks:
        msg = f"{case}: control needs an interlock, and the line declares none."
        raise ModeRefusedError(msg)
    return found


class InputGate:
    """Lets only windows that keep the contract through to the model.

    ``check_window`` decides; windows of scalar signals that lie inside all ranges
    are let through by one comparison with the same ranges, since most do.

    Args:
        scenario: The contract.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._shape = (scenario.window.rows, scenario.channels)
        widths = [signal.channels for signal in scenario.signals]
        lowest = np.repeat([s.range[0] for s in scenario.signals], widths)
        highest = np.repeat([s.range[1] for s in scenario.signals], widths)
        self._lowest = _inner(lowest, np.inf)
        self._highest = _inner(highest, -np.inf)
        self._quick = all(signal.min_spread is None for signal in scenario.signals)

    def refused(
        self, windows: Sequence[Window], model: Digest, digests: Sequence[Digest]
    ) -> dict[int, Estimate]:
        """Return the abstaining answers of the windows that break the contract.

        Args:
            windows: Untrusted values.
            model: Digest of the model.
            digests: Of the windows.

        Returns:
            By place; what is not there may be scored.
        """
        said: dict[int, tuple[Why, str]] = {
            n: (window.why, window.reason)
            for n, window in enumerate(windows)
            if window.quality == "bad"
        }
        rest = [n for n in range(len(windows)) if n not in said]
        if rest:
            broken = self.broken(np.array([windows[n].values for n in rest]))
            said |= {rest[at]: reason for at, reason in broken.items()}
        return {
            n: Estimate(
                at_us=windows[n].at_us,
                quality="bad",
                why=why,
                reason=reason,
                model=model,
                input=digests[n],
            )
            for n, (why, reason) in said.items()
        }

    def broken(self, windows: NDArray[np.float32]) -> dict[int, tuple[Why, str]]:
        """Return which windows of a batch break the contract, and why, by their place.

        Args:
            windows: Untrusted values, [N, T, C].
        """
        suspects: Iterable[int] = range(len(windows))
        if self._quick and windows.shape[1:] == self._shape:
            inside = (windows >= self._lowest) & (windows <= self._highest)
            if np.count_nonzero(inside) == inside.size:  # quicker than all()
                return {}
            suspects = np.flatnonzero(~inside.all(axis=(1, 2))).tolist()
        found = ((at, check_window(self._scenario, windows[at])) for at in suspects)
        return {at: _said(violations) for at, violations in found if violations}


def _inner(ends: NDArray[np.float64], towards: float) -> NDArray[np.float32]:
    """Return the last float32 that lies within an end, so that comparing stays exact."""
    with np.errstate(over="ignore"):
        near = ends.astype(np.float32)
    outside = near < ends if towards > 0 else near > ends
    return np.where(outside, np.nextafter(near, np.float32(towards)), near)


def _said(violations: Sequence[Violation]) -> tuple[Why, str]:
    told = "; ".join(f"{v.signal} {v.reason}: {v.detail}" for v in violations)
    return violations[0].reason, told


def answers(
    scenario: Scenario,
    windows: Sequence[Window],
    outputs: Outputs,
    model: Digest,
    digests: Sequence[Digest],
) -> list[Estimate]:
    """Turn a graph's outputs into answers, or abstain; what is plain is told at once.

    Args:
        scenario: The contract.
        windows: The windows that were scored.
        outputs: Of the graph, first axis the windows.
        model: Digest of the model.
        digests: Of the windows.
    """
    numbers = np.array([_column(outputs, n, windows) for n in NUMBERS[scenario.task]])
    applicability = _column(outputs, "applicability", windows)
    plain = np.isfinite(numbers).all(axis=0) & (applicability <= 1.0)
    if scenario.task == "diagnose":
        plain &= numbers[0] >= 0
    elif scenario.target is not None:
        low, high = scenario.target.range
        plain &= (numbers[0] >= low) & (numbers[0] <= high)
    parts = outputs.get("contribution")
    values, distances = numbers.T.tolist(), applicability.tolist()
    found: list[Estimate] = []
    for n, fits in enumerate(plain.tolist()):
        window, told = windows[n], values[n]
        why, reason = _doubted(scenario, told, distances[n]) if not fits else _NO_DOUBT
        if why:
            found.append(
                Estimate(
                    at_us=window.at_us,
                    quality="bad",
                    applicability=distances[n] if np.isfinite(distances[n]) else None,
                    why=why,
                    reason=reason,
                    model=model,
                    input=digests[n],
                )
            )
            continue
        why, reason = window.why, window.reason
        if not fits and not why:
            why, reason = outside_target(scenario, told[0])
        alarm = _alarm(scenario, told[0])
        found.append(
            Estimate(
                at_us=window.at_us,
                quality="uncertain" if why else "good",
                value=told[0],
                lower=told[1] if len(told) == 3 else None,
                upper=told[2] if len(told) == 3 else None,
                applicability=distances[n],
                alarm=alarm,
                because=""
                if parts is None or alarm is False
                else because(scenario, parts[n]),
                why=why,
                reason=reason,
                model=model,
                input=digests[n],
            )
        )
    return found


def _doubted(
    scenario: Scenario, numbers: Sequence[float], applicability: float
) -> tuple[Why, str]:
    """Return why no answer is given, and in words; empty if one is."""
    why, reason = doubt(numbers, applicability)
    if not why and scenario.task == "diagnose" and numbers[0] < 0:
        return "undecided", "no single class fits, or more than one does"
    return why, reason


def _column(
    outputs: Outputs, name: str, windows: Sequence[Window]
) -> NDArray[np.float64]:
    """Return one number for each window: NaN if the graph gives none of that name."""
    values = outputs.get(name)
    if values is None or values.ndim != 2:
        return np.full(len(windows), np.nan)
    if values.shape[1] > 1 and name not in NUMBERS["forecast"]:
        return np.full(len(windows), np.nan)
    return values[:, -1].astype(np.float64)  # of a forecast the end of the horizon


def _alarm(scenario: Scenario, value: float) -> bool | None:
    if scenario.task in {"anomaly", "inspect"}:
        return value > 1.0
    if scenario.task == "diagnose":
        place = int(value)
        known = place < len(scenario.classes)
        return not (known and scenario.classes[place].good)
    return None


def doubt(numbers: Sequence[float], applicability: float) -> tuple[Why, str]:
    """Return why an answer must not be given, and in words; empty if it may be.

    Args:
        numbers: What the graph gave; NaN for what it did not.
        applicability: Distance from the training envelope, 1.0 = at its limit.
    """
    if not np.all(np.isfinite(numbers)) or not np.isfinite(applicability):
        return "not-finite", "the graph gave no finite number"
    if applicability > 1.0:
        reason = f"the input lies outside the training envelope ({applicability:.2f}, expected at most 1)"
        return "outside-envelope", reason
    return "", ""


def outside_target(scenario: Scenario, value: float) -> tuple[Why, str]:
    """Return why an answer is uncertain: beyond the target's range; empty if it is not."""
    if scenario.target is None or scenario.task == "diagnose":
        return "", ""
    low, high = scenario.target.range
    if low <= value <= high:
        return "", ""
    reason = (
        f"{value:.4g} {scenario.target.unit} is outside the target's range "
        f"{low:g} to {high:g}"
    )
    return "outside-target-range", reason
