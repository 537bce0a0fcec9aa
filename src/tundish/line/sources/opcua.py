"""OPC UA source: subscription, reconnection, historical read (asyncua, extra ``line``).

Each signal is one node: a scalar, or an array of doubles for a spectrum. Monitored
items ask for the trigger status/value/timestamp, so that an unchanged value with a
new source time is a new sample. A notification is acknowledged only after the
engine has asked for the next arrival, which it does when this one is on disk.
Security policies and certificates come with a later version; ``none`` is all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Self

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.uaerrors import UaError
from pydantic import Field

from tundish.catalog.documents import parse_document
from tundish.catalog.scenario import Scenario
from tundish.kernel import canonical
from tundish.kernel.clock import Clock, SystemClock
from tundish.kernel.records import Record
from tundish.line.errors import (
    HistoryUnavailableError,
    NodeMissingError,
    SourceUnreachableError,
)
from tundish.line.linefile import SourceSpec, no_node_options
from tundish.line.samples import (
    Arrival,
    LinkChange,
    Sample,
    from_us,
)
from tundish.line.security import known_parts
from tundish.line.uaclient import LinkLostError, UaLink, node_id, severity
from tundish.line.uavalues import Tag, to_sample

_VALUES_PER_PAGE = 200_000
_LIFETIME_MS = 60_000.0
_HISTORY_TRIES = 3
_HISTORY_PATIENCE = 5


class OpcUaSourceOptions(Record):
    """Options of an OPC UA source.

    Attributes:
        publishing_ms: Publishing interval asked for.
        queue_size: Samples the server keeps per node between two publishes.
        timeout_s: Limit for each call; with ``probe_s`` it bounds how long a dead
            link goes unnoticed.
        probe_s: Seconds between two questions to the server whether it is alive.
        retry_first_s, retry_max_s: Pause before connecting again, doubling.
    """

    publishing_ms: Annotated[float, Field(ge=1, le=60_000)] = 50.0
    queue_size: Annotated[int, Field(ge=2, le=100_000)] = 1000
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 2.0
    probe_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    retry_first_s: Annotated[float, Field(gt=0, le=60)] = 0.25
    retry_max_s: Annotated[float, Field(gt=0, le=600)] = 5.0


class OpcUaSource:
    """One OPC UA server as a source; see the module.

    Args:
        spec: The line file's part.
        scenario: The contract; only its signals that ``spec`` names are used.
        options: See ``OpcUaSourceOptions``.
        clock: Wall clock, for the moment of receipt.

    Raises:
        NodeMissingError: if a node id cannot be read.
    """

    def __init__(
        self,
        spec: SourceSpec,
        scenario: Scenario,
        options: OpcUaSourceOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._options = options or OpcUaSourceOptions()
        self._clock = clock or SystemClock()
        self._tags = {
            name: Tag(
                signal=name,
                channels=scenario.signal(name).channels,
                node=node_id(spec.node(name).node, f"the signal {name}"),
                spec=spec.node(name),
            )
            for name in spec.nodes
        }
        self._by_handle = dict(enumerate(self._tags.values(), start=1))
        self._link = UaLink(spec.endpoint, self._options.timeout_s)
        self._inbox: asyncio.Queue[tuple[Arrival, asyncio.Event]] = asyncio.Queue()
        self._lost: asyncio.Event = asyncio.Event()
        self._why_lost = ""
        self._heard_s = 0.0
        self._silence_s = float("inf")
        self._handing_over = 0
        self._keeper: asyncio.Task[None] | None = None

    @classmethod
    def from_spec(cls, spec: SourceSpec, scenario: Scenario) -> Self:
        """Make it from a line file's part; connects to nothing yet.

        Raises:
            DocumentInvalidError: if an option is unknown or has a wrong value.
            LineFileInvalidError: if it says what this kind does not know.
        """
        known_parts(spec.security, (), f"The source {spec.endpoint}")
        no_node_options(spec)
        data = canonical.dumps(dict(spec.options))
        origin = f"The source {spec.endpoint} (options)"
        return cls(spec, scenario, parse_document(data, OpcUaSourceOptions, origin))

    @property
    def name(self) -> str:
        """The endpoint."""
        return self._link.endpoint

    @property
    def signals(self) -> tuple[str, ...]:
        """The signals it gives."""
        return tuple(self._tags)

    async def connect(self) -> None:
        """Connect, check every node, subscribe; see ``Source.connect``."""
        try:
            await self._establish()
        except LinkLostError as error:
            await self._link.drop()
            msg = f"The source cannot be reached: {error}."
            raise SourceUnreachableError(msg) from error
        except BaseException:
            await self._link.drop()
            raise
        self._keeper = asyncio.create_task(self._keep())

    async def samples(self) -> AsyncIterator[Arrival]:
        """Give what comes in, for ever; see ``Source.samples``."""
        while True:
            arrival, stored = await self._inbox.get()
            yield arrival
            stored.set()  # not reached if the engine failed: then nothing is acknowledged

    async def read_history(
        self, signal: str, after_us: int, until_us: int | None
    ) -> AsyncIterator[tuple[Sample, ...]]:
        """Give what the server's historian has; see ``Source.read_history``."""
        tag = self._tags[signal]
        size = max(1, min(1000, _VALUES_PER_PAGE // tag.channels))
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

    async def close(self) -> None:
        """Let the server go; safe to call twice."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
        await self._link.drop()

    async def _establish(self) -> None:
        await self._link.open()
        await self._check_nodes()
        self._lost = asyncio.Event()
        self._put(Arrival(link=LinkChange(up=True)))
        try:
            await self._subscribe()
        except BaseException as error:
            self._put(Arrival(link=LinkChange(up=False, reason=str(error))))
            raise

    async def _check_nodes(self) -> None:
        nodes = [tag.node for tag in self._tags.values()]
        found = await self._link.read_attribute(nodes, AttributeIds.NodeClass)
        for tag, value in zip(self._tags.values(), found, strict=True):
            _require(tag, value.StatusCode, self.name)

    async def _subscribe(self) -> None:
        alive = max(
            1, round(self._options.probe_s * 1000 / self._options.publishing_ms)
        )
        wanted = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=self._options.publishing_ms,
            RequestedLifetimeCount=max(
                10 * alive, round(_LIFETIME_MS / self._options.publishing_ms)
            ),
            RequestedMaxKeepAliveCount=alive,
            MaxNotificationsPerPublish=0,
            PublishingEnabled=True,
        )
        client = self._link.client.uaclient
        got = await self._link.call(client.create_subscription(wanted, self._published))
        items = [self._item(handle, tag) for handle, tag in self._by_handle.items()]
        request = ua.CreateMonitoredItemsParameters(
            SubscriptionId=got.SubscriptionId,
            TimestampsToReturn=ua.TimestampsToReturn.Both,
            ItemsToCreate=items,
        )
        results = await self._link.call(client.create_monitored_items(request))
        for tag, result in zip(self._by_handle.values(), results, strict=True):
            _require(tag, result.StatusCode, self.name)
        self._silence_s = (
            3
            * got.RevisedPublishingInterval
            / 1000
            * (got.RevisedMaxKeepAliveCount + 1)
            + self._options.timeout_s
        )
        self._heard_s = self._clock.monotonic_s()

    def _item(self, handle: int, tag: Tag) -> ua.MonitoredItemCreateRequest:
        trigger = ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValueTimestamp)
        return ua.MonitoredItemCreateRequest(
            ItemToMonitor=ua.ReadValueId(
                NodeId=tag.node, AttributeId=AttributeIds.Value
            ),
            MonitoringMode=ua.MonitoringMode.Reporting,
            RequestedParameters=ua.MonitoringParameters(
                ClientHandle=handle,
                SamplingInterval=0.0,
                Filter=trigger,
                QueueSize=self._options.queue_size,
                DiscardOldest=True,
            ),
        )

    async def _published(self, result: ua.PublishResult) -> None:
        self._heard_s = self._clock.monotonic_s()
        try:
            samples = self._read(result)
        except Exception as error:  # noqa: BLE001  (history gives it again, or it is a gap)
            self._lose(f"{self.name} sent what cannot be read ({error!r})")
            return
        if samples:  # asyncua acknowledges when this returns
            arrival = Arrival(samples=samples, received_s=self._heard_s)
            self._handing_over += 1
            try:
                await self._put(arrival).wait()
            finally:
                self._handing_over -= 1
                self._heard_s = self._clock.monotonic_s()

    def _read(self, result: ua.PublishResult) -> tuple[Sample, ...]:
        samples: list[Sample] = []
        for note in result.NotificationMessage.NotificationData or ():
            if isinstance(note, ua.DataChangeNotification):
                samples.extend(
                    to_sample(self._by_handle[item.ClientHandle], item.Value)
                    for item in note.MonitoredItems
                    if item.ClientHandle in self._by_handle
                )
            elif isinstance(note, ua.StatusChangeNotification):
                self._lose(f"{self.name} ended the subscription")
        return tuple(samples)

    def _put(self, arrival: Arrival) -> asyncio.Event:
        stored = asyncio.Event()
        self._inbox.put_nowait((arrival, stored))
        return stored

    def _lose(self, why: str) -> None:
        if not self._lost.is_set():
            self._why_lost = why
            self._lost.set()

    async def _keep(self) -> None:
        while True:
            await self._watch()
            self._put(Arrival(link=LinkChange(up=False, reason=self._why_lost)))
            await self._link.drop()
            pause_s = self._options.retry_first_s
            while True:
                await asyncio.sleep(pause_s)
                try:
                    await self._establish()
                    break
                except Exception:  # noqa: BLE001  (whatever a server says: try again)
                    await self._link.drop()
                    pause_s = min(2 * pause_s, self._options.retry_max_s)

    async def _watch(self) -> None:
        while not self._lost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.probe_s):
                    await self._lost.wait()
                    return
            try:
                await self._link.probe()
            except Exception as error:  # noqa: BLE001  (an odd answer is no life)
                self._lose(str(error))
            silent_s = self._clock.monotonic_s() - self._heard_s
            if silent_s > self._silence_s and not self._handing_over:
                self._lose(f"{self.name} has published nothing for {silent_s:.0f} s")

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
        answer = await self._ask_history(tag, request)
        if severity(answer.StatusCode) == 2:
            msg = (
                f"{self.name} gives no history of {tag.spec.node}: "
                f"{answer.StatusCode.name}."
            )
            raise HistoryUnavailableError(msg)
        data = getattr(answer.HistoryData, "DataValues", None) or []
        return data, answer.ContinuationPoint or None

    async def _ask_history(
        self, tag: Tag, request: ua.HistoryReadParameters
    ) -> ua.HistoryReadResult:
        problem: Exception | None = None
        for tried in range(_HISTORY_TRIES):
            try:
                read = self._link.client.uaclient.history_read(request)
                limit_s = _HISTORY_PATIENCE * self._options.timeout_s
                return (await self._link.call(read, limit_s=limit_s))[0]
            except (LinkLostError, UaError) as error:
                problem = error
                await self._still_there()
                await asyncio.sleep(self._options.retry_first_s * (tried + 1))
        msg = f"{self.name} gives no history of {tag.spec.node}: {problem}."
        raise HistoryUnavailableError(msg) from problem

    async def _still_there(self) -> None:
        try:
            await self._link.probe()
        except LinkLostError as error:
            self._lose(str(error))
            raise


def _require(tag: Tag, status: ua.StatusCode | None, endpoint: str) -> None:
    if severity(status) == 2:
        msg = (
            f"The node {tag.spec.node} of the signal {tag.signal} cannot be read at "
            f"{endpoint}: {'' if status is None else status.name}."
        )
        raise NodeMissingError(msg)
