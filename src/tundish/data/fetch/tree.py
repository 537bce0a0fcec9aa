"""Sets of single pinned files: GitHub, Hugging Face, Zenodo, plain HTTPS, or a mirror.

What has come is kept by digest until the set is whole, so that the next command goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tundish.catalog.datasets import DatasetEntry
from tundish.catalog.filelist import PinnedFile
from tundish.data.fetch import hosts
from tundish.data.fetch.cache import Told
from tundish.data.fetch.mirror import Mirror
from tundish.data.fetch.shelf import Pin, Shelf, link_or_copy
from tundish.kernel import paths

if TYPE_CHECKING:
    from tundish.data.fetch.web import Patience, Web

_MEGA = 1e6


def gather(
    entry: DatasetEntry,
    files: tuple[PinnedFile, ...],
    shelf: Shelf,
    told: Told,
    *,
    mirror: Mirror | None = None,
    patience: Patience | None = None,
) -> None:
    """Bring every file of a set onto a shelf; those that are there stay.

    Args:
        entry: Whose files they are.
        files: Its list.
        shelf: Where to.
        told: The file, the bytes so far, and their share.
        mirror: Take them from here, and ask no host.
        patience: How long hosts are waited for.

    Raises:
        What ``Mirror.take`` and ``web.Web.bring`` raise; what came is kept.
    """
    bar = _Bar(told, sum(file.bytes for file in files))
    with _asking(patience) as asked:
        for file in files:
            bar.begin(file)
            if not shelf.has(file.sha256, file.bytes):
                part = shelf.part(file.sha256)
                if mirror is not None:
                    mirror.take(entry, pin_of(file), part)
                else:
                    address = hosts.address_of(entry.source.kind, file)
                    asked().bring(address, file, part, bar.came)
                shelf.take(file.sha256)
            bar.end(file)


def pin_of(file: PinnedFile) -> Pin:
    """Return what a listed file must be."""
    return Pin(name=file.name, sha256=file.sha256, bytes=file.bytes)


def assemble(files: tuple[PinnedFile, ...], shelf: Shelf, made: Path) -> None:
    """Give the files of a shelf their names in a folder."""
    for file in files:
        link_or_copy(shelf.place(file.sha256), paths.join(made, file.name))


@contextmanager
def _asking(patience: Patience | None) -> Iterator[_Lazy]:
    asked = _Lazy(patience)
    try:
        yield asked
    finally:
        asked.close()


class _Lazy:
    """Loads what asks hosts when the first is asked: a mirror needs no such library."""

    def __init__(self, patience: Patience | None) -> None:
        self._patience = patience
        self._web: Web | None = None

    def __call__(self) -> Web:
        if self._web is None:
            from tundish.data.fetch.web import Patience, Web  # noqa: PLC0415

            self._web = Web(patience=self._patience or Patience())
        return self._web

    def close(self) -> None:
        if self._web is not None:
            self._web.close()


class _Bar:
    """Says which file comes and how much of all has come."""

    def __init__(self, told: Told, size: int) -> None:
        self._told = told
        self._size = max(size, 1)
        self._before = 0
        self._name = ""

    def begin(self, file: PinnedFile) -> None:
        self._name = file.name
        self.came(0)

    def came(self, count: int) -> None:
        done = self._before + count
        text = f"{done / _MEGA:,.1f} of {self._size / _MEGA:,.1f} MB, {self._name}"
        self._told(text, done / self._size)

    def end(self, file: PinnedFile) -> None:
        self._before += file.bytes
        self.came(0)
