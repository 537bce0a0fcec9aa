"""Read boxes around defects: YOLO, Pascal VOC, COCO, and plain corner lists."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Literal

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from tundish.kernel import canonical
from tundish.kernel.canonical import Json
from tundish.kernel.errors import TundishError

MAX_BYTES = 8 * 1024**2
MAX_COCO_BYTES = 512 * 1024**2
MAX_BOXES = 100_000
Form = Literal["yolo", "voc", "coco", "corners"]


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box in pixels (or shares of the picture's size, as YOLO writes them).

    Attributes:
        left, top, right, bottom: Its edges.
        kind: What it surrounds.
        share: True if the edges are shares of width and height.
        size: The picture's size that the label file states, or ``None``.
    """

    left: float
    top: float
    right: float
    bottom: float
    kind: str
    share: bool = False


@dataclass(frozen=True, kw_only=True)
class BoxFile:
    """The boxes of one picture.

    Attributes:
        path: The label file.
        form: How it is written; empty if nothing in it says so.
        boxes: Its boxes.
        size: Width and height that it states, or ``None``.
        error: Why it cannot be read; empty if it can.
    """

    path: Path
    form: Form | Literal[""] = ""
    boxes: tuple[Box, ...] = field(default=())
    size: tuple[int, int] | None = None
    error: str = ""


def read_boxes(path: Path) -> BoxFile:
    """Read one label file; what is wrong with it stands in ``error``.

    Args:
        path: A text or XML file. Untrusted.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            return BoxFile(path=path, error="it is too large for a label file")
        data = path.read_bytes()
    except OSError:
        return BoxFile(path=path, error="it cannot be opened")
    return _voc(path, data) if path.suffix.lower() == ".xml" else _lines(path, data)


def read_coco(path: Path) -> dict[str, BoxFile]:
    """Read a COCO file: name of the picture's file -> its boxes; empty if it is none.

    Args:
        path: A JSON file. Untrusted.
    """
    try:
        if path.stat().st_size > MAX_COCO_BYTES:
            return {}
        said = canonical.loads(path.read_bytes(), max_bytes=MAX_COCO_BYTES)
    except (OSError, TundishError):
        return {}
    if not isinstance(said, dict):
        return {}
    images, notes = _objects(said.get("images")), _objects(said.get("annotations"))
    if not images or not isinstance(said.get("annotations"), list):
        return {}
    kinds = {
        str(kind.get("id")): str(kind.get("name"))
        for kind in _objects(said.get("categories"))
    }
    boxes: dict[str, list[Box]] = {str(image.get("id")): [] for image in images}
    for note in notes:
        corner = _floats(note.get("bbox"))
        if len(corner) == 4:
            x, y, width, height = corner
            kind = kinds.get(str(note.get("category_id")), "")
            box = Box(left=x, top=y, right=x + width, bottom=y + height, kind=kind)
            boxes.setdefault(str(note.get("image_id")), []).append(box)
    return {
        Path(str(image.get("file_name"))).name: BoxFile(
            path=path, form="coco", boxes=tuple(boxes[str(image.get("id"))])
        )
        for image in images
    }


def _objects(value: Json) -> list[dict[str, Json]]:
    items = value if isinstance(value, list) else []
    return [item for item in items if isinstance(item, dict)]


def _floats(value: Json) -> list[float]:
    items = value if isinstance(value, list) else []
    return [float(item) for item in items if isinstance(item, int | float)]


def _lines(path: Path, data: bytes) -> BoxFile:
    text = data.decode("utf-8", "replace")
    rows = [
        line.replace(",", " ").split() for line in text.splitlines() if line.strip()
    ]
    if not rows:
        return BoxFile(path=path)
    if len(rows) > MAX_BOXES:
        return BoxFile(path=path, error=f"it has more than {MAX_BOXES:,} lines")
    numbers = [_numbers(row) for row in rows]
    if any(len(found) < 4 for found in numbers):
        bad = next(i for i, found in enumerate(numbers) if len(found) < 4)
        return BoxFile(path=path, error=f"line {bad + 1} is no box")
    if all(_is_yolo(row, found) for row, found in zip(rows, numbers, strict=True)):
        boxes = tuple(_yolo(row) for row in rows)
        return BoxFile(path=path, form="yolo", boxes=boxes)
    boxes = tuple(_corners(row) for row in rows)
    return BoxFile(path=path, form="corners", boxes=boxes)


def _numbers(row: list[str]) -> list[float]:
    found = []
    for cell in row:
        try:
            value = float(cell)
        except ValueError:
            continue
        if isfinite(value):
            found.append(value)
    return found


def _is_yolo(row: list[str], numbers: list[float]) -> bool:
    """Tell a YOLO line: a class, then shares of the picture (a box or a polygon)."""
    shares = numbers[1:] if len(numbers) == len(row) else numbers
    whole = all(value == int(value) for value in shares)
    return len(shares) >= 4 and all(abs(value) <= 2 for value in shares) and not whole


def _yolo(row: list[str]) -> Box:
    values = _numbers(row[1:])
    if len(values) in {4, 5}:
        x, y, width, height = values[:4]
        return Box(
            left=x - width / 2,
            top=y - height / 2,
            right=x + width / 2,
            bottom=y + height / 2,
            kind=row[0],
            share=True,
        )
    xs, ys = values[0::2], values[1::2]
    return Box(
        left=min(xs),
        top=min(ys),
        right=max(xs),
        bottom=max(ys),
        kind=row[0],
        share=True,
    )


def _corners(row: list[str]) -> Box:
    left, top, right, bottom = _numbers(row)[:4]
    kind = row[4] if len(row) > 4 else ""
    return Box(left=left, top=top, right=right, bottom=bottom, kind=kind)


def _voc(path: Path, data: bytes) -> BoxFile:
    try:
        root = ElementTree.fromstring(data, forbid_dtd=True)
    except (ElementTree.ParseError, DefusedXmlException, ValueError, LookupError):
        return BoxFile(path=path, error="it is no sound XML")
    boxes = []
    for item in list(root.iter("object"))[:MAX_BOXES]:
        kind = (item.findtext("name") or "").strip()
        edges = _numbers(
            [
                item.findtext(f"bndbox/{e}") or ""
                for e in ("xmin", "ymin", "xmax", "ymax")
            ]
        )
        if len(edges) != 4:
            return BoxFile(path=path, error="an object in it has no whole box")
        left, top, right, bottom = edges
        boxes.append(Box(left=left, top=top, right=right, bottom=bottom, kind=kind))
    size = _numbers([root.findtext(f"size/{e}") or "" for e in ("width", "height")])
    return BoxFile(
        path=path,
        form="voc",
        boxes=tuple(boxes),
        size=(int(size[0]), int(size[1])) if len(size) == 2 else None,
    )
