"""Grade a folder of pictures, with no configuration: what is found is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tundish.data.errors import TableUnreadableError
from tundish.data.grade import variants, verdict
from tundish.data.grade.checks import Brief
from tundish.data.grade.images import labelling, leaks, shown, twins
from tundish.data.grade.images.scene import COUNTED, Scene, Seen, names
from tundish.data.grade.papers import read_papers
from tundish.data.grade.report import Gate, GradeReport, percent
from tundish.data.grade.tally import Tally
from tundish.data.images import boxes
from tundish.data.images.boxes import BoxFile
from tundish.data.images.folder import Album, Shot, read_album
from tundish.data.images.looking import look_at
from tundish.data.readers import read_table
from tundish.data.table import Assumption
from tundish.kernel import paths
from tundish.kernel.errors import TundishError

UNREADABLE_AT_MOST = 0.01
MOST_TABLES = 5
MOST_TABLE_BYTES = 64 * 1024**2
NAMED = 0.8
MOST_CLASSES = 60

Progress = Callable[[str], None]


def grade_images(
    folder: Path,
    brief: Brief,
    *,
    target: str | None = None,
    progress: Progress | None = None,
) -> GradeReport:
    """Grade a folder of pictures.

    Args:
        folder: Pictures in any usual form, with class folders, masks, label files (YOLO,
            VOC, COCO, corner lists) or a table of labels beside them. Untrusted: pictures
            are decoded in child processes with limits; links are not followed.
        brief: What is known beside the pictures.
        target: Column of the class, if a table of labels is there.
        progress: Told what is being done.

    Raises:
        PathMissingError: if there is no such folder.
        TableUnreadableError: if it holds no picture.
    """
    tell = progress or (lambda _text: None)
    album = read_album(paths.existing_folder(folder))
    if not album.shots:
        msg = f"{folder} holds no picture of a known kind."
        raise TableUnreadableError(msg, advice="Name a folder with pictures in it.")
    album = _by_table(album, target)
    total = len(album.shots)
    looks = look_at(
        [shot.path for shot in album.shots],
        told=lambda done: tell(f"looked at {done:,} of {total:,} pictures"),
    )
    scene = _scene(brief.name, album, [Seen(shot=s, look=k) for s, k in zip(album.shots, looks, strict=True)])  # fmt: skip
    tell("looking for copies")
    same = twins.find_twins(scene)
    return _report(scene, same, brief)


def _scene(name: str, album: Album, seen: list[Seen]) -> Scene:
    found = _boxes(album)
    by = ""
    if any(shot.label for shot in album.pictures):
        by = "classes"
    elif found:
        by = "boxes"
    elif any(shot.role == "mask" for shot in album.shots):
        by = "masks"
    return Scene(name=name, album=album, seen=tuple(seen), boxes=found, labelled_by=by)


def _report(scene: Scene, same: twins.Twins, brief: Brief) -> GradeReport:
    papers = read_papers(brief)
    leak = leaks.find_leaks(scene, same)
    tallies = [
        shown.readable(scene),
        labelling.labelled(scene),
        labelling.fitting(scene),
        shown.exposed(scene),
        twins.copies(scene, same),
        shown.one_size(scene),
        shown.lively(scene),
        shown.unclipped(scene),
        shown.clear(scene),
        labelling.balanced(scene),
        leak.tally,
        personal(scene),
        *papers.tallies,
    ]
    return verdict.report(
        scene.name,
        brief.task,
        _tables(scene),
        [*tallies, *variants.absent("images", tallies)],
        [
            _leakage_gate(leak),
            papers.licence,
            secrets_gate(scene),
            _readable_gate(scene),
            _label_gate(scene),
            papers.card,
        ],
        (_kind(scene), *brief.assumptions, *scene.album.assumptions),
        variants.specs_of("images"),
    )


def personal(scene: Scene) -> Tally:
    """Q26: count pictures whose header names a place, an author or an owner."""
    remarks = scene.remarks("Q26")
    found = [one for one in scene.sound if one.look.personal]
    if found:
        facts = sorted({fact for one in found for fact in one.look.personal})
        remarks.add(
            "person",
            f"the headers of {len(found):,} pictures name {', '.join(facts)}.",
            "Strip the headers before the set leaves the plant; the pixels stay as they are.",
            names=names(found),
            of=len(scene.sound),
        )
    return remarks.tally(len(found), len(scene.sound))


def secrets_gate(scene: Scene) -> Gate:
    """Fail if the header of a picture names a person or a place."""
    found = [one for one in scene.sound if one.look.personal]
    if found:
        facts = sorted({fact for one in found for fact in one.look.personal})
        detail = f"the headers of {len(found):,} pictures name {', '.join(facts)}"
        return verdict.gate("secrets", held=False, detail=detail)
    detail = "no person and no place is named in the headers of the pictures"
    return verdict.gate("secrets", held=True, detail=detail)


def _tables(scene: Scene) -> dict[str, int]:
    roles = {"picture": COUNTED, "mask": "masks", "template": "templates"}
    counts = {
        text: sum(one.shot.role == role for one in scene.seen)
        for role, text in roles.items()
    }
    boxes_found = sum(len(file.boxes) for file in scene.boxes.values())
    counts["boxes"] = boxes_found
    return {f"{scene.name}: {text}": n for text, n in counts.items() if n}


def _kind(scene: Scene) -> Assumption:
    counts = ", ".join(
        f"{n:,} {name.split(': ')[-1]}" for name, n in _tables(scene).items()
    )
    skipped = f"; {scene.album.links} links were left out" if scene.album.links else ""
    return Assumption(
        what=f"this is a folder of pictures ({counts}{skipped})",
        why="pictures outnumber tables in it",
        otherwise="--kind table, --kind texts or --kind events",
    )


def _leakage_gate(leak: leaks.Leaks) -> Gate:
    if leak.said:
        return verdict.gate("leakage", held=False, detail=leak.said)
    conflict = [f for f in leak.tally.findings if f.kind == "label-conflict"]
    if conflict:
        return verdict.gate("leakage", held=False, detail=conflict[0].what)
    if not leak.tally.of:
        return verdict.gate("leakage", held=None, detail=leak.tally.detail)
    detail = leak.tally.detail or "no shot and no part number stands in two parts"
    if "no parts" in detail:
        return verdict.gate(
            "leakage", held=None, detail=f"{detail}; headers do not tell the classes"
        )
    return verdict.gate("leakage", held=True, detail=detail)


def _readable_gate(scene: Scene) -> Gate:
    broken = sum(bool(one.look.error) for one in scene.seen)
    share = broken / max(1, len(scene.seen))
    detail = (
        f"{broken:,} of {len(scene.seen):,} files ({percent(share)}) cannot be read"
    )
    return verdict.gate("readable", held=share <= UNREADABLE_AT_MOST, detail=detail)


def _label_gate(scene: Scene) -> Gate:
    if not scene.labelled_by:
        detail = "no labels were found; a model of good parts alone needs none"
        return verdict.gate("labels", held=None, detail=detail)
    return verdict.gate(
        "labels", held=True, detail=f"pictures are labelled by {scene.labelled_by}"
    )


def _boxes(album: Album) -> dict[str, BoxFile]:
    """Return name of a picture -> its label file."""
    coco: dict[str, BoxFile] = {}
    for files in album.labels.get(".json", {}).values():
        for path in files:
            coco |= boxes.read_coco(path)
    found: dict[str, BoxFile] = {}
    for shot in album.pictures:
        if shot.path.name in coco:
            found[shot.name] = coco[shot.path.name]
            continue
        file = _label_file(shot, album)
        if file is not None:
            found[shot.name] = boxes.read_boxes(file)
    stray = sum(bool(file.error) for file in found.values())
    return {} if stray > NAMED * len(found) else found


def _label_file(shot: Shot, album: Album) -> Path | None:
    for kind in (".txt", ".xml"):
        files = album.labels.get(kind, {})
        near = files.get(shot.path.stem) or files.get(shot.key) or []
        if len(near) == 1:
            return near[0]
        if near:
            return max(near, key=lambda path: _shared_parts(path, shot.path))
    return None


def _shared_parts(one: Path, other: Path) -> int:
    pairs = zip(one.parts[:-1][::-1], other.parts[:-1][::-1], strict=False)
    return sum(a == b for a, b in pairs)


def _by_table(album: Album, target: str | None) -> Album:
    """Take classes from a table that names the pictures, if one is there."""
    by_name = {shot.path.name: shot for shot in album.pictures}
    by_stem = {shot.path.stem: shot for shot in album.pictures}
    for path in album.tables[:MOST_TABLES]:
        if path.stat().st_size > MOST_TABLE_BYTES:
            continue
        try:
            table = read_table(path)
        except TundishError:
            continue
        texts = {
            s.name: ["" if v is None else str(v) for v in s.to_list()]
            for s in table.frame.get_columns()
        }
        for column, cells in texts.items():
            files = [Path(cell.replace("\\", "/")).name for cell in cells]
            hits = [by_name.get(name) or by_stem.get(name) for name in files]
            if sum(hit is not None for hit in hits) < NAMED * min(
                len(hits), len(by_name)
            ):
                continue
            label = target if target in texts else _label_column(texts, column)
            if label is None:
                continue
            told = {
                hit.name: value
                for hit, value in zip(hits, texts[label], strict=True)
                if hit is not None
            }
            said = Assumption(
                what=f"column {label} of {path.name} is the class of the picture in {column}",
                why="its cells are names of pictures, and few classes stand beside them",
                otherwise="--target COLUMN",
            )
            shots = tuple(
                replace(s, label=told.get(s.name, "")) if s.role == "picture" else s
                for s in album.shots
            )
            return replace(album, shots=shots, assumptions=(said,))
    return album


def _label_column(texts: dict[str, list[str]], names_in: str) -> str | None:
    for column, cells in texts.items():
        levels = len(set(cells))
        if column != names_in and 2 <= levels <= min(MOST_CLASSES, len(cells) // 2):
            return column
    return None
