"""Q03, Q04, Q15: classes, boxes and masks, and whether they can be true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import log

from tundish.data.grade.images.scene import Scene, Seen, examples, names
from tundish.data.grade.tally import Remarks, Tally
from tundish.data.images.boxes import Box, BoxFile

BOX_SLACK = 1.5
RARE_RATIO = 20
FEW = 10
MASKED = 0.5
GOOD = {"good", "ok", "normal", "free", "pass", "defect_free", "nondefective"}


def labelled(scene: Scene) -> Tally:
    """Count pictures that have a class, a label file with sense in it, or a mask."""
    remarks = scene.remarks("Q03")
    every = scene.pictures
    if not scene.labelled_by:
        detail = "no class folders, label files, masks or table of labels were found"
        return remarks.tally(0, 0, detail, scope="labels")
    if scene.labelled_by == "boxes":
        return _boxed(scene, remarks)
    if scene.labelled_by == "classes":
        bare = [one for one in every if not one.label]
        if bare:
            remarks.add(
                "unlabelled",
                f"{len(bare):,} pictures have no class: {examples(bare)}.",
                "Name their class, or keep them apart as pictures without labels.",
                names=names(bare),
                of=len(every),
            )
        detail = f"{len({one.label for one in every} - {''})} classes"
        return remarks.tally(len(bare), len(every), detail, scope="labels")
    return remarks.tally(0, len(every), "masks", scope="labels")


def _boxed(scene: Scene, remarks: Remarks) -> Tally:
    every = scene.pictures
    bare = [one for one in every if one.name not in scene.boxes]
    if bare:
        remarks.add(
            "unlabelled",
            f"{len(bare):,} pictures have no label file: {examples(bare)}.",
            "Label them; if they show no defect, say so with an empty label file.",
            names=names(bare),
            of=len(every),
        )
    files = [scene.boxes[one.name] for one in every if one.name in scene.boxes]
    broken = [file for file in files if file.error]
    if broken:
        remarks.add(
            "unlabelled",
            f"{len(broken):,} label files cannot be read ({broken[0].path.name}: "
            f"{broken[0].error}).",
            "Export the labels again from the labelling program.",
            names=sorted(file.path.name for file in broken),
            of=len(every),
        )
    empty = [file for file in files if not file.error and not file.boxes]
    boxes = sum(len(file.boxes) for file in files)
    detail = (
        f"{boxes:,} boxes in {len(files):,} label files, {len(empty):,} of them empty"
    )
    bad = len(bare) + len(broken)
    return remarks.tally(bad, len(every), detail, scope="labels")


def fitting(scene: Scene) -> Tally:
    """Count boxes that lie inside their picture and masks that have its size."""
    remarks = scene.remarks("Q04", "boxes and masks")
    boxes = [
        (one, box)
        for one in scene.sound
        if one.name in scene.boxes
        for box in scene.boxes[one.name].boxes
    ]
    masks = _masks(scene)
    total = len(boxes) + len(masks)
    if not total:
        return remarks.tally(0, 0, "no boxes and no masks")
    outside = [(one, box) for one, box in boxes if _outside(box, one)]
    hollow = [(one, box) for one, box in boxes if _hollow(box)]
    if outside:
        one, box = outside[0]
        remarks.add(
            "box-outside",
            f"{len(outside):,} boxes reach out of their picture (the first in {one.name}: "
            f"{box.left:g} {box.top:g} to {box.right:g} {box.bottom:g} in "
            f"{one.look.width} x {one.look.height}).",
            "Check whether the pictures were scaled after they were labelled.",
            names=sorted({one.name for one, _ in outside}),
            bad=len(outside),
            of=total,
        )
    if hollow:
        remarks.add(
            "box-empty",
            f"{len(hollow):,} boxes have no area (the first in {hollow[0][0].name}).",
            "Draw them again: right and bottom must lie beyond left and top.",
            names=sorted({one.name for one, _ in hollow}),
            bad=len(hollow),
            of=total,
        )
    repeated = _repeated(scene, remarks, total)
    wrong = _wrong_masks(masks, remarks, total)
    bad = len({id(box) for _, box in (*outside, *hollow)}) + repeated + wrong
    return remarks.tally(min(bad, total), total)


def _outside(box: Box, one: Seen) -> bool:
    width, height = (1.0, 1.0) if box.share else (one.look.width, one.look.height)
    across = BOX_SLACK / one.look.width if box.share else BOX_SLACK
    down = BOX_SLACK / one.look.height if box.share else BOX_SLACK
    return (
        min(box.left, box.right) < -across
        or min(box.top, box.bottom) < -down
        or max(box.left, box.right) > width + across
        or max(box.top, box.bottom) > height + down
    )


def _hollow(box: Box) -> bool:
    return box.right <= box.left or box.bottom <= box.top


def _repeated(scene: Scene, remarks: Remarks, total: int) -> int:
    again = {
        one.name: len(file.boxes) - len(set(file.boxes))
        for one in scene.sound
        if (file := scene.boxes.get(one.name))
        and len(file.boxes) > len(set(file.boxes))
    }
    count = sum(again.values())
    if count:
        remarks.add(
            "box-copied",
            f"{count:,} boxes stand twice in their file (the first in {min(again)}).",
            "Remove the second one: it counts a defect twice.",
            names=sorted(again),
            bad=count,
            of=total,
        )
    return count


def _masks(scene: Scene) -> list[tuple[Seen, Seen]]:
    """Return (mask, its picture) where both can be read."""
    pictures: dict[str, list[Seen]] = {}
    for one in scene.sound:
        pictures.setdefault(one.shot.key, []).append(one)
    found = []
    for mask in scene.seen:
        if mask.shot.role != "mask" or mask.look.error:
            continue
        near = pictures.get(mask.shot.key, [])
        folders = {one.shot.path.parent.name: one for one in near}
        mine = folders.get(mask.shot.path.parent.name)
        if mine is None and len(near) == 1:
            mine = near[0]
        if mine is not None:
            found.append((mask, mine))
    return found


def _wrong_masks(masks: list[tuple[Seen, Seen]], remarks: Remarks, total: int) -> int:
    other = [
        mask
        for mask, one in masks
        if (mask.look.width, mask.look.height) != (one.look.width, one.look.height)
    ]
    if other:
        remarks.add(
            "mask-size",
            f"{len(other):,} masks have another size than their picture: {examples(other)}.",
            "Export the masks again at the size of the pictures.",
            names=names(other),
            of=total,
        )
    empty = [
        m for m, one in masks if m.look.levels == 1 and one.label.lower() not in GOOD
    ]
    if empty and len(empty) < MASKED * len(masks):
        remarks.add(
            "mask-empty",
            f"{len(empty):,} masks mark nothing: {examples(empty)}.",
            "Draw the defect, or move the picture to the good ones.",
            names=names(empty),
            of=total,
        )
    return len(other)


def balanced(scene: Scene) -> Tally:
    """Return how evenly classes (or kinds of box) are filled: entropy, 0 to 1."""
    boxed = scene.labelled_by == "boxes"
    remarks = scene.remarks("Q15", "boxes" if boxed else "pictures")
    if boxed:
        files: Mapping[str, BoxFile] = scene.boxes
        counts = Counter(box.kind for file in files.values() for box in file.boxes)
    else:
        counts = Counter(one.label for one in scene.pictures if one.label)
    if len(counts) < 2:
        return remarks.tally(0, 0, "fewer than two classes")
    total = sum(counts.values())
    value = -sum(n / total * log(n / total) for n in counts.values()) / log(len(counts))
    (most, high), (least, low) = counts.most_common(1)[0], counts.most_common()[-1]
    if high >= RARE_RATIO * low:
        what = "boxes" if boxed else "pictures"
        remarks.add(
            "imbalance",
            f"there are {high:,} {what} of {most} and {low:,} of {least} "
            f"(1 to {high / low:.0f}).",
            _mend(low),
            bad=sum(n for n in counts.values() if n * RARE_RATIO <= high),
            of=total,
            tag=least,
        )
    few = sorted(kind for kind, n in counts.items() if n < FEW)
    said = ", ".join(f"{kind} {n:,}" for kind, n in counts.most_common(8))
    detail = f"{said}; fewer than {FEW}: {', '.join(few[:5])}" if few else said
    return remarks.tally(
        total - min(total, low * len(counts)), total, detail, value=value
    )


def _mend(low: int) -> str:
    if low < 100:
        return (
            f"Collect more of the rare one: {low:,} bad pictures give an escape rate no "
            f"better known than to about {300 / max(1, low):.0f} % (rule of three)."
        )
    return "Weigh the classes in training, and judge by the errors of each class."
