"""Tables out of files as plants write them; one file of this folder per kind.

A reader is a plug-in (``Reader``, entry points ``tundish.readers``); ``check_reader``
is the test that its author runs. Readers of binary formats work in a child process
with limits (``confine``), and their tables come back as Arrow IPC.
"""

from __future__ import annotations

from tundish.data.readers.check import check_reader
from tundish.data.readers.reader import Reader, readers
from tundish.data.readers.reading import read_table, read_tables
from tundish.data.readers.text import read_text

__all__ = [
    "Reader",
    "check_reader",
    "read_table",
    "read_tables",
    "read_text",
    "readers",
]
