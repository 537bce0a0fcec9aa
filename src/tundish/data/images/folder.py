"""What lies in a folder of pictures: parts, classes, masks, pairs and label files."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tundish.data.errors import TableTooLargeError
from tundish.data.table import Assumption

Role = Literal["picture", "mask", "template"]

PICTURES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".pgm", ".ppm"}
)
LABELS = frozenset({".txt", ".xml", ".json"})
TABLES = frozenset(
    {".csv", ".tsv", ".parquet", ".xlsx", ".xls", ".mat", ".npz", ".gz", ".zip",
     ".jsonl", ".xes", ".rdata", ".dat", ".h5"}
)  # fmt: skip
MAX_FILES = 2_000_000
MAX_DEPTH = 32
_MASKS = {
    "mask", "masks", "ground_truth", "groundtruth", "ground-truth", "gt",
    "segmentation", "segmentations",
}  # fmt: skip
_PARTS = {
    "train": "train", "training": "train", "fit": "train", "test": "test",
    "testing": "test", "val": "validation", "valid": "validation",
    "validation": "validation", "dev": "validation",
}  # fmt: skip
_PLAIN = {
    "images", "image", "imgs", "img", "jpegimages", "pictures", "photos", "data",
    "dataset", "raw", "labels", "annotations", "xml", "bmp", "png", "jpg",
}  # fmt: skip
_MASK_NAME = re.compile(r"[_-](mask|gt|groundtruth|label|seg)\d*$", re.IGNORECASE)
_TEMPLATE = re.compile(r"[_-](temp|template|ref|reference|golden)$", re.IGNORECASE)
_TESTED = re.compile(r"[_-](test|img|image|insp)$", re.IGNORECASE)
_GROUP = re.compile(
    r"^(group|batch|lot|run|day|session|cam|camera|part|folder|seq|sequence|line|shift|"
    r"set|subset|scan|sn|id)?[_\- ]*\d+[\w\-]*$",
    re.IGNORECASE,
)
_PREFIX = re.compile(r"^([A-Za-z][A-Za-z]*(?:[_\- ][A-Za-z]+)*)[_\- ]?\d")
_MOST_CLASSES = 60
_PER_CLASS = 3
_HALF = 0.5
_MANY = 0.8


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A file that holds a picture, and what its place says.

    Attributes:
        path: The file.
        name: Its path within the folder, with ``/``.
        role: A picture of a part, a mask of one, or the template it is compared with.
        key: What a picture shares with its mask, template and label file.
        part: ``train``, ``test`` or ``validation``; empty if no folder says so.
        label: Its class; empty if nothing says so.
    """

    path: Path
    name: str
    role: Role = "picture"
    key: str = ""
    part: str = ""
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Album:
    """All files of a folder of pictures.

    Attributes:
        shots: Pictures, masks and templates, sorted by name.
        labels: Label files: lower-case suffix -> key (stem) -> paths.
        tables: Files that may hold a table of labels.
        links: Symbolic links and special files that were left out.
        assumptions: What was taken for granted.
    """

    shots: tuple[Shot, ...]
    labels: dict[str, dict[str, list[Path]]]
    tables: tuple[Path, ...]
    links: int
    assumptions: tuple[Assumption, ...]

    @property
    def pictures(self) -> list[Shot]:
        """The pictures of parts, without masks and templates."""
        return [shot for shot in self.shots if shot.role == "picture"]


def is_album(folder: Path) -> bool:
    """Tell whether a folder is one of pictures: they outnumber the tables in it."""
    pictures = tables = 0
    for path, _ in _files(folder):
        suffix = path.suffix.lower()
        pictures += suffix in PICTURES
        tables += suffix in TABLES
    return pictures > tables


def read_album(folder: Path) -> Album:
    """List the files of a folder and say what each is, by its name and place.

    No file is opened. Symbolic links are not followed.

    Args:
        folder: A folder. Untrusted: any names.

    Raises:
        TableTooLargeError: if it has more than ``MAX_FILES`` files.
    """
    shots: list[Shot] = []
    labels: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    tables, links = [], 0
    for path, linked in _files(folder):
        suffix = path.suffix.lower()
        if linked:
            links += suffix in PICTURES
        elif suffix in PICTURES:
            shots.append(_shot(path, folder))
        elif suffix in LABELS:
            labels[suffix][path.stem].append(path)
        elif suffix in {".csv", ".tsv", ".parquet", ".xlsx"}:
            tables.append(path)
    shots.sort(key=lambda shot: shot.name)
    shots = _roles(shots)
    boxed = _boxed(shots, labels)
    shots, said = _classed(shots, boxed=boxed)
    return Album(
        shots=tuple(shots),
        labels={kind: dict(found) for kind, found in labels.items()},
        tables=tuple(sorted(tables)),
        links=links,
        assumptions=said,
    )


def _files(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Yield (file, is it a link or a special file) below a folder."""
    count, todo = 0, [(folder, 0)]
    while todo:
        here, depth = todo.pop()
        with os.scandir(here) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__MACOSX":
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if depth < MAX_DEPTH:
                        todo.append((Path(entry.path), depth + 1))
                    continue
                count += 1
                if count > MAX_FILES:
                    msg = f"{folder} holds more than {MAX_FILES:,} files."
                    raise TableTooLargeError(msg)
                yield Path(entry.path), not entry.is_file(follow_symlinks=False)


def _shot(path: Path, folder: Path) -> Shot:
    place = path.relative_to(folder)
    above = [part.lower() for part in place.parts[:-1]]
    part = next((_PARTS[name] for name in above if name in _PARTS), "")
    role: Role = "picture"
    if any(name in _MASKS for name in above) or _MASK_NAME.search(path.stem):
        role = "mask"
    elif _TEMPLATE.search(path.stem):
        role = "template"
    shown = place.as_posix().encode("utf-8", "backslashreplace").decode("utf-8")
    return Shot(path=path, name=shown, role=role, key=_key(path.stem), part=part)


def _key(stem: str) -> str:
    for pattern in (_MASK_NAME, _TEMPLATE, _TESTED):
        stem = pattern.sub("", stem)
    return stem


def _roles(shots: list[Shot]) -> list[Shot]:
    """Keep templates that have a partner; find masks that lie beside their picture."""
    partners = {
        (shot.path.parent, shot.key) for shot in shots if shot.role == "picture"
    }
    beside = {
        (shot.path.parent, shot.path.stem)
        for shot in shots
        if shot.path.suffix.lower() in {".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
    }
    pngs = [s for s in shots if s.path.suffix.lower() == ".png"]
    twins = [s for s in pngs if (s.path.parent, s.path.stem) in beside]
    masks = {s.name for s in twins} if len(twins) > _MANY * len(pngs) else set()
    found = []
    for shot in shots:
        role = shot.role
        if role == "template" and (shot.path.parent, shot.key) not in partners:
            role = "picture"
        if shot.name in masks:
            role = "mask"
        found.append(shot if role == shot.role else replace(shot, role=role))
    if any(shot.role == "picture" for shot in found):
        return found
    return [replace(shot, role="picture") for shot in found]


def _boxed(shots: Sequence[Shot], labels: dict[str, dict[str, list[Path]]]) -> bool:
    """Tell whether label files of the same names lie by at least half the pictures."""
    keys = {name for kind in (".txt", ".xml") for name in labels.get(kind, {})}
    pictures = [shot for shot in shots if shot.role == "picture"]
    fits = sum(shot.path.stem in keys or shot.key in keys for shot in pictures)
    return fits >= max(1, _HALF * len(pictures))


def _classed(
    shots: list[Shot], *, boxed: bool
) -> tuple[list[Shot], tuple[Assumption, ...]]:
    """Give pictures the class that their folder, or the start of their name, says."""
    pictures = [shot for shot in shots if shot.role == "picture"]
    if boxed:
        said = Assumption(
            what="each picture has a file of labels; folders were taken as groups, not classes",
            why="text or XML files bear the names of the pictures",
            otherwise="move the label files away to have folders taken as classes",
        )
        return shots, (said,)
    by_folder = {shot.name: _folder_class(shot) for shot in pictures}
    if _classes(list(by_folder.values())):
        names = sorted(set(by_folder.values()))
        said = Assumption(
            what=f"folders are classes: {_some(names)}",
            why="pictures lie in several folders whose names are no numbers of groups",
            otherwise="give label files or a table of labels, or rename the folders",
        )
        return [replace(s, label=by_folder.get(s.name, "")) for s in shots], (said,)
    by_name = {shot.name: _prefix(shot) for shot in pictures}
    if _classes(list(by_name.values())):
        names = sorted(set(by_name.values()))
        said = Assumption(
            what=f"the start of the file name is the class: {_some(names)}",
            why="no folder says it, and few starts of names are shared by all pictures",
            otherwise="put the pictures into one folder per class",
        )
        return [replace(s, label=by_name.get(s.name, "")) for s in shots], (said,)
    return shots, ()


def _folder_class(shot: Shot) -> str:
    for name in reversed(Path(shot.name).parts[:-1]):
        if name.lower() not in _PLAIN | _PARTS.keys() | _MASKS:
            return name
    return ""


def _prefix(shot: Shot) -> str:
    match = _PREFIX.match(shot.path.stem)
    return match.group(1).rstrip("_- ") if match else ""


def _classes(names: list[str]) -> bool:
    """Tell whether names are those of classes: a few, each of several pictures."""
    counts = Counter(names)
    if not 2 <= len(counts) <= _MOST_CLASSES or "" in counts:
        return False
    digits = sorted(int(name) for name in counts if name.isdecimal() and len(name) < 3)
    numbered = digits in (list(range(len(counts))), list(range(1, len(counts) + 1)))
    if not numbered and sum(bool(_GROUP.match(name)) for name in counts) > 1:
        return False
    return sum(n >= _PER_CLASS for n in counts.values()) >= 2


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (
        f" and {len(names) - 6} more" if len(names) > 6 else ""
    )
