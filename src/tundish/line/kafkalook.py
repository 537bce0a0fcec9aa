"""Look at topics of Kafka for a moment, as a guest: for ``tundish line check``.

The guest has a name of its own, joins no group and notes nothing: a running line is
left as it is.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from confluent_kafka import Message

from tundish.line.kafkaoptions import KafkaAccount
from tundish.line.kafkareader import Reader

LOOK_S = 3.0
MOST_MESSAGES = 20_000
EACH = 50
_QUIET_S = 0.7


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What topics are like: partitions of each, and why others cannot be read."""

    partitions: dict[str, int]
    problems: dict[str, str]


def look(
    account: KafkaAccount,
    topics: Mapping[str, str],
    took: Callable[[Message], None],
    seconds: float = LOOK_S,
) -> Seen:
    """Hand on the last messages of each partition, until no more come or time is over.

    Args:
        account: How to connect.
        topics: What each is for, in words.
        took: Is given each message.
        seconds: Longest stay after the partitions are known.

    Raises:
        ConnectionError, LinkRefusedError: if nobody answers or lets us in.
    """
    reader = Reader(account, topics, group=f"tundish-check-{secrets.token_hex(4)}")
    try:
        problems = reader.problems()
        reader.peek(EACH)
        count, end_s, quiet_s = 0, time.monotonic() + seconds, _QUIET_S
        while (now_s := time.monotonic()) < end_s and count < MOST_MESSAGES:
            messages, _ = reader.read(min(quiet_s if count else seconds, end_s - now_s))
            if not messages and count:
                break
            count += len(messages)
            for message in messages:
                took(message)
        return Seen(partitions=reader.partitions, problems=problems)
    finally:
        reader.close()
