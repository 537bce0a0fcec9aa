"""Kafka source: JSON messages of some topics.

A message counts as read when it is on disk; only then the brokers are told. What is
read twice after a kill is there once: its time is its payload's, or the message's own,
and stays the same. What was deleted before it was read is a gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Final, Self

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message
from pydantic import Field as Limits

from tundish.kernel.clock import Clock, SystemClock
from tundish.line.contract import Contract
from tundish.line.errors import HistoryUnavailableError
from tundish.line.inspection import Inspection, TagSeen
from tundish.line.jsonpayload import Delivery, Field, JsonTopic
from tundish.line.kafkafeed import KafkaFeed
from tundish.line.kafkalook import LOOK_S, Seen, look
from tundish.line.kafkaoptions import KafkaAccount, KafkaOptions, check_topic
from tundish.line.kafkareader import Start
from tundish.line.linefile import SourceSpec
from tundish.line.places import Places, field_at, node_places, owner_of
from tundish.line.samples import Arrival, Quality, Sample, to_us

Key = Annotated[str, Limits(min_length=1, max_length=1000)]


class KafkaPlaces(Places):
    """Where things stand in a message; without ``time`` its own time counts.

    Attributes:
        key: Only messages with this key are the signal's; None for all of the topic.
    """

    key: Key | None = None


class KafkaSourceOptions(KafkaOptions, KafkaPlaces):
    """Options of a Kafka source: those of the link, and places for all its nodes.

    Attributes:
        start: Where to begin the first time: with what comes from now on, or with the
            oldest that the brokers have.
    """

    start: Start = "newest"


class KafkaSource:
    """Some topics of one cluster as a source; see the module.

    Args:
        spec: The line file's part; a node is a topic.
        scenario: The contract; only its signals that ``spec`` names are used.
        options: See ``KafkaSourceOptions``.
        clock: Wall clock, for the moment of receipt.

    Raises:
        LineFileInvalidError: if what the line file says does not fit together.
        CertificateUnusableError, SecretMissingError: of the files named.
    """

    def __init__(
        self,
        spec: SourceSpec,
        scenario: Contract,
        options: KafkaSourceOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        options = options or KafkaSourceOptions()
        self._clock = clock or SystemClock()
        self._endpoint = spec.endpoint
        self._signals = tuple(spec.nodes)
        self._nodes = {signal: spec.node(signal).node for signal in spec.nodes}
        topics: dict[str, str] = {}
        for signal, topic in self._nodes.items():
            topics.setdefault(
                check_topic(topic, f"the signal {signal}"), f"the signal {signal}"
            )
        parts = [scenario.key, *sorted(map(str, spec.nodes.items()))]
        owner = f"The source {spec.endpoint}"
        self._account = KafkaAccount(
            spec.endpoint, spec.security, options, owner, parts
        )
        self._forms = Forms(spec, scenario, options)
        self._topics = topics
        self._feed = KafkaFeed(self._account, topics, options.start, self._clock)

    @classmethod
    def from_spec(cls, spec: SourceSpec, scenario: Contract) -> Self:
        """Make it from a line file's part; connects to nothing yet.

        Raises:
            DocumentInvalidError: if an option is unknown or has a wrong value.
            LineFileInvalidError, CertificateUnusableError, SecretMissingError: as the
            class.
        """
        return cls(spec, scenario, spec.read_options(KafkaSourceOptions))

    @property
    def name(self) -> str:
        """The endpoint."""
        return self._endpoint

    @property
    def signals(self) -> tuple[str, ...]:
        """The signals it gives."""
        return self._signals

    async def inspect(self) -> Inspection:
        """Read the last messages of each partition as a guest; see ``Inspects``.

        Nothing is noted with the brokers: a running line goes on where it was.
        """
        seen: dict[str, Sample] = {}

        def took(message: Message) -> None:
            received_us = to_us(self._clock.now())
            for sample in self._forms.read(message, received_us):
                known = seen.get(sample.signal)
                if known is None or (known.at_us or 0) <= (sample.at_us or 0):
                    seen[sample.signal] = sample

        found = await asyncio.to_thread(look, self._account, self._topics, took)
        tags = tuple(
            self._tag_seen(name, found, seen.get(name)) for name in self._nodes
        )
        secure = "TLS" if self._account.brokers.secure else ""
        return Inspection(tags=tags, security=secure)

    def _tag_seen(self, name: str, found: Seen, sample: Sample | None) -> TagSeen:
        node = self._nodes[name]
        problem = found.problems.get(node, "")
        count = found.partitions.get(node, 0)
        kind = "" if problem else f"JSON, {count} partition{'s' if count != 1 else ''}"
        if sample is None:
            reason = (
                "" if problem else f"none of the last messages read in {LOOK_S:g} s"
            )
            quality: Quality | None = None if problem else "bad"
            return TagSeen(
                name=name, node=node, problem=problem, kind=kind,
                quality=quality, reason=reason,
            )  # fmt: skip
        age_s = None
        if sample.at_us is not None:
            age_s = (to_us(self._clock.now()) - sample.at_us) / 1e6
        return TagSeen(
            name=name,
            node=node,
            kind=kind,
            values=() if sample.values is None else tuple(sample.values.tolist()),
            quality=sample.quality,
            reason=sample.reason,
            history=False,
            age_s=age_s,
        )

    async def connect(self) -> None:
        """Connect and take up every partition; see ``Source.connect``."""
        await self._feed.connect()

    async def samples(self) -> AsyncIterator[Arrival]:
        """Give what comes in, for ever; see ``Source.samples``."""
        async for batch in self._feed.batches():
            if batch.link is not None:
                yield Arrival(link=batch.link)
                continue
            received_us = to_us(self._clock.now())
            found: list[Sample] = []
            for message in batch.messages:
                found.extend(self._forms.read(message, received_us))
            yield Arrival(samples=tuple(found), received_s=batch.received_s)

    async def read_history(
        self, signal: str, after_us: int, until_us: int | None
    ) -> AsyncIterator[tuple[Sample, ...]]:
        """Refuse: what a topic has is read in its order; see ``Source.read_history``."""
        del after_us, until_us
        if signal in self._signals:
            msg = f"Kafka has no history beside what was read; {self._endpoint} did not keep it."
            raise HistoryUnavailableError(msg)
        yield ()

    async def close(self) -> None:
        """Note how far we are and let the brokers go; safe to call twice."""
        await self._feed.close()


class Forms:
    """Knows which signals stand in which messages, and reads them.

    Args:
        spec: The line file's part.
        scenario: The contract.
        options: Of the source.

    Raises:
        DocumentInvalidError, LineFileInvalidError.
    """

    def __init__(
        self, spec: SourceSpec, scenario: Contract, options: KafkaSourceOptions
    ) -> None:
        self._most = options.most_kb * 1024
        fields: dict[tuple[str, bytes | None], list[Field]] = {}
        for signal in spec.nodes:
            node = spec.node(signal)
            form = scenario.signal(signal)
            places = node_places(KafkaPlaces, options, node, owner_of(form))
            key = None if places.key is None else places.key.encode()
            field = field_at(places.value, places, form, node)
            fields.setdefault((node.node, key), []).append(field)
        self._forms = {place: JsonTopic(tuple(some)) for place, some in fields.items()}
        self._keyed = {topic for topic, key in self._forms if key is not None}

    def read(self, message: Message, received_us: int) -> Iterator[Sample]:
        """Give the samples of a message; it is untrusted."""
        topic = message.topic() or ""
        yield from self._read((topic, None), message, received_us)
        key = message.key() if topic in self._keyed else None
        if key is not None:
            yield from self._read((topic, _bytes(key)), message, received_us)

    def _read(
        self, place: tuple[str, bytes | None], message: Message, received_us: int
    ) -> Iterator[Sample]:
        form = self._forms.get(place)
        if form is None:
            return
        payload = _bytes(message.value())
        if len(payload) > self._most:
            yield from form.unread(
                f"the message has {len(payload):,} bytes, at most {self._most:,} are read"
            )
            return
        stamp = stamp_us(*message.timestamp(), message.offset() or 0)
        delivery = Delivery(received_us=received_us, stamped_us=stamp)
        yield from form.read(payload, delivery)


_PER_MS: Final = 1000


def stamp_us(kind: int, at_ms: int, offset: int) -> int | None:
    """Return a message's own time, the same each time that it is read.

    Kafka's times are whole milliseconds. Two messages of one millisecond must stay two,
    so the offset's last three digits stand for the microseconds.
    """
    if kind == TIMESTAMP_NOT_AVAILABLE:
        return None
    return at_ms * _PER_MS + offset % _PER_MS


def _bytes(found: object) -> bytes:
    if isinstance(found, bytes):
        return found
    return found.encode() if isinstance(found, str) else b""
