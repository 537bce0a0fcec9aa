"""Values by subscription: monitored items of one OPC UA subscription. Imports asyncua.

A tag from which nothing is heard is looked at now and then, since servers drop monitored
items without a word; a notification that is missing is noticed by its number.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.uaerrors import UaError

from tundish.kernel.clock import Clock
from tundish.line.clocks import ClockWatch
from tundish.line.pace import Pace, pace_of
from tundish.line.samples import Sample, from_us, to_us
from tundish.line.uaclient import UaLink, severity
from tundish.line.uafeed import GONE, Ears, Statuses, gone, read_values
from tundish.line.uanotes import PlainNotes
from tundish.line.uaoptions import OpcUaSourceOptions, node_options
from tundish.line.uavalues import Tag, to_sample
from tundish.line.uawire import MESSAGE_BYTES

_LIFETIME_MS = 60_000.0
_BYTES_PER_NOTE, _BYTES_PER_NUMBER = 64, 9
_LAST_NUMBER = 2**32 - 1


class Subscription:
    """Monitored items of one subscription.

    Args:
        link: Connected.
        tags: What to watch.
        options: See ``OpcUaSourceOptions``.
        ears: Told of what comes in.
        clock: For silence.
        asleep: Switched off: only to learn how the server would watch.
    """

    def __init__(
        self,
        link: UaLink,
        tags: Sequence[Tag],
        options: OpcUaSourceOptions,
        ears: Ears,
        clock: Clock,
        *,
        asleep: bool = False,
    ) -> None:
        self._link = link
        self._options = options
        self._ears = ears
        self._clock = clock
        self._by_handle = dict(enumerate(tags, start=1))
        self._scale = np.array([1.0, *(tag.spec.scale for tag in tags), 1.0])
        self._offset = np.array([0.0, *(tag.spec.offset for tag in tags), 0.0])
        self._items: dict[int, int] = {}
        modes = ua.MonitoringMode
        self._mode = modes.Disabled if asleep else modes.Reporting
        self._id = 0
        self._gone: set[int] = set()
        self._fresh: set[int] = set()
        self._newest: dict[int, int] = {}
        self._suspects: dict[int, int] = {}
        self._number = 0
        self._heard_s = clock.monotonic_s()
        self._silence_s = float("inf")
        self._handing_over = 0
        self._tended_s = clock.monotonic_s()
        self._revised: dict[int, Pace] = {}
        self._publishing_ms = options.publishing_ms
        self._calm = {
            handle: tag.period_s
            for handle, tag in self._by_handle.items()
            if node_options(tag.spec).deadband > 0
        }
        self._spoke: set[int] = set()
        self._affirmed_s = clock.monotonic_s()
        self._theirs = ClockWatch()

    def paces(self) -> dict[str, Pace]:
        """Return what the server answered to how each signal should be watched."""
        return {
            self._by_handle[handle].signal: pace
            for handle, pace in self._revised.items()
        }

    async def start(self) -> Statuses:
        """Subscribe; see ``Feed.start``."""
        options = self._options
        alive = max(1, round(options.probe_s * 1000 / options.publishing_ms))
        wanted = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=options.publishing_ms,
            RequestedLifetimeCount=max(
                10 * alive, round(_LIFETIME_MS / options.publishing_ms)
            ),
            RequestedMaxKeepAliveCount=alive,
            MaxNotificationsPerPublish=_most_notes(self._by_handle.values()),
            PublishingEnabled=True,
        )
        client = self._link.client.uaclient
        got = await self._link.call(client.create_subscription(wanted, self._published))
        self._id = got.SubscriptionId
        self._publishing_ms = float(got.RevisedPublishingInterval)
        self._silence_s = (
            3
            * got.RevisedPublishingInterval
            / 1000
            * (got.RevisedMaxKeepAliveCount + 1)
            + options.timeout_s
        )
        bad = await self._watch(list(self._by_handle))
        self._heard_s = self._clock.monotonic_s()
        return {
            self._by_handle[handle].signal: status for handle, status in bad.items()
        }

    async def tend(self) -> None:
        """See ``Feed.tend``; also finds a subscription that has gone silent."""
        now_s = self._clock.monotonic_s()
        silent_s = now_s - self._heard_s
        if silent_s > self._silence_s and not self._handing_over:
            endpoint = self._link.endpoint
            self._ears.lose(f"{endpoint} has published nothing for {silent_s:.0f} s")
            return
        if self._calm and now_s - self._affirmed_s >= min(self._calm.values()) / 2:
            self._affirmed_s = now_s
            await self._affirm()
        if now_s - self._tended_s >= self._options.recheck_s:
            self._tended_s = now_s
            await self._recheck()

    async def stop(self) -> None:
        """See ``Feed.stop``."""

    async def _watch(self, handles: Sequence[int]) -> dict[int, ua.StatusCode]:
        """Create monitored items; return the handles that have none."""
        client = self._link.client.uaclient

        async def create(some: list[int]) -> list[ua.MonitoredItemCreateResult]:
            request = ua.CreateMonitoredItemsParameters(
                SubscriptionId=self._id,
                TimestampsToReturn=ua.TimestampsToReturn.Both,
                ItemsToCreate=[self._item(handle) for handle in some],
            )
            return await client.create_monitored_items(request)

        results = await self._link.in_batches(
            handles, self._link.limits.monitor, create
        )
        bad: dict[int, ua.StatusCode] = {}
        for handle, result in zip(handles, results, strict=True):
            if severity(result.StatusCode) == 2:
                bad[handle] = result.StatusCode
                self._gone.add(handle)
            else:
                self._items[handle] = result.MonitoredItemId
                self._revised[handle] = pace_of(
                    result.RevisedSamplingInterval,
                    result.RevisedQueueSize,
                    self._publishing_ms,
                )
                self._gone.discard(handle)
        self._say_gone(bad)
        return bad

    def _item(self, handle: int) -> ua.MonitoredItemCreateRequest:
        tag = self._by_handle[handle]
        own = node_options(tag.spec)
        trigger = ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValueTimestamp)
        if own.deadband > 0:  # the server would ignore it beside a trigger on time
            share = own.deadband_kind == "percent"
            kind = ua.DeadbandType.Percent if share else ua.DeadbandType.Absolute
            trigger = ua.DataChangeFilter(
                Trigger=ua.DataChangeTrigger.StatusValue,
                DeadbandType=ua.UInt32(kind),
                DeadbandValue=ua.Double(own.deadband),
            )
        sampling_ms = self._options.sampling_ms
        return ua.MonitoredItemCreateRequest(
            ItemToMonitor=ua.ReadValueId(
                NodeId=tag.node, AttributeId=AttributeIds.Value
            ),
            MonitoringMode=self._mode,
            RequestedParameters=ua.MonitoringParameters(
                ClientHandle=handle,
                SamplingInterval=own.sampling_ms or sampling_ms,
                Filter=trigger,
                QueueSize=own.queue_size or self._options.queue_size,
                DiscardOldest=True,
            ),
        )

    async def _published(self, result: ua.PublishResult) -> None:
        self._heard_s = self._clock.monotonic_s()
        try:
            if not self._in_order(result.NotificationMessage):
                return
            samples = self._read(result)
        except Exception as error:  # noqa: BLE001  (history gives it again, or it is a gap)
            self._ears.lose(
                f"{self._link.endpoint} sent what cannot be read ({error!r})"
            )
            return
        if samples:  # asyncua acknowledges when this returns
            self._handing_over += 1
            try:
                await self._ears.tell(samples).wait()
            finally:
                self._handing_over -= 1
                self._heard_s = self._clock.monotonic_s()

    def _in_order(self, message: ua.NotificationMessage) -> bool:
        """Tell whether no notification was lost before this one."""
        number, before = int(message.SequenceNumber), self._number
        # none is numbered 0: asyncua's servers tell so that a subscription ends
        if not message.NotificationData or not number:
            return True
        self._number = number
        if before and number != before % _LAST_NUMBER + 1:
            why = f"notification {number} came after {before}"
            self._ears.lose(f"{self._link.endpoint} left out notifications ({why})")
            return False
        return True

    def _read(self, result: ua.PublishResult) -> tuple[Sample, ...]:
        samples: list[Sample] = []
        for note in result.NotificationMessage.NotificationData or ():
            if isinstance(note, PlainNotes):
                samples += self._heard_plain(note)
            elif isinstance(note, ua.DataChangeNotification):
                for item in note.MonitoredItems or ():
                    tag = self._by_handle.get(item.ClientHandle)
                    if tag is not None:
                        samples.append(self._heard(item.ClientHandle, tag, item.Value))
            elif isinstance(note, ua.StatusChangeNotification):
                self._status_changed(note.Status)
        return tuple(samples)

    def _heard_plain(self, notes: PlainNotes) -> list[Sample]:
        """Return the samples of good numbers, as ``to_sample`` would make them."""
        places = np.minimum(notes.handles, len(self._scale) - 1)
        with np.errstate(over="ignore"):
            values = notes.values * self._scale[places] + self._offset[places]
        found: list[Sample] = []
        for n, (handle, at_us) in enumerate(
            zip(notes.handles, notes.at_us, strict=True)
        ):
            tag = self._by_handle.get(handle)
            if tag is None:
                continue
            self._newest[handle] = max(at_us, self._newest.get(handle, 0))
            sample = Sample(tag.signal, at_us, "good", values[n : n + 1])
            if tag.channels > 1:
                sample = to_sample(tag, _as_sent(float(notes.values[n]), at_us))
            found.append(sample)
        self._fresh.update(self._by_handle.keys() & notes.handles)
        if self._calm:
            self._spoke.update(self._calm.keys() & notes.handles)
        return found

    def _heard(self, handle: int, tag: Tag, value: ua.DataValue) -> Sample:
        sample = to_sample(tag, value)
        self._fresh.add(handle)
        self._spoke.add(handle)
        if sample.at_us is not None:
            self._newest[handle] = max(sample.at_us, self._newest.get(handle, 0))
        if value.StatusCode is not None and value.StatusCode.value in GONE:
            self._gone.add(handle)
        return sample

    def _status_changed(self, status: ua.StatusCode | None) -> None:
        """Hear of the subscription as a whole; some servers say so of one node."""
        if status is not None and status.value in GONE:
            self._tended_s = float("-inf")
            return
        self._ears.lose(f"{self._link.endpoint} ended the subscription")

    async def _recheck(self) -> None:
        """Look at the nodes from which nothing was heard since the last look."""
        quiet = [handle for handle in self._by_handle if handle not in self._fresh]
        quiet += [handle for handle in self._gone if handle in self._fresh]
        self._fresh.clear()
        if not quiet:
            return
        values = await read_values(self._link, [self._by_handle[one] for one in quiet])
        absent: dict[int, ua.StatusCode] = {}
        again: list[int] = []
        suspects: dict[int, int] = {}
        for handle, value in zip(quiet, values, strict=True):
            status = value.StatusCode
            if status is not None and status.value in GONE:
                absent[handle] = status
                self._gone.add(handle)
            elif handle in self._gone or self._is_dead(handle, value, suspects):
                again.append(handle)
        self._suspects = suspects
        self._say_gone(absent)
        if again:
            await self._watch_again(again)

    async def _affirm(self) -> None:
        """Read the tags whose deadband keeps them silent: the server is asked for its word.

        A value that has not changed has the time of its last change. The server says
        that it still stands, so it gets the server's time, less what a notification may
        be under way.
        """
        spoke, self._spoke = self._spoke, set()
        quiet = [one for one in self._calm if one not in spoke | self._gone]
        if not quiet:
            return
        now_us = await self._server_us()
        values = await read_values(self._link, [self._by_handle[one] for one in quiet])
        found: list[Sample] = []
        for handle, value in zip(quiet, values, strict=True):
            vanished = value.StatusCode is not None and value.StatusCode.value in GONE
            if vanished or handle in self._spoke:  # told elsewhere, or while we asked
                continue
            sample = to_sample(self._by_handle[handle], value)
            newest = self._newest.get(handle, 0)
            if sample.at_us is not None and sample.at_us <= newest and now_us:
                sample = sample._replace(at_us=now_us - self._way_us(handle))
            if sample.at_us is not None and sample.at_us > newest:
                self._newest[handle] = sample.at_us
                found.append(sample)
        if found:
            self._ears.tell(tuple(found))

    async def _server_us(self) -> int:
        """Return what the server's clock shows now; 0 if it does not tell."""
        reading = await self._link.probe()
        if reading is None:
            return 0
        self._theirs.see(reading)
        best = self._theirs.newest or reading
        ours_s = self._clock.monotonic_s() + reading.ours_s
        return round((ours_s + best.offset_s) * 1e6)

    def _way_us(self, handle: int) -> int:
        """Return for how long a change may be under way to us."""
        pace = self._revised.get(handle)
        sampling_ms = 0.0 if pace is None else pace.sampling_ms
        return round((2 * self._publishing_ms + sampling_ms) * 1000)

    def _is_dead(
        self, handle: int, value: ua.DataValue, suspects: dict[int, int]
    ) -> bool:
        """Tell whether a value has changed twice without a word of it."""
        at_us = None if value.SourceTimestamp is None else to_us(value.SourceTimestamp)
        if at_us is None or handle in self._fresh:
            return False
        if node_options(self._by_handle[handle].spec).deadband > 0:
            return False  # it may well change without a word
        newest = self._newest.get(handle, 0)
        if at_us <= newest:
            return False
        suspects[handle] = newest
        return self._suspects.get(handle) == newest

    async def _watch_again(self, handles: Sequence[int]) -> None:
        old = [self._items.pop(one) for one in handles if one in self._items]
        client = self._link.client.uaclient

        async def delete(some: list[int]) -> list[ua.StatusCode]:
            request = ua.DeleteMonitoredItemsParameters(
                SubscriptionId=self._id, MonitoredItemIds=some
            )
            return await client.delete_monitored_items(request)

        with contextlib.suppress(UaError):  # the server may have forgotten them already
            await self._link.in_batches(old, self._link.limits.monitor, delete)
        await self._watch(handles)

    def _say_gone(self, bad: dict[int, ua.StatusCode]) -> None:
        if bad:
            self._ears.tell(
                tuple(gone(self._by_handle[one], status) for one, status in bad.items())
            )


def _as_sent(number: float, at_us: int) -> ua.DataValue:
    moment: Any = from_us(at_us)  # asyncua's stub wants a class that it does not use
    return ua.DataValue(ua.Variant(number), SourceTimestamp=moment)


def _most_notes(tags: Iterable[Tag]) -> int:
    """Return how many values one answer may hold, so that it stays within bounds."""
    widest = max(tag.channels for tag in tags)
    return max(1, MESSAGE_BYTES // 2 // (_BYTES_PER_NOTE + _BYTES_PER_NUMBER * widest))
