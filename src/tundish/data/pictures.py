"""Pictures of a site as samples: pixels, label, marked cells, lot, and the part each is for."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.pictures import Pictures, PictureUse
from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Picture
from tundish.data.errors import (
    ColumnMissingError,
    PicturesUnfitError,
    SamplesEmptyError,
    TableTooLargeError,
)
from tundish.data.images import folder
from tundish.data.images.boxes import Box, read_boxes
from tundish.data.images.folder import Album, Shot
from tundish.data.images.looking import Shrunk, shrink
from tundish.kernel import paths

MAX_VALUES = 2**30
GOOD, BAD, MARKED = "good", "bad", "marked"
_HALF = 0.5

Cells = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureSamples:
    """Pieces of pictures, in the order of their files and then in reading order.

    Attributes:
        x: float32 [N, height * width, channels], 0 to 255.
        y: 0 good, 1 bad; or the place of the class, float64 [N].
        mask: Cells of the map that are marked, bool [N, cells]; None without marks.
        part: What each is for, text [N].
        group: Lot, board or shift, text [N].
        name: Path, and the piece if the picture was cut, text [N].
        undecided: Pieces that were left out: a box reaches into them and has its centre
            elsewhere. People draw boxes wider than the fault, so nobody has said whether
            the fault reaches that far.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float64]
    mask: Cells | None
    part: NDArray[np.str_]
    group: NDArray[np.str_]
    name: NDArray[np.str_]
    undecided: int = 0


@dataclass(frozen=True, kw_only=True)
class _Marked:
    """Where somebody marked faults in a picture.

    Attributes:
        cells: Marked cells of its map, bool [down, across].
        faulty: Of each piece, float64 [down, across]: 0 nothing marked, 1 a fault, NaN
            undecided.
    """

    cells: Cells
    faulty: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """A picture that is used: its file, label, group and part."""

    shot: Shot
    label: str
    group: str
    part: str = ""
    marks: Path | None = None
    reference: Path | None = None


def read_pictures(site: Pictures, scenario: Scenario, root: Path) -> PictureSamples:
    """Read a folder of pictures.

    Each picture is scaled to the scenario's size (times the cut) by the mean over areas
    and cut into pieces. A cell of the map is marked if at least half of it lies in a
    box; a box that covers half of no cell marks the cell of its centre.

    Args:
        site: What the site says of its pictures.
        scenario: An inspect scenario: its picture's form, and its classes.
        root: The folder. Untrusted: files are decoded in child processes.

    Raises:
        SamplesEmptyError: if no picture is used.
        PicturesUnfitError: if a picture cannot be decoded, has a label that the
            scenario does not know, lacks its reference, or its group is judged and
            learnt from.
        TableTooLargeError: if they need more memory than is allowed.
    """
    form = scenario.picture
    if form is None:
        msg = f"The scenario {scenario.key} takes no pictures; its task is {scenario.task!r}."
        raise PicturesUnfitError(msg)
    if form.reference != site.reference:
        msg = f"The scenario {scenario.key} says reference: {form.reference}, and the site says {site.reference}."
        raise PicturesUnfitError(msg)
    album = folder.read_album(paths.existing_folder(root))
    chosen = _chosen(site, album, root)
    used = [item for item in _parted(chosen, site.uses) if item.part]
    if not used:
        msg = f"None of the {len(album.shots)} pictures in {root} is used: no pattern of kinds and uses fits them."
        raise SamplesEmptyError(msg)
    _check_size(len(used), site, form)
    return _samples(used, site, scenario, form)


def _samples(
    used: Sequence[_Chosen], site: Pictures, scenario: Scenario, form: Picture
) -> PictureSamples:
    down, across = site.cut
    pieces = down * across
    x, sizes = _pixels(used, site, form)
    mask, faulty = None, np.zeros(len(x))
    if site.marks is not None:
        marked = _marked(used, site, form, sizes)
        mask = np.concatenate([_cut(m.cells[..., None], site.cut) for m in marked])
        mask = mask.reshape(len(x), -1)
        faulty = np.concatenate([m.faulty.ravel() for m in marked])
    y = np.empty(len(x))
    for i, item in enumerate(used):
        at = slice(i * pieces, (i + 1) * pieces)
        y[at] = _truth(item, scenario, faulty[at])
    names = [
        item.shot.name if pieces == 1 else f"{item.shot.name}#{piece}"
        for item in used
        for piece in range(pieces)
    ]
    told = ~np.isnan(y)
    return PictureSamples(
        x=x[told],
        y=y[told],
        mask=None if mask is None else mask[told],
        part=np.repeat([item.part for item in used], pieces)[told],
        group=np.repeat([item.group for item in used], pieces)[told],
        name=np.array(names)[told],
        undecided=int(np.count_nonzero(~told)),
    )


def _chosen(site: Pictures, album: Album, root: Path) -> list[_Chosen]:
    if site.manifest is not None:
        found = _listed(paths.existing_file(paths.join(root, site.manifest)), album)
    else:
        found = []
        for shot in album.shots:
            label = next(
                (k.label for k in site.kinds if fnmatchcase(shot.name, k.files)), None
            )
            if label is not None:
                group = _group(shot.name, site.group)
                found.append(_Chosen(shot=shot, label=label, group=group))
    masks = {s.key: s.path for s in album.shots if s.role == "mask"}
    templates = {
        (s.path.parent, s.key): s.path for s in album.shots if s.role == "template"
    }
    return [
        replace(
            item,
            marks=item.marks or _marks(item.shot, site, album, masks),
            reference=_reference(item.shot, templates) if site.reference else None,
        )
        for item in found
    ]


def _listed(manifest: Path, album: Album) -> list[_Chosen]:
    """Return the pictures that a manifest lists, in its order."""
    by_name = {shot.name: shot for shot in album.shots}
    found = []
    with manifest.open(encoding="utf-8-sig", newline="") as lines:
        table = csv.DictReader(lines)
        for need in ("path", "label", "group"):
            if need not in (table.fieldnames or ()):
                msg = f"The manifest {manifest.name} has no column {need!r}."
                raise ColumnMissingError(msg)
        for row in table:
            shot = by_name.get(row["path"])
            if shot is None:
                msg = f"The manifest {manifest.name} lists {row['path'][:80]!r}, and no such picture is there."
                raise PicturesUnfitError(msg)
            marks = row.get("marks") or ""
            place = manifest.parent / paths.check_name(marks) if marks else None
            found.append(
                _Chosen(shot=shot, label=row["label"], group=row["group"], marks=place)
            )
    return found


def _group(name: str, pattern: str | None) -> str:
    if pattern is None:
        return str(Path(name).parent)
    match = re.search(pattern, name)
    if match is None or match.group(1) is None:
        msg = f"The picture {name[:80]!r} belongs to no group: {pattern!r} finds nothing in its path."
        raise PicturesUnfitError(msg)
    return match.group(1)


def _marks(
    shot: Shot, site: Pictures, album: Album, masks: dict[str, Path]
) -> Path | None:
    if site.marks == "masks":
        return masks.get(shot.key)
    if site.marks is None or shot.role == "template":
        return None
    for ending in (".txt", ".xml"):
        for name in (shot.path.stem, shot.key):
            files = album.labels.get(ending, {}).get(name, [])
            near = [f for f in files if f.parent == shot.path.parent]
            if len(files) == 1 or near:
                return (near or files)[0]
    return None


def _reference(shot: Shot, templates: dict[tuple[Path, str], Path]) -> Path:
    found = templates.get((shot.path.parent, shot.key))
    if found is None:
        msg = f"The picture {shot.name[:80]!r} has no template beside it."
        raise PicturesUnfitError(msg)
    return found


def _parted(chosen: Sequence[_Chosen], uses: Sequence[PictureUse]) -> list[_Chosen]:
    """Give each picture its part; whole groups are judged or learnt from, never both."""
    groups = sorted({item.group for item in chosen})
    taken: set[str] = set()
    parts = [""] * len(chosen)
    for use in uses:
        if use.groups:
            mine = {g for g in groups if any(fnmatchcase(g, p) for p in use.groups)}
        else:
            left = [g for g in groups if g not in taken]
            many = len(left) if use.share is None else round(use.share * len(groups))
            mine = set(left[:many])
        taken |= mine
        for i, item in enumerate(chosen):
            fits = use.files is None or fnmatchcase(item.shot.name, use.files)
            if not parts[i] and item.group in mine and fits:
                parts[i] = use.part
    judged = {c.group for c, p in zip(chosen, parts, strict=True) if p == "judge"}
    learnt = {
        c.group for c, p in zip(chosen, parts, strict=True) if p not in {"", "judge"}
    }
    both = sorted(judged & learnt)
    if both:
        msg = f"The group {both[0]!r} is judged and learnt from: pictures of one group resemble each other, and the verdict would flatter."
        raise PicturesUnfitError(msg)
    return [replace(c, part=p) for c, p in zip(chosen, parts, strict=True)]


def _check_size(count: int, site: Pictures, form: Picture) -> None:
    values = count * site.cut[0] * site.cut[1] * form.height * form.width
    if values * form.channels > MAX_VALUES:
        msg = f"{count} pictures of this size hold {values * form.channels:,} values; at most {MAX_VALUES:,} are read."
        raise TableTooLargeError(msg)


def _pixels(
    used: Sequence[_Chosen], site: Pictures, form: Picture
) -> tuple[NDArray[np.float32], list[tuple[int, int]]]:
    """Return pieces [N, pixels, channels], and each file's height and width."""
    size = (form.height * site.cut[0], form.width * site.cut[1], form.colours)
    pieces, sizes = [], []
    own = _read([item.shot.path for item in used], size)
    for item in own:
        sizes.append((item.height, item.width))
        pieces.append(_cut(item.pixels, site.cut))
    if form.reference:
        others = _read([item.reference or item.shot.path for item in used], size)
        pieces = [
            np.concatenate([one, _cut(other.pixels, site.cut)], axis=2)
            for one, other in zip(pieces, others, strict=True)
        ]
    return np.concatenate(pieces).astype(np.float32), sizes


def _read(files: Sequence[Path], size: tuple[int, int, int]) -> list[Shrunk]:
    found = list(shrink(files, *size))
    for path, item in zip(files, found, strict=True):
        if item.error:
            msg = f"The picture {path.name[:80]!r} cannot be used: {item.error}."
            raise PicturesUnfitError(msg)
    return found


def _cut(picture: NDArray[np.generic], cut: tuple[int, int]) -> NDArray[np.generic]:
    """Return the pieces of a picture [H, W, C] in reading order, [pieces, h * w, C]."""
    down, across = cut
    height, width, colours = picture.shape
    split = picture.reshape(down, height // down, across, width // across, colours)
    return split.transpose(0, 2, 1, 3, 4).reshape(down * across, -1, colours)


def _marked(
    used: Sequence[_Chosen],
    site: Pictures,
    form: Picture,
    sizes: Sequence[tuple[int, int]],
) -> list[_Marked]:
    """Return what is marked in each whole picture."""
    grid = (form.map_height * site.cut[0], form.map_width * site.cut[1])
    if site.marks == "boxes":
        return [
            _boxed(item, grid, site.cut, size)
            for item, size in zip(used, sizes, strict=True)
        ]
    files = [item.marks for item in used if item.marks is not None]
    masks = iter(_read(files, (*grid, 1)))
    cells = [
        np.zeros(grid, dtype=bool) if item.marks is None else _cells(next(masks))
        for item in used
    ]
    return [
        _Marked(
            cells=each,
            faulty=np.asarray(
                _cut(each[..., None], site.cut).any(axis=(1, 2)), dtype=np.float64
            ),
        )
        for each in cells
    ]


def _cells(mask: Shrunk) -> Cells:
    values = mask.pixels[..., 0].astype(np.float64)
    return np.asarray(values >= max(1.0, values.max() * _HALF))


def _boxed(
    item: _Chosen, grid: tuple[int, int], cut: tuple[int, int], size: tuple[int, int]
) -> _Marked:
    cells = np.zeros(grid, dtype=bool)
    touched, centred = np.zeros(cut, dtype=bool), np.zeros(cut, dtype=bool)
    for box in _boxes(item):
        down, across = (1, 1) if box.share else size
        rows = np.array([box.top, box.bottom]) / down
        columns = np.array([box.left, box.right]) / across
        covered = _covered(rows, columns, grid)
        inside = covered >= _HALF
        inside[_centre(rows, columns, grid)] |= not inside.any()
        cells |= inside
        touched |= _covered(rows, columns, cut) > 0
        centred[_centre(rows, columns, cut)] = True
    faulty = np.zeros(cut)
    faulty[touched] = np.nan
    faulty[centred] = 1.0
    return _Marked(cells=cells, faulty=faulty)


def _boxes(item: _Chosen) -> tuple[Box, ...]:
    if item.marks is None:
        return ()
    read = read_boxes(item.marks)
    if read.error:
        msg = f"The label file {item.marks.name[:80]!r} cannot be used: {read.error}."
        raise PicturesUnfitError(msg)
    return read.boxes


def _covered(
    rows: NDArray[np.float64], columns: NDArray[np.float64], grid: tuple[int, int]
) -> NDArray[np.float64]:
    """Return the share of each cell of a grid inside a box given in shares, [down, across]."""
    return np.outer(
        _overlap(rows * grid[0], grid[0]), _overlap(columns * grid[1], grid[1])
    )


def _centre(
    rows: NDArray[np.float64], columns: NDArray[np.float64], grid: tuple[int, int]
) -> tuple[int, int]:
    down, across = (
        int(np.clip(np.mean(edges) * many, 0, many - 1))
        for edges, many in ((rows, grid[0]), (columns, grid[1]))
    )
    return down, across


def _overlap(edges: NDArray[np.float64], cells: int) -> NDArray[np.float64]:
    """Return the share of each cell that lies between two edges, [cells]."""
    start = np.arange(cells, dtype=np.float64)
    low, high = np.maximum(start, edges[0]), np.minimum(start + 1, edges[1])
    return np.asarray(np.maximum(high - low, 0.0))


def _truth(
    item: _Chosen, scenario: Scenario, faulty: NDArray[np.float64]
) -> NDArray[np.float64] | float:
    names = [each.name for each in scenario.classes]
    if item.label == MARKED and not names:
        return faulty
    known = names or [GOOD, BAD]
    if item.label not in known:
        msg = f"The picture {item.shot.name[:80]!r} has the label {item.label[:40]!r}; the scenario knows: {', '.join(known)}."
        raise PicturesUnfitError(msg)
    return float(known.index(item.label))
