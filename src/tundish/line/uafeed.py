"""What brings the values of an OPC UA server in: by subscription, or by polling.

Both know each tag by itself: a node that vanishes, or that the server will not watch,
makes its own tag bad, is asked for again and again, and heals without the others being
touched. Imports asyncua.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

from tundish.line.samples import Sample
from tundish.line.uaclient import UaLink
from tundish.line.uavalues import Tag

GONE = {
    StatusCodes.BadNodeIdUnknown,
    StatusCodes.BadNodeIdInvalid,
    StatusCodes.BadAttributeIdInvalid,
    StatusCodes.BadNotReadable,
    StatusCodes.BadUserAccessDenied,
    StatusCodes.BadMonitoredItemIdInvalid,
    StatusCodes.BadTooManyMonitoredItems,
}
Statuses = dict[str, ua.StatusCode]


class Ears(Protocol):
    """Who is told what a feed hears."""

    def tell(self, samples: tuple[Sample, ...]) -> asyncio.Event:
        """Samples came in; the event is set when they are on disk."""
        ...

    def lose(self, why: str) -> None:
        """The link is of no use any more."""
        ...


class Feed(Protocol):
    """One way in which values come in, over one connection."""

    async def start(self) -> Statuses:
        """Begin; return the signals that cannot be watched, with the server's word."""
        ...

    async def tend(self) -> None:
        """Look after tags that are bad or silent; called every second or so."""
        ...

    async def stop(self) -> None:
        """End; the connection goes away by itself."""
        ...


async def read_values(link: UaLink, tags: Sequence[Tag]) -> list[ua.DataValue]:
    """Read values with status and both times, in calls that the server can take."""

    async def read(some: list[Tag]) -> Sequence[ua.DataValue]:
        wanted = ua.ReadParameters(
            MaxAge=0,
            TimestampsToReturn=ua.TimestampsToReturn.Both,
            NodesToRead=[
                ua.ReadValueId(NodeId=tag.node, AttributeId=AttributeIds.Value)
                for tag in some
            ],
        )
        return await link.client.uaclient.read(wanted)

    return await link.in_batches(tags, link.limits.read, read)


def gone(tag: Tag, status: ua.StatusCode) -> Sample:
    """Return what is to be said of a node that is not there."""
    return Sample(
        signal=tag.signal,
        at_us=None,
        quality="bad",
        values=None,
        reason=f"the node {tag.spec.node} cannot be read: {status.name}",
        code=int(status.value),
    )
