"""What a grade of pictures looks at: files with all that is known about them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tundish.data.grade.tally import Remarks
from tundish.data.images.boxes import BoxFile
from tundish.data.images.folder import Album, Shot
from tundish.data.images.looking import Look

COUNTED = "pictures"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A file and what it looks like."""

    shot: Shot
    look: Look

    @property
    def name(self) -> str:
        """The file's path within the folder."""
        return self.shot.name

    @property
    def label(self) -> str:
        """Its class; empty if unknown."""
        return self.shot.label


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A folder of pictures.

    Attributes:
        name: The folder's name.
        album: Its files.
        seen: Every picture, mask and template, readable or not.
        boxes: Name of a picture -> its label file.
        labelled_by: ``boxes``, ``classes``, ``masks`` or empty.
    """

    name: str
    album: Album
    seen: tuple[Seen, ...]
    boxes: dict[str, BoxFile]
    labelled_by: str

    @cached_property
    def pictures(self) -> list[Seen]:
        """Pictures of parts, readable or not."""
        return [one for one in self.seen if one.shot.role == "picture"]

    @cached_property
    def sound(self) -> list[Seen]:
        """Pictures of parts that can be read."""
        return [one for one in self.pictures if not one.look.error]

    @cached_property
    def alike(self) -> list[list[Seen]]:
        """Readable pictures by class and size: what may be compared with each other."""
        found: dict[tuple[str, int, int], list[Seen]] = defaultdict(list)
        for one in self.sound:
            found[one.label, one.look.width, one.look.height].append(one)
        return list(found.values())

    def remarks(self, indicator: str, counted: str = COUNTED) -> Remarks:
        """Return an empty list of findings of an indicator."""
        return Remarks(table=self.name, indicator=indicator, counted=counted)


def names(some: list[Seen]) -> list[str]:
    """Return the names of some pictures, sorted."""
    return sorted(one.name for one in some)


def measured(some: list[Seen], field: str) -> NDArray[np.float64]:
    """Return one measure of some pictures, shape [n]."""
    return np.array([float(getattr(one.look, field)) for one in some])


def examples(some: list[Seen], most: int = 3) -> str:
    """Return a few names for a sentence."""
    found = names(some)
    rest = f" and {len(found) - most:,} more" if len(found) > most else ""
    return ", ".join(found[:most]) + rest
