"""What a loaded set consists of."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from tundish.catalog.setforms import Column
from tundish.data.images.boxes import Box
from tundish.data.table import Assumption
from tundish.data.texts.items import Item


@dataclass(frozen=True, kw_only=True)
class LoadedTable:
    """A table with typed columns.

    Attributes:
        name: Its name in the entry.
        frame: ``Float64``, ``Int64``, ``String`` and ``Datetime`` (UTC) columns, in the
            order of ``columns``; null where nothing stands in the file.
        columns: What each column is.
        kind: An ordinary table, an event log, or a recording of tags.
        files: The files it came from.
        described: Of a recording: tag -> unit, for the tags that have one.
        assumptions: What the readers took for granted.
    """

    name: str
    frame: pl.DataFrame
    columns: tuple[Column, ...]
    kind: Literal["table", "log", "stream"] = "table"
    files: tuple[str, ...] = ()
    described: dict[str, str] = field(default_factory=dict)
    assumptions: tuple[Assumption, ...] = ()

    @property
    def units(self) -> dict[str, str]:
        """Column -> unit, for those that have one."""
        return {c.name: c.unit for c in self.columns if c.unit is not None}

    def of_role(self, *roles: str) -> list[str]:
        """Return the names of the columns with a role."""
        return [column.name for column in self.columns if column.role in roles]

    @property
    def missing(self) -> int:
        """Cells without a value."""
        return sum(series.null_count() for series in self.frame.get_columns())


@dataclass(frozen=True, kw_only=True)
class LoadedPicture:
    """One picture and what is known of it; its pixels stay in its file.

    Attributes:
        name: Path within the set.
        labels: Its class, or the kinds of its boxes.
        template: The picture it is to be compared with.
    """

    path: Path
    name: str
    width: int
    height: int
    labels: tuple[str, ...] = ()
    group: str = ""
    template: Path | None = None
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LoadedPictures:
    """A set of pictures."""

    name: str
    pictures: tuple[LoadedPicture, ...]
    templates: int = 0

    @property
    def labels(self) -> dict[str, int]:
        """Class -> how many pictures or boxes have it, the commonest first."""
        counts = Counter(label for one in self.pictures for label in one.labels)
        return dict(counts.most_common())


@dataclass(frozen=True, kw_only=True)
class LoadedTexts:
    """Texts, or questions with their options and answers."""

    name: str
    items: tuple[Item, ...]

    @property
    def labels(self) -> dict[str, int]:
        """Class -> how many texts have it, the commonest first."""
        counts = Counter(item.label for item in self.items if item.label)
        return dict(counts.most_common())


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A problem of scheduling: jobs of operations, each of which some machines can do.

    Attributes:
        jobs: For each job its operations in order; an operation is its choices (machine
            counted from 0, duration).
        lower, upper: Bounds of the shortest makespan; equal if it is known; ``None`` if
            nothing is.
    """

    name: str
    machines: int
    jobs: tuple[tuple[tuple[tuple[int, int], ...], ...], ...]
    lower: int | None = None
    upper: int | None = None

    @property
    def operations(self) -> int:
        """How many operations all jobs have."""
        return sum(map(len, self.jobs))


@dataclass(frozen=True, kw_only=True)
class LoadedInstances:
    """Problems of scheduling."""

    name: str
    instances: tuple[Instance, ...]


@dataclass(frozen=True, kw_only=True)
class LoadedSet:
    """A set of the catalogue, typed and checked against its entry.

    Attributes:
        absent: Parts of the entry of which no file was there.
    """

    key: str
    folder: Path
    tables: dict[str, LoadedTable] = field(default_factory=dict)
    pictures: dict[str, LoadedPictures] = field(default_factory=dict)
    texts: dict[str, LoadedTexts] = field(default_factory=dict)
    instances: dict[str, LoadedInstances] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
