"""A broker as a place that takes what a line says; shared by the sinks over MQTT."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from tundish.kernel.errors import RefusedError
from tundish.line.errors import SinkRefusedError
from tundish.line.mqttlink import (
    BrokerLostError,
    Heard,
    MqttLink,
    PublishRefusedError,
)
from tundish.line.mqttoptions import Account
from tundish.line.mqttpackets import Connack, Hello, Publish


class Sender:
    """One connection to a broker, made anew when its owner asks for it.

    Pings run beside it, so that a broker that is gone is noticed, and the broker does
    not take us for dead, while there is nothing to say.

    Args:
        account: How to connect.
        messages: Told of what comes in.
    """

    def __init__(
        self, account: Account, messages: Callable[[list[Publish]], None]
    ) -> None:
        self._account = account
        self._messages = messages
        self._link: MqttLink | None = None
        self._prober: asyncio.Task[None] | None = None
        self._why = "there is no connection"

    async def open(self, hello: Hello) -> MqttLink:
        """Connect anew.

        Raises:
            BrokerLostError: if nobody answers, or the broker does not let us in;
                once a line runs, the latter may be mended meanwhile.
        """
        await self.drop()
        account = self._account
        holder: list[MqttLink] = []

        def took(messages: list[Publish]) -> None:
            holder[0].acknowledge([m.packet_id for m in messages if m.packet_id])
            self._messages(messages)

        heard = Heard(welcome=_unheard, messages=took, lost=self._lost)
        timeout_s = account.options.timeout_s
        link = MqttLink(account.broker, account.context, hello, timeout_s, heard)
        holder.append(link)
        try:
            await link.open()
        except RefusedError as error:
            raise BrokerLostError(error.message.rstrip(".")) from error
        self._link = link
        self._prober = asyncio.create_task(self._probe(link))
        return link

    @property
    def link(self) -> MqttLink:
        """The present connection.

        Raises:
            BrokerLostError: if there is none.
        """
        if self._link is None or not self._link.up:
            raise BrokerLostError(self._why)
        return self._link

    async def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1
    ) -> None:
        """Publish; returns when the broker has it.

        Raises:
            SinkRefusedError: if the broker says that it will not take it.
            BrokerLostError.
        """
        link = self.link
        try:
            await link.publish(topic, payload, retain=retain, qos=qos)
        except PublishRefusedError as error:
            where = self._account.broker.endpoint
            msg = f"The broker {where} does not take a message on {topic}: {error}."
            raise SinkRefusedError(msg) from error
        if not qos:
            await link.handled()

    async def close(self) -> None:
        """Say goodbye; safe to call twice."""
        await self._stop()
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def drop(self) -> None:
        """Let the connection go without a word: the broker publishes the will."""
        await self._stop()
        link, self._link = self._link, None
        if link is not None:
            link.drop()

    def end(self, why: str) -> None:
        """End the connection for a reason of our own; the next call says it."""
        self._why = why
        if self._link is not None:
            self._link.drop(why)

    def _lost(self, why: str) -> None:
        self._why = why

    async def _stop(self) -> None:
        prober, self._prober = self._prober, None
        if prober is not None:
            prober.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await prober

    async def _probe(self, link: MqttLink) -> None:
        with contextlib.suppress(BrokerLostError):  # the link has told why
            while link.up:
                await asyncio.sleep(self._account.options.probe_s)
                await link.probe()


def _unheard(connack: Connack) -> None:
    del connack
