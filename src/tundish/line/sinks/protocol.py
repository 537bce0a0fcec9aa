"""What every sink is: four calls, whatever protocol is behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from tundish.catalog.scenario import Scenario
from tundish.line.contract import Contract
from tundish.line.estimates import Estimate
from tundish.line.governor import Request
from tundish.line.guard import Mode
from tundish.line.kept import Columns
from tundish.line.linefile import SinkSpec
from tundish.line.spool import PartRules
from tundish.line.state import TagState


class Sink(Protocol):
    """A place that takes answers and the line's state.

    Every call but ``close`` raises ``ConnectionError`` if the link is lost, and the
    engine then calls ``connect`` again with growing pauses. Answers are sent at
    least once; their id is the source time.
    """

    @property
    def name(self) -> str:
        """Names it in events and in the buffer; must stay the same."""
        ...

    async def connect(self) -> None:
        """Connect and make sure that every node can be written.

        Raises:
            ConnectionError: if nobody answers.
            NodeMissingError: if a node is not there or cannot hold the value.
        """
        ...

    async def write_estimates(self, estimates: Sequence[Estimate]) -> None:
        """Write answers in the order given; no number for one that abstained.

        Raises:
            SinkRefusedError: if the server will not take it; trying again is vain.
        """
        ...

    async def write_state(self, state: TagState, mode: Mode, at_us: int) -> None:
        """Write the line's state and mode as of a moment on the line's clock.

        When the state is stale, the numbers written before are taken away.
        """
        ...

    async def close(self) -> None:
        """Let the server go; safe to call twice."""
        ...


class RequestSink(Protocol):
    """A place that takes requests, over a connection of its own."""

    @property
    def name(self) -> str:
        """Names it in events."""
        ...

    async def connect(self) -> None:
        """Connect and make sure that every node can be written; see ``Sink.connect``."""
        ...

    async def write_request(self, request: Request) -> None:
        """Write a request, its heartbeat last.

        Raises:
            ConnectionError: if the link is lost.
            SinkRefusedError: if the server will not take it.
        """
        ...

    async def close(self) -> None:
        """Let the server go; safe to call twice."""
        ...


class SampleSink(Protocol):
    """A place that takes samples, part by part: an archive.

    What belongs to a part is on disk before it is begun. After a kill the same part is
    given again, with the same samples under the same numbers; written twice it must be
    there once.
    """

    @property
    def name(self) -> str:
        """Names it in events and gaps; must stay the same."""
        ...

    @property
    def rules(self) -> PartRules:
        """When a part is full."""
        ...

    @property
    def spool_mb(self) -> float:
        """Megabytes of samples that may wait while parts cannot be written."""
        ...

    async def connect(self) -> None:
        """Make sure that parts can be written; clear away what a kill left.

        Raises:
            ConnectionError: if they cannot.
        """
        ...

    async def write_part(self, columns: Columns) -> Sequence[str]:
        """Write one part, durably and whole or not at all.

        Returns:
            What had to be dropped for it, in words for people.

        Raises:
            ConnectionError: if it cannot be written now; it is given again.
        """
        ...

    async def close(self) -> None:
        """Let everything go; safe to call twice."""
        ...


class SampleSinkKind(Protocol):
    """What an entry point of the group ``tundish.archives`` names: a class."""

    def from_spec(
        self, spec: SinkSpec, contract: Contract, about: Mapping[str, str]
    ) -> SampleSink:
        """Make one from a line file's part; raises as ``SinkKind.from_spec``.

        Args:
            spec: The part.
            contract: Whose signals they are.
            about: What every part says of itself, such as the line's name.
        """
        ...


class RequestSinkKind(Protocol):
    """What an entry point of the group ``tundish.requests`` names: a class."""

    def from_spec(self, spec: SinkSpec, scenario: Scenario) -> RequestSink:
        """Make one from a line file's part; raises as ``SinkKind.from_spec``."""
        ...


class SinkKind(Protocol):
    """What an entry point of the group ``tundish.sinks`` names: a class."""

    def from_spec(self, spec: SinkSpec, scenario: Scenario) -> Sink:
        """Make a sink from a line file's part; connects to nothing yet.

        Raises:
            DocumentInvalidError: if the options or node names are wrong.
        """
        ...
