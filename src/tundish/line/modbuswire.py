"""The bytes of Modbus TCP: requests to read, and what a server answers; pure.

After "MODBUS Application Protocol Specification V1.1b3" (clauses 6.1-6.4, 7) and
"MODBUS Messaging on TCP/IP Implementation Guide V1.0b" (clause 3.1.3). A server is
foreign: every length, number and function it names is held against what was asked.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Literal

Table = Literal["coil", "discrete", "holding", "input"]

FUNCTIONS: Final[dict[Table, int]] = {
    "coil": 1,
    "discrete": 2,
    "holding": 3,
    "input": 4,
}
BIT_TABLES: Final = frozenset({"coil", "discrete"})
MOST_REGISTERS: Final = 125
MOST_BITS: Final = 2000
HEADER_BYTES: Final = 7
_MOST_LENGTH = 254  # unit and at most 253 bytes
_HEADER = struct.Struct(">HHHB")
_QUESTION = struct.Struct(">HHHBBHH")
_EXCEPTION = 0x80

EXCEPTIONS: Final[dict[int, str]] = {
    1: "the device does not know this kind of reading",
    2: "the device has no such register",
    3: "the device does not give so many registers at once",
    4: "the device failed while reading",
    5: "the device has taken the request and needs more time",
    6: "the device is busy",
    7: "the device declines to do it",
    8: "the device found its memory damaged (parity)",
    9: "this number is reserved",
    10: "the gateway has no path to the device",
    11: "the device behind the gateway does not answer",
}


class ModbusMalformedError(ConnectionError):
    """What a server sent is no answer to what was asked; its link cannot be trusted."""


class ModbusRefusedError(Exception):
    """A server answered with an exception; ``code`` is its number."""

    def __init__(self, code: int) -> None:
        said = EXCEPTIONS.get(code, "a number that the protocol does not know")
        super().__init__(f"exception {code}: {said}")
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A block of registers (or bits) of one device.

    Attributes:
        count: Of registers, or of bits.
    """

    unit: int
    table: Table
    address: int
    count: int

    @property
    def size(self) -> int:
        """Bytes of values in the answer."""
        return -(-self.count // 8) if self.table in BIT_TABLES else 2 * self.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first bytes of a message.

    Attributes:
        number: By which an answer belongs to its request (transaction identifier).
        rest: Bytes that follow the header.
    """

    number: int
    unit: int
    rest: int


def to_request(number: int, question: Question) -> bytes:
    """Return the message that asks a question."""
    function = FUNCTIONS[question.table]
    return _QUESTION.pack(
        number, 0, 6, question.unit, function, question.address, question.count
    )


def read_header(data: bytes) -> Header:
    """Read the header of an answer.

    Args:
        data: ``HEADER_BYTES`` bytes. Untrusted.

    Raises:
        ModbusMalformedError: if it is none.
    """
    if len(data) != HEADER_BYTES:
        msg = f"a header of {len(data)} bytes, expected {HEADER_BYTES}"
        raise ModbusMalformedError(msg)
    number, protocol, length, unit = _HEADER.unpack(data)
    if protocol:
        msg = f"the protocol number {protocol}, expected 0 of Modbus"
        raise ModbusMalformedError(msg)
    if not 3 <= length <= _MOST_LENGTH:
        msg = f"a length of {length} bytes, expected 3 to {_MOST_LENGTH}"
        raise ModbusMalformedError(msg)
    return Header(number=number, unit=unit, rest=length - 1)


def read_answer(question: Question, header: Header, body: bytes) -> bytes:
    """Read the values out of an answer.

    Args:
        question: What was asked.
        header: Of this answer; its number was compared already.
        body: What followed the header. Untrusted.

    Returns:
        Registers, two bytes each, high byte first; or bits, the first one lowest.

    Raises:
        ModbusRefusedError: if the server refused the question.
        ModbusMalformedError: if this is no answer to it.
    """
    if header.unit != question.unit:
        msg = f"an answer of the unit {header.unit}, expected {question.unit}"
        raise ModbusMalformedError(msg)
    function = FUNCTIONS[question.table]
    if len(body) == 2 and body[0] == function | _EXCEPTION:
        raise ModbusRefusedError(body[1])
    if len(body) < 2 or body[0] != function:
        found = f"{body[0]}" if body else "none"
        msg = f"an answer of the function {found}, expected {function}"
        raise ModbusMalformedError(msg)
    values = body[2:]
    if body[1] != len(values) or len(values) != question.size:
        msg = f"{len(values)} bytes of values, expected {question.size}"
        raise ModbusMalformedError(msg)
    return values
