"""Load a set of the catalogue: typed tables, pictures, texts and problems with units.

The entry says what must be there (``catalog.setforms``); whatever is not so is refused
with what was found and what was expected. No code belongs to any one set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tundish.catalog.datasets import DatasetEntry
from tundish.catalog.setforms import (
    InstanceForm,
    LogForm,
    PictureForm,
    SetForm,
    StreamForm,
    TableForm,
    TextForm,
)
from tundish.data.errors import SetUnfitError
from tundish.data.sets.found import any_there
from tundish.data.sets.instances import load_instances
from tundish.data.sets.loaded import (
    LoadedInstances,
    LoadedPictures,
    LoadedSet,
    LoadedTable,
    LoadedTexts,
)
from tundish.data.sets.pictures import load_pictures
from tundish.data.sets.stream import load_stream
from tundish.data.sets.tables import load_table
from tundish.data.sets.texts import load_texts
from tundish.kernel import paths

Progress = Callable[[str], None]
Part = LoadedTable | LoadedPictures | LoadedTexts | LoadedInstances


def load(
    entry: DatasetEntry,
    folder: Path,
    *,
    only: Sequence[str] | None = None,
    partial: bool = False,
    progress: Progress | None = None,
) -> LoadedSet:
    """Return all that an entry says its files hold, checked.

    Args:
        entry: The entry, with ``load``.
        folder: Where its files are, under the names of the catalogue. Untrusted.
        only: Names of parts; all if absent.
        partial: Leave out parts of which no file is there, and name them in ``absent``.
        progress: Told the name of each part as its turn comes.

    Raises:
        SetUnfitError: if the entry says nothing of how to load it, or a file is not as
            it says.
        PathMissingError: if there is no such folder.
        TableUnreadableError, TableTooLargeError: if a file cannot be read.
    """
    root = paths.existing_folder(folder)
    forms = _chosen(entry, only)
    absent = [n for n, form in forms.items() if partial and not any_there(form, root)]
    if len(absent) == len(forms):
        msg = f"None of the files of {entry.key} is in {root}."
        raise SetUnfitError(msg)
    parts: list[Part] = []
    for name, form in forms.items():
        if name not in absent:
            if progress is not None:
                progress(f"loading {name}")
            parts.append(_part(name, form, root))
    return LoadedSet(
        key=entry.key,
        folder=root,
        tables={p.name: _united(p, entry) for p in parts if isinstance(p, LoadedTable)},
        pictures={p.name: p for p in parts if isinstance(p, LoadedPictures)},
        texts={p.name: p for p in parts if isinstance(p, LoadedTexts)},
        instances={p.name: p for p in parts if isinstance(p, LoadedInstances)},
        absent=tuple(absent),
    )


def _chosen(entry: DatasetEntry, only: Sequence[str] | None) -> dict[str, SetForm]:
    if not entry.load:
        msg = f"The entry of {entry.key} does not say what its files hold (load)."
        raise SetUnfitError(msg)
    unknown = [name for name in only or () if name not in entry.load]
    if unknown:
        have = ", ".join(list(entry.load)[:12])
        msg = f"{entry.key} has no part {unknown[0]!r}; it has {have}."
        raise SetUnfitError(msg)
    return {k: f for k, f in entry.load.items() if only is None or k in only}


def _part(name: str, form: SetForm, root: Path) -> Part:
    match form:
        case TableForm() | LogForm():
            return load_table(name, form, root)
        case StreamForm():
            return load_stream(name, form, root)
        case PictureForm():
            return load_pictures(name, form, root)
        case TextForm():
            return load_texts(name, form, root)
        case InstanceForm():
            return load_instances(name, form, root)


def _united(table: LoadedTable, entry: DatasetEntry) -> LoadedTable:
    """Give columns the unit that stands under ``units`` of the entry, if none of its own."""
    columns = tuple(
        column
        if column.unit is not None or column.name not in entry.units
        else column.model_copy(update={"unit": entry.units[column.name]})
        for column in table.columns
    )
    return replace(table, columns=columns)
