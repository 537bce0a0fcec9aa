"""Folders that people carry: where in them a pinned file may lie, and what they say.

Read are what ``tundish data mirror`` writes (files by digest and an index), the cache,
and folders made by hand: a folder for each set, or the files themselves. Nothing that a
mirror says is believed: what is taken from it has the digest that the catalogue pins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from tundish.catalog.datasets import DatasetEntry, SetKey, Sha256
from tundish.data.errors import (
    DigestMismatchError,
    MirrorInvalidError,
    SourceAbsentError,
)
from tundish.data.fetch.cache import folder_name
from tundish.data.fetch.shelf import Pin, Shelf, copy_pinned
from tundish.kernel import canonical, paths
from tundish.kernel.errors import TundishError
from tundish.kernel.records import Record

INDEX = "index.json"
MOST_INDEX_BYTES = 128 * 1024**2


class MirroredFile(Record):
    """One file of a set in a mirror; it lies under its digest."""

    sha256: Sha256
    bytes: Annotated[int, Field(ge=0)]


class MirroredSet(Record):
    """One set in a mirror.

    Attributes:
        source: What its entry was pinned by when the mirror was made.
        licence: As stated, for whoever opens the index.
        licence_class: ``A`` ... ``U``.
        files: Name -> file. Of a wheel, the wheel.
    """

    source: Sha256
    licence: str
    licence_class: str
    files: dict[str, MirroredFile]


class MirrorIndex(Record):
    """What ``index.json`` says lies in a mirror."""

    format: Literal["tundish.mirror"] = "tundish.mirror"
    version: Literal[1] = 1
    sets: dict[SetKey, MirroredSet]


def parse_index(data: bytes, where: str) -> MirrorIndex:
    """Read the index of a mirror.

    Raises:
        MirrorInvalidError: if it is not of the form, or a name would lead outside.
    """
    try:
        canonical.loads_canonical(data)
        index = MirrorIndex.model_validate_json(data)
        for one in index.sets.values():
            for name in one.files:
                paths.check_name(name)
    except (TundishError, ValidationError) as error:
        msg = f"{where} is not the index of a mirror."
        raise MirrorInvalidError(msg) from error
    return index


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """A folder that pinned files are taken from.

    Attributes:
        root: The folder.
        index: What it says of itself, if Tundish wrote it.
    """

    root: Path
    index: MirrorIndex | None = None

    @classmethod
    def at(cls, root: Path) -> Mirror:
        """Read a folder's index, if it has one.

        Raises:
            PathMissingError: if there is no such folder.
            MirrorInvalidError: see ``parse_index``.
        """
        place = paths.existing_folder(root) / INDEX
        if not place.is_file():
            return cls(root=root)
        data = paths.read_file(place, most=MOST_INDEX_BYTES)
        if b'"tundish.mirror"' not in data:
            return cls(root=root)  # somebody else's index
        return cls(root=root, index=parse_index(data, str(place)))

    @property
    def shelf(self) -> Shelf:
        """The files by digest."""
        return Shelf(root=self.root)

    def folders(self, entry: DatasetEntry) -> list[Path]:
        """Return the folders that hold a set's files under their names."""
        held = folder_name(entry)
        names = (entry.key, f"datasets/{held}", held)
        return [f for name in names if (f := self.root / name).is_dir()]

    def files(self, folders: list[Path], pin: Pin) -> Iterator[Path]:
        """Yield where a pinned file lies, the surest place first.

        Args:
            folders: The set's, from ``folders``.
            pin: The file.
        """
        below = (paths.join(folder, pin.name) for folder in folders)
        yield from _there((self.shelf.place(pin.sha256), *below))

    def loose(self, pin: Pin) -> Iterator[Path]:
        """Yield where it lies in the folder itself: by its name, or by its digest."""
        names = (pin.sha256, f"{pin.sha256}.whl")
        here = (paths.join(self.root, pin.name), *(self.root / n for n in names))
        yield from _there(here)

    def take(self, entry: DatasetEntry, pin: Pin, target: Path) -> None:
        """Copy a pinned file out of the mirror.

        Raises:
            SourceAbsentError: if it is in none of the places.
            DigestMismatchError: if what lies there has other bytes.
        """
        found: DigestMismatchError | None = None
        for path in (*self.files(self.folders(entry), pin), *self.loose(pin)):
            try:
                copy_pinned(path, target, pin)
            except DigestMismatchError as error:
                found = error
            else:
                return
        if found is not None:
            raise found
        msg = f"The mirror {self.root} has neither {pin.name} nor {pin.sha256}."
        raise SourceAbsentError(msg)


def _there(places: tuple[Path, ...]) -> Iterator[Path]:
    """Yield those that are there; where the system does not say, reading will tell."""
    for place in places:
        try:
            there = place.is_file()
        except OSError:
            there = True
        if there:
            yield place
