"""The bare worksheets of Excel 2 to 4 (BIFF), which newer libraries refuse.

A stream of records: two bytes kind, two bytes length, content. Only cells are read;
the layout is that of OpenOffice's "Documentation of the Microsoft Excel File Format",
sections 2.2 and 5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import polars as pl

from tundish.data.errors import TableTooLargeError, TableUnreadableError
from tundish.data.readers.size import MAX_CELLS

_BEGIN = {b"\x09\x00", b"\x09\x02", b"\x09\x04"}
_SHEET = 0x0010
_MAX_ROWS = 16_384
_MAX_COLUMNS = 256


def is_bare_sheet(head: bytes) -> bool:
    """Tell whether a file begins as a worksheet of Excel 2, 3 or 4."""
    return (
        head[:2] in _BEGIN
        and head[2:4] in {b"\x04\x00", b"\x06\x00"}
        and head[6:8] == _SHEET.to_bytes(2, "little")
    )


def read_bare_sheet(data: bytes, name: str) -> pl.DataFrame:
    """Return the cells as texts.

    Raises:
        TableUnreadableError: if it is cut off or holds no cell.
    """
    cells: dict[tuple[int, int], str] = {}
    try:
        for kind, body in _records(data):
            for row, column, text in _cells(kind, body):
                if row < _MAX_ROWS and column < _MAX_COLUMNS:
                    cells[row, column] = text
    except (struct.error, IndexError) as error:
        msg = f"{name} is no whole worksheet of Excel 4 ({str(error)[:120]})."
        raise TableUnreadableError(msg) from error
    if not cells:
        msg = f"{name} is a worksheet without a cell."
        raise TableUnreadableError(msg)
    rows = 1 + max(row for row, _ in cells)
    columns = 1 + max(column for _, column in cells)
    if rows * columns > MAX_CELLS:
        msg = f"{name} has {rows} rows of {columns} columns."
        raise TableTooLargeError(msg)
    return pl.DataFrame(
        {
            f"c{column}": pl.Series(
                [cells.get((row, column)) for row in range(rows)], dtype=pl.String
            )
            for column in range(columns)
        }
    )


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("<HH", data, at)
        if kind == 0x000A:
            return
        yield kind, data[at + 4 : at + 4 + length]
        at += 4 + length


def _cells(kind: int, body: bytes) -> Iterator[tuple[int, int, str]]:
    if kind not in _READ:
        return
    row, column = struct.unpack_from("<HH", body)
    text = _READ[kind](body)
    if text:
        yield row, column, text


def _double(at: int, body: bytes) -> str:
    if body[at + 6 : at + 8] == b"\xff\xff":  # the result of a formula is no number
        return ""
    (value,) = struct.unpack_from("<d", body, at)
    return repr(value)


def _packed_number(at: int, body: bytes) -> str:
    (bits,) = struct.unpack_from("<i", body, at)
    value: float
    if bits & 2:
        value = bits >> 2
    else:
        (value,) = struct.unpack("<d", b"\0\0\0\0" + struct.pack("<i", bits & ~3))
    return repr(value / 100 if bits & 1 else value)


def _label(at: int, wide: int, body: bytes) -> str:
    length = int.from_bytes(body[at : at + wide], "little")
    return body[at + wide : at + wide + length].decode("cp1252", errors="replace")


_READ = {
    0x0002: lambda body: str(struct.unpack_from("<H", body, 7)[0]),  # INTEGER
    0x0003: lambda body: _double(7, body),  # NUMBER of Excel 2
    0x0203: lambda body: _double(6, body),  # NUMBER
    0x027E: lambda body: _packed_number(6, body),  # RK
    0x0006: lambda body: _double(7, body),  # FORMULA of Excel 2
    0x0206: lambda body: _double(6, body),  # FORMULA of Excel 3
    0x0406: lambda body: _double(6, body),  # FORMULA of Excel 4
    0x0004: lambda body: _label(7, 1, body),  # LABEL of Excel 2
    0x0204: lambda body: _label(6, 2, body),  # LABEL
}
