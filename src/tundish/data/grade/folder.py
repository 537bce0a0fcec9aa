"""Grade the tables of a folder in one report, each as a sheet of its own."""

from __future__ import annotations

from dataclasses import replace

from tundish.data.folder import Folder
from tundish.data.grade.asked import Asked
from tundish.data.grade.checks import Graded
from tundish.data.grade.file import graded_tables
from tundish.data.roles import Named


def graded_folder(folder: Folder, named: Named, asked: Asked) -> Graded:
    """Grade a folder that was read and keep its values beside the report.

    Args:
        folder: From ``read_folder``.
        named: What the user named; a column counts in the tables that have it.
        asked: What stands beside the data.

    Raises:
        ColumnMissingError: if no table has a column that was named.
        TimeUnreadableError: if a column named as time cannot be read as one.
    """
    tables = [replace(table, name=table.part or folder.name) for table in folder.tables]
    return graded_tables(
        tables, named, asked, name=folder.name, before=folder.assumptions
    )
