"""Make a set of texts or questions of the files that a form names."""

from __future__ import annotations

from pathlib import Path

from tundish.catalog.setforms import TextForm
from tundish.data.errors import SetUnfitError
from tundish.data.sets.found import find_files
from tundish.data.sets.loaded import LoadedTexts
from tundish.data.texts.items import Item, read_texts


def load_texts(name: str, form: TextForm, root: Path) -> LoadedTexts:
    """Read the texts of a set, and check that there are as many as its entry says.

    Raises:
        SetUnfitError: if a record is broken, a text empty or an answer missing.
        TableUnreadableError, TableTooLargeError: from the reader of texts.
    """
    items: list[Item] = []
    for place, path in find_files(form, root, name):
        read = read_texts(path, place)
        if read.broken:
            msg = f"{place} has {len(read.broken)} records that cannot be read, the first is record {read.broken[0]}."
            raise SetUnfitError(msg)
        items += read.items
    for item in items:
        _check(item, form)
    if len(items) != form.rows:
        msg = f"{name} has {len(items):,} texts, and the entry says {form.rows:,}."
        raise SetUnfitError(msg)
    return LoadedTexts(name=name, items=tuple(items))


def _check(item: Item, form: TextForm) -> None:
    if not item.text:
        msg = f"{item.where} has no text."
        raise SetUnfitError(msg)
    if form.answered and not item.right and item.answer is None:
        msg = f"{item.where} has neither a right option nor an answer."
        raise SetUnfitError(msg)
