"""Targets of what a Modbus server answers, of its nodes, and of files with rows."""

from __future__ import annotations

import functools

from tests.fuzz.target import Target, at_file

from tundish.catalog import library
from tundish.line.filerows import FileRefusedError, RowForm, read_rows
from tundish.line.httppost import HttpLostError, read_address, read_head
from tundish.line.linefile import NodeSpec, OptionValue, SinkSpec, SourceSpec
from tundish.line.modbustags import Block, plan, read_place, to_tags, values_of
from tundish.line.modbuswire import (
    HEADER_BYTES,
    ModbusMalformedError,
    ModbusRefusedError,
    read_answer,
    read_header,
)
from tundish.line.security import SecretRef, SecuritySpec
from tundish.line.sinks.metrics import MetricsSink

_WIRE, _TAGS = "tundish.line.modbuswire:", "tundish.line.modbustags:"
_SCENARIO = library.scenario("D44.27.wind-turbine")
_NODES: tuple[tuple[str, dict[str, OptionValue]], ...] = (
    ("holding:1", {"type": "float32"}), ("holding:4", {"type": "bool", "bit": 3}),
    ("holding:9", {"type": "int64", "words": "little", "bytes": "little"}),
)  # fmt: skip


@functools.cache
def _block() -> Block:
    names = [signal.name for signal in _SCENARIO.signals][: len(_NODES)]
    nodes: dict[str, str | NodeSpec] = {
        name: NodeSpec(node=node, options=options)
        for name, (node, options) in zip(names, _NODES, strict=True)
    }
    spec = SourceSpec(kind="modbus", endpoint="modbus://h:1", nodes=nodes)
    (block,) = plan(to_tags(spec, _SCENARIO, 1, None), 8)
    return block


def _answer(data: bytes) -> None:
    block = _block()
    header = read_header(data[:HEADER_BYTES])
    found = read_answer(block.question, header, data[HEADER_BYTES:])
    for tag in block.tags:
        assert values_of(tag, block.question, found).shape == (1,)


def _place(data: bytes) -> None:
    table, address = read_place(data.decode("utf-8", "replace"), "it")
    assert f"{table}:{address}".encode() == data


def _rows(data: bytes) -> None:
    columns = {"a": NodeSpec(node="a", scale=2.0), "b": NodeSpec(node="b")}
    form = RowForm(json=data[:1] == b"{", time_column="time", columns=columns)
    for row in read_rows(data, form):
        for sample in row:
            assert sample.at_us is not None
            assert (sample.values is None) == (sample.quality == "bad")


def _head(data: bytes) -> None:
    found = read_head(data)
    assert 0 <= found.status <= 999
    assert 0 <= (found.rest or 0) <= 65_536


def _address(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    place = read_address(text, "it")
    assert place.host
    assert 0 < place.port < 65_536
    assert not set(" \r\n") & set(place.target + place.host)


@functools.cache
def _watch() -> MetricsSink:
    token = SecretRef(file=str(at_file("watch.token", b"abc.def")))
    return MetricsSink(
        SinkSpec(
            kind="metrics",
            name="watch",
            endpoint="http://127.0.0.1:1/metrics",
            security=SecuritySpec(token=token),
            nodes={"estimate": "level"},
        )
    )


def _request(data: bytes) -> None:
    status, text = _watch().answer(data)
    assert (status == 200) == bool(text)
    assert status != 200 or b"abc.def" in data


TARGETS = (
    Target(
        name="modbus-answer", parse=_answer, most=300,
        meant=(ModbusMalformedError, ModbusRefusedError),
        seeds=lambda: [
            b"\0\1\0\0\0\x1b\1\3\x18" + bytes(range(24)), b"\0\1\0\0\0\3\1\x83\2",
            b"\0\1\0\0\0\3\2\x83\2",
        ],
        doors=(_WIRE + "read_header", _WIRE + "read_answer", _TAGS + "values_of"),
    ),
    Target(
        name="modbus-node", parse=_place, most=100,
        seeds=lambda: [b"holding:100", b"coil:0", b"input:65536"],
        doors=(_TAGS + "read_place",),
    ),
    Target(
        name="http-request", parse=_request, most=2048,
        seeds=lambda: [
            b"GET /metrics HTTP/1.1\r\nAuthorization: Bearer abc.def\r\n\r\n",
            b"POST /x HTTP/1.0\r\nauthorization: bearer abc.def\r\n\r\n",
        ],
        doors=("tundish.line.sinks.metrics:MetricsSink.answer",),
    ),
    Target(
        name="http-head", parse=_head, most=2048, meant=(HttpLostError,),
        seeds=lambda: [
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
            b"HTTP/1.0 503 no\r\nTransfer-Encoding: chunked\r\n\r\n",
        ],
        doors=("tundish.line.httppost:read_head",),
    ),
    Target(
        name="web-address", parse=_address, most=600,
        seeds=lambda: [b"https://desk.plant.example:8443/a?b=1", b"http://[::1]/"],
        doors=("tundish.line.httppost:read_address",),
    ),
    Target(
        name="rows", parse=_rows, most=4096, meant=(FileRefusedError,),
        seeds=lambda: [
            b"time,a,b\n2026-01-01T00:00:00Z,1.5,x\n5,,-2e1\n",
            b'{"time": 5, "a": 1, "b": null}\n{"time": "2026-01-01T00:00:00Z"}\n',
        ],
        doors=("tundish.line.filerows:read_rows",),
    ),
)  # fmt: skip
