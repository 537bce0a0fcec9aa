"""Grade what a set of the catalogue holds as its entry says: names, units, roles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tundish.catalog.datasets import DatasetEntry
from tundish.catalog.setforms import (
    InstanceForm,
    LogForm,
    PictureForm,
    SetForm,
    TextForm,
)
from tundish.data.errors import NoKindError, SetUnfitError
from tundish.data.grade.asked import Asked
from tundish.data.grade.checks import Graded
from tundish.data.grade.events.grading import grade_events
from tundish.data.grade.file import graded_tables
from tundish.data.grade.images.grading import grade_images
from tundish.data.grade.texts.grading import grade_texts
from tundish.data.load import load
from tundish.data.roles import Named
from tundish.data.sets.found import any_there, find_files
from tundish.data.sets.graded import as_table, named_in

_KINDS = ("table", "log", "stream", "pictures", "texts")


def grade_loaded(
    entry: DatasetEntry,
    folder: Path,
    named: Named,
    asked: Asked,
    part: str | None = None,
) -> tuple[Graded, str]:
    """Grade a part of a set, or all parts of its main kind, and say which.

    Args:
        entry: The entry, with ``load``.
        folder: Where the files of the set are. Untrusted.
        named: What a user named; it goes before what the entry says.
        asked: What stands beside the data.
        part: Name of the part; as the entry hints if absent.

    Raises:
        NoKindError: if it holds only what no grade makes sense for.
        SetUnfitError: if it is not as its entry says, or has no such part.
    """
    forms = _chosen(entry, folder, part)
    what = next(iter(forms)) if len(forms) == 1 else f"{len(forms)} parts"
    first = next(iter(forms.values()))
    brief = asked.brief(entry.key, entry.task)
    if isinstance(first, PictureForm):
        return Graded(report=grade_images(folder, brief)), f"pictures: {what}"
    if isinstance(first, TextForm):
        files = [
            (path, place)
            for name, form in forms.items()
            for place, path in find_files(form, folder, name)
        ]
        return Graded(report=grade_texts(files, brief)), f"texts: {what}"
    loaded = load(entry, folder, only=list(forms)).tables
    tables = [as_table(table) for table in loaded.values()]
    if isinstance(first, LogForm):
        return Graded(report=grade_events(tables, brief)), f"events: {what}"
    one = next(iter(loaded.values()))
    told = named_in(one, entry) if len(loaded) == 1 else Named()
    graded = graded_tables(tables, _before(named, told), asked, name=entry.key)
    return graded, f"{first.kind}: {what}"


def _before(named: Named, told: Named) -> Named:
    """Let what a user named go before what the entry says."""
    retargeted = named.target is not None
    return replace(
        named,
        time=named.time or told.time,
        unit=named.unit or told.unit,
        target=named.target or told.target,
        task=named.task or (None if retargeted else told.task),
    )


def _chosen(entry: DatasetEntry, folder: Path, part: str | None) -> dict[str, SetForm]:
    if part is not None and part not in entry.load:
        have = ", ".join(list(entry.load)[:12])
        msg = f"{entry.key} has no part {part!r}; it has {have}."
        raise SetUnfitError(msg)
    there = {n: f for n, f in entry.load.items() if any_there(f, folder)}
    hint = part or (entry.grade.part if entry.grade else None)
    if hint in there:
        return {hint: there[hint]}
    for kind in _KINDS:
        alike: dict[str, SetForm] = {n: f for n, f in there.items() if f.kind == kind}
        if alike:
            return alike
    if there and all(isinstance(form, InstanceForm) for form in there.values()):
        msg = f"{entry.key} holds problems of scheduling that are to be solved, not measurements that could be good or bad."
        raise NoKindError(msg)
    msg = f"None of the files of {entry.key} that can be graded is in {folder}."
    raise SetUnfitError(msg)
