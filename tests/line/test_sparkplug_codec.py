"""Laws of the Sparkplug B codec, against the real protobuf runtime."""

from __future__ import annotations

import dataclasses
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.line.sparkplugschema import RealPayload

from tundish.line import sparkplug
from tundish.line.sparkplug import (
    BOOLEAN,
    DOUBLE,
    FLOAT,
    INT8,
    INT16,
    INT32,
    INT64,
    STRING,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    Payload,
    PayloadError,
)

RANGES = {
    INT8: (-(2**7), 2**7 - 1), INT16: (-(2**15), 2**15 - 1),
    INT32: (-(2**31), 2**31 - 1), INT64: (-(2**63), 2**63 - 1),
    UINT8: (0, 2**8 - 1), UINT16: (0, 2**16 - 1), UINT32: (0, 2**32 - 1),
    UINT64: (0, 2**64 - 1),
}  # fmt: skip


def _real(**fields: Any) -> Any:
    message = RealPayload(timestamp=1_800_000_000_000, seq=3)
    message.metrics.add(**fields)
    return message


def _number(message: Any, kind: int) -> tuple[float | None, str]:
    metric = sparkplug.decode(message.SerializeToString()).metrics[0]
    found, why = sparkplug.numbers(metric, kind, 1)
    return (None if found is None else float(found[0])), why


@given(
    value=st.one_of(
        *[
            st.tuples(st.just(kind), st.integers(*ends))
            for kind, ends in RANGES.items()
        ],
        st.tuples(st.just(DOUBLE), st.floats(allow_nan=False)),
        st.tuples(st.just(FLOAT), st.floats(width=32, allow_nan=False)),
        st.tuples(st.just(BOOLEAN), st.booleans()),
        st.tuples(st.just(STRING), st.text(max_size=20)),
        st.tuples(st.just(DOUBLE), st.none()),
    ),
    name=st.none() | st.text(max_size=20),
    alias=st.none() | st.integers(0, 2**64 - 1),
    quality=st.none() | st.sampled_from([0, 192, 500]),
)
def test_the_protobuf_runtime_reads_what_we_write(
    value: tuple[int, Any], name: str | None, alias: int | None, quality: int | None
) -> None:
    kind, said = value
    ours = sparkplug.metric(said, kind, name=name, alias=alias, time_ms=17)
    ours = dataclasses.replace(ours, historical=True, quality=quality)
    payload = Payload(time_ms=1_800_000_000_000, seq=255, metrics=(ours, ours))
    data = sparkplug.encode(payload)
    real = RealPayload.FromString(data)
    assert (real.timestamp, real.seq, len(real.metrics)) == (1_800_000_000_000, 255, 2)
    metric = real.metrics[1]
    assert (metric.datatype, metric.timestamp) == (kind, 17)
    assert metric.is_historical
    assert metric.is_null == (said is None)
    assert (metric.name if metric.HasField("name") else None) == name
    assert (metric.alias if metric.HasField("alias") else None) == alias
    if quality is not None:
        assert list(metric.properties.keys) == ["Quality"]
        assert metric.properties.values[0].int_value == quality
    if kind == DOUBLE and said is not None:
        assert metric.double_value == said
    if kind == STRING:
        assert metric.string_value == said
    assert sparkplug.decode(data) == payload


@pytest.mark.parametrize("kind", RANGES)
def test_integers_of_every_width_and_sign_are_read(kind: int) -> None:
    bits = 64 if kind in {INT64, UINT64} else 32
    slot = "long_value" if bits == 64 else "int_value"
    for value in (*RANGES[kind], 0, 1):
        message = _real(name="m", datatype=kind, **{slot: value & (2**bits - 1)})
        assert _number(message, kind) == (float(value), "")
        short = value & (2 ** (8 if kind == INT8 else bits) - 1)
        assert _number(_real(name="m", **{slot: short}), kind) == (float(value), "")


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (INT8, {"int_value": 300}),
        (UINT8, {"int_value": 256}),
        (UINT16, {"long_value": 2**40}),
        (INT32, {"double_value": 1.0}),
        (DOUBLE, {"float_value": 1.0}),
        (DOUBLE, {"int_value": 1}),
        (FLOAT, {"string_value": "1.0"}),
        (DOUBLE, {"boolean_value": True}),
        (BOOLEAN, {"boolean_value": True}),
        (STRING, {"string_value": "1.0"}),
        (DOUBLE, {"is_null": True}),
        (DOUBLE, {"is_null": True, "double_value": 1.0}),
        (DOUBLE, {}),
        (DOUBLE, {"double_value": math.nan}),
        (FLOAT, {"float_value": math.inf}),
        (0, {"double_value": 1.0}),
        (99, {"int_value": 1}),
        (31, {"bytes_value": struct.pack("<2d", 1.0, 2.0)}),
        (17, {"bytes_value": b"12345678"}),
    ],
)
def test_what_is_no_number_of_its_type_never_becomes_one(
    kind: int, fields: dict[str, Any]
) -> None:
    value, why = _number(_real(name="m", **fields), kind)
    assert value is None
    assert why


@pytest.mark.parametrize(
    ("kind", "form"), [(22, "<i1"), (27, "<u2"), (25, "<i8"), (30, "<f4"), (31, "<f8")]
)
def test_arrays_of_numbers_are_read(kind: int, form: str) -> None:
    data = np.array([1, 2, 100]).astype(form).tobytes()
    real = _real(name="m", datatype=kind, bytes_value=data)
    metric = sparkplug.decode(real.SerializeToString()).metrics[0]
    found, _ = sparkplug.numbers(metric, kind, 3)
    assert found is not None
    assert found.tolist() == [1, 2, 100]
    assert sparkplug.numbers(metric, kind, 4)[0] is None


def test_what_a_line_does_not_need_is_stepped_over() -> None:
    real = _real(name="m", datatype=DOUBLE, double_value=2.5)
    metric = real.metrics[0]
    metric.metadata.description = "x" * 1000
    metric.properties.keys.extend(["Unit", "Quality"])
    metric.properties.values.add(type=12, string_value="bar")
    metric.properties.values.add(type=3, int_value=500)
    inner = real.metrics.add(name="t", datatype=19).template_value
    for _ in range(200):  # deeper than any recursion would go
        inner = inner.metrics.add(name="t").template_value
    found = sparkplug.decode(real.SerializeToString())
    assert found.metrics[0].quality == 500
    assert [one.name for one in found.metrics] == ["m", "t"]
    assert sparkplug.numbers(found.metrics[1], 19, 1)[0] is None


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",  # a number that does not end
        b"\x08" + b"\xff" * 10,
        b"\x12\x05\x0a",  # a metric that does not end
        b"\x12\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",  # of 2 ** 63 bytes
        b"\x0b\x0c",  # groups
        b"\x00\x00",
        b"\x12\x02\x0a\x7f",  # a name that does not end
        b"\x12\x03\x0a\x01\xff",  # a name that is no text
        b"\x12\x02\x08\x01",  # a name that is a number
        b"\x12\x06\x4a\x04\x0a\x02ab",  # a property without a value
        b"\x10\x01",  # metrics that are a number
    ],
)
def test_broken_bytes_are_refused_and_nothing_else_happens(data: bytes) -> None:
    with pytest.raises(PayloadError):
        sparkplug.decode(data)


def test_the_number_of_metrics_is_bounded() -> None:
    with pytest.raises(PayloadError, match="more than"):
        sparkplug.decode(b"\x12\x00" * (sparkplug.MOST_METRICS + 1))


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_do_anything_but_read_or_refuse(data: bytes) -> None:
    try:
        found = sparkplug.decode(data)
    except PayloadError:
        return
    for metric in found.metrics:
        sparkplug.numbers(metric, metric.kind, 1)
        sparkplug.numbers(metric, metric.kind, 3)
