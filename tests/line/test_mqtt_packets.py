"""Laws of the MQTT packet reader: bytes in, packets or a refusal out."""

from __future__ import annotations

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.line import mqttpackets as packets
from tundish.line.mqttpackets import (
    Ack,
    Connack,
    Farewell,
    Hello,
    MalformedError,
    Packet,
    PacketReader,
    Pong,
    Publish,
    Version,
    Will,
)


def _read(version: Version, *chunks: bytes) -> list[Packet]:
    reader = PacketReader(version)
    return [packet for chunk in chunks for packet in reader.feed(chunk)]


MESSAGE = {
    4: b"\x30\x07\x00\x03a/bhi",
    5: b"\x32\x0c\x00\x03a/b\x00\x07\x02\x01\x01hi",
}


def test_messages_are_read_with_their_flags_and_properties_stepped_over() -> None:
    assert _read(4, MESSAGE[4]) == [Publish(b"a/b", b"hi", 0, False, False)]
    assert _read(5, MESSAGE[5]) == [Publish(b"a/b", b"hi", 7, False, False)]
    again = b"\x3b" + MESSAGE[5][1:]
    assert _read(5, again) == [Publish(b"a/b", b"hi", 7, True, True)]


@given(st.data())
def test_where_the_stream_is_cut_makes_no_difference(data: st.DataObject) -> None:
    payloads = data.draw(st.lists(st.binary(max_size=300), max_size=8))
    stream = b"".join(
        packets.publish(5, "a/b", payload, number % 3)
        for number, payload in enumerate(payloads)
    )
    stream += b"\xd0\x00"
    whole = _read(5, stream)
    assert [p.payload for p in whole if isinstance(p, Publish)] == payloads
    assert isinstance(whole[-1], Pong)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    ends = [0, *cuts, len(stream)]
    parts = [stream[a:b] for a, b in itertools.pairwise(ends)]
    assert _read(5, *parts) == whole


def test_answers_of_a_broker_are_read() -> None:
    assert _read(4, b"\x20\x02\x01\x00") == [Connack(session_present=True, code=0)]
    said = b"\x20\x0f\x00\x00\x0c\x21\x00\x14\x27\x00\x00\x10\x00\x24\x01\x25\x00"
    assert _read(5, said) == [
        Connack(
            session_present=False, code=0, receive_max=20, most_bytes=4096,
            max_qos=1, retains=False,
        )
    ]  # fmt: skip
    reason = b"\x20\x0a\x00\x87\x07\x1f\x00\x04nope"
    assert _read(5, reason) == [
        Connack(session_present=False, code=0x87, reason="nope")
    ]
    assert _read(4, b"\x40\x02\x00\x05") == [
        Ack(kind="puback", packet_id=5, codes=(0,))
    ]
    assert _read(5, b"\x40\x03\x00\x05\x87") == [
        Ack(kind="puback", packet_id=5, codes=(0x87,))
    ]
    assert _read(4, b"\x90\x04\x00\x05\x01\x80") == [
        Ack(kind="suback", packet_id=5, codes=(1, 0x80))
    ]
    assert _read(5, b"\xe0\x01\x8e") == [Farewell(code=0x8E)]
    assert _read(5, b"\xe0\x00") == [Farewell(code=0)]


@pytest.mark.parametrize(
    ("version", "data"),
    [
        (4, b"\x30\x01\x00"),  # no topic
        (4, b"\x30\x03\x00\x09a"),  # a topic beyond the end
        (4, b"\x30\x02\x00\x00"),  # an empty topic
        (4, b"\x32\x07\x00\x03a/b\x00\x00"),  # a packet id of 0
        (4, b"\x32\x05\x00\x03a/b"),  # QoS 1 without one
        (4, b"\x34\x07\x00\x03a/b\x00\x07"),  # QoS 2, never asked for
        (4, b"\x36\x07\x00\x03a/b\x00\x07"),  # QoS 3, which does not exist
        (5, b"\x30\x05\x00\x03a/b"),  # no properties
        (5, b"\x30\x06\x00\x03a/b\x09"),  # properties beyond the end
        (5, b"\x30\x0a\x00\x03a/b\xff\xff\xff\xff\xff"),
        (4, b"\x30\xff\xff\xff\xff\x01"),  # a length of five bytes
        (4, b"\x30\xff\xff\xff\x7f"),  # 256 MB
        (4, b"\x82\x02\x00\x01"),  # a broker does not subscribe
        (4, b"\x10\x00"),
        (4, b"\x00\x00"),
        (4, b"\xf0\x00"),
        (4, b"\xe0\x00"),  # no goodbye in 3.1.1
        (4, b"\x20\x01\x00"),
        (4, b"\xd0\x01\x00"),
        (5, b"\x20\x05\x00\x00\x02\x21\x00"),  # a property that does not end
        (5, b"\x20\x05\x00\x00\x02\x99\x00"),  # one that does not exist
        (5, b"\x20\x04\x00\x00\x02\x21"),
        (5, b"\xe0\x03\x00\x05\x1f"),
    ],
)
def test_what_no_broker_may_send_is_refused(version: Version, data: bytes) -> None:
    with pytest.raises(MalformedError):
        _read(version, data)


@given(version=st.sampled_from([4, 5]), data=st.binary(max_size=100))
def test_no_bytes_make_the_reader_do_anything_but_read_or_refuse(
    version: Version, data: bytes
) -> None:
    reader = PacketReader(version)
    try:
        for place in range(0, len(data), 7):
            reader.feed(data[place : place + 7])
    except MalformedError:
        pass


def test_a_long_packet_is_refused_at_its_header_and_crumbs_cost_no_copies() -> None:
    reader = PacketReader(4, most_bytes=1000)
    with pytest.raises(MalformedError, match="at most 1000"):
        reader.feed(b"\x30\xe9\x07")
    reader = PacketReader(4)
    payload = b"x" * 1_000_000
    stream = packets.publish(4, "a", payload)
    tracemalloc.start()
    found = [
        p for n in range(0, len(stream), 50) for p in reader.feed(stream[n : n + 50])
    ]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [Publish(b"a", payload, 0, False, False)]
    assert peak < 6_000_000


def test_what_we_say_is_as_the_standard_has_it() -> None:
    hello = Hello(
        version=4, client_id="me", clean=False, keep_alive_s=30, user="u",
        password=b"p", will=Will(topic="w", payload=b"x", retain=True),
    )  # fmt: skip
    assert packets.connect(hello) == (
        b"\x10\x1a\x00\x04MQTT\x04\xec\x00\x1e\x00\x02me\x00\x01w\x00\x01x\x00\x01u\x00\x01p"
    )
    five = packets.connect(
        Hello(version=5, client_id="me", clean=True, keep_alive_s=30)
    )
    assert five[2:12] == b"\x00\x04MQTT\x05\x02\x00\x1e"
    assert packets.subscribe(5, 2, ["a", "b"], 1) == (
        b"\x82\x0b\x00\x02\x00\x00\x01a\x01\x00\x01b\x01"
    )
    assert (
        packets.publish(4, "a", b"hi", 5, retain=True) == b"\x33\x07\x00\x01a\x00\x05hi"
    )
    assert packets.puback(258) == b"\x40\x02\x01\x02"
