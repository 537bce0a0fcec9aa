"""What a reader is, and which ones there are."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Protocol, cast

from tundish.data.table import Table

ENTRY_POINTS = "tundish.readers"
HEAD_BYTES = 4096

_HOME = "tundish.data.readers"

BUILT_IN = tuple(
    EntryPoint(name, f"{_HOME}.{place}", ENTRY_POINTS)
    for name, place in (
        ("parquet", "parquet:ParquetReader"),
        ("excel", "excel:ExcelReader"),
        ("npz", "npz:NumpyReader"),
        ("mat", "mat:MatReader"),
        ("hdf5", "hdf5:Hdf5Reader"),
        ("wave", "wave:WaveReader"),
        ("rdata", "rdata:RDataReader"),
        ("packed", "packed:PackedReader"),
        ("archive", "packed:ArchiveReader"),
        ("xes", "xes:XesReader"),
        ("json", "json_records:JsonReader"),
        ("shdr", "shdr:ShdrReader"),
        ("text", "text:TextReader"),
    )
)


class Reader(Protocol):
    """A way to read one kind of file; made without arguments.

    ``check_reader`` holds a reader to what is promised here.
    """

    @property
    def name(self) -> str:
        """Name of the kind, for people; a class attribute will do."""
        ...

    @property
    def alone_above(self) -> int | None:
        """Bytes above which a file is parsed in a child process with limits.

        0 for parsers that foreign bytes could crash, hang or blow up (anything that is
        not plain Python on plain text should say 0); ``None`` for never.
        """
        ...

    def claims(self, name: str, head: bytes) -> bool:
        """Tell from the file's name and its first 4,096 bytes whether it can read it."""
        ...

    def read(self, path: Path, name: str) -> Sequence[Table]:
        """Read every table in the file; at least one, each with at least one record.

        Args:
            path: The file. Untrusted: any bytes, and any name.
            name: What people call the file; the tables are named so, and each table's
                ``part`` says which of several it is.

        Raises:
            TableUnreadableError: if the file cannot be read as a table.
            TableTooLargeError: if it is above the limits.
            ArchiveUnsafeError: if it is an archive that cannot be read safely.
        """
        ...


def readers() -> Iterator[Reader]:
    """Return a reader of each kind: installed plug-ins first, plain text last.

    The built-in ones stand in this file as well as in the package's entry points, so
    that they are found in a source tree that was never installed.
    """
    for point in _points():
        yield cast("Reader", point.load()())


@functools.cache
def _points() -> tuple[EntryPoint, ...]:
    own = {point.value for point in BUILT_IN}
    installed = entry_points(group=ENTRY_POINTS)
    others = [point for point in installed if point.value not in own]
    return (*sorted(others, key=lambda p: (p.name, p.value)), *BUILT_IN)
