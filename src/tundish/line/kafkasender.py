"""Brokers as a place that takes what a line says: one message at a time, acknowledged.

The producer is idempotent: what the client sends again by itself is there once. After a
loss another producer takes its place. What the line sends again has the same key.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from tundish.line.errors import NodeMissingError, SinkRefusedError
from tundish.line.kafkaoptions import KafkaAccount, said

_POLL_S = 0.1
_NOT_TAKEN = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_RECORD,
        KafkaError.POLICY_VIOLATION,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
    }
)
_NOT_THERE = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001  (the library's public name)
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
    }
)


class SenderLostError(ConnectionError):
    """The brokers are away; the sink's owner connects again."""


class KafkaSender:
    """A producer; see the module.

    Args:
        account: How to connect.
        topics: That must be there.
    """

    def __init__(self, account: KafkaAccount, topics: Iterable[str]) -> None:
        self._account, self._topics = account, sorted(set(topics))
        self._producer: Producer | None = None
        self._stop = threading.Event()
        self._why = ""

    async def connect(self) -> None:
        """Make sure that the brokers answer and the topics are there.

        Raises:
            SenderLostError: if nobody answers or lets us in.
            NodeMissingError: if a topic is not there.
        """
        if self._producer is None:
            self._stop = threading.Event()
            self._producer = Producer(self._config())
            threading.Thread(
                target=_serve,
                args=(self._producer, self._stop),
                daemon=True,
                name="tundish-kafka",
            ).start()
        await asyncio.to_thread(self._look, self._producer)

    async def publish(self, topic: str, key: str, payload: bytes) -> None:
        """Send one message; returns when the brokers have it.

        Raises:
            SinkRefusedError: if they say that they will not take it.
            SenderLostError.
        """
        producer = self._producer
        if producer is None:
            raise SenderLostError(self._why or "there is no connection")
        loop = asyncio.get_running_loop()
        taken: asyncio.Future[KafkaError | None] = loop.create_future()

        def reported(error: KafkaError | None, message: Message) -> None:
            del message
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(_answer, taken, error)

        try:
            producer.produce(topic, payload, key.encode(), on_delivery=reported)
        except BufferError as error:
            msg = "too much waits to be sent"
            raise SenderLostError(msg) from error
        except KafkaException as error:
            self._failed(topic, error.args[0])
        try:
            async with asyncio.timeout(2 * self._account.options.timeout_s + 1):
                wrong = await taken
        except TimeoutError as error:
            self._drop()
            msg = f"{self._account.brokers.endpoint}: nothing was said of a message"
            raise SenderLostError(msg) from error
        if wrong is not None:
            self._failed(topic, wrong)

    async def close(self) -> None:
        """Let the brokers go; safe to call twice."""
        self._drop()

    def _config(self) -> dict[str, object]:
        options = self._account.options
        timeout_ms = max(round(options.timeout_s * 1000), 1000)
        return self._account.config(self._erred) | {
            "enable.idempotence": True,
            "linger.ms": 0,
            "message.timeout.ms": timeout_ms,
            "request.timeout.ms": timeout_ms,
            "message.max.bytes": max(options.most_kb * 1024, 1000),
            "queue.buffering.max.kbytes": 16 * 1024,
        }

    def _look(self, producer: Producer) -> None:
        where = self._account.brokers.endpoint
        for topic in self._topics:
            try:
                found = producer.list_topics(
                    topic, timeout=self._account.options.timeout_s
                )
            except KafkaException as error:
                msg = f"{where}: {self._why or said(error.args[0])}"
                raise SenderLostError(msg) from error
            about = found.topics.get(topic)
            if about is None or about.error is not None:
                why = said(about.error) if about and about.error else "it is not there"
                msg = f"The topic {topic} cannot be written at {where}: {why}."
                raise NodeMissingError(msg)
        self._why = ""

    def _failed(self, topic: str, error: KafkaError) -> None:
        where = self._account.brokers.endpoint
        if error.code() in _NOT_TAKEN:
            msg = f"{where} does not take a message on {topic}: {said(error)}."
            raise SinkRefusedError(msg)
        self._drop()  # after a hole in its numbers an idempotent one can be stuck for ever
        why = said(error) if error.code() in _NOT_THERE else self._why or said(error)
        msg = f"{where}: {why}"
        raise SenderLostError(msg)

    def _drop(self) -> None:
        producer, self._producer = self._producer, None
        self._stop.set()
        if producer is not None:
            producer.purge()

    def _erred(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN or not self._why:  # noqa: SLF001
            self._why = said(error)


def _serve(producer: Producer, stop: threading.Event) -> None:
    while not stop.is_set():
        producer.poll(_POLL_S)


def _answer(taken: asyncio.Future[KafkaError | None], error: KafkaError | None) -> None:
    if not taken.done():
        taken.set_result(error)
