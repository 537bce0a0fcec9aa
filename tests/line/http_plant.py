"""A gateway with the standard library's own server, and a device that posts.

Tag ``level`` has at row k the source time ``start_us + k * period_us`` and the number k
modulo 900. The gateway answers with its last rows; the device posts row by row and keeps
what was not answered with 200, as devices with a memory do.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import socket
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

from tests.ports import free_port

WRAP = 900
PERIOD_US = 100_000
KEPT = 40
TOKEN = "a-token-of-this-test-only-0123456789"  # noqa: S105
Fault = Literal[
    "", "bad", "type", "missing", "silent", "503", "302", "drip", "huge", "torn"
]


class Rows:
    """Rows with known times and numbers."""

    def __init__(self) -> None:
        self.period_us = PERIOD_US
        self.start_us = int(time.time()) * 1_000_000
        self.fault: Fault = ""
        self.offset_us = 0

    def now(self) -> int:
        """Return the newest row."""
        return (int(time.time() * 1e6) - self.start_us) // self.period_us

    def row(self, number: int, fault: str = "") -> dict[str, Any]:
        """Return a row as it is sent."""
        at_us = self.start_us + number * self.period_us + self.offset_us
        row: dict[str, Any] = {"t": at_us, "v": float(number % WRAP), "q": "good"}
        if fault == "bad":
            row["q"] = "bad"
        elif fault == "type":
            row["v"] = str(row["v"])
        elif fault == "missing":
            del row["v"]
        return row

    def is_true(self, at_us: int, value: float) -> bool:
        number, rest = divmod(at_us - self.start_us, self.period_us)
        return rest == 0 and value == number % WRAP


class Gateway(Rows):
    """A server of rows; used as a context."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__()
        self._host = host
        self.asked: list[dict[str, str]] = []
        self.unmoved = 0
        self._was: dict[int, dict[str, Any]] = {}
        self._port = free_port()
        self._server: ThreadingHTTPServer | None = None

    @property
    def port(self) -> int:
        return self._port

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                gateway._open.append(self.connection)

            def do_GET(self) -> None:
                gateway.asked.append(dict(self.headers))
                with contextlib.suppress(OSError):
                    gateway._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._open: list[socket.socket] = []
        self._server = ThreadingHTTPServer((self._host, self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows that are answered now; what a row was, it stays."""
        last = self.now()
        if self.fault == "silent":
            return list(self._was.values())[-KEPT:]
        for number in range(max(0, last - KEPT + 1), last + 1):
            self._was.setdefault(number, self.row(number, self.fault))
        return [self._was[n] for n in sorted(self._was)][-KEPT:]

    def _answer(self, to: BaseHTTPRequestHandler) -> None:
        body = json.dumps({"rows": self.rows()}).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if self.fault in {"503", "302"}:
            to.send_response(int(self.fault))
            to.send_header("Location", "http://127.0.0.1:9/elsewhere")
            to.send_header("Content-Length", "0")
            to.end_headers()
            return
        if to.headers.get("If-None-Match") == etag:
            self.unmoved += 1
            to.send_response(304)
            to.send_header("ETag", etag)
            to.end_headers()
            return
        if self.fault == "torn":
            body = body[: len(body) // 2]
        to.send_response(200)
        to.send_header("ETag", etag)
        length = 10**9 if self.fault == "huge" else len(body)
        to.send_header("Content-Length", str(length))
        to.end_headers()
        if self.fault == "drip":
            asked = len(self.asked)
            for one in body:
                to.wfile.write(bytes([one]))
                to.wfile.flush()
                time.sleep(0.05)
                if self._server is None or len(self.asked) > asked:
                    return  # nobody listens any more
            return
        to.wfile.write(body)


class Device(Rows):
    """A device that posts to ``port``; used as a context."""

    def __init__(self, port: int, *, timeout_s: float = 1.0) -> None:
        super().__init__()
        self.port, self._timeout_s = port, timeout_s
        self.acknowledged: list[int] = []
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.dead: list[int] = []
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        row = self.now()
        link: http.client.HTTPConnection | None = None
        while not self._ended.wait(0.01):
            while row <= self.now():
                if self.fault != "silent":
                    body = json.dumps(self.row(row, self.fault)).encode()
                    self._waiting.append((row, body))
                row += 1
            try:
                link = link or http.client.HTTPConnection(
                    "127.0.0.1", self.port, timeout=self._timeout_s
                )
                self._send(link)
            except (OSError, http.client.HTTPException):
                if link is not None:
                    link.close()
                link = None
                self._ended.wait(0.05)
        if link is not None:
            link.close()

    def _send(self, link: http.client.HTTPConnection) -> None:
        while self._waiting and not self._ended.is_set():
            number, body = self._waiting[0]
            headers = {
                "Authorization": f"Bearer {TOKEN}",
                "Idempotency-Key": f"{self.start_us}-{number}",
            }
            link.request("POST", "/rows", body, headers)
            answer = link.getresponse()
            said = json.loads(answer.read())
            self.answers.append((answer.status, said))
            if answer.status == 200:
                self.acknowledged.append(number)
            elif answer.status == 422:  # it will never be taken
                self.dead.append(number)
            else:
                self._ended.wait(0.1)
                continue
            self._waiting.popleft()
