"""A reader of the protobuf wire format that refuses what it does not expect.

Parsers of protobuf skip unknown fields, merge a message that comes twice and keep the
last of two numbers. A checker must not: it has to see exactly what the runtime will
see. So each field must be declared, comes once unless declared as repeated, and has
its declared wire type. Source: the protobuf encoding specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tundish.kernel.errors import TundishError
from tundish.model.errors import GraphMalformedError, GraphTooLargeError

MAX_DEPTH = 16
MAX_FIELDS = 5_000_000
MAX_MESSAGES = 400_000  # an empty one takes two bytes of a file, and here 600 of memory

Kind: TypeAlias = Literal[
    "number", "numbers", "floats", "doubles", "text", "bytes", "message", "refused"
]
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Part:
    """A declared field.

    Attributes:
        name: Under which its values are found.
        kind: ``numbers``, ``floats`` and ``doubles`` are repeated, packed or not;
            floats and doubles are counted, not read.
        many: Whether it may come more than once.
        message: The message's name in the schema, for kind ``message``.
        refusal: What to raise when it comes, for kind ``refused``.
    """

    name: str
    kind: Kind
    many: bool = False
    message: str = ""
    refusal: type[TundishError] = GraphMalformedError


Schema: TypeAlias = Mapping[str, Mapping[int, Part]]


@dataclass(slots=True)
class Message:
    """A message that was taken apart: its values by kind and name, in order."""

    numbers: dict[str, list[int]] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    data: dict[str, list[memoryview]] = field(default_factory=dict)
    messages: dict[str, list[Message]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def number(self, name: str, default: int = 0) -> int:
        """Return a single number."""
        return self.numbers.get(name, [default])[0]

    def text(self, name: str) -> str:
        """Return a single text, or an empty one."""
        return self.texts.get(name, [""])[0]

    def all(self, name: str) -> list[Message]:
        """Return the messages of a repeated field."""
        return self.messages.get(name, [])

    def one(self, name: str) -> Message | None:
        """Return a single message, or none."""
        return self.all(name)[0] if name in self.messages else None


class Reader:
    """Takes messages apart within limits on depth and number of fields.

    Args:
        schema: Every message and field that is known.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._left = MAX_FIELDS
        self._messages_left = MAX_MESSAGES

    def read(self, data: memoryview, message: str, depth: int = 0) -> Message:
        """Take one message apart.

        Raises:
            GraphMalformedError: if anything in it is not as declared.
            GraphTooLargeError: if it is nested too deep or has too many fields.
        """
        if depth > MAX_DEPTH:
            msg = f"A graph is nested deeper than {MAX_DEPTH} messages."
            raise GraphTooLargeError(msg)
        self._messages_left -= 1
        if self._messages_left < 0:
            msg = f"A graph has more than {MAX_MESSAGES} messages."
            raise GraphTooLargeError(msg)
        found, parts, at = Message(), self._schema[message], 0
        while at < len(data):
            self._spend()
            tag, at = varint(data, at)
            part = parts.get(tag >> 3)
            if part is None:
                msg = f"A graph has the unknown field {tag >> 3} in {message}."
                raise GraphMalformedError(msg)
            if part.kind == "refused":
                msg = f"A graph has the field '{part.name}' in {message}."
                raise part.refusal(msg)
            _once(found, part, message)
            at = self._take(found, part, (data, at, tag & 7), depth)
        return found

    def _spend(self, count: int = 1) -> None:
        self._left -= count
        if self._left < 0:
            msg = f"A graph has more than {MAX_FIELDS} fields and numbers."
            raise GraphTooLargeError(msg)

    def _take(
        self, found: Message, part: Part, where: tuple[memoryview, int, int], depth: int
    ) -> int:
        data, at, wire = where
        if part.kind in {"number", "numbers"} and wire == _VARINT:
            value, at = varint(data, at)
            found.numbers.setdefault(part.name, []).append(value)
            return at
        if part.kind in {"floats", "doubles"} and wire != _BYTES:
            width = 4 if part.kind == "floats" else 8
            if wire != (_FIXED32 if width == 4 else _FIXED64) or at + width > len(data):
                raise _wrong_wire(part)
            found.counts[part.name] = found.counts.get(part.name, 0) + 1
            return at + width
        if wire != _BYTES or part.kind == "number":
            raise _wrong_wire(part)
        size, at = varint(data, at)
        if size > len(data) - at:
            msg = f"A graph's field '{part.name}' is cut off."
            raise GraphMalformedError(msg)
        self._take_bytes(found, part, data[at : at + size], depth)
        return at + size

    def _take_bytes(
        self, found: Message, part: Part, body: memoryview, depth: int
    ) -> None:
        if part.kind == "message":
            inner = self.read(body, part.message, depth + 1)
            found.messages.setdefault(part.name, []).append(inner)
        elif part.kind == "text":
            found.texts.setdefault(part.name, []).append(_text(body, part))
        elif part.kind == "bytes":
            found.data.setdefault(part.name, []).append(body)
        elif part.kind == "numbers":
            values = self._packed(body)
            found.numbers.setdefault(part.name, []).extend(values)
        else:
            width = 4 if part.kind == "floats" else 8
            if len(body) % width:
                raise _wrong_wire(part)
            count = found.counts.get(part.name, 0) + len(body) // width
            found.counts[part.name] = count

    def _packed(self, body: memoryview) -> list[int]:
        self._spend(len(body))
        values, at = [], 0
        while at < len(body):
            value, at = varint(body, at)
            values.append(value)
        return values


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """Read a variable-length number; return it and the place after it.

    Raises:
        GraphMalformedError: if it is cut off or longer than 64 bits.
    """
    if at < len(data) and (byte := data[at]) < 0x80:  # most are this small
        return byte, at + 1
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, at
        shift += 7
    msg = "A graph holds a number that is cut off or too long."
    raise GraphMalformedError(msg)


def signed(value: int) -> int:
    """Return a 64-bit number read as two's complement."""
    return value - (1 << 64) if value >> 63 else value


def _once(found: Message, part: Part, message: str) -> None:
    if part.name in found.seen and not part.many:
        msg = f"A graph has the field '{part.name}' twice in one {message}."
        raise GraphMalformedError(msg)
    found.seen.add(part.name)


def _text(body: memoryview, part: Part) -> str:
    try:
        return str(body, "utf-8")
    except UnicodeDecodeError as error:
        msg = f"A graph's field '{part.name}' is no text."
        raise GraphMalformedError(msg) from error


def _wrong_wire(part: Part) -> GraphMalformedError:
    return GraphMalformedError(f"A graph's field '{part.name}' has a wrong type.")
