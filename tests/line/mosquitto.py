"""A real Mosquitto on loopback, with Debian's own clients beside it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.ports import free_port

MISSING = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") is None
_LIMIT_S = 10.0


class Mosquitto:
    """One broker; ``settings`` are further lines of its configuration."""

    def __init__(
        self,
        folder: Path,
        *settings: str,
        port: int | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.folder, self.host = folder, host
        self.port = port or free_port()
        folder.mkdir(exist_ok=True, parents=True)
        self._config = folder / "mosquitto.conf"
        lines = [
            "persistence true",
            f"persistence_location {folder}/",
            "max_queued_messages 0",
            "sys_interval 0",
            *(["user root"] if os.geteuid() == 0 else []),
            f"listener {self.port} {host}",
            *(settings or ("allow_anonymous true",)),
        ]
        self._config.write_text("\n".join(lines) + "\n")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"mqtt://{self.host}:{self.port}"

    def start(self) -> None:
        program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program is not None
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [program, "-v", "-c", self._config], stdout=log, stderr=log
            )
        end_s = time.monotonic() + _LIMIT_S
        knock: socket.socket | None = None
        while knock is None or not self._took(knock):
            with contextlib.suppress(OSError):
                address = self.host, self.port
                knock = knock or socket.create_connection(address, 1)
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end_s
            time.sleep(0.02)
        knock.close()

    def _took(self, knock: socket.socket) -> bool:
        """Whether its loop runs: it listens before that, and forgets a SIGTERM then."""
        host, port = knock.getsockname()[:2]
        return self.logged(f"New connection from {host}:{port} on") > 0

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(how)
            process.wait(_LIMIT_S)

    def logged(self, text: str) -> int:
        """Return how often a text stands in its log."""
        return (self.folder / "log").read_text(errors="replace").count(text)

    def subscribed(self, topic: str) -> int:
        """Return how often somebody asked for a topic: what is said now is heard."""
        return self.logged(f"\t{topic} (QoS ")

    def say(self, topic: str, payload: bytes | str, *more: str) -> None:
        """Publish one message with Debian's client, acknowledged (QoS 1)."""
        data = payload.encode() if isinstance(payload, str) else payload
        command = ["mosquitto_pub", "-p", str(self.port), "-h", "127.0.0.1"]
        subprocess.run(
            [*command, "-q", "1", "-t", topic, "-s", *more],
            input=data, check=True, timeout=_LIMIT_S,
        )  # fmt: skip

    def hear(self, topic: str, count: int, *more: str, limit_s: int = 5) -> list[bytes]:
        """Return up to some messages that Debian's client gets, topic and payload."""
        found = subprocess.run(
            [
                "mosquitto_sub", "-p", str(self.port), "-h", "127.0.0.1", "-q", "1",
                "-t", topic, "-C", str(count), "-W", str(limit_s), "-F", "%t %p", *more,
            ],
            capture_output=True, check=False, timeout=limit_s + _LIMIT_S,
        )  # fmt: skip
        return found.stdout.splitlines()


class Talker:
    """Debian's client as a device: one message a line, in order, QoS 1."""

    def __init__(self, broker: Mosquitto, topic: str) -> None:
        command = ["mosquitto_pub", "-p", str(broker.port), "-h", "127.0.0.1"]
        self._process = subprocess.Popen(
            [*command, "-q", "1", "-t", topic, "-l"], stdin=subprocess.PIPE
        )

    def say(self, payload: bytes | str) -> None:
        data = payload.encode() if isinstance(payload, str) else payload
        assert self._process.stdin is not None
        self._process.stdin.write(data + b"\n")
        self._process.stdin.flush()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(_LIMIT_S)


@contextlib.contextmanager
def running(
    folder: Path,
    *settings: str,
    port: int | None = None,
    host: str = "127.0.0.1",
) -> Iterator[Mosquitto]:
    broker = Mosquitto(folder, *settings, port=port, host=host)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@contextlib.contextmanager
def talking(
    broker: Mosquitto, topics: Mapping[str, str]
) -> Iterator[dict[str, Talker]]:
    talkers = {name: Talker(broker, topic) for name, topic in topics.items()}
    try:
        yield talkers
    finally:
        for talker in talkers.values():
            talker.close()
