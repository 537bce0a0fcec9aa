"""A device on MQTT or Sparkplug in real time, which keeps what no broker has taken.

It runs in a thread of its own and speaks to a real broker; tag ``level`` has at row k
the source time ``start_us + k * period_us`` and the number k modulo 900. JSON goes out
with QoS 1 and is kept and sent again until the broker has acknowledged it, as devices
with a memory do. Sparkplug goes out with QoS 0, as its standard has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections import deque
from typing import Any, Literal, Self

from tundish.line import mqttpackets, sparkplug
from tundish.line.mqttpackets import Ack, Hello, Packet, PacketReader, Publish

WRAP = 900
PERIOD_US = 100_000
Fault = Literal["", "bad", "type", "last-good-as-bad", "missing", "silent"]


class MqttPlant:
    """A device with one tag; used as a context.

    Args:
        host, port: Where the broker is.
        topic: Where it publishes; a Sparkplug edge's name if ``sparkplug``.
        sparkplug: Whether it is an edge node of the group ``G``.
    """

    def __init__(
        self, port: int, topic: str = "plant/level", *, host: str = "127.0.0.1",
        sparkplug: bool = False,
    ) -> None:  # fmt: skip
        self.period_us = PERIOD_US
        now_us = int(time.time() * 1e6)
        self.start_us = now_us // 1_000_000 * 1_000_000
        self.fault: Fault = ""
        self.offset_us = 0
        self.alias = 7
        self.births = 0
        self._host, self._port, self._topic = host, port, topic
        self._edge = sparkplug
        self._row = -1
        self._seq = 0
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._sent = 0
        self._writer: asyncio.StreamWriter | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: list[asyncio.Task[None]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._begin())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def is_true(self, at_us: int, value: float) -> bool:
        row, rest = divmod(at_us - self.start_us, PERIOD_US)
        return rest == 0 and value == row % WRAP

    def rebirth(self, alias: int) -> None:
        """Be born again with another alias, of itself."""
        self.alias = alias
        self._loop.call_soon_threadsafe(self._born)

    def skip_number(self) -> None:
        """Leave out one message: its number is used, and it never arrives."""
        self._seq = (self._seq + 1) % 256

    def die(self) -> None:
        """Break the connection: the broker says the death that it was given."""
        if self._writer is not None:
            self._loop.call_soon_threadsafe(self._writer.transport.abort)

    def _call(self, job: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(job, self._loop).result(10)

    async def _begin(self) -> None:
        self._tasks = [
            asyncio.create_task(self._play()),
            asyncio.create_task(self._keep()),
        ]

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._writer is not None:
            self._writer.transport.abort()

    async def _play(self) -> None:
        self._row = int((time.time() * 1e6 - self.start_us) / PERIOD_US)
        while True:
            due = int((time.time() * 1e6 - self.start_us) / PERIOD_US)
            for row in range(self._row + 1, due + 1):
                self._row = row
                if self.fault != "silent":
                    self._happen(row)
            await asyncio.sleep(0.01)

    def _happen(self, row: int) -> None:
        at_us = self.start_us + row * PERIOD_US + self.offset_us
        if self._edge:
            self._publish("NDATA", self._metric(row, at_us))
            return
        document: dict[str, Any] = {"t": at_us, "v": row % WRAP, "q": "good"}
        match self.fault:
            case "bad" | "last-good-as-bad":
                document["q"] = "bad"
            case "type":
                document["v"] = str(row % WRAP)
            case "missing":
                del document["v"]
        self._sent = self._sent % 0xFFFF + 1
        data = mqttpackets.publish(
            5, self._topic, json.dumps(document).encode(), self._sent
        )
        self._waiting.append((self._sent, data))
        self._write(data)

    def _metric(self, row: int, at_us: int, *, name: str = "") -> sparkplug.Metric:
        kind = sparkplug.DOUBLE if self.fault != "type" else sparkplug.STRING
        value: Any = float(row % WRAP) if self.fault != "type" else str(row % WRAP)
        return sparkplug.metric(
            None if self.fault == "missing" else value,
            kind,
            name=name or None,
            alias=self.alias,
            time_ms=at_us // 1000,
        )

    def _born(self) -> None:
        at_us = self.start_us + self._row * PERIOD_US + self.offset_us
        self._seq = 0
        self.births += 1
        number = sparkplug.metric(0, sparkplug.INT64, name="bdSeq")
        self._publish("NBIRTH", number, self._metric(self._row, at_us, name="level"))

    def _publish(self, kind: str, *metrics: sparkplug.Metric) -> None:
        payload = sparkplug.Payload(
            time_ms=int(time.time() * 1000), seq=self._seq, metrics=metrics
        )
        topic = f"spBv1.0/G/{kind}/{self._topic}"
        if self._write(mqttpackets.publish(5, topic, sparkplug.encode(payload))):
            self._seq = (self._seq + 1) % 256

    def _write(self, data: bytes) -> bool:
        if self._writer is None or self._writer.transport.is_closing():
            return False
        self._writer.write(data)
        return True

    async def _keep(self) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._connected()
            self._writer = None
            await asyncio.sleep(0.1)

    async def _connected(self) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        packets = PacketReader(5)
        will = None
        if self._edge:
            number = sparkplug.metric(0, sparkplug.INT64, name="bdSeq")
            payload = sparkplug.Payload(time_ms=0, metrics=(number,))
            topic = f"spBv1.0/G/NDEATH/{self._topic}"
            will = mqttpackets.Will(
                topic=topic, payload=sparkplug.encode(payload), retain=False
            )
        hello = Hello(
            version=5, client_id=f"device-{id(self)}", clean=True, keep_alive_s=0,
            will=will,
        )  # fmt: skip
        writer.write(mqttpackets.connect(hello))
        try:
            while data := await reader.read(65_536):
                for packet in packets.feed(data):
                    self._heard(packet, writer)
        finally:
            writer.transport.abort()

    def _heard(self, packet: Packet, writer: asyncio.StreamWriter) -> None:
        if isinstance(packet, mqttpackets.Connack):
            self._writer = writer
            if self._edge:
                topic = f"spBv1.0/G/NCMD/{self._topic}"
                writer.write(mqttpackets.subscribe(5, 1, [topic], 0))
                self._born()
            for _, data in self._waiting:
                writer.write(data)
        elif isinstance(packet, Publish):
            self._born()
        elif isinstance(packet, Ack):
            self._acknowledged(packet.packet_id)

    def _acknowledged(self, packet_id: int) -> None:
        if self._waiting and self._waiting[0][0] == packet_id:
            self._waiting.popleft()
