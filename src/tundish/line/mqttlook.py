"""Listen to a broker for a moment, as a guest: for ``tundish line check``.

The guest has an id of its own and a session that is forgotten at once: the session of a
running line is neither taken over nor emptied. It publishes nothing and has no will.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace

from tundish.line.mqttlink import Heard, MqttLink, code_text
from tundish.line.mqttoptions import Account
from tundish.line.mqttpackets import FAILURE, Publish

LOOK_S = 3.0
MOST_MESSAGES = 20_000
_AT_ONCE = 100


async def listen(
    account: Account,
    filters: Sequence[str],
    took: Callable[[Publish], bool],
    seconds: float = LOOK_S,
) -> dict[str, str]:
    """Hand on what comes on some topics until there is enough, or the time is over.

    Args:
        account: How to connect.
        filters: Topics.
        took: Is given each message; returns whether that was enough.
        seconds: Longest stay after the topics were asked for.

    Returns:
        For each topic that may not be read, why.

    Raises:
        BrokerLostError, LinkRefusedError: if the broker is not there or refuses us.
    """
    enough = asyncio.Event()
    count = 0
    link: MqttLink

    def heard(messages: list[Publish]) -> None:
        nonlocal count
        for message in messages:
            count += 1
            if took(message) or count >= MOST_MESSAGES:
                enough.set()
        link.acknowledge([m.packet_id for m in messages if m.packet_id])

    guest = f"tundish-check-{secrets.token_hex(4)}"
    hello = replace(account.hello(clean=True), client_id=guest, expiry_s=0)
    ears = Heard(welcome=lambda _: None, messages=heard, lost=lambda _: enough.set())
    timeout_s = account.options.timeout_s
    link = MqttLink(account.broker, account.context, hello, timeout_s, ears)
    refused: dict[str, str] = {}
    try:
        await link.open()
        for first in range(0, len(filters), _AT_ONCE):
            some = filters[first : first + _AT_ONCE]
            for name, code in zip(some, await link.subscribe(some), strict=True):
                if code >= FAILURE:
                    why = "not authorised" if code == FAILURE else code_text(code)
                    refused[name] = f"it may not be read: {why}"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await enough.wait()
    finally:
        await link.close()
    return refused
