"""How large a table may be."""

from __future__ import annotations

import os

from tundish.data.errors import TableTooLargeError

MAX_TEXT_BYTES = 2 * 1024**3
MAX_CELLS = 2_000_000_000
MAX_COLUMNS = 50_000
_CELL_BYTES = 8


def memory_bytes() -> int:
    """Return the memory of this machine in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def limit_cells(name: str, rows: int, columns: int) -> None:
    """Refuse a table with too many columns or cells, or one that memory cannot hold.

    Raises:
        TableTooLargeError: names the limit.
    """
    if columns > MAX_COLUMNS or rows * columns > MAX_CELLS:
        msg = (
            f"{name} has {rows} rows of {columns} columns; at most {MAX_COLUMNS} columns "
            f"and {MAX_CELLS} cells are read."
        )
        raise TableTooLargeError(msg)
    needed = rows * columns * _CELL_BYTES
    if needed > memory_bytes() // 2:
        msg = (
            f"{name} has {rows} rows of {columns} columns, {needed // 1024**2} MiB; that "
            "is more than half the memory of this machine."
        )
        raise TableTooLargeError(msg)


def limit_bytes(name: str, size: int) -> None:
    """Refuse bytes beyond what is read at once.

    Raises:
        TableTooLargeError: names the limit.
    """
    if size > MAX_TEXT_BYTES:
        msg = f"{name} unpacks to more than {MAX_TEXT_BYTES} bytes."
        raise TableTooLargeError(msg)
