"""Read topics of Kafka for ever, on threads beside the loop, and hand on what comes.

What has been read waits in an inbox with a bound; beyond it nothing is fetched. How far
we are is noted with the brokers only for what is on disk, that is when the next batch
was asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaException, Message

from tundish.kernel.clock import Clock
from tundish.kernel.errors import RefusedError
from tundish.line.kafkaoptions import KafkaAccount, said
from tundish.line.kafkareader import (
    BrokersAwayError,
    Place,
    Reader,
    Start,
    ends,
    unreachable,
)
from tundish.line.samples import LinkChange

NOTE_S = 1.0
_WAIT_S = 0.1
_MOST_WAITING = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Messages that came in together, or one change of the link."""

    messages: Sequence[Message] = ()
    received_s: float = 0.0
    link: LinkChange | None = None


class KafkaFeed:
    """Messages of some topics, for ever; see the module.

    Args:
        account: How to connect.
        topics: What each topic is for, in words.
        start: Where to begin where we never were.
        clock: For the moment of receipt.
    """

    def __init__(
        self,
        account: KafkaAccount,
        topics: Mapping[str, str],
        start: Start,
        clock: Clock,
    ) -> None:
        self._account, self._topics = account, dict(topics)
        self._start, self._clock = start, clock
        self._inbox: deque[Batch] = deque()
        self._some = asyncio.Event()
        self._room = threading.Semaphore(_MOST_WAITING)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._done: dict[Place, int] = {}
        self._noting = threading.Lock()
        self._told: str | None = None  # why the link is down; None while it is up
        self._ended: asyncio.Event = asyncio.Event()

    async def connect(self) -> None:
        """Connect for the first time and take up all partitions.

        Raises:
            SourceUnreachableError, LinkRefusedError, NodeMissingError.
        """
        loop = asyncio.get_running_loop()
        begun: asyncio.Future[None] = loop.create_future()
        self._stop.clear()
        self._ended = asyncio.Event()
        self._run(lambda: self._live(loop, begun))
        try:
            await begun
        except BrokersAwayError as error:
            raise unreachable(error) from error
        self._change(LinkChange(up=True))

    async def batches(self) -> AsyncIterator[Batch]:
        """Give what comes in; asking for the next says that the one before is on disk."""
        while True:
            await self._some.wait()
            batch = self._inbox.popleft()
            if not self._inbox:
                self._some.clear()
            yield batch
            if batch.messages:  # not reached if the engine failed
                with self._noting:
                    self._done |= ends(batch.messages)
                self._room.release()

    async def close(self) -> None:
        """Note how far we are and let the brokers go; safe to call twice.

        A broker that does not answer is waited for no longer than for any answer.
        """
        self._stop.set()
        if self._threads:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2 * self._account.options.timeout_s):
                    await self._ended.wait()
        self._threads = []

    def _run(self, job: Callable[[], None]) -> None:
        thread = threading.Thread(target=job, daemon=True, name="tundish-kafka")
        self._threads.append(thread)
        thread.start()

    def _live(
        self, loop: asyncio.AbstractEventLoop, begun: asyncio.Future[None]
    ) -> None:
        """One life of a consumer, on a thread of its own."""

        def tell(job: Callable[..., object], *arguments: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(job, *arguments)

        reader: Reader | None = None
        try:
            reader = Reader(self._account, self._topics)
            reader.begin(self._start)
        except Exception as error:  # noqa: BLE001  (told where it was asked for)
            if reader is not None:
                reader.close()
            tell(_fail, begun, error)
            tell(self._ended.set)
            return
        tell(_succeed, begun)
        watcher = threading.Thread(
            target=self._watch, args=(reader, tell), daemon=True, name="tundish-kafka"
        )
        watcher.start()
        try:
            self._read(reader, tell)
        finally:
            watcher.join()
            self._note(reader, wait=True)
            reader.close()
            tell(self._ended.set)

    def _read(self, reader: Reader, tell: Callable[..., None]) -> None:
        noted_s = time.monotonic()
        while not self._stop.is_set():
            if time.monotonic() - noted_s > NOTE_S:
                self._note(reader)
                noted_s = time.monotonic()
            if not self._room.acquire(timeout=_WAIT_S):
                continue
            messages, wrong = _try_read(reader)
            if wrong:
                tell(self._lost, wrong)
            if messages:
                tell(self._arrived, messages, self._clock.monotonic_s())
            else:
                self._room.release()

    def _watch(self, reader: Reader, tell: Callable[..., None]) -> None:
        while not self._stop.wait(self._account.options.probe_s):
            try:
                wrong = reader.look()
            except (BrokersAwayError, RefusedError) as error:
                wrong = str(error).rstrip(".")
            if wrong:
                tell(self._lost, wrong)
            else:
                tell(self._found)

    def _note(self, reader: Reader, *, wait: bool = False) -> None:
        with self._noting:
            done, self._done = self._done, {}
        reader.note(done, wait=wait)

    def _arrived(self, messages: list[Message], received_s: float) -> None:
        self._inbox.append(Batch(messages=messages, received_s=received_s))
        self._some.set()

    def _lost(self, why: str) -> None:
        if self._told is None:
            self._told = why
            self._change(LinkChange(up=False, reason=why))

    def _found(self) -> None:
        if self._told is not None:
            self._told = None
            self._change(LinkChange(up=True))

    def _change(self, change: LinkChange) -> None:
        self._inbox.append(Batch(link=change))
        self._some.set()


def _try_read(reader: Reader) -> tuple[list[Message], str]:
    try:
        return reader.read(_WAIT_S)
    except KafkaException as error:  # a thread that ends would end the line
        time.sleep(_WAIT_S)
        return [], said(error.args[0])


def _fail(future: asyncio.Future[None], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _succeed(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
