"""Make a set of pictures of a folder: sizes, classes, groups, templates, boxes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from tundish.catalog.setforms import PictureForm
from tundish.data.errors import SetUnfitError
from tundish.data.images.boxes import Box, read_boxes
from tundish.data.images.folder import PICTURES, Album, Shot, read_album
from tundish.data.images.looking import Look, look_at
from tundish.data.sets.loaded import LoadedPicture, LoadedPictures


def load_pictures(name: str, form: PictureForm, root: Path) -> LoadedPictures:
    """List the pictures of a set and read their sizes and labels.

    Args:
        name: Of the set of pictures in the entry.
        form: What the entry says of it.
        root: Folder of the set. Untrusted: pictures are opened in child processes.

    Raises:
        SetUnfitError: if a picture cannot be opened, has another size, or lacks its
            class, its boxes or its template; or if there are more or fewer.
    """
    album = read_album(root)
    shots = [s for s in album.shots if _chosen(s, form)]
    if len(shots) != form.many:
        msg = f"{name} has {len(shots)} pictures, and the entry says {form.many}."
        raise SetUnfitError(msg)
    templates = _templates(album, form)
    looks = look_at([shot.path for shot in shots])
    return LoadedPictures(
        name=name,
        pictures=tuple(
            _picture(shot, look, form, album, templates)
            for shot, look in zip(shots, looks, strict=True)
        ),
        templates=len(templates),
    )


def _chosen(shot: Shot, form: PictureForm) -> bool:
    if form.templates is not None and fnmatchcase(shot.name, form.templates):
        return False
    return shot.path.suffix.lower() in PICTURES and any(
        fnmatchcase(shot.name, pattern) for pattern in form.files
    )


def _templates(album: Album, form: PictureForm) -> dict[tuple[Path, str], Path]:
    if form.templates is None:
        return {}
    return {
        (shot.path.parent, shot.key): shot.path
        for shot in album.shots
        if fnmatchcase(shot.name, form.templates)
    }


def _picture(
    shot: Shot,
    look: Look,
    form: PictureForm,
    album: Album,
    templates: dict[tuple[Path, str], Path],
) -> LoadedPicture:
    if look.error:
        msg = f"The picture {shot.name} cannot be opened: {look.error}."
        raise SetUnfitError(msg)
    size = (form.width or look.width, form.height or look.height)
    if size != (look.width, look.height):
        msg = f"The picture {shot.name} is {look.width} x {look.height} pixels, and the entry says {size[0]} x {size[1]}."
        raise SetUnfitError(msg)
    template = templates.get((shot.path.parent, shot.key))
    if form.templates is not None and template is None:
        msg = f"The picture {shot.name} has no template beside it."
        raise SetUnfitError(msg)
    boxes = _boxes(shot, album) if form.label == "boxes" else ()
    return LoadedPicture(
        path=shot.path,
        name=shot.name,
        width=look.width,
        height=look.height,
        labels=_labels(shot, form, boxes),
        group=_first_group(form.group, shot.name),
        template=template,
        boxes=boxes,
    )


def _labels(shot: Shot, form: PictureForm, boxes: Sequence[Box]) -> tuple[str, ...]:
    if form.label == "none":
        return ()
    if form.label == "folder":
        return (_meant(shot.path.parent.name, form, shot),)
    if form.label == "name":
        return (_meant(_first_group(form.pattern, shot.name), form, shot),)
    return tuple(_meant(box.kind, form, shot) for box in boxes)


def _meant(word: str, form: PictureForm, shot: Shot) -> str:
    if form.kinds and word not in form.kinds:
        known = ", ".join(form.kinds)
        msg = f"The picture {shot.name} has the label {word[:40]!r}, which is none of {known}."
        raise SetUnfitError(msg)
    return form.kinds.get(word, word)


def _first_group(pattern: str | None, name: str) -> str:
    if pattern is None:
        return ""
    match = re.search(pattern, name)
    if match is None or match.group(1) is None:
        msg = f"{pattern!r} finds nothing in the name of the picture {name}."
        raise SetUnfitError(msg)
    return match.group(1)


def _boxes(shot: Shot, album: Album) -> tuple[Box, ...]:
    for ending in (".txt", ".xml"):
        for name in (shot.path.stem, shot.key):
            files = album.labels.get(ending, {}).get(name, [])
            near = [file for file in files if file.parent == shot.path.parent]
            if len(files) == 1 or near:
                return _read((near or files)[0], shot)
    msg = f"The picture {shot.name} has no file of boxes."
    raise SetUnfitError(msg)


def _read(path: Path, shot: Shot) -> tuple[Box, ...]:
    read = read_boxes(path)
    if read.error or not read.boxes:
        why = read.error or "there is none in it"
        msg = f"The boxes of the picture {shot.name} cannot be read: {why}."
        raise SetUnfitError(msg)
    return read.boxes
