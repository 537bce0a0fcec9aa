"""The packets of MQTT 3.1.1 and 5 that a line needs; pure, bytes in and records out.

A measured choice: the hot path of a line is small (QoS 0 and 1, no QoS 2, no topic
aliases), and this reader takes messages several times faster than the client
libraries for Python (``bench/line_mqtt.py``). What a broker sends is untrusted: a
packet longer than ``most_bytes`` is refused at its header, before it is read, and
whatever the standard does not allow here ends the connection.

Source: OASIS MQTT 3.1.1 and MQTT 5.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

Version = Literal[4, 5]  # protocol levels: 4 is MQTT 3.1.1

MOST_BYTES = 1024 * 1024
FAILURE = 0x80

_PUBLISH, _PUBACK, _SUBACK = 3, 4, 9
_CONNACK, _PINGRESP, _DISCONNECT = 2, 13, 14
_EXPIRY, _RECEIVE_MAX, _MAX_QOS, _MOST_BYTES = 0x11, 0x21, 0x24, 0x27
_KEEP_ALIVE, _REASON, _WILL_DELAY = 0x13, 0x1F, 0x18
_RETAIN_KNOWN = 0x25
_WIDTHS: Final = {
    0x01: 1, 0x02: 4, 0x11: 4, 0x13: 2, 0x17: 1, 0x18: 4, 0x19: 1, 0x21: 2, 0x22: 2,
    0x23: 2, 0x24: 1, 0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1,
}  # fmt: skip
_STRINGS: Final = {0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F}
_PAIR, _SUBSCRIPTION = 0x26, 0x0B


class MalformedError(ValueError):
    """A peer sent bytes that are no packet a broker may send here."""


class Publish(NamedTuple):
    """A message; ``packet_id`` is 0 for QoS 0. Topic and payload are untrusted."""

    topic: bytes
    payload: bytes
    packet_id: int
    retain: bool
    dup: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Connack:
    """The broker's answer to CONNECT; ``code`` 0 is yes.

    Attributes:
        keep_alive_s: What the broker wants instead of what was asked; MQTT 5.
        receive_max: Most messages of QoS 1 that it takes unacknowledged.
        most_bytes: Longest packet that it takes.
        max_qos: Highest quality of service that it knows.
        retains: Whether it keeps retained messages.
    """

    session_present: bool
    code: int
    reason: str = ""
    keep_alive_s: int | None = None
    receive_max: int = 65_535
    most_bytes: int | None = None
    max_qos: int = 2
    retains: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """A PUBACK (one code) or a SUBACK (one code for each filter)."""

    kind: Literal["puback", "suback"]
    packet_id: int
    codes: tuple[int, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Farewell:
    """The broker ends the connection and says why (MQTT 5)."""

    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping."""


Packet = Publish | Connack | Ack | Farewell | Pong


@dataclass(frozen=True, kw_only=True)
class Will:
    """What the broker says for us if we are gone without a word."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


@dataclass(frozen=True, kw_only=True)
class Hello:
    """What CONNECT says.

    Attributes:
        clean: Whether the broker forgets the session of the time before.
        expiry_s: How long the broker keeps a session that is not clean (MQTT 5).
        receive_max: Most unacknowledged messages that it may send us (MQTT 5).
    """

    version: Version
    client_id: str
    clean: bool
    keep_alive_s: int
    expiry_s: int = 0
    receive_max: int = 65_535
    most_bytes: int = MOST_BYTES
    user: str | None = None
    password: bytes | None = None
    will: Will | None = None


class PacketReader:
    """Cuts a stream of bytes into packets; see the module.

    Args:
        version: What CONNECT said.
        most_bytes: Longest packet that is read.
    """

    def __init__(self, version: Version, most_bytes: int = MOST_BYTES) -> None:
        self._version = version
        self._most_bytes = most_bytes
        self._rest = bytearray()
        self._need = 0

    def feed(self, data: bytes) -> list[Packet]:
        """Return the packets that are complete with these bytes.

        Raises:
            MalformedError: if the bytes are no packets; nothing is read after it.
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < self._need:  # no copy for each crumb of a long one
                return []
            data = bytes(self._rest)
            self._rest.clear()
        self._need = 0
        found: list[Packet] = []
        place, end = 0, len(data)
        v5 = self._version == 5
        while end - place >= 2:
            head = data[place]
            length, start = data[place + 1], place + 2
            if length & 0x80:
                whole = self._length(data, place + 1)
                if whole is None:
                    break
                length, start = whole
            stop = start + length
            if stop > end:
                self._need = stop - place
                break
            if head & 0xF0 == 0x30:
                found.append(_publish(data, head, start, stop, v5=v5))
            else:
                found.append(_control(head, data[start:stop], v5=v5))
            place = stop
        if place < end:
            self._rest += data[place:]
        return found

    def _length(self, data: bytes, place: int) -> tuple[int, int] | None:
        """Return a length and where the packet begins; None if bytes are missing."""
        found = _varint(data, place, len(data))
        if found is None:
            return None
        if found[0] > self._most_bytes:
            msg = f"a packet of {found[0]} bytes; at most {self._most_bytes} are read"
            raise MalformedError(msg)
        return found


def connect(hello: Hello) -> bytes:
    """Return CONNECT."""
    v5, will = hello.version == 5, hello.will
    flags = hello.clean << 1 | (hello.user is not None) << 7
    flags |= (hello.password is not None) << 6
    if will is not None:
        flags |= 0x04 | will.qos << 3 | will.retain << 5
    body = _text("MQTT") + bytes((hello.version, flags))
    body += hello.keep_alive_s.to_bytes(2, "big")
    if v5:
        wanted = b"" if hello.clean else _number(_EXPIRY, hello.expiry_s, 4)
        wanted += _number(_RECEIVE_MAX, hello.receive_max, 2)
        body += _properties(wanted + _number(_MOST_BYTES, hello.most_bytes, 4))
    body += _text(hello.client_id)
    if will is not None:
        body += b"\0" * v5 + _text(will.topic) + _data(will.payload)
    if hello.user is not None:
        body += _text(hello.user)
    if hello.password is not None:
        body += _data(hello.password)
    return _packet(0x10, body)


def subscribe(
    version: Version, packet_id: int, filters: Sequence[str], qos: int
) -> bytes:
    """Return SUBSCRIBE for topic filters, all with one quality of service."""
    body = packet_id.to_bytes(2, "big") + b"\0" * (version == 5)
    for one in filters:
        body += _text(one) + bytes((qos,))
    return _packet(0x82, body)


def publish(
    version: Version,
    topic: str,
    payload: bytes,
    packet_id: int = 0,
    *,
    retain: bool = False,
) -> bytes:
    """Return PUBLISH; QoS 1 if there is a packet id."""
    body = _text(topic)
    if packet_id:
        body += packet_id.to_bytes(2, "big")
    body += b"\0" * (version == 5) + payload
    return _packet(0x30 | retain | bool(packet_id) << 1, body)


def puback(packet_id: int) -> bytes:
    """Return PUBACK: the message is ours now."""
    return b"\x40\x02" + packet_id.to_bytes(2, "big")


PING = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"


def _publish(data: bytes, head: int, start: int, stop: int, *, v5: bool) -> Publish:
    qos = head & 0x06
    body = start + 2
    if body > stop:
        msg = "a message without a topic"
        raise MalformedError(msg)
    after = body + (data[start] << 8 | data[start + 1])
    topic = data[body:after]
    packet_id = 0
    if qos:
        if qos != 0x02:
            msg = "a message with a quality of service that was not asked for"
            raise MalformedError(msg)
        packet_id = int.from_bytes(data[after : after + 2], "big")
        after += 2
        if not packet_id:
            msg = "a message of QoS 1 without a packet id"
            raise MalformedError(msg)
    if v5 and after < stop:
        after += 1 + data[after] if data[after] < 0x80 else _skipped(data, after, stop)
    elif v5:
        after = stop + 1
    if after > stop or not topic:
        msg = "a message that is shorter than it says, or without a topic"
        raise MalformedError(msg)
    return Publish(
        topic, data[after:stop], packet_id, bool(head & 0x01), bool(head & 0x08)
    )


def _skipped(data: bytes, place: int, stop: int) -> int:
    found = _varint(data, place, stop)
    if found is None:
        msg = "properties that do not end"
        raise MalformedError(msg)
    return found[1] - place + found[0]


def _control(head: int, body: bytes, *, v5: bool) -> Packet:
    kind = head >> 4
    if head & 0x0F == 0 and kind == _CONNACK and len(body) >= 2:
        return _connack(body, v5=v5)
    if head & 0x0F == 0 and kind in {_PUBACK, _SUBACK} and len(body) >= 2:
        return _ack(kind, body, v5=v5)
    if head == _PINGRESP << 4 and not body:
        return Pong()
    if head == _DISCONNECT << 4 and v5:
        reason = _read_properties(body, 1).get(_REASON, "") if len(body) > 1 else ""
        return Farewell(code=body[0] if body else 0, reason=str(reason))
    msg = f"a packet of kind {kind} with {len(body)} bytes, which no broker sends here"
    raise MalformedError(msg)


def _connack(body: bytes, *, v5: bool) -> Connack:
    present, code = bool(body[0] & 1), body[1]
    if not v5 or len(body) == 2:  # a broker of 3.1.1 answers MQTT 5 so
        return Connack(session_present=present, code=code)
    said = _read_properties(body, 2)
    keep_alive, most_bytes = said.get(_KEEP_ALIVE), said.get(_MOST_BYTES)
    return Connack(
        session_present=present,
        code=code,
        reason=str(said.get(_REASON, "")),
        keep_alive_s=None if keep_alive is None else int(keep_alive),
        receive_max=int(said.get(_RECEIVE_MAX, 65_535)) or 1,
        most_bytes=None if most_bytes is None else int(most_bytes),
        max_qos=int(said.get(_MAX_QOS, 2)),
        retains=bool(said.get(_RETAIN_KNOWN, 1)),
    )


def _ack(kind: int, body: bytes, *, v5: bool) -> Ack:
    packet_id = int.from_bytes(body[:2], "big")
    if kind == _PUBACK:
        code = body[2] if v5 and len(body) > 2 else 0
        said = _read_properties(body, 3) if v5 and len(body) > 3 else {}
        reason = str(said.get(_REASON, ""))
        return Ack(kind="puback", packet_id=packet_id, codes=(code,), reason=reason)
    start = 2
    if v5:
        start += _skipped(body, 2, len(body))
    codes = tuple(body[start:])
    return Ack(kind="suback", packet_id=packet_id, codes=codes)


def _read_properties(body: bytes, place: int) -> dict[int, int | str]:
    """Return the numbers and texts of MQTT 5 properties that fill a packet's end."""
    whole = _varint(body, place, len(body))
    if whole is None or sum(whole) != len(body):
        msg = "properties that do not fill their packet"
        raise MalformedError(msg)
    place, found = whole[1], dict[int, int | str]()
    while place < len(body):
        name = body[place]
        place += 1
        if name in _WIDTHS:
            stop = place + _WIDTHS[name]
            found[name] = int.from_bytes(body[place:stop], "big")
        elif name == _SUBSCRIPTION:
            stop = place + 1
        elif name in _STRINGS or name == _PAIR:
            stop = place
            for _ in range(2 if name == _PAIR else 1):
                place = stop + 2
                stop = place + int.from_bytes(body[stop:place], "big")
            found[name] = body[place:stop].decode(errors="replace")
        else:
            msg = f"a property {name:#x} that does not exist"
            raise MalformedError(msg)
        if stop > len(body):
            msg = "a property that does not end"
            raise MalformedError(msg)
        place = stop
    return found


def _varint(data: bytes, place: int, stop: int) -> tuple[int, int] | None:
    """Return a number of at most four bytes and where it ends; None if cut."""
    value = 0
    for step in range(4):
        if place + step >= stop:
            return None
        byte = data[place + step]
        value |= (byte & 0x7F) << 7 * step
        if byte < 0x80:
            return value, place + step + 1
    msg = "a length of more than four bytes"
    raise MalformedError(msg)


def _packet(head: int, body: bytes) -> bytes:
    return bytes((head,)) + _length_of(len(body)) + body


def _length_of(number: int) -> bytes:
    found = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        found.append(low | 0x80 * bool(number))
        if not number:
            return bytes(found)


def _properties(body: bytes) -> bytes:
    return _length_of(len(body)) + body


def _number(name: int, value: int, width: int) -> bytes:
    return bytes((name,)) + value.to_bytes(width, "big")


def _text(text: str) -> bytes:
    return _data(text.encode())


def _data(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data
