"""What every source is: four calls, whatever protocol is behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from tundish.line.contract import Contract
from tundish.line.linefile import SourceSpec
from tundish.line.samples import Arrival, Sample


class Source(Protocol):
    """A server of the plant that gives samples.

    A source connects again by itself when the link is lost, for ever, and says so
    with a ``LinkChange``; it never raises because of a lost link once ``connect``
    has returned.
    """

    @property
    def name(self) -> str:
        """What people call it; names it in events."""
        ...

    @property
    def signals(self) -> tuple[str, ...]:
        """The contract's signals that it gives."""
        ...

    async def connect(self) -> None:
        """Connect for the first time and make sure that every tag is there.

        Raises:
            SourceUnreachableError: if nobody answers.
            NodeMissingError: if a tag is not there.
        """
        ...

    def samples(self) -> AsyncIterator[Arrival]:
        """Give what comes in, for ever.

        Asking for the next arrival says that the one before is on disk; only then
        may a source acknowledge it to its server.
        """
        ...

    def read_history(
        self, signal: str, after_us: int, until_us: int | None
    ) -> AsyncIterator[tuple[Sample, ...]]:
        """Give what the plant's historian has of one signal, oldest first, in pages.

        Args:
            signal: Name of the signal.
            after_us: Source time, exclusive, microseconds since 1970 UTC.
            until_us: Source time, inclusive; ``None`` for the newest there is.

        Raises:
            HistoryUnavailableError: if there is no history of it.
            ConnectionError: if the link was lost meanwhile.
        """
        ...

    async def close(self) -> None:
        """Let the server go; safe to call twice."""
        ...


class SourceKind(Protocol):
    """What an entry point of the group ``tundish.sources`` names: a class."""

    def from_spec(self, spec: SourceSpec, scenario: Contract) -> Source:
        """Make a source from a line file's part; connects to nothing yet.

        Raises:
            DocumentInvalidError: if the options of this kind are wrong.
        """
        ...
