"""What a grade of texts looks at: the items of all files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from tundish.data.grade.tally import Remarks
from tundish.data.texts.items import Item, TextFile
from tundish.data.texts.near import normal

_PARTS = {
    "train": "train", "training": "train", "fit": "train", "test": "test",
    "testing": "test", "eval": "test", "evaluation": "test", "val": "validation",
    "valid": "validation", "validation": "validation", "dev": "validation",
}  # fmt: skip
_CUT = re.compile(r"[^a-z]+")


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Files of texts.

    Attributes:
        name: The folder's or file's name.
        files: The files, sorted by name.
    """

    name: str
    files: tuple[TextFile, ...]

    @cached_property
    def items(self) -> list[Item]:
        """All items of all files."""
        return [item for file in self.files for item in file.items]

    @cached_property
    def questions(self) -> list[Item]:
        """Items with options."""
        return [item for item in self.items if len(item.options) > 1]

    @cached_property
    def same(self) -> dict[str, list[Item]]:
        """Items that say the same: text and options, in whatever order, to items."""
        found: dict[str, list[Item]] = {}
        for item in self.items:
            if item.text.strip():
                found.setdefault(identity(item), []).append(item)
        return found

    def remarks(self, indicator: str, counted: str = "texts") -> Remarks:
        """Return an empty list of findings of an indicator."""
        return Remarks(table=self.name, indicator=indicator, counted=counted)


def identity(item: Item) -> str:
    """Return what makes an item this one: its words, and its options in any order."""
    options = sorted(normal(option) for option in item.options)
    return " / ".join([normal(item.text) or item.text.strip(), *options])


def part_of(name: str) -> str:
    """Return the part of a split that a file's name states; empty if none."""
    return next((_PARTS[w] for w in _CUT.split(name.lower()) if w in _PARTS), "")


def places(some: Iterable[Item]) -> list[str]:
    """Return where some items stand."""
    return [item.where for item in some]


def quoted(text: str, most: int = 60) -> str:
    """Return the start of a text for a sentence."""
    plain = " ".join("".join(c if c.isprintable() else "\ufffd" for c in text).split())
    return f'"{plain[:most]}{"..." if len(plain) > most else ""}"'


def examples(some: Sequence[Item], most: int = 2) -> str:
    """Return where the first few of some items stand."""
    more = f" and {len(some) - most:,} more" if len(some) > most else ""
    return ", ".join(places(some)[:most]) + more
