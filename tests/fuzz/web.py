"""Targets: answers of a web server, what is posted to the line, what a desk is asked."""

from __future__ import annotations

import asyncio
import functools

from tests.fuzz.brokers import _sound
from tests.fuzz.target import Target

from tundish.catalog import library
from tundish.catalog.errors import DocumentInvalidError
from tundish.kernel.errors import DocumentMalformedError
from tundish.line.desk import MOST_LISTED, read_query, read_word
from tundish.line.httpget import read_answer_head, read_body
from tundish.line.httplisten import AskedWrongError, read_request
from tundish.line.httppost import HttpLostError
from tundish.line.httprows import RowOptions, RowReader
from tundish.line.linefile import SourceSpec
from tundish.line.samples import OLDEST_US
from tundish.line.serving.limits import Limits

_LINE = "tundish.line."
_NOW_US = 1_800_000_000_000_000
_MOST = 2000
_LIMITS = Limits()


def _answer(data: bytes) -> None:
    head, gap, rest = data.partition(b"\r\n\r\n")
    found = read_answer_head(head + gap)
    assert 100 <= found.status < 600
    assert not (found.chunked and found.length is not None)
    assert found.etag.isprintable()

    async def body() -> bytes:
        reader = asyncio.StreamReader(limit=16_384)
        reader.feed_data(rest)
        reader.feed_eof()
        return await read_body(reader, found, _MOST)

    try:
        got = asyncio.run(body())
    except (EOFError, asyncio.LimitOverrunError):  # it broke off
        return
    assert len(got) <= _MOST
    assert found.chunked or rest.startswith(got)


def _request(data: bytes) -> None:
    found = read_request(data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", _LIMITS)
    assert found.path.startswith("/")
    assert (found.path + found.query).isprintable()
    assert len(found.headers) <= _LIMITS.headers
    assert found.length is None or found.length >= 0


@functools.cache
def _readers() -> tuple[RowReader, ...]:
    scenario = library.scenario("D44.27.wind-turbine")
    names = [one.name for one in scenario.signals if one.channels == 1][:2]
    stamps = {"time": "t", "time_unit": "us", "quality": "q"}
    found = []
    for more in ({}, {"rows": "/"}, {"rows": "r", "most_rows": 3}, {"form": "csv"}):
        options = RowOptions.model_validate(stamps | more)
        spec = SourceSpec(
            kind="http",
            endpoint="http://127.0.0.1/",
            nodes=dict(zip(names, ("a", "b"), strict=False)),
        )
        found.append(RowReader(spec, scenario, options, "it"))
    return tuple(found)


def _body(data: bytes) -> None:
    refused: list[ValueError] = []
    for reader in _readers():
        try:
            _sound(list(reader.read(data, _NOW_US)))
            assert set(reader.missing(data)) <= set(reader.signals)
            for one in reader.read_timed(data):
                assert one.at_us is not None
                assert one.at_us >= OLDEST_US
        except ValueError as error:
            refused.append(error)
    for said in map(str, refused):
        assert said.isprintable()
        assert len(said) < 500
    if refused:
        raise refused[0]


def _query(data: bytes) -> None:
    found = read_query(data.decode("latin-1"))
    assert 0 < found.most <= MOST_LISTED


def _word(data: bytes) -> None:
    found = read_word(data)
    assert found.note.isprintable() or not found.note.isascii()
    assert len(found.note) <= 300
    assert len(found.by) <= 60


TARGETS = (
    Target(
        name="http-answer", parse=_answer, most=4096, meant=(HttpLostError,),
        seeds=lambda: [
            b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: "a"\r\n\r\n{}',
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\n\r\n",
            b"HTTP/1.0 503 no\r\nRetry-After: 5\r\nDate: Sun, 29 Nov 2026 08:00:00 GMT\r\n\r\nx",
        ],
        doors=(_LINE + "httpget:read_answer_head", _LINE + "httpget:read_body"),
    ),
    Target(
        name="http-posted", parse=_request, most=4096, meant=(AskedWrongError,),
        seeds=lambda: [
            b"POST /rows HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\nContent-Length: 2\r\n\r\n",
            b"GET /alarms?which=all HTTP/1.0\r\nConnection: close\r\n\r\n",
        ],
        doors=(_LINE + "httplisten:read_request",),
    ),
    Target(
        name="http-rows", parse=_body, most=4096, meant=(ValueError,),
        seeds=lambda: [
            b'{"t": 1800000000000000, "a": 1, "b": 2.5, "q": "good"}',
            b'[{"t": 1800000000000000, "a": 1}, {"t": "x", "b": null, "q": "bad"}]',
            b'{"r": [{"t": 1800000000000000, "a": "1"}]}',
            b't,a,b,q\r\n1800000000000000,1,"2",good\r\n',
        ],
        doors=(
            _LINE + "httprows:RowReader.read", _LINE + "httprows:RowReader.read_timed",
            _LINE + "httprows:RowReader.missing",
            _LINE + "jsonpayload:JsonTopic.read_document",
        ),
    ),
    Target(
        name="desk-query", parse=_query, most=300, meant=(ValueError,),
        seeds=lambda: [b"which=all&most=5", b"most=%35"],
        doors=(_LINE + "desk:read_query",),
    ),
    Target(
        name="desk-word", parse=_word, most=2048,
        meant=(DocumentMalformedError, DocumentInvalidError),
        seeds=lambda: [
            b'{"when": "2026-01-01T00:00:00Z", "answer": "right", "note": "a", "by": "b 1"}'
        ],
        doors=(_LINE + "desk:read_word",),
    ),
)  # fmt: skip
