"""OPC UA source: subscription or polling, reconnection, history (asyncua, extra ``line``).

Each signal is one node: a scalar, or an array of doubles for a spectrum. Monitored
items ask for the trigger status/value/timestamp, so that an unchanged value with a
new source time is a new sample. A notification is acknowledged only after the
engine has asked for the next arrival, which it does when this one is on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Self

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.uaerrors import UaError

from tundish.catalog.scenario import Scenario
from tundish.kernel.clock import Clock, SystemClock
from tundish.line.errors import NodeMissingError, SourceUnreachableError
from tundish.line.inspection import Inspection
from tundish.line.linefile import SourceSpec
from tundish.line.pace import Pace
from tundish.line.samples import Arrival, LinkChange, Sample
from tundish.line.uaclient import LinkLostError, UaLink, node_id, severity
from tundish.line.uafeed import Feed
from tundish.line.uahistory import UaHistory
from tundish.line.uainspect import inspect_source
from tundish.line.uaoptions import OpcUaSourceOptions, node_options
from tundish.line.uapoll import Polling
from tundish.line.uasecure import ChannelSecurity
from tundish.line.uasubscribe import Subscription
from tundish.line.uavalues import Tag

_MOST_REASONS = 20  # of one outage; an event each


class OpcUaSource:
    """One OPC UA server as a source; see the module.

    Args:
        spec: The line file's part.
        scenario: The contract; only its signals that ``spec`` names are used.
        options: See ``OpcUaSourceOptions``.
        clock: Wall clock, for the moment of receipt.
        security: How the channel is secured.

    Raises:
        NodeMissingError: if a node id cannot be read.
        DocumentInvalidError: if an option of a node is unknown or wrong.
    """

    def __init__(
        self,
        spec: SourceSpec,
        scenario: Scenario,
        options: OpcUaSourceOptions | None = None,
        clock: Clock | None = None,
        security: ChannelSecurity | None = None,
    ) -> None:
        self._options = options or OpcUaSourceOptions()
        self._clock = clock or SystemClock()
        self._tags = {
            name: Tag(
                signal=name,
                channels=scenario.signal(name).channels,
                node=node_id(spec.node(name).node, f"the signal {name}"),
                spec=spec.node(name),
                period_s=scenario.signal(name).period_s,
            )
            for name in spec.nodes
        }
        for tag in self._tags.values():
            node_options(tag.spec)
        self._link = UaLink(
            spec.endpoint, self._options.timeout_s, security, self._options.channel_s
        )
        self._history = UaHistory(self._link, self._options.retry_first_s, self.lose)
        self._inbox: asyncio.Queue[tuple[Arrival, asyncio.Event]] = asyncio.Queue()
        self._lost: asyncio.Event = asyncio.Event()
        self._why_lost = ""
        self._feed: Feed | None = None
        self._keeper: asyncio.Task[None] | None = None

    @classmethod
    def from_spec(cls, spec: SourceSpec, scenario: Scenario) -> Self:
        """Make it from a line file's part; connects to nothing yet.

        Raises:
            DocumentInvalidError: if an option is unknown or has a wrong value.
            LineFileInvalidError: if it says what this kind does not know.
            TundishError: as ``ChannelSecurity.from_spec``.
        """
        security = ChannelSecurity.from_spec(
            spec.security, f"The source {spec.endpoint}"
        )
        options = spec.read_options(OpcUaSourceOptions)
        return cls(spec, scenario, options, security=security)

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
            await self._establish(refuse=self._options.missing == "refuse")
        except LinkLostError as error:
            await self._drop()
            msg = f"The source cannot be reached: {error}."
            raise SourceUnreachableError(msg) from error
        except BaseException:
            await self._drop()
            raise
        self._keeper = asyncio.create_task(self._keep())

    async def samples(self) -> AsyncIterator[Arrival]:
        """Give what comes in, for ever; see ``Source.samples``."""
        while True:
            arrival, stored = await self._inbox.get()
            yield arrival
            stored.set()  # not reached if the engine failed: then nothing is acknowledged

    def read_history(
        self, signal: str, after_us: int, until_us: int | None
    ) -> AsyncIterator[tuple[Sample, ...]]:
        """Give what the server's historian has; see ``Source.read_history``."""
        return self._history.read(self._tags[signal], after_us, until_us)

    async def inspect(self) -> Inspection:
        """Look at the server and each node, and write nothing; see ``Inspects``.

        How the server would watch each node is learnt from a subscription whose items
        are switched off, and which ends with the session.
        """
        try:
            await self._link.open()
            tags = list(self._tags.values())
            found = await inspect_source(self._link, tags)
            if self._options.mode == "poll":
                return found
            watch = Subscription(
                self._link, tags, self._options, self, self._clock, asleep=True
            )
            with contextlib.suppress(
                UaError
            ):  # then it does not say how it would watch
                await watch.start()
            paces = watch.paces()
            seen = (replace(one, pace=paces.get(one.name)) for one in found.tags)
            return replace(found, tags=tuple(seen))
        finally:
            await self._link.drop()

    def paces(self) -> Mapping[str, Pace]:
        """Return how often the server looks at each signal; see ``Paced``."""
        return self._feed.paces() if isinstance(self._feed, Subscription) else {}

    async def close(self) -> None:
        """Let the server go; safe to call twice."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
        await self._drop()

    def tell(self, samples: tuple[Sample, ...]) -> asyncio.Event:
        """Hand samples over; the event is set when they are on disk (for the feed)."""
        return self._put(Arrival(samples=samples, received_s=self._clock.monotonic_s()))

    def lose(self, why: str) -> None:
        """Give the link up (for the feed)."""
        if not self._lost.is_set():
            self._why_lost = why
            self._lost.set()

    async def _establish(self, *, refuse: bool) -> None:
        await self._link.open()
        if refuse:
            await self._check_nodes()
        self._lost = asyncio.Event()
        self._put(Arrival(link=LinkChange(up=True)))
        kind = Polling if self._options.mode == "poll" else Subscription
        tags = list(self._tags.values())
        self._feed = kind(self._link, tags, self._options, self, self._clock)
        try:
            bad = await self._feed.start()
            if refuse:
                self._require(bad)
            await self._probe()
        except BaseException as error:
            self._put(Arrival(link=LinkChange(up=False, reason=str(error))))
            raise

    async def _check_nodes(self) -> None:
        nodes = [tag.node for tag in self._tags.values()]
        found = await self._link.read_attribute(nodes, AttributeIds.NodeClass)
        statuses = {
            name: value.StatusCode
            for name, value in zip(self._tags, found, strict=True)
            if value.StatusCode is not None
        }
        self._require(statuses)

    def _require(self, statuses: Mapping[str, ua.StatusCode]) -> None:
        bad = [name for name, status in statuses.items() if severity(status) == 2]
        if bad:
            first = bad[0]
            more = f" (and {len(bad) - 1} more nodes)" if len(bad) > 1 else ""
            msg = (
                f"The node {self._tags[first].spec.node} of the signal {first} cannot be "
                f"read at {self.name}: {statuses[first].name}{more}."
            )
            raise NodeMissingError(msg)

    def _put(self, arrival: Arrival) -> asyncio.Event:
        stored = asyncio.Event()
        self._inbox.put_nowait((arrival, stored))
        return stored

    async def _drop(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            await feed.stop()
        await self._link.drop()

    async def _keep(self) -> None:
        while True:
            await self._watch()
            said = {self._why_lost}
            self._put(Arrival(link=LinkChange(up=False, reason=self._why_lost)))
            await self._drop()
            pause_s = self._options.retry_first_s
            while True:
                await asyncio.sleep(pause_s)
                try:
                    await self._establish(refuse=False)
                    break
                except Exception as error:  # noqa: BLE001  (whatever a server says: try again)
                    await self._drop()
                    self._say_why(str(error), said)
                    pause_s = min(2 * pause_s, self._options.retry_max_s)

    def _say_why(self, reason: str, said: set[str]) -> None:
        """Tell of a new reason why the link does not come back, such as a certificate."""
        if reason not in said and len(said) < _MOST_REASONS:
            said.add(reason)
            self._put(Arrival(link=LinkChange(up=False, reason=reason)))

    async def _watch(self) -> None:
        while not self._lost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.probe_s):
                    await self._lost.wait()
                    return
            try:
                await self._probe()
                if self._feed is not None:
                    await self._feed.tend()
            except Exception as error:  # noqa: BLE001  (an odd answer is no life)
                self.lose(str(error))

    async def _probe(self) -> None:
        reading = await self._link.probe()
        if reading is not None:
            self._put(Arrival(clock=reading))
