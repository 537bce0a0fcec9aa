"""SQLite files: commits that are whole or not at all, and complaints in plain words."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tundish.kernel.errors import DiskFullError, PlaceRefusedError, TundishError

_UNWRITTEN = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})


@contextmanager
def said_clearly(
    path: Path, *, what: str, locked: type[TundishError], unreadable: type[TundishError]
) -> Iterator[None]:
    """Turn SQLite's and the system's complaints into Tundish's sentences.

    Args:
        path: The file.
        what: It holds, such as ``ledger``.
        locked: Raised if another process holds it.
        unreadable: Raised for all else but a full disk, or a folder that may not be
            written.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        whole = getattr(error, "sqlite_errorcode", 0)
        number = whole & 0xFF
        if number in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            msg = f"The {what} at {path} is locked by another process."
            raise locked(msg) from error
        # the index beside a log (-shm) that cannot grow: even reading needs its room
        if number == sqlite3.SQLITE_FULL or whole == sqlite3.SQLITE_IOERR_SHMSIZE:
            msg = f"There is no room on the disk to write the {what} at {path}."
            raise DiskFullError(msg) from error
        if number in _UNWRITTEN and not os.access(path.parent, os.W_OK):
            msg = (
                f"The {what} at {path} lies in a folder that may not be written here; "
                "even reading it needs room for a file beside it."
            )
            raise PlaceRefusedError(
                msg, advice="Copy its folder to a place of yours, and use the copy."
            ) from error
        if number == sqlite3.SQLITE_NOTADB:
            msg = f"The file at {path} is no SQLite database, so it is no {what}."
            raise unreadable(msg) from error
        msg = f"The {what} at {path} cannot be used: SQLite says '{error}'."
        raise unreadable(msg) from error
    except UnicodeDecodeError as error:  # SQLite's own words on a damaged file
        msg = f"The {what} at {path} is damaged: a text in it is none."
        raise unreadable(msg) from error
    except OSError as error:
        msg = f"The {what} at {path} cannot be used: {error.strerror}."
        raise unreadable(msg) from error


@contextmanager
def transaction(
    connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE"
) -> Iterator[None]:
    """Run a block as one commit; nothing of it stays if it raises."""
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
