"""Targets of what clients send to a serving model: a request's body, and the wire."""

from __future__ import annotations

import asyncio
import functools
import json

import numpy as np
from tests.flows.conftest import scenario
from tests.fuzz.desk import PACKAGE
from tests.fuzz.target import Target
from tests.line.serving.conftest import SHAPES, FakeMeter, Scorer

from tundish.line.serving.access import Access, token_digest
from tundish.line.serving.answers import Answerer
from tundish.line.serving.app import ServeApp
from tundish.line.serving.limits import Limits
from tundish.line.serving.listening import parse_listen
from tundish.line.serving.request import Form, read_request
from tundish.line.serving.response import Named

_SERVING = "tundish.line.serving."
_TOKEN = "fuzz" * 10
_FORM = Form(rows=2, channels=1, outputs={"estimate": (1,)}, most_rows=64)


def _request(data: bytes) -> None:
    """Read a body; its first line, if it ends in a bar, is the header's value."""
    header, bar, body = data.partition(b"|")
    read_request(body if bar else data, header if bar else None, _FORM)


def _requests() -> list[bytes]:
    one = {"name": "window", "shape": [1, 2, 1], "datatype": "FP32"}
    outputs = [{"name": "estimate", "parameters": {"binary_data": True}}]
    plain = {"id": "1", "inputs": [{**one, "data": [[[1], [2.5]]]}], "outputs": outputs}
    sized = {"inputs": [{**one, "parameters": {"binary_data_size": 8}}]}
    text, raw = json.dumps(sized).encode(), np.array([1, 2], "<f4").tobytes()
    missing = {"inputs": [{**one, "data": [None, 2]}]}
    return [
        json.dumps(plain).encode(), json.dumps(missing).encode(),
        b"%d|" % len(text) + text + raw, b"0|" + raw,
    ]  # fmt: skip


class _Transport:
    """A connection that keeps what is written."""

    def __init__(self) -> None:
        self.closed = False
        self.written = bytearray()

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("10.0.0.1", 1) if name in {"peername", "sockname"} else default

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        return

    resume_reading = pause_reading


@functools.cache
def _app() -> ServeApp:
    return ServeApp(
        Named(name="m", version="1", package=PACKAGE),
        Answerer(scenario(), Scorer(), SHAPES, FakeMeter()),
        Access(
            {"a": token_digest(_TOKEN)},
            now_s=lambda: 0.0,
            rate=0,
            refused_per_minute=1000,
            heard=lambda *_: None,
        ),
        limits=Limits(rows=8, body=4096),
        gauges=dict,
        version="0",
    )


def _wire(data: bytes) -> None:
    """Feed bytes in pieces to a connection; what it answers begins as HTTP does."""
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from tundish.line.serving.wire import GuardedProtocol, quieten

    quieten()

    async def run() -> None:
        config = Config(_app(), loop="none", lifespan="off", ws="none", log_config=None)
        one = GuardedProtocol(
            config, ServerState(), Limits(rows=8, body=4096), lambda _: True
        )
        transport = _Transport()
        one.connection_made(transport)  # type: ignore[arg-type]
        step = 1 + len(data) // 3
        for at in range(0, len(data), step):
            if not transport.closed:
                one.data_received(data[at : at + step])
            await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
        one.overdue(1e12)
        one.overdue(2e12)
        one.connection_lost(None)
        for _ in range(3):
            await asyncio.sleep(0)
        if transport.written and not transport.written.startswith(b"HTTP/1.1 "):
            raise AssertionError(bytes(transport.written[:200]))
        if b" 500 " in transport.written[:20]:
            raise AssertionError(bytes(transport.written[:400]))

    asyncio.run(run())


def _wires() -> list[bytes]:
    def sent(body: bytes, more: str = "") -> bytes:
        head = f"POST /v2/models/m/infer HTTP/1.1\r\nAuthorization: Bearer {_TOKEN}\r\n{more}"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    plain, _, sized, bare = _requests()
    length, _, body = sized.partition(b"|")
    header = f"Inference-Header-Content-Length: {length.decode()}\r\n"
    return [
        sent(plain), sent(plain) * 2, sent(body, header),
        sent(bare[2:], "Inference-Header-Content-Length: 0\r\n"),
        b"GET /v2/health/live HTTP/1.1\r\n\r\n", b"GET /v2 HTTP/1.0\r\n\r\n",
        f"POST /v2/models/m/infer HTTP/1.1\r\nAuthorization: Bearer {_TOKEN}\r\n".encode()
        + b"Transfer-Encoding: chunked\r\n\r\n4\r\n{}  \r\n0\r\nX: y\r\n\r\n",
    ]  # fmt: skip


TARGETS = (
    Target(
        name="infer-request", json=True, parse=_request, seeds=_requests, most=16_384,
        doors=(_SERVING + "request:read_request",),
    ),
    Target(
        name="infer-wire", parse=_wire, seeds=_wires, most=16_384,
        doors=(
            _SERVING + "wire:GuardedProtocol.data_received",
            _SERVING + "access:Access.client",
        ),
    ),
    Target(
        name="listen", parse=lambda data: parse_listen(data.decode("utf-8", "replace")),
        seeds=lambda: [b"127.0.0.1:8080", b"[::1]:8080"], most=300,
        doors=(_SERVING + "listening:parse_listen",),
    ),
)  # fmt: skip
