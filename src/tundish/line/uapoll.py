"""Values by polling, for OPC UA servers without subscriptions. Imports asyncua."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from asyncua import ua

from tundish.kernel.clock import Clock
from tundish.line.uaclient import UaLink
from tundish.line.uafeed import GONE, Ears, Statuses, read_values
from tundish.line.uaoptions import OpcUaSourceOptions
from tundish.line.uavalues import Tag, to_sample


class Polling:
    """Reads all values again and again, for servers without subscriptions.

    Args: as ``Subscription``.
    """

    def __init__(
        self,
        link: UaLink,
        tags: Sequence[Tag],
        options: OpcUaSourceOptions,
        ears: Ears,
        clock: Clock,
    ) -> None:
        self._link = link
        self._tags = list(tags)
        self._options = options
        self._ears = ears
        self._clock = clock
        self._last: dict[str, tuple[object, object]] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> Statuses:
        """Read once, then begin to poll; see ``Feed.start``."""
        values, _ = await self._poll()
        self._task = asyncio.create_task(self._run())
        return {
            tag.signal: value.StatusCode
            for tag, value in zip(self._tags, values, strict=True)
            if value.StatusCode is not None and value.StatusCode.value in GONE
        }

    async def tend(self) -> None:
        """See ``Feed.tend``: each poll asks for every tag anyway."""
        if self._task is not None and self._task.done():
            self._ears.lose(f"{self._link.endpoint} is not polled any more")

    async def stop(self) -> None:
        """See ``Feed.stop``."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        period_s = self._options.poll_ms / 1000
        due_s = self._clock.monotonic_s()
        while True:
            due_s = max(due_s + period_s, self._clock.monotonic_s() - period_s)
            await asyncio.sleep(max(0.0, due_s - self._clock.monotonic_s()))
            try:
                _, stored = await self._poll()
            except Exception as error:  # noqa: BLE001  (whatever a server provokes)
                self._ears.lose(str(error))
                return
            if stored is not None:
                await stored.wait()

    async def _poll(self) -> tuple[list[ua.DataValue], asyncio.Event | None]:
        values = await read_values(self._link, self._tags)
        samples = tuple(
            to_sample(tag, value)
            for tag, value in zip(self._tags, values, strict=True)
            if self._is_new(tag, value)
        )
        return values, self._ears.tell(samples) if samples else None

    def _is_new(self, tag: Tag, value: ua.DataValue) -> bool:
        """Tell whether time or status moved; the same answer twice is one sample."""
        status = None if value.StatusCode is None else value.StatusCode.value
        said = (value.SourceTimestamp or value.ServerTimestamp, status)
        before = self._last.get(tag.signal)
        self._last[tag.signal] = said
        return said != before
