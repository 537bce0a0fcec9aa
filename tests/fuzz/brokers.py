"""Targets of what comes from a broker: packets of MQTT, messages of Kafka, payloads of JSON and Sparkplug."""

from __future__ import annotations

import itertools
import struct
from typing import TYPE_CHECKING, cast

from tests.fuzz.target import Target

from tundish.line import mqttpackets as packets
from tundish.line import sparkplug
from tundish.line.contract import ListedSignal, SignalList
from tundish.line.jsonpayload import Delivery, Field, JsonTopic
from tundish.line.linefile import SourceSpec
from tundish.line.mqttpackets import MalformedError, Packet, PacketReader, Version
from tundish.line.samples import Sample
from tundish.line.sources.kafka import Forms, KafkaSourceOptions
from tundish.line.sparkplug import Metric, Payload, PayloadError
from tundish.line.sparkplugedge import KINDS, EdgeNode, Place, Wanted

if TYPE_CHECKING:
    from confluent_kafka import Message

_LINE = "tundish.line."
_AT_MS = 1_800_000_000_000
_FIELDS = (
    Field(signal="a", channels=1, value=("v",), time=("t",), quality=("q",)),
    Field(
        signal="b", channels=3, value=("w",), time=("t",), time_unit="ns",
        quality=("q",), quality_form="ua",
    ),
    Field(
        signal="c", channels=1, value=("x", "0", "y"), time=("t",), time_unit="ms",
        quality=("q",), quality_form="da",
    ),
)  # fmt: skip


def _packets(data: bytes) -> None:
    """Read a stream whole and in crumbs, in both versions: the same comes out."""
    versions: tuple[Version, ...] = (4, 5)
    for version in versions:
        whole, crumbs = (_stream(data, version, n) for n in (len(data) or 1, 3))
        assert whole is None or crumbs is None or whole == crumbs


def _stream(data: bytes, version: Version, step: int) -> list[Packet] | None:
    reader, found = PacketReader(version, 10_000), list[Packet]()
    try:
        for place in range(0, len(data), step):
            found += reader.feed(data[place : place + step])
    except MalformedError:
        return None
    return found


def _packet_seeds() -> list[bytes]:
    yes = b"\x20\x0f\x00\x00\x0c\x21\x00\x14\x27\x00\x00\x10\x00\x24\x01\x25\x00"
    return [
        yes + b"\x90\x04\x00\x01\x00\x01" + packets.publish(5, "a/b", b"hi", 7),
        b"\x20\x02\x00\x00\x90\x03\x00\x01\x01" + packets.publish(4, "a", b"hi") * 2,
        b"\x40\x02\x00\x07\xd0\x00"
        + packets.publish(4, "a/b", b"x" * 300, 9, retain=True),
        b"\x20\x0a\x00\x87\x07\x1f\x00\x04nope",
        b"\xe0\x0b\x8e\x09\x1f\x00\x06twice!",
        b"\x32\x0c\x00\x03a/b\x00\x07\x02\x01\x01hi",
    ]


def _sound(samples: list[Sample]) -> None:
    """Ask of samples what the line takes for granted."""
    for one in samples:
        no_number = one.quality == "bad" or one.said is not None  # a text, as such
        assert (one.values is None) == no_number
        assert one.reason.isprintable()
        assert len(one.reason) < 500
        assert one.at_us is None or abs(one.at_us) < 2**62


def _json(data: bytes) -> None:
    for again in (False, True):
        delivery = Delivery(received_us=_AT_MS * 1000, again=again)
        _sound(list(JsonTopic(_FIELDS).read(data, delivery)))


class _KafkaMessage:
    """A message as the client gives it: time, offset and key stand before the payload."""

    def __init__(self, data: bytes) -> None:
        self._kind = data[0] % 3 if data else 0
        self._at_ms = int.from_bytes(data[1:9], "little", signed=True)
        self._offset = int.from_bytes(data[9:13], "little")
        self._key, self._value = (data[13:14] or None), (data[14:] or None)

    def topic(self) -> str:
        return "t"

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return self._kind, self._at_ms


def _kafka_forms() -> Forms:
    spec = SourceSpec.model_validate(
        {
            "kind": "kafka",
            "endpoint": "kafka://h",
            "nodes": {
                "a": {"node": "t", "options": {"key": "k", "value": "v"}},
                "b": {"node": "t", "options": {"value": "v"}},
                "c": {"node": "t", "options": {"time": "t", "value": "w"}},
            },
        }
    )
    signals = tuple(
        ListedSignal(name=name, channels=2 if name == "c" else 1) for name in "abc"
    )
    contract = SignalList(key="fuzz", signals=signals)
    return Forms(spec, contract, KafkaSourceOptions(most_kb=1))


def _kafka(data: bytes) -> None:
    """What is read twice is the same: nothing depends on when it is read."""
    forms, message = _kafka_forms(), cast("Message", _KafkaMessage(data))
    found = list(forms.read(message, _AT_MS * 1000))
    _sound(found)
    stamped = message.timestamp()[0] and 10**12 < message.timestamp()[1] < 2 * 10**12
    if stamped:
        later = list(forms.read(message, _AT_MS * 1000 + 10**9))
        assert [one.at_us for one in found] == [one.at_us for one in later]


def _kafka_seeds() -> list[bytes]:
    head = b"\1" + _AT_MS.to_bytes(8, "little") + (999).to_bytes(4, "little")
    return [
        head + b'k{"v": 1.5}',
        head + b'z{"t": "2027-01-15T08:00:00Z", "w": [1, 2]}',
        head,
        b"\0" * 13 + b"k21.5",
    ]


def _sparkplug(data: bytes) -> None:
    """Take the same bytes as every kind of message, then read them again as written."""
    wanted = {
        Place(device, name): Wanted(signal=f"{device}{name}", channels=channels)
        for device, (name, channels) in itertools.product(
            ("", "d"), (("a", 1), ("b", 2))
        )
    }
    payload = sparkplug.decode(data)
    edge = EdgeNode("g/e", wanted)
    for kind in (*KINDS, *KINDS):
        device = "d" if kind.startswith("D") else ""
        _sound(edge.take(kind, device, payload, _AT_MS * 1000).samples)
    assert sparkplug.decode(sparkplug.encode(_plain(payload))) == _plain(payload)


def _plain(payload: Payload) -> Payload:
    """Leave out what is only read: values of no known form, uncommon qualities."""
    kept = tuple(one for one in payload.metrics if one.slot < 17)
    return Payload(time_ms=payload.time_ms, seq=payload.seq, metrics=kept)


def _sparkplug_seeds() -> list[bytes]:
    one = sparkplug.metric(1.5, sparkplug.DOUBLE, name="a", alias=1, time_ms=_AT_MS)
    array = Metric(  # of doubles: kind 31, field 16
        name="b", time_ms=_AT_MS, kind=31, slot=16, raw=struct.pack("<2d", 1.0, 2.0)
    )
    bd = sparkplug.metric(3, sparkplug.INT64, name="bdSeq")
    quality = b"\x4a\x13\x0a\x07Quality\x12\x08\x08\x03\x18\xc0\x01"
    metric = b"\x0a\x01a\x20\x0a\x69" + b"\0" * 8 + quality
    return [
        sparkplug.encode(Payload(time_ms=_AT_MS, seq=0, metrics=(bd, one, array))),
        sparkplug.encode(Payload(time_ms=_AT_MS, seq=1, metrics=(one,))),
        b"\x12" + bytes((len(metric),)) + metric,
    ]


TARGETS = (
    Target(
        name="mqtt-packets", parse=_packets, seeds=_packet_seeds,
        doors=(_LINE + "mqttpackets:PacketReader.feed",),
    ),
    Target(
        name="mqtt-json", json=True, parse=_json,
        doors=(_LINE + "jsonpayload:JsonTopic.read", _LINE + "jsonpayload:parse"),
        seeds=lambda: [
            b'{"t": "2027-01-15T08:00:00.123Z", "v": 1.5, "q": "good"}',
            b'{"t": 1800000000000000000, "w": [1, 2, 3.5], "q": 0}',
            b'{"t": 1800000000000, "x": [{"y": 7}], "q": 192}',
            b"21.5", b'{"n": "\\u0076", "v": 2}',
        ],
    ),
    Target(
        name="kafka-message", json=True, parse=_kafka, seeds=_kafka_seeds,
        doors=(_LINE + "sources.kafka:Forms.read",),
    ),
    Target(
        name="sparkplug", parse=_sparkplug, seeds=_sparkplug_seeds, meant=(PayloadError,),
        doors=(_LINE + "sparkplug:decode",),
    ),
)  # fmt: skip
