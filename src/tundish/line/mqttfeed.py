"""Keep subscribed to a broker for ever, and hand on what it sends, a few at a time.

What has come in waits in an inbox with a bound; beyond it the socket is not read and
the broker has to wait. A message of QoS 1 is acknowledged only when the next batch is
asked for, that is when this one is on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from tundish.kernel.clock import Clock
from tundish.line.errors import (
    LinkRefusedError,
    NodeMissingError,
    SourceUnreachableError,
)
from tundish.line.mqttlink import BrokerLostError, Heard, MqttLink, code_text
from tundish.line.mqttoptions import Account
from tundish.line.mqttpackets import FAILURE, Connack, Hello, Publish
from tundish.line.samples import LinkChange

MOST_HELD = 8 * 1024 * 1024
MOST_AT_ONCE = 1024
_OVERHEAD = 200
_SHORT_LIVES = 3
_SHORT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a feed asks of a broker.

    Attributes:
        filters: For each topic filter, what it is for, in words.
        hello: Called before each connection; its will may change.
        greet: Called when the subscriptions stand, each time.
    """

    filters: dict[str, str]
    hello: Callable[[], Hello]
    greet: Callable[[MqttLink], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Messages that came in together, or one change of the link."""

    messages: Sequence[Publish] = ()
    received_s: float = 0.0
    link: LinkChange | None = None


class Feed:
    """Messages of one broker, for ever; see the module.

    Args:
        account: How to connect.
        plan: What to ask for.
        clock: Wall clock, for the moment of receipt.
        batch_s: Shortest time between two batches of a busy stream; the first message
            after a pause waits for nothing.
    """

    def __init__(
        self, account: Account, plan: Plan, clock: Clock, batch_s: float = 0.002
    ) -> None:
        self._account, self._plan, self._clock = account, plan, clock
        self._options = account.options
        self._batch_s = batch_s
        self._link: MqttLink | None = None
        self._inbox: deque[tuple[Publish, MqttLink] | LinkChange] = deque()
        self._held = 0
        self._paused = False
        self._some = asyncio.Event()
        self._lost = asyncio.Event()
        self._why = ""
        self._told = ""
        self._up_s = 0.0
        self._short = 0
        self._keeper: asyncio.Task[None] | None = None
        self._received_s = 0.0
        self._given_s = float("-inf")

    @property
    def link(self) -> MqttLink | None:
        """The present connection, if there is one."""
        return self._link if self._link is not None and self._link.up else None

    async def connect(self) -> None:
        """Connect for the first time.

        Raises:
            SourceUnreachableError, LinkRefusedError.
            NodeMissingError: if a topic may not be read.
        """
        try:
            await self._establish()
        except BrokerLostError as error:
            self._let_go()
            msg = f"The source cannot be reached: {error}."
            raise SourceUnreachableError(msg) from error
        except BaseException:
            self._let_go()
            raise
        self._keeper = asyncio.create_task(self._keep())

    async def batches(self) -> AsyncIterator[Batch]:
        """Give what comes in; asking for the next acknowledges the one before."""
        while True:
            await self._some.wait()
            early_s = self._given_s + self._batch_s - self._clock.monotonic_s()
            if 0 < early_s <= self._batch_s and not self._full():
                await asyncio.sleep(early_s)
            self._given_s = self._clock.monotonic_s()
            received_s = self._received_s
            found, link = self._take()
            if isinstance(found, LinkChange):
                yield Batch(link=found)
                continue
            yield Batch(messages=found, received_s=received_s)
            if link is not None:  # not reached if the engine failed
                link.acknowledge([m.packet_id for m in found if m.packet_id])

    async def close(self) -> None:
        """Let the broker go; safe to call twice."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    def _take(self) -> tuple[list[Publish] | LinkChange, MqttLink | None]:
        """Take the next messages of one connection, or one change."""
        inbox = self._inbox
        first = inbox.popleft()
        if isinstance(first, LinkChange):
            if not inbox:
                self._some.clear()
            return first, None
        message, link = first
        found = [message]
        self._held -= len(message.payload) + _OVERHEAD
        while inbox and len(found) < MOST_AT_ONCE:
            following = inbox[0]
            if isinstance(following, LinkChange) or following[1] is not link:
                break
            inbox.popleft()
            found.append(following[0])
            self._held -= len(following[0].payload) + _OVERHEAD
        if not inbox:
            self._some.clear()
        if self._paused and self._held < MOST_HELD // 2:
            self._paused = False
            if self._link is not None:
                self._link.resume()
        return found, link

    def _full(self) -> bool:
        return len(self._inbox) >= MOST_AT_ONCE

    def _arrived(self, link: MqttLink, messages: list[Publish]) -> None:
        if link is not self._link:
            return
        self._received_s = self._clock.monotonic_s()
        self._inbox.extend([(message, link) for message in messages])
        self._held += sum(len(m.payload) for m in messages) + _OVERHEAD * len(messages)
        self._some.set()
        if self._held > MOST_HELD and not self._paused:
            self._paused = True
            link.pause()

    def _changed(self, change: LinkChange) -> None:
        self._told = change.reason
        self._inbox.append(change)
        self._some.set()

    async def _establish(self) -> None:
        self._let_go()
        self._lost = asyncio.Event()
        self._paused = False
        holder: list[MqttLink] = []
        link = MqttLink(
            self._account.broker,
            self._account.context,
            self._plan.hello(),
            self._options.timeout_s,
            Heard(
                welcome=self._welcomed,
                messages=lambda messages: self._arrived(holder[0], messages),
                lost=self._lose,
            ),
        )
        holder.append(link)
        self._link = link
        await link.open()
        await self._subscribe(link)
        if self._plan.greet is not None:
            await self._plan.greet(link)

    def _welcomed(self, connack: Connack) -> None:
        del connack
        self._up_s = self._clock.monotonic_s()
        self._changed(LinkChange(up=True))

    async def _subscribe(self, link: MqttLink) -> None:
        filters = list(self._plan.filters)
        for first in range(0, len(filters), 100):
            some = filters[first : first + 100]
            for name, code in zip(some, await link.subscribe(some), strict=True):
                if code >= FAILURE:
                    cause = "not authorised" if code == FAILURE else code_text(code)
                    msg = (
                        f"The topic {name} for {self._plan.filters[name]} may not be "
                        f"read at {self._account.broker.endpoint}: {cause}."
                    )
                    raise NodeMissingError(msg)

    def _lose(self, why: str) -> None:
        if not self._lost.is_set():
            self._why = why
            self._lost.set()

    def _let_go(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.drop()

    async def _keep(self) -> None:
        pause_s = self._options.retry_first_s
        while True:
            await self._watch()
            lived_s = self._clock.monotonic_s() - self._up_s
            self._short = self._short + 1 if lived_s < _SHORT_S else 0
            if not self._short:
                pause_s = self._options.retry_first_s
            self._changed(LinkChange(up=False, reason=self._why + self._hint()))
            self._let_go()
            pause_s = await self._again(pause_s)

    def _hint(self) -> str:
        if self._short < _SHORT_LIVES or "taken over" in self._why:
            return ""
        return (
            f"; it has ended {self._short} connections in a row soon after they began: "
            f"is another client using the id {self._account.client_id}?"
        )

    async def _again(self, pause_s: float) -> float:
        """Connect again, however often it takes; return the next pause."""
        while True:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, self._options.retry_max_s)
            try:
                await self._establish()
            except Exception as error:  # noqa: BLE001  (whatever a broker says: try again)
                link_was_up = self._told == ""
                self._let_go()
                why = str(error).rstrip(".")
                lasting = isinstance(error, LinkRefusedError | NodeMissingError)
                if link_was_up or (lasting and why != self._told):
                    self._changed(LinkChange(up=False, reason=why))
            else:
                return pause_s

    async def _watch(self) -> None:
        while not self._lost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.probe_s):
                    await self._lost.wait()
                    return
            link = self._link
            if link is None:
                return
            with contextlib.suppress(BrokerLostError):  # the link has told us
                await link.probe()
