"""The gate behind a station: a part without a result in time has none; decides only.

A picture is announced when it is seen. If its answer is not there within the time, the
part gets "no result" with the alarm that the line file says, reject unless it says
otherwise, and an answer that comes later does not take its place. An answer without a
number gets the same alarm: nobody knows whether that part is good.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from tundish.catalog.scenario import Scenario
from tundish.kernel import digest
from tundish.kernel.clock import Clock
from tundish.kernel.digest import Digest
from tundish.kernel.records import Record
from tundish.line.errors import LineFileInvalidError
from tundish.line.estimates import Estimate

_NOTHING = digest.of_bytes(b"")
_MOST_PASSED = 10_000


class GateSpec(Record):
    """A gate, as the line file says it.

    Attributes:
        deadline_ms: From the moment at which the line saw the picture.
        without_result: What becomes of a part that has none.
    """

    deadline_ms: Annotated[float, Field(ge=1, le=3_600_000)]
    without_result: Literal["reject", "pass"] = "reject"


class Gate:
    """Keeps account of parts that wait for their result.

    Args:
        spec: Of the line file.
        model: Written into each "no result".
        clock: The wall's.
    """

    def __init__(self, spec: GateSpec, model: Digest, clock: Clock) -> None:
        self.deadline_s = spec.deadline_ms / 1000
        self._reject = spec.without_result == "reject"
        self._model = model
        self._clock = clock
        self._waiting: dict[int, float] = {}  # in order of time: all wait equally long
        self._passed: dict[
            int, None
        ] = {}  # told "no result"; the answer may still come

    def follow(self, model: Digest) -> None:
        """Write another model into what comes from now on."""
        self._model = model

    def expect(self, at_us: Iterable[int]) -> None:
        """Parts of these source times are on their way to the gate."""
        until_s = self._clock.monotonic_s() + self.deadline_s
        for one in at_us:
            self._waiting.setdefault(one, until_s)

    def judged(self, answer: Estimate) -> Estimate:
        """Return what the gate is told instead of an answer; the part waits no more."""
        until_s = self._waiting.pop(answer.at_us, None)
        late = until_s is not None and self._clock.monotonic_s() > until_s
        if late or answer.at_us in self._passed:
            self._passed.pop(answer.at_us, None)
            return replace(self._none(answer.at_us), input=answer.input)
        if answer.abstained:
            return replace(answer, alarm=self._reject)
        return answer

    def told(self, at_us: int) -> bool:
        """Tell whether a part got "no result" and its answer is still to come."""
        return at_us in self._passed

    def overdue(self) -> list[Estimate]:
        """Return "no result" for each part whose time is over, in order."""
        now_s = self._clock.monotonic_s()
        over = [at_us for at_us, until_s in self._waiting.items() if now_s >= until_s]
        for at_us in over:
            del self._waiting[at_us]
            self._passed[at_us] = None
        while len(self._passed) > _MOST_PASSED:
            del self._passed[next(iter(self._passed))]
        return [self._none(at_us) for at_us in over]

    def _none(self, at_us: int) -> Estimate:
        return Estimate(
            at_us=at_us,
            quality="bad",
            alarm=self._reject,
            why="no-result",
            reason=f"no result within {self.deadline_s * 1000:g} ms of the picture",
            model=self._model,
            input=_NOTHING,
        )


def check_gate(spec: GateSpec | None, scenario: Scenario) -> None:
    """Refuse a gate for a line that inspects nothing.

    Raises:
        LineFileInvalidError: if the scenario's task is another one.
    """
    if spec is not None and scenario.task != "inspect":
        msg = f"The line file has a gate, and {scenario.key} inspects nothing."
        raise LineFileInvalidError(msg)
