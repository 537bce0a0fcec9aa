"""Consumers of Kafka, for threads: what may block stands here.

One reads; another one beside it looks whether all is there: a consumer that is polled by
one thread can keep every other thread out (seen with confluent-kafka 2.16: for ever).

Partitions are assigned by ourselves, all of the topics: there is no membership in a
group that others could take from us, or whose rebalance could stop the line. How far
we are is kept by the brokers under our own group all the same.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from tundish.line.errors import (
    LinkRefusedError,
    NodeMissingError,
    SourceUnreachableError,
)
from tundish.line.kafkaoptions import KafkaAccount, said

if TYPE_CHECKING:
    from confluent_kafka.admin._metadata import TopicMetadata

Start = Literal["newest", "oldest"]
Place = tuple[str, int]  # topic and partition

MOST_AT_ONCE = 1024
MOST_PARTITIONS = 2000
_LOOK_EACH = 20
_UNSAID = frozenset(  # they tell that something failed, and not why
    {
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001  (the library's public names)
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
    }
)
_NOT_LET_IN = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001
        KafkaError._SSL,  # noqa: SLF001
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
    }
)


class BrokersAwayError(ConnectionError):
    """No broker answers, or not all that we need."""


class Reader:
    """Two consumers; see the module. ``look`` and ``problems`` belong to one thread.

    Args:
        account: How to connect.
        topics: What each is for, in words.
        group: Of ``client_id``, or another for a guest.
    """

    def __init__(
        self, account: KafkaAccount, topics: Mapping[str, str], group: str = ""
    ) -> None:
        self._account, self._topics = account, dict(topics)
        self._timeout_s = account.options.timeout_s
        self._last: KafkaError | None = None
        config = account.reading(self._erred)
        if group:
            config |= {"group.id": group, "client.id": group}
        self._consumer = Consumer(config)
        self._looker = Consumer(config)
        self._leaders: dict[Place, int] = {}
        self._new: deque[TopicPartition] = deque()

    def begin(self, start: Start) -> None:
        """Take up all partitions where we were; where we never were, at ``start``.

        A place that is new is noted at once: a kill before the first message must not
        make the next beginning another one.

        Raises:
            BrokersAwayError: if nobody answers.
            LinkRefusedError: if a broker does not let us in.
            NodeMissingError: if a topic is not there or may not be read.
        """
        for topic, why in self._partitions().items():
            where = self._account.brokers.endpoint
            msg = f"The topic {topic} for {self._topics[topic]} cannot be read at {where}: {why}."
            raise NodeMissingError(msg)
        places = [TopicPartition(*place) for place in self._leaders]
        try:
            found = self._consumer.committed(places, timeout=self._timeout_s)
            self._check(found)
            new = [one for one in found if one.offset < 0]
            for one in new:
                low, high = self._bounds(one)
                one.offset = low if start == "oldest" else high
            if new:
                self._check(self._consumer.commit(offsets=new, asynchronous=False))
        except KafkaException as error:
            raise self._failed(error) from error
        self._consumer.assign(found)

    def peek(self, each: int) -> None:
        """Take up all partitions a few messages before their ends; notes nothing.

        Raises: as ``begin``, but for topics that are not there.
        """
        self._partitions()
        places = []
        try:
            for topic, partition in self._leaders:
                one = TopicPartition(topic, partition)
                low, high = self._bounds(one)
                one.offset = max(low, high - each)
                places.append(one)
        except KafkaException as error:
            raise self._failed(error) from error
        self._consumer.assign(places)

    def look(self) -> str:
        """Ask whether everything is there, and take up partitions that are new.

        Returns:
            What is missing, in words; empty if nothing is.

        Raises:
            BrokersAwayError, LinkRefusedError.
        """
        before = set(self._leaders)
        problems = self._partitions()
        new = sorted(set(self._leaders) - before)
        self._new.extend(TopicPartition(*place, 0) for place in new)
        leaders = {leader: place for place, leader in self._leaders.items()}
        headless = leaders.pop(-1, None)
        try:
            for place in leaders.values():
                self._bounds(TopicPartition(*place))
        except KafkaException as error:
            raise self._failed(error) from error
        if headless is not None:
            topic, partition = headless
            return f"partition {partition} of the topic {topic} has no leader"
        gone = [f"the topic {topic}: {why}" for topic, why in problems.items()]
        return gone[0] if len(gone) == len(self._topics) else ""

    @property
    def partitions(self) -> dict[str, int]:
        """How many partitions each topic has; topics that are not there are missing."""
        counts: dict[str, int] = {}
        for topic, _ in self._leaders:
            counts[topic] = counts.get(topic, 0) + 1
        return counts

    def problems(self) -> dict[str, str]:
        """Ask for each topic why it cannot be read; raises as ``look``."""
        return self._partitions()

    def read(self, wait_s: float) -> tuple[list[Message], str]:
        """Return messages that have come, and what went wrong with others.

        Args:
            wait_s: Longest wait for the first; the others are taken if they are here.
        """
        while self._new:
            self._consumer.incremental_assign([self._new.popleft()])
        first = self._consumer.poll(wait_s)
        if first is None:
            return [], ""
        found = [first, *self._consumer.consume(MOST_AT_ONCE - 1, 0)]
        wrong = [error for one in found if (error := one.error()) is not None]
        good = [one for one in found if one.error() is None] if wrong else found
        return good, said(wrong[0]) if wrong else ""

    def note(self, done: Mapping[Place, int], *, wait: bool = False) -> None:
        """Let the brokers keep how far we are: the next offset of each partition.

        A failure is none of ours: what is read again is in the buffer already.
        """
        offsets = [TopicPartition(*place, offset) for place, offset in done.items()]
        with contextlib.suppress(KafkaException):
            if offsets and wait:
                self._consumer.commit(offsets=offsets, asynchronous=False)
            elif offsets:
                self._consumer.commit(offsets=offsets, asynchronous=True)

    def close(self) -> None:
        """Let the brokers go."""
        self._looker.close()
        self._consumer.close()

    def _erred(self, error: KafkaError) -> None:
        if error.code() not in _UNSAID or self._last is None:
            self._last = error

    def _check(self, places: Iterable[TopicPartition]) -> None:
        for one in places:
            if one.error is not None:
                raise KafkaException(one.error)

    def _bounds(self, place: TopicPartition) -> tuple[int, int]:
        return self._looker.get_watermark_offsets(place, timeout=self._timeout_s)

    def _partitions(self) -> dict[str, str]:
        """Learn the partitions and their leaders; return why topics have none."""
        problems: dict[str, str] = {}
        leaders: dict[Place, int] = {}
        try:
            for topic, about in self._described():
                error = about.error if about is not None else None
                if about is None or error is not None or not about.partitions:
                    problems[topic] = said(error) if error else "it is not there"
                    continue
                for number, one in about.partitions.items():
                    leaders[topic, number] = one.leader
        except KafkaException as error:
            raise self._failed(error) from error
        if len(leaders) > MOST_PARTITIONS:
            msg = f"The topics have {len(leaders)} partitions, expected at most {MOST_PARTITIONS}."
            raise LinkRefusedError(msg)
        self._leaders |= leaders
        return problems

    def _described(self) -> Iterator[tuple[str, TopicMetadata | None]]:
        few = len(self._topics) <= _LOOK_EACH
        known = None if few else self._looker.list_topics(timeout=self._timeout_s)
        for topic in self._topics:
            found = known or self._looker.list_topics(topic, timeout=self._timeout_s)
            yield topic, found.topics.get(topic)

    def _failed(self, error: KafkaException) -> Exception:
        self._looker.poll(0)  # serves what was said on the way
        found: KafkaError = error.args[0]
        last, self._last = self._last, None
        if last is None or found.code() not in _UNSAID:
            last = found
        where = self._account.brokers.endpoint
        if last.code() in _NOT_LET_IN:
            return LinkRefusedError(f"{where} does not let us in: {said(last)}.")
        return BrokersAwayError(f"{where}: {said(last)}")


def unreachable(error: BrokersAwayError) -> SourceUnreachableError:
    """Return the refusal that the first failure is."""
    return SourceUnreachableError(f"The source cannot be reached: {error}.")


def ends(messages: Sequence[Message]) -> dict[Place, int]:
    """Return the offset after the last of some messages, for each partition."""
    return {
        (str(one.topic()), int(one.partition() or 0)): int(one.offset() or 0) + 1
        for one in messages
    }
