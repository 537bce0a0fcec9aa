"""Laws of the HTTP source that is posted to, and of the door that it opens."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import ssl
import urllib.request
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.line.certs import make_certificates
from tests.line.http_plant import TOKEN
from tests.line.mqttline import aside
from tests.ports import free_port

from tundish.kernel.errors import TundishError
from tundish.line import plugins
from tundish.line.engine import LineEngine
from tundish.line.errors import LineFileInvalidError
from tundish.line.httplisten import AskedWrongError, read_request
from tundish.line.linefile import SourceSpec
from tundish.line.parts import LineParts
from tundish.line.samples import to_us
from tundish.line.security import SecretRef, SecuritySpec
from tundish.line.serving.errors import AddressTakenError, PlaintextRefusedError
from tundish.line.serving.limits import Limits
from tundish.line.sources import httpreceive

Kit = Any
STAMPS: dict[str, Any] = {"time": "/t", "time_unit": "us", "quality": "/q"}


class Door:
    """A line that is posted to, and somebody who posts."""

    def __init__(
        self, kit: Kit, folder: Path, *, stored: bool = True, **options: Any
    ) -> None:
        self.kit, self.port = kit, free_port()
        (folder / "token").write_text(TOKEN)
        self.spec = SourceSpec(
            kind="http-receive",
            endpoint=f"http://127.0.0.1:{self.port}/rows",
            security=SecuritySpec(token=SecretRef(file=str(folder / "token"))),
            nodes={"level": "/v"},
            options=STAMPS | options,
        )
        self.scenario = kit.scenario(periods={"level": 10.0})
        self.source: Any = plugins.open_source(self.spec, self.scenario)
        self.buffer = kit.buffer(folder / "b.db", self.scenario)
        parts = LineParts(
            scenario=self.scenario, scorer=kit.MeanScorer(), model=kit.MODEL,
            sources=(self.source,), buffer=self.buffer,
        )  # fmt: skip
        self.engine = LineEngine(parts) if stored else None

    def run(self, script: Callable[[], Awaitable[None]]) -> None:
        """Run the line, or the bare source, and a script."""

        async def job() -> None:
            stop = asyncio.Event()
            if self.engine is None:
                await self.source.connect()
                await script()
                await self.source.close()
                return
            running = asyncio.create_task(self.engine.run(stop))
            await self.kit.eventually(lambda: self.source._ready or running.done())
            try:
                await script()
            finally:
                stop.set()
                await running

        asyncio.run(asyncio.wait_for(job(), 30))

    def times(self) -> list[int]:
        found = self.buffer.samples_after(0, limit=1000)
        return [(s.at_us - self.kit.START_US) for s in found]

    async def post(
        self, body: bytes, method: str = "POST", path: str = "/rows", **headers: str
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        return await aside(self._post, body, method, path, headers)  # type: ignore[no-any-return]

    def _post(self, body: bytes, method: str, path: str, headers: Any) -> Any:
        said = {"Authorization": f"Bearer {TOKEN}"}
        said |= {name.replace("_", "-"): value for name, value in headers.items()}
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            link.request(method, path, body, said)
            answer = link.getresponse()
            return answer.status, json.loads(answer.read()), dict(answer.headers)
        finally:
            link.close()

    def row(self, at_us: int = 1, value: object = 1.0, **more: object) -> bytes:
        row = {"t": self.kit.START_US + at_us, "v": value, "q": "good"}
        return json.dumps(row | more).encode()


@pytest.fixture
def door(kit: Kit, tmp_path: Path) -> Door:
    return Door(kit, tmp_path)


pytestmark = pytest.mark.integration


def test_200_is_said_when_the_row_is_on_disk(door: Door) -> None:
    async def script() -> None:
        assert (await door.post(door.row(1)))[:2] == (200, {"samples": 1, "bad": 0})
        assert door.times() == [1]
        assert (await door.post(door.row(2, "2")))[1] == {"samples": 1, "bad": 1}
        assert door.times() == [1, 2]

    door.run(script)


def test_the_same_post_again_is_no_second_sample(door: Door) -> None:
    async def script() -> None:
        for n in range(3):
            status, said, _ = await door.post(door.row(1), Idempotency_Key="one")
            assert (status, said.get("again", False)) == (200, n > 0)
        assert (await door.post(door.row(1)))[0] == 200, "without its id"
        status, said, _ = await door.post(door.row(5), Idempotency_Key="one")
        assert status == 422
        assert "another body" in said["error"]
        assert door.times() == [1]

    door.run(script)


def test_what_the_line_does_not_take_is_not_said_to_be_taken(
    kit: Kit, tmp_path: Path
) -> None:
    """The source listens, and no engine has written anything."""
    door = Door(kit, tmp_path, stored=False)

    async def script() -> None:
        status, _, headers = await door.post(door.row())
        assert (status, headers["Retry-After"]) == (503, "1")
        arrivals = door.source.samples()
        await anext(arrivals)
        posts = []
        for n in range(2):
            posts.append(asyncio.create_task(door.post(door.row(n))))
            assert len((await anext(arrivals)).samples) == 1
            assert not posts[-1].done()
        await arrivals.aclose()  # the engine has failed
        await asyncio.sleep(0.1)
        assert not posts[-1].done()
        await door.source.close()
        assert (await posts[-1])[0] == 503

    door.run(script)


def test_a_full_inbox_is_said(kit: Kit, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("tundish.line.sources.httpreceive.MOST_WAITING", 1)
    door = Door(kit, tmp_path, stored=False)

    async def script() -> None:
        arrivals = door.source.samples()
        await anext(arrivals)
        first = asyncio.create_task(door.post(door.row(1)))
        await kit.eventually(lambda: len(door.source._inbox) == 1)
        status, _, headers = await door.post(door.row(2))
        assert (status, headers["Retry-After"]) == (503, "1")
        await anext(arrivals)
        again = asyncio.create_task(anext(arrivals))
        assert (await first)[0] == 200
        again.cancel()

    door.run(script)


def test_a_time_ahead_counts_up_to_23_hours(door: Door) -> None:
    """A sender in another zone who forgot its offset is not a day away."""

    async def script() -> None:
        now_us = to_us(datetime.now(UTC)) - door.kit.START_US
        for hours, status in ((22.9, 200), (23.1, 422)):
            at_us = now_us + round(hours * 3600e6)
            assert (await door.post(door.row(at_us)))[0] == status

    door.run(script)


def test_an_id_is_forgotten_after_many_others(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(httpreceive, "_IDS", 2)

    async def script() -> None:
        for name in ("one", "two", "three"):
            await door.post(door.row(1), Idempotency_Key=name)
        for name, again in (("three", True), ("two", True), ("one", False)):
            _, said, _ = await door.post(door.row(1), Idempotency_Key=name)
            assert said.get("again", False) is again

    door.run(script)
    assert door.times() == [1]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "it is empty"),
        (b"{", "The body cannot be used"),
        (b'{"v": 1, "q": "good"}', "no readable time of level in 't'"),
        (b'{"t": "soon", "v": 1, "q": "good"}', "no readable time"),
        (b'{"t": 4102444800000000, "v": 1, "q": "good"}', "in the future"),
    ],
)
def test_a_body_that_cannot_be_used_is_refused_and_shown_in_the_state(
    door: Door, body: bytes, said: str
) -> None:
    """The row before it is of this very moment, so that the tag is not stale anyway."""
    engine = door.engine
    assert engine is not None

    async def script() -> None:
        now_us = to_us(datetime.now(UTC)) - door.kit.START_US
        await door.post(door.row(now_us))
        assert engine.status().tags[0].state == "good"
        status, answer, _ = await door.post(body)
        assert status == 422
        assert said in answer["error"]
        await door.kit.eventually(lambda: said in engine.status().tags[0].reason)
        assert engine.status().tags[0].state == "bad"
        assert door.times() == [now_us]

    door.run(script)


def test_of_a_body_with_one_unusable_row_nothing_is_kept(
    kit: Kit, tmp_path: Path
) -> None:
    door = Door(kit, tmp_path, rows="/", most_rows=3)

    async def script() -> None:
        rows = [json.loads(door.row(n)) for n in (3, 1, 2)]
        broken = [rows[0], {"v": 1, "q": "good"}]
        assert (await door.post(json.dumps(broken).encode()))[0] == 422
        assert door.times() == []
        assert (await door.post(json.dumps(rows).encode()))[1]["samples"] == 3
        assert door.times() == [1, 2, 3]
        status, said, _ = await door.post(json.dumps([*rows, rows[0]]).encode())
        assert (status, "more than 3 rows" in said["error"]) == (422, True)

    door.run(script)


def test_who_has_no_token_learns_and_sends_nothing(door: Door) -> None:
    async def script() -> None:
        wrong = "Bearer " + "x" * 40
        for given_ in ("", wrong, f"Basic {TOKEN}", f"Bearer {TOKEN}x"):
            status, _, headers = await door.post(door.row(), Authorization=given_)
            assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
        assert (await door.post(b"", path="/other", Authorization=wrong))[0] == 401
        found = [await door.post(door.row(), Authorization=wrong) for _ in range(30)]
        assert found[-1][0] == 429
        assert (await door.post(door.row()))[0] == 200, "others are not kept out"
        assert door.times() == [1]

    door.run(script)


def test_address_method_size_and_rate_are_bounded(kit: Kit, tmp_path: Path) -> None:
    door = Door(kit, tmp_path, most_kb=1, rate=4.0)

    async def script() -> None:
        assert (await door.post(b"", "GET"))[0] == 405
        assert (await door.post(b"", path="/"))[0] == 404
        assert (await door.post(b"x" * 1025))[0] == 413
        found: list[int] = []
        while 429 not in found and len(found) < 40:  # a slow machine posts more
            found.append((await door.post(door.row(len(found))))[0])
        assert found[0] == 200
        assert 429 in found

    door.run(script)


async def _raw(port: int, *pieces: bytes, wait_s: float = 0.0) -> bytes:
    """Send pieces over a plain socket and return what comes until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.closing(writer), contextlib.suppress(OSError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(wait_s)
        return await asyncio.wait_for(reader.read(), 10)
    return b""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET\r\n\r\n", 400),
        (b"\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n", 400),
        (b"POST /rows HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /rows HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST /rows HTTP/1.1\r\nContent-Encoding: gzip\r\n\r\n", 415),
        (b"POST /rows HTTP/1.1\r\n bad: x\r\n\r\n", 400),
        (b"POST /rows HTTP/1.1\r\n" + b"a: b\r\n" * 65 + b"\r\n", 431),
        (b"POST /rows HTTP/1.1\r\na: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"POST /rows HTTP/1.1\r\nAuthorization: Bearer %s\r\n\r\n" % TOKEN.encode(), 411),
    ],
)  # fmt: skip
def test_what_is_no_request_or_can_be_read_in_two_ways_is_refused(
    door: Door, request_: bytes, status: int
) -> None:
    async def script() -> None:
        assert (await _raw(door.port, request_)).startswith(b"HTTP/1.1 %d " % status)
        assert (await door.post(door.row()))[0] == 200

    door.run(script)


def test_slow_silent_and_many_clients_keep_nobody_out_for_long(
    kit: Kit, tmp_path: Path
) -> None:
    door = Door(kit, tmp_path)
    head = b"POST /rows HTTP/1.1\r\nAuthorization: Bearer %s\r\n" % TOKEN.encode()
    limits = door.source._door.limits
    object.__setattr__(limits, "head_s", 0.5)
    object.__setattr__(limits, "body_s", 0.5)
    object.__setattr__(limits, "connections", 8)

    async def script() -> None:
        begun = (
            _raw(door.port, b"POST /rows"),
            _raw(door.port, head + b"Content-Length: 9\r\n\r\nx"),
            _raw(door.port),
        )
        slow = [asyncio.create_task(one) for one in begun]
        await asyncio.sleep(0.1)
        many = [asyncio.create_task(_raw(door.port)) for _ in range(12)]
        found = await asyncio.gather(*slow)
        full = sum(
            one.startswith(b"HTTP/1.1 503") for one in await asyncio.gather(*many)
        )
        assert found[0].startswith(b"HTTP/1.1 408")
        assert found[1].startswith(b"HTTP/1.1 408")
        assert found[2] == b""
        assert full >= 4
        assert (await door.post(door.row()))[0] == 200

    door.run(script)


def test_requests_behind_one_another_get_their_answers_in_order(door: Door) -> None:
    async def script() -> None:
        raw = b""
        for n in range(5):
            body = door.row(n)
            raw += (
                b"POST /rows HTTP/1.1\r\nAuthorization: Bearer %s\r\n" % TOKEN.encode()
            )
            raw += b"Expect: 100-continue\r\n" if n == 0 else b""
            raw += b"Connection: close\r\n" if n == 4 else b""
            raw += b"Content-Length: %d\r\n\r\n" % len(body) + body
        found = await _raw(door.port, raw)
        assert found.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")
        assert found.count(b"HTTP/1.1 200 OK") == 5
        assert door.times() == [0, 1, 2, 3, 4]

    door.run(script)


def test_it_listens_while_the_line_runs_and_not_otherwise(door: Door) -> None:
    def is_open() -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", door.port)) == 0

    assert not is_open()
    assert asyncio.run(door.source.inspect()).tags[0].kind == "JSON, posted"

    async def script() -> None:
        assert is_open()
        with pytest.raises(AddressTakenError):
            await door.source.inspect()

    door.run(script)
    assert not is_open()


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"endpoint": "http://10.0.0.5:8090/rows"}, PlaintextRefusedError, "10.0.0.5"),
        ({"endpoint": "https://10.0.0.5/rows"}, LineFileInvalidError, "certificate"),
        ({"endpoint": "http://0.0.0.0:8090/"}, LineFileInvalidError, "one address"),
        ({"endpoint": "http://desk:8090/rows"}, LineFileInvalidError, "one address"),
        ({"security": None}, LineFileInvalidError, "needs security.token"),
        ({"options": {}}, LineFileInvalidError, "needs options.time"),
    ],
)
def test_a_door_that_is_not_safe_is_not_opened(
    door: Door, changes: Any, error: type[TundishError], said: str
) -> None:
    spec = door.spec.model_copy(update=changes)
    with pytest.raises(error, match=said):
        plugins.open_source(spec, door.scenario)


def test_over_tls_both_sides_show_who_they_are(kit: Kit, tmp_path: Path) -> None:
    kept = make_certificates(tmp_path)
    door = Door(kit, tmp_path)
    security = SecuritySpec(
        token=SecretRef(file=str(tmp_path / "token")), trust=str(kept.ca),
        certificate=str(kept.server), key=str(kept.server_key),
    )  # fmt: skip
    kept.server_key.chmod(0o600)
    endpoint = f"https://127.0.0.1:{door.port}/rows"
    door.spec = door.spec.model_copy(
        update={"endpoint": endpoint, "security": security}
    )
    source = plugins.open_source(door.spec, door.scenario)
    mine = ssl.create_default_context(cafile=str(kept.ca))
    shown = ssl.create_default_context(cafile=str(kept.ca))
    shown.load_cert_chain(kept.line, kept.line_key)

    def post(context: ssl.SSLContext) -> int:
        request = urllib.request.Request(
            endpoint, door.row(), {"Authorization": f"Bearer {TOKEN}"}
        )
        with urllib.request.urlopen(  # noqa: S310 -- our own address
            request, context=context, timeout=5
        ) as answer:
            return int(answer.status)

    async def job() -> None:
        await source.connect()

        async def take() -> None:
            async for _ in source.samples():
                pass

        taking = asyncio.create_task(take())
        assert await aside(post, shown) == 200
        with pytest.raises(OSError, match=r"certificate|reset|EOF|closed"):
            await aside(post, mine)
        taking.cancel()
        await source.close()

    asyncio.run(job())


@given(st.binary(max_size=300))
def test_a_head_of_any_bytes_is_read_or_refused(data: bytes) -> None:
    for raw in (data, b"GET / HTTP/1.1\r\n" + data):
        with contextlib.suppress(AskedWrongError):
            read_request(raw + b"\r\n\r\n", Limits())
