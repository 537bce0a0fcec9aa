"""Laws of the connection: whoever is slow, large or broken ends, and others are served."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from tests.line.serving.conftest import INFER, TOKEN, Desk, request

from tundish.line.serving.limits import Limits
from tundish.line.serving.listening import bind, parse_listen
from tundish.line.serving.wire import Place, serve

pytestmark = pytest.mark.integration
QUICK = Limits(
    rows=8, body=20_000, head=2000, headers=20, connections=4, head_s=0.4, body_s=0.4,
    answer_s=0.4, idle_s=5.0, drain_s=3.0,
)  # fmt: skip
Open = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


def served(
    use: Callable[[Open, Desk], Coroutine[Any, Any, None]],
    limits: Limits = QUICK,
    *,
    may_come: Callable[[str], bool] = lambda _: True,
    stop_at: asyncio.Event | None = None,
) -> None:
    """Run a server on a port of its own while a test uses it."""

    async def run() -> None:
        desk = Desk(limits=limits)
        held = bind(*parse_listen("127.0.0.1:0"))
        port, stop, ready = (
            held.getsockname()[1],
            stop_at or asyncio.Event(),
            asyncio.Event(),
        )
        place = Place(listening=held, tls=None, may_come=may_come)
        running = asyncio.create_task(
            serve(desk.app, place, limits, stop=stop, on_ready=ready.set)
        )
        await ready.wait()

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection("127.0.0.1", port)

        try:
            await asyncio.wait_for(use(connect, desk), 20)
        finally:
            stop.set()
            await running

    asyncio.run(run())


def http(
    body: bytes, *, path: str = INFER, more: str = "", token: str = TOKEN
) -> bytes:
    method = "POST" if body else "GET"
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{more}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, Any]]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length")
    )
    return int(head.split()[1]), json.loads(await reader.readexactly(length))


async def is_served(connect: Open) -> bool:
    reader, writer = await connect()
    writer.write(http(request([[1, 3]])))
    status, said = await answer(reader)
    writer.close()
    return status == 200 and said["outputs"][0]["data"] == [2.0]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", 408), (b"POST /v2", 408), (b"GET /v2 HTTP/1.1\r\nHost: x\r\n", 408),
        (http(b"x" * 500)[:-400], 408),
        (b"POST " + INFER.encode() + b" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
         + TOKEN.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", 408),
    ],
    ids=["nothing", "half a line", "half a head", "half a body", "half a chunk"],
)  # fmt: skip
def test_a_client_that_stops_in_the_middle_ends_and_others_are_served(
    sent: bytes, status: int
) -> None:
    async def use(connect: Open, _desk: Desk) -> None:
        reader, writer = await connect()
        writer.write(sent)
        start = time.monotonic()
        assert await is_served(connect)
        assert (await answer(reader))[0] == status
        assert await reader.read() == b""
        assert time.monotonic() - start < 3
        writer.close()

    served(use)


def test_a_head_sent_letter_by_letter_ends_in_its_time() -> None:
    async def use(connect: Open, _desk: Desk) -> None:
        reader, writer = await connect()
        start = time.monotonic()
        answered = asyncio.create_task(answer(reader))
        for letter in http(b"", path="/v2"):
            writer.write(bytes([letter]))
            await asyncio.sleep(0.05)
            if answered.done() or time.monotonic() - start > 3:
                break
        assert time.monotonic() - start < 3
        assert (await answered)[0] == 408
        writer.close()

    served(use)


@pytest.mark.parametrize(
    "head",
    [
        f"GET /v2 HTTP/1.1\r\nX: {'a' * 5000}\r\n\r\n",
        "GET /v2 HTTP/1.1\r\n" + "X: a\r\n" * 50 + "\r\n",
        f"GET /{'a' * 5000} HTTP/1.1\r\n\r\n",
        f"GET /v2 HTTP/1.1\r\nX: {'a' * 5000}",
    ],
    ids=["long", "many", "path", "endless"],
)
def test_a_large_head_is_refused(head: str) -> None:
    async def use(connect: Open, desk: Desk) -> None:
        for size in (100_000, 700):
            reader, writer = await connect()
            for at in range(0, len(head), size):
                writer.write(head[at : at + size].encode())
                await asyncio.sleep(0.01)
            status, said = await answer(reader)
            assert (status, said["code"]) == (431, "connection-refused")
            writer.close()
        assert not desk.app.metrics.requests

    served(use)


def test_headers_behind_a_body_are_bounded_too() -> None:
    async def use(connect: Open, _desk: Desk) -> None:
        reader, writer = await connect()
        writer.write(
            f"POST {INFER} HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n".encode()
        )
        start = time.monotonic()
        while not writer.transport.is_closing() and time.monotonic() - start < 10:
            writer.write(b"X: a\r\n")
            await asyncio.sleep(0.001)
        assert time.monotonic() - start < 10  # their number ends it, not their time
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()

    served(use, replace(QUICK, head_s=60.0, body_s=60.0))


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9.9\r\n\r\n", b"NOT A METHOD\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\n\r\n", b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nX : a\r\n\r\n",
    ],
    ids=range(10),
)  # fmt: skip
def test_what_is_no_http_is_refused_in_json_and_never_answered(sent: bytes) -> None:
    async def use(connect: Open, desk: Desk) -> None:
        reader, writer = await connect()
        writer.write(sent)
        status, said = await answer(reader)
        assert status in {400, 401}
        assert said["error"]
        assert desk.scorer.saw == []
        writer.close()
        assert await is_served(connect)

    served(use)


def test_who_waits_in_silence_makes_room_for_who_asks() -> None:
    async def use(connect: Open, _desk: Desk) -> None:
        kept = []
        for _ in range(QUICK.connections):
            reader, writer = await connect()
            writer.write(http(b"", path="/v2/health/live"))
            await answer(reader)
            kept.append((reader, writer))
        assert await is_served(connect)
        assert await kept[0][0].read() == b""
        for reader, writer in kept[1:]:
            writer.write(http(b"", path="/v2/health/live"))
            assert (await answer(reader))[0] == 200, "the others stay"
        for _, writer in kept:
            writer.close()

    served(use, replace(QUICK, idle_s=30.0))


def test_a_full_server_says_so() -> None:
    async def use(connect: Open, _desk: Desk) -> None:
        kept = [await connect() for _ in range(QUICK.connections)]
        for _, writer in kept:
            writer.write(b"GET ")
        await asyncio.sleep(0.05)
        reader, writer = await connect()
        assert (await answer(reader))[0] == 503
        for _, one in [*kept, (reader, writer)]:
            one.close()

    served(use)


def test_requests_sent_at_once_are_answered_in_their_order() -> None:
    async def use(connect: Open, _desk: Desk) -> None:
        reader, writer = await connect()
        writer.write(b"".join(http(request([[n, n]], id=str(n))) for n in range(50)))
        for number in range(50):
            _, said = await answer(reader)
            assert (said["id"], said["outputs"][0]["data"]) == (
                str(number),
                [float(number)],
            )
        writer.close()

    served(use)


def test_who_sends_too_much_can_read_why() -> None:
    async def use(connect: Open, desk: Desk) -> None:
        reader, writer = await connect()
        writer.write(http(b"x" * 2_000_000))
        status, said = await answer(reader)
        assert (status, said["code"]) == (413, "request-too-large")
        writer.write(http(request([[1, 3]])))
        assert (await answer(reader))[0] == 200
        writer.close()
        assert len(desk.scorer.saw) == 1

    served(use, replace(QUICK, body_s=5.0))


def test_who_does_not_take_the_answer_ends() -> None:
    async def use(connect: Open, desk: Desk) -> None:
        reader, writer = await connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        one = http(b"", path="/metrics")
        start = time.monotonic()
        while time.monotonic() - start < 10 and not writer.transport.is_closing():
            writer.write(one * 200)
            await asyncio.sleep(0.02)
            if await is_served(connect) and desk.app.metrics.requests.total() > 100_000:
                break
        assert writer.transport.is_closing() or reader.at_eof()

    served(use)


def test_an_address_that_may_not_come_is_not_heard() -> None:
    async def use(connect: Open, desk: Desk) -> None:
        reader, writer = await connect()
        writer.write(http(request([[1, 3]])))
        with suppress(ConnectionError):
            assert await reader.read() == b""
        assert not desk.app.metrics.requests
        writer.close()

    served(use, may_come=lambda _: False)


def test_a_stop_answers_what_is_in_hand_and_takes_no_more() -> None:
    stop = asyncio.Event()

    async def use(connect: Open, _desk: Desk) -> None:
        reader, writer = await connect()
        idle, silent = await connect()
        data = http(request([[1, 3]]))
        writer.write(data[:-10])
        await asyncio.sleep(0.1)
        stop.set()
        await asyncio.sleep(0.1)
        writer.write(data[-10:])
        status, said = await answer(reader)
        assert (status, said["outputs"][0]["data"]) == (200, [2.0])
        assert await reader.read() == b""
        assert await idle.read() == b""
        with pytest.raises(OSError, match="Connect"):
            await connect()
        writer.close()
        silent.close()

    served(use, replace(QUICK, body_s=5.0), stop_at=stop)
