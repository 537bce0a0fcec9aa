"""The few forms of DER that are written here (ITU-T X.690): each has one encoding."""

from __future__ import annotations


def sequence(*parts: bytes) -> bytes:
    """Return a SEQUENCE of encoded parts."""
    return tagged(0x30, b"".join(parts))


def octets(data: bytes) -> bytes:
    """Return an OCTET STRING."""
    return tagged(0x04, data)


def bits(data: bytes) -> bytes:
    """Return a BIT STRING of whole bytes."""
    return tagged(0x03, b"\x00" + data)


def integer(value: int) -> bytes:
    """Return an INTEGER of a number that is not negative."""
    return tagged(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def tagged(tag: int, body: bytes) -> bytes:
    """Return a body with its tag and its length in the shortest form."""
    size = len(body)
    if size < 128:
        return bytes([tag, size]) + body
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + body
