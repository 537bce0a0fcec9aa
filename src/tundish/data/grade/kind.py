"""What kind of data lies at a place: a table, pictures, texts or an event log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from tundish.data.errors import NoKindError
from tundish.data.events import roles as events
from tundish.data.images.folder import is_album
from tundish.data.readers.text import read_words
from tundish.data.texts import items
from tundish.kernel.errors import TundishError

DataKind = Literal["table", "images", "texts", "events"]

MOST_LOOKED_AT = 60
MOST_FILES = 100_000
HEAD_BYTES = 256 * 1024
_LEAST_JOBS = 2
_CARDS = {"readme", "license", "licence", "changelog", "notice", "citation"}
_TABLES = {".csv", ".tsv"}


def kind_of(path: Path) -> DataKind:
    """Return the kind of the data at a place; a table if nothing speaks for another.

    Args:
        path: A file or a folder. Untrusted; only the beginnings of files are read.

    Raises:
        NoKindError: if it is clear what it is, and no kind that is graded.
    """
    if not path.is_dir():
        kind = _file_kind(path)
        if kind == "instances":
            raise NoKindError(_INSTANCES.format(path.name))
        return kind
    if is_album(path):
        return "images"
    files = list(data_files(path))[:: max(1, _count(path) // MOST_LOOKED_AT)]
    kinds = [_file_kind(file) for file in files[:MOST_LOOKED_AT]]
    if kinds and kinds.count("instances") * 2 > len(kinds):
        raise NoKindError(_INSTANCES.format(path.name))
    if kinds.count("texts") * 2 > len(kinds):
        return "texts"
    if kinds.count("events") * 2 > len(kinds):
        return "events"
    return "table"


_INSTANCES = (
    "{} holds job-shop instances: problems of scheduling (jobs, machines, durations) that "
    "are to be solved, not measurements that could be good or bad."
)


def text_files(path: Path) -> tuple[list[tuple[Path, str]], list[str]]:
    """Return (file, its name) of texts at a place, and the names of what is none."""
    if not path.is_dir():
        return [(path, path.name)], []
    found, left = [], []
    for file in data_files(path):
        name = file.relative_to(path).as_posix()
        if file.suffix.lower() in items.SUFFIXES | _TABLES:
            found.append((file, name))
        else:
            left.append(name)
    return found, left


def _count(folder: Path) -> int:
    return sum(1 for _ in data_files(folder))


def data_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder that may hold data: no cards, no links."""
    for count, file in enumerate(sorted(folder.rglob("*"))):
        if count > MOST_FILES:
            return
        stem = file.stem.lower()
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        card = any(stem.startswith(word) for word in _CARDS) or "croissant" in stem
        if file.is_file() and not file.is_symlink() and not hidden and not card:
            yield file


def _file_kind(path: Path) -> DataKind | Literal["instances"]:
    suffix = path.suffix.lower()
    try:
        if suffix == ".xes" or path.name.lower().endswith(".xes.gz"):
            return "events"
        if suffix in {".json", ".jsonl", ".ndjson"}:
            return "texts" if items.is_wordy(items.head(path)) else "table"
        if suffix in {".txt", ".fjs", ".jsp"} and _is_instance(_head(path)):
            return "instances"
        if suffix in _TABLES:
            return _table_kind(path)
    except (TundishError, OSError):
        return "table"  # the readers will say what is wrong with it
    return "table"


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(HEAD_BYTES)


def _table_kind(path: Path) -> DataKind:
    data = _head(path)
    if len(data) == HEAD_BYTES:
        data = data[: data.rfind(b"\n") + 1]
    table = read_words(data, path.name)
    if events.find_roles(table.frame) is not None:
        return "events"
    rows = table.frame.head(500).iter_rows(named=True)
    records = [{k: _number(v) for k, v in row.items()} for row in rows]
    return "texts" if items.is_wordy(records) else "table"


def _number(cell: str | None) -> float | str | None:
    try:
        return float(cell) if cell else cell
    except ValueError:
        return cell


def _is_instance(data: bytes) -> bool:
    """Tell a job shop: counts of jobs and machines, then a line of whole numbers per job.

    In the flexible form a job's line begins with its number of operations, and each
    operation with its number of machines; in the plain form it holds pairs.
    """
    try:
        lines = [line.split() for line in data.decode("ascii").splitlines()]
        rows = [[float(cell) for cell in line] for line in lines if line]
    except ValueError:
        return False
    if not rows or not 2 <= len(rows[0]) <= 3:
        return False
    jobs, machines = int(rows[0][0]), int(rows[0][1])
    found = rows[1 : jobs + 1]
    whole = all(value == int(value) >= 0 for row in found for value in row)
    if jobs < _LEAST_JOBS or len(found) < jobs or len(rows) > jobs + 3 or not whole:
        return False
    return all(_is_job(row, machines) for row in found)


def _is_job(row: Sequence[float], machines: int) -> bool:
    if len(row) == 2 * machines and max(row[0::2]) <= machines:
        return True
    at = 1
    for _ in range(int(row[0])):
        if at >= len(row) or not 1 <= row[at] <= machines:
            return False
        at += 1 + 2 * int(row[at])
    return at == len(row)
