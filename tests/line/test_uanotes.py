"""What is read at once is what asyncua reads field by field."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from asyncua import ua as _ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from tundish.kernel.clock import SystemClock
from tundish.line.linefile import NodeSpec
from tundish.line.uanotes import PlainNotes, read_response
from tundish.line.uaoptions import OpcUaSourceOptions
from tundish.line.uasubscribe import Subscription
from tundish.line.uavalues import Tag

ua: Any = _ua  # its stubs want types that it does not want itself

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WIDE = 3
TAGS = [
    Tag(
        signal=f"s{number}",
        channels=4 if number == WIDE else 1,
        node=ua.NodeId(number, 2),
        spec=NodeSpec(node=f"ns=2;i={number}", scale=scale, offset=offset),
    )
    for number, (scale, offset) in enumerate(
        [(1.0, 0.0), (0.1, 32.0), (1e300, 0.0), (1.0, 0.0)]
    )
]
NUMBERS = ["SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64"]


def value(kind: str, number: float) -> Any:
    if kind in NUMBERS:
        number = int(min(abs(number), 1e9)) % 100
    return ua.Variant(number, getattr(ua.VariantType, kind))


plain = st.builds(
    lambda kind, number, age, server: ua.DataValue(
        value(kind, number),
        SourceTimestamp=NOW - timedelta(microseconds=age),
        ServerTimestamp=NOW if server else None,
    ),
    st.sampled_from([*NUMBERS, "Float", "Double"]),
    st.floats(width=32, allow_nan=False),
    st.integers(0, 10**9),
    st.booleans(),
)
strange = st.sampled_from(
    [
        ua.DataValue(ua.Variant(1.5), StatusCode=ua.StatusCode(0x80000000)),
        ua.DataValue(
            ua.Variant(1.5), StatusCode=ua.StatusCode(0x40000000), SourceTimestamp=NOW
        ),
        ua.DataValue(ua.Variant(1.5), ServerTimestamp=NOW),
        ua.DataValue(ua.Variant(1.5)),
        ua.DataValue(ua.Variant(True), SourceTimestamp=NOW),
        ua.DataValue(ua.Variant("7"), SourceTimestamp=NOW),
        ua.DataValue(ua.Variant([1.0, 2.0, 3.0, 4.0]), SourceTimestamp=NOW),
        ua.DataValue(ua.Variant(None), SourceTimestamp=NOW),
        ua.DataValue(
            ua.Variant(2.5), SourceTimestamp=NOW, SourcePicoseconds=ua.UInt16(3)
        ),
        ua.DataValue(ua.Variant(1.0), SourceTimestamp=datetime(1980, 1, 1, tzinfo=UTC)),
        ua.DataValue(ua.Variant(1.0), SourceTimestamp=datetime(1601, 1, 1, tzinfo=UTC)),
    ]
)
items = st.tuples(st.integers(1, len(TAGS) + 1), plain)
any_items = st.tuples(st.integers(1, len(TAGS) + 1), plain | strange)


def response(values: list[tuple[int, Any]], kept: int = 0) -> Any:
    notes = [ua.MonitoredItemNotification(ClientHandle=h, Value=v) for h, v in values]
    made = ua.PublishResponse()
    made.Parameters.SubscriptionId = 7
    made.Parameters.AvailableSequenceNumbers = list(range(kept))
    made.Parameters.NotificationMessage = ua.NotificationMessage(
        SequenceNumber=5,
        PublishTime=NOW,
        NotificationData=[ua.DataChangeNotification(MonitoredItems=notes)],
    )
    return made


def heard(answer: Any) -> list[tuple[Any, ...]]:
    nobody: Any = None
    reader = Subscription(nobody, TAGS, OpcUaSourceOptions(), nobody, SystemClock())
    samples = reader._read(answer.Parameters)
    assert reader._fresh == {int(s.signal[1:]) + 1 for s in samples}
    return [
        (*one[:3], None if one.values is None else one.values.tolist(), one.reason)
        for one in samples
    ]


@settings(max_examples=150, deadline=None)
@given(st.lists(items, min_size=1, max_size=30), st.integers(0, 3))
def test_plain_numbers_are_read_at_once_and_as_asyncua_reads_them(
    values: list[tuple[int, Any]], kept: int
) -> None:
    data = struct_to_binary(response(values, kept))
    quick = read_response(data)
    slow = struct_from_binary(ua.PublishResponse, Buffer(data))
    (notes,) = quick.Parameters.NotificationMessage.NotificationData
    assert isinstance(notes, PlainNotes)
    assert heard(quick) == heard(slow)
    for answer in (quick, slow):
        answer.Parameters.NotificationMessage.NotificationData = []
    assert quick == slow


@settings(max_examples=150, deadline=None)
@given(st.lists(any_items, min_size=1, max_size=20))
def test_whatever_is_different_is_left_to_asyncua(
    values: list[tuple[int, Any]],
) -> None:
    data = struct_to_binary(response(values))
    slow = struct_from_binary(ua.PublishResponse, Buffer(data))
    assert heard(read_response(data)) == heard(slow)


@settings(max_examples=300, deadline=None)
@given(st.lists(items, min_size=1, max_size=5), st.data())
def test_changed_bytes_mean_what_they_mean_to_asyncua(
    values: list[tuple[int, Any]], draw: Any
) -> None:
    data = bytearray(struct_to_binary(response(values)))
    for _ in range(draw.draw(st.integers(1, 3))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    cut = bytes(data[: draw.draw(st.integers(len(data) - 4, len(data)))])
    try:
        slow = struct_from_binary(ua.PublishResponse, Buffer(cut))
        expected = heard(slow)
    except Exception:  # noqa: BLE001  (whatever asyncua says of it)
        with pytest.raises(Exception):  # noqa: B017, PT011
            heard(read_response(cut))
        return
    assert repr(heard(read_response(cut))) == repr(expected)


def test_a_thousand_plain_numbers_make_one_note() -> None:
    values = [
        (1 + n % 3, ua.DataValue(ua.Variant(float(n)), SourceTimestamp=NOW))
        for n in range(1000)
    ]
    quick = read_response(struct_to_binary(response(values)))
    (notes,) = quick.Parameters.NotificationMessage.NotificationData
    assert np.array_equal(notes.values, np.arange(1000.0))
    assert replace(notes, handles=[]).handles == []
