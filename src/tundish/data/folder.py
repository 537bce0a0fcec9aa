"""A folder of files: which of them are tables, which belong together, what is left.

Files with the same columns are bound as one table whose unit is the file (a batch or an
asset); notes, licences, programs and pictures are left aside and named.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

import polars as pl

from tundish.data.errors import (
    ArchiveUnsafeError,
    TableTooLargeError,
    TableUnreadableError,
)
from tundish.data.readers.reader import HEAD_BYTES
from tundish.data.readers.reading import choose, read_named
from tundish.data.readers.size import limit_cells
from tundish.data.readers.together import bind
from tundish.data.table import Assumption, Table
from tundish.kernel import paths
from tundish.kernel.records import Record
from tundish.kernel.texts import natural_order

FolderKind = Literal["tables", "images", "texts", "mixed"]

MAX_FILES = 10_000
MAX_DEPTH = 16
MAX_TABLES = 60

_PICTURES = {
    ".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".pgm", ".ppm",
}  # fmt: skip
_PICTURE_MARKS = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"II*\x00", b"MM\x00*", b"GIF8")
_NOTES = {
    ".md", ".rst", ".pdf", ".doc", ".docx", ".rtf", ".odt", ".html", ".htm", ".tex",
    ".bib", ".cff", ".yaml", ".yml", ".toml", ".ini", ".cfg",
}  # fmt: skip
_NOTE_NAME = re.compile(
    r"(?i)^(readme|licen[cs]e|copying|notice|authors?|changelog|changes|citation|"
    r"contributing|manifest|version|source)\b"
)
_PROGRAMS = {
    ".py", ".m", ".r", ".ipynb", ".sh", ".bat", ".js", ".c", ".cpp", ".h", ".java",
    ".exe", ".dll", ".so", ".pyc", ".pkl", ".pickle", ".joblib", ".pt", ".onnx",
}  # fmt: skip
_PLAIN_TEXT = {".txt", ""}
_ASIDE = {".json", ".jsonl", ".ndjson"}
_TEXT_KEYS = re.compile(
    r"(?i)^(text|question|prompt|answer|instruction|response|content|sentence|query)s?$"
)
_SAMPLE = 20
_SHARE = 0.2
_FEW_NOTES = 2
_BOXES = 0.4
_PROSE_WORDS = 5


class LeftAside(Record):
    """A file that was not read as a table, and why."""

    file: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Folder:
    """What a folder holds.

    Attributes:
        name: The folder's name.
        kind: What most of it is.
        tables: Its tables; each ``part`` names the file or the files it came from.
        left: Files that are no part of a table.
        assumptions: What was assumed.
    """

    name: str
    kind: FolderKind
    tables: tuple[Table, ...]
    left: tuple[LeftAside, ...]
    assumptions: tuple[Assumption, ...]


def read_folder(folder: Path, *, sheet: str | None = None) -> Folder:
    """Read the tables of a folder; links are not followed.

    Args:
        folder: The folder. Untrusted: any files.
        sheet: Keep only the table of this file, or of this sheet in each workbook.

    Raises:
        PathMissingError: if there is no such folder.
        TableUnreadableError: if no file in it is a table.
        TableTooLargeError: if it has too many files, or its tables too many cells.
        SheetMissingError: if no table has the name.
    """
    root = paths.existing_folder(folder)
    name = root.resolve().name
    found: list[Table] = []
    left: list[LeftAside] = []
    cells = 0
    for place, path in _files(root):
        why = _why_no_table(path)
        if not why:
            try:
                read = _file(path, place)
            except (TableUnreadableError, TableTooLargeError, ArchiveUnsafeError) as no:
                why = no.message
            else:
                found += read
                cells += sum(t.frame.height * t.frame.width for t in read)
                limit_cells(name, cells, 1)
        if why:
            left.append(LeftAside(file=place, why=why))
    if not found:
        raise _no_table(name, left)
    tables = bind(name, found)
    if sheet is not None:
        tables = [choose(tables, sheet, name)]
    tables, more = _most(tables)
    left += more
    return Folder(
        name=name,
        kind=folder_kind(root),
        tables=tuple(tables),
        left=tuple(left),
        assumptions=(*_said(tables), *_left_said(left)),
    )


def folder_kind(folder: Path) -> FolderKind:
    """Tell what most of a folder is, from names and the first bytes of its files.

    Label files beside pictures count as theirs. ``mixed`` means that another kind makes
    up a fifth or more.

    Raises:
        PathMissingError: if there is no such folder.
        TableTooLargeError: if it has too many files.
    """
    counts: Counter[FolderKind] = Counter()
    notes = 0
    stems: set[str] = set()
    others: list[tuple[str, Path]] = []
    for place, path in _files(paths.existing_folder(folder), most=MAX_FILES * 100):
        if _is_picture(path):
            counts["images"] += 1
            stems.add(_stem(place))
        elif not _is_note(path) and path.suffix.lower() not in _PROGRAMS:
            others.append((place, path))
    beside = [item for item in others if counts["images"] and _stem(item[0]) in stems]
    if len(beside) > _BOXES * counts["images"]:
        others = [item for item in others if item not in beside]
    step = max(1, len(others) // 200)
    for _, path in others[::step]:
        if not _is_text(path):
            counts["tables"] += step
        elif path.suffix.lower() in _ASIDE:
            counts["texts"] += step
        else:
            notes += step
    if notes > max(_FEW_NOTES, _SHARE * counts.total()) or not counts:
        counts["texts"] += notes
    if not counts.total():
        return "tables"
    kind, most = counts.most_common(1)[0]
    return kind if most > (1 - _SHARE) * counts.total() else "mixed"


def _files(root: Path, most: int = MAX_FILES) -> Iterator[tuple[str, Path]]:
    """Return (place, file) of regular files by name; hidden files and links are not."""
    count = 0
    for here, folders, names in os.walk(root, followlinks=False):
        inside = Path(here)
        depth = len(inside.relative_to(root).parts)
        folders[:] = sorted(
            f for f in folders if f[0] not in "._" and depth < MAX_DEPTH
        )
        for name in sorted(names, key=natural_order):
            path = inside / name
            if name[0] in ".~" or path.is_symlink() or not path.is_file():
                continue
            count += 1
            if count > most:
                msg = f"The folder {root.name} has more than {most} files."
                raise TableTooLargeError(msg)
            yield path.relative_to(root).as_posix(), path


def _stem(place: str) -> str:
    return re.sub(r"[_-](temp|test|mask|gt)$", "", PurePosixPath(place).stem)


def _why_no_table(path: Path) -> str:
    if _is_picture(path):
        return "it is a picture"
    if _is_note(path):
        return "it is a note for people"
    if path.suffix.lower() in _PROGRAMS:
        return "it is a program or a stored object; such files are never loaded"
    return ""


def _is_picture(path: Path) -> bool:
    if path.suffix.lower() in _PICTURES:
        return True
    return not path.suffix and _head(path).startswith(_PICTURE_MARKS)


def _is_note(path: Path) -> bool:
    if path.suffix.lower() in _NOTES:
        return True
    plain = path.suffix.lower() in _PLAIN_TEXT
    return plain and _NOTE_NAME.match(path.name) is not None


def _is_text(path: Path) -> bool:
    """Tell whether a file holds sentences: prose, or records of questions and texts."""
    ending = path.suffix.lower()
    head = _head(path).decode(errors="replace")
    if ending in _ASIDE:
        keys = re.findall(r'"([^"\\]{1,40})"\s*:', head)
        return any(_TEXT_KEYS.match(key) for key in keys)
    if ending not in _PLAIN_TEXT or _control(head):
        return False
    lines = [line for line in head.splitlines()[:_SAMPLE] if line.strip()]
    return bool(lines) and sum(map(_is_sentence, lines)) > len(lines) / 2


def _control(head: str) -> bool:
    return any(letter < " " and letter not in "\t\r\n" for letter in head)


def _is_sentence(line: str) -> bool:
    words = [word for word in line.split() if word.strip(".,;:()").isalpha()]
    return len(words) >= _PROSE_WORDS


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(HEAD_BYTES)


def _file(path: Path, place: str) -> list[Table]:
    tables = read_named(path, path.name)
    if all(_prose(table) for table in tables) and _is_text(path):
        msg = f"{path.name} is a text for people."
        raise TableUnreadableError(msg)
    return [
        replace(table, name=place, part="/".join(filter(None, (place, table.part))))
        for table in tables
    ]


def _prose(table: Table) -> bool:
    numbers = any(dtype == pl.Float64 for dtype in table.frame.dtypes)
    return table.frame.width <= 2 and not numbers


def _no_table(name: str, left: Sequence[LeftAside]) -> TableUnreadableError:
    if not left:
        msg = f"The folder {name} holds no file."
        return TableUnreadableError(msg)
    reasons = Counter(item.why for item in left)
    why, count = reasons.most_common(1)[0]
    first = next(item for item in left if item.why == why)
    also = f" ({count} files)" if count > 1 else ""
    msg = (
        f"None of the {len(left)} files in the folder {name} is a table; "
        f"{first.file}{also}: {why.rstrip('.')}."
    )
    return TableUnreadableError(msg)


def _most(tables: list[Table]) -> tuple[list[Table], list[LeftAside]]:
    """Keep the tables with the most cells if there are too many forms of them."""
    if len(tables) <= MAX_TABLES:
        return tables, []
    ranked = sorted(tables, key=lambda t: -t.frame.height * t.frame.width)
    kept = {id(table) for table in ranked[:MAX_TABLES]}
    why = f"the folder has {len(tables)} tables of different columns; the {MAX_TABLES} largest are read"
    more = [LeftAside(file=t.part, why=why) for t in ranked[MAX_TABLES:]]
    return [table for table in tables if id(table) in kept], more


def _said(tables: list[Table]) -> tuple[Assumption, ...]:
    if len(tables) == 1:
        return ()
    shown = ", ".join(
        f"{t.part} ({t.frame.height:,} x {t.frame.width})" for t in tables[:8]
    )
    more = f" and {len(tables) - 8} more" if len(tables) > 8 else ""
    return (
        Assumption(
            what=f"the folder holds {len(tables)} tables of different columns: {shown}{more}",
            why="files with the same columns were put together, others not",
            otherwise="name one file, or one table with --sheet",
        ),
    )


def _left_said(left: list[LeftAside]) -> tuple[Assumption, ...]:
    if not left:
        return ()
    shown = "; ".join(f"{item.file} ({item.why.rstrip('.')})" for item in left[:5])
    more = f"; and {len(left) - 5} more" if len(left) > 5 else ""
    return (
        Assumption(
            what=f"{len(left)} files were left aside: {shown}{more}",
            why="they are no tables",
            otherwise="name the file itself to see what is wrong with it",
        ),
    )
