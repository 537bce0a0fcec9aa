"""Historical read of OPC UA, in pages, with patience. Imports asyncua."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from asyncua import ua
from asyncua.ua.uaerrors import UaError

from tundish.line.errors import HistoryUnavailableError
from tundish.line.samples import Sample, from_us
from tundish.line.uaclient import LinkLostError, UaLink, severity
from tundish.line.uavalues import Tag, to_sample

VALUES_PER_PAGE = 200_000
_TRIES = 3
_PATIENCE = 5


class UaHistory:
    """Reads what a server's historian has.

    Args:
        link: The connection.
        pause_s: Seconds before a page is asked for again, growing.
        lose: Called with the reason if the link turns out to be dead.
    """

    def __init__(
        self, link: UaLink, pause_s: float, lose: Callable[[str], None]
    ) -> None:
        self._link = link
        self._pause_s = pause_s
        self._lose = lose

    async def read(
        self, tag: Tag, after_us: int, until_us: int | None
    ) -> AsyncIterator[tuple[Sample, ...]]:
        """Give the samples of one tag, oldest first; see ``Source.read_history``."""
        size = max(1, min(1000, VALUES_PER_PAGE // tag.channels))
        after, resume = after_us, None
        while True:
            values, resume = await self._page(tag, after, until_us, size, resume)
            samples = tuple(
                sample
                for sample in (to_sample(tag, value) for value in values)
                if sample.at_us is not None and sample.at_us > after
            )
            if samples:
                yield samples
                after = max(sample.at_us or after for sample in samples)
            if not samples or (resume is None and len(values) < size):
                return

    async def _page(
        self,
        tag: Tag,
        after_us: int,
        until_us: int | None,
        size: int,
        resume: bytes | None,
    ) -> tuple[Sequence[ua.DataValue], bytes | None]:
        details = ua.ReadRawModifiedDetails(
            IsReadModified=False,
            StartTime=from_us(after_us + 1),
            EndTime=ua.get_win_epoch() if until_us is None else from_us(until_us),
            NumValuesPerNode=size,
            ReturnBounds=False,
        )
        request = ua.HistoryReadParameters(
            HistoryReadDetails=details,
            TimestampsToReturn=ua.TimestampsToReturn.Both,
            ReleaseContinuationPoints=False,
            NodesToRead=[
                ua.HistoryReadValueId(NodeId=tag.node, ContinuationPoint=resume)
            ],
        )
        answer = await self._ask(tag, request)
        if severity(answer.StatusCode) == 2:
            msg = (
                f"{self._link.endpoint} gives no history of {tag.spec.node}: "
                f"{answer.StatusCode.name}."
            )
            raise HistoryUnavailableError(msg)
        data = getattr(answer.HistoryData, "DataValues", None) or []
        return data, answer.ContinuationPoint or None

    async def _ask(
        self, tag: Tag, request: ua.HistoryReadParameters
    ) -> ua.HistoryReadResult:
        problem: Exception | None = None
        for tried in range(_TRIES):
            try:
                read = self._link.client.uaclient.history_read(request)
                limit_s = _PATIENCE * self._link.timeout_s
                return (await self._link.call(read, limit_s=limit_s))[0]
            except (LinkLostError, UaError) as error:
                problem = error
                await self._still_there()
                await asyncio.sleep(self._pause_s * (tried + 1))
        msg = f"{self._link.endpoint} gives no history of {tag.spec.node}: {problem}."
        raise HistoryUnavailableError(msg) from problem

    async def _still_there(self) -> None:
        try:
            await self._link.probe()
        except LinkLostError as error:
            self._lose(str(error))
            raise
