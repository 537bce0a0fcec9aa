"""Laws of the HTTP source that asks, against the standard library's server and hostile ones."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.line.certs import make_certificates

from tundish.kernel.errors import TundishError
from tundish.line import plugins
from tundish.line.errors import (
    LineFileInvalidError,
    LinkRefusedError,
    NodeMissingError,
    SourceUnreachableError,
)
from tundish.line.httpget import MOST_CHUNKS, HttpGet, read_answer_head, read_body
from tundish.line.httppost import HttpLostError, read_address
from tundish.line.linefile import SourceSpec
from tundish.line.samples import Arrival, Sample
from tundish.line.security import SecretRef, SecuritySpec

Kit = Any
STAMPS: dict[str, Any] = {"time": "/t", "time_unit": "us", "quality": "/q"}
TOKEN = "a.token-of/this=test"  # noqa: S105


class Server:
    """Answers what it is told, and keeps what it was asked with."""

    def __init__(self) -> None:
        self.body = b"{}"
        self.status = 200
        self.headers: dict[str, str] = {}
        self.asked: list[dict[str, str]] = []


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[tuple[Server, str]]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.asked.append(dict(self.headers))
            self.send_response(server.status)
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(server.body)))
            self.end_headers()
            self.wfile.write(server.body)

        def log_message(self, *_: object) -> None:
            pass

    http_server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http_server.daemon_threads = True
    if context is not None:
        http_server.socket = context.wrap_socket(http_server.socket, server_side=True)
    thread = threading.Thread(target=http_server.serve_forever, daemon=True)
    thread.start()
    scheme = "http" if context is None else "https"
    try:
        yield server, f"{scheme}://127.0.0.1:{http_server.server_port}/now"
    finally:
        http_server.shutdown()
        http_server.server_close()
        thread.join()


def source(
    kit: Kit,
    endpoint: str,
    nodes: Any = None,
    security: SecuritySpec | None = None,
    **options: Any,
) -> Any:
    spec = SourceSpec(
        kind="http",
        endpoint=endpoint,
        security=security,
        nodes=nodes or {"level": "/v"},
        options=STAMPS | {"timeout_s": 1.0} | options,
    )
    scenario = kit.scenario(periods=dict.fromkeys(spec.nodes, 10.0))
    return plugins.open_source(spec, scenario)


def gives(one: Any, count: int) -> list[Arrival]:
    """Connect, return the next arrivals, and let go."""

    async def job() -> list[Arrival]:
        await one.connect()
        found: list[Arrival] = []
        try:
            async for arrival in one.samples():
                found.append(arrival)
                if len(found) == count:
                    return found
        finally:
            await one.close()
        raise AssertionError

    return asyncio.run(asyncio.wait_for(job(), 10))


def samples(arrivals: list[Arrival]) -> list[Sample]:
    return [sample for arrival in arrivals for sample in arrival.samples]


@pytest.mark.integration
def test_rows_of_a_list_come_in_order_with_their_quality_and_conversion(
    kit: Kit,
) -> None:
    with serving() as (server, endpoint):
        rows = [
            {"t": kit.START_US + 2, "v": 3, "q": "good"},
            {"t": kit.START_US + 1, "v": 2, "q": "uncertain"},
            {"t": kit.START_US + 3, "v": "4", "q": "good"},
            {"t": kit.START_US + 4, "v": 5, "q": "bad"},
            {"t": kit.START_US + 5, "q": "good"},
        ]
        server.body = json.dumps({"data": {"rows": rows}}).encode()
        nodes = {"level": {"node": "v", "scale": 10.0, "offset": 1.0}}
        found = samples(gives(source(kit, endpoint, nodes, rows="data.rows"), 3))
    assert [(s.at_us or 0) - kit.START_US for s in found] == [1, 2, 3, 4, 5]
    assert [s.quality for s in found] == ["uncertain", "good", "bad", "bad", "bad"]
    assert [None if s.values is None else s.values.tolist() for s in found] == [
        [21.0], [31.0], None, None, None,
    ]  # fmt: skip
    assert "a text" in found[2].reason


@pytest.mark.integration
def test_a_csv_has_its_columns_by_name(kit: Kit) -> None:
    with serving() as (server, endpoint):
        server.body = (
            b"when,zone 1.temp,q\r\n"
            b"2026-01-01T00:00:00Z,5.5,good\r\n"
            b'2026-01-01T00:00:10Z,"1,5",good\r\n'
        )
        one = source(
            kit, endpoint, {"level": "zone 1.temp"},
            form="csv", time="when", time_unit="iso", quality="q",
        )  # fmt: skip
        found = samples(gives(one, 3))
    assert [None if s.values is None else s.values.tolist() for s in found] == [
        [5.5],
        None,
    ]
    assert [s.quality for s in found] == ["good", "bad"]


@pytest.mark.integration
def test_an_answer_with_a_mark_is_not_sent_again(kit: Kit) -> None:
    with serving() as (server, endpoint):
        server.body = json.dumps({"t": kit.START_US, "v": 1, "q": "good"}).encode()
        server.headers = {"ETag": '"one"'}

        async def job() -> None:
            one = source(kit, endpoint, period_s=0.05)
            await one.connect()
            async for arrival in one.samples():
                if arrival.samples:
                    server.status, server.body = 304, b""
                if len(server.asked) == 4:
                    break
            await one.close()

        asyncio.run(asyncio.wait_for(job(), 10))
    assert [one.get("If-None-Match") for one in server.asked] == [
        None, '"one"', '"one"', '"one"',
    ]  # fmt: skip


@pytest.mark.integration
def test_a_signal_that_is_in_no_row_is_said_at_the_start_and_a_null_is_not(
    kit: Kit,
) -> None:
    with serving() as (server, endpoint):
        server.body = b'{"t": 1, "v": null, "q": "good"}'
        assert samples(gives(source(kit, endpoint), 3))[0].quality == "bad"
        with pytest.raises(NodeMissingError, match="'/w' for the signal level"):
            gives(source(kit, endpoint, {"level": "/w"}), 1)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (302, LinkRefusedError, "no redirect is followed"),
        (401, LinkRefusedError, "does not know our token"),
        (404, SourceUnreachableError, "nothing is there"),
        (503, SourceUnreachableError, "answered 503"),
        (304, LinkRefusedError, "answered 304"),
    ],
)
def test_what_is_no_answer_with_rows_ends_the_start_with_its_reason(
    kit: Kit, status: int, error: type[TundishError], said: str
) -> None:
    with serving() as (server, endpoint):
        server.status = status
        server.headers = {"Location": "http://127.0.0.1:1/"}
        with pytest.raises(error, match=said):
            gives(source(kit, endpoint), 1)
        assert len(server.asked) == 1


@pytest.mark.integration
def test_over_tls_only_the_pinned_authority_counts(kit: Kit, tmp_path: Path) -> None:
    kept = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(kept.server, kept.server_key)
    secret = tmp_path / "token"
    secret.write_text(TOKEN + "\n")
    token = SecretRef(file=str(secret))
    with serving(context) as (server, endpoint):
        server.body = json.dumps({"t": kit.START_US, "v": 1, "q": "good"}).encode()
        mine = SecuritySpec(trust=str(kept.ca), token=token)
        assert samples(gives(source(kit, endpoint, security=mine), 3))
        assert server.asked[0]["Authorization"] == f"Bearer {TOKEN}"
        other = SecuritySpec(trust=str(kept.other_ca), token=token)
        with pytest.raises(LinkRefusedError, match="authority that security"):
            gives(source(kit, endpoint, security=other), 1)
        assert len(server.asked) == 1, "a token went to a stranger"


@pytest.mark.integration
def test_a_password_is_shown_and_never_in_the_clear_beyond_this_machine(
    kit: Kit, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text("geheim")
    user = SecuritySpec(user="line", password=SecretRef(file=str(secret)))
    with serving() as (server, endpoint):
        server.body = json.dumps({"t": kit.START_US, "v": 1, "q": "good"}).encode()
        gives(source(kit, endpoint, security=user), 1)
        assert server.asked[0]["Authorization"] == "Basic bGluZTpnZWhlaW0="
    with pytest.raises(LineFileInvalidError, match="in the clear"):
        source(kit, "http://10.0.0.5/now", security=user)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"period_s": 1000.0}, "say a shorter options.period_s"),
        ({"form": "csv", "rows": "/rows"}, "every line of a CSV is a row"),
        ({"time": "/a//b"}, "expected one such as"),
    ],
)
def test_what_does_not_fit_together_is_said(kit: Kit, options: Any, said: str) -> None:
    with pytest.raises(LineFileInvalidError, match=said):
        source(kit, "http://127.0.0.1:1/now", **options)


@pytest.mark.integration
def test_check_shows_what_is_there_and_keeps_nothing(kit: Kit) -> None:
    with serving() as (server, endpoint):
        server.body = json.dumps({"t": kit.START_US, "v": 7, "q": "uncertain"}).encode()
        one = source(kit, endpoint, {"level": "/v", "other": "/gone"})
        found = asyncio.run(one.inspect())
        assert [tag.problem for tag in found.tags] == ["", "nothing is at this place"]
        assert found.tags[0].values == (7.0,)
        assert found.tags[0].quality == "uncertain"
        assert found.clock is not None
        assert abs(found.clock.offset_s) < 3


def _read(raw: bytes, most: int = 1000) -> bytes:
    """Read an answer from bytes as ours reads it."""

    async def job() -> bytes:
        reader = asyncio.StreamReader(limit=16_384)
        reader.feed_data(raw)
        reader.feed_eof()
        head = read_answer_head(await reader.readuntil(b"\r\n\r\n"))
        return await read_body(reader, head, most)

    return asyncio.run(job())


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=8))
def test_pieces_are_put_together_as_the_standard_library_does(
    pieces: list[bytes],
) -> None:
    body = b"".join(b"%x;x=1\r\n%s\r\n" % (len(one), one) for one in pieces)
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"

    class Socket:
        def makefile(self, *_: object) -> io.BytesIO:
            return io.BytesIO(raw)

    peer = http.client.HTTPResponse(Socket())  # type: ignore[arg-type]
    peer.begin()
    assert _read(raw) == peer.read() == b"".join(pieces)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"HTTP/2 200\r\n\r\n", "no answer of HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", "two"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
            "read in two ways",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "read in two ways"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", "packed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "no number"),
        (b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n", "cannot be read"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 101 + b"\r\n", "more than 100"),
    ],
)
def test_a_head_that_can_be_read_in_two_ways_is_refused(head: bytes, said: str) -> None:
    with pytest.raises(HttpLostError, match=said):
        read_answer_head(head)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"1\r\nx\r\n" * (MOST_CHUNKS + 1),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n",
    ],
)
def test_a_body_that_is_too_large_or_in_no_pieces_is_refused(raw: bytes) -> None:
    most = 1000 if len(raw) < 5000 else 10**6
    with pytest.raises(HttpLostError):
        _read(raw, most)


@given(st.binary(max_size=200))
def test_a_head_of_any_bytes_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(HttpLostError):
        read_answer_head(data + b"\r\n\r\n")


@pytest.mark.integration
def test_an_answer_that_comes_too_late_is_no_answer_of_the_next_question() -> None:
    """The one before timed out: its connection is not used again."""

    async def job() -> list[bytes]:
        count = 0
        given_up = asyncio.Event()

        async def slow(reader: Any, writer: Any) -> None:
            nonlocal count
            with contextlib.closing(writer), contextlib.suppress(EOFError):
                while await reader.readuntil(b"\r\n\r\n"):
                    count += 1
                    number = b"%d" % count
                    if count == 1:
                        await given_up.wait()
                    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
                    writer.write(head + number)

        server = await asyncio.start_server(slow, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        link = HttpGet(read_address(f"http://127.0.0.1:{port}/", "x"), None, 1.0)
        with pytest.raises(HttpLostError, match="did not answer within"):
            await link.get({}, 10)
        given_up.set()
        await asyncio.sleep(0.1)
        found = [(await link.get({}, 10)).body for _ in range(2)]
        link.drop()
        server.close()
        await asyncio.sleep(0.05)
        return found

    assert asyncio.run(job()) == [b"2", b"3"]
