"""Grade the tables of a folder in one report, each as a sheet of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from tundish.data.card.beside import Known
from tundish.data.card.card import Use
from tundish.data.folder import Folder
from tundish.data.grade.checks import Graded
from tundish.data.grade.file import graded_tables
from tundish.data.join import JoinWish
from tundish.data.roles import Named


def graded_folder(  # noqa: PLR0913  (what a user may say about data)
    folder: Folder,
    named: Named,
    *,
    now: datetime,
    units: Mapping[str, str] | None = None,
    licence: str | None = None,
    licence_kind: str | None = None,
    known: Known | None = None,
    use: Use | None = None,
    deep: bool = True,
    join: JoinWish | None = None,
) -> Graded:
    """Grade a folder that was read and keep its values beside the report.

    Args:
        folder: From ``read_folder``.
        named: What the user named; a column counts in the tables that have it.
        now: The present, from the caller's clock.
        units: Column -> unit of measurement.
        licence: The terms, if known.
        licence_kind: Their class in the catalogue.
        known: The set's card.
        use: What is meant to be done with the set.
        deep: False leaves out the indicators that fit models.
        join: Results of a laboratory to be joined.

    Raises:
        ColumnMissingError: if no table has a column that was named.
        TimeUnreadableError: if a column named as time cannot be read as one.
    """
    tables = [replace(table, name=table.part or folder.name) for table in folder.tables]
    return graded_tables(
        tables,
        named,
        name=folder.name,
        before=folder.assumptions,
        now=now,
        units=units,
        licence=licence,
        licence_kind=licence_kind,
        known=known,
        use=use,
        deep=deep,
        join=join,
    )
