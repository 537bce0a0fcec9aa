"""What a source or sink knows of its server without running: for ``tundish line check``.

A kind that can look at its server offers ``inspect``; what it cannot know stays None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tundish.line.clocks import ClockReading
from tundish.line.pace import Pace
from tundish.line.samples import Quality


@dataclass(frozen=True, kw_only=True)
class TagSeen:
    """One node as its server shows it.

    Attributes:
        name: The signal, or what is written there.
        node: Its address at the server.
        problem: Why it cannot be used; empty if it can.
        kind: Its data type, in the protocol's word.
        channels: How many numbers it holds; None if unknown.
        unit: The unit that the server declares; empty if it declares none.
        may_read, may_write: Whether this user may.
        history: Whether the server keeps history of it.
        values: The present numbers, in the plant's unit converted by the line file's
            scale and offset; empty if there are none.
        quality, reason: Of the present value.
        age_s: How old the present value is by the server's own clock.
        pace: How often its server would look at it; None if it does not say.
    """

    name: str
    node: str
    problem: str = ""
    kind: str = ""
    channels: int | None = None
    unit: str = ""
    may_read: bool | None = None
    may_write: bool | None = None
    history: bool | None = None
    values: tuple[float, ...] = ()
    quality: Quality | None = None
    reason: str = ""
    age_s: float | None = None
    pace: Pace | None = None


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What was seen at one server.

    Attributes:
        tags: Every node that the line file names.
        clock: The server's clock against ours; None if it does not tell the time.
        security: How the link is protected, in a few words; empty if it is not.
    """

    tags: tuple[TagSeen, ...]
    clock: ClockReading | None = None
    security: str = ""


@runtime_checkable
class Inspects(Protocol):
    """A source or sink that can look at its server.

    It connects, looks, and lets go; it writes nothing. What it subscribes to in order to
    learn how it would be watched is switched off from the beginning.
    """

    async def inspect(self) -> Inspection:
        """Look at the server and every node.

        Raises:
            ConnectionError: if nobody answers.
            RefusedError: if the server is not to be talked to as the file asks.
        """
        ...
