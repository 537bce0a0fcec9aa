"""The ledger's SQLite file: opened, locked and read with clear words.

WAL with ``synchronous=FULL``: an append that has returned survives a power cut.
A new file is made beside its place and linked into it, so that a kill in the
middle never leaves an empty ledger.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tundish.kernel.errors import DiskFullError, PathMissingError
from tundish.ledger.errors import LedgerLockedError, LedgerUnreadableError

APPLICATION_ID = 0x544E444C
SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 2.0

_SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE entries (position INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE checkpoints (number INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;
CREATE TABLE origin (name TEXT NOT NULL) STRICT;
"""


def connect(path: Path, *, create: bool) -> sqlite3.Connection:
    """Open a ledger's file, making it first if asked to.

    Raises:
        PathMissingError: if there is no file and none is to be made.
        LedgerUnreadableError: if the file is empty or no ledger.
        LedgerLockedError: if another process holds it.
    """
    with said_clearly(path):
        if not path.exists():
            if not create:
                msg = f"A ledger was expected at {path}, and nothing is there."
                raise PathMissingError(msg)
            _make(path)
        if not path.is_file() or path.stat().st_size == 0:
            found = "an empty file" if path.is_file() else "no file"
            msg = f"A ledger was expected at {path}, and {found} is there."
            raise LedgerUnreadableError(msg)
        connection = _open(path)
        try:
            _check(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    kind = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if kind != APPLICATION_ID:
        msg = f"The SQLite file at {path} was not made by Tundish as a ledger."
        raise LedgerUnreadableError(msg)
    if version != SCHEMA_VERSION:
        msg = (
            f"The ledger at {path} has form {version}; this Tundish reads form "
            f"{SCHEMA_VERSION}."
        )
        raise LedgerUnreadableError(msg, advice="Use the Tundish that wrote it.")


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.parent / f".{path.name}.{secrets.token_hex(6)}"
    try:
        connection = _open(fresh)
        try:
            connection.executescript(_SCHEMA)
            name = f"tundish/ledger-{secrets.token_hex(8)}"
            connection.execute("INSERT INTO origin VALUES (?)", (name,))
        finally:
            connection.close()
        fresh.chmod(0o640)
        _link(fresh, path)
    finally:
        for leftover in (fresh, Path(f"{fresh}-wal"), Path(f"{fresh}-shm")):
            leftover.unlink(missing_ok=True)


def _link(fresh: Path, path: Path) -> None:
    try:
        os.link(fresh, path)
    except FileExistsError:
        return  # another process was first: its ledger is the one
    except OSError:  # a file system without hard links, such as FAT
        if not path.exists():
            fresh.rename(path)


@contextmanager
def said_clearly(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's complaints into Tundish's sentences."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _translate(error, path) from error
    except UnicodeDecodeError as error:  # SQLite's own words on a damaged file
        msg = f"The ledger at {path} is damaged: a text in it is none."
        raise LedgerUnreadableError(msg) from error
    except PermissionError as error:
        msg = f"The ledger at {path} may not be read or written by this user."
        raise LedgerUnreadableError(msg) from error


def _translate(
    error: sqlite3.DatabaseError, path: Path
) -> LedgerLockedError | LedgerUnreadableError | DiskFullError:
    number = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if number in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        msg = f"The ledger at {path} is locked by another process."
        return LedgerLockedError(msg)
    if number == sqlite3.SQLITE_FULL:
        msg = f"There is no room on the disk to write the ledger at {path}."
        return DiskFullError(msg)
    if number == sqlite3.SQLITE_NOTADB:
        msg = f"The file at {path} is no SQLite database, so it is no ledger."
        return LedgerUnreadableError(msg)
    msg = f"The ledger at {path} cannot be used: SQLite says '{error}'."
    return LedgerUnreadableError(msg)
