"""Payloads of Sparkplug B, read and written by hand; pure, no protobuf runtime.

Only what a line needs of the published schema is kept: names, aliases, times, types,
plain values, arrays of numbers and the property ``Quality``. The rest (templates, data
sets, metadata) is stepped over without being looked into, so that nothing nests.

Source: Eclipse Sparkplug 3.0.0, ``sparkplug_b.proto``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from tundish.line.samples import Floats

INT8, INT16, INT32, INT64 = 1, 2, 3, 4
UINT8, UINT16, UINT32, UINT64 = 5, 6, 7, 8
FLOAT, DOUBLE, BOOLEAN, STRING = 9, 10, 11, 12
GOOD, BAD, STALE = 192, 0, 500

MOST_METRICS = 100_000
MOST_NAME = 1000
_KINDS: Final = (
    "unknown", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64",
    "Float", "Double", "Boolean", "String", "DateTime", "Text", "UUID", "DataSet",
    "Bytes", "File", "Template", "PropertySet", "PropertySetList", "Int8Array",
    "Int16Array", "Int32Array", "Int64Array", "UInt8Array", "UInt16Array",
    "UInt32Array", "UInt64Array", "FloatArray", "DoubleArray", "BooleanArray",
    "StringArray", "DateTimeArray",
)  # fmt: skip
_SIGNED: Final = {INT8: 8, INT16: 16, INT32: 32, INT64: 64}
_UNSIGNED: Final = {UINT8: 8, UINT16: 16, UINT32: 32, UINT64: 64}
_ARRAYS: Final = {
    22: "<i1", 23: "<i2", 24: "<i4", 25: "<i8", 26: "<u1", 27: "<u2", 28: "<u4",
    29: "<u8", 30: "<f4", 31: "<f8",
}  # fmt: skip
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_INT, _LONG, _F32, _F64, _BOOL, _TEXT, _RAW = 10, 11, 12, 13, 14, 15, 16
_WIRES: Final = {
    1: _BYTES, 2: _VARINT, 3: _VARINT, 4: _VARINT, 5: _VARINT, 6: _VARINT, 7: _VARINT,
    8: _BYTES, 9: _BYTES, _INT: _VARINT, _LONG: _VARINT, _F32: _FIXED32, _F64: _FIXED64,
    _BOOL: _VARINT, _TEXT: _BYTES, _RAW: _BYTES, 17: _BYTES, 18: _BYTES, 19: _BYTES,
}  # of a metric's fields  # fmt: skip

Raw = int | bytes | None
Value = float | int | bool | str | None


class PayloadError(ValueError):
    """Bytes are no payload of Sparkplug B; says what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric as it stands in a payload.

    Attributes:
        name, alias: One of them, or both (in a birth).
        time_ms: Milliseconds since 1970.
        kind: Its data type; 0 if it is not said (births say it).
        historical: It is no news: it was kept while there was no link.
        null: It has no value.
        slot, raw: Which field of the schema holds the value, and its bytes or bits.
        quality: Of the property ``Quality``, if there is one.
    """

    name: str | None = None
    alias: int | None = None
    time_ms: int | None = None
    kind: int = 0
    historical: bool = False
    null: bool = False
    slot: int = 0
    raw: Raw = None
    quality: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A payload: its time, its place in the sequence, its metrics."""

    time_ms: int | None = None
    seq: int | None = None
    metrics: tuple[Metric, ...] = ()


def kind_name(kind: int) -> str:
    """Return a data type's name for people."""
    return _KINDS[kind] if 0 <= kind < len(_KINDS) else f"type {kind}"


def decode(data: bytes) -> Payload:
    """Read a payload of untrusted origin.

    Raises:
        PayloadError: if it is none, or has more than ``MOST_METRICS`` metrics.
    """
    time_ms: int | None = None
    seq: int | None = None
    metrics: list[Metric] = []
    for field, wire, value in _fields(data):
        if field == 1 and wire == _VARINT and isinstance(value, int):
            time_ms = value
        elif field == 3 and wire == _VARINT and isinstance(value, int):
            seq = value
        elif field == 2 and isinstance(value, bytes):
            if len(metrics) >= MOST_METRICS:
                msg = f"more than {MOST_METRICS} metrics"
                raise PayloadError(msg)
            metrics.append(_metric(value))
        elif field in {1, 2, 3}:
            msg = f"field {field} has the wrong form"
            raise PayloadError(msg)
    return Payload(time_ms=time_ms, seq=seq, metrics=tuple(metrics))


def numbers(metric: Metric, kind: int, channels: int) -> tuple[Floats | None, str]:
    """Return a metric's numbers, shape [channels], or None and why there are none.

    Args:
        metric: Untrusted.
        kind: Its data type, of the birth.
        channels: How many are expected; more than one is an array.
    """
    wanted = "a number" if channels == 1 else f"{channels} numbers"
    if metric.null or metric.slot == 0:
        return None, f"no value (null), expected {wanted}"
    found: Floats | None
    if channels > 1 or kind in _ARRAYS:
        found = _array(metric, kind)
        problem = f"the type is {kind_name(kind)}, expected {wanted}"
        if found is not None and len(found) != channels:
            return None, f"{len(found)} numbers, expected {wanted}"
    else:
        value = _number(metric, kind)
        found = None if value is None else np.array((value,), np.float64)
        problem = f"the type is {kind_name(kind)}, expected {wanted}"
        if kind in _SIGNED or kind in _UNSIGNED or kind in {FLOAT, DOUBLE}:
            problem = f"the value is no {kind_name(kind)}"
    if found is None:
        return None, problem
    if not np.isfinite(found).all():
        return None, "a value that is not finite (NaN or infinite)"
    return found, ""


def boolean(metric: Metric) -> bool | None:
    """Return a truth value, or None if it is none."""
    if metric.slot != _BOOL or metric.null:
        return None
    return bool(metric.raw)


def plain(metric: Metric) -> bool | str | None:
    """Return a truth value or a text as such, or None if it is neither."""
    if metric.slot == _TEXT and not metric.null and isinstance(metric.raw, bytes):
        return metric.raw.decode("utf-8", "replace")
    return boolean(metric)


def integer(metric: Metric) -> int | None:
    """Return an integer that is not negative, or None if it is none."""
    if metric.slot not in {_INT, _LONG} or metric.null:
        return None
    return metric.raw if isinstance(metric.raw, int) else None


def metric(
    value: Value,
    kind: int,
    *,
    name: str | None = None,
    alias: int | None = None,
    time_ms: int | None = None,
) -> Metric:
    """Make a metric of a value.

    Args:
        value: Fits the kind; None is null.
        kind: ``INT8`` to ``UINT64``, ``FLOAT``, ``DOUBLE``, ``BOOLEAN`` or ``STRING``.
        name: See ``Metric``.
        alias: See ``Metric``.
        time_ms: See ``Metric``.
    """
    slot: int
    raw: Raw
    if value is None:
        slot, raw = 0, None
    elif kind in {FLOAT, DOUBLE}:
        form = ("<f", "<d")[kind == DOUBLE]
        slot, raw = (_F32, _F64)[kind == DOUBLE], struct.pack(form, value)
    elif kind == BOOLEAN:
        slot, raw = _BOOL, int(bool(value))
    elif kind == STRING:
        slot, raw = _TEXT, str(value).encode()
    elif kind in {INT64, UINT64}:
        slot, raw = _LONG, int(value) & (2**64 - 1)
    else:
        slot, raw = _INT, int(value) & (2**32 - 1)
    return Metric(
        name=name,
        alias=alias,
        time_ms=time_ms,
        kind=kind,
        null=value is None,
        slot=slot,
        raw=raw,
    )


def encode(payload: Payload) -> bytes:
    """Write a payload; data types of metrics are written where they are not 0."""
    found = bytearray()
    if payload.time_ms is not None:
        found += _key(1, _VARINT) + _varint(payload.time_ms)
    for one in payload.metrics:
        body = _encoded(one)
        found += _key(2, _BYTES) + _varint(len(body)) + body
    if payload.seq is not None:
        found += _key(3, _VARINT) + _varint(payload.seq)
    return bytes(found)


def _encoded(one: Metric) -> bytes:
    found = bytearray()
    if one.name is not None:
        found += _block(1, one.name.encode())
    for field, number in ((2, one.alias), (3, one.time_ms), (4, one.kind or None)):
        if number is not None:
            found += _key(field, _VARINT) + _varint(number)
    for field, said in ((5, one.historical), (7, one.null)):
        if said:
            found += _key(field, _VARINT) + b"\x01"
    if one.quality is not None:
        value = _key(1, _VARINT) + _varint(INT32) + _key(3, _VARINT)
        value += _varint(one.quality)
        found += _block(9, _block(1, b"Quality") + _block(2, value))
    if isinstance(one.raw, int):
        found += _key(one.slot, _VARINT) + _varint(one.raw)
    elif isinstance(one.raw, bytes) and one.slot in {_F32, _F64}:
        found += _key(one.slot, _WIRES[one.slot]) + one.raw
    elif isinstance(one.raw, bytes):
        found += _block(one.slot, one.raw)
    return bytes(found)


def _metric(data: bytes) -> Metric:
    name: str | None = None
    said: dict[int, int] = {}
    slot, raw, quality = 0, None, None
    for field, wire, value in _fields(data):
        if field not in _WIRES:
            continue
        if wire != _WIRES[field]:
            msg = f"field {field} of a metric has the wrong form"
            raise PayloadError(msg)
        if field >= _INT:
            slot, raw = field, value
        elif isinstance(value, int):
            said[field] = value
        elif field == 1:
            name = _name(value)
        elif field == 9:
            quality = _quality(value)
    return Metric(
        name=name,
        alias=said.get(2),
        time_ms=said.get(3),
        kind=said.get(4, 0),
        historical=bool(said.get(5)),
        null=bool(said.get(7)),
        slot=slot,
        raw=raw,
        quality=quality,
    )


def _quality(data: bytes) -> int | None:
    """Return the property ``Quality`` of a property set."""
    names: list[bytes] = []
    values: list[bytes] = []
    for field, _, value in _fields(data):
        if field in {1, 2} and isinstance(value, bytes):
            (names if field == 1 else values).append(value)
    if len(names) != len(values):
        msg = "a set of properties with more names than values, or fewer"
        raise PayloadError(msg)
    if b"Quality" not in names:
        return None
    found: int | None = None
    for field, wire, value in _fields(values[names.index(b"Quality")]):
        if field in {3, 4} and wire == _VARINT and isinstance(value, int):
            found = value
    return found


def _name(data: bytes) -> str:
    if len(data) > MOST_NAME:
        msg = f"a name of {len(data)} bytes; at most {MOST_NAME} are read"
        raise PayloadError(msg)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        msg = "a name that is no text"
        raise PayloadError(msg) from error


def _number(metric: Metric, kind: int) -> float | None:
    raw = metric.raw
    if metric.slot in {_INT, _LONG} and isinstance(raw, int):
        if kind in _SIGNED:
            bits = _SIGNED[kind]
            low = raw & (2**bits - 1)
            sign = raw >> (bits - 1)
            whole = {2 ** (n - bits + 1) - 1 for n in (bits, 32, 64) if n >= bits}
            if sign and sign not in whole:  # not the same number, only its low bits
                return None
            return float(low - 2**bits if sign else low)
        return (
            float(raw)
            if raw < 2 ** _UNSIGNED.get(kind, 0) and kind in _UNSIGNED
            else None
        )
    if isinstance(raw, bytes):
        if metric.slot == _F32 and kind == FLOAT:
            return float(struct.unpack("<f", raw)[0])
        if metric.slot == _F64 and kind == DOUBLE:
            return float(struct.unpack("<d", raw)[0])
    return None


def _array(metric: Metric, kind: int) -> Floats | None:
    form = _ARRAYS.get(kind)
    raw = metric.raw
    if form is None or metric.slot != _RAW or not isinstance(raw, bytes):
        return None
    if len(raw) % np.dtype(form).itemsize:
        return None
    return np.frombuffer(raw, form).astype(np.float64)


def _fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Give the fields of a message: number, wire type, bits or bytes."""
    place, end = 0, len(data)
    while place < end:
        key, place = _read_varint(data, place)
        field, wire = key >> 3, key & 7
        if not field:
            msg = "a field without a number"
            raise PayloadError(msg)
        if wire == _VARINT:
            value, place = _read_varint(data, place)
            yield field, wire, value
            continue
        if wire == _BYTES:
            size, place = _read_varint(data, place)
        elif wire in {_FIXED32, _FIXED64}:
            size = 4 if wire == _FIXED32 else 8
        else:
            msg = f"a field of the form {wire}, which no payload has"
            raise PayloadError(msg)
        if size > end - place:
            msg = "a field that does not end"
            raise PayloadError(msg)
        yield field, wire, data[place : place + size]
        place += size


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for step in range(10):
        if place + step >= len(data):
            break
        byte = data[place + step]
        value |= (byte & 0x7F) << 7 * step
        if byte < 0x80:
            return value & (2**64 - 1), place + step + 1
    msg = "a number that does not end"
    raise PayloadError(msg)


def _varint(number: int) -> bytes:
    found = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        found.append(low | 0x80 * bool(number))
        if not number:
            return bytes(found)


def _key(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _block(field: int, body: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(body)) + body
